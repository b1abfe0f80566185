//! Calls that the binding does not wrap: limits of a running domain, what it does when it powers itself off, what it
//! takes, and who is plugged into a network.
//!
//! Owns the only pointers in this crate that are handed to C. Knows nothing of specs.
#![expect(unsafe_code, reason = "the binding has these calls only as C has them")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::{ptr, slice};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::network::Network;
use virt_sys::{
    VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, VIR_DOMAIN_AFFECT_LIVE,
    VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY, VIR_DOMAIN_LIFECYCLE_POWEROFF, VIR_TYPED_PARAM_LLONG, VIR_TYPED_PARAM_UINT,
    VIR_TYPED_PARAM_ULLONG, virConnectGetAllDomainStats, virDomainGetName, virDomainSetBlockIoTune,
    virDomainSetInterfaceParameters, virDomainSetLifecycleAction, virDomainSetMemoryParameters,
    virDomainSetSchedulerParametersFlags, virDomainStatsRecordListFree, virDomainStatsRecordPtr,
    virNetworkListAllPorts, virNetworkPortFree, virNetworkPortGetUUIDString, virNetworkPortPtr, virTypedParameter,
};

/// A named number in the type that libvirt wants for it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parameter {
    U32(&'static str, u32),
    U64(&'static str, u64),
    I64(&'static str, i64),
}

/// What of a running domain is set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    Scheduler,
    Memory,
    Disk(&'a str),
    Interface(&'a str),
}

/// Sets parameters of a running domain.
pub(super) fn set(domain: &Domain, of: Of<'_>, parameters: &[Parameter]) -> Result<(), Error> {
    let mut parameters: Vec<virTypedParameter> = parameters.iter().copied().map(Parameter::to_c).collect();
    let (list, count) = (parameters.as_mut_ptr(), c_int::try_from(parameters.len()).unwrap_or(0));
    let (domain, live) = (domain.as_ptr(), VIR_DOMAIN_AFFECT_LIVE);
    let name = match of {
        Of::Disk(name) | Of::Interface(name) => CString::new(name).unwrap_or_default(),
        Of::Scheduler | Of::Memory => CString::default(),
    };
    // SAFETY: the domain, the list and the name outlive the call, and the list has as many entries as is said.
    let done = unsafe {
        match of {
            Of::Scheduler => virDomainSetSchedulerParametersFlags(domain, list, count, live),
            Of::Memory => virDomainSetMemoryParameters(domain, list, count, live),
            Of::Disk(_) => virDomainSetBlockIoTune(domain, name.as_ptr(), list, count, live),
            Of::Interface(_) => virDomainSetInterfaceParameters(domain, name.as_ptr(), list, count, live),
        }
    };
    if done < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Lets a running domain stay off when it powers itself off, whatever its definition says.
pub(super) fn stay_off(domain: &Domain) -> Result<(), Error> {
    let (event, action) = (VIR_DOMAIN_LIFECYCLE_POWEROFF, VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY);
    // SAFETY: the domain outlives the call, and nothing else is passed but numbers.
    let done = unsafe { virDomainSetLifecycleAction(domain.as_ptr(), event, action, VIR_DOMAIN_AFFECT_LIVE) };
    if done < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// The identifiers of the ports of a network.
pub(super) fn ports(network: &Network) -> Result<Vec<String>, Error> {
    /// What libvirt takes for one as text, its end included.
    const LENGTH: usize = 37;
    let mut list: *mut virNetworkPortPtr = ptr::null_mut();
    // SAFETY: the network outlives the call, which sets the list, or leaves it as it is and says so.
    let count = unsafe { virNetworkListAllPorts(network.as_ptr(), &raw mut list, 0) };
    let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
    let mut ports = Vec::new();
    for index in 0..count {
        let mut text: [c_char; LENGTH] = [0; LENGTH];
        // SAFETY: the list has as many entries as was said, each a port that is used once and given back.
        let told = unsafe {
            let port = *list.add(index);
            let told = virNetworkPortGetUUIDString(port, text.as_mut_ptr());
            virNetworkPortFree(port);
            told
        };
        if told == 0 {
            // SAFETY: libvirt ends the text with a zero, and the array did before.
            ports.push(unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned());
        }
    }
    // SAFETY: the list itself is the caller's to free, as C frees.
    unsafe { libc::free(list.cast()) };
    Ok(ports)
}

/// What libvirt counts of one domain, by its own names.
pub(super) type Counters = BTreeMap<String, u64>;

/// All whole numbers that are counted of the domains that run, by the domain's name.
pub(super) fn counters(connect: &Connect) -> Result<Vec<(String, Counters)>, Error> {
    let mut records: *mut virDomainStatsRecordPtr = ptr::null_mut();
    let flags = VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    // SAFETY: the connection outlives the call, which sets the list, or leaves it as it is and says so.
    let count = unsafe { virConnectGetAllDomainStats(connect.as_ptr(), 0, &raw mut records, flags) };
    let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
    let mut found = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the list has as many records as was said, each with a domain whose name ends with a zero, and with as
        // many parameters as it says. All of it lives until the list is freed below.
        let (name, parameters) = unsafe {
            let record = &**records.add(index);
            let name = CStr::from_ptr(virDomainGetName(record.dom)).to_string_lossy().into_owned();
            let counted = usize::try_from(record.nparams).unwrap_or(0);
            let parameters = if record.params.is_null() { &[] } else { slice::from_raw_parts(record.params, counted) };
            (name, parameters)
        };
        found.push((name, parameters.iter().filter_map(whole_number).collect()));
    }
    // SAFETY: libvirt made the list, and nothing of it is used any more.
    unsafe { virDomainStatsRecordListFree(records) };
    Ok(found)
}

fn whole_number(parameter: &virTypedParameter) -> Option<(String, u64)> {
    // SAFETY: the type says which of the values is set, and each is a number.
    let value = unsafe {
        match parameter.type_.cast_unsigned() {
            VIR_TYPED_PARAM_UINT => u64::from(parameter.value.ui),
            VIR_TYPED_PARAM_ULLONG => parameter.value.ul,
            _ => return None,
        }
    };
    // SAFETY: libvirt ends the name with a zero.
    let name = unsafe { CStr::from_ptr(parameter.field.as_ptr()) };
    Some((name.to_string_lossy().into_owned(), value))
}

impl Parameter {
    fn to_c(self) -> virTypedParameter {
        let (name, kind) = match self {
            Self::U32(name, _) => (name, VIR_TYPED_PARAM_UINT),
            Self::U64(name, _) => (name, VIR_TYPED_PARAM_ULLONG),
            Self::I64(name, _) => (name, VIR_TYPED_PARAM_LLONG),
        };
        // SAFETY: a struct of C's that is all zeros is one without a name and with the number 0.
        let mut parameter: virTypedParameter = unsafe { std::mem::zeroed() };
        parameter.type_ = kind.cast_signed();
        // The last byte stays zero, and ends the name.
        let room = parameter.field.len() - 1;
        for (to, byte) in parameter.field[..room].iter_mut().zip(name.bytes()) {
            *to = byte.cast_signed() as c_char;
        }
        match self {
            Self::U32(_, value) => parameter.value.ui = value,
            Self::U64(_, value) => parameter.value.ul = value,
            Self::I64(_, value) => parameter.value.l = value,
        }
        parameter
    }
}
