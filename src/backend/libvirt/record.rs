//! Whose an object is: reading the metadata that we keep with domains and networks.
//!
//! Owns the XML element that carries a [`Record`], and the judgement who owns what. Knows nothing of how either object
//! is otherwise described.

use std::time::{SystemTime, UNIX_EPOCH};

use roxmltree::{Document, Node};
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt::network::Network;
use virt_sys::{
    VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_CURRENT, VIR_DOMAIN_METADATA_ELEMENT, VIR_NETWORK_XML_INACTIVE,
};

use super::error::{failed, is_absent};
use crate::backend::{ErrorKind, HypervisorError};
use crate::model::{Spec, Vm};
use crate::names::{ProjectName, ResourceId};
use crate::state::record::{Record, RecordError};

/// Namespace of our element. Its version is that of the element, not of the record inside it.
pub(super) const NAMESPACE: &str = "https://vmcompose.dev/xmlns/libvirt/1";

/// What is recorded of a spec that is applied now.
pub(super) fn now(project: &ProjectName, spec: Spec) -> Record {
    // A clock before 1970 is wrong anyway; the stamp is for people.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Record::new(project.clone(), spec, now)
}

/// Who owns an object.
#[derive(Debug)]
pub(super) enum Owner {
    /// The project that asks.
    Us(Box<Record>),
    /// Another project of ours.
    Project(String),
    /// Not vmcompose, though it copied the metadata of this one.
    Copier(ResourceId),
    /// Not vmcompose.
    Stranger,
}

impl Owner {
    /// Words for an object that is in the way; `None` where it is not foreign.
    pub(super) fn describe(&self, kind: &str, name: &str) -> Option<String> {
        match self {
            Self::Us(_) => None,
            Self::Project(project) => Some(format!("a {kind} `{name}` that project `{project}` owns")),
            Self::Copier(of) => Some(format!("a {kind} `{name}` that is somebody's copy of {of}")),
            Self::Stranger => Some(format!("a {kind} `{name}` that vmcompose did not make")),
        }
    }
}

/// Who owns a domain; `None` where it is gone by now.
pub(super) fn of_domain(
    domain: &Domain,
    project: &ProjectName,
    id: &ResourceId,
) -> Result<Option<Owner>, HypervisorError> {
    let element = |flags| domain.get_metadata(VIR_DOMAIN_METADATA_ELEMENT.cast_signed(), Some(NAMESPACE), flags);
    // A domain whose definition somebody removed while it ran has only live metadata left.
    let found = element(VIR_DOMAIN_AFFECT_CONFIG).or_else(|error| match error.code() {
        ErrorNumber::OperationInvalid => element(VIR_DOMAIN_AFFECT_CURRENT),
        _ => Err(error),
    });
    match found {
        // libvirt found the element by its namespace, and takes that off where it hands the element out.
        Ok(xml) => judge(&xml, |_| true, project, id).map(Some),
        Err(error) if error.code() == ErrorNumber::NoDomainMetadata => Ok(Some(Owner::Stranger)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(failed(format!("cannot read the metadata of {id}"))(error)),
    }
}

/// The project that a domain's metadata names; `None` where it names none, or the domain is gone by now.
pub(super) fn project_of_domain(domain: &Domain) -> Option<String> {
    let kind = VIR_DOMAIN_METADATA_ELEMENT.cast_signed();
    let xml = domain.get_metadata(kind, Some(NAMESPACE), VIR_DOMAIN_AFFECT_CURRENT).ok()?;
    Document::parse(&xml).ok()?.root_element().attribute("project").map(ToOwned::to_owned)
}

/// What is recorded with a domain, whoever's it is; `None` where nothing can be read.
pub(super) fn anybodys(domain: &Domain) -> Option<Record> {
    let kind = VIR_DOMAIN_METADATA_ELEMENT.cast_signed();
    let xml = domain.get_metadata(kind, Some(NAMESPACE), VIR_DOMAIN_AFFECT_CURRENT).ok()?;
    Record::decode(Document::parse(&xml).ok()?.root_element().text()?).ok()
}

/// What is recorded with a domain that somebody else made and that the project adopted; `None` where it is none, or
/// somebody's copy of one.
pub(super) fn adopted(record: Record, project: &ProjectName, domain: &str) -> Option<Record> {
    let machine = record.spec.as_vm().and_then(Vm::existing);
    (record.project == *project && machine == Some(domain)).then_some(record)
}

/// The adopted machine that a record was made for, where this domain is another: it was renamed since, or somebody copied it
/// with all that it carried.
pub(super) fn copied_from<'a>(record: &'a Record, domain: &str) -> Option<&'a str> {
    record.spec.as_vm().and_then(Vm::existing).filter(|machine| *machine != domain)
}

