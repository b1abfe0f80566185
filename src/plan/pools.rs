//! What the plan has to know of storage pools: those of the user's own that the file names, and ours where they are stopped.
//!
//! Owns the refusals before anything is done. Knows nothing of how a pool is made.

use crate::model::Spec;
use crate::names::ResourceId;
use crate::plan::obstacle::Obstacle;
use crate::state::{ActualState, DesiredState, OtherPool};

/// What keeps a pool of the user's own from having what the file wants of it.
pub(super) fn pool_trouble(desired: &DesiredState, actual: &ActualState, id: &ResourceId) -> Option<Obstacle> {
    let (problem, hint) = match &desired.specs[id] {
        Spec::Volume(volume) => unfit(actual, volume.pool.as_ref()?).err()?,
        Spec::Vm(vm) => vm.boot.images().filter_map(|image| image.volume.as_ref()).find_map(|source| {
            let pool = match unfit(actual, &source.pool) {
                Ok(pool) => pool,
                Err(trouble) => return Some(trouble),
            };
            let lacks = format!("pool `{}` has no volume `{}`", source.pool, source.volume);
            let listed = format!("`virsh vol-list {}` shows what it has", source.pool);
            (!pool.volumes.contains(&source.volume)).then_some((lacks, listed))
        })?,
        Spec::Pool(_) | Spec::Image(_) | Spec::Network(_) => return None,
    };
    Some(Obstacle::Pool { resource: id.clone(), problem, hint, origin: desired.origins.get(id).cloned() })
}

fn unfit<'a>(actual: &'a ActualState, name: &str) -> Result<&'a OtherPool, (String, String)> {
    let Some(pool) = actual.pools.get(name) else {
        let known: Vec<String> = actual.pools.keys().map(|name| format!("`{name}`")).collect();
        let others = if known.is_empty() { String::new() } else { format!(", or take {}", known.join(" or ")) };
        let hint = format!("`vmcompose pool add {name} FOLDER` makes one{others}");
        return Err((format!("the hypervisor has no pool `{name}`"), hint));
    };
    if !pool.holds_files() {
        let hint = "take a pool that is a folder, or leave `pool` out".to_owned();
        return Err((format!("pool `{name}` is of type `{}`, and disks are files", pool.kind), hint));
    }
    if !pool.active {
        let hint = format!("start it: `virsh pool-start {name}`");
        return Err((format!("pool `{name}` is stopped"), hint));
    }
    Ok(pool)
}
