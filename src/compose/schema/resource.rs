//! What stands at the top of the file besides vms and networks: images, volumes, secrets, includes.
//!
//! Owns their keys. Knows nothing of what becomes of them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Labels, OneOrMany, any_of, deserialize_form, refused};
use crate::compose::decode::{At, Form, Refused};
use crate::model::ImageFormat;
use crate::units::Bytes;

/// An image: where it is, or a mapping.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image(pub(crate) LongImage);

/// The long form of an image.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LongImage {
    /// Where it is: a path relative to this file's folder, a URL, `import:NAME`, a well-known name as `vmcompose image
    /// list --known` shows them, or `POOL:VOLUME` for one that is on the hypervisor already and stays the user's own. Example: `source: debian:12`
    pub(crate) source: Option<At<String>>,
    /// The same as `source`.
    pub(crate) path: Option<At<String>>,
    /// What its published bytes must hash to: `sha256:…`, `sha512:…`, or the URL of a list such as `SHA256SUMS`. Default:
    /// the publisher's list, of a well-known name
    pub(crate) checksum: Option<At<String>>,
    /// How its bytes are laid out: `qcow2` or `raw`. What they turn out to be otherwise is refused. Default: as its first
    /// bytes say. Example: `format: qcow2`
    pub(crate) format: Option<At<ImageFormat>>,
}

deserialize_form!(Image);

impl Form for Image {
    const EXPECTED: &'static str = "a path or a URL, or a mapping with `source`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongImage;

    refused!(list);

    fn scalar(path: At<String>) -> Result<Self, String> {
        Ok(Self(LongImage { source: Some(path), ..LongImage::default() }))
    }

    fn mapping(long: LongImage) -> Result<Self, String> {
        Ok(Self(long))
    }
}

any_of!(Image, "Image", "a path, a URL or a well-known name, or a mapping", [{"type": "string"}], [LongImage]);

/// A named volume: a disk that survives `down`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Volume {
    /// What the guest sees; allocated as it is written. Example: `size: 20GiB`
    pub(crate) size: Option<At<Bytes>>,
    /// Several vms may have it as a disk at once; it is raw then, and no guest is told to mount it, because who writes
    /// what is for the guests to agree on. Default: false
    pub(crate) shared: Option<bool>,
    /// The storage pool it is kept in, which has to be one of files; `vmcompose pool add` makes one. Default: that of
    /// vmcompose. Example: `pool: fast`
    pub(crate) pool: Option<At<String>>,
    /// Refused: libvirt keeps nothing with a volume. Label the vms that use it.
    pub(crate) labels: Option<Labels>,
}

/// Another compose file whose resources become part of this project.
#[derive(Debug, Clone)]
pub(crate) struct Include(pub(crate) LongInclude);

/// The long form of an include.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongInclude {
    /// The file, or several that are merged with one another, relative to this file's folder.
    pub(crate) path: OneOrMany<At<String>>,
    /// The folder whose `.env` is read. Default: that of the included file
    #[serde(default)]
    pub(crate) project_directory: Option<At<String>>,
    /// Files with defaults for variables. Default: `.env` in the project directory
    #[serde(default)]
    pub(crate) env_file: OneOrMany<At<String>>,
}

deserialize_form!(Include);

impl Form for Include {
    const EXPECTED: &'static str = "a path, or a mapping with `path`";
    type Scalar = At<String>;
    type List = Refused;
    type Mapping = LongInclude;

    refused!(list);

    fn scalar(path: At<String>) -> Result<Self, String> {
        let path = OneOrMany(vec![path]);
        Ok(Self(LongInclude { path, project_directory: None, env_file: OneOrMany::default() }))
    }

    fn mapping(long: LongInclude) -> Result<Self, String> {
        Ok(Self(long))
    }
}

any_of!(Include, "Include", "a path, or a mapping", [{"type": "string"}], [LongInclude]);
