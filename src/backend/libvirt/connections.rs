//! The connections to one hypervisor, and how many calls each may have in flight.
//!
//! Owns opening, keeping alive, sharing and replacing them. libvirt's daemon serves five calls of one client at once and
//! lets the sixth wait unseen; here it waits where it can be counted, and takes the next connection first. Knows nothing
//! of what is called.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::events::{Ear, Machines, Registration};
use super::{adopted, error};
use crate::backend::{ErrorKind, HypervisorError, Notices};
use crate::names::ProjectName;

/// Calls in flight per connection: `max_client_requests` of a daemon as it is shipped.
const CALLS: usize = 5;
/// Connections at most: together they leave a quarter of a daemon's twenty workers to others.
const CONNECTIONS: usize = 3;
/// Seconds between two signs of life on an idle connection, and how many may stay out before it counts as dead. A host
/// under software emulation can be slow to answer, so this is generous.
const KEEPALIVE: (i32, u32) = (10, 6);

/// How long the first connection may take: somebody may have to type a password.
const FIRST: Duration = Duration::from_mins(2);
/// How long a further one may take. A daemon that hangs takes connections and never answers on them.
const FURTHER: Duration = Duration::from_secs(30);

/// The connection on which events come: the first, which is always used first.
const LISTENING: usize = 0;

/// A small pool of connections to one URI.
pub(super) struct Connections {
    uri: Option<String>,
    reported: String,
    /// Calls in flight, by connection.
    calls: Mutex<Vec<usize>>,
    freed: Condvar,
    limit: usize,
    open: Vec<Mutex<Slot>>,
    /// Those who want to know what the hypervisor tells by itself; nobody is registered before somebody does.
    ear: OnceLock<Arc<Ear>>,
}

/// A place for a connection.
#[derive(Default)]
struct Slot {
    open: Option<Open>,
    /// When it last could not be opened, and why.
    failed: Option<(Instant, HypervisorError)>,
}

/// An open connection, and what is registered on it.
struct Open {
    // Before the connection, because it has to go first.
    registration: Option<Registration>,
    /// Whether libvirt was asked to register, so that one that refuses is asked once.
    asked: bool,
    connect: Arc<Connect>,
}

impl Open {
    fn new(connect: Connect) -> Self {
        Self { registration: None, asked: false, connect: Arc::new(connect) }
    }
}

struct Lease<'a> {
    of: &'a Connections,
    index: usize,
    connect: Arc<Connect>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.of.give_back(self.index);
    }
}

impl Connections {
    /// Opens the first connection. `None` is libvirt's own choice.
    pub(super) fn open(uri: Option<&str>) -> Result<Self, HypervisorError> {
        if uri.is_some_and(|uri| uri.contains('\0')) {
            return Err(HypervisorError::new(ErrorKind::Unreachable, "the connection's URI contains a NUL character"));
        }
        virt::error::clear_error_callback();
        run_event_loop();
        let first = connect(uri, FIRST)?;
        let reported = first.get_uri().map_err(error::failed("cannot ask the hypervisor for its URI"))?;
        let (count, limit) = room(uri.unwrap_or(&reported));
        let first = Slot { open: Some(Open::new(first)), failed: None };
        let open = std::iter::once(first).chain((1..count).map(|_| Slot::default())).map(Mutex::new).collect();
        let (calls, ear) = (Mutex::new(vec![0; count]), OnceLock::new());
        Ok(Self { uri: uri.map(ToOwned::to_owned), reported, calls, freed: Condvar::new(), limit, open, ear })
    }

    /// Connections to the same hypervisor that these calls do not keep busy.
    pub(super) fn another(&self) -> Result<Self, HypervisorError> {
        Self::open(self.uri.as_deref())
    }

    /// The URI that libvirt reports.
    pub(super) fn uri(&self) -> &str {
        &self.reported
    }

