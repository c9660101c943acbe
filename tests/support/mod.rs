//! What tests of several areas share: git's server program, TLS, a GitHub of our own, and patience.

pub mod git;
pub mod github;
pub mod hosted;
pub mod tls;
pub mod waiting;
