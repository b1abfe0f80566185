//! `volume …`: volumes and the disks of vms, by hand.
//!
//! Owns what is asked before data is deleted or written over, and that a half of a file is never taken for a whole. Reads
//! the compose file for the project's name, and for where a volume that is imported belongs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::backend::libvirt::Libvirt;
use crate::backend::storage::{Incoming, VolumeKind, VolumeReport};
use crate::cli::Global;
use crate::cli::volume::{Export, FileFormat, Import, Info, List, Rm, Volume};
use crate::commands::interrupt::Interrupt;
use crate::commands::{filter, lock, media, print, request, stage};
use crate::error::{Error, Exit};
use crate::image;
use crate::model::{self, ImageFormat};
use crate::names::{ProjectName, VolumeName};
use crate::render::storage::{self, Copying};
use crate::render::{Answer, Palette, ask, output};

/// Runs one of them.
pub(super) fn volume(global: &Global, command: &Volume) -> Result<Exit, Error> {
    match command {
        Volume::List(options) => list(global, options)?,
        Volume::Info(options) => info(global, options)?,
        Volume::Rm(options) => rm(global, options)?,
        Volume::Export(options) => export(global, options)?,
        Volume::Import(options) => import(global, options)?,
    }
    Ok(Exit::Done)
}

fn connect(global: &Global) -> Result<Libvirt, Error> {
    Ok(Libvirt::connect(global.connect.as_deref())?)
}

fn project(global: &Global) -> Result<ProjectName, Error> {
    stage::project_name(global, &request(global)?)
}

/// What a project has that people name: volumes and disks.
fn of_project(hypervisor: &Libvirt, project: &ProjectName) -> Result<Vec<VolumeReport>, Error> {
    Ok(named(hypervisor)?.filter(|volume| volume.project == *project).collect())
}

fn named(hypervisor: &Libvirt) -> Result<impl Iterator<Item = VolumeReport>, Error> {
    let named = |volume: &VolumeReport| matches!(volume.kind, VolumeKind::Volume | VolumeKind::Disk);
    Ok(hypervisor.volumes()?.into_iter().filter(named))
}

fn found(volumes: &[VolumeReport], project: &ProjectName, name: &str) -> Result<VolumeReport, Error> {
    volumes.iter().find(|volume| volume.name == name).cloned().ok_or_else(|| Error::Missing {
        what: format!("project `{project}` has no volume `{name}` on the hypervisor"),
        hint: "`vmcompose volume list` shows what it has; the disk of a vm is VM/DISK, such as `db/root`".to_owned(),
    })
}

fn list(global: &Global, options: &List) -> Result<(), Error> {
    let mut volumes: Vec<VolumeReport> = if options.all {
        named(&connect(global)?)?.collect()
    } else {
        let project = project(global)?;
        of_project(&connect(global)?, &project)?
    };
    volumes.retain(|volume| {
        filter::passes(&options.filter, |key| match key {
            "kind" => vec![volume.kind.as_str().to_owned()],
            "used" => vec![if volume.used_by.is_empty() { "no" } else { "yes" }.to_owned()],
            "vm" => volume.used_by.iter().map(|user| user.vm.clone()).collect(),
            "pool" => vec![volume.pool.clone()],
            _ => vec![volume.name.clone()],
        })
    });
    if options.quiet {
        let name = |volume: &VolumeReport| {
            let project = if options.all { format!("{}/", volume.project) } else { String::new() };
            format!("{project}{}", volume.name)
        };
        return print(&volumes.iter().map(name).collect::<Vec<_>>().join("\n"));
    }
    print(&storage::volumes(&volumes, options.all, options.format, &Palette::stdout()))
}

fn info(global: &Global, options: &Info) -> Result<(), Error> {
    let project = project(global)?;
    let volume = found(&of_project(&connect(global)?, &project)?, &project, &options.volume)?;
    print(&storage::facts(&volume, options.format, &Palette::stdout()))
}