    /// Makes a call, or several one after the other. A connection that turns out to be dead is replaced at the next.
    pub(super) fn with<T>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, HypervisorError>,
    ) -> Result<T, HypervisorError> {
        let lease = self.lease()?;
        let result = call(&lease.connect);
        match result {
            Err(cause) if !lease.connect.is_alive().unwrap_or(false) => {
                self.forget(&lease);
                Err(error::lost(&self.reported, cause))
            }
            result => result,
        }
    }

    fn lease(&self) -> Result<Lease<'_>, HypervisorError> {
        let index = self.wait_for_room();
        // From here on the place is taken; an error has to give it back.
        match self.opened(index) {
            Ok(connect) => Ok(Lease { of: self, index, connect }),
            Err(error) => {
                self.give_back(index);
                Err(error)
            }
        }
    }

    fn opened(&self, index: usize) -> Result<Arc<Connect>, HypervisorError> {
        let asked = Instant::now();
        let mut slot = lock(&self.open[index]);
        if slot.open.is_none() {
            // Who waited while another call tried in vain does not try as long once more.
            if let Some((at, error)) = &slot.failed
                && *at >= asked
            {
                return Err(error.clone());
            }
            let opened = connect(self.uri.as_deref(), FURTHER);
            let connect = opened.inspect_err(|error| slot.failed = Some((Instant::now(), error.clone())))?;
            slot.open = Some(Open::new(connect));
        }
        let open = slot.open.as_mut().expect("it was opened just now");
        self.register(index, open);
        Ok(Arc::clone(&open.connect))
    }

    /// What the hypervisor tells by itself of a project, from now on; `None` where it tells nothing.
    pub(super) fn listen(&self, project: &ProjectName) -> Option<Notices> {
        let ear = self.ear.get_or_init(Arc::default);
        let notices = ear.listen(project);
        if !ear.knows(project) {
            // A hypervisor that does not answer is told of by whoever looks at it next.
            ear.know(project, self.with(|connect| adopted::machines(connect, project)).unwrap_or_default());
        }
        let mut slot = lock(&self.open[LISTENING]);
        // One that is to be opened anew is registered then.
        let Some(open) = slot.open.as_mut() else { return Some(notices) };
        self.register(LISTENING, open);
        open.registration.is_some().then_some(notices)
    }

    /// Notes which machines a project has adopted, as a look has just shown it, where anybody listens.
    pub(super) fn know(&self, project: &ProjectName, machines: Machines) {
        if let Some(ear) = self.ear.get() {
            ear.know(project, machines);
        }
    }

    fn register(&self, index: usize, open: &mut Open) {
        if index == LISTENING
            && !open.asked
            && let Some(ear) = self.ear.get()
        {
            open.asked = true;
            open.registration = Registration::new(&open.connect, ear);
        }
    }

    /// The first connection with room, so that a second one is opened only when the first is full.
    fn wait_for_room(&self) -> usize {
        let mut calls = lock(&self.calls);
        loop {
            if let Some(index) = calls.iter().position(|calls| *calls < self.limit) {
                calls[index] += 1;
                return index;
            }
            calls = self.freed.wait(calls).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, index: usize) {
        lock(&self.calls)[index] -= 1;
        self.freed.notify_one();
    }

    fn forget(&self, lease: &Lease<'_>) {
        let mut slot = lock(&self.open[lease.index]);
        if slot.open.as_ref().is_some_and(|open| Arc::ptr_eq(&open.connect, &lease.connect)) {
            slot.open = None;
        }
    }
}

/// How many connections a URI takes, and how many calls each. The test driver's worlds are each connection's own, and
/// where it runs in this process it has no daemon to spare.
fn room(uri: &str) -> (usize, usize) {
    match uri.split(':').next() {
        Some("test") => (1, usize::MAX),
        Some(scheme) if scheme.starts_with("test+") => (1, CALLS),
        _ => (CONNECTIONS, CALLS),
    }
}

/// Takes a lock; what it protects is whole even if a holder panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(uri: Option<&str>, within: Duration) -> Result<Connect, HypervisorError> {
    let (send, opened) = sync_channel(1);
    let own = uri.map(ToOwned::to_owned);
    // Opening has no deadline of its own, and cannot be broken off. One that comes too late is closed at once.
    let open = move || drop(send.send(Connect::open(own.as_deref())));
    let started = thread::Builder::new().name("libvirt-open".to_owned()).spawn(open);
    let silent = || error::silent(uri, within);
    started.map_err(|_| silent())?;
    let opened = opened.recv_timeout(within).map_err(|_| silent())?;
    let connect = opened.map_err(|cause| error::unreachable(uri, &cause))?;
    // A driver without a wire, or an old daemon, has no keepalive; then a dead peer is noticed by the kernel alone.
    let _ = connect.set_keep_alive(KEEPALIVE.0, KEEPALIVE.1);
    Ok(connect)
}

/// Keepalive needs libvirt's event loop, which must be registered before the first connection is opened.
fn run_event_loop() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        if virt::event::event_register_default_impl().is_err() {
            return;
        }
        let turn = || {
            loop {
                if virt::event::event_run_default_impl().is_err() {
                    thread::sleep(Duration::from_secs(1));
                }
            }
        };
        // Without the thread there is no keepalive, and everything else works.
        let _ = thread::Builder::new().name("libvirt-events".to_owned()).spawn(turn);
    });
}
