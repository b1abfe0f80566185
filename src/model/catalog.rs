//! What a user may write for an image: a path, a URL, `import:NAME`, or a name that everybody knows, such as `debian:12`.
//!
//! Owns the order in which these are told apart. The well-known names and their places are in `catalog.yaml`. Knows
//! nothing of downloads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;

use super::image::{Checksum, ChecksumError, ImageFrom};
use super::url::{Url, UrlError};

/// A processor that images are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Arch {
    /// By the name that the kernel, libvirt and Rust have for it, where it is one of the known.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// That of the machine this program was built for.
    pub fn native() -> Option<Self> {
        match () {
            () if cfg!(target_arch = "x86_64") => Some(Self::X86_64),
            () if cfg!(target_arch = "aarch64") => Some(Self::Aarch64),
            () => None,
        }
    }

    /// Its name as libvirt and the kernel have it, as Debian has it, and the firmware that its images start with.
    fn words(self) -> [(&'static str, &'static str); 3] {
        match self {
            Self::X86_64 => [("{arch}", "x86_64"), ("{deb}", "amd64"), ("{firmware}", "bios")],
            Self::Aarch64 => [("{arch}", "aarch64"), ("{deb}", "arm64"), ("{firmware}", "uefi")],
        }
    }
}

/// An image that is known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WellKnown {
    /// Where its publisher keeps it.
    pub url: Url,
    /// Where its publisher lists its checksum.
    pub checksum: Checksum,
}

/// Why a name that looks like a well-known one is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Nobody knows it.
    #[error("`{name}` is not a known image")]
    Unknown {
        /// What was written.
        name: String,
        /// What may have been meant, the likeliest first.
        meant: Vec<&'static str>,
    },
    /// Its publisher has none for this processor.
    #[error("there is no `{name}` for this processor")]
    OtherArch {
        /// What was written.
        name: String,
    },
}

impl CatalogError {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Unknown { meant, .. } = self else { return None };
        let quoted: Vec<String> = meant.iter().map(|name| format!("`{name}`")).collect();
        (!quoted.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
    }
}

/// What the catalog says of a name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    /// Another name for the same image.
    Same { same_as: String },
    /// Where it is.
    At(Listed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    url: String,
    checksum: String,
    #[serde(default)]
    arches: Option<Vec<Arch>>,
}

static CATALOG: LazyLock<BTreeMap<String, Line>> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("catalog.yaml")).expect("the catalog is tested"));

/// All names, in order.
pub fn well_known_names() -> impl Iterator<Item = &'static str> {
    CATALOG.keys().map(String::as_str)
}

/// The name that says which version is meant: `debian:13` for `debian`. What is no alias stays as it is.
pub fn versioned(name: &str) -> &str {
    match CATALOG.get(name) {
        Some(Line::Same { same_as }) => same_as,
        _ => name,
    }
}

/// Looks a name up. `None` is for what is no such name, and does not look like one: a path, or a volume of a pool.
pub fn well_known(name: &str, arch: Arch) -> Result<Option<WellKnown>, CatalogError> {
    if let Some(Line::At(line)) = CATALOG.get(versioned(name)) {
        if line.arches.as_ref().is_some_and(|arches| !arches.contains(&arch)) {
            return Err(CatalogError::OtherArch { name: name.to_owned() });
        }
        return Ok(Some(place(line, arch)));
    }
    let Some((family, _)) = name.split_once(':').filter(|_| !name.contains('/')) else { return Ok(None) };
    let meant = similar(name, family);
    if meant.is_empty() {
        return Ok(None);
    }
    Err(CatalogError::Unknown { name: name.to_owned(), meant })
}

fn place(line: &Listed, arch: Arch) -> WellKnown {
    let fill = |text: &str| arch.words().iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value));
    let url = fill(&line.url);
    let checksum = fill(&line.checksum).replace("{url}", &url);
    WellKnown {
        url: url.parse().expect("the catalog is tested"),
        checksum: checksum.parse().expect("the catalog is tested"),
    }
}

/// Names of the same family, or of one that is written almost so.
fn similar(name: &str, family: &str) -> Vec<&'static str> {
    const ALMOST: f64 = 0.75;
    const SHOWN: usize = 3;
    let family_of = |known: &'static str| known.split(':').next().unwrap_or(known);
    let close = |known: &&'static str| strsim::normalized_damerau_levenshtein(family_of(known), family) >= ALMOST;
    let mut meant: Vec<&'static str> =
        well_known_names().filter(|name| versioned(name) == *name).filter(close).collect();
    meant.sort_by(|a, b| {
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
        likeness(b).total_cmp(&likeness(a)).then_with(|| b.cmp(a))
    });
    meant.truncate(SHOWN);
    meant
}

/// Where an image is, and what it must add up to where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where it comes from.
    pub from: ImageFrom,
    /// The checksum that was given with it, or its publisher's list.
    pub checksum: Option<Checksum>,
}

/// Why a text does not say where an image is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// There is nothing in it.
    #[error("an image needs a path, a URL, or a name such as `debian:12`")]
    Empty,
    /// A URL that is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A checksum that is none.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// Almost a well-known name.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl LocateError {
    /// What the user could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Empty | Self::Url(_) | Self::Checksum(_) => None,
        }
    }
}

