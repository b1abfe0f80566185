//! One run per project, whichever machine it is started on, and one adoption: locks that lie on the hypervisor itself.
//!
//! Owns the object that is the lock, a libvirt secret without a value whose usage says what it locks: libvirt refuses a second
//! one of the same usage, so that one of many has it. Its description says whose it is, and counts on while the holder
//! lives; who waits for it watches the count, so that no two clocks are ever compared. Knows nothing of files.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use roxmltree::Document;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};
use virt::secret::Secret;
use virt_sys::VIR_SECRET_USAGE_TYPE_TLS;

use super::Libvirt;
use super::connections::Connections;
use super::error::failed;
use super::host::child;
use super::templates;
use crate::backend::HypervisorError;
use crate::names::ProjectName;

/// Between two signs of life, and between two looks for one.
const BEAT: Duration = Duration::from_secs(2);
/// Looks without a sign of life after which a lock is nobody's. Each is counted when libvirt has answered it, so that a
/// hypervisor that hangs makes nobody look dead.
const SILENT: u32 = 10;
/// How long the end of a command waits for its lock to be taken away. One that stays is nobody's soon.
const GOODBYE: Duration = Duration::from_secs(10);

/// The template of the lock.
pub(super) const LOCK: &str = "\
<secret ephemeral='no' private='no'>
  {% if uuid %}<uuid>{{ uuid }}</uuid>{% endif %}
  <description>{{ description }}</description>
  <usage type='tls'><name>{{ usage }}</name></usage>
</secret>
";

/// What a lock is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// A project.
    Project(ProjectName),
    /// The taking in of machines that somebody else made: whichever project takes one, no other may meanwhile.
    Adoption,
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(project) => write!(f, "project `{project}`"),
            Self::Adoption => f.write_str("adoption"),
        }
    }
}

/// Who has a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub process: u32,
    /// Name of its machine.
    pub host: String,
    /// Since when, for people.
    pub since: String,
    /// What of its machine it locks besides: a lock of the same place is held by nobody else.
    pub place: String,
}

impl Holder {
    /// In words.
    pub fn words(&self) -> String {
        format!("process {} on {} since {}", self.process, self.host, self.since)
    }
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Ours(Claim),
    /// Somebody has it who lives: in words.
    Theirs(String),
    /// This hypervisor keeps no such objects, or not for this user.
    Impossible,
}

/// The lock, for as long as it lives.
#[derive(Debug)]
pub struct Claim {
    /// Cancelled when somebody else has the lock.
    lost: CancellationToken,
    end: SyncSender<()>,
    ended: Receiver<()>,
}

impl Claim {
    /// Cancelled when the lock is lost: this machine slept, or had no connection, for so long that somebody took it.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = self.end.send(());
        // Nobody else may find the lock of a command that has ended; but nobody waits for ever either.
        let _ = self.ended.recv_timeout(GOODBYE);
    }
}

/// A lock as it lies there.
struct Lying {
    uuid: String,
    description: String,
}

#[derive(Serialize, Deserialize)]
struct Description {
    #[serde(flatten)]
    holder: Holder,
    beat: u64,
}

impl Libvirt {
    /// Asks for a lock that lies on the hypervisor, and that all machines see. Where its holder gives no sign of life,
    /// `waiting` is told who that is, and a few looks later the lock is taken from them.
    pub fn claim(&self, locked: &Locked, holder: &Holder, waiting: impl Fn(&str)) -> Result<Claimed, HypervisorError> {
        claim(&self.connections, locked, holder, waiting)
    }
}

fn claim(
    connections: &Arc<Connections>,
    locked: &Locked,
    holder: &Holder,
    waiting: impl Fn(&str),
) -> Result<Claimed, HypervisorError> {
    let mut seen: Option<Lying> = None;
    let mut looks = 0;
    loop {
        let asked = connections.with(|connect| Ok(define(connect, locked, None, holder, 0)));
        match asked? {
            Ok(uuid) => return Ok(Claimed::Ours(keep(connections, locked, holder, uuid))),
            Err(error) if is_impossible(&error) => return Ok(Claimed::Impossible),
            Err(error) => {
                let Some(lying) = connections.with(|connect| find(connect, locked))? else {
                    // Its holder has just ended, or libvirt refuses for another reason.
                    looks += 1;
                    if looks > SILENT {
                        return Err(failed(cannot(locked))(error));
                    }
                    continue;
                };
                let whose = holder_of(&lying);
                // The kernel has given this very place to us, so that its last holder is gone.
                let same_place = whose.as_ref().is_some_and(|other| other.place == holder.place);
                let words = whose.map_or_else(|| "somebody".to_owned(), |whose| whose.words());
                let same = |seen: &Lying| (&seen.uuid, &seen.description) == (&lying.uuid, &lying.description);
                match &seen {
                    _ if same_place => {}
                    None => looks = 0,
                    Some(seen) if !same(seen) => return Ok(Claimed::Theirs(words)),
                    Some(_) => looks += 1,
                }
                if looks == 1 {
                    waiting(&words);
                }
                if same_place || looks >= SILENT {
                    connections.with(|connect| remove(connect, &lying.uuid, locked))?;
                    (seen, looks) = (None, 0);
                    continue;
                }
                seen = Some(lying);
                // Nothing tells that somebody gives no sign of life.
                thread::sleep(BEAT + BEAT / 4);
            }
        }
    }
}

