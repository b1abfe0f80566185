//! The graph as a picture that needs nothing else: one SVG, its fonts the reader's own.
//!
//! Owns lines, boxes and the legend; where they stand is `layers`' business. Knows nothing of resources but their kind.

use super::layers::{BOX, Layers, layers};
use super::{Edge, Node, View, lines};
use crate::model::Condition;
use crate::names::ResourceId;
use crate::render::layout::Text;

/// Width of a character of the monospaced font, as a share of its size: all common ones are 0.60 wide.
const ASPECT: f64 = 0.6;
const NAME: f64 = 13.0;
const FACTS: f64 = 11.0;
/// Room between two columns, for the edges.
const CHANNEL: f64 = 84.0;
const MARGIN: f64 = 24.0;
/// Room above the columns for the names of the waves.
const HEAD: f64 = 30.0;
/// Room below for the legend.
const FOOT: f64 = 46.0;
/// The legend has to fit, however small the graph.
const NARROWEST: f64 = 560.0;

const STYLE: &str = "\
text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328}\
.name{font-size:13px;font-weight:600}.facts{font-size:11px;fill:#59636e}.wave{font-size:11px;fill:#59636e}\
.vm{fill:#ddf4ff;stroke:#0969da;stroke-width:1.5}.network{fill:#dafbe1;stroke:#1a7f37}\
.volume{fill:#fff8c5;stroke:#9a6700}.image{fill:#f6f8fa;stroke:#59636e}\
path{fill:none;stroke:#afb8c1;stroke-width:1}.healthy{stroke:#0969da;stroke-width:1.75}\
.started{stroke:#0969da;stroke-width:1.75;stroke-dasharray:5 4}";

pub(super) fn svg(view: &View) -> String {
    let layers = layers(view);
    let columns = columns(view, &layers);
    let right = columns.last().map_or(0.0, |column| column.left + column.width);
    let below = layers.places.iter().map(|place| place.y + BOX / 2.0).fold(0.0, f64::max);
    let (width, height) = ((right + MARGIN).max(NARROWEST), MARGIN + HEAD + below + FOOT);
    let mut text = Text::default();
    text.line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title>Who waits for whom</title>\n<style>{STYLE}</style>\n\
         <defs>{}{}</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
        marker("vm", "#0969da"),
        marker("other", "#afb8c1")
    ));
    for (number, column) in columns.iter().enumerate() {
        let middle = column.left + column.width / 2.0;
        let wave = number + 1;
        text.line(format_args!(
            "<text class=\"wave\" x=\"{middle}\" y=\"{MARGIN}\" text-anchor=\"middle\">wave {wave}</text>"
        ));
    }
    // The faint ones first, so that what vms wait for stands out where lines cross.
    let mut edges: Vec<(&Edge, &Vec<usize>)> = view.edges.iter().zip(&layers.routes).collect();
    edges.sort_by_key(|(edge, _)| edge.condition);
    for (edge, route) in edges {
        text.push(&path(view, &layers, &columns, edge, route));
    }
    for place in &layers.places {
        if let Some(node) = place.node.map(|number| &view.nodes[number]) {
            text.push(&boxed(node, columns[place.column], MARGIN + HEAD + place.y));
        }
    }
    text.push(&legend(height - FOOT / 2.0));
    text.push("</svg>\n");
    text.end()
}

#[derive(Clone, Copy)]
struct Column {
    left: f64,
    width: f64,
}

/// Each column is as wide as its widest box.
fn columns(view: &View, layers: &Layers) -> Vec<Column> {
    let mut left = MARGIN;
    let widest = |column: &Vec<usize>| {
        let nodes = column.iter().filter_map(|place| layers.places[*place].node);
        nodes.map(|node| room(&view.nodes[node])).fold(0.0, f64::max)
    };
    let column = |width: f64| {
        let column = Column { left, width };
        left += width + CHANNEL;
        column
    };
    layers.columns.iter().map(widest).map(column).collect()
}