/// Reads what a user wrote for an image. Paths are taken from `base`; well-known names are looked up for `arch`, and
/// without one are not known. A given checksum outweighs the publisher's list.
pub fn locate(source: &str, checksum: Option<&str>, base: &Path, arch: Option<Arch>) -> Result<Located, LocateError> {
    let given = checksum.map(str::parse::<Checksum>).transpose()?;
    if source.is_empty() {
        return Err(LocateError::Empty);
    }
    if let Some(name) = source.strip_prefix("import:") {
        return Ok(Located { from: ImageFrom::Imported(name.to_owned()), checksum: given });
    }
    if source.contains("://") {
        return Ok(Located { from: ImageFrom::Url(source.parse()?), checksum: given });
    }
    let known = arch.map(|arch| well_known(source, arch)).transpose()?.flatten();
    Ok(match known {
        Some(known) => Located { from: ImageFrom::Url(known.url), checksum: given.or(Some(known.checksum)) },
        None => Located { from: ImageFrom::Path(base.join(source)), checksum: given },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_protected_place_and_a_list() {
        let mut names = 0;
        for name in well_known_names() {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let known = match well_known(name, arch) {
                    Ok(known) => known.expect("it is a name"),
                    Err(CatalogError::OtherArch { .. }) => continue,
                    Err(error) => panic!("{error}"),
                };
                let Checksum::Listed(list) = &known.checksum else { panic!("{name} has no list") };
                assert!(known.url.is_https() && list.is_https(), "{name}");
                assert!(!known.url.as_str().contains(['{', '}']) && !list.as_str().contains(['{', '}']), "{name}");
                assert!(list.as_str().rsplit_once('/').is_some_and(|(folder, _)| folder.contains("//")), "{name}");
                names += 1;
            }
        }
        assert!(names > 20, "{names}");
    }

    #[test]
    fn placeholders_follow_the_processor() {
        let url = |name, arch| well_known(name, arch).expect("known").expect("known").url.as_str().to_owned();
        assert!(url("debian:12", Arch::X86_64).ends_with("/debian-12-genericcloud-amd64.qcow2"));
        assert!(url("debian:12", Arch::Aarch64).ends_with("/debian-12-genericcloud-arm64.qcow2"));
        assert!(url("alpine:3.22", Arch::Aarch64).ends_with("-aarch64-uefi-cloudinit-r0.qcow2"));
        assert_eq!(well_known("arch", Arch::Aarch64), Err(CatalogError::OtherArch { name: "arch".to_owned() }));
    }

    #[test]
    fn a_name_without_a_version_is_the_newest_of_its_family() {
        let version = |name: &str| -> Vec<u32> {
            let version = name.split(':').nth(1).expect("a version");
            version.split('.').map(|part| part.parse().expect("a number")).collect()
        };
        for family in ["debian", "ubuntu", "fedora", "alma", "rocky", "alpine"] {
            let known = well_known_names().filter(|name| name.split(':').next() == Some(family) && name.contains(':'));
            let newest = known.max_by_key(|name| version(name)).expect("some");
            assert_eq!(versioned(family), newest);
            assert_eq!(well_known(family, Arch::X86_64), well_known(newest, Arch::X86_64));
        }
        assert_eq!((versioned("arch"), versioned("debian:12")), ("arch", "debian:12"));
    }

    #[test]
    fn a_mistyped_name_is_met_with_a_guess() {
        let hint = |name| well_known(name, Arch::X86_64).expect_err("unknown").hint();
        assert_eq!(hint("debain:12").as_deref(), Some("did you mean `debian:12` or `debian:13` or `debian:11`?"));
        assert!(hint("ubuntu:24.40").is_some_and(|hint| hint.starts_with("did you mean `ubuntu:24.04`")));
        assert!(hint("rokcy:9").is_some_and(|hint| hint.contains("`rocky:9`")));
    }

    #[test]
    fn what_is_no_name_stays_a_path_or_a_volume() {
        for text in ["images/debian.qcow2", "./arch", "default:web.qcow2", "disk.img"] {
            assert_eq!(well_known(text, Arch::X86_64), Ok(None), "{text}");
        }
        let at = |source| locate(source, None, Path::new("/base"), Some(Arch::X86_64)).expect("legal").from;
        assert_eq!(at("a/b.qcow2"), ImageFrom::Path("/base/a/b.qcow2".into()));
        assert_eq!(at("/abs.img"), ImageFrom::Path("/abs.img".into()));
        assert_eq!(at("import:golden"), ImageFrom::Imported("golden".to_owned()));
        assert!(matches!(at("https://example.org/x.img"), ImageFrom::Url(_)));
        assert!(matches!(at("debian:12"), ImageFrom::Url(_)));
    }

    #[test]
    fn a_given_checksum_outweighs_the_list() {
        let digits = format!("sha256:{}", "a".repeat(64));
        let located = locate("debian:12", Some(&digits), Path::new("/"), Some(Arch::X86_64)).expect("legal");
        assert_eq!(located.checksum, Some(Checksum::Sha256("a".repeat(64))));
        let listed = locate("debian:12", None, Path::new("/"), Some(Arch::X86_64)).expect("legal");
        assert!(matches!(listed.checksum, Some(Checksum::Listed(_))));
        assert!(locate("x.img", Some("md5:abc"), Path::new("/"), None).is_err());
        assert!(locate("ftp://example.org/x.img", None, Path::new("/"), None).is_err());
    }
}
