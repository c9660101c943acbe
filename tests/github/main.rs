//! GitHub: the client, its limits and errors, and both compared with GitHub's own description and examples; and so is the
//! GitHub that other tests live with.

mod app;
mod check;
mod client;
mod delivered;
mod described;
mod description;
mod faked;
mod git;
mod limits;
mod npm;
mod server;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod support;
mod words;
