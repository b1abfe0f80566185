//! Writes down what a worker is about to do and what came of it, around the call itself.
//!
//! Owns the order: announced before the effect, told after it. Knows the direction, so that an undo is written down as
//! the undoing of what the run did.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::journal::{Entry, Place, Recorder};
use crate::backend::{Change, ErrorKind, HypervisorError};

/// Writes for one pass.
#[derive(Debug, Clone)]
pub(super) struct Scribe {
    pub(super) recorder: Arc<dyn Recorder>,
    /// On the way back: which operation of the run each one undoes.
    pub(super) back: Option<Arc<BTreeMap<Place, Place>>>,
}

impl Scribe {
    /// Makes a call between its two entries. `again` where it was announced before.
    pub(super) fn around(
        &self,
        place: Place,
        again: bool,
        call: impl FnOnce() -> Result<Change, HypervisorError>,
    ) -> Result<Change, HypervisorError> {
        if !again {
            self.announce(place)?;
        }
        let result = call();
        let told = match &result {
            // An attempt before it may have been the one that had the effect.
            Ok(Change::None) if !again && self.back.is_none() => self.void(place),
            Ok(_) => self.done(place),
            Err(error) if again || matches!(error.kind, ErrorKind::Unreachable | ErrorKind::NotYet) => Ok(()),
            Err(_) => self.void(place),
        };
        // What cannot be told is doubted by whoever recovers; the next announcement fails in any case.
        drop(told);
        result
    }

    /// Nothing may be done that is not announced; but what is done is undone all the same.
    fn announce(&self, place: Place) -> Result<(), HypervisorError> {
        match self.origin(place) {
            None => self.recorder.record(&Entry::Begun(place)).map_err(|error| {
                let message =
                    format!("nothing may be done that the journal does not know, and it cannot be written: {error}");
                HypervisorError::new(ErrorKind::Rejected, message)
                    .with_hint("make room on the disk, or set `XDG_STATE_HOME` to a folder on another one")
            }),
            Some(origin) => {
                let _ = self.recorder.record(&Entry::Undoing(origin));
                Ok(())
            }
        }
    }

    fn done(&self, place: Place) -> io::Result<()> {
        self.recorder.record(&match self.origin(place) {
            None => Entry::Applied(place),
            Some(origin) => Entry::Undone(origin),
        })
    }

    /// An undo that was refused is still to be done.
    fn void(&self, place: Place) -> io::Result<()> {
        match self.origin(place) {
            None => self.recorder.record(&Entry::Void(place)),
            Some(_) => Ok(()),
        }
    }

    fn origin(&self, place: Place) -> Option<Place> {
        self.back.as_ref().and_then(|places| places.get(&place).copied())
    }
}
