//! Reading and writing repositories: on this machine, over HTTP against git's own server program, and
//! over SSH against a real sshd. Needs `git`.

mod bad_remotes;
mod bad_server;
mod every_remote;
#[path = "../support/git.rs"]
mod git_program;
mod helpers;
mod history;
mod http;
mod http_server;
mod limits;
mod local;
mod lost_history;
#[path = "../support/needs.rs"]
mod needs;
mod plans;
mod restore;
mod signed;
mod sources;
mod ssh;
mod sshd;
mod work_tree;
