//! Looking at hosts: connections, probes, health, and the status that people see.
//!
//! Keeps true: a host that does not answer is unknown, never absent. Never does: changing anything on a host.

pub mod ailing;
pub mod attribution;
pub mod bounded;
pub mod connections;
pub mod health;
pub mod probe;
pub mod status;
