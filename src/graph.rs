//! The dependency graph: resources as nodes, what one requires of another on the edges.
//!
//! Owns order: waves, cycles, who comes before whom. Made from specs, of the file or recorded, and knows nothing of
//! where they come from or what is done with them.

use std::collections::{BTreeMap, VecDeque};

use petgraph::Direction;
use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::model::{Condition, Spec};
use crate::names::ResourceId;

/// Resources and what they require of one another. An edge goes from what is required to what requires it.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    edges: DiGraph<ResourceId, Condition>,
    nodes: BTreeMap<ResourceId, NodeIndex>,
    /// Topological level of each node, by index.
    levels: Vec<usize>,
}

/// So many members of a cycle are named.
pub(crate) const SHOWN: usize = 10;

/// Resources that wait for one another for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct CycleError {
    /// Each cycle whole, as short as it can be: each member waits for the next, the last for the first.
    pub cycles: Vec<Vec<ResourceId>>,
}

impl CycleError {
    fn text(&self) -> String {
        let lines: Vec<String> = self.cycles.iter().map(|cycle| cycle_text(cycle)).collect();
        lines.join("\n")
    }
}

/// One cycle in words: "vm `a` waits for vm `b`, which waits for vm `a`".
pub fn cycle_text(cycle: &[ResourceId]) -> String {
    let Some(first) = cycle.first() else { return String::new() };
    let mut links: Vec<String> = cycle.iter().take(SHOWN).skip(1).map(|id| format!("waits for {id}")).collect();
    links.push(match cycle.len().saturating_sub(SHOWN) {
        0 => format!("waits for {first}"),
        more => format!("waits, by way of {more} more, for {first}"),
    });
    format!("dependency cycle: {first} {}", links.join(", which "))
}

impl Graph {
    /// Builds the graph of these specs. A requirement on a resource that is not among them is left out: whether that is
    /// an error has been settled before.
    pub fn build<'a>(specs: impl IntoIterator<Item = &'a Spec>) -> Result<Self, CycleError> {
        let specs: Vec<&Spec> = specs.into_iter().collect();
        let mut edges = DiGraph::with_capacity(specs.len(), specs.len() * 2);
        let nodes: BTreeMap<ResourceId, NodeIndex> =
            specs.iter().map(|spec| (spec.id(), edges.add_node(spec.id()))).collect();
        for spec in &specs {
            let to = nodes[&spec.id()];
            for (required, condition) in spec.requires() {
                if let Some(from) = nodes.get(&required) {
                    edges.add_edge(*from, to, condition);
                }
            }
        }
        let Ok(order) = toposort(&edges, None) else {
            return Err(CycleError { cycles: cycles(&edges) });
        };
        let levels = levels(&edges, &order);
        Ok(Self { edges, nodes, levels })
    }

    /// The topological levels: what stands in one wave requires nothing of the same or a later one. Each wave is sorted.
    pub fn waves(&self) -> Vec<Vec<&ResourceId>> {
        let count = self.levels.iter().max().map_or(0, |last| last + 1);
        let mut waves = vec![Vec::new(); count];
        for (id, node) in &self.nodes {
            waves[self.levels[node.index()]].push(id);
        }
        waves
    }

    /// The wave of a resource, from 0.
    pub fn level(&self, id: &ResourceId) -> Option<usize> {
        self.nodes.get(id).map(|node| self.levels[node.index()])
    }

    /// What a resource requires, and in which condition.
    pub fn requirements(&self, id: &ResourceId) -> Vec<(&ResourceId, Condition)> {
        self.neighbours(id, Direction::Incoming)
    }

    /// Who requires a resource, and in which condition.
    pub fn dependents(&self, id: &ResourceId) -> Vec<(&ResourceId, Condition)> {
        self.neighbours(id, Direction::Outgoing)
    }

    /// All resources, each after everything that it requires.
    pub fn in_order(&self) -> Vec<&ResourceId> {
        self.waves().into_iter().flatten().collect()
    }

    fn neighbours(&self, id: &ResourceId, direction: Direction) -> Vec<(&ResourceId, Condition)> {
        let Some(node) = self.nodes.get(id) else { return Vec::new() };
        let end = |edge: petgraph::graph::EdgeReference<'_, Condition>| match direction {
            Direction::Incoming => edge.source(),
            Direction::Outgoing => edge.target(),
        };
        let edges = self.edges.edges_directed(*node, direction);
        let mut found: Vec<_> = edges.map(|edge| (&self.edges[end(edge)], *edge.weight())).collect();
        found.sort();
        found
    }
}

fn levels(edges: &DiGraph<ResourceId, Condition>, order: &[NodeIndex]) -> Vec<usize> {
    let mut levels = vec![0; edges.node_count()];
    for node in order {
        let before = edges.neighbors_directed(*node, Direction::Incoming);
        levels[node.index()] = before.map(|n| levels[n.index()] + 1).max().unwrap_or(0);
    }
    levels
}

/// A shortest cycle of every strongly connected component: petgraph itself names only one member.
fn cycles(edges: &DiGraph<ResourceId, Condition>) -> Vec<Vec<ResourceId>> {
    let mut found: Vec<Vec<ResourceId>> =
        tarjan_scc(edges).iter().filter_map(|component| shortest_cycle(edges, component)).collect();
    found.sort();
    found
}

fn shortest_cycle(edges: &DiGraph<ResourceId, Condition>, component: &[NodeIndex]) -> Option<Vec<ResourceId>> {
    let start = *component.iter().min_by_key(|node| &edges[**node])?;
    // Breadth first along "waits for", which is against the edges.
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in edges.neighbors_directed(node, Direction::Incoming).filter(|n| component.contains(n)) {
            if next == start {
                let mut path = vec![edges[node].clone()];
                let mut at = node;
                while at != start {
                    at = came_from[&at];
                    path.push(edges[at].clone());
                }
                path.reverse();
                return Some(path);
            }
            if next != start && !came_from.contains_key(&next) {
                came_from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    None
}
