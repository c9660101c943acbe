//! What tests of several areas share: git's server program, TLS, and a GitHub of our own.

pub mod git;
pub mod github;
pub mod hosted;
pub mod tls;
