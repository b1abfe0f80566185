//! The binary, as its users run it: on daemons, on real vms where `make test` says that there can be some, and killed.
//!
//! One test binary, so that its tests run beside one another: most of their time they wait for a guest.

mod cli;
mod cloud_image;
mod completion;
mod day;
mod drift;
mod fields;
mod hardware;
mod import;
mod listing;
mod network;
mod power;
mod provision;
mod quickstart;
mod readiness;
#[cfg(debug_assertions)]
mod recovery;
mod replacement;
#[cfg(debug_assertions)]
mod saved;
mod secrets;
#[path = "../images/server.rs"]
#[expect(dead_code, reason = "images ask more of it")]
mod server;
mod session;
mod snapshot;
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod verbs;
mod way_in;
