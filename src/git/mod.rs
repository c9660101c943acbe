//! Git: where the declared fleet comes from and where the history of deployments goes.
//!
//! Owns: the work tree as a tree of files, the mirror of the config repository in the state directory,
//! the history branches, a branch for long plans, and how remotes are reached. Keeps true: what is written to a remote is
//! written by compare-and-swap on what was last seen there; a remote's work tree, index and checked-out
//! branch are never touched; nothing of the history is lost; every wait for a remote ends; no credential
//! appears in an address, a message or an error.
//! Never decides what a commit means: that is `declare` and `engine`.
//!
//! Everything here blocks: call it where blocking is allowed (`spawn_blocking`), never from a task.

mod durable;
mod error;
mod fetch;
mod history;
mod intake;
mod local;
mod nearest;
mod objects;
mod offered;
mod plans;
mod publish;
mod pull;
mod reach;
mod repository;
mod restore;
mod revision;
mod seen;
mod signature;
mod transport;
mod url;
mod work_tree;

pub use error::GitError;
pub use fetch::{Fetched, HistoryChange};
pub use history::Tip;
pub use local::{commit_to_bare, create_bare_from_folder, places};
pub use nearest::{ancestors, nearest};
pub use plans::PLANS;
pub use pull::{Merged, Proposed};
pub use reach::{can_push, can_read};
pub use repository::{CommitSummary, Repository, compose, is_of_history};
pub use signature::{KeyError, Signer};
#[doc(hidden)]
pub use transport::is_known_host;
pub use transport::{Credentials, Limits, Token, TokenError, TokenSource, TransportError, client};
pub use url::{HttpUrl, RemoteUrl, SshUrl};
pub use work_tree::{WorkTree, work_tree, work_tree_within};
