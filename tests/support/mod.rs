//! What tests of several areas share: random numbers, git's server program, TLS, a proxy, a GitHub of our own, and patience.

pub mod dice;
pub mod git;
pub mod github;
pub mod hosted;
pub mod proxy;
pub mod tls;
pub mod waiting;
