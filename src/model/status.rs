//! How an environment is: the values that `status` answers, that events carry, and that the controller publishes.
//!
//! Owns the view that the socket answers with. Keeps true: what is not known is `Unknown`, never a guess. Never does:
//! finding out how things are, or wording them (that is `report/status.rs`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    belief::Refusal,
    commit::CommitId,
    name::{EnvironmentName, InstanceName, ServiceName},
    outcome::{Deployment, Outcome},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "evenkeel status")]
pub struct StatusView {
    pub environment: EnvironmentName,
    pub branch: String,
    /// The branch's newest commit that is known.
    pub commit: Option<CommitId>,
    /// The newest deployment.
    pub deployed: Option<Deployed>,
    pub sync: Sync,
    pub health: Health,
    pub instances: Vec<InstanceStatus>,
    /// Who reconciles, where someone does.
    pub controller: Option<String>,
    pub last_error: Option<String>,
    /// Whose `last_error` is, for the controller itself.
    #[serde(skip)]
    pub error_of: ErrorOf,
    /// Why the newest commits are not live, and who holds what.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What of the history does not count. Nothing is deployed from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// What would make the environment safer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// What will be deployed, and is not begun yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// RFC 3339; none before the first look.
    pub observed_at: Option<String>,
}

/// What an error is about: one of a sync stays until a sync went well, one of the repository until that can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorOf {
    #[default]
    Pass,
    Repository,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deployed {
    /// None for a work tree.
    pub commit: Option<CommitId>,
    pub generation: u64,
    /// RFC 3339.
    pub when: String,
    /// None while it is under way.
    pub outcome: Option<Outcome>,
}

/// A commit that nothing is wrong with, and whose deployment has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    pub commit: CommitId,
    /// The generation that it will have, unless something comes in between.
    pub generation: u64,
    /// What it waits for.
    #[serde(default)]
    pub on: WaitsOn,
    /// The same, for people.
    pub why: String,
}

/// What a deployment can wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsOn {
    /// The end of the deployment before it.
    #[default]
    Deployment,
    /// Its own builds.
    Builds,
    /// Whoever holds the environment.
    Hold,
    /// Checks that the environment requires.
    Checks,
    /// Somebody who says that the deployed commit is meant to be left out.
    Rewind,
    /// The hours in which deployments may begin.
    Hours,
}

impl WaitsOn {
    /// Whether the notes of the environment tell it.
    pub fn is_noted(self) -> bool {
        match self {
            WaitsOn::Hold | WaitsOn::Checks | WaitsOn::Rewind | WaitsOn::Hours => true,
            WaitsOn::Deployment | WaitsOn::Builds => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    pub name: InstanceName,
    pub address: String,
    pub sync: Sync,
    /// What differs, or why nothing is known.
    pub why: Option<String>,
    pub services: Vec<ServiceStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    pub name: ServiceName,
    pub port: u16,
    pub unit: String,
    pub sync: Sync,
    pub health: Health,
    pub why: Option<String>,
}

/// Whether live is as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    Synced,
    OutOfSync,
    Unknown,
}

/// Whether what runs works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Healthy,
    /// Starting, or being deployed.
    Progressing,
    Degraded,
    Unknown,
}

impl StatusView {
    /// Of an environment that nobody has looked at yet.
    pub fn unknown(environment: EnvironmentName, commit: Option<CommitId>) -> Self {
        Self {
            environment,
            branch: String::new(),
            commit,
            deployed: None,
            sync: Sync::Unknown,
            health: Health::Unknown,
            instances: Vec::new(),
            controller: None,
            last_error: None,
            error_of: ErrorOf::default(),
            notes: Vec::new(),
            refused: Vec::new(),
            advice: Vec::new(),
            waiting: None,
            observed_at: None,
        }
    }

    /// Whether only the time of the look is another one.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let timeless = |view: &Self| Self { observed_at: None, ..view.clone() };
        timeless(self) == timeless(other)
    }
}

impl From<&Deployment> for Deployed {
    fn from(deployment: &Deployment) -> Self {
        Self {
            commit: deployment.commits.environment.clone(),
            generation: deployment.generation,
            when: deployment.started.clone(),
            outcome: deployment.outcome,
        }
    }
}
