//! Images from URLs: what can go wrong on the way, and that nothing half-made can ever be used.

mod bench;
mod cache;
mod commands;
mod download;
mod fitness;
mod locked;
mod protected;
mod proxied;
mod server;
mod together;
mod up;
