//! The deserializer over one node.
//!
//! Owns which scalar fits which type. Knows nothing of keys: maps and lists are walked in `access`.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, Unexpected, VariantAccess, Visitor};

use super::access::{Items, MapEntries, StructEntries};
use super::at::{self, Located};
use super::fault::{Fault, Problem};
use super::form::{self, Shape};
use super::{Pruned, identity};
use crate::compose::node::{Kind, Meaning, Node, Scalar, Style};

#[derive(Clone, Copy)]
pub(crate) struct Decoder<'a> {
    pub(crate) node: &'a Node,
    pub(crate) pruned: &'a Pruned,
}

impl Decoder<'_> {
    fn expected(self, expected: impl Into<String>) -> Fault {
        Fault::new(Problem::Expected { expected: expected.into(), found: None }).or_at(self.node)
    }

    /// A whole number between two bounds.
    fn integer(self, least: i128, most: i128) -> Result<i128, Fault> {
        let Kind::Scalar(scalar) = &self.node.kind else { return Err(self.expected("a whole number")) };
        match typed(scalar) {
            Meaning::Int(n) if (least..=most).contains(&n) => Ok(n),
            Meaning::Int(n) if n < least => Err(self.expected(format!("a whole number, at least {least}"))),
            Meaning::Int(_) => Err(self.expected(format!("a whole number, at most {most}"))),
            _ => Err(self.expected("a whole number")),
        }
    }
}

/// The meaning of a scalar where a number or a truth value is wanted: computed text counts by what it looks like.
fn typed(scalar: &Scalar) -> Meaning<'_> {
    if scalar.style == Style::Text && scalar.computed && !scalar.text.is_empty() {
        return scalar.plain_meaning();
    }
    scalar.meaning()
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let n = self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            let n = <$type>::try_from(n).map_err(Fault::custom)?;
            visitor.$visit(n).map_err(|fault: Fault| fault.or_at(self.node))
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let seen = match &self.node.kind {
            Kind::Sequence(_) => return self.deserialize_seq(visitor),
            Kind::Mapping(_) => return self.deserialize_map(visitor),
            Kind::Scalar(scalar) => match scalar.meaning() {
                Meaning::Null => visitor.visit_unit(),
                Meaning::Bool(truth) => visitor.visit_bool(truth),
                Meaning::Int(n) => match (u64::try_from(n), i64::try_from(n)) {
                    (Ok(n), _) => visitor.visit_u64(n),
                    (_, Ok(n)) => visitor.visit_i64(n),
                    _ => visitor.visit_str(&scalar.text),
                },
                Meaning::Float(n) => visitor.visit_f64(n),
                Meaning::Text(text) => visitor.visit_str(text),
            },
        };
        seen.map_err(|fault: Fault| fault.or_at(self.node))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.kind {
            Kind::Scalar(scalar) => match typed(scalar) {
                Meaning::Bool(truth) => visitor.visit_bool(truth),
                _ => Err(self.expected("`true` or `false`")),
            },
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    integers! {
        deserialize_u8 visit_u8 u8; deserialize_u16 visit_u16 u16; deserialize_u32 visit_u32 u32;
        deserialize_i8 visit_i8 i8; deserialize_i16 visit_i16 i16; deserialize_i32 visit_i32 i32;
        deserialize_u64 visit_u64 u64; deserialize_i64 visit_i64 i64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Kind::Scalar(scalar) = &self.node.kind else { return Err(self.expected("a number")) };
        match typed(scalar) {
            #[expect(clippy::cast_precision_loss, reason = "a whole number in place of a decimal one is a small one")]
            Meaning::Int(n) => visitor.visit_f64(n as f64),
            Meaning::Float(n) => visitor.visit_f64(n),
            _ => Err(self.expected("a number")),
        }
    }

    /// Any scalar but null is a text: `version: 1.10` in a label stays `1.10`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.kind {
            Kind::Scalar(scalar) if scalar.meaning() != Meaning::Null => {
                visitor.visit_str(&scalar.text).map_err(|fault: Fault| fault.or_at(self.node))
            }
            _ => Err(Fault::invalid_type(Unexpected::Unit, &visitor).or_at(self.node)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_unit() } else { Err(self.expected("nothing")) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Kind::Sequence(items) = &self.node.kind else {
            return Err(Fault::invalid_type(Unexpected::Map, &visitor).or_at(self.node));
        };
        visitor.visit_seq(Items::new(items, self.pruned)).map_err(|fault: Fault| fault.or_at(self.node))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Kind::Mapping(entries) = &self.node.kind else {
            return Err(Fault::invalid_type(Unexpected::Seq, &visitor).or_at(self.node));
        };
        visitor.visit_map(MapEntries::new(entries, self.pruned)).map_err(|fault: Fault| fault.or_at(self.node))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == at::NAME {
            return visitor.visit_seq(Located::new(self));
        }
        let Kind::Mapping(entries) = &self.node.kind else {
            return Err(Fault::invalid_type(Unexpected::Seq, &visitor).or_at(self.node));
        };
        let result = visitor.visit_map(StructEntries::new(entries, fields, self.pruned));
        result.map_err(|mut fault: Fault| {
            if let (Problem::Missing(key), None) = (&fault.problem, fault.victim) {
                let lost = |entry: &&crate::compose::node::Entry| entry.key.text == *key;
                fault.follows_from_pruning =
                    entries.iter().find(lost).is_some_and(|entry| self.pruned.contains(&identity(&entry.value)));
            }
            fault.or_at(self.node)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == form::NAME {
            return if self.node.is_null() {
                Err(Fault::invalid_type(Unexpected::Unit, &visitor).or_at(self.node))
            } else {
                visitor.visit_enum(Shape(self)).map_err(|fault: Fault| fault.or_at(self.node))
            };
        }
        match &self.node.kind {
            Kind::Scalar(scalar) if scalar.meaning() != Meaning::Null => {
                visitor.visit_enum(Word(self)).map_err(|fault: Fault| fault.or_at(self.node))
            }
            _ => Err(self.expected("a word")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit_struct tuple tuple_struct }
}

/// A scalar as the name of an enumeration's variant.
struct Word<'a>(Decoder<'a>);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        Ok((seed.deserialize(self.0)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Fault> {
        Err(self.0.expected("a mapping"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(self.0.expected("a list"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(self.0.expected("a mapping"))
    }
}
