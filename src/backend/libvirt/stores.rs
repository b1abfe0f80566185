//! What the commands for pools and volumes ask of libvirt, besides what a plan asks.
//!
//! Owns these calls of [`Libvirt`]. Their errors are about storage, and say so.

use std::fs::File;

use virt::connect::Connect;

use super::error::failed;
use super::names::Stored;
use super::{Call, Libvirt, inventory, others, pools, transfer, volumes};
use crate::backend::HypervisorError;
use crate::backend::storage::{Incoming, NewPool, PoolReport, Tell, VolumeReport};
use crate::model::{ImageFormat, Volume};
use crate::names::ProjectName;

impl Libvirt {
    /// All pools, by name.
    pub fn pools(&self) -> Result<Vec<PoolReport>, HypervisorError> {
        self.about_storage(inventory::pools)
    }

    /// All that projects have in the pools that are started.
    pub fn volumes(&self) -> Result<Vec<VolumeReport>, HypervisorError> {
        self.about_storage(inventory::volumes)
    }

    /// The vms that have a disk in a pool, or one that is on something in it.
    pub fn users_of_pool(&self, name: &str) -> Result<Vec<String>, HypervisorError> {
        self.about_storage(|connect| inventory::users_of_pool(connect, name))
    }

    /// Adds a pool of files, and starts it.
    pub fn add_pool(&self, new: &NewPool) -> Result<(), HypervisorError> {
        self.about_storage(|connect| pools::add(connect, new))
    }

    /// Forgets a pool; all that is in it stays where it is. Never one of our own two.
    pub fn remove_pool(&self, name: &str) -> Result<(), HypervisorError> {
        self.about_storage(|connect| pools::remove(connect, name))
    }

    /// Has libvirt look anew at what is in a pool.
    pub fn refresh_pool(&self, name: &str) -> Result<(), HypervisorError> {
        self.about_storage(|connect| pools::refresh(connect, name))
    }

    /// Deletes something of a project's with all that is on it; fine where it is gone.
    pub fn delete_volume(&self, volume: &VolumeReport) -> Result<(), HypervisorError> {
        self.about_storage(|connect| {
            let Some(pool) = others::find(connect, &volume.pool)? else { return Ok(()) };
            let Some(found) = volumes::find_in(&pool, &volume.file)? else { return Ok(()) };
            found.delete(0).map_err(failed(format!("cannot delete `{}`", volume.name)))
        })
    }

    /// Writes a volume to a file. `tell` is told of the bytes that came, of how many, and answers whether to go on.
    pub fn export(
        &self,
        from: &VolumeReport,
        format: ImageFormat,
        to: &mut File,
        tell: &Tell<'_>,
    ) -> Result<(), HypervisorError> {
        self.about_storage(|connect| transfer::export(self.call(connect, &from.project), from, format, to, tell))
    }

    /// Makes a named volume from a file, in place of one that is there.
    pub fn import(
        &self,
        project: &ProjectName,
        from: (&mut File, Incoming),
        to: &Volume,
        tell: &Tell<'_>,
    ) -> Result<(), HypervisorError> {
        self.about_storage(|connect| transfer::import(self.call(connect, project), from, &Stored::volume(to), tell))
    }

    fn call<'a>(&'a self, connect: &'a Connect, project: &'a ProjectName) -> Call<'a> {
        Call { connect, place: &self.place, turns: &self.turns, secrets: &self.secrets, project }
    }

    fn about_storage<T>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, HypervisorError>,
    ) -> Result<T, HypervisorError> {
        self.connections.with(call).map_err(HypervisorError::about_resource)
    }
}
