//! What GitHub's webhook tells, as values.
//!
//! Keeps true: a payload is only read here; who sent it was settled before. All texts in it were written by people who
//! need not be trusted. Never does: I/O.
//!
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use crate::model::commit::CommitId;
use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;

use super::pulls::{End, GHOST, Login, login};

#[derive(Debug, Error)]
#[error("the payload of `{event}` is not what GitHub documents")]
pub struct EventError {
    pub event: &'static str,
    source: serde_json::Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The webhook was set up.
    Ping,
    Push(Push),
    PullRequest(Box<PullRequestEvent>),
    IssueComment(Box<IssueComment>),
    CheckRun(CheckEvent),
    CheckSuite(CheckEvent),
    Installation(InstallationEvent),
    /// Everything else that GitHub knows.
    Unused,
}

/// A branch or tag has moved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Push {
    /// In full: `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// All zeros when it is new.
    pub before: String,
    /// All zeros when it is gone.
    pub after: String,
    pub deleted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestEvent {
    /// `opened`, `reopened`, `synchronize`, `closed`, `ready_for_review`, `edited` and others.
    pub action: String,
    pub number: u64,
    pub title: String,
    pub author: String,
    pub draft: bool,
    pub merged: bool,
    /// The commit that the base got, once it is merged. Before, one that GitHub tries the merge with.
    pub merge_commit: Option<CommitId>,
    pub head: PullEnd,
    pub base: PullEnd,
    /// Whether it is now proposed for another branch: for `edited`.
    pub base_changed: bool,
}

/// One of the two things that a pull request would bring together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullEnd {
    pub branch: String,
    pub commit: CommitId,
    /// `owner/name`. None when the fork was deleted.
    pub repository: Option<String>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueComment {
    /// `created`, `edited` or `deleted`.
    pub action: String,
    pub number: u64,
    pub on_pull_request: bool,
    pub id: u64,
    pub body: String,
    pub author: String,
    /// `User`, `Bot`, `Organization` or `Mannequin`.
    pub author_type: String,
}

/// A check run or a suite of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckEvent {
    /// `rerequested` is what people can ask for.
    pub action: String,
    pub commit: CommitId,
    /// A suite has none.
    pub name: Option<String>,
    pub app: Option<u64>,
    pub external_id: Option<String>,
    /// The pull requests that GitHub knows it to belong to: none of forks.
    pub pulls: Vec<u64>,
}

/// The App was installed somewhere, removed, suspended, allowed more; or the repositories that it sees changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationEvent {
    /// `created`, `deleted`, `suspend`, `unsuspend`, `new_permissions_accepted`; `added` or `removed`.
    pub action: String,
    pub id: u64,
    /// The login of whom it is installed for. An enterprise has none.
    pub account: Option<String>,
}

impl Event {
    /// `name` is that of `X-GitHub-Event`.
    pub fn read(name: &str, body: &[u8]) -> Result<Self, EventError> {
        Ok(match name {
            "ping" => Event::Ping,
            "push" => Event::Push(parsed("push", body)?),
            "pull_request" => Event::PullRequest(Box::new(parsed::<PullPayload>("pull_request", body)?.into())),
            "issue_comment" => Event::IssueComment(Box::new(parsed::<CommentPayload>("issue_comment", body)?.into())),
            "check_run" => {
                let payload: RunPayload = parsed("check_run", body)?;
                Event::CheckRun(payload.check_run.event(payload.action))
            }
            "check_suite" => {
                let payload: SuitePayload = parsed("check_suite", body)?;
                Event::CheckSuite(payload.check_suite.event(payload.action))
            }
            "installation" => parsed::<InstallationPayload>("installation", body)?.into(),
            "installation_repositories" => parsed::<InstallationPayload>("installation_repositories", body)?.into(),
            _ => Event::Unused,
        })
    }
}

fn parsed<T: DeserializeOwned>(event: &'static str, body: &[u8]) -> Result<T, EventError> {
    serde_json::from_slice(body).map_err(|source| EventError { event, source })
}

#[derive(Deserialize)]
struct PullPayload {
    action: String,
    pull_request: PullWritten,
    #[serde(default)]
    changes: ChangedFields,
}

#[derive(Deserialize)]
struct PullWritten {
    number: u64,
    title: String,
    user: Option<Login>,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    merged: Option<bool>,
    merge_commit_sha: Option<CommitId>,
    head: End,
    base: End,
}

/// What was edited, each with what it was.
#[derive(Default, Deserialize)]
struct ChangedFields {
    base: Option<serde::de::IgnoredAny>,
}

impl From<PullPayload> for PullRequestEvent {
    fn from(PullPayload { action, pull_request: pull, changes }: PullPayload) -> Self {
        Self {
            action,
            number: pull.number,
            title: pull.title,
            author: login(pull.user),
            draft: pull.draft,
            merged: pull.merged.unwrap_or(false),
            merge_commit: pull.merge_commit_sha,
            head: pull.head.into(),
            base: pull.base.into(),
            base_changed: changes.base.is_some(),
        }
    }
}

impl From<End> for PullEnd {
    fn from(end: End) -> Self {
        Self { branch: end.branch, commit: end.sha, repository: end.repo.map(|repository| repository.full_name) }
    }
}

#[derive(Deserialize)]
struct CommentPayload {
    action: String,
    issue: Issue,
    comment: CommentWritten,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    /// Where the pull request is, if it is one.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct CommentWritten {
    id: u64,
    #[serde(default)]
    body: Option<String>,
    user: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

impl From<CommentPayload> for IssueComment {
    fn from(CommentPayload { action, issue, comment }: CommentPayload) -> Self {
        let author = comment.user.unwrap_or(Account { login: GHOST.to_owned(), kind: "User".to_owned() });
        Self {
            action,
            number: issue.number,
            on_pull_request: issue.pull_request.is_some(),
            id: comment.id,
            body: comment.body.unwrap_or_default(),
            author: author.login,
            author_type: author.kind,
        }
    }
}

#[derive(Deserialize)]
struct RunPayload {
    action: String,
    check_run: CheckWritten,
}

#[derive(Deserialize)]
struct SuitePayload {
    action: String,
    check_suite: CheckWritten,
}

#[derive(Deserialize)]
struct CheckWritten {
    head_sha: CommitId,
    name: Option<String>,
    app: Option<Numbered>,
    external_id: Option<String>,
    #[serde(default)]
    pull_requests: Vec<Option<PullNumber>>,
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

#[derive(Deserialize)]
struct PullNumber {
    number: u64,
}

impl CheckWritten {
    fn event(self, action: String) -> CheckEvent {
        CheckEvent {
            action,
            commit: self.head_sha,
            name: self.name,
            app: self.app.map(|app| app.id),
            external_id: self.external_id.filter(|id| !id.is_empty()),
            pulls: self.pull_requests.into_iter().flatten().map(|pull| pull.number).collect(),
        }
    }
}

#[derive(Deserialize)]
struct InstallationPayload {
    action: String,
    installation: Installed,
}

#[derive(Deserialize)]
struct Installed {
    id: u64,
    /// May be null, as GitHub describes it.
    account: Option<InstalledFor>,
}

#[derive(Deserialize)]
struct InstalledFor {
    login: Option<String>,
}

impl From<InstallationPayload> for Event {
    fn from(payload: InstallationPayload) -> Self {
        let Installed { id, account } = payload.installation;
        Event::Installation(InstallationEvent {
            action: payload.action,
            id,
            account: account.and_then(|account| account.login),
        })
    }
}