/// Width of a box.
#[expect(clippy::cast_precision_loss, reason = "a label has fewer than 2^52 characters")]
fn room(node: &Node) -> f64 {
    let wide = |(n, line): (usize, &String)| line.chars().count() as f64 * ASPECT * if n == 0 { NAME } else { FACTS };
    (lines(node).0.iter().enumerate().map(wide).fold(0.0, f64::max) + 24.0).ceil()
}

fn marker(name: &str, colour: &str) -> String {
    format!(
        "<marker id=\"{name}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill:{colour};stroke:none\"/></marker>"
    )
}

fn boxed(node: &Node, column: Column, middle: f64) -> String {
    let (left, top) = (column.left, middle - BOX / 2.0);
    let centre = column.left + column.width / 2.0;
    let width = column.width;
    let radius = if matches!(node.id, ResourceId::Network(_)) { BOX / 2.0 } else { 5.0 };
    let kind = node.id.kind();
    let mut text = Text::default();
    text.add(format_args!(
        "<g><rect class=\"{kind}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{BOX}\" rx=\"{radius}\"/>"
    ));
    let lines = lines(node).map(|line| escaped(line));
    let first = if lines.len() == 1 { middle + 4.5 } else { middle - 3.0 };
    for (number, (line, class)) in lines.iter().zip(["name", "facts"]).enumerate() {
        let y = if number == 0 { first } else { middle + 13.0 };
        text.add(format_args!("<text class=\"{class}\" x=\"{centre}\" y=\"{y}\" text-anchor=\"middle\">{line}</text>"));
    }
    text.line(format_args!("</g>"));
    text.end()
}

/// An edge from box to box: curves between the columns, straight through each column that it passes.
fn path(view: &View, layers: &Layers, columns: &[Column], edge: &Edge, route: &[usize]) -> String {
    let at = |place: usize| MARGIN + HEAD + layers.places[place].y;
    let column = |place: usize| columns[layers.places[place].column];
    let mut d = Text::default();
    for (n, pair) in route.windows(2).enumerate() {
        let (from, to) = (column(pair[0]), column(pair[1]));
        let (x, y) = (from.left + from.width, at(pair[0]));
        let (end, below) = (to.left, at(pair[1]));
        let half = f64::midpoint(x, end);
        let lead = if n == 0 { "M" } else { "L" };
        d.add(format_args!("{lead}{x} {y}C{half} {y} {half} {below} {end} {below}"));
    }
    let d = d.end();
    let (class, marker) = match edge.condition {
        Some(Condition::Healthy | Condition::Ready | Condition::Completed) => (" class=\"healthy\"", "vm"),
        Some(Condition::Started) => (" class=\"started\"", "vm"),
        None => ("", "other"),
    };
    let (before, after) = (&view.nodes[edge.from].id, &view.nodes[edge.to].id);
    let until = edge.condition.map(|condition| format!(" to be {condition}")).unwrap_or_default();
    let told = escaped(&format!("{after} waits for {before}{until}"));
    format!("<path{class} d=\"{d}\" marker-end=\"url(#{marker})\"><title>{told}</title></path>\n")
}

fn legend(y: f64) -> String {
    let entry = |x: f64, class: &str, marker: &str, words: &str| {
        let (end, start, below) = (x + 34.0, x + 42.0, y + 4.0);
        format!(
            "<path{class} d=\"M{x} {y}L{end} {y}\" marker-end=\"url(#{marker})\"/>\
             <text class=\"wave\" x=\"{start}\" y=\"{below}\">{words}</text>\n"
        )
    };
    [
        entry(MARGIN, " class=\"healthy\"", "vm", "waited for until healthy"),
        entry(MARGIN + 218.0, " class=\"started\"", "vm", "until started"),
        entry(MARGIN + 364.0, "", "other", "needed to exist"),
    ]
    .concat()
}

/// As text of XML, and as a value in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
