//! `pool …`: the storage pools of the hypervisor, by hand.
//!
//! Owns what may not be removed. Needs no compose file: pools are everybody's.

use crate::backend::libvirt::Libvirt;
use crate::backend::storage::{NewPool, PoolReport, VolumeReport};
use crate::cli::Global;
use crate::cli::pool::{Add, Info, List, Pool};
use crate::commands::print;
use crate::error::{Error, Exit};
use crate::render::{Palette, output, storage};

/// Runs one of them.
pub(super) fn pool(global: &Global, command: &Pool) -> Result<Exit, Error> {
    let hypervisor = Libvirt::connect(global.connect.as_deref())?;
    match command {
        Pool::List(options) => list(&hypervisor, options)?,
        Pool::Info(options) => info(&hypervisor, options)?,
        Pool::Add(options) => add(&hypervisor, options)?,
        Pool::Rm(options) => rm(&hypervisor, &options.pool)?,
        Pool::Refresh(options) => {
            let pool = found(&hypervisor, &options.pool)?;
            hypervisor.refresh_pool(&pool.name)?;
            output::note(&format!("refreshed pool `{}`", pool.name));
        }
    }
    Ok(Exit::Done)
}

fn list(hypervisor: &Libvirt, options: &List) -> Result<(), Error> {
    let pools = hypervisor.pools()?;
    if options.quiet {
        return print(&pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>().join("\n"));
    }
    print(&storage::pools(&pools, &hypervisor.volumes()?, options.format, &Palette::stdout()))
}

fn info(hypervisor: &Libvirt, options: &Info) -> Result<(), Error> {
    let pool = found(hypervisor, &options.pool)?;
    let held = held(hypervisor, &pool)?;
    print(&storage::pool(&pool, &held, options.format, &Palette::stdout()))
}

fn held(hypervisor: &Libvirt, pool: &PoolReport) -> Result<Vec<VolumeReport>, Error> {
    Ok(hypervisor.volumes()?.into_iter().filter(|volume| volume.pool == pool.name).collect())
}

fn found(hypervisor: &Libvirt, name: &str) -> Result<PoolReport, Error> {
    let pool = hypervisor.pools()?.into_iter().find(|pool| pool.name == name);
    pool.ok_or_else(|| Error::Missing {
        what: format!("the hypervisor has no pool `{name}`"),
        hint: "`vmcompose pool list` shows those that it has".to_owned(),
    })
}

fn add(hypervisor: &Libvirt, options: &Add) -> Result<(), Error> {
    let Add { name, folder, nfs } = options.clone();
    hypervisor.add_pool(&NewPool { name: name.clone(), folder, nfs })?;
    output::note(&format!("added pool `{name}`; `pool: {name}` puts a volume there"));
    Ok(())
}

fn rm(hypervisor: &Libvirt, name: &str) -> Result<(), Error> {
    let pool = found(hypervisor, name)?;
    if pool.own {
        return Err(Error::Refused {
            what: format!("pool `{name}` is one of the two that vmcompose keeps itself"),
            hint: "nothing was changed; it is empty once every project is down with `--volumes`".to_owned(),
        });
    }
    if let Some(volume) = held(hypervisor, &pool)?.first() {
        return Err(Error::Refused {
            what: format!("pool `{name}` has `{}` of project `{}` in it", volume.name, volume.project),
            hint: format!(
                "nothing was changed; `vmcompose -p {} volume rm {}` deletes it",
                volume.project, volume.name
            ),
        });
    }
    if let Some(vm) = hypervisor.users_of_pool(name)?.first() {
        return Err(Error::Refused {
            what: format!("vm `{vm}` has a disk in pool `{name}`, or one that is on something in it"),
            hint: "nothing was changed; remove the vm first".to_owned(),
        });
    }
    hypervisor.remove_pool(name)?;
    let folder = pool.path.map(|path| format!("; what is in `{path}` stays there")).unwrap_or_default();
    output::note(&format!("removed pool `{name}`{folder}"));
    Ok(())
}