fn rm(global: &Global, options: &Rm) -> Result<(), Error> {
    let project = project(global)?;
    let hypervisor = connect(global)?;
    let _lock = lock::take(&project, &hypervisor)?;
    let all = of_project(&hypervisor, &project)?;
    // All are looked at before any is deleted: a slip in the second name must not cost the first volume.
    let volumes: Vec<VolumeReport> =
        options.volumes.iter().map(|name| found(&all, &project, name)).collect::<Result<_, _>>()?;
    for volume in &volumes {
        if !volume.used_by.is_empty() {
            return Err(Error::Refused {
                what: format!("`{}` is used by {}", volume.name, storage::used_by(&volume.used_by, &project)),
                hint: "nothing was changed; take the vm down, or the disk out of it, first".to_owned(),
            });
        }
    }
    let names = volumes.iter().map(|volume| format!("`{}`", volume.name)).collect::<Vec<_>>().join(", ");
    confirm(options.yes, &format!("deleting {names} with all data"))?;
    for volume in volumes {
        hypervisor.delete_volume(&volume)?;
        output::note(&format!("deleted `{}`", volume.name));
    }
    Ok(())
}

fn confirm(yes: bool, what: &str) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    match ask(&format!("{what}?")).map_err(|source| Error::Io { path: PathBuf::from("stdin"), source })? {
        Answer::Yes => Ok(()),
        Answer::No | Answer::Nobody => Err(Error::Unconfirmed { what: what.to_owned() }),
    }
}

fn export(global: &Global, options: &Export) -> Result<(), Error> {
    let project = project(global)?;
    let hypervisor = connect(global)?;
    let _lock = lock::take(&project, &hypervisor)?;
    let volume = found(&of_project(&hypervisor, &project)?, &project, &options.volume)?;
    let format = match options.format {
        FileFormat::Qcow2 => ImageFormat::Qcow2,
        FileFormat::Raw => ImageFormat::Raw,
    };
    may_read(&volume, format, options.force)?;
    if options.path.exists() && !options.replace {
        return Err(Error::Refused {
            what: format!("`{}` is there already", options.path.display()),
            hint: "nothing was changed; `--replace` writes over it".to_owned(),
        });
    }
    let (copying, interrupt) = (Copying::new(media::drawn(global), &volume.name), Interrupt::listen()?);
    let tell = |done, of| {
        copying.tell(done, of);
        !interrupt.came()
    };
    whole(&options.path, |file| Ok(hypervisor.export(&volume, format, file, &tell)?))?;
    drop(copying);
    output::note(&format!("wrote `{}` to `{}`", volume.name, options.path.display()));
    Ok(())
}

/// Refuses to read what a vm writes. By force it can be read as it lies there, but not be converted.
fn may_read(volume: &VolumeReport, format: ImageFormat, force: bool) -> Result<(), Error> {
    let Some(writer) = volume.used_by.iter().find(|user| user.running) else { return Ok(()) };
    let as_it_is = volume.format == format && volume.backing.is_none();
    if force && as_it_is {
        return Ok(());
    }
    let hint = match as_it_is {
        true => "stop the vm first; `--force` copies what a power cut would have left".to_owned(),
        false if volume.backing.is_some() => "stop the vm first: a disk on an image has to be converted".to_owned(),
        false => format!("stop the vm first, or copy it as it is: `--format {} --force`", volume.format.as_str()),
    };
    Err(Error::Refused { what: format!("vm `{}` runs and writes `{}`", writer.vm, volume.name), hint })
}

/// Has a file written beside its place, and put there when it is whole and on disk.
fn whole(path: &Path, write: impl FnOnce(&mut File) -> Result<(), Error>) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Io { path: path.to_owned(), source };
    let mut name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = File::create(&part).map_err(|source| Error::Io { path: part.clone(), source })?;
    let written =
        write(&mut file).and_then(|()| file.sync_all().and_then(|()| fs::rename(&part, path)).map_err(failed));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

