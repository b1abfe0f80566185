//! Declarative multi-VM compose engine for libvirt.

pub mod backend;
pub mod compose;
pub mod execute;
pub mod graph;
pub mod model;
pub mod names;
pub mod plan;
pub mod render;
pub mod state;
pub mod units;
