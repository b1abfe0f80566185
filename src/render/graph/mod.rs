//! The dependency graph for people, for Graphviz, for Markdown and as a picture.
//!
//! Owns what a node and an edge say, and the three formats that leave the drawing to others. An arrow goes from what comes
//! first to what waits for it. Storage pools are left out: the file does not speak of them. Knows nothing of plans.

mod layers;
mod svg;

use std::collections::BTreeMap;

use crate::cli::GraphFormat;
use crate::graph::Graph;
use crate::model::{Condition, Spec};
use crate::names::ResourceId;
use crate::render::layout::{Text, pad, tame, width};
use crate::render::style::{Palette, paint};
use crate::render::words::count;

/// What is drawn: nodes wave by wave, and edges between them by their numbers.
struct View {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

struct Node {
    id: ResourceId,
    /// A few facts, on one line; empty where there are none.
    detail: String,
    /// From 0, without pools.
    wave: usize,
}

struct Edge {
    from: usize,
    to: usize,
    /// What is required; only of a vm is that a question.
    condition: Option<Condition>,
}

/// The graph in a format. `specs` may lack some of its resources: then they have a name only.
pub fn draw(graph: &Graph, specs: &BTreeMap<ResourceId, Spec>, format: GraphFormat, palette: &Palette) -> String {
    let view = view(graph, specs);
    match format {
        GraphFormat::Text => text(&view, palette),
        GraphFormat::Dot => dot(&view),
        GraphFormat::Mermaid => mermaid(&view),
        GraphFormat::Svg => svg::svg(&view),
    }
}

fn view(graph: &Graph, specs: &BTreeMap<ResourceId, Spec>) -> View {
    let shown = |id: &ResourceId| !matches!(id, ResourceId::Pool(_));
    let mut waves: BTreeMap<&ResourceId, usize> = BTreeMap::new();
    for id in graph.in_order().into_iter().filter(|id| shown(id)) {
        let before = graph.requirements(id).into_iter().filter_map(|(required, _)| waves.get(required));
        let wave = before.map(|wave| wave + 1).max().unwrap_or(0);
        waves.insert(id, wave);
    }
    let mut order: Vec<(usize, &ResourceId)> = waves.iter().map(|(id, wave)| (*wave, *id)).collect();
    order.sort();
    let number: BTreeMap<&ResourceId, usize> = order.iter().enumerate().map(|(n, (_, id))| (*id, n)).collect();
    let mut edges = Vec::new();
    for (_, id) in &order {
        for (required, condition) in graph.requirements(id).into_iter().filter(|(id, _)| shown(id)) {
            let condition = required.as_vm().map(|_| condition);
            edges.push(Edge { from: number[required], to: number[id], condition });
        }
    }
    let node = |(wave, id): &(usize, &ResourceId)| Node {
        id: (*id).clone(),
        detail: specs.get(*id).map(detail).unwrap_or_default(),
        wave: *wave,
    };
    View { nodes: order.iter().map(node).collect(), edges }
}

fn detail(spec: &Spec) -> String {
    match spec {
        Spec::Pool(_) => String::new(),
        Spec::Image(image) => image.format.as_str().to_owned(),
        Spec::Network(network) => format!("{}, {}", network.subnet, network.mode),
        Spec::Volume(volume) => volume.size.to_string(),
        Spec::Vm(vm) => {
            let address = vm.interfaces.first().map(|interface| format!(", {}", interface.ip)).unwrap_or_default();
            format!("{}, {}{address}", count(vm.cpus as usize, "cpu"), vm.memory)
        }
    }
}

fn text(view: &View, palette: &Palette) -> String {
    let widest = view.nodes.iter().map(|node| width(&node.id.to_string())).max().unwrap_or(0);
    let mut needs: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for edge in &view.edges {
        let condition = edge.condition.map(|condition| format!(" ({condition})")).unwrap_or_default();
        needs.entry(edge.to).or_default().push(format!("{}{condition}", view.nodes[edge.from].id));
    }
    let mut text = Text::default();
    let mut wave = None;
    for (number, node) in view.nodes.iter().enumerate() {
        if wave != Some(node.wave) {
            let gap = if wave.is_some() { "\n" } else { "" };
            text.line(format_args!("{gap}{}", paint(palette.strong, format!("wave {}", node.wave + 1))));
            wave = Some(node.wave);
        }
        let name = node.id.to_string();
        match needs.get(&number) {
            Some(needs) => {
                let word = paint(palette.faint, "waits for");
                text.line(format_args!("  {}  {word} {}", pad(&name, widest), needs.join(", ")));
            }
            None => text.line(format_args!("  {name}")),
        }
    }
    text.end()
}

/// In the language of Graphviz (<https://graphviz.org/doc/info/lang.html>).
fn dot(view: &View) -> String {
    let mut text = Text::default();
    text.push("digraph vmcompose {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", fontsize=11];\n");
    for (number, node) in view.nodes.iter().enumerate() {
        let shape = match node.id {
            ResourceId::Vm(_) | ResourceId::FormerVm(_) | ResourceId::FormerDisks(_) => "box, style=\"rounded,bold\"",
            ResourceId::Network(_) => "ellipse",
            ResourceId::Volume(_) => "cylinder",
            ResourceId::Image(_) | ResourceId::FormerImage(_) | ResourceId::Pool(_) => "note",
        };
        let label = lines(node).map(|line| quoted(line)).join("\\n");
        text.line(format_args!("  n{number} [label=\"{label}\", shape={shape}];"));
    }
    let waves = view.nodes.iter().map(|node| node.wave + 1).max().unwrap_or(0);
    for wave in 0..waves {
        let same = view.nodes.iter().enumerate().filter(|(_, node)| node.wave == wave);
        let same: Vec<String> = same.map(|(number, _)| format!("n{number};")).collect();
        text.line(format_args!("  {{ rank=same; {} }}", same.join(" ")));
    }
    for edge in &view.edges {
        let style = match edge.condition {
            Some(Condition::Completed) => " [label=\"completed\"]",
            Some(Condition::Ready) => " [label=\"ready\"]",
            Some(Condition::Healthy) => " [label=\"healthy\"]",
            Some(Condition::Started) => " [label=\"started\", style=dashed]",
            None => " [color=gray60]",
        };
        text.line(format_args!("  n{} -> n{}{style};", edge.from, edge.to));
    }
    text.push("}\n");
    text.end()
}

/// Inside a quoted string of Graphviz.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// In the language of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).
fn mermaid(view: &View) -> String {
    let mut text = Text::default();
    text.push("flowchart LR\n");
    for (number, node) in view.nodes.iter().enumerate() {
        let (open, close) = match node.id {
            ResourceId::Vm(_) | ResourceId::FormerVm(_) | ResourceId::FormerDisks(_) => ("[", "]"),
            ResourceId::Network(_) => ("([", "])"),
            ResourceId::Volume(_) => ("[(", ")]"),
            ResourceId::Image(_) | ResourceId::FormerImage(_) | ResourceId::Pool(_) => ("[/", "/]"),
        };
        let label = lines(node).map(|line| entities(line)).join("<br>");
        text.line(format_args!("  n{number}{open}\"{label}\"{close}"));
    }
    for edge in &view.edges {
        let arrow = match edge.condition {
            Some(Condition::Completed) => "-->|completed|",
            Some(Condition::Ready) => "-->|ready|",
            Some(Condition::Healthy) => "-->|healthy|",
            Some(Condition::Started) => "-.->|started|",
            None => "-->",
        };
        text.line(format_args!("  n{} {arrow} n{}", edge.from, edge.to));
    }
    text.end()
}

/// Mermaid writes characters that mean something to it as `#name;`.
fn entities(text: &str) -> String {
    let one = |c: char| match c {
        '#' => "#35;".to_owned(),
        '"' => "#quot;".to_owned(),
        '<' => "#lt;".to_owned(),
        '>' => "#gt;".to_owned(),
        '`' => "#96;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(one).collect()
}

/// What a node says: its name, and its facts below.
fn lines(node: &Node) -> Lines {
    let name = format!("{} {}", node.id.kind(), node.id.name());
    if node.detail.is_empty() { Lines(vec![name]) } else { Lines(vec![name, tame(&node.detail)]) }
}

/// Lines of a label, each to be escaped before they are joined.
struct Lines(Vec<String>);

impl Lines {
    fn map(&self, escape: impl Fn(&String) -> String) -> Vec<String> {
        self.0.iter().map(escape).collect()
    }
}
