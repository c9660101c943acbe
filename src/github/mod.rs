//! GitHub: pull requests, comments, checks, deployments, and what its webhook tells.
//!
//! Owns: signing in, the one client of the REST API, and the payloads of events as values. Keeps true: tokens and keys
//! are read from files at each use and never shown; GitHub's limits are kept to; what strangers wrote comes as values
//! and is obeyed nowhere in here. Never decides what to say or to do: that is `report` and `pulls`.
//!
//! Asking GitHub. Everything goes through `github/rest.rs`. When GitHub says wait, every request waits; who would
//! wait long is told until when instead. Writes go one at a time and begin a second apart, the first after a pause at
//! once. What may have been carried out is not sent twice, unless the endpoint's function says that this does no
//! harm. A token goes to the API's own host only, also where an answer leads elsewhere, and to git's on the same
//! GitHub: `git/` asks for it through a port, `TokenSource`, at each request, and once more when it is refused. What
//! GitHub tells of an installation makes the sign-in forget what it had and ask anew; it says nothing by itself. What
//! people may do is asked of GitHub and never taken from a payload; rights of commands are those of the default
//! branch, and what GitHub does not say is no. A fork's plan is of a commit: the named one, or the one that our
//! comment told before the command was written, by GitHub's clock.

mod checks;
mod comments;
mod deployments;
mod error;
pub mod event;
mod jwt;
mod limits;
mod people;
mod pulls;
mod repository;
mod rest;
pub mod rules;
mod secret;
pub mod settings;
pub mod setup;
mod sign_in;
mod statuses;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::Url;

pub use crate::model::rights::Permission;
pub use checks::CheckRun;
pub use comments::{Comment, Reaction};
pub use deployments::{Deployment, DeploymentState, DeploymentStatus, NewDeployment, NewDeploymentStatus};
pub use error::{Call, GitHubError};
pub use limits::Pace;
pub use pulls::NewPull;
pub use repository::Repository;
pub use rest::Changed;
pub use settings::{RepositoryName, Settings, SettingsError, SignIn};
pub use sign_in::Installation;
pub use statuses::CommitStatus;

use rest::Rest;

/// What time it is. Handed in, so that an hour of tokens is a test of milliseconds.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// One repository of a GitHub, signed in.
pub struct GitHub {
    rest: Rest,
    repository: RepositoryName,
    /// The check runs of ours that have not ended.
    runs: Mutex<checks::Runs>,
}

impl GitHub {
    /// Asks nothing yet.
    pub fn open(settings: &Settings) -> Result<Self, GitHubError> {
        Self::with(settings, Pace::default(), Arc::new(Utc::now))
    }

    /// With times and a clock of one's own.
    pub fn with(settings: &Settings, pace: Pace, clock: Clock) -> Result<Self, GitHubError> {
        let rest = Rest::new(settings, pace, clock)?;
        Ok(Self { rest, repository: settings.repository.clone(), runs: Mutex::default() })
    }

    /// Its `owner/name`.
    pub fn name(&self) -> &RepositoryName {
        &self.repository
    }

    /// Whether a repository at this address is one of this GitHub's: its API may have a host of its own.
    pub fn serves(&self, address: &Url) -> bool {
        setup::web(self.rest.wire.api()).is_ok_and(|web| web.origin() == address.origin())
    }

    /// Check runs are for Apps only.
    pub fn is_app(&self) -> bool {
        matches!(self.rest.session.sign_in, SignIn::App { .. })
    }

    /// The address of a thing in this repository.
    fn url(&self, segments: &[&str]) -> Result<Url, GitHubError> {
        let RepositoryName { owner, name } = &self.repository;
        self.rest.wire.url(&[&["repos", owner, name], segments].concat())
    }
}
