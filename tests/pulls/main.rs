//! evenkeel and GitHub without hosts: the fake GitHub is asked by the real client, over HTTPS, and is found to be
//! as strict as GitHub. What needs hosts is in `tests/lab/pulls.rs`.

mod client;
mod commands;
mod forks;
mod installation;
mod program;
mod reading;
mod rights;
mod sign_in;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the lab's tests, which use more of it")]
mod support;
