//! Rendering and planning from outside: a declared fleet and what hosts show in, shown text out. No host,
//! no I/O but for reading the example fleet.

mod arrived;
mod blue_green;
mod certificates;
mod confinement;
mod declared;
mod drift;
mod frontends;
mod host;
mod moved;
#[path = "../support/needs.rs"]
mod needs;
mod nginx;
mod order;
mod planning;
mod ports;
mod properties;
mod quoting;
mod refusals;
mod releases;
mod rendering;
mod rollouts;
mod sealed;
mod served;
mod steps;
mod systemd;
mod text;
mod traffic;
mod units;
mod unknowns;
mod values;
mod venvs;
mod world;
