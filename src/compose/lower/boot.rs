//! Images and kernels: what vms start from.
//!
//! Owns which boot media the project has and what they are called. Opens none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::locate::{Source, located, source};
use super::{Declared, Instance, Scope, existing, subject, unknown};
use crate::compose::decode::At;
use crate::compose::diagnostic::Diagnostic;
use crate::compose::place::Place;
use crate::compose::schema::resource::Image;
use crate::compose::schema::vm as file;
use crate::compose::suggest;
use crate::model::catalog::{Located, versioned, well_known_names};
use crate::model::login::known_account;
use crate::model::{Boot, ImageFormat, ImageFrom, ImageRef, ImageRequest, ImageRole, Origin};
use crate::names::{ImageName, ResourceId};

/// The boot media of a project while it is being lowered.
pub(super) struct Images {
    /// Under `images` in the file; `None` where that is a mistake already reported.
    declared: BTreeMap<ImageName, (Option<Source>, Option<ImageFormat>, Place)>,
    /// Named in a vm, by where they are.
    in_place: BTreeMap<(String, ImageRole), ImageName>,
    used: BTreeMap<ImageName, (ImageRequest, Place)>,
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
            let checksum = image.spec.0.checksum.as_ref();
            let found = match (&image.spec.0.source, &image.spec.0.path) {
                (Some(text), None) | (None, Some(text)) => source(scope, text, checksum, mistakes),
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
                            .hint("write `source: ./image.qcow2`, or `source: debian:12`")
                            .unless_wrong_within(image.within),
                    );
                    None
                }
            };
            let format = image.spec.0.format.as_ref().map(|format| format.value);
            declared.insert(image.name.clone(), (found, format, image.place));
        }
        let taken = declared.keys().cloned().collect();
        Self { declared, in_place: BTreeMap::new(), used: BTreeMap::new(), taken, next: BTreeMap::new() }
    }

    /// What a vm starts from, as far as it can be told.
    pub(super) fn boot(
        &mut self,
        scope: &Scope<'_>,
        instance: &Instance<file::Vm>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<Boot> {
        match (&instance.spec.image, &instance.spec.boot) {
            (Some(image), None) => self.image(scope, instance, image, mistakes).map(Boot::Image),
            (None, Some(boot)) if boot.existing.is_some() => existing::machine(instance, boot, mistakes),
            (None, Some(boot)) if boot.cdrom.is_some() => self.disc(scope, instance, boot, mistakes),
            (None, Some(boot)) => {
                if let Some(start) = &boot.start {
                    let alone = Diagnostic::error("`start` is for a machine that somebody else made");
                    mistakes.push(alone.at(start.place, "not here").hint("`up` starts all others"));
                }
                if boot.kernel.is_none() {
                    let lacks =
                        Diagnostic::error(format!("`boot` of {} lacks a `kernel` or a `cdrom`", subject(instance)));
                    mistakes.push(lacks.at(boot.place, "boots what?").hint("write `boot: {kernel: PATH}`"));
                }
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

    /// The account that the image of a vm is known to have.
    pub(super) fn account(&self, boot: &Boot) -> Option<&'static str> {
        let Boot::Image(image) = boot else { return None };
        let (request, _) = self.used.get(&image.name)?;
        let (file, place) = match &request.from {
            ImageFrom::Url(url) => (url.file_name(), url.to_string()),
            from => (last_part("", from), String::new()),
        };
        known_account([file.as_str(), place.as_str(), image.name.as_str()])
    }

    /// The images that vms use; one that nobody uses is not fetched.
    pub(super) fn used(
        self,
        scope: &Scope<'_>,
        origins: &mut BTreeMap<ResourceId, Origin>,
    ) -> BTreeMap<ImageName, ImageRequest> {
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
    ) -> Option<ImageRef> {
        let name = ImageName::new(text.value.as_str()).ok();
        if let Some(name) = name.as_ref().filter(|name| !is_well_known(name) || self.declared.contains_key(name)) {
            return self.of_name(name, instance, text, mistakes);
        }
        Some(match source(scope, text, None, mistakes)? {
            Source::Brought(found) => ImageRef::unseen(self.in_place(text, found, ImageRole::Disk, text.place)),
            Source::There(volume) => {
                let name = self.name_of(volume.to_string(), ImageRole::Disk, &volume.volume);
                ImageRef { volume: Some(volume), ..ImageRef::unseen(name) }
            }
        })
    }

    fn of_name(
        &mut self,
        name: &ImageName,
        instance: &Instance<file::Vm>,
        text: &At<String>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<ImageRef> {
        let Some((found, format, place)) = self.declared.get(name) else {
            let known = self.declared.keys().map(ImageName::as_str);
            let mistake = unknown("image", text, &subject(instance), known);
            let near = known_near(name, &self.declared);
            mistakes.push(mistake.maybe_hint(near).hint(format!("a file is named by its path: `./{name}`")));
            return None;
        };
        let Located { from, checksum } = match found.clone()? {
            Source::Brought(located) => located,
            Source::There(volume) => {
                return Some(ImageRef { volume: Some(volume), format: *format, ..ImageRef::unseen(name.clone()) });
            }
        };
        let request = ImageRequest { name: name.clone(), from, checksum, role: ImageRole::Disk, format: *format };
        self.used.entry(name.clone()).or_insert((request, *place));
        Some(ImageRef::unseen(name.clone()))
    }

    fn kernel(&mut self, scope: &Scope<'_>, boot: &file::Boot, mistakes: &mut Vec<Diagnostic>) -> Option<Boot> {
        let mut find = |text| located(scope, text, None, ImageRole::Kernel, mistakes);
        let kernel = boot.kernel.as_ref().map(|text| (find(text), text));
        let initrd = boot.initrd.as_ref().map(|text| (find(text), text));
        let mut named =
            |text: &At<String>, found| ImageRef::unseen(self.in_place(text, found, ImageRole::Kernel, text.place));
        let (found, text) = kernel?;
        let kernel = named(text, found?);
        let initrd = match initrd {
            Some((found, text)) => Some(named(text, found?)),
            None => None,
        };
        Some(Boot::Kernel { kernel, initrd, cmdline: boot.cmdline.clone().unwrap_or_default() })
    }

    /// A disc, and an empty disk to install something on.
    fn disc(
        &mut self,
        scope: &Scope<'_>,
        instance: &Instance<file::Vm>,
        boot: &At<file::Boot>,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Option<Boot> {
        let text = boot.cdrom.as_ref()?;
        if boot.kernel.is_some() || boot.initrd.is_some() || boot.cmdline.is_some() {
            let both = Diagnostic::error(format!("{} boots both a disc and a kernel", subject(instance)));
            mistakes.push(both.at(boot.place, "which of them?").hint("a disc brings its own kernel"));
        }
        if instance.spec.disk.is_none() {
            let nothing =
                Diagnostic::error(format!("{} boots a disc and has no disk to install on", subject(instance)));
            mistakes.push(nothing.at(text.place, "installs where?").hint("give the vm an empty one: `disk: 20GiB`"));
        }
        let found = located(scope, text, None, ImageRole::Kernel, mistakes)?;
        Some(Boot::Cdrom(ImageRef::unseen(self.in_place(text, found, ImageRole::Kernel, text.place))))
    }

    /// The image at a place, named after it. The same place is the same image.
    fn in_place(&mut self, text: &str, found: Located, role: ImageRole, place: Place) -> ImageName {
        let name = self.name_of(identity(&found.from), role, &last_part(text, &found.from));
        let Located { from, checksum } = found;
        let request = ImageRequest { name: name.clone(), from, checksum, role, format: None };
        self.used.entry(name.clone()).or_insert((request, place));
        name
    }

    /// A name for what has none, after its file; the same each time for the same thing.
    fn name_of(&mut self, identity: String, role: ImageRole, file: &str) -> ImageName {
        let key = (identity, role);
        if let Some(name) = self.in_place.get(&key) {
            return name.clone();
        }
        let name = self.free_name(&file.to_lowercase());
        self.taken.insert(name.clone());
        self.in_place.insert(key, name.clone());
        name
    }

    fn free_name(&mut self, file: &str) -> ImageName {
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

/// Whether an image can be named without a word under `images`: `fedora` can.
fn is_well_known(name: &ImageName) -> bool {
    well_known_names().any(|known| known == name.as_str())
}

/// The well-known name that was probably meant, where it is no name of the file's.
fn known_near<T>(name: &ImageName, declared: &BTreeMap<ImageName, T>) -> Option<String> {
    let own = suggest::nearest(name.as_str(), declared.keys().map(ImageName::as_str));
    if own.is_some() { None } else { suggest::did_you_mean(name.as_str(), well_known_names()) }
}

/// All of where an image is, secrets included: for comparing, not for showing.
fn identity(from: &ImageFrom) -> String {
    match from {
        ImageFrom::Url(url) => url.as_str().to_owned(),
        ImageFrom::Path(_) | ImageFrom::Imported(_) => from.to_string(),
    }
}

/// What an image is called where it has no name: its file's name, or the well-known name that was written.
fn last_part(text: &str, from: &ImageFrom) -> String {
    match from {
        ImageFrom::Url(url) if text.contains("://") => url.file_name(),
        ImageFrom::Url(_) => versioned(text).to_owned(),
        ImageFrom::Imported(name) => name.clone(),
        ImageFrom::Path(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    }
}