fn import(global: &Global, options: &Import) -> Result<(), Error> {
    let project = project(global)?;
    let incoming = incoming(&options.path)?;
    let wanted = declared(global, &options.volume)?;
    if let Some(wanted) = wanted.as_ref().filter(|wanted| wanted.size.whole_kib() < incoming.size) {
        return Err(Error::Refused {
            what: format!("the file is {}, and volume `{}` only {}", incoming.size, wanted.name, wanted.size),
            hint: format!("nothing was changed; write `size: {}` or more", incoming.size),
        });
    }
    let hypervisor = connect(global)?;
    let _lock = lock::take(&project, &hypervisor)?;
    let all = of_project(&hypervisor, &project)?;
    let there = all.iter().find(|volume| volume.name == options.volume.as_str());
    let target = model::Volume { size: incoming.size, ..wanted.unwrap_or_else(|| like(&options.volume, there)) };
    if let Some(there) = there {
        may_replace(there, &target, options, &project)?;
    }
    let mut file = File::open(&options.path).map_err(|source| Error::Io { path: options.path.clone(), source })?;
    let (copying, interrupt) = (Copying::new(media::drawn(global), target.name.as_str()), Interrupt::listen()?);
    let tell = |done, of| {
        copying.tell(done, of);
        !interrupt.came()
    };
    hypervisor.import(&project, (&mut file, incoming), &target, &tell)?;
    drop(copying);
    output::note(&format!("made volume `{}` of `{}`", target.name, options.path.display()));
    Ok(())
}

fn incoming(file: &Path) -> Result<Incoming, Error> {
    match image::volume_file(file) {
        Ok((disk, length)) => Ok(Incoming { format: disk.format, length, size: disk.virtual_size.whole_kib() }),
        Err(image::Fault::Unreadable { path, source }) => Err(Error::Io { path, source }),
        Err(fault) => Err(Error::Missing { what: format!("the file {fault}"), hint: fault.hint().unwrap_or_default() }),
    }
}

/// The volume as the compose file has it. Where the project is named there need not be one.
fn declared(global: &Global, name: &VolumeName) -> Result<Option<model::Volume>, Error> {
    match stage::parse(&request(global)?) {
        Ok(parsed) => Ok(parsed.project.volumes.get(name).cloned()),
        Err(error) if global.project.is_some() && global.file.is_empty() && error.exit() == Exit::Usage => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where one of this name is, else where all are that nobody said anything about.
fn like(name: &VolumeName, there: Option<&VolumeReport>) -> model::Volume {
    let plain = model::Volume::new(name.clone(), crate::units::Bytes(0));
    match there {
        Some(there) => model::Volume {
            shared: there.format == ImageFormat::Raw,
            pool: there.elsewhere().map(ToOwned::to_owned),
            ..plain
        },
        None => plain,
    }
}

fn may_replace(
    there: &VolumeReport,
    target: &model::Volume,
    options: &Import,
    project: &ProjectName,
) -> Result<(), Error> {
    let refused = |what: String, hint: &str| Err(Error::Refused { what, hint: format!("nothing was changed; {hint}") });
    if !options.replace {
        return refused(format!("volume `{}` is there already", there.name), "`--replace` puts the file in its place");
    }
    if let Some(user) = there.used_by.iter().find(|user| user.running) {
        return refused(format!("vm `{}` runs and writes volume `{}`", user.vm, there.name), "stop the vm first");
    }
    if there.elsewhere() != target.pool.as_deref() || (there.format == ImageFormat::Raw) != target.shared {
        let other = format!("volume `{}` is there already, in another pool or format than the file has it", there.name);
        return refused(other, &format!("`vmcompose -p {project} volume rm {}` deletes it", there.name));
    }
    confirm(options.yes, &format!("replacing volume `{}` with all data", there.name))
}
