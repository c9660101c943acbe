//! One environment's sync: end what is open, observe, clean up, plan, carry out, record.
//!
//! Keeps true: an intent is recorded before the first host is touched, and an outcome after the last.

pub mod deploy;
pub mod durations;
pub mod environment;
pub mod error;
pub mod memory;
pub mod pending;
pub mod pursue;
pub mod recover;
pub mod workspace;
