//! The spec last applied, as it is kept with an object on the hypervisor.
//!
//! Owns the text form and its version. Where the text is kept (an element of its own namespace in libvirt's metadata)
//! is the backend's business.

use serde::{Deserialize, Serialize};

use crate::model::Spec;
use crate::names::{Generation, ProjectName};

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
    /// When a vm was made, likewise; before that, when the one was whose place it took, in case it goes back to that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<(Generation, u64)>,
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
        let applied_by = env!("CARGO_PKG_VERSION").to_owned();
        Self { version: VERSION, project, spec, applied_at, applied_by, made: Vec::new() }
    }

    /// The same for a vm of which `before` is recorded until now: as long as it is not made anew, it is as old as it was.
    #[must_use]
    pub fn following(mut self, before: Option<&Self>) -> Self {
        let own = self.generation();
        if let Some(before) = before {
            self.made.clone_from(&before.made);
            if self.made.is_empty() {
                // By a program that did not tell: no younger than this.
                self.made.push((before.generation(), before.applied_at));
            }
        }
        self.made.retain(|(generation, _)| *generation <= own);
        if self.made.last().is_none_or(|(generation, _)| *generation != own) {
            self.made.push((own, self.applied_at));
        }
        let old = self.made.len().saturating_sub(2);
        self.made.drain(..old);
        self
    }

    /// When what it is of was made, in seconds since 1970-01-01 UTC.
    pub fn made_at(&self) -> u64 {
        self.made.last().map_or(self.applied_at, |(_, at)| *at)
    }

    fn generation(&self) -> Generation {
        self.spec.as_vm().map_or(Generation::FIRST, |vm| vm.generation)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A vm's record as it is read, with this generation.
    fn record(generation: u32, applied_at: u64) -> Record {
        let text = format!(
            r#"{{"version":1,"project":"shop","spec":{{"kind":"vm","spec":{{"name":"db","hostname":"db","boot":{{"image":{{"name":"d"}}}},
            "cpus":1,"memory":"1GiB","stop_grace_period":"5s","autostart":false,"protect":false,"accel":"auto",
            "generation":{generation}}}}},"applied_at":{applied_at},"applied_by":"0.1.0"}}"#
        );
        Record::decode(&text).expect("a record")
    }

    #[test]
    fn a_vm_is_as_old_as_its_disks_whatever_is_applied_to_it() {
        let made = record(0, 100).following(None);
        let changed = record(0, 200).following(Some(&made));
        assert_eq!((changed.made_at(), changed.applied_at), (100, 200));
        let replaced = record(1, 300).following(Some(&changed));
        assert_eq!(replaced.made_at(), 300);
        let undone = record(0, 400).following(Some(&replaced));
        assert_eq!(undone.made_at(), 100, "it is the old one again");
        assert_eq!(record(1, 500).following(Some(&undone)).made_at(), 500, "and this is a new one");
    }

    #[test]
    fn what_an_older_program_made_is_as_old_as_that_says() {
        let older = record(0, 100);
        assert!(older.made.is_empty());
        assert_eq!((older.made_at(), record(0, 200).following(Some(&older)).made_at()), (100, 100));
    }
}
