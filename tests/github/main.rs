//! GitHub: the client, its limits and errors, and both compared with GitHub's own description and examples.

mod app;
mod check;
mod client;
mod delivered;
mod described;
mod git;
mod limits;
mod npm;
mod server;
mod words;
