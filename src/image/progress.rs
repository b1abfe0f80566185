//! What is told while an image is fetched.
//!
//! Owns the words; knows nothing of who listens.

use std::time::Duration;

use super::error::Problem;

/// A moment in the fetching of one image. `Downloading` and `Unpacking` come often; a listener that draws decides how
/// often it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process, or another image of this run from the same place, is fetching it already.
    Waiting {
        /// Which process, where that is known.
        holder: Option<u32>,
    },
    /// It is coming.
    Downloading {
        /// How many bytes are here.
        got: u64,
        /// How many there will be, where the server says so.
        of: Option<u64>,
    },
    /// An attempt failed, and another follows.
    Retrying {
        /// Why it failed.
        problem: Problem,
        /// When the next one begins.
        after: Duration,
    },
    /// It is here, and its checksum is being made.
    Checking,
    /// It is what it should be, and is being unpacked.
    Unpacking {
        /// How many bytes have come out.
        out: u64,
    },
    /// It can be used.
    Ready {
        /// It was there before.
        cached: bool,
    },
}
