//! `fleet.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Allow, UserName};
use crate::{declare::de::At, model::quantity::Span};

/// What holds for the whole fleet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Fleet")]
pub struct FleetFile {
    /// The prefix of everything evenkeel makes on a host: 1 to 31 lower-case letters, digits and `_`.
    #[schemars(with = "String")]
    pub name: At<crate::model::name::FleetName>,
    /// For people.
    pub description: Option<String>,
    /// How instances are logged in to where they do not say otherwise.
    #[serde(default)]
    pub ssh: SshDefaults,
    /// What services get where they do not say otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// What services and sites may ask of root, beyond what is safe without a grant. Read from the default branch only.
    pub allow: Option<Allow>,
    /// The loopback port on which nginx answers which configuration it runs; 19180 if not given.
    #[schemars(range(min = 1))]
    pub digest_port: Option<At<u16>>,
    /// What is done with pull requests to the config repository.
    #[serde(default)]
    pub pull_requests: PullRequestRules,
    /// The public keys whose commits of the history count: those of controllers, and of people who use `apply` or
    /// controls without one. Each is a line as in `authorized_keys`: `ssh-ed25519 AAAA… NAME`. Without the list every
    /// commit of the history counts that names only merged commits.
    #[schemars(length(min = 1))]
    pub history_writers: Option<Vec<At<String>>>,
}

/// What is done with pull requests to the config repository.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PullRequests")]
pub struct PullRequestRules {
    /// Whether one from a fork is planned at once; false if not given: then somebody with the right to `plan`
    /// has to ask for it with `/evenkeel plan`. Nothing of it is run either way.
    pub plan_forks: Option<bool>,
}

/// How to log in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Ssh")]
pub struct SshDefaults {
    /// The user; `root` if not given. Any other needs `sudo` without a password.
    pub user: Option<UserName>,
    /// The port of sshd; 22 if not given.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
}

/// What services get where they do not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The user that services run as.
    pub user: Option<At<UserName>>,
    /// How health is checked.
    #[serde(default)]
    pub health: HealthDefaults,
}

/// How health is checked where a service does not say.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthDefaults {
    /// The time between two checks; 5s if not given.
    pub interval: Option<At<Span>>,
    /// How long a check may take; 2s if not given.
    pub timeout: Option<At<Span>>,
    /// How many checks in a row may fail; 3 if not given.
    pub retries: Option<u32>,
    /// How many checks in a row have to fail between deployments until a replica counts as unhealthy; 1 if not given.
    #[schemars(range(min = 1))]
    pub failures: Option<At<u32>>,
    /// How long after a start failures do not count; 30s if not given.
    pub start_period: Option<Span>,
    /// How long the main process has to run without a restart before a check that passes counts. If not given: 0s with
    /// `http`, whose answer tells that the program serves; 10s with `tcp` and `exec`, where nothing else tells.
    pub settle: Option<Span>,
    /// How many checks in a row have to pass after a start before the replica counts as healthy; 1 if not given.
    #[schemars(range(min = 1))]
    pub successes: Option<At<u32>>,
}
