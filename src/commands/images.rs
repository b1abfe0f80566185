//! `images`: what the project's vms are on, as the hypervisor has it. The cache of this machine is `image list`'s.
//!
//! Owns which copy belongs to which vm: by name and content. Reads the file only for the project's name.

use std::collections::BTreeMap;

use crate::cli::{Global, Images};
use crate::commands::stage::{self, Access};
use crate::commands::{filter, print, request};
use crate::error::{Error, Exit};
use crate::model::{Digest, ImageRef, Spec};
use crate::names::ImageName;
use crate::render::Palette;
use crate::render::used_images::{self, UsedImage};
use crate::state::{Actual, ActualState};

/// Shows them.
pub(super) fn images(global: &Global, options: &Images) -> Result<Exit, Error> {
    let project = stage::project_name(global, &request(global)?)?;
    let sight = stage::observe(global, &project, Access::Read)?;
    let mut rows = rows(&sight.actual);
    rows.retain(|row| {
        filter::passes(&options.filter, |key| match key {
            "name" => vec![row.image.to_string()],
            "vm" => row.vms.iter().map(ToString::to_string).collect(),
            _ => row.format.iter().map(|format| format.as_str().to_owned()).collect(),
        })
    });
    let text = if options.quiet {
        used_images::names(&rows)
    } else {
        used_images::images(&project, &rows, options.format, &Palette::stdout())
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// Those that are there, and those that a vm says it is on.
fn rows(actual: &ActualState) -> Vec<UsedImage> {
    let mut rows: BTreeMap<(ImageName, Option<Digest>), UsedImage> = BTreeMap::new();
    for found in actual.resources.values().chain(actual.other_images.values().flatten()) {
        if let Some(row) = there(found) {
            rows.insert((row.image.clone(), row.digest.clone()), row);
        }
    }
    for vm in actual.recorded().filter_map(Spec::as_vm) {
        for image in vm.boot.images() {
            let row = rows.entry((image.name.clone(), image.digest.clone())).or_insert_with(|| missing(image));
            if !row.vms.contains(&vm.name) {
                row.vms.push(vm.name.clone());
            }
        }
    }
    rows.into_values().collect()
}

fn there(found: &Actual) -> Option<UsedImage> {
    let Spec::Image(image) = &found.recorded else { return None };
    let (digest, format) = (Some(image.digest.clone()), Some(image.format));
    Some(UsedImage { image: image.name.clone(), digest, format, size_bytes: Some(image.length.0), vms: Vec::new() })
}

/// One of the user's own, of which nothing else is known, or one that somebody removed.
fn missing(image: &ImageRef) -> UsedImage {
    let (digest, format) = (image.digest.clone(), image.format);
    UsedImage { image: image.name.clone(), digest, format, size_bytes: None, vms: Vec::new() }
}
