//! Signing in: as an App's installation, or with a token.
//!
//! Keeps true: a key or token is read from its file at each use, so it is rotated without a restart; an installation's
//! token is good for one repository, renewed well before it ends, and by one request at a time; what GitHub tells of an
//! installation is a reason to ask, and nothing more.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation>

use std::{collections::BTreeMap, path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    Clock, GitHub, GitHubError, RepositoryName, SignIn,
    event::InstallationEvent,
    jwt,
    rest::{Ask, Wire},
    secret::Secret,
};

/// A token is good for an hour. What is left of it when it is renewed covers the longest request with its retries.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(10);
/// How often that is tried while what is left of it is good.
const BETWEEN_TRIES: TimeDelta = TimeDelta::minutes(1);
/// How long another one is waited for while one is left.
const WHILE_ONE_IS_LEFT: Duration = Duration::from_secs(5);

pub(super) struct Session {
    pub(super) sign_in: SignIn,
    repository: RepositoryName,
    clock: Clock,
    /// Whoever renews it holds it.
    token: tokio::sync::Mutex<Option<InstallationToken>>,
}

#[derive(Debug)]
struct InstallationToken {
    secret: Secret,
    ends: DateTime<Utc>,
    /// From when on another one is asked for.
    renewed_from: DateTime<Utc>,
    /// The number of the installation that it is one of.
    installation: u64,
}

/// An App where it is installed.
#[derive(Debug, Clone, Deserialize)]
pub struct Installation {
    pub id: u64,
    /// What it may do: `read`, `write` or `admin` for each kind of thing.
    pub permissions: BTreeMap<String, String>,
    /// What it is told.
    #[serde(default)]
    pub events: Vec<String>,
    /// Since when it may do nothing.
    #[serde(default)]
    pub suspended_at: Option<String>,
}

impl Session {
    pub(super) fn new(sign_in: SignIn, repository: RepositoryName, clock: Clock) -> Self {
        Self { sign_in, repository, clock, token: tokio::sync::Mutex::default() }
    }

    /// What lets a request in.
    pub(super) async fn bearer(&self, wire: &Wire) -> Result<Secret, GitHubError> {
        let (app, key_file) = match &self.sign_in {
            SignIn::App { id, key_file } => (*id, key_file),
            SignIn::Token { file } => return Secret::read_line(file).await,
        };
        let mut token = self.token.lock().await;
        let now = (self.clock)();
        if let Some(left) = token.as_mut().filter(|token| token.ends > now) {
            if now < left.renewed_from {
                return Ok(left.secret.clone());
            }
            left.renewed_from = now + BETWEEN_TRIES;
        }
        let renewing = self.renew(app, key_file, wire);
        let Some(left) = token.as_ref().filter(|token| token.ends > now) else {
            return Ok(token.insert(renewing.await?).secret.clone());
        };
        // It is not wasted while GitHub's API is away or hangs: git may be well, and waits for this.
        match timeout(WHILE_ONE_IS_LEFT, renewing).await {
            Err(_) => Ok(left.secret.clone()),
            Ok(Err(error)) if error.may_pass() => Ok(left.secret.clone()),
            Ok(renewed) => Ok(token.insert(renewed?).secret.clone()),
        }
    }

    /// GitHub takes this one no longer. Whether another one may be had.
    pub(super) async fn refused(&self, bearer: &Secret) -> bool {
        let mut token = self.token.lock().await;
        // Somebody may have renewed it in the meantime.
        token.take_if(|token| token.secret == *bearer);
        matches!(self.sign_in, SignIn::App { .. })
    }

    /// Something became of an installation. Whether it is ours: then the next request signs in anew.
    pub(super) async fn forget(&self, told: &InstallationEvent) -> bool {
        if matches!(self.sign_in, SignIn::Token { .. }) {
            return false;
        }
        let mut token = self.token.lock().await;
        // Installed again it has another number, but an account has one installation of an App.
        let on_ours = told.account.as_ref().is_some_and(|account| account.eq_ignore_ascii_case(&self.repository.owner));
        let is_ours = on_ours || token.as_ref().is_some_and(|token| token.installation == told.id);
        if is_ours {
            *token = None;
        }
        is_ours
    }

    /// What the App itself is let in by: for questions about it and its installations. None with a token.
    pub(super) async fn as_app(&self) -> Result<Option<Secret>, GitHubError> {
        match &self.sign_in {
            SignIn::App { id, key_file } => jwt::make(*id, key_file, (self.clock)()).await.map(Some),
            SignIn::Token { .. } => Ok(None),
        }
    }

    /// The App's installation on the repository. None with a token.
    pub(super) async fn installation(&self, wire: &Wire) -> Result<Option<Installation>, GitHubError> {
        match &self.sign_in {
            SignIn::App { id, key_file } => {
                let key = jwt::make(*id, key_file, (self.clock)()).await?;
                self.installed(*id, &key, wire).await.map(Some)
            }
            SignIn::Token { .. } => Ok(None),
        }
    }

    async fn installed(&self, app: u64, key: &Secret, wire: &Wire) -> Result<Installation, GitHubError> {
        let RepositoryName { owner, name } = &self.repository;
        let ask = Ask::get(wire.url(&["repos", owner, name, "installation"])?);
        match wire.exchange(&ask, key).await {
            Err(error) if error.is_not_found() => {
                Err(GitHubError::NotInstalled { app, repository: self.repository.to_string() })
            }
            answer => answer?.read(),
        }
    }

    async fn renew(&self, app: u64, key_file: &Path, wire: &Wire) -> Result<InstallationToken, GitHubError> {
        #[derive(Deserialize)]
        struct MadeToken {
            token: String,
            expires_at: DateTime<Utc>,
        }
        let key = jwt::make(app, key_file, (self.clock)()).await?;
        // Asked anew each time: whoever installs the App again gives it another number.
        let installation = self.installed(app, &key, wire).await?;
        if installation.suspended_at.is_some() {
            return Err(GitHubError::Suspended { app, repository: self.repository.to_string() });
        }
        let url = wire.url(&["app", "installations", &installation.id.to_string(), "access_tokens"])?;
        // Nobody reads it, so it need not wait for its turn among the writes.
        let ask = Ask::post(url, json!({"repositories": [self.repository.name]})).safe_to_repeat().at_once();
        let made: MadeToken = wire.exchange(&ask, &key).await?.read()?;
        let (ends, renewed_from) = (made.expires_at, made.expires_at - RENEWED_BEFORE);
        Ok(InstallationToken { secret: Secret::new(made.token), ends, renewed_from, installation: installation.id })
    }
}

impl GitHub {
    /// What git logs in with at this GitHub, besides the user `x-access-token`: the token that requests are signed with.
    pub async fn token(&self) -> Result<String, GitHubError> {
        self.rest.session.bearer(&self.rest.wire).await.map(|secret| secret.reveal().to_owned())
    }

    /// GitHub takes this token no longer. Whether another may be had.
    pub async fn refused(&self, token: &str) -> bool {
        self.rest.session.refused(&Secret::new(token.to_owned())).await
    }

    /// Forgets what it signed in with, where it is our installation that this became of. Whether it was.
    pub async fn forget_installation(&self, told: &InstallationEvent) -> bool {
        self.rest.session.forget(told).await
    }
}
