//! The file's own shape: one struct per mapping, one field per key.
//!
//! The doc comments are the reference of the compose language and the descriptions of its JSON schema. Owns what may be
//! written where; knows nothing of what it means together.

pub(crate) mod cloud_init;
pub(crate) mod guest;
pub(crate) mod hardware;
pub(crate) mod health;
mod json;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod probe;
pub(crate) mod provision;
pub(crate) mod resource;
pub(crate) mod secret;
pub(crate) mod shape;
pub(crate) mod vm;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use json::json_schema;
use network::Network;
use resource::{Image, Include, Quotas, Volume};
use secret::Secret;
use shape::Entries;
use vm::Vm;

/// A compose file of vmcompose.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// The project's name, the prefix of all that it owns. Default: the name of the file's folder
    pub(crate) name: Option<String>,
    /// Other compose files whose resources become part of this project.
    pub(crate) include: Vec<Include>,
    /// Values for templates: `{{ vars.NAME }}`. Overridden by `--var`, `--var-file` and `VMCOMPOSE_VAR_NAME`.
    pub(crate) vars: Entries<serde_json::Value>,
    /// Keys of every vm, where it does not say otherwise; none of a vm with `boot.existing`.
    pub(crate) defaults: Option<Vm>,
    /// Images that root disks are made from.
    pub(crate) images: Entries<Image>,
    /// Networks of the project.
    pub(crate) networks: Entries<Option<Network>>,
    /// Disks that survive `down`.
    pub(crate) volumes: Entries<Volume>,
    /// Secrets that guests receive.
    pub(crate) secrets: Entries<Secret>,
    /// The virtual machines.
    pub(crate) vms: Entries<Option<Vm>>,
    /// Upper limits of the whole project: more is a mistake, before anything is done.
    pub(crate) limits: Option<Quotas>,
}
