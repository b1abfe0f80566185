//! The way into a guest: the project's key, `ssh`, `ssh-config`, `cp`, `console`, `exec` with input.
//!
//! What needs no guest runs against the test driver behind the daemon (`keys`), the rest in one real Debian (`debian`).

mod debian;
mod keys;
mod pty;
