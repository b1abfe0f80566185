//! What people read.
//!
//! Owns the look of everything. Decides nothing.

pub mod diagnostic;
