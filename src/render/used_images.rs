//! The images that a project's vms are on, as a table, as JSON and as YAML.
//!
//! Owns what is told of them and its shape.

use serde::Serialize;

use crate::cli::TableFormat;
use crate::model::{Digest, ImageFormat};
use crate::names::{ImageName, ProjectName, VmName};
use crate::render::images::about;
use crate::render::layout::{Text, columns, tame};
use crate::render::style::{Palette, paint};
use crate::units::Bytes;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// One image on the hypervisor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UsedImage {
    /// Its name in the file, or the pool and the volume that it is.
    pub image: ImageName,
    /// The first digits of the SHA-256 of what it holds; `None` of a volume of the user's own.
    pub digest: Option<Digest>,
    /// How its bytes are laid out; `None` likewise.
    pub format: Option<ImageFormat>,
    /// Length of its file on the hypervisor; `None` where that is not known, or it is gone.
    pub size_bytes: Option<u64>,
    /// The vms that are on it.
    pub vms: Vec<VmName>,
}

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    project: &'a ProjectName,
    images: &'a [UsedImage],
}

/// The images in a format. JSON and YAML have this shape:
///
/// ```json
/// {
///   "version": 1,
///   "project": "shop",
///   "images": [ {
///     "image": "debian", "digest": "51349501a3d1", "format": "qcow2", "size_bytes": 219676672, "vms": ["db", "web-1"]
///   } ]
/// }
/// ```
pub fn images(project: &ProjectName, rows: &[UsedImage], format: TableFormat, palette: &Palette) -> String {
    let shape = Shape { version: VERSION, project, images: rows };
    match format {
        TableFormat::Table => table(rows, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

/// Names only, one per line, for scripts.
pub fn names(rows: &[UsedImage]) -> String {
    let mut text = Text::default();
    for row in rows {
        text.line(format_args!("{}", row.image));
    }
    text.end()
}

fn table(rows: &[UsedImage], palette: &Palette) -> String {
    let header = ["IMAGE", "DIGEST", "FORMAT", "SIZE", "USED BY"].map(|name| paint(palette.faint, name)).to_vec();
    let none = || "-".to_owned();
    let row = |row: &UsedImage| {
        let vms: Vec<String> = row.vms.iter().map(ToString::to_string).collect();
        vec![
            paint(palette.strong, tame(row.image.as_str())),
            row.digest.as_ref().map_or_else(none, ToString::to_string),
            row.format.map_or("-", ImageFormat::as_str).to_owned(),
            row.size_bytes.map_or_else(none, |bytes| about(Bytes(bytes))),
            if vms.is_empty() { none() } else { vms.join(", ") },
        ]
    };
    columns(&std::iter::once(header).chain(rows.iter().map(row)).collect::<Vec<_>>())
}
