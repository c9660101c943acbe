//! One environment's sync, and the controller that makes syncs.
//!
//! Seven folders, each above the next: what people ask (`requests`), the loop (`controller`), one sync
//! (`sync`), carrying out (`execute`), looking (`observe`), the history branch (`history`), and from declared
//! commits to desired bytes (`prepare`). A folder imports only from those below it; `tests/layering.rs` keeps that.
//!
//! Keeps true: data flows one way; nothing is applied that was not planned and nothing planned that
//! was not observed. Never does: deciding (that is `plan` and `decide`), wording (that is `report`).

pub mod controller;
pub mod events;
pub mod execute;
#[doc(hidden)]
pub mod fuzz;
pub mod history;
pub mod observe;
pub mod prepare;
pub mod requests;
pub mod sync;

use crate::model::event::EventKind;

/// Who is told what happens on hosts, as it happens. Called from several tasks.
pub type Watch<'w> = dyn Fn(EventKind) + Send + Sync + 'w;
