//! Pull requests. <https://docs.github.com/en/rest/pulls/pulls>

use serde::Deserialize;
use serde_json::json;

use super::{Changed, GitHub, GitHubError, rest::Ask};
use crate::model::{
    commit::CommitId,
    pull::{PullRequest, PullState},
};

/// A pull request that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    pub title: String,
    /// Markdown.
    pub body: String,
    /// The branch with what is proposed, and the one that it is proposed for.
    pub head: String,
    pub base: String,
}

/// As GitHub writes it, in lists and alone.
#[derive(Deserialize)]
struct WrittenPull {
    number: u64,
    title: String,
    user: Option<Login>,
    head: End,
    base: End,
    #[serde(default)]
    draft: bool,
    state: String,
    merged_at: Option<String>,
    merge_commit_sha: Option<CommitId>,
    html_url: String,
}

#[derive(Deserialize)]
pub(super) struct Login {
    pub(super) login: String,
}

/// One of the two things that a pull request would bring together: in answers as in deliveries.
#[derive(Deserialize)]
pub(super) struct End {
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) sha: CommitId,
    /// Null when the fork was deleted.
    pub(super) repo: Option<FullName>,
}

#[derive(Deserialize)]
pub(super) struct FullName {
    pub(super) full_name: String,
}

/// Who GitHub says did it, when that account was deleted.
/// <https://docs.github.com/en/account-and-profile/concepts/personal-account-deletion>
pub(super) const GHOST: &str = "ghost";

pub(super) fn login(user: Option<Login>) -> String {
    user.map_or(GHOST.to_owned(), |user| user.login)
}

impl From<WrittenPull> for PullRequest {
    fn from(written: WrittenPull) -> Self {
        let state = match (written.state.as_str(), written.merged_at, written.merge_commit_sha) {
            ("open", ..) => PullState::Open,
            (_, Some(_), Some(commit)) => PullState::Merged { commit },
            _ => PullState::Closed,
        };
        Self {
            number: written.number,
            title: written.title,
            author: login(written.user),
            head: written.head.sha,
            base: written.base.branch,
            from: written.head.repo.map(|repository| repository.full_name),
            draft: written.draft,
            state,
            url: written.html_url,
        }
    }
}

struct Page(Vec<WrittenPull>);

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

impl From<Page> for Vec<PullRequest> {
    fn from(page: Page) -> Self {
        page.0.into_iter().map(PullRequest::from).collect()
    }
}

impl GitHub {
    /// Those that are open, the newest change first, unless nothing has changed since `known`.
    pub async fn open_pulls(&self, known: Option<&str>) -> Result<Option<Changed<Vec<PullRequest>>>, GitHubError> {
        // In this order every change is on the first page, whose tag is asked with.
        let ask = Ask::get(self.url(&["pulls"])?)
            .query("state", "open")
            .query("sort", "updated")
            .query("direction", "desc")
            .unless(known);
        self.rest.list_changed::<Page, _>(ask).await
    }

    pub async fn pull(&self, number: u64) -> Result<PullRequest, GitHubError> {
        let ask = Ask::get(self.url(&["pulls", &number.to_string()])?);
        Ok(self.rest.read::<WrittenPull>(&ask).await?.into())
    }

    pub async fn create_pull(&self, new: &NewPull) -> Result<PullRequest, GitHubError> {
        let body = json!({"title": new.title, "body": new.body, "head": new.head, "base": new.base});
        Ok(self.rest.read::<WrittenPull>(&Ask::post(self.url(&["pulls"])?, body)).await?.into())
    }

    /// Those that brought a commit to the default branch, or else the open ones that hold it.
    /// <https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit>
    pub async fn pulls_of_commit(&self, commit: &CommitId) -> Result<Vec<PullRequest>, GitHubError> {
        self.rest.list::<Page, _>(Ask::get(self.url(&["commits", commit, "pulls"])?)).await
    }
}
