//! What people and programs see: the only module that prints.
//!
//! Owns every text that is not a diagnostic of the compose file: plans, progress, outcomes, tables, graphs, messages.
//! Each is a pure function from values to a `String`, coloured by a [`Palette`]; only [`output`] and [`draw`] write.
//! Data flows in as a plan, as events, as rows; nothing flows back, except the answer to a question. Knows nothing of
//! backends.

mod confirm;
pub mod course;
pub mod diagnostic;
pub mod downloads;
mod draw;
mod fancy;
pub mod findings;
pub mod grammar;
pub mod graph;
pub mod images;
pub mod import;
mod layout;
mod leftover;
pub mod lines;
pub mod message;
pub mod networks;
pub mod outcome;
pub mod output;
mod plain;
pub mod plan;
pub mod progress;
pub mod projects;
pub mod reference;
pub mod runs;
pub mod service;
pub mod snapshots;
pub mod stats;
pub mod storage;
pub mod style;
pub mod table;
pub mod terminal;
pub mod timings;
pub mod used_images;
pub mod why;
mod words;

pub use confirm::{Answer, ask};
pub use draw::{Mode, draw};
pub use fancy::{Moment, Screen, frame};
pub use plain::Plain;
pub use progress::Progress;
pub use style::Palette;
pub use words::took as time;
