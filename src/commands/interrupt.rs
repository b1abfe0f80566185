//! Ctrl-C while something is copied: what is under way stops and cleans up after itself.
//!
//! Owns the listening. What stopping means is the business of whoever asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// Whether the user wants it to stop.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, signals that would end the process only set a mark; the second one still ends it.
    pub(super) fn listen() -> Result<Self, Error> {
        let came = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&came);
        let failed = |source| Error::Io { path: PathBuf::from("signals"), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let signals = {
            let _inside = runtime.enter();
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal)
        };
        let [int, term, hup] = signals.map(|signal| signal.map_err(failed));
        let (mut int, mut term, mut hup) = (int?, term?, hup?);
        thread::spawn(move || {
            runtime.block_on(async {
                for _ in 0..2 {
                    tokio::select! {
                        _ = int.recv() => {}
                        _ = term.recv() => {}
                        _ = hup.recv() => {}
                    }
                    if mark.swap(true, Ordering::Relaxed) {
                        std::process::exit(i32::from(crate::error::Exit::Interrupted.code()));
                    }
                }
            });
        });
        Ok(Self(came))
    }

    /// Whether one came.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
