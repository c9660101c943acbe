//! Commit statuses: what is said of a commit by those who sign in with a token.
//! <https://docs.github.com/en/rest/commits/statuses>

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHub, GitHubError, rest::Ask};
use crate::{
    model::pull::{Check, CheckState, Conclusion},
    report::words::clip,
};

/// GitHub refuses more characters.
pub(super) const LONGEST_DESCRIPTION: usize = 140;

/// What somebody says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommitStatus {
    /// Who says it.
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
}

#[derive(Deserialize)]
struct Combined {
    statuses: Vec<CommitStatus>,
}

impl From<Combined> for Vec<CommitStatus> {
    fn from(combined: Combined) -> Self {
        combined.statuses
    }
}

impl CommitStatus {
    /// None while it is pending.
    pub(super) fn conclusion(&self) -> Option<Conclusion> {
        match self.state.as_str() {
            "pending" => None,
            "success" => Some(Conclusion::Success),
            "failure" | "error" => Some(Conclusion::Failure),
            _ => Some(Conclusion::Other),
        }
    }
}

/// There are four states only.
fn state(state: CheckState) -> &'static str {
    match state {
        CheckState::Queued | CheckState::InProgress => "pending",
        CheckState::Done(Conclusion::Success | Conclusion::Neutral) => "success",
        CheckState::Done(Conclusion::Failure) => "failure",
        // It has not ended well, and it is not too late.
        CheckState::Done(Conclusion::ActionRequired) => "pending",
        CheckState::Done(Conclusion::Cancelled | Conclusion::Other) => "error",
    }
}

impl GitHub {
    /// The newest one of each context.
    pub async fn statuses(&self, commit: &str) -> Result<Vec<CommitStatus>, GitHubError> {
        self.rest.list::<Combined, _>(Ask::get(self.url(&["commits", commit, "status"])?)).await
    }

    pub(super) async fn put_status(&self, check: &Check) -> Result<(), GitHubError> {
        let body = json!({
            "context": check.name,
            "state": state(check.state),
            "description": clip(&check.title, LONGEST_DESCRIPTION),
        });
        // The newest one counts.
        let ask = Ask::post(self.url(&["statuses", &check.commit])?, body).safe_to_repeat();
        self.rest.read::<Value>(&ask).await.map(drop)
    }
}
