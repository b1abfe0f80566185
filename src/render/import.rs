//! A compose file of machines that are there.
//!
//! Owns its text: what the language says of such a machine as keys, and all else as comments. What is true of them was
//! found out before.

use crate::backend::Stranger;
use crate::compose::escaped;
use crate::names::{ProjectName, VmName};
use crate::render::layout::{Text, tame};

/// The file, for machines of this hypervisor.
pub fn file(project: &ProjectName, hypervisor: &str, machines: &[(VmName, Stranger)]) -> String {
    let mut text = Text::default();
    text.line(format_args!("# Machines of {} that vmcompose did not make.", tame(hypervisor)));
    text.line(format_args!(
        "# It starts and stops them with the others; what they consist of stays as it is. `down` stops them and"
    ));
    text.line(format_args!("# lets them go: neither their definitions nor their disks are ever deleted."));
    text.line(format_args!("name: {}", quoted(project.as_str())));
    text.line(format_args!("vms:"));
    for (name, machine) in machines {
        text.push(&one(name, machine));
    }
    text.end()
}

fn one(name: &VmName, machine: &Stranger) -> String {
    let mut text = Text::default();
    text.line(format_args!("  {}:", quoted(name.as_str())));
    let start = if machine.running { "" } else { ", start: false" };
    // `$` begins a variable, and two braces a template.
    let called = quoted(&escaped(&machine.name)).replace('$', "$$");
    text.line(format_args!("    boot: {{existing: {called}{start}}}"));
    if !machine.running {
        text.line(format_args!("    # it was off; without `start: false`, `up` starts it"));
    }
    text.line(format_args!("    cpus: {}", machine.cpus));
    if machine.max_cpus != machine.cpus {
        text.line(format_args!("    max_cpus: {}", machine.max_cpus));
    }
    text.line(format_args!("    memory: {}", machine.memory));
    if machine.max_memory != machine.memory {
        text.line(format_args!("    max_memory: {}", machine.max_memory));
    }
    if machine.autostart {
        text.line(format_args!("    autostart: true"));
    }
    for what in &machine.has {
        text.line(format_args!("    # its own: {}", tame(what)));
    }
    text.end()
}

/// As YAML that means nothing but this text.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let word = text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    let keyword = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_lowercase().as_str());
    if word && !keyword { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