/// Gives signs of life, until the command has ended.
fn keep(connections: &Arc<Connections>, locked: &Locked, holder: &Holder, uuid: String) -> Claim {
    let ((end, stop), (done, ended)) = (sync_channel(1), sync_channel(1));
    let lost = CancellationToken::new();
    let claim = Claim { lost: lost.clone(), end, ended };
    let (connections, locked, holder) = (Arc::clone(connections), locked.clone(), holder.clone());
    let beats = move || {
        // Calls of the run must not stand before a sign of life: it has a connection of its own, once it needs one.
        let mut own: Option<Connections> = None;
        for beat in 1.. {
            match stop.recv_timeout(BEAT) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => break,
            }
            if own.is_none() {
                own = connections.another().ok();
            }
            let Some(own) = &own else { continue };
            // A hypervisor that is gone for a while gets the next one.
            let given = own.with(|connect| {
                let given = define(connect, &locked, Some(&uuid), &holder, beat);
                Ok(given.is_ok() || find(connect, &locked)?.is_none_or(|lying| lying.uuid == uuid))
            });
            if given == Ok(false) {
                lost.cancel();
                break;
            }
        }
        if !lost.is_cancelled() {
            let _ = own.as_ref().unwrap_or(&connections).with(|connect| remove(connect, &uuid, &locked));
        }
        let _ = done.send(());
    };
    // Without the thread the lock looks dead after a while, and everything else works.
    let _ = thread::Builder::new().name("lock".to_owned()).spawn(beats);
    claim
}

/// Makes the lock, or gives a sign of life where it is ours. Its UUID.
fn define(connect: &Connect, locked: &Locked, uuid: Option<&str>, holder: &Holder, beat: u64) -> Result<String, Error> {
    let description = Description { holder: holder.clone(), beat };
    let description = serde_json::to_string(&description).unwrap_or_default();
    let context = serde_json::json!({ "uuid": uuid, "description": description, "usage": usage(locked) });
    // A host's name holds nothing that XML cannot.
    let xml = templates::render("lock.xml.j2", context).unwrap_or_default();
    Secret::define_xml(connect, &xml, 0)?.get_uuid_string()
}

fn usage(locked: &Locked) -> String {
    match locked {
        Locked::Project(project) => format!("vmcompose lock of project {project}"),
        Locked::Adoption => "vmcompose lock of adoption".to_owned(),
    }
}

fn cannot(locked: &Locked) -> String {
    format!("cannot take the lock of {locked} on the hypervisor")
}

/// A lock, where there is one.
fn find(connect: &Connect, locked: &Locked) -> Result<Option<Lying>, HypervisorError> {
    let found = Secret::lookup_by_usage(connect, VIR_SECRET_USAGE_TYPE_TLS.cast_signed(), &usage(locked));
    let read = |secret: Secret| Ok::<_, Error>((secret.get_uuid_string()?, secret.get_xml_desc(0)?));
    match found.and_then(read) {
        Ok((uuid, xml)) => Ok(Some(Lying { uuid, description: description(&xml) })),
        Err(error) if error.code() == ErrorNumber::NoSecret => Ok(None),
        Err(error) => Err(failed(cannot(locked))(error)),
    }
}

fn description(xml: &str) -> String {
    let document = Document::parse(xml).ok();
    let text = document.as_ref().and_then(|document| child(document.root_element(), "description")?.text());
    text.unwrap_or_default().to_owned()
}

fn holder_of(lying: &Lying) -> Option<Holder> {
    serde_json::from_str::<Description>(&lying.description).ok().map(|description| description.holder)
}

/// Takes one lock away, and no later one: fine where it is gone.
fn remove(connect: &Connect, uuid: &str, locked: &Locked) -> Result<(), HypervisorError> {
    match Secret::lookup_by_uuid_string(connect, uuid).and_then(|secret| secret.undefine()) {
        Err(error) if error.code() != ErrorNumber::NoSecret => Err(failed(cannot(locked))(error)),
        _ => Ok(()),
    }
}

fn is_impossible(error: &Error) -> bool {
    use ErrorNumber as N;
    matches!(error.code(), N::NoSupport | N::AccessDenied | N::AuthFailed | N::AuthCancelled | N::OperationDenied)
}
