//! Carrying out a plan on hosts: staging, steps by phase, undoing, and cleaning up after a cut.
//!
//! Keeps true: nothing is carried out but steps of a plan, and nothing without a lease (`history/lease.rs`). Never does: recording (that is `sync`).

pub mod cancellation;
pub mod cleanup;
pub mod deadline;
pub mod executor;
mod phase_progress;
mod rollback;
pub mod scrub;
pub mod staging;
