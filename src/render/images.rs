//! Images of the cache as a table, as JSON and as YAML.
//!
//! Owns what is told of an image and its shape. Knows nothing of the folder that they are in.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::TableFormat;
use crate::model::ImageFormat;
use crate::render::layout::{columns, tame};
use crate::render::style::{Palette, paint};
use crate::units::Bytes;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

/// One image of the cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageRow {
    /// Short name of its content.
    pub id: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The name it was imported under, or where it is from.
    pub from: String,
    /// How it is laid out; `None` of a kernel.
    pub format: Option<ImageFormat>,
    /// Length of the file.
    pub size: Bytes,
    /// What a guest sees; `None` of a kernel.
    pub virtual_size: Option<Bytes>,
    /// Seconds since it was last asked for.
    pub used_s: Option<u64>,
    /// Whether the compose file at hand refers to it; `None` where there is none.
    pub in_use: Option<bool>,
    /// Where it is.
    pub path: PathBuf,
}

#[derive(Serialize)]
struct Shape<'a> {
    version: u32,
    images: &'a [ImageRow],
}

/// What the cache has.
pub fn images(rows: &[ImageRow], format: TableFormat, palette: &Palette) -> String {
    let shape = Shape { version: VERSION, images: rows };
    match format {
        TableFormat::Table => table(rows, palette),
        TableFormat::Json => format!("{}\n", serde_json::to_string_pretty(&shape).expect("every key is a string")),
        TableFormat::Yaml => serde_yaml::to_string(&shape).expect("every key is a string"),
    }
}

fn table(rows: &[ImageRow], palette: &Palette) -> String {
    let header = ["ID", "FROM", "FORMAT", "SIZE", "USED", "IN USE"].map(|name| paint(palette.faint, name)).to_vec();
    let row = |row: &ImageRow| {
        vec![
            paint(palette.strong, &row.id),
            tame(&row.from),
            row.format.map_or("kernel", ImageFormat::as_str).to_owned(),
            about(row.size),
            row.used_s.map_or_else(|| "-".to_owned(), ago),
            row.in_use.map_or("-", |used| if used { "yes" } else { "no" }).to_owned(),
        ]
    };
    columns(&std::iter::once(header).chain(rows.iter().map(row)).collect::<Vec<_>>())
}

/// All that is known of some images, a line for each fact.
pub fn facts(rows: &[ImageRow], format: TableFormat, palette: &Palette) -> String {
    if format != TableFormat::Table {
        return images(rows, format, palette);
    }
    let fact = |name: &str, value: String| vec![paint(palette.faint, name), value];
    let block = |row: &ImageRow| {
        columns(&[
            fact("id", paint(palette.strong, &row.id)),
            fact("from", tame(&row.from)),
            fact("file", row.path.display().to_string()),
            fact("format", row.format.map_or("kernel", ImageFormat::as_str).to_owned()),
            fact("size", about(row.size)),
            fact("disk", row.virtual_size.map_or_else(|| "-".to_owned(), |size| size.to_string())),
            fact("sha256", row.sha256.clone()),
            fact("used", row.used_s.map_or_else(|| "-".to_owned(), ago)),
        ])
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => "now".to_owned(),
        120..7_200 => format!("{}m ago", seconds / 60),
        7_200..172_800 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// A size to three digits or so: what is listed is compared by eye.
pub fn about(size: Bytes) -> String {
    let shift = match size.0 {
        0..0x2800 => 0,
        0x2800..0xa0_0000 => 10,
        0xa0_0000..0x2_8000_0000 => 20,
        _ => 30,
    };
    let unit = ["B", "KiB", "MiB", "GiB"][shift / 10];
    format!("{}{unit}", size.0 >> shift)
}
