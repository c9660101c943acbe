//! One environment's pass: observe, plan, apply, check health, undo or record; and the loop that
//! makes passes.
//!
//! Keeps true: data flows one way; nothing is applied that was not planned and nothing planned that
//! was not observed. Never does: deciding (that is `plan` and `decide`), wording (that is `report`).

pub mod access;
pub mod attempts;
pub mod bounded;
pub mod chronicle;
pub mod confined;
pub mod deploy;
pub mod desk;
pub mod fetch;
mod followed;
#[doc(hidden)]
pub mod fuzz;
pub mod halt;
pub mod heal;
pub mod health;
pub mod ledger;
mod limits;
pub mod look;
mod off;
pub mod overrides;
mod parts;
pub mod pass;
pub mod prepare;
pub mod pulls;
pub mod reconcile;
pub mod record;
pub mod recover;
mod required;
mod reread;
pub mod rollback;
pub mod roster;
mod round;
pub mod round_error;
pub mod sign_in;
mod sources;
pub mod stage;
pub mod survey;
mod suspects;
mod undo;
mod waiting;
pub mod wanted;
pub mod why;

pub use fetch::NetworkFetcher;
pub use prepare::{PrepareError, Prepared, declared, gathered, prepare};

use crate::report::progress::Event;

/// Who is told what happens, as it happens. Called from several tasks.
pub type Watch = dyn Fn(Event) + Send + Sync;
