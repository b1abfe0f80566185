//! What libvirt tells by itself: that a domain started, stopped or crashed, that a guest's agent came or went.
//!
//! Owns the registration, the pointers that it takes, and the words for what was told. The callbacks run on libvirt's
//! event loop and do nothing but pass on. Knows nothing of who listens.
#![expect(unsafe_code, reason = "the binding has the registration of events only as C has it")]

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;
use virt::connect::Connect;
use virt_sys::{
    VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED, VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_DEFINED,
    VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_ID_REBOOT,
    VIR_DOMAIN_EVENT_PMSUSPENDED, VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_STARTED,
    VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED,
    VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_UNDEFINED,
    virConnectDomainEventAgentLifecycleCallback, virConnectDomainEventCallback, virConnectDomainEventDeregisterAny,
    virConnectDomainEventGenericCallback, virConnectDomainEventRegisterAny, virConnectPtr, virDomainGetName,
    virDomainPtr,
};

use super::connections::lock;
use super::names;
use crate::backend::{Notice, Notices, Sign};
use crate::names::{ProjectName, VmName};

/// What a listener may be behind before it misses something. Whoever missed something looks again.
const ROOM: usize = 1024;

/// Those who want to be told, each of one project.
#[derive(Debug, Default)]
pub(super) struct Ear {
    listeners: Mutex<Vec<(ProjectName, broadcast::Sender<Notice>)>>,
    adopted: Mutex<HashMap<ProjectName, Machines>>,
}

/// The machines that a project adopted, by their names: those say nothing of the project.
pub(super) type Machines = HashMap<String, VmName>;

impl Ear {
    /// From now on.
    pub(super) fn listen(&self, project: &ProjectName) -> Notices {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|(_, listener)| listener.receiver_count() > 0);
        if let Some((_, listener)) = listeners.iter().find(|(own, _)| own == project) {
            return listener.subscribe();
        }
        let (listener, notices) = broadcast::channel(ROOM);
        listeners.push((project.clone(), listener));
        notices
    }

    /// Notes which machines are a project's now. A callback cannot ask libvirt.
    pub(super) fn know(&self, project: &ProjectName, machines: Machines) {
        lock(&self.adopted).insert(project.clone(), machines);
    }

    /// Whether it was ever told of a project's.
    pub(super) fn knows(&self, project: &ProjectName) -> bool {
        lock(&self.adopted).contains_key(project)
    }

    fn tell(&self, domain: &str, sign: Sign) {
        let adopted = lock(&self.adopted);
        for (project, listener) in lock(&self.listeners).iter() {
            let adopted = adopted.get(project).and_then(|machines| machines.get(domain)).cloned();
            if let Some(vm) = adopted.or_else(|| names::vm_of_domain(project, domain)) {
                // Nobody may be listening any more.
                let _ = listener.send(Notice { vm, sign });
            }
        }
    }
}

/// A registration with libvirt. It ends with this value, which has to go before its connection is closed.
pub(super) struct Registration {
    connect: Arc<Connect>,
    ids: Vec<c_int>,
}

impl Registration {
    /// Registers for all that is told; `None` where this hypervisor tells nothing of domains. One that does not know of
    /// agents tells the rest.
    pub(super) fn new(connect: &Arc<Connect>, ear: &Arc<Ear>) -> Option<Self> {
        let lifecycle: virConnectDomainEventCallback = Some(on_lifecycle);
        let agent: virConnectDomainEventAgentLifecycleCallback = Some(on_agent);
        let reboot: virConnectDomainEventGenericCallback = Some(on_reboot);
        // SAFETY: libvirt calls each of them with the arguments that belong to the event it is registered for, and takes
        // them all as pointers to functions of one generic type, as its own macro `VIR_DOMAIN_EVENT_CALLBACK` does.
        let (lifecycle, agent) = unsafe {
            (
                std::mem::transmute::<virConnectDomainEventCallback, virConnectDomainEventGenericCallback>(lifecycle),
                std::mem::transmute::<virConnectDomainEventAgentLifecycleCallback, virConnectDomainEventGenericCallback>(
                    agent,
                ),
            )
        };
        let first = register(connect, ear, VIR_DOMAIN_EVENT_ID_LIFECYCLE.cast_signed(), lifecycle)?;
        let more = [(VIR_DOMAIN_EVENT_ID_REBOOT, reboot), (VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, agent)];
        let more = more.into_iter().filter_map(|(id, callback)| register(connect, ear, id.cast_signed(), callback));
        Some(Self { connect: Arc::clone(connect), ids: std::iter::once(first).chain(more).collect() })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for id in &self.ids {
            // SAFETY: the connection is open as long as this value has it; libvirt frees what the callback was given.
            let _ = unsafe { virConnectDomainEventDeregisterAny(self.connect.as_ptr(), *id) };
        }
    }
}

