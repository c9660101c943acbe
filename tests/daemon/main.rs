//! `evenkeel run` as a process: what wakes it, what it tells systemd, what it logs. No host is needed: the
//! fleet's one instance has no host key, and nothing connects to it. Besides: the program's
//! completions, as shells take them.

mod agent;
mod believed;
mod completions;
mod daemon;
mod deaths;
mod durable;
mod environments;
#[path = "../support/events.rs"]
mod events;
mod following;
#[path = "../support/git.rs"]
#[expect(dead_code, reason = "shared with those who serve repositories")]
mod git_program;
mod kept;
mod log;
#[path = "../support/needs.rs"]
mod needs;
mod packaging;
mod private;
mod questions;
mod signed;
#[path = "../support/ssh_agent.rs"]
mod ssh_agent;
mod systemd;
mod terminal;
#[path = "../lab/trace.rs"]
#[expect(dead_code, reason = "shared with the lab, which also shows that it reads what strace writes")]
mod trace;
#[path = "../support/waiting.rs"]
mod waiting;
mod webhook;
