//! Pools and volumes as tables, as JSON and as YAML, and the progress of what is copied from and to them.
//!
//! Owns what is told of them and its shape. Knows nothing of hypervisors.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::backend::storage::{PoolReport, User, VolumeReport};
use crate::cli::TableFormat;
use crate::names::ProjectName;
use crate::render::draw::Mode;
use crate::render::images::about;
use crate::render::layout::{Text, columns, tame};
use crate::render::style::{Palette, paint};
use crate::units::Bytes;

/// Version of the shape for programs. Fields may be added without a new version; none is renamed or removed.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Pools<'a> {
    version: u32,
    pools: &'a [PoolReport],
}

#[derive(Serialize)]
struct Volumes<'a> {
    version: u32,
    volumes: &'a [VolumeReport],
}

#[derive(Serialize)]
struct OnePool<'a> {
    version: u32,
    #[serde(flatten)]
    pool: &'a PoolReport,
    held: &'a [VolumeReport],
}

fn for_programs(shape: &impl Serialize, format: TableFormat) -> Option<String> {
    match format {
        TableFormat::Table => None,
        TableFormat::Json => Some(format!("{}\n", serde_json::to_string_pretty(shape).expect("every key is a string"))),
        TableFormat::Yaml => Some(serde_yaml::to_string(shape).expect("every key is a string")),
    }
}

/// The pools of a hypervisor. `held` is what projects have in all of them.
pub fn pools(pools: &[PoolReport], held: &[VolumeReport], format: TableFormat, palette: &Palette) -> String {
    if let Some(text) = for_programs(&Pools { version: VERSION, pools }, format) {
        return text;
    }
    let header = ["POOL", "STATE", "TYPE", "SIZE", "USED", "FREE", "VOLUMES", "OF PROJECTS"];
    let header = header.map(|name| paint(palette.faint, name)).to_vec();
    let row = |pool: &PoolReport| {
        let ours = held.iter().filter(|volume| volume.pool == pool.name).count();
        vec![
            paint(palette.strong, tame(&pool.name)),
            state(pool, palette),
            pool.kind.clone(),
            size(pool.capacity),
            size(pool.allocated),
            size(pool.available),
            pool.volumes.map_or_else(none, |count| count.to_string()),
            ours.to_string(),
        ]
    };
    columns(&std::iter::once(header).chain(pools.iter().map(row)).collect::<Vec<_>>())
}

fn state(pool: &PoolReport, palette: &Palette) -> String {
    if pool.active { paint(palette.good, "active") } else { paint(palette.faint, "stopped") }
}

fn size(size: Option<Bytes>) -> String {
    size.map_or_else(none, about)
}

fn none() -> String {
    "-".to_owned()
}

/// One pool, a line for each fact, and what projects have in it.
pub fn pool(pool: &PoolReport, held: &[VolumeReport], format: TableFormat, palette: &Palette) -> String {
    if let Some(text) = for_programs(&OnePool { version: VERSION, pool, held }, format) {
        return text;
    }
    let fact = |name: &str, value: String| vec![paint(palette.faint, name), value];
    let mut facts = vec![
        fact("pool", paint(palette.strong, tame(&pool.name))),
        fact("state", state(pool, palette)),
        fact("type", pool.kind.clone()),
        fact("folder", pool.path.as_deref().map_or_else(none, tame)),
        fact("size", size(pool.capacity)),
        fact("used", size(pool.allocated)),
        fact("free", size(pool.available)),
        fact("starts", if pool.autostart { "with the hypervisor" } else { "by hand" }.to_owned()),
    ];
    if pool.own {
        facts.push(fact("kept by", "vmcompose".to_owned()));
    }
    let mut text = Text::default();
    text.push(&columns(&facts));
    if !held.is_empty() {
        text.line(format_args!(""));
        text.push(&table(held, true, palette));
    }
    text.end()
}

/// Volumes and disks. `across` projects they are told apart by theirs.
pub fn volumes(volumes: &[VolumeReport], across: bool, format: TableFormat, palette: &Palette) -> String {
    let shape = Volumes { version: VERSION, volumes };
    for_programs(&shape, format).unwrap_or_else(|| table(volumes, across, palette))
}

fn table(volumes: &[VolumeReport], across: bool, palette: &Palette) -> String {
    let first = across.then_some("PROJECT");
    let header = ["VOLUME", "KIND", "SIZE", "ON DISK", "POOL", "USED BY", "ON"];
    let header = first.into_iter().chain(header).map(|name| paint(palette.faint, name)).collect();
    let row = |volume: &VolumeReport| {
        let cells = [
            paint(palette.strong, &volume.name),
            volume.kind.as_str().to_owned(),
            volume.size.to_string(),
            about(volume.allocated),
            tame(&volume.pool),
            used_by(&volume.used_by, &volume.project),
            volume.backing.as_deref().map_or_else(none, tame),
        ];
        across.then(|| volume.project.to_string()).into_iter().chain(cells).collect()
    };
    columns(&std::iter::once(header).chain(volumes.iter().map(row)).collect::<Vec<_>>())
}

/// Vms by name; those of others with where they belong, those that do not run with a word about it.
pub fn used_by(users: &[User], project: &ProjectName) -> String {
    let user = |user: &User| {
        let name = match &user.project {
            Some(other) if other == project.as_str() => user.vm.clone(),
            Some(other) => format!("{other}/{}", user.vm),
            None => tame(&user.vm),
        };
        if user.running { name } else { format!("{name} (stopped)") }
    };
    if users.is_empty() { none() } else { users.iter().map(user).collect::<Vec<_>>().join(", ") }
}

/// All that is known of a volume, a line for each fact.
pub fn facts(volume: &VolumeReport, format: TableFormat, palette: &Palette) -> String {
    let shape = Volumes { version: VERSION, volumes: std::slice::from_ref(volume) };
    if let Some(text) = for_programs(&shape, format) {
        return text;
    }
    let fact = |name: &str, value: String| vec![paint(palette.faint, name), value];
    columns(&[
        fact("volume", paint(palette.strong, &volume.name)),
        fact("project", volume.project.to_string()),
        fact("kind", volume.kind.as_str().to_owned()),
        fact("size", volume.size.to_string()),
        fact("on disk", about(volume.allocated)),
        fact("format", volume.format.as_str().to_owned()),
        fact("pool", tame(&volume.pool)),
        fact("file", tame(&volume.path)),
        fact("on", volume.backing.as_deref().map_or_else(none, tame)),
        fact("used by", used_by(&volume.used_by, &volume.project)),
    ])
}

/// The progress of one copy: a bar on a terminal, nothing elsewhere.
#[derive(Debug)]
pub struct Copying(ProgressBar);

impl Copying {
    /// Nothing is drawn before something is told.
    pub fn new(mode: Mode, what: &str) -> Self {
        if mode != Mode::Fancy {
            return Self(ProgressBar::hidden());
        }
        let template = "{prefix}: {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).expect("a legal template");
        Self(ProgressBar::no_length().with_style(style).with_prefix(what.to_owned()))
    }

    /// Draws how far it is.
    pub fn tell(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