/// The same of a network's definition.
pub(super) fn project_in_definition(xml: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let element = document.descendants().find(|node| node.tag_name().namespace() == Some(NAMESPACE))?;
    element.attribute("project").map(ToOwned::to_owned)
}

/// A network's definition as it was last given, not as it was when the network was started.
pub(super) fn definition(network: &Network) -> Result<String, Error> {
    network.get_xml_desc(VIR_NETWORK_XML_INACTIVE).or_else(|error| match error.code() {
        // The test driver has one definition only, and does not know the flag.
        ErrorNumber::InvalidArg => network.get_xml_desc(0),
        _ => Err(error),
    })
}

/// Who owns a network; `None` where it is gone by now.
pub(super) fn of_network(
    network: &Network,
    project: &ProjectName,
    id: &ResourceId,
) -> Result<Option<Owner>, HypervisorError> {
    match definition(network) {
        Ok(xml) => in_definition(&xml, project, id).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(failed(format!("cannot read the definition of {id}"))(error)),
    }
}

/// Who owns the object that this XML defines.
pub(super) fn in_definition(xml: &str, project: &ProjectName, id: &ResourceId) -> Result<Owner, HypervisorError> {
    judge(xml, |node| node.tag_name().namespace() == Some(NAMESPACE), project, id)
}

fn judge(
    xml: &str,
    is_ours: impl Fn(&Node<'_, '_>) -> bool,
    project: &ProjectName,
    id: &ResourceId,
) -> Result<Owner, HypervisorError> {
    let unreadable = |reason: String| HypervisorError::new(ErrorKind::Rejected, format!("{id}: {reason}"));
    let document = Document::parse(xml).map_err(|error| unreadable(format!("its XML cannot be read: {error}")))?;
    let element = document.descendants().filter(Node::is_element).find(is_ours);
    let Some(element) = element else { return Ok(Owner::Stranger) };
    // The owner is an attribute so that it can be told also where the record is newer than this program.
    match element.attribute("project") {
        Some(owner) if owner == project.as_str() => {}
        Some(owner) => return Ok(Owner::Project(owner.to_owned())),
        None => return Ok(Owner::Stranger),
    }
    let record = Record::decode(element.text().unwrap_or_default()).map_err(|error| match error {
        RecordError::Newer { .. } => unreadable(error.to_string())
            .with_hint("update vmcompose, or go back to the version that last changed this project"),
        RecordError::Malformed(_) => unreadable(error.to_string())
            .with_hint("somebody edited it by hand; remove the object with `virsh` and run `up` again"),
    })?;
    // Tools that clone a domain clone its metadata with it.
    let of = record.spec.id();
    Ok(if of == *id { Owner::Us(Box::new(record)) } else { Owner::Copier(of) })
}

/// Refuses what is not ours.
pub(super) fn ours(owner: &Owner, id: &ResourceId, kind: &str, name: &str) -> Result<(), HypervisorError> {
    match owner.describe(kind, name) {
        None => Ok(()),
        Some(words) => Err(HypervisorError::new(ErrorKind::Conflict, format!("{id} is in conflict with {words}"))
            .with_hint("rename it in the compose file, or rename or remove the other")),
    }
}
