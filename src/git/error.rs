//! What can go wrong with git, said so that a person knows where and what to do next.
//!
//! Keeps true: no text holds a credential, and none repeats its source's text.

use std::{error::Error as _, io, path::PathBuf};

use thiserror::Error;

use super::{signature::KeyError, transport::TransportError};
use crate::model::{budget::Exceeded, commit::CommitId};

#[derive(Debug, Error)]
pub enum GitError {
    #[error("`{url}` is not a repository's address: {why}")]
    Address { url: String, why: &'static str },

    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: PathBuf, source: io::Error },

    #[error("cannot read the work tree at {folder}")]
    Walk { folder: PathBuf, source: ignore::Error },

    #[error("cannot {doing} {what}")]
    Git { doing: &'static str, what: String, source: git2::Error },

    #[error("cannot {doing} {url}")]
    Remote { doing: &'static str, url: String, source: Box<TransportError> },

    /// What the remote said, git could not use.
    #[error("cannot {doing} {url}{}", heard.as_ref().map(|heard| format!(" ({heard})")).unwrap_or_default())]
    RemoteGit { doing: &'static str, url: String, heard: Option<String>, source: git2::Error },

    /// `from` is what was read, and `place` the path in it; empty where the whole is meant.
    #[error("{from}{}{place} has {limit}, which is more than evenkeel reads", if place.is_empty() { "" } else { ": " })]
    OverBudget { from: String, place: String, limit: Exceeded },

    #[error("{url} did not send the commit that it has {reference} at")]
    Incomplete { url: String, reference: String },

    /// Another controller pushed first: nothing was written.
    #[error("{reference} at {url} is at {found}, not at {seen}: another controller was faster")]
    Diverged { url: String, reference: String, seen: String, found: String },

    /// The remote said no, and its reference is where it was.
    #[error("{url} does not let {reference} be written: {why}")]
    Refused { url: String, reference: String, why: String },

    #[error("{url} has no default branch: its HEAD names no branch that exists")]
    NoDefaultBranch { url: String },

    #[error("{url} has no branch, tag or commit {revision}")]
    NoRevision { url: String, revision: String },

    #[error("{revision} of {url} does not hold commit {commit}, and never did when this controller looked")]
    NotHeld { url: String, revision: String, commit: CommitId },

    #[error("{url} has several things called {revision}")]
    AmbiguousRevision { url: String, revision: String },

    #[error("`{path}` has a name or target that is not plain UTF-8")]
    Name { path: String },

    #[error("{file} of commit {commit} on {branch} cannot be read")]
    Record { branch: String, commit: String, file: &'static str, source: serde_json::Error },

    #[error("the commit cannot be signed")]
    Key { source: Box<KeyError> },

    #[error("`{branch}` is not a name for a branch")]
    Branch { branch: String },

    #[error("`{path}` does not lie below the repository's root")]
    Path { path: String },

    #[error("nothing to restore: commit {base} holds what {from} holds at {paths}")]
    NothingToRestore { from: String, base: String, paths: String },

    #[error("{url} has a branch {branch} already, at {found}, with other files")]
    BranchTaken { url: String, branch: String, found: String },
}

impl GitError {
    /// The next move, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            GitError::Diverged { .. } => {
                Some("fetch, look at what the other controller did, and begin again".to_owned())
            }
            GitError::NoDefaultBranch { .. } => {
                Some("push a first commit, or point HEAD there: git symbolic-ref HEAD refs/heads/main".to_owned())
            }
            GitError::Refused { reference, .. } => Some(format!(
                "allow evenkeel's account to push {reference} (a protection rule or a hook stands against it)"
            )),
            GitError::Git { source, what, .. } if source.code() == git2::ErrorCode::Owner => {
                Some(format!("another user owns it: git config --global --add safe.directory {what}"))
            }
            GitError::OverBudget { .. } => {
                Some("make it smaller, or keep it elsewhere; in a work tree, name it in .gitignore".to_owned())
            }
            GitError::Name { .. } => Some("rename the file, or ignore it".to_owned()),
            GitError::Remote { source, .. } => source.hint(),
            GitError::RemoteGit { url, heard: Some(_), .. } | GitError::Incomplete { url, .. } => Some(format!(
                "try again, in case the connection broke; if it stays so, see what `git ls-remote {url}` says"
            )),
            GitError::Record { commit, file, .. } => Some(format!(
                "a newer evenkeel wrote it, or somebody by hand: look at it with `git show {commit}:{file}`"
            )),
            GitError::NoRevision { .. } => {
                Some("correct it, or push it there; a commit is named by all of its 40 digits".to_owned())
            }
            GitError::Key { .. } => Some(
                "let the ssh-agent sign (it may have asked a person, or been locked), or name a listed key's file with \
                 --history-key"
                    .to_owned(),
            ),
            GitError::NotHeld { .. } => {
                Some("merge it there, or name the commit itself as the source's `rev`".to_owned())
            }
            GitError::AmbiguousRevision { revision, .. } => Some(format!("write heads/{revision} or tags/{revision}")),
            GitError::NothingToRestore { .. } => Some("choose an earlier deployment".to_owned()),
            GitError::BranchTaken { branch, .. } => {
                Some(format!("merge or close what is open from {branch}, delete it, and try again"))
            }
            GitError::Git { doing: "open the repository", .. } => {
                Some("check the path: it must be that of a repository, bare or with a work tree".to_owned())
            }
            GitError::Git { doing: "find commit", .. } => {
                Some("fetch, and look whether a force push dropped it".to_owned())
            }
            _ => None,
        }
    }

    /// All of it on one line.
    pub(super) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }
}

/// Gives a libgit2 error its context.
pub(super) trait Context<T> {
    fn context(self, doing: &'static str, what: impl ToString) -> Result<T, GitError>;
}

impl<T> Context<T> for Result<T, git2::Error> {
    fn context(self, doing: &'static str, what: impl ToString) -> Result<T, GitError> {
        self.map_err(|source| GitError::Git { doing, what: what.to_string(), source })
    }
}
