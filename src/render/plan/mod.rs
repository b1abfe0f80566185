//! A plan as text for people.
//!
//! Owns how a plan reads: wave by wave, what is done to what, why, where the file asks for it, what it waits for and what
//! it must reach. The same plan gives the same bytes. Decides nothing, and knows nothing of what a hypervisor has.

mod fields;
mod json;

use anstyle::Style;

pub use json::{VERSION, json, schema};

use crate::names::ResourceId;
use crate::plan::{Action, Effect, Gate, Milestone, Operation, Plan, Step};
use crate::render::layout::{Text, pad, tame, width};
use crate::render::message::hint;
use crate::render::style::{Palette, paint};
use crate::render::words::{count, destroyed, grows, list};
use crate::units::Span;

/// The widest column of names; a longer name pushes its own line only.
const NAMES: usize = 32;
/// Width of the column of field names.
const LABELS: usize = 10;
/// How many resources a line names before it says "and 7 more"; the JSON has them all.
const MOST: usize = 8;

/// The whole plan.
pub fn text(plan: &Plan, palette: &Palette) -> String {
    let mut text = Text::default();
    if plan.is_empty() {
        text.push(&nothing(plan));
    } else {
        text.line(format_args!("{}", paint(palette.strong, format!("project `{}`", plan.project))));
        let columns = Columns::of(plan);
        let steps: Vec<&Step> = plan.steps().collect();
        for (number, wave) in plan.waves.iter().enumerate() {
            text.line(format_args!("\n{}", paint(palette.strong, format!("wave {}", number + 1))));
            for step in &wave.steps {
                text.push(&one(&steps, step, columns, palette));
            }
        }
    }
    text.push(&off(plan));
    text.push(&beside(plan, palette));
    if !plan.is_empty() {
        text.line(format_args!("\n{}", paint(palette.strong, summary(plan))));
    }
    text.end()
}

/// The last line: "Plan: 8 to create, 1 to start, 0 to update, 0 to delete; 3 unchanged."
pub fn summary(plan: &Plan) -> String {
    let always = [Action::Create, Action::Start, Action::Update, Action::Delete];
    let counted = [
        Action::Create,
        Action::Adopt,
        Action::Start,
        Action::Update,
        Action::Restart,
        Action::Replace,
        Action::Release,
        Action::Delete,
    ];
    let told = |action: &Action| always.contains(action) || plan.count(*action) > 0;
    let part = |action: Action| format!("{} to {}", plan.count(action), action.as_str());
    let parts: Vec<String> = counted.into_iter().filter(told).map(part).collect();
    format!("Plan: {}; {} unchanged.", parts.join(", "), plan.unchanged.len())
}

fn nothing(plan: &Plan) -> String {
    let project = &plan.project;
    match plan.unchanged.len() {
        0 => format!("nothing to do: there is nothing of project `{project}`\n"),
        n => format!("nothing to do: project `{project}` is as the file has it ({} unchanged)\n", count(n, "resource")),
    }
}

/// The vms that are off for a while, and until when. Empty where there are none.
fn off(plan: &Plan) -> String {
    let all = plan.downtime();
    if all.is_empty() {
        return String::new();
    }
    let names = all.iter().map(|off| width(off.vm.as_str())).max().unwrap_or(0).min(NAMES);
    let mut text = Text::default();
    text.line(format_args!("\noff for a while:"));
    for off in all {
        let name = pad(off.vm.as_str(), names);
        let (grace, until) = (off.grace, off.until.reaches());
        let stop = if grace.0.is_zero() { "switched off".to_owned() } else { format!("up to {grace} to shut down") };
        text.line(format_args!("  {name}  {stop}, then its boot, until it is {until} ({})", off.cause));
    }
    text.end()
}

/// What the plan does not touch: orphans and kept volumes, each with what deletes them. Empty where there is neither.
pub fn beside(plan: &Plan, palette: &Palette) -> String {
    let mut text = String::new();
    if plan.is_preliminary() {
        text.push_str("\nwhat is in a stopped pool can be seen once it runs; then the rest is planned\n");
    }
    if !plan.orphans.is_empty() {
        text.push_str(&named("left alone, though no longer in the file:", &plan.orphans));
        let volume = |id: &ResourceId| matches!(id, ResourceId::Volume(_));
        let (let_go, rest): (Vec<_>, Vec<_>) =
            plan.orphans.iter().filter(|id| !volume(id)).partition(|id| plan.adopted.contains(id));
        if !rest.is_empty() {
            text.push_str(&hint("delete them with `--remove-orphans`", palette));
        }
        if !let_go.is_empty() {
            let words =
                "machines that somebody else made are let go of by `--remove-orphans`: stopped, and not deleted";
            text.push_str(&hint(words, palette));
        }
        if plan.orphans.iter().any(volume) {
            text.push_str(&hint("volumes are data, and go by name only: `vmcompose volume rm NAME`", palette));
        }
    }
    if !plan.kept.is_empty() {
        text.push_str(&named("kept, with all that is on them:", &plan.kept));
        text.push_str(&hint("delete them with `--volumes`", palette));
    }
    text
}

fn named(title: &str, resources: &[ResourceId]) -> String {
    let mut text = Text::default();
    text.line(format_args!("\n{title}"));
    for resource in resources {
        text.line(format_args!("  {resource}"));
    }
    text.end()
}

