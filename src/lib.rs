//! evenkeel keeps a fleet of plain Linux hosts equal to a folder in git.
//!
//! Data flows one way: declare, render, observe, plan, apply, record. `ARCHITECTURE.md` is the map.

pub mod cli;
pub mod decide;
pub mod declare;
pub mod engine;
pub mod git;
pub mod github;
pub mod host;
pub mod lab;
pub mod model;
pub mod plan;
pub mod pulls;
pub mod release;
pub mod render;
pub mod report;
pub mod server;
