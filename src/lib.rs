//! evenkeel keeps a fleet of plain Linux hosts equal to a folder in git.
//!
//! Data flows one way: declare, render, observe, plan, apply, record. `ARCHITECTURE.md` is the map.

pub mod model;