/// Widths that all steps of a plan share, so that the eye finds the same thing in the same place.
#[derive(Clone, Copy)]
struct Columns {
    names: usize,
    causes: usize,
}

impl Columns {
    fn of(plan: &Plan) -> Self {
        let widest = |text: fn(&Step) -> String| plan.steps().map(|step| width(&text(step))).max().unwrap_or(0);
        Self { names: widest(|step| step.resource.to_string()).min(NAMES), causes: widest(why).min(2 * NAMES) }
    }
}

fn why(step: &Step) -> String {
    format!("{}: {}", step.action.as_str(), step.cause)
}

fn one(steps: &[&Step], step: &Step, columns: Columns, palette: &Palette) -> String {
    let style = colour(step.action, palette);
    let sign = paint(style, step.action.sign());
    let name = paint(style, pad(&step.resource.to_string(), columns.names));
    let line = match &step.origin {
        Some(origin) => {
            let place = paint(palette.faint, tame(&origin.to_string()));
            format!("  {sign} {name}  {}  {place}", pad(&why(step), columns.causes))
        }
        None => format!("  {sign} {name}  {}", why(step)),
    };
    let lines = lines(steps, step, palette);
    let labels = lines.iter().map(|(label, _)| width(label)).max().unwrap_or(0).max(LABELS);
    let mut text = Text::default();
    text.line(format_args!("{line}"));
    for (label, value) in &lines {
        text.line(format_args!("      {}  {value}", paint(palette.faint, pad(label, labels))));
    }
    text.end()
}

/// Labels and values of the lines below a step.
fn lines(steps: &[&Step], step: &Step, palette: &Palette) -> Vec<(String, String)> {
    let mut lines = fields::of(step);
    if !step.after.is_empty() {
        lines.push(("waits for".to_owned(), waits(steps, step)));
    }
    if step.gate.is_completion() {
        lines.push(("gate".to_owned(), step.gate.to_string()));
    } else if let Gate::Healthy { healthcheck, .. } = &step.gate {
        lines.push(("gate".to_owned(), fields::gate(healthcheck)));
    }
    for operation in &step.operations {
        if let Operation::ReleaseVm(vm) = operation
            && let Some(machine) = vm.existing()
        {
            let stays =
                format!("machine `{}` with its definition and all its disks, as somebody else made it", tame(machine));
            lines.push(("stays".to_owned(), stays));
        }
    }
    if let (Action::Release, Some(grace)) = (step.action, step.operations.iter().find_map(stopped)) {
        lines.push(("effect".to_owned(), format!("off: up to {grace} to shut down, and nothing starts it again")));
    }
    if let Some(effect) = step.effect {
        let lost: Vec<String> = step.operations.iter().filter_map(destroyed).collect();
        let value = match lost.as_slice() {
            [] if step.operations.iter().any(grows) => format!("{effect}; cannot be undone: disks do not shrink"),
            [] if effect == Effect::Interruption => format!("{effect}: the vms on it lose the link for a moment"),
            [] if step.operations.iter().any(gives_back) => format!("{effect}, once the guest gives the memory back"),
            [] => effect.to_string(),
            _ => paint(palette.bad, format!("{effect}: {}", lost.join(", "))),
        };
        lines.push(("effect".to_owned(), value));
    }
    lines
}

/// How long a guest may take to shut down, where it is stopped.
fn stopped(operation: &Operation) -> Option<Span> {
    match operation {
        Operation::StopVm { grace, .. } => Some(*grace),
        _ => None,
    }
}

/// Whether a guest that runs is to have less memory: that is asked of its balloon driver, and one without it keeps what it has
/// until it is started again.
fn gives_back(operation: &Operation) -> bool {
    matches!(operation, Operation::SetMemory { from, to, .. } if to < from)
}

fn waits(steps: &[&Step], step: &Step) -> String {
    let before = step.after.iter().filter_map(|(id, milestone)| Some((*steps.get(id.0)?, *milestone)));
    list(before.map(|(other, milestone)| format!("{}{}", other.resource, reached(other, milestone))), MOST)
}

/// What the other must have reached, where its name alone does not say it.
fn reached(other: &Step, milestone: Milestone) -> &'static str {
    match (&other.resource, other.action, milestone) {
        (_, Action::Delete, _) => " (gone)",
        (_, Action::Release, _) => " (released)",
        (_, Action::Stop, _) => " (stopped)",
        (_, Action::Pause, _) => " (paused)",
        (ResourceId::Vm(_), _, Milestone::Passed) if other.gate.is_completion() => " (completed)",
        (ResourceId::Vm(_), _, Milestone::Passed) if other.gate != Gate::None => " (healthy)",
        (ResourceId::Vm(_), ..) => " (started)",
        _ => "",
    }
}

fn colour(action: Action, palette: &Palette) -> Style {
    match action {
        Action::Create | Action::Adopt | Action::Snapshot => palette.good,
        Action::Start | Action::Resume | Action::Thaw => palette.busy,
        Action::Update | Action::Restart | Action::Replace | Action::Restore => palette.change,
        Action::Stop
        | Action::Pause
        | Action::Suspend
        | Action::Freeze
        | Action::Delete
        | Action::Release
        | Action::Forget => palette.bad,
        Action::Verify => Style::new(),
    }
}
