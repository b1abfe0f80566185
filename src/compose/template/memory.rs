//! Memory and stack that a thread may take: an allocator that counts for threads with a limit, and stops one that asks for more.
//!
//! Templates double strings and nest lists faster than instructions can be counted, and an allocation has no way to fail
//! that the code which asked for it survives. So a thread that asks for too much never gets an answer: it sleeps for as
//! long as the process lives, with what it has until then. Whoever waits for it learns of it from its [`Limit`].
//! A namespace that holds itself is printed without end; each level of that allocates, so that the stack is looked at here.
//!
//! Owns the counting. Knows nothing of templates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local! {
    static LIMIT: Cell<Option<&'static Limit>> = const { Cell::new(None) };
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static FLOOR: Cell<usize> = const { Cell::new(0) };
}

/// What a thread and the one that waits for it tell each other.
#[derive(Debug, Default)]
pub(super) struct Limit {
    stopped: AtomicBool,
    unwanted: AtomicBool,
}

impl Limit {
    /// Whether the thread asked for too much, and never answers.
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Nobody waits for the thread any more: it stops at its next allocation.
    pub(super) fn give_up(&self) {
        self.unwanted.store(true, Ordering::Release);
    }

    /// Does something in this thread, with so many bytes and so much stack.
    pub(super) fn hold<T>(&'static self, bytes: usize, stack: usize, work: impl FnOnce() -> T) -> T {
        LEFT.set(bytes);
        FLOOR.set(depth().saturating_sub(stack));
        LIMIT.set(Some(self));
        let done = work();
        LIMIT.set(None);
        done
    }
}

fn take(bytes: usize) {
    let Ok(Some(limit)) = LIMIT.try_with(Cell::get) else { return };
    match LEFT.get().checked_sub(bytes) {
        Some(left) if depth() > FLOOR.get() && !limit.unwanted.load(Ordering::Relaxed) => LEFT.set(left),
        _ => stop(limit),
    }
}

fn give(bytes: usize) {
    let Ok(Some(limit)) = LIMIT.try_with(Cell::get) else { return };
    if depth() <= FLOOR.get() {
        stop(limit);
    }
    LEFT.set(LEFT.get().saturating_add(bytes));
}

/// Where the stack has come to, which grows downwards.
#[inline]
fn depth() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

#[cold]
fn stop(limit: &Limit) -> ! {
    LIMIT.set(None);
    limit.stopped.store(true, Ordering::Release);
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

struct Counted;

#[expect(unsafe_code, reason = "an allocator; each call is passed on to the system's as it is")]
// SAFETY: every block comes from `System` and goes back to it with the layout it came with. Counting neither allocates
// nor unwinds: it reads thread-locals that need no initialisation, or never returns.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        give(layout.size());
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old block is there until the new one is filled.
        take(size);
        give(layout.size());
        unsafe { System.realloc(block, layout, size) }
    }
}
