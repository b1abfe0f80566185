//! The graph in its formats.

use std::collections::BTreeMap;

use vmcompose::cli::GraphFormat;
use vmcompose::graph::Graph;
use vmcompose::model::Spec;
use vmcompose::names::ResourceId;
use vmcompose::render::{Palette, graph};

use crate::fixtures::{api, specs};
use crate::golden;

fn drawn(specs: &[Spec], format: GraphFormat) -> String {
    let graph = Graph::build(specs).unwrap();
    let known: BTreeMap<ResourceId, Spec> = specs.iter().map(|spec| (spec.id(), spec.clone())).collect();
    graph::draw(&graph, &known, format, &Palette::PLAIN)
}

#[test]
fn the_shop_in_every_format() {
    for (format, end) in [
        (GraphFormat::Text, "txt"),
        (GraphFormat::Dot, "dot"),
        (GraphFormat::Mermaid, "mmd"),
        (GraphFormat::Svg, "svg"),
    ] {
        golden(&format!("graph.{end}"), &drawn(&specs(), format));
    }
}

#[test]
fn nothing_is_a_picture_too() {
    for format in [GraphFormat::Dot, GraphFormat::Mermaid, GraphFormat::Svg] {
        assert!(!drawn(&[], format).is_empty(), "{format:?}");
    }
    assert_eq!(drawn(&[], GraphFormat::Text), "");
}

#[test]
fn the_order_of_the_specs_does_not_matter() {
    let mut other = specs();
    other.reverse();
    for format in [GraphFormat::Text, GraphFormat::Dot, GraphFormat::Mermaid, GraphFormat::Svg] {
        assert_eq!(drawn(&specs(), format), drawn(&other, format), "{format:?}");
    }
}

#[test]
fn resources_without_a_spec_have_a_name_only() {
    let graph = Graph::build(&specs()).unwrap();
    let text = graph::draw(&graph, &BTreeMap::new(), GraphFormat::Mermaid, &Palette::PLAIN);
    assert!(text.contains("[\"vm db\"]"), "{text}");
}

/// Boxes of a picture: left, top, right, bottom.
fn boxes(svg: &str) -> Vec<[f64; 4]> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let boxes = document.descendants().filter(|node| node.has_tag_name("rect") && node.attribute("class").is_some());
    let sides = |node: roxmltree::Node<'_, '_>| {
        let number = |name| node.attribute(name).unwrap().parse::<f64>().unwrap();
        let (x, y) = (number("x"), number("y"));
        [x, y, x + number("width"), y + number("height")]
    };
    boxes.map(sides).collect()
}

fn many(replicas: u8) -> Vec<Spec> {
    let mut specs = specs();
    specs.extend((3..=replicas).map(|n| Spec::Vm(Box::new(api(n)))));
    specs
}

#[test]
fn boxes_are_inside_the_picture_and_do_not_overlap() {
    for replicas in [2, 3, 12, 60] {
        let svg = drawn(&many(replicas), GraphFormat::Svg);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let side = |name| document.root_element().attribute(name).unwrap().parse::<f64>().unwrap();
        let boxes = boxes(&svg);
        assert_eq!(boxes.len(), 8 + usize::from(replicas));
        for (n, a) in boxes.iter().enumerate() {
            assert!(a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= side("width") && a[3] <= side("height"), "{a:?}");
            for b in &boxes[n + 1..] {
                let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
                assert!(apart, "{a:?} and {b:?} overlap with {replicas} replicas");
            }
        }
    }
}

/// An edge is straight where it passes a column; there it must not run through a box.
#[test]
fn edges_do_not_run_through_boxes() {
    let svg = drawn(&many(12), GraphFormat::Svg);
    let boxes = boxes(&svg);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let mut straight = 0;
    for path in document.descendants().filter(|node| node.has_tag_name("path") && node.has_children()) {
        let d = path.attribute("d").unwrap();
        for piece in d.split('L').skip(1) {
            let numbers: Vec<f64> = piece.split(['C', ' ']).filter_map(|text| text.parse().ok()).collect();
            let (x, y) = (numbers[0], numbers[1]);
            straight += 1;
            // The straight piece ends at the right side of the column; its boxes end there or before.
            let hit = boxes.iter().find(|b| b[2] >= x - 1.0 && b[0] <= x && b[1] <= y && y <= b[3]);
            assert!(hit.is_none(), "{d} runs through {hit:?}");
        }
    }
    assert!(straight > 0, "no edge passes a column, and nothing was tested");
}
