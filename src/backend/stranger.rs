//! A machine that vmcompose did not make, as it is told to people.
//!
//! Owns this plain value. Knows nothing of how it is found out.

use crate::units::Bytes;

/// A machine of the hypervisor's, whoever made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranger {
    /// Its name on the hypervisor.
    pub name: String,
    /// The project that it carries a record of, as one that vmcompose made or adopted.
    pub project: Option<String>,
    /// The project and the name of the adopted machine of which it carries the record, though it is another: it was renamed
    /// or copied. Such a record owns nothing.
    pub copy_of: Option<(String, String)>,
    /// Whether it runs, or is held.
    pub running: bool,
    /// Whether it is there when it is off.
    pub persistent: bool,
    /// Whether it is started with the hypervisor.
    pub autostart: bool,
    /// Its memory, as it is defined.
    pub memory: Bytes,
    /// Up to how much memory it can be given.
    pub max_memory: Bytes,
    /// The number of its processors, as it is defined.
    pub cpus: u32,
    /// Up to how many processors it can be given.
    pub max_cpus: u32,
    /// What else it has that a compose file does not say of it, in words: disks, interfaces, folders.
    pub has: Vec<String>,
}
