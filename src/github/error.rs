//! What can go wrong with GitHub, said so that a person knows where and what to do next.
//!
//! Keeps true: no text holds a token, a key or a query; what GitHub says is bounded, on one line, with its control
//! characters visible; none repeats its source's text.

use std::{fmt, io, path::PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::secret::Secret;
use crate::report::words::{clip, one_line};

/// As much of GitHub's words is told.
const TOLD: usize = 300;

#[derive(Debug, Error)]
pub enum GitHubError {
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },

    #[error("{} cannot be used: {why}", path.display())]
    Unusable { path: PathBuf, why: &'static str },

    #[error("cannot make an HTTP client for GitHub")]
    Client { source: reqwest::Error },

    #[error("`{text}` cannot stand in a path of GitHub's API")]
    Segment { text: String },

    #[error("{call} got no answer")]
    Http { call: Call, source: reqwest::Error },

    #[error("{call}: GitHub answered {status}{}", said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    Status { call: Call, status: StatusCode, said: Option<String>, accepted: Option<String> },

    #[error("{call}: GitHub's limit is used up until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true))]
    Limited { call: Call, until: DateTime<Utc> },

    #[error("{call}: the answer sends us on to {to}, where our token does not go")]
    Elsewhere { call: Call, to: String },

    #[error("{call}: the answer is larger than {most} bytes")]
    TooLarge { call: Call, most: usize },

    #[error("{call}: there are more than {most} pages")]
    TooManyPages { call: Call, most: usize },

    #[error("{call}: the answer is not what GitHub documents")]
    Unreadable { call: Call, source: serde_json::Error },

    #[error("the GitHub App {app} is not installed on {repository}")]
    NotInstalled { app: u64, repository: String },

    #[error("the installation of the GitHub App {app} on {repository} is suspended")]
    Suspended { app: u64, repository: String },
}

/// A request as it is told: no host, no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    method: Method,
    path: String,
}

impl Call {
    pub(super) fn new(method: &Method, url: &Url) -> Self {
        Self { method: method.clone(), path: url.path().to_owned() }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl GitHubError {
    /// The next move, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            GitHubError::File { .. } => "check that it is there, and may be read".to_owned(),
            GitHubError::Unusable { .. } => "write the App's private key into it as GitHub gave it, or the token, \
                and nothing else"
                .to_owned(),
            GitHubError::Client { .. } => "check --ca-file: it holds certificates in PEM".to_owned(),
            GitHubError::Http { .. } => {
                "check --github-url, and that the way there is free: name, port, HTTPS_PROXY, firewall, --ca-file"
                    .to_owned()
            }
            GitHubError::Status { status, accepted, .. } => return by_status(*status, accepted.as_deref()),
            GitHubError::Limited { .. } => "wait; or find who else uses up this App's or token's limit".to_owned(),
            GitHubError::Elsewhere { .. } => {
                "name where the repository is now with --github-repository and --github-url".to_owned()
            }
            GitHubError::NotInstalled { .. } => "install the App on the repository, from the App's settings; \
                `evenkeel github setup` says what it must be allowed"
                .to_owned(),
            GitHubError::Suspended { .. } => "unsuspend it where it is installed: in the settings of the repository's \
                owner, below GitHub Apps; or ask who suspended it"
                .to_owned(),
            GitHubError::Segment { .. }
            | GitHubError::TooLarge { .. }
            | GitHubError::TooManyPages { .. }
            | GitHubError::Unreadable { .. } => return None,
        })
    }

    /// Whether GitHub said that there is no such thing, or none that we may see.
    pub fn is_not_found(&self) -> bool {
        matches!(self, GitHubError::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// Whether the same may go well later, with nothing changed here.
    pub fn may_pass(&self) -> bool {
        match self {
            GitHubError::Http { .. } | GitHubError::Limited { .. } => true,
            GitHubError::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// What an answer that is no success says.
    pub(super) fn answered(call: Call, status: StatusCode, body: &[u8], accepted: Option<&str>, hide: &Secret) -> Self {
        let said = said(body).map(|said| clip(&one_line(&hide.hide_in(&said)), TOLD)).filter(|said| !said.is_empty());
        let accepted = accepted.map(|accepted| clip(&one_line(&hide.hide_in(accepted)), TOLD));
        GitHubError::Status { call, status, said, accepted }
    }
}

fn by_status(status: StatusCode, accepted: Option<&str>) -> Option<String> {
    match (status, accepted) {
        (StatusCode::UNAUTHORIZED, _) => Some(
            "the token or key is not valid, or has ended, or this machine's clock is wrong; write a new one into \
             its file"
                .to_owned(),
        ),
        (StatusCode::FORBIDDEN, Some(accepted)) => {
            Some(format!("allow the App or token one of: {accepted}; `evenkeel github check` says all that is missing"))
        }
        (StatusCode::FORBIDDEN, None) => Some("a permission is missing; `evenkeel github check` says which".to_owned()),
        (StatusCode::NOT_FOUND, _) => {
            Some("it does not exist, or the App or token may not see it; see `evenkeel github check`".to_owned())
        }
        (status, _) if status.is_server_error() => {
            Some("try again later; https://www.githubstatus.com says how GitHub is".to_owned())
        }
        _ => None,
    }
}

/// GitHub's words: its message, and for what it finds invalid, what that is.
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed>
pub(super) fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct GitHubSaid {
        message: String,
        #[serde(default)]
        errors: Vec<Value>,
    }
    let said: GitHubSaid = serde_json::from_slice(body).ok()?;
    let detail = |error: &Value| match error {
        Value::String(text) => Some(text.clone()),
        error => match error["message"].as_str() {
            Some(message) => Some(message.to_owned()),
            None => Some(format!("{} {}", error["field"].as_str()?, error["code"].as_str()?)),
        },
    };
    let details: Vec<String> = said.errors.iter().filter_map(detail).collect();
    if details.is_empty() { Some(said.message) } else { Some(format!("{} ({})", said.message, details.join("; "))) }
}
