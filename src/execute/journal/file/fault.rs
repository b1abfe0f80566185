//! Kills the process at a chosen point, so that tests can see what a run leaves behind there.
//!
//! Owns the count of points. In a build for users there are none: nothing here is compiled into it.

/// Where the process may end. `VMCOMPOSE_TEST_KILL_AT` says at which one, counted from 1.
#[cfg(debug_assertions)]
pub(super) fn point() {
    if is_next() {
        die();
    }
}

/// Where the process may end in the middle of writing.
#[cfg(debug_assertions)]
pub(super) fn torn(half: impl FnOnce() -> std::io::Result<()>) {
    if is_next() {
        let _ = half();
        die();
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn point() {}

#[cfg(not(debug_assertions))]
pub(super) fn torn(_: impl FnOnce() -> std::io::Result<()>) {}

#[cfg(debug_assertions)]
fn is_next() -> bool {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    static CHOSEN: OnceLock<Option<usize>> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let chosen = CHOSEN.get_or_init(|| std::env::var("VMCOMPOSE_TEST_KILL_AT").ok()?.parse().ok());
    chosen.is_some_and(|chosen| COUNT.fetch_add(1, Ordering::SeqCst) + 1 == chosen)
}

/// As from outside: nothing is cleaned up, and nobody can catch it.
#[cfg(debug_assertions)]
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
