//! What people read.

pub mod diagnostic;
