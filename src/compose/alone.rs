//! What is wrong with a file whatever else there is: for files that cannot be read to their end, or not all of them.
//!
//! Owns the choice of what can be said then: keys, names, types and single values, never that something is missing or
//! unknown, which may stand where nothing was read. Knows nothing of what resources mean together.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::decode::decode_alone;
use super::diagnostic::Diagnostic;
use super::interpolate::Interpolation;
use super::lower::named;
use super::node::{Kind, Node};
use super::place::{Place, Texts};
use super::schema::network::Network;
use super::schema::resource::{Image, Volume};
use super::schema::secret::Secret;
use super::schema::vm::Vm;
use super::source::Layer;
use super::template::Templates;
use super::{merge, top};
use crate::names::{ImageName, NameError, NetworkName, SecretName, VmName, VolumeName};

/// Looks at each file by itself.
pub(super) fn check(layers: &[&Layer], texts: &Texts, mistakes: &mut Vec<Diagnostic>) {
    let mut templates = Templates::new(texts);
    for layer in layers {
        for document in &layer.documents {
            let mut document = document.clone();
            let (mut warned, mut warnings) = (BTreeSet::new(), Vec::new());
            let environment = &layer.environment;
            Interpolation { texts, environment, warned: &mut warned, mistakes, warnings: &mut warnings }
                .document(&mut document);
            top::unknown_keys(&document, mistakes);
            merge::strip(&mut document);
            one(&mut document, &mut templates, mistakes);
        }
    }
}

fn one(document: &mut Node, templates: &mut Templates<'_>, mistakes: &mut Vec<Diagnostic>) {
    let Kind::Mapping(entries) = &mut document.kind else { return };
    for entry in entries {
        let node = &mut entry.value;
        match entry.key.text.as_str() {
            "vms" => kind::<VmName, Vm>("vms", node, templates, mistakes),
            "networks" => kind::<NetworkName, Network>("networks", node, templates, mistakes),
            "volumes" => kind::<VolumeName, Volume>("volumes", node, templates, mistakes),
            "images" => kind::<ImageName, Image>("images", node, templates, mistakes),
            "secrets" => kind::<SecretName, Secret>("secrets", node, templates, mistakes),
            "defaults" => {
                templates.check(node, mistakes);
                decode_alone::<Option<Vm>>(node, "defaults", mistakes);
            }
            _ => {}
        }
    }
}

/// The resources of one kind.
fn kind<N, T>(kind: &str, node: &mut Node, templates: &mut Templates<'_>, mistakes: &mut Vec<Diagnostic>)
where
    N: FromStr<Err = NameError>,
    T: DeserializeOwned,
{
    templates.check(node, mistakes);
    for entry in node.entries() {
        named::<N>(&entry.key.text, Place { at: entry.key.at, via: entry.value.via }, mistakes);
        decode_alone::<Option<T>>(&entry.value, &format!("{kind}.{}", entry.key.text), mistakes);
    }
}
