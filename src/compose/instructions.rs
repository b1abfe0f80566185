//! Where in the user's files the lines stand that cloud-init is going to read.
//!
//! Owns the look at keys and items, those of raw user-data included. Knows nothing of what they make a guest do.

use super::node::{Kind, Node};
use super::place::{Extent, Texts};
use crate::model::instruction::Instruction;

/// What one vm is told.
pub(super) fn of(vm: &Node, texts: &Texts) -> Vec<Instruction> {
    let mut reader = Reader { texts, told: Vec::new() };
    if let Some(settings) = vm.get("cloud_init") {
        reader.mapping(settings);
    }
    for (key, place) in [("shares", "target"), ("disks", "mount")] {
        for item in vm.get(key).map_or(&[][..], Node::items) {
            // The short form of a share is `HOST:GUEST`.
            let short = || item.as_text()?.split(':').nth(1).map(ToOwned::to_owned);
            let mounted = item.get(place).and_then(Node::as_text).map(ToOwned::to_owned).or_else(short);
            if mounted.is_some() {
                reader.add(key, mounted, item.at);
            }
        }
    }
    reader.told
}

struct Reader<'a> {
    texts: &'a Texts,
    told: Vec<Instruction>,
}

impl Reader<'_> {
    fn add(&mut self, key: &str, about: Option<String>, at: Extent) {
        let origin = self.texts.origin(at);
        let text = self.texts.text(at.file);
        let line = text.lines().nth(origin.line.saturating_sub(1)).unwrap_or("").trim().to_owned();
        self.told.push(Instruction { key: key.to_owned(), about, origin, line });
    }

    fn mapping(&mut self, node: &Node) {
        for entry in node.entries() {
            let key = entry.key.text.as_str();
            // Keys of cloud-init's own.
            if key == "config" {
                self.mapping(&entry.value);
                continue;
            }
            self.add(key, None, entry.key.at);
            match key {
                "user_data" => self.raw(&entry.value),
                "parts" => entry.value.items().iter().for_each(|part| self.raw(part)),
                _ => {
                    for item in entry.value.items() {
                        self.add(key, about(item), item.at);
                    }
                }
            }
        }
    }

    /// User-data as a text, or in a mapping that says more about it.
    fn raw(&mut self, node: &Node) {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.text.starts_with("#cloud-config") => self.lines(&scalar.text, node.at),
            Kind::Scalar(_) => {}
            Kind::Sequence(items) => items.iter().for_each(|item| self.raw(item)),
            Kind::Mapping(_) => node.get("content").into_iter().for_each(|content| self.raw(content)),
        }
    }

    /// The keys of a text of YAML and the items below them, by their looks: it was found to be right before.
    fn lines(&mut self, text: &str, at: Extent) {
        let (mut key, mut from) = (String::new(), 0);
        for line in text.split_inclusive('\n') {
            let part = from..from + line.trim_end().len();
            from += line.len();
            let bare = line.trim();
            if let Some((name, _)) = line.split_once(':').filter(|(name, _)| is_key(name)) {
                name.clone_into(&mut key);
                self.add(&key, None, self.texts.find(at, text, part));
            } else if let Some(item) = bare.strip_prefix("- ").filter(|_| !key.is_empty()) {
                let value = item.split_once(": ").filter(|(name, _)| is_key(name)).map_or(item, |(_, value)| value);
                let about = value.trim().trim_matches(['"', '\'', '[', ']']).to_owned();
                self.add(&key, Some(about), self.texts.find(at, text, part));
            }
        }
    }
}

fn is_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What an item is about.
fn about(item: &Node) -> Option<String> {
    match &item.kind {
        Kind::Scalar(scalar) => Some(scalar.text.clone()),
        Kind::Sequence(words) => Some(words.iter().filter_map(Node::as_text).collect::<Vec<_>>().join(" ")),
        Kind::Mapping(entries) => {
            let named = ["path", "name"].iter().find_map(|key| item.get(key));
            named.or(entries.first().map(|entry| &entry.value)).and_then(Node::as_text).map(ToOwned::to_owned)
        }
    }
}
