//! The history branch: how it is stored, what it says, and what of it is believed.
//!
//! Keeps true: every write is a compare-and-swap on the commit that was read; what is not believed is told, never
//! acted on. Never does: deciding what to deploy.

pub mod controller_id;
pub mod followed;
pub mod layout;
pub mod lease;
pub mod log;
pub mod store;
