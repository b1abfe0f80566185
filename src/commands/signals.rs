//! Signals that ask this program to end, for commands that have something to put back first.
//!
//! Owns the flag that they raise. What is put back is the commands' business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// A flag that the first of such signals raises. From here on none of them ends the program by itself.
pub(super) fn flag() -> Arc<AtomicBool> {
    let raised = Arc::new(AtomicBool::new(false));
    let raise = Arc::clone(&raised);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs only a thread");
    let [mut int, mut term, mut hup] = {
        let _inside = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(|kind| signal(kind).expect("a runtime with a signal driver can listen to signals"))
    };
    // It ends with the program.
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
        });
        raise.store(true, Ordering::Relaxed);
    });
    raised
}
