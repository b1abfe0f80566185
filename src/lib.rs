//! vmcompose: several virtual machines from one file, in the order of their dependencies, each held until what it needs
//! is healthy, undone when something fails.
//!
//! # The line
//!
//! Every command is one line, from a file to a terminal, cut short or aimed elsewhere:
//!
//! ```text
//!  disk ─► text ─► Project ─► Graph ─► DesiredState ─┐
//!         compose   model     graph     state        ├─► Plan ─► Event, Event, … ─► Progress ─► terminal
//!                  libvirt ─► ActualState ───────────┘   plan     execute            render
//!                  backend.observe                        ▲          │ backend.apply, backend.probe
//!                                                         └──────────┘ on failure: journal → undo plan, same executor
//! ```
//!
//! [`compose`] turns text into a [`model::Project`], or into all the mistakes it found, each with its place. [`image`]
//! looks at the boot media. [`state`] puts what is wanted beside what a [`backend::Hypervisor`] observed. [`plan::plan`]
//! compares the two and decides; [`execute::execute`] obeys: each step starts the moment the gates that it waits for
//! are open. Every [`plan::Operation`] knows its inverse, so that a rollback is one more plan for the same executor.
//! [`render`] folds the events into what a person sees. [`commands`] writes this line down once for each command.
//!
//! # Who may know whom
//!
//! The modules are listed below in reading order: [`names`], [`units`] → [`model`] → [`seed`], [`graph`] → [`compose`] → [`image`],
//! [`secret`] → [`state`] → [`plan`] → [`backend`] → [`execute`] → [`cli`] → [`render`] → [`error`] → [`commands`]. A module imports
//! only from its left; a test holds it to that.
//!
//! # What always holds
//!
//! 1. Names, units, model, graph, state, plan, schedule, journal and events do no I/O and are not async; of compose,
//!    only its `source` reads files.
//! 2. Only `backend::libvirt` knows libvirt. Where others say *vm*, it says *domain*.
//! 3. Only [`render`] prints. Data goes to stdout, everything else to stderr.
//! 4. The plan decides, the executor obeys: it never compares specs.
//! 5. An operation is one backend call, all or nothing, and knows its inverse or says that it has none.
//! 6. libvirt is the only store of truth. There is no state file: what was last applied is recorded in the metadata of
//!    domains and networks, and volumes are owned by names that cannot be mistaken. A project's private SSH key is this
//!    user's and no part of the state: what is recorded is its public half.
//! 7. Every run ends with one [`execute::Outcome`]: completed, rolled back, or stuck with the list of what is left.
//! 8. The same input gives the same plan, byte for byte.

pub mod backend;
pub mod cli;
pub mod commands;
pub mod compose;
pub mod error;
pub mod execute;
pub mod graph;
pub mod image;
pub mod model;
pub mod names;
pub mod plan;
pub mod render;
pub mod secret;
pub mod seed;
pub mod state;
pub mod units;
