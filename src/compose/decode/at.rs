//! A value together with where it stands, for whoever finds fault with it later.
//!
//! Owns the small protocol by which a struct of the schema gets the place from [`Decoder`]. Knows nothing of values.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, SeqAccess, Visitor};

use super::fault::Fault;
use super::value::Decoder;
use crate::compose::place::{Extent, FileId, Place};

/// The name by which [`At`] asks for a place.
pub(super) const NAME: &str = "$vmcompose::At";

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct(NAME, &["place", "value"], AtVisitor(PhantomData))
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with a place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
        let short = || A::Error::custom("a value without a place");
        let mut number = || seq.next_element::<u32>()?.ok_or_else(short);
        let (file, start, end) = (number()?, number()?, number()?);
        let (has_via, via_file, via_start, via_end) = (number()?, number()?, number()?, number()?);
        let extent = |file: u32, start, end| Extent { file: FileId(u16::try_from(file).unwrap_or(0)), start, end };
        let via = (has_via == 1).then(|| extent(via_file, via_start, via_end));
        let value = seq.next_element()?.ok_or_else(short)?;
        Ok(At { value, place: Place { at: extent(file, start, end), via } })
    }
}

/// Seven numbers that are the place, then the value.
pub(super) struct Located<'a> {
    numbers: [u32; 7],
    given: usize,
    value: Whose<'a>,
}

enum Whose<'a> {
    Node(Decoder<'a>),
    Key(&'a str),
}

impl<'a> Located<'a> {
    pub(super) fn new(decoder: Decoder<'a>) -> Self {
        Self { numbers: numbers(decoder.node.place()), given: 0, value: Whose::Node(decoder) }
    }

    pub(super) fn of_key(place: Place, key: &'a str) -> Self {
        Self { numbers: numbers(place), given: 0, value: Whose::Key(key) }
    }
}

fn numbers(place: Place) -> [u32; 7] {
    let Place { at, via } = place;
    let inner = via.unwrap_or(at);
    [u32::from(at.file.0), at.start, at.end, u32::from(via.is_some()), u32::from(inner.file.0), inner.start, inner.end]
}

impl<'de> SeqAccess<'de> for Located<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let number = self.numbers.get(self.given).copied();
        self.given += 1;
        match (number, &self.value) {
            (Some(number), _) => seed.deserialize(number.into_deserializer()).map(Some),
            (None, Whose::Node(decoder)) => seed.deserialize(*decoder).map(Some),
            (None, Whose::Key(key)) => seed.deserialize(StrDeserializer::<Fault>::new(key)).map(Some),
        }
    }
}
