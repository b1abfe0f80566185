//! Walking lists and mappings for serde.
//!
//! Owns the order, the paths in messages and what is passed over: `x-` keys and null values of structs, and what an
//! earlier attempt cut out. Knows nothing of scalars.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::at::{self, Located};
use super::fault::Fault;
use super::value::Decoder;
use super::{Pruned, identity};
use crate::compose::node::{Entry, Node};
use crate::compose::place::Place;

/// The items of a list.
pub(super) struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    pruned: &'a Pruned,
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Node], pruned: &'a Pruned) -> Self {
        Self { items: items.iter().enumerate(), pruned }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let pruned = self.pruned;
        let Some((index, node)) = self.items.find(|(_, node)| !pruned.contains(&identity(node))) else {
            return Ok(None);
        };
        seed.deserialize(Decoder { node, pruned }).map(Some).map_err(|fault| within(fault, node, format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The entries of a mapping whose keys are the user's.
pub(super) struct MapEntries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
    pruned: &'a Pruned,
}

impl<'a> MapEntries<'a> {
    pub(super) fn new(entries: &'a [Entry], pruned: &'a Pruned) -> Self {
        Self { entries: entries.iter(), current: None, pruned }
    }
}

impl<'de> MapAccess<'de> for MapEntries<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let pruned = self.pruned;
        let Some(entry) = self.entries.find(|entry| !pruned.contains(&identity(&entry.value))) else {
            return Ok(None);
        };
        self.current = Some(entry);
        seed.deserialize(KeyDecoder(entry)).map(Some).map_err(|fault| key_fault(fault, entry))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        value(self.current.take(), self.pruned, seed)
    }
}

/// The entries of a mapping that stands for a struct.
pub(super) struct StructEntries<'a> {
    inner: MapEntries<'a>,
    fields: &'static [&'static str],
}

impl<'a> StructEntries<'a> {
    pub(super) fn new(entries: &'a [Entry], fields: &'static [&'static str], pruned: &'a Pruned) -> Self {
        Self { inner: MapEntries::new(entries, pruned), fields }
    }
}

impl<'de> MapAccess<'de> for StructEntries<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let (pruned, fields) = (self.inner.pruned, self.fields);
        let passed_over = |entry: &Entry| {
            let key = entry.key.text.as_str();
            key.starts_with("x-")
                || pruned.contains(&identity(&entry.value))
                || (entry.value.is_null() && fields.contains(&key))
        };
        let Some(entry) = self.inner.entries.find(|entry| !passed_over(entry)) else { return Ok(None) };
        self.inner.current = Some(entry);
        seed.deserialize(KeyDecoder(entry)).map(Some).map_err(|fault| key_fault(fault, entry))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        self.inner.next_value_seed(seed)
    }
}

fn value<'de, S: DeserializeSeed<'de>>(entry: Option<&Entry>, pruned: &Pruned, seed: S) -> Result<S::Value, Fault> {
    let entry = entry.ok_or_else(|| <Fault as serde::de::Error>::custom("a value without a key"))?;
    let decoder = Decoder { node: &entry.value, pruned };
    seed.deserialize(decoder).map_err(|fault| within(fault, &entry.value, entry.key.text.clone()))
}

fn within(fault: Fault, node: &Node, part: String) -> Fault {
    let mut fault = fault.or_at(node);
    if let Some(place) = &mut fault.place {
        place.via = place.via.or(node.via);
    }
    fault.path.push(part);
    fault
}

/// A fault of the key is shown at the key, and the whole entry is cut out for it.
fn key_fault(mut fault: Fault, entry: &Entry) -> Fault {
    fault.place = Some(Place { at: entry.key.at, via: entry.value.via });
    fault.victim = Some(identity(&entry.value));
    fault.path.push(entry.key.text.clone());
    fault
}

/// A key as a value: a text, or a text with its place.
struct KeyDecoder<'a>(&'a Entry);

impl<'de> Deserializer<'de> for KeyDecoder<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(&self.0.key.text)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == at::NAME {
            let place = Place { at: self.0.key.at, via: self.0.value.via };
            return visitor.visit_seq(Located::of_key(place, &self.0.key.text));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}
