//! Where the nodes of a graph stand: a column per wave, with as few crossings as simple means give.
//!
//! Owns the layout after Sugiyama: edges that pass a wave get a place of their own in it, so that they run between the
//! boxes and not across them; then nodes move towards what they are connected with. Knows nothing of SVG.

use super::View;

/// Something that takes room in a column: a node, or the passing edges of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The node; `None` where edges only pass.
    pub(super) node: Option<usize>,
    /// Its column, from 0.
    pub(super) column: usize,
    /// Its middle, from the top of the column.
    pub(super) y: f64,
    height: f64,
}

/// A piece of an edge from one column to the next, by numbers of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// A graph laid out.
pub(super) struct Layers {
    pub(super) places: Vec<Place>,
    pub(super) links: Vec<Link>,
    /// Each edge of the graph as the places that it runs through.
    pub(super) routes: Vec<Vec<usize>>,
    /// Places by column, from top to bottom.
    pub(super) columns: Vec<Vec<usize>>,
}

/// Height of a box.
pub(super) const BOX: f64 = 44.0;
/// Height of a place where edges only pass.
const PASS: f64 = 10.0;
/// Free room between two places of a column.
const GAP: f64 = 14.0;
/// Passes forth and back. Fixed, so that the same graph gives the same picture; more change next to nothing.
const SWEEPS: usize = 8;

/// Lays a graph out.
pub(super) fn layers(view: &View) -> Layers {
    let mut layers = connect(view);
    for sweep in 0..SWEEPS {
        order(&mut layers, sweep % 2 == 0);
    }
    stack(&mut layers);
    for sweep in 0..SWEEPS {
        pull(&mut layers, sweep % 2 == 0);
    }
    let top = layers.places.iter().map(|place| place.y - place.height / 2.0).fold(f64::INFINITY, f64::min);
    for place in &mut layers.places {
        place.y = (place.y - top).round();
    }
    layers
}

/// Places for all nodes, and for the edges that pass columns. All edges from one node share their way up to where they
/// part, so that a network that everyone is on is one line and not a hundred.
fn connect(view: &View) -> Layers {
    let place = |node: Option<usize>, column, height| Place { node, column, y: 0.0, height };
    let places = view.nodes.iter().enumerate().map(|(n, node)| place(Some(n), node.wave, BOX)).collect();
    let count = view.nodes.iter().map(|node| node.wave + 1).max().unwrap_or(0);
    let mut layers = Layers { places, links: Vec::new(), routes: Vec::new(), columns: vec![Vec::new(); count] };
    // By node: the places on its way, one per column after its own.
    let mut ways: Vec<Vec<usize>> = vec![Vec::new(); view.nodes.len()];
    for edge in &view.edges {
        let (first, last) = (view.nodes[edge.from].wave, view.nodes[edge.to].wave);
        let way = &mut ways[edge.from];
        while way.len() + first + 1 < last {
            let before = way.last().copied().unwrap_or(edge.from);
            layers.places.push(place(None, first + way.len() + 1, PASS));
            let new = layers.places.len() - 1;
            layers.links.push(Link { from: before, to: new });
            way.push(new);
        }
        let passed = &way[..last - first - 1];
        layers.links.push(Link { from: passed.last().copied().unwrap_or(edge.from), to: edge.to });
        layers.routes.push(std::iter::once(edge.from).chain(passed.iter().copied()).chain([edge.to]).collect());
    }
    for (number, place) in layers.places.iter().enumerate() {
        layers.columns[place.column].push(number);
    }
    layers
}

/// By place: the places it is linked with, in the column before or after.
fn neighbours(layers: &Layers, before: bool) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); layers.places.len()];
    for link in &layers.links {
        let (here, there) = if before { (link.to, link.from) } else { (link.from, link.to) };
        neighbours[here].push(there);
    }
    neighbours
}

/// Columns in the direction of a sweep.
fn direction(layers: &Layers, forth: bool) -> Vec<usize> {
    let all = 0..layers.columns.len();
    if forth { all.collect() } else { all.rev().collect() }
}

/// Sorts each column by the mean position of what its places are linked with in the column before. What is linked with
/// nothing there keeps its position.
fn order(layers: &mut Layers, forth: bool) {
    let neighbours = neighbours(layers, forth);
    let mut position = vec![0.0; layers.places.len()];
    for column in direction(layers, forth) {
        let mut keyed: Vec<(f64, usize)> = Vec::new();
        for (index, place) in layers.columns[column].iter().enumerate() {
            let key = mean(neighbours[*place].iter().map(|other| position[*other]));
            // Positions are counted in shares of a column, for columns differ in length.
            let own = share(index, layers.columns[column].len());
            keyed.push((key.unwrap_or(own), *place));
        }
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        layers.columns[column] = keyed.into_iter().map(|(_, place)| place).collect();
        let len = layers.columns[column].len();
        for (index, place) in layers.columns[column].iter().enumerate() {
            position[*place] = share(index, len);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a column has fewer than 2^52 places")]
fn share(index: usize, len: usize) -> f64 {
    (index as f64 + 0.5) / len as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Puts the places of each column one below the other, around a common middle.
fn stack(layers: &mut Layers) {
    for column in &layers.columns {
        let height: f64 = column.iter().map(|place| layers.places[*place].height + GAP).sum();
        let mut y = -height / 2.0;
        for place in column {
            let place = &mut layers.places[*place];
            place.y = y + place.height / 2.0;
            y += place.height + GAP;
        }
    }
}

/// Moves places towards what they are linked with, as far as their order and the gaps allow.
fn pull(layers: &mut Layers, forth: bool) {
    let neighbours = neighbours(layers, forth);
    for column in direction(layers, forth) {
        let places = layers.columns[column].clone();
        let wish = |place: &usize| {
            let linked = mean(neighbours[*place].iter().map(|other| layers.places[*other].y));
            linked.unwrap_or(layers.places[*place].y)
        };
        let wishes: Vec<f64> = places.iter().map(wish).collect();
        let settled = settle(layers, &places, &wishes);
        for (place, y) in places.iter().zip(settled) {
            layers.places[*place].y = y;
        }
    }
}

/// The positions nearest to the wishes that keep order and gaps. Places that get in one another's way form a block around
/// the mean of their wishes; blocks that then overlap become one.
fn settle(layers: &Layers, places: &[usize], wishes: &[f64]) -> Vec<f64> {
    struct Block {
        /// Where its first place would like to be, summed over its places.
        sum: f64,
        count: f64,
        /// From its first place, the offset of each.
        offsets: Vec<f64>,
        height: f64,
    }
    let top = |block: &Block| block.sum / block.count;
    let mut blocks: Vec<Block> = Vec::new();
    for (place, wish) in places.iter().zip(wishes) {
        let height = layers.places[*place].height;
        let mut block = Block { sum: wish - height / 2.0, count: 1.0, offsets: vec![height / 2.0], height };
        while let Some(before) = blocks.pop_if(|before| top(before) + before.height + GAP > top(&block)) {
            let shift = before.height + GAP;
            let offsets = before.offsets.iter().copied().chain(block.offsets.iter().map(|offset| offset + shift));
            block = Block {
                sum: before.sum + block.sum - shift * block.count,
                count: before.count + block.count,
                offsets: offsets.collect(),
                height: shift + block.height,
            };
        }
        blocks.push(block);
    }
    blocks.iter().flat_map(|block| block.offsets.iter().map(|offset| top(block) + offset)).collect()
}
