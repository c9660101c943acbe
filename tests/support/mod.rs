//! What tests of several areas share: random numbers, a log's events, git's server program, TLS, a proxy, a GitHub of our own,
//! an ssh-agent, patience, and what a test needs of this machine.

pub mod dice;
pub mod events;
pub mod git;
pub mod github;
pub mod hosted;
pub mod needs;
pub mod proxy;
pub mod ssh_agent;
pub mod tls;
pub mod waiting;
