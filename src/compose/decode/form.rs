//! Types with a short form and a long one: a text, a list or a mapping, whichever the file has.
//!
//! Owns the choice by the shape of the node, so that a mistake in one form is reported in that form's words. (serde's
//! own untagged enumerations try all and then only say that none fits.) Knows nothing of particular keys.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, Unexpected,
    VariantAccess, Visitor,
};

use super::fault::Fault;
use super::value::Decoder;
use crate::compose::node::Kind;

/// The name by which a type asks for the shape of its node.
pub(super) const NAME: &str = "$vmcompose::Form";

/// A form that a type does not have.
pub(crate) enum Refused {}

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("not a form of this key"))
    }
}

/// A type that reads differently from different shapes.
pub(crate) trait Form: Sized {
    /// What fits, in words: "a name or a mapping".
    const EXPECTED: &'static str;
    /// What a text, a number or a truth value is read as.
    type Scalar: DeserializeOwned + 'static;
    /// What a list is read as.
    type List: DeserializeOwned + 'static;
    /// What a mapping is read as.
    type Mapping: DeserializeOwned + 'static;

    fn scalar(value: Self::Scalar) -> Result<Self, String>;
    fn list(value: Self::List) -> Result<Self, String>;
    fn mapping(value: Self::Mapping) -> Result<Self, String>;
}

/// Reads a [`Form`].
pub(crate) fn form<'de, D: Deserializer<'de>, F: Form>(deserializer: D) -> Result<F, D::Error> {
    deserializer.deserialize_enum(NAME, &["scalar", "list", "mapping"], FormVisitor(PhantomData))
}

struct FormVisitor<F>(PhantomData<F>);

fn read<'de, F: Form, T: DeserializeOwned + 'static, A: VariantAccess<'de>>(
    access: A,
    make: fn(T) -> Result<F, String>,
) -> Result<F, A::Error> {
    if TypeId::of::<T>() == TypeId::of::<Refused>() {
        return Err(A::Error::invalid_type(Unexpected::Unit, &Expected(F::EXPECTED)));
    }
    make(access.newtype_variant()?).map_err(A::Error::custom)
}

struct Expected(&'static str);

impl serde::de::Expected for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de, F: Form> Visitor<'de> for FormVisitor<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(F::EXPECTED)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<F, A::Error> {
        match data.variant()? {
            (0_u32, access) => read(access, F::scalar),
            (1, access) => read(access, F::list),
            (_, access) => read(access, F::mapping),
        }
    }
}

/// Tells a [`Form`] the shape of a node, and lets it read the same node again as what it takes for that shape.
pub(super) struct Shape<'a>(pub(super) Decoder<'a>);

impl<'de> EnumAccess<'de> for Shape<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let shape: u32 = match self.0.node.kind {
            Kind::Scalar(_) => 0,
            Kind::Sequence(_) => 1,
            Kind::Mapping(_) => 2,
        };
        Ok((seed.deserialize(IntoDeserializer::<Fault>::into_deserializer(shape))?, self))
    }
}

impl<'de> VariantAccess<'de> for Shape<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.0.deserialize_map(visitor)
    }
}
