//! Images and kernels: what vms start from.
//!
//! Owns which boot media the project has and what they are called. Opens none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Declared, Instance, Scope, subject, unknown};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::resource::Image;
use crate::compose::schema::vm as file;
use crate::model::{Boot, ImageRef, ImageRole, ImageSource, Origin};
use crate::names::{ImageName, ResourceId};

/// The boot media of a project while it is being lowered.
pub(super) struct Images {
    /// Under `images` in the file; `None` where that is a mistake already reported.
    declared: BTreeMap<ImageName, (Option<PathBuf>, Place)>,
    /// Named by path in a vm.
    by_path: BTreeMap<(PathBuf, ImageRole), ImageName>,
    used: BTreeMap<ImageName, (ImageSource, Place)>,
    taken: BTreeSet<ImageName>,
    /// The number that the next image of a file name gets.
    next: BTreeMap<String, u32>,
}

impl Images {
    /// Takes in what stands under `images`.
    pub(super) fn declared(
        scope: &Scope<'_>,
        images: &[Declared<ImageName, Image>],
        mistakes: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut declared = BTreeMap::new();
        for image in images {
            let path = match (&image.spec.0.source, &image.spec.0.path) {
                (Some(text), None) | (None, Some(text)) => local(text, scope, mistakes),
                (Some(source), Some(path)) => {
                    let both = Diagnostic::error("`source` and `path` are two words for the same thing");
                    mistakes.push(both.at(path.place, "remove one").and(source.place, "of the two"));
                    None
                }
                (None, None) => {
                    let lacks = Diagnostic::error(format!("image `{}` lacks a `source`", image.name));
                    mistakes.push(
                        lacks
                            .at(image.place, "where is it?")
                            .hint("write `source: ./image.qcow2`")
                            .unless_wrong_within(image.within),
                    );
                    None
                }
            };
            declared.insert(image.name.clone(), (path, image.place));
        }
        let taken = declared.keys().cloned().collect();
        Self { declared, by_path: BTreeMap::new(), used: BTreeMap::new(), taken, next: BTreeMap::new() }
    }

    /// What a vm starts from, as far as it can be told.
    pub(super) fn boot(
        &mut self,
        scope: &Scope<'_>,
        instance: &Instance<file::Vm>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<Boot> {
        match (&instance.spec.image, &instance.spec.boot) {
            (Some(image), None) => self.image(scope, instance, image, mistakes).map(ImageRef::unseen).map(Boot::Image),
            (None, Some(boot)) => {
                if let Some(disk) = &instance.spec.disk {
                    let root = Diagnostic::error(format!("{} boots a kernel and has no root disk", subject(instance)));
                    mistakes.push(
                        root.at(disk.place, "the size of which disk?")
                            .hint("add an empty disk with `disks: [{size: 10GiB}]`"),
                    );
                }
                self.kernel(scope, boot, mistakes)
            }
            (Some(image), Some(boot)) => {
                let both = Diagnostic::error(format!("{} has both an `image` and a `boot`", subject(instance)));
                mistakes.push(
                    both.at(boot.place, "boots this kernel")
                        .and(image.place, "boots this image")
                        .hint("remove one of the two"),
                );
                None
            }
            (None, None) if instance.spec.lost.start => None,
            (None, None) => {
                let neither = Diagnostic::error(format!("{} has neither `image` nor `boot`", subject(instance)));
                mistakes.push(
                    neither
                        .at(instance.place, "starts from nothing")
                        .hint("write `image: NAME` with a name under `images`, or `boot: {kernel: PATH}`"),
                );
                None
            }
        }
    }

    /// The images that vms use; one that nobody uses is not fetched.
    pub(super) fn used(
        self,
        scope: &Scope<'_>,
        origins: &mut BTreeMap<ResourceId, Origin>,
    ) -> BTreeMap<ImageName, ImageSource> {
        let mut images = BTreeMap::new();
        for (name, (source, place)) in self.used {
            origins.insert(ResourceId::Image(name.clone()), scope.texts.origin(place.at));
            images.insert(name, source);
        }
        images
    }

    fn image(
        &mut self,
        scope: &Scope<'_>,
        instance: &Instance<file::Vm>,
        text: &At<String>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<ImageName> {
        let Ok(name) = ImageName::new(text.value.as_str()) else {
            // Not a name: a path then.
            let path = local(text, scope, mistakes)?;
            return Some(self.by_path(path, ImageRole::Disk, text.place));
        };
        let Some((path, place)) = self.declared.get(&name) else {
            let known = self.declared.keys().map(ImageName::as_str);
            let mistake = unknown("image", text, &subject(instance), known);
            mistakes.push(mistake.hint(format!("a file is named by its path: `./{name}`")));
            return None;
        };
        let source = ImageSource { name: name.clone(), path: path.clone()?, role: ImageRole::Disk };
        self.used.entry(name.clone()).or_insert((source, *place));
        Some(name)
    }

    fn kernel(&mut self, scope: &Scope<'_>, boot: &file::Boot, mistakes: &mut Vec<Diagnostic>) -> Option<Boot> {
        let kernel = local(&boot.kernel, scope, mistakes);
        let initrd = boot.initrd.as_ref().map(|text| (local(text, scope, mistakes), text.place));
        let kernel = ImageRef::unseen(self.by_path(kernel?, ImageRole::Kernel, boot.kernel.place));
        let initrd = match initrd {
            Some((path, place)) => Some(ImageRef::unseen(self.by_path(path?, ImageRole::Kernel, place))),
            None => None,
        };
        Some(Boot::Kernel { kernel, initrd, cmdline: boot.cmdline.clone().unwrap_or_default() })
    }

    /// The image at a path, named after the file. The same path is the same image.
    fn by_path(&mut self, path: PathBuf, role: ImageRole, place: Place) -> ImageName {
        if let Some(name) = self.by_path.get(&(path.clone(), role)) {
            return name.clone();
        }
        let name = self.free_name(&path);
        self.taken.insert(name.clone());
        self.by_path.insert((path.clone(), role), name.clone());
        self.used.insert(name.clone(), (ImageSource { name: name.clone(), path, role }, place));
        name
    }

    fn free_name(&mut self, path: &Path) -> ImageName {
        let file = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' };
        // Room is left for a number.
        let stem: String = file.chars().map(legal).take(56).collect();
        let stem = stem.trim_matches(['-', '_']);
        let stem = if stem.is_empty() { "image" } else { stem };
        let next = self.next.entry(stem.to_owned()).or_insert(1);
        loop {
            let name = if *next == 1 { stem.to_owned() } else { format!("{stem}-{next}") };
            *next += 1;
            let name = ImageName::new(name).expect("made of legal characters and short enough");
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }
}

/// A path of this machine. URLs and volumes of pools are for later.
fn local(text: &At<String>, scope: &Scope<'_>, mistakes: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    if text.trim().is_empty() {
        mistakes.push(Diagnostic::error("the path of an image must not be empty").at(text.place, "empty"));
        return None;
    }
    let sort = match text.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") => Some(format!("{scheme}://…")),
        Some((pool, volume)) if !pool.contains('/') && !pool.is_empty() && !volume.is_empty() => {
            Some("pool:volume".to_owned())
        }
        _ => None,
    };
    if let Some(sort) = sort {
        mistakes.push(
            Diagnostic::error(format!("an image from `{sort}` is not supported yet"))
                .at(text.place, "not a path")
                .hint("fetch it, and give the path of the file"),
        );
        return None;
    }
    Some(scope.path(text))
}
