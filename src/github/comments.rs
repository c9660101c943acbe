//! Comments on pull requests: for GitHub a pull request's conversation is an issue's.
//! <https://docs.github.com/en/rest/issues/comments>

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    GitHub, GitHubError,
    pulls::{Login, login},
    rest::{Ask, Changed},
};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenComment")]
pub struct Comment {
    pub id: u64,
    /// The issue or pull request that it stands below.
    pub number: u64,
    pub on_pull_request: bool,
    pub author: String,
    /// Markdown, as its author wrote it.
    pub body: String,
    pub created_at: DateTime<Utc>,
    /// Later than that when it was edited.
    pub updated_at: DateTime<Utc>,
    /// Where people read it.
    pub url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    Eyes,
    ThumbsUp,
    Confused,
}

#[derive(Deserialize)]
struct Given {
    user: Option<Login>,
}

#[derive(Deserialize)]
struct WrittenComment {
    id: u64,
    user: Option<Login>,
    #[serde(default)]
    body: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    html_url: String,
    issue_url: String,
}

impl From<WrittenComment> for Comment {
    fn from(written: WrittenComment) -> Self {
        // GitHub says below what a comment stands in its addresses only.
        let number = written.issue_url.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Self {
            id: written.id,
            number,
            on_pull_request: written.html_url.contains(&format!("/pull/{number}#")),
            author: login(written.user),
            body: written.body.unwrap_or_default(),
            created_at: written.created_at,
            updated_at: written.updated_at,
            url: written.html_url,
        }
    }
}

impl Reaction {
    fn content(self) -> &'static str {
        match self {
            Reaction::Eyes => "eyes",
            Reaction::ThumbsUp => "+1",
            Reaction::Confused => "confused",
        }
    }
}

impl GitHub {
    /// All comments on a pull request, the oldest first.
    pub async fn comments(&self, number: u64) -> Result<Vec<Comment>, GitHubError> {
        let ask = Ask::get(self.url(&["issues", &number.to_string(), "comments"])?);
        self.rest.list::<Vec<Comment>, _>(ask).await
    }

    /// All comments of the repository that were made or edited since, the oldest change first, unless nothing has
    /// changed since `known`, of the same time.
    pub async fn comments_since(
        &self,
        since: DateTime<Utc>,
        known: Option<&str>,
    ) -> Result<Option<Changed<Vec<Comment>>>, GitHubError> {
        let ask = Ask::get(self.url(&["issues", "comments"])?)
            .query("sort", "updated")
            .query("direction", "asc")
            .query("since", &since.to_rfc3339_opts(SecondsFormat::Secs, true));
        self.rest.list_changed::<Vec<Comment>, _>(ask.unless(known)).await
    }

    pub async fn comment(&self, id: u64) -> Result<Comment, GitHubError> {
        self.rest.read(&Ask::get(self.url(&["issues", "comments", &id.to_string()])?)).await
    }

    pub async fn create_comment(&self, number: u64, body: &str) -> Result<Comment, GitHubError> {
        let url = self.url(&["issues", &number.to_string(), "comments"])?;
        self.rest.read(&Ask::post(url, json!({"body": body}))).await
    }

    pub async fn update_comment(&self, id: u64, body: &str) -> Result<Comment, GitHubError> {
        let url = self.url(&["issues", "comments", &id.to_string()])?;
        self.rest.read(&Ask::patch(url, json!({"body": body}))).await
    }

    /// Given twice it stands once.
    /// <https://docs.github.com/en/rest/reactions/reactions#create-reaction-for-an-issue-comment>
    pub async fn react(&self, comment: u64, reaction: Reaction) -> Result<(), GitHubError> {
        let url = self.url(&["issues", "comments", &comment.to_string(), "reactions"])?;
        let ask = Ask::post(url, json!({"content": reaction.content()})).safe_to_repeat();
        self.rest.read::<Value>(&ask).await.map(drop)
    }

    /// Who reacted so to a comment.
    /// <https://docs.github.com/en/rest/reactions/reactions#list-reactions-for-an-issue-comment>
    pub async fn reacted(&self, comment: u64, reaction: Reaction) -> Result<Vec<String>, GitHubError> {
        let url = self.url(&["issues", "comments", &comment.to_string(), "reactions"])?;
        let given = self.rest.list::<Vec<Given>, _>(Ask::get(url).query("content", reaction.content())).await?;
        Ok(given.into_iter().map(|given| login(given.user)).collect())
    }
}
