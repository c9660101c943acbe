//! Pull requests, and what is said of commits where people look: checks and deployments.

use super::{commit::CommitId, finding::Finding};

/// A pull request as its forge tells of it. All of it but the number and the commits was written by people who need
/// not be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    /// The login of who opened it.
    pub author: String,
    /// The commit that is proposed.
    pub head: CommitId,
    /// The branch that it is proposed for.
    pub base: String,
    /// `owner/name` of the repository that the commit comes from. None where that was deleted.
    pub from: Option<String>,
    pub draft: bool,
    pub state: PullState,
    /// Where people read it.
    pub url: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullState {
    Open,
    /// Closed without being merged.
    Closed,
    /// Merged, as this commit of the base.
    Merged {
        commit: CommitId,
    },
}

/// What one stage says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `evenkeel/validate`, `evenkeel/plan`, `evenkeel/deploy`.
    pub name: String,
    pub commit: CommitId,
    pub state: CheckState,
    /// One line.
    pub title: String,
    /// Markdown.
    pub summary: String,
    /// Markdown; what is too much for the comment.
    pub text: Option<String>,
    /// Each with its file and line becomes an annotation there.
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    Queued,
    InProgress,
    Done(Conclusion),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    Success,
    Failure,
    /// It does not stand in the way.
    Neutral,
    /// Somebody has to do something first.
    ActionRequired,
    Cancelled,
    /// Any other that a forge knows.
    Other,
}

impl Conclusion {
    /// The one that stands in the way the most.
    pub fn worse(self, other: Self) -> Self {
        let rank = |conclusion| match conclusion {
            Conclusion::Success => 0,
            Conclusion::Neutral => 1,
            Conclusion::Other => 2,
            Conclusion::Cancelled => 3,
            Conclusion::ActionRequired => 4,
            Conclusion::Failure => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}
