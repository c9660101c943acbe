//! Everything people read: plans, deployments, progress, status, in words.
//!
//! Owns all wording, and the JSON that commands print. Keeps true: the same values give the same text; nothing
//! that came from a file or a host reaches a terminal raw (see [`words::visible`]). Never does: I/O,
//! clocks, finding out what the terminal can do (that is [`Style`], given by the caller).
//!
//! What came from a file or a host reaches a terminal only with its control characters made visible. No
//! credential is in an address, a message or an error. On a forge, text from outside stands in code only, where
//! nobody is mentioned and nothing referred to; and of a live file that is not as evenkeel wrote it, only what is
//! declared too is shown, for the rest may be secret.

pub mod change;
pub mod control;
pub mod deployment;
mod diff;
pub mod event;
pub mod findings;
pub mod json;
pub mod message;
pub mod permit;
pub mod plan;
mod plan_json;
mod plan_steps;
pub mod progress;
pub mod pull;
mod record;
pub mod refusal;
pub mod release;
pub mod status;
mod style;
pub mod why;
pub mod words;

pub use style::Style;
pub use words::chain;
