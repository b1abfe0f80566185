//! The `vmcompose` command.
fn main() {}
