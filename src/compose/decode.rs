//! Trees to the structs of the file's own shape, all mistakes at once.
//!
//! Owns the serde deserializer over [`Node`]: unlike one over plain values it knows, at the moment a mistake is found,
//! where the value stands and what was expected. Knows nothing of what the structs mean.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::diagnostic::Diagnostic;
use super::node::Node;
use super::place::Place;

mod access;
mod at;
mod fault;
mod form;
mod value;

pub(crate) use at::At;
use fault::{Fault, Problem};
pub(crate) use fault::{alternatives, listed, unknown_key};
pub(crate) use form::{Form, Refused, form};
use value::Decoder;

/// Values that are passed over in a further attempt, by the address of their node; the tree does not move meanwhile.
type Pruned = HashSet<usize>;

fn identity(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// How often one resource is tried again; so many mistakes are reported of it at most.
const ATTEMPTS: usize = 100;

/// Decodes a value as a whole. Returns `None` where anything does not fit; the mistakes are then in `mistakes`.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node, path: &str, mistakes: &mut Vec<Diagnostic>) -> Option<T> {
    let before = mistakes.len();
    let (value, whole) = attempts(node, &|_| path, &|_| true, mistakes);
    value.filter(|_| whole && mistakes.len() == before)
}

/// Decodes as much of a value as fits; what does not is in `mistakes`. How messages name the value, `vms.web`, may
/// depend on where the mistake stands.
pub(crate) fn decode_partly<'a, T: DeserializeOwned>(
    node: &Node,
    path: &dyn Fn(Place) -> &'a str,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<T> {
    attempts(node, path, &|_| true, mistakes).0
}

/// Looks at a value of which more may be said elsewhere: notes what is wrong with it whatever that is.
pub(crate) fn decode_alone<T: DeserializeOwned>(node: &Node, path: &str, mistakes: &mut Vec<Diagnostic>) {
    attempts::<T>(node, &|_| path, &|fault| fault.stands_alone(), mistakes);
}

/// serde stops at the first mistake. So what is wrong is noted and cut out, and the rest is tried again, until it fits.
/// Also returns whether nothing was cut out.
fn attempts<'a, T: DeserializeOwned>(
    node: &Node,
    path: &dyn Fn(Place) -> &'a str,
    told: &dyn Fn(&Fault) -> bool,
    mistakes: &mut Vec<Diagnostic>,
) -> (Option<T>, bool) {
    let mut pruned = Pruned::new();
    for _ in 0..ATTEMPTS {
        let fault = match T::deserialize(Decoder { node, pruned: &pruned }) {
            Ok(value) => return (Some(value), pruned.is_empty()),
            Err(fault) => fault,
        };
        let victim = fault.victim;
        // What a value lacks because it was cut out was reported when it was cut out.
        if (victim.is_none() || !fault.follows_from_pruning) && told(&fault) {
            mistakes.push(fault.describe(path, node));
        }
        let Some(victim) = victim else { break };
        if victim == identity(node) || !pruned.insert(victim) {
            break;
        }
    }
    (None, false)
}

/// The keys of a struct of the schema.
pub(crate) fn keys<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The struct asks for its fields by name before anything else happens; the answer is always a refusal.
    let _ = T::deserialize(KeyProbe(&mut keys));
    keys
}

struct KeyProbe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for KeyProbe<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new(Problem::Custom(String::new())))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// What a visitor expects, as text.
struct Expecting<'a>(&'a dyn serde::de::Expected);

impl fmt::Display for Expecting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
