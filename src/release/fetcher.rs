//! The way to files that lie elsewhere than in the config repository.
//!
//! Keeps true: nothing but a fetcher goes there, so that a plan of something untrusted can be made with one
//! that goes nowhere. Everything here blocks.

use std::{collections::BTreeSet, error::Error, fmt};

use crate::model::{
    commit::CommitId,
    source::{ArchiveSource, GitSource, Origin},
    tree::Tree,
};

/// What goes out and gets files. Called from several threads at once.
pub trait Fetcher: Send + Sync {
    /// Whether one may ask for what lies there at all. What may not be asked for stays unresolved.
    fn may_ask(&self, _origin: &Origin) -> bool {
        true
    }

    /// The commit that the source's revision stands for now.
    fn commit(&self, source: &GitSource) -> Result<CommitId, FetchError>;

    /// The same as it was when it was asked last, without the network.
    fn last_commit(&self, source: &GitSource) -> Option<CommitId>;

    /// The files of a commit that lie below the source's folder, each by its path from the root.
    fn folder(&self, source: &GitSource, commit: &CommitId) -> Result<Tree, FetchError>;

    /// The files of an archive, which is what its digest says.
    fn archive(&self, source: &ArchiveSource) -> Result<Tree, FetchError>;
}

/// Why files cannot be had, and the next move where there is one to name.
#[derive(Debug)]
pub struct FetchError {
    pub why: Box<dyn Error + Send + Sync>,
    pub next: Option<String>,
}

impl FetchError {
    pub fn new(why: impl Error + Send + Sync + 'static, next: Option<String>) -> Self {
        Self { why: Box::new(why), next }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)?;
        let mut cause = self.why.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        self.next.iter().try_for_each(|next| write!(f, "; {next}"))
    }
}

/// Asks for nothing but what is asked for already. For what somebody proposes who is not trusted: an address of
/// theirs may be anything, also one in here.
pub struct Known<'a> {
    pub fetcher: &'a dyn Fetcher,
    pub origins: BTreeSet<Origin>,
}

impl Fetcher for Known<'_> {
    fn may_ask(&self, origin: &Origin) -> bool {
        self.origins.contains(origin)
    }

    fn commit(&self, source: &GitSource) -> Result<CommitId, FetchError> {
        self.fetcher.commit(source)
    }

    fn last_commit(&self, source: &GitSource) -> Option<CommitId> {
        self.fetcher.last_commit(source)
    }

    fn folder(&self, source: &GitSource, commit: &CommitId) -> Result<Tree, FetchError> {
        self.fetcher.folder(source, commit)
    }

    fn archive(&self, source: &ArchiveSource) -> Result<Tree, FetchError> {
        self.fetcher.archive(source)
    }
}

/// Goes nowhere: every source that lies elsewhere stays unresolved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unfetched;

#[derive(Debug, thiserror::Error)]
#[error("nothing is fetched here")]
struct NothingIsFetched;

fn nothing<T>() -> Result<T, FetchError> {
    Err(FetchError::new(NothingIsFetched, None))
}

impl Fetcher for Unfetched {
    fn commit(&self, _: &GitSource) -> Result<CommitId, FetchError> {
        nothing()
    }

    fn last_commit(&self, _: &GitSource) -> Option<CommitId> {
        None
    }

    fn folder(&self, _: &GitSource, _: &CommitId) -> Result<Tree, FetchError> {
        nothing()
    }

    fn archive(&self, _: &ArchiveSource) -> Result<Tree, FetchError> {
        nothing()
    }
}
