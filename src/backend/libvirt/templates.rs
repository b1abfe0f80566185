//! The templates of libvirt's XML.
//!
//! Owns where they are, and that nothing illegal comes out of them. What goes into them is not known here.

use std::sync::OnceLock;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::claim::LOCK;
use super::network_xml::{DHCP_HOST, DHCP_RANGE, DNS_HOST};
use super::xml::{RECORD, USER_POOL};
use crate::backend::{ErrorKind, HypervisorError};

/// The templates; what they print is escaped because their names end in `.xml.j2`.
fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let files = [
            ("domain.xml.j2", include_str!("domain.xml.j2")),
            ("disk.xml.j2", include_str!("disk.xml.j2")),
            ("interface.xml.j2", include_str!("interface.xml.j2")),
            ("network.xml.j2", include_str!("network.xml.j2")),
            ("foreign-network.xml.j2", include_str!("foreign-network.xml.j2")),
            ("pool.xml.j2", include_str!("pool.xml.j2")),
            ("snapshot.xml.j2", include_str!("snapshot.xml.j2")),
            ("volume.xml.j2", include_str!("volume.xml.j2")),
            ("dhcp-host.xml.j2", DHCP_HOST),
            ("dhcp-range.xml.j2", DHCP_RANGE),
            ("dns-host.xml.j2", DNS_HOST),
            ("lock.xml.j2", LOCK),
            ("record.xml.j2", RECORD),
            ("user-pool.xml.j2", USER_POOL),
        ];
        for (name, text) in files {
            templates.add_template(name, text).expect("a template of our own");
        }
        templates
    })
}

pub(super) fn render(template: &str, context: impl Serialize) -> Result<String, HypervisorError> {
    let rejected = |reason: String| HypervisorError::new(ErrorKind::Rejected, reason);
    let template = templates().get_template(template).map_err(|error| rejected(error.to_string()))?;
    let xml = template.render(Serde(context)).map_err(|error| rejected(error.to_string()))?;
    // XML has no way to write these, and the binding would panic at the first.
    let illegal = |c: &char| (*c < ' ' && !matches!(c, '\n' | '\t' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    match xml.chars().find(illegal) {
        Some(found) => Err(rejected(format!("a value contains {}, which libvirt cannot take", found.escape_unicode()))),
        None => Ok(xml),
    }
}
