//! Forms that several keys share: mappings with the user's own keys, labels, one thing or a list of them.
//!
//! Owns how these are read, and their JSON schema. Knows nothing of what they are used for.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use crate::compose::decode::{At, Form, form};

/// A mapping whose keys the user chooses, in the order of the file, each key with its place.
#[derive(Debug, Clone)]
pub(crate) struct Entries<V>(pub(crate) Vec<(At<String>, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<V>, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0));
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

impl<V: JsonSchema> JsonSchema for Entries<V> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Entries_of_{}", V::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// Derives `Deserialize` from [`Form`].
macro_rules! deserialize_form {
    ($($type:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::compose::decode::form(deserializer)
            }
        }
    )*};
}

/// The constructor of a form that a type does not have: there is no value to call it with.
macro_rules! refused {
    ($($method:ident),* $(,)?) => {$(
        fn $method(value: crate::compose::decode::Refused) -> Result<Self, String> {
            match value {}
        }
    )*};
}

/// Derives `JsonSchema` of a type with a short form and a long one.
macro_rules! any_of {
    ($type:ty, $name:literal, $description:literal, [$($short:tt),*], [$($long:ty),*]) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let forms: Vec<serde_json::Value> = vec![
                    $(serde_json::json!($short),)*
                    $(generator.subschema_for::<$long>().to_value(),)*
                ];
                let _ = &generator;
                schemars::json_schema!({ "description": $description, "anyOf": forms })
            }
        }
    };
}

pub(super) use {any_of, deserialize_form, refused};

/// Free text by key: a mapping, or a list of `key=value`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels(pub(crate) Vec<(At<String>, String)>);

deserialize_form!(Labels);

impl Form for Labels {
    const EXPECTED: &'static str = "a mapping, or a list of `key=value`";
    type Scalar = crate::compose::decode::Refused;
    type List = Vec<At<String>>;
    type Mapping = Entries<Option<String>>;

    refused!(scalar);

    fn list(items: Vec<At<String>>) -> Result<Self, String> {
        let split = |At { value, place }: At<String>| {
            let (key, text) = value.split_once('=').unwrap_or((&value, ""));
            (At { value: key.to_owned(), place }, text.to_owned())
        };
        Ok(Self(items.into_iter().map(split).collect()))
    }

    fn mapping(entries: Entries<Option<String>>) -> Result<Self, String> {
        Ok(Self(entries.0.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()))
    }
}

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "free text by key: a mapping, or a list of `key=value`",
            "anyOf": [
                { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
                { "type": "array", "items": { "type": "string" } }
            ]
        })
    }
}

/// One thing, or a list of them.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: DeserializeOwned + 'static> Form for OneOrMany<T> {
    const EXPECTED: &'static str = "one value or a list of them";
    type Scalar = T;
    type List = Vec<T>;
    type Mapping = T;

    fn scalar(one: T) -> Result<Self, String> {
        Ok(Self(vec![one]))
    }

    fn list(many: Vec<T>) -> Result<Self, String> {
        Ok(Self(many))
    }

    fn mapping(one: T) -> Result<Self, String> {
        Ok(Self(vec![one]))
    }
}

impl<'de, T: DeserializeOwned + 'static> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        form(deserializer)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("One_or_many_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
