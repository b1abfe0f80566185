//! libvirt's errors in the words of this program.
//!
//! Owns the classes: which code of libvirt's means what to the engine, and the hint that belongs to it. Knows nothing of
//! the calls that fail.

use std::time::Duration;

use virt::error::{Error, ErrorNumber};

use crate::backend::{ErrorKind, HypervisorError};

/// Turns libvirt's error into ours. `what` was being done: a fragment that names the thing, such as "cannot start vm
/// `db`".
pub(super) fn failed(what: impl Into<String>) -> impl FnOnce(Error) -> HypervisorError {
    move |error| {
        let message = format!("{}: {}", what.into(), reason(&error));
        let hint = hint(&error);
        HypervisorError { detail: Some(error.to_string()), hint, ..HypervisorError::new(kind(error.code()), message) }
    }
}

/// libvirt's own words as a fragment: its class in front says nothing that people need.
pub(super) fn reason(error: &Error) -> String {
    let text = error.message().lines().next().unwrap_or_default();
    let classes =
        ["internal error: ", "Requested operation is not valid: ", "operation failed: ", "unsupported configuration: "];
    let text = classes.iter().find_map(|class| text.strip_prefix(class)).unwrap_or(text);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // An acronym keeps its capitals.
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

fn kind(code: ErrorNumber) -> ErrorKind {
    use ErrorNumber as N;
    match code {
        N::NoDomain | N::NoNetwork | N::NoStoragePool | N::NoStorageVolume => ErrorKind::NotFound,
        N::DomExist | N::NetworkExist | N::StorageVolExist => ErrorKind::Conflict,
        N::NoSupport | N::ConfigUnsupported | N::OperationUnsupported | N::ArgumentUnsupported => {
            ErrorKind::Unsupported
        }
        N::NoConnect | N::InvalidConn => ErrorKind::Unreachable,
        // Another call holds the domain, or a job does.
        N::OperationTimeout | N::ResourceBusy => ErrorKind::Busy,
        _ => ErrorKind::Rejected,
    }
}

fn hint(error: &Error) -> Option<String> {
    let denied =
        matches!(error.code(), ErrorNumber::AccessDenied | ErrorNumber::AuthFailed | ErrorNumber::AuthCancelled);
    denied.then(|| "this user lacks a permission on the hypervisor; see `virsh` with the same connection".to_owned())
}

/// Whether libvirt says that the object is not there (any more).
pub(super) fn is_absent(error: &Error) -> bool {
    kind(error.code()) == ErrorKind::NotFound
}

/// `Ok(None)` for an object that is not there.
pub(super) fn present<T>(found: Result<T, Error>, what: impl Into<String>) -> Result<Option<T>, HypervisorError> {
    match found {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(failed(what)(error)),
    }
}

/// The error of a connection that could not be made.
pub(super) fn unreachable(uri: Option<&str>, error: &Error) -> HypervisorError {
    let place = uri.map_or_else(|| "the default hypervisor".to_owned(), |uri| format!("`{uri}`"));
    let message = format!("cannot connect to {place}: {}", reason(error));
    let hint = connect_hint(error).map(ToOwned::to_owned);
    HypervisorError { detail: Some(error.to_string()), hint, ..HypervisorError::new(ErrorKind::Unreachable, message) }
}

/// The error of a hypervisor that takes a connection and says nothing on it.
pub(super) fn silent(uri: Option<&str>, within: Duration) -> HypervisorError {
    let place = uri.map_or_else(|| "the default hypervisor".to_owned(), |uri| format!("`{uri}`"));
    let within = humantime::format_duration(within);
    HypervisorError::new(ErrorKind::Unreachable, format!("{place} gave no answer within {within}"))
        .with_hint("see whether libvirt's daemon or its storage hangs; `virsh` with the same URI would too")
}

fn connect_hint(error: &Error) -> Option<&'static str> {
    let text = error.message();
    if text.contains("Permission denied")
        || matches!(error.code(), ErrorNumber::AuthFailed | ErrorNumber::AuthUnavailable)
    {
        return Some("this user may not use that libvirt; join the group `libvirt`, or connect to `qemu:///session`");
    }
    // Only this one speaks of a socket of this machine's.
    if text.contains("Failed to connect socket to") {
        return Some("libvirt's daemon does not run here; start it with `systemctl start libvirtd`");
    }
    if matches!(error.code(), ErrorNumber::SystemError | ErrorNumber::Rpc | ErrorNumber::UnknownHost) {
        return Some("check the host's name, that it is up, and that it lets you in; try `virsh` with the same URI");
    }
    match error.code() {
        ErrorNumber::NoConnect => Some("the URI looks like `qemu:///system` or `qemu+ssh://user@host/system`"),
        _ => None,
    }
}

/// The error of a connection that is gone.
pub(super) fn lost(uri: &str, cause: HypervisorError) -> HypervisorError {
    HypervisorError {
        detail: cause.detail.or(Some(cause.message)),
        hint: Some("libvirt's daemon was stopped, or the network to it failed".to_owned()),
        ..HypervisorError::new(ErrorKind::Unreachable, format!("the connection to `{uri}` was lost"))
    }
}
