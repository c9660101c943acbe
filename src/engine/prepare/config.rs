//! The config repository, as far as it says what is declared.

use std::future::Future;

use thiserror::Error;

use crate::{
    git::{Fetched, GitError},
    model::{commit::CommitId, name::EnvironmentName, tree::Tree, writer::Unlisted},
    report,
};

/// Where it is read what is declared. Every call may wait for the network, but for those that say otherwise.
pub trait ConfigSource: Send + Sync + 'static {
    fn fetch(&self) -> impl Future<Output = Result<Fetched, StoreError>> + Send;

    /// What the last fetch found, without the network.
    fn last_fetched(&self) -> impl Future<Output = Result<Option<Fetched>, StoreError>> + Send;

    /// The tree that the commits make together, without the network.
    fn tree(
        &self,
        default: &CommitId,
        environment: &CommitId,
        folder: &str,
    ) -> impl Future<Output = Result<Tree, StoreError>> + Send;

    /// Whether `commit` is `of` or among its ancestors, without the network.
    fn is_ancestor(&self, commit: &CommitId, of: &CommitId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The first line of a commit's message; none where it cannot be read.
    fn subject(&self, commit: &CommitId) -> impl Future<Output = Option<String>> + Send;
}

/// Why the config repository, or a history in it, could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("a call to git did not end")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("{path} of the history's newest commit cannot be read; mend it there, or remove it")]
    Unreadable { path: &'static str, source: serde_json::Error },
    #[error("{}", report::refusal::unlisted(environment, unlisted))]
    Unlisted { environment: EnvironmentName, unlisted: Box<Unlisted> },
    #[error("{}", report::refusal::no_writer(line.as_deref()))]
    NoWriter { line: Option<String> },
}

impl StoreError {
    /// Whether somebody else wrote first, so that nothing was written.
    pub fn is_diverged(&self) -> bool {
        matches!(self, StoreError::Git(GitError::Diverged { .. }))
    }
}
