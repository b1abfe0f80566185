//! The spec last applied, as it is kept with an object on the hypervisor.
//!
//! Owns the text form and its version. Where the text is kept (an element of its own namespace in libvirt's metadata)
//! is the backend's business.

use serde::{Deserialize, Serialize};

use crate::model::Spec;
use crate::names::ProjectName;

/// What is kept with a domain or a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format; see [`VERSION`].
    pub version: u32,
    /// The project that owns the object.
    pub project: ProjectName,
    /// The spec last applied to it, secrets left out.
    pub spec: Spec,
    /// When, as seconds since 1970-01-01 UTC.
    pub applied_at: u64,
    /// By which version of vmcompose.
    pub applied_by: String,
}

/// The format that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer program.
    #[error(
        "its metadata has version {found}, this vmcompose reads up to {VERSION}; use the newer vmcompose that wrote it"
    )]
    Newer {
        /// The version found.
        found: u32,
    },
    /// Not the JSON that it should be.
    #[error("its metadata cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Record {
    /// A record of `spec`, applied at `applied_at` (seconds since 1970-01-01 UTC).
    pub fn new(project: ProjectName, spec: Spec, applied_at: u64) -> Self {
        Self { version: VERSION, project, spec, applied_at, applied_by: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// As one line of JSON.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a record has no map with keys that are not strings")
    }

    /// From one line of JSON.
    pub fn decode(text: &str) -> Result<Self, RecordError> {
        // The version first: a newer format need not have the fields that this one has.
        let Version { version } = serde_json::from_str(text)?;
        if version > VERSION {
            return Err(RecordError::Newer { found: version });
        }
        Ok(serde_json::from_str(text)?)
    }
}