fn register(
    connect: &Connect,
    ear: &Arc<Ear>,
    event: c_int,
    callback: virConnectDomainEventGenericCallback,
) -> Option<c_int> {
    let ear = Arc::into_raw(Arc::clone(ear)).cast_mut().cast::<c_void>();
    let any = std::ptr::null_mut();
    // SAFETY: the connection outlives the call. The ear is lent as a counted reference, which `forget` gives back when
    // libvirt no longer needs it.
    let id = unsafe { virConnectDomainEventRegisterAny(connect.as_ptr(), any, event, callback, ear, Some(forget)) };
    if id < 0 {
        // SAFETY: libvirt keeps nothing of a registration that it refused, and calls `forget` for none.
        unsafe { forget(ear) };
        return None;
    }
    Some(id)
}

unsafe extern "C" fn forget(ear: *mut c_void) {
    // SAFETY: `register` made this pointer of a counted reference, and it is given back once.
    drop(unsafe { Arc::from_raw(ear.cast_const().cast::<Ear>()) });
}

/// Passes on what a callback was told. Nothing may unwind into C.
///
/// # Safety
/// `domain` is a domain of libvirt's, `ear` one that [`register`] lent.
unsafe fn pass_on(domain: virDomainPtr, ear: *mut c_void, sign: Option<Sign>) {
    let Some(sign) = sign else { return };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the name belongs to the domain, which libvirt keeps for as long as the callback runs.
        let name = unsafe { virDomainGetName(domain) };
        if name.is_null() {
            return;
        }
        // SAFETY: a name is a C string; the reference is lent until `forget`, which is not called while a callback runs.
        let (name, ear) = unsafe { (CStr::from_ptr(name), &*ear.cast_const().cast::<Ear>()) };
        if let Ok(name) = name.to_str() {
            ear.tell(name, sign);
        }
    }));
}

unsafe extern "C" fn on_lifecycle(
    _: virConnectPtr,
    domain: virDomainPtr,
    event: c_int,
    detail: c_int,
    ear: *mut c_void,
) -> c_int {
    // SAFETY: libvirt calls this with its domain and what was registered.
    unsafe { pass_on(domain, ear, lifecycle(event.cast_unsigned(), detail.cast_unsigned())) };
    0
}

unsafe extern "C" fn on_agent(_: virConnectPtr, domain: virDomainPtr, state: c_int, _: c_int, ear: *mut c_void) {
    let connected = state.cast_unsigned() == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED;
    let sign = if connected { Sign::AgentConnected } else { Sign::AgentGone };
    // SAFETY: libvirt calls this with its domain and what was registered.
    unsafe { pass_on(domain, ear, Some(sign)) };
}

unsafe extern "C" fn on_reboot(_: virConnectPtr, domain: virDomainPtr, ear: *mut c_void) {
    // SAFETY: libvirt calls this with its domain and what was registered.
    unsafe { pass_on(domain, ear, Some(Sign::Rebooted)) };
}

fn lifecycle(event: u32, detail: u32) -> Option<Sign> {
    Some(match (event, detail) {
        (VIR_DOMAIN_EVENT_DEFINED, _) => Sign::Defined,
        (VIR_DOMAIN_EVENT_UNDEFINED, _) => Sign::Undefined,
        (VIR_DOMAIN_EVENT_STARTED, _) => Sign::Started,
        (VIR_DOMAIN_EVENT_SUSPENDED, _) => Sign::Paused,
        (VIR_DOMAIN_EVENT_PMSUSPENDED, _) => Sign::Asleep,
        (VIR_DOMAIN_EVENT_RESUMED, _) => Sign::Resumed,
        (VIR_DOMAIN_EVENT_SHUTDOWN, _) => Sign::ShuttingDown,
        (VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN) => Sign::PoweredOff,
        (VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED) => Sign::Killed,
        (VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED) | (VIR_DOMAIN_EVENT_CRASHED, _) => Sign::Crashed,
        (VIR_DOMAIN_EVENT_STOPPED, _) => Sign::Stopped,
        _ => return None,
    })
}
