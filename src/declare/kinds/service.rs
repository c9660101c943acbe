//! `services/NAME.yaml`.

use std::{collections::BTreeMap, num::NonZeroU32};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    BodyText, EnvFile, HostPath, IndexUrl, RolloutKeys, SourceFile, SourceKeys, StateName, UnitName, UrlPath, UserName,
};
use crate::{
    declare::de::At,
    model::{
        confinement::Confinement,
        quantity::{CpuShare, Memory, Span},
    },
};

/// A program kept running by systemd.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub struct ServiceFile {
    /// For people, and for systemd to show.
    pub description: Option<At<String>>,
    /// Where its files come from.
    pub source: At<SourceKeys>,
    /// What is run, and as whom.
    pub run: Run,
    /// On which instances.
    pub place: At<Place>,
    /// Its port, the same on every instance.
    #[schemars(range(min = 1))]
    pub port: At<u16>,
    /// Environment variables. Public: secrets belong into `env_file`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = variable()))]
    pub env: BTreeMap<At<String>, At<String>>,
    /// An environment file on the host, kept by someone else. A change of it restarts the service.
    pub env_file: Option<At<EnvFile>>,
    /// Limits.
    pub resources: Option<Resources>,
    /// How one sees that it works.
    pub health: Option<At<HealthCheck>>,
    /// How a new version takes over.
    pub rollout: Option<RolloutKeys>,
    /// Services that are started before it.
    #[serde(default)]
    pub after: Vec<At<String>>,
    /// Units that ran before evenkeel did; stopped and disabled in the same phase.
    #[serde(default)]
    pub replaces: Vec<At<UnitName>>,
    /// What differs in an environment. Variables are merged, everything else replaces.
    #[serde(default, rename = "in")]
    pub overlays: BTreeMap<At<String>, Overlay>,
}

/// What differs in one environment.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ServiceOverlay")]
pub struct Overlay {
    pub description: Option<At<String>>,
    pub source: Option<At<SourceKeys>>,
    pub run: Option<Run>,
    pub place: Option<At<Place>>,
    #[schemars(range(min = 1))]
    pub port: Option<At<u16>>,
    /// Merged into the service's variables; null takes one away.
    #[serde(default)]
    #[schemars(extend("propertyNames" = variable()))]
    pub env: BTreeMap<At<String>, At<EnvChange>>,
    pub env_file: Option<At<EnvFile>>,
    pub resources: Option<Resources>,
    pub health: Option<At<HealthCheck>>,
    pub rollout: Option<RolloutKeys>,
    pub after: Option<Vec<At<String>>>,
    pub replaces: Option<Vec<At<UnitName>>>,
}

pub(super) fn variable() -> serde_json::Value {
    serde_json::json!({
        "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
        "description": "The name of a variable: letters, digits and `_`, not beginning with a digit."
    })
}

/// A variable's value in an overlay: text, or nothing to take the variable away.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct EnvChange(pub Option<String>);

impl JsonSchema for EnvChange {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EnvChange".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // Null comes first: that is how `schema` tells it from an optional key, where null is refused.
        schemars::json_schema!({"type": ["null", "string"]})
    }
}

/// What is run, and as whom.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The command, split as a shell would, without expansion. The program is an absolute path, or
    /// begins with `./` and is then part of the source; with `python`, a bare name is a program of its
    /// virtual environment.
    pub exec: At<String>,
    /// A virtual environment to run in.
    pub python: Option<Python>,
    /// The user; the fleet's `defaults.user` if not given.
    pub user: Option<At<UserName>>,
    /// Names of state directories, kept across releases.
    #[serde(default)]
    pub state: Vec<StateName>,
    /// Whether the program tells systemd when it serves (sd_notify(3), `READY=1`): only then it counts as started.
    pub notify: Option<bool>,
    /// What systemd does not keep it from, by the names of systemd's directives. Units are confined by default;
    /// `NoNewPrivileges` lifts those that need it with it.
    #[serde(default)]
    pub unconfined: Vec<Confinement>,
}

/// A virtual environment, made on the instance before anything that runs is touched.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// The file of the source that says what is installed, as pip reads it.
    pub requirements: At<SourceFile>,
    /// The interpreter on the host that it is made with; `/usr/bin/python3` if not given.
    pub interpreter: Option<HostPath>,
    /// Where packages come from, as pip's `--index-url`; the public index if not given.
    pub index: Option<IndexUrl>,
    /// A file on the host with the credentials of the index, in the format of `.netrc`.
    pub netrc: Option<At<HostPath>>,
}

/// On which instances a service runs, one replica on each.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["on"]}, {"required": ["where"]}]))]
pub struct Place {
    /// Instances by name. In an environment only its own count.
    pub on: Option<Vec<At<String>>>,
    /// Instances by labels, all of which must be as given.
    #[serde(rename = "where")]
    pub labels: Option<BTreeMap<At<String>, At<String>>>,
    /// With `where`: how many of those that match, by name; all if not given.
    pub replicas: Option<At<NonZeroU32>>,
}

/// Limits, kept by systemd.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    pub memory: Option<Memory>,
    pub cpu: Option<CpuShare>,
}

/// How one sees that a service works: exactly one of `http`, `tcp` and `exec`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Health", extend("oneOf" = [{"required": ["http"]}, {"required": ["tcp"]}, {"required": ["exec"]}]))]
pub struct HealthCheck {
    /// A path that must answer with a status of 200 to 399.
    pub http: Option<UrlPath>,
    /// With `http`: a text that the answer's body has to contain.
    pub body: Option<At<BodyText>>,
    /// The port takes a connection.
    #[schemars(extend("const" = true))]
    pub tcp: Option<bool>,
    /// A command, split as a shell would, that must exit with 0.
    pub exec: Option<At<String>>,
    /// The time between two checks.
    pub interval: Option<At<Span>>,
    /// How long a check may take.
    pub timeout: Option<At<Span>>,
    /// How many checks in a row may fail.
    pub retries: Option<u32>,
    /// How many checks in a row have to pass after a start before the replica counts as healthy; 1 if not given.
    #[schemars(range(min = 1))]
    pub successes: Option<At<u32>>,
    /// How many checks in a row have to fail between deployments until the replica counts as unhealthy; 1 if not given.
    #[schemars(range(min = 1))]
    pub failures: Option<At<u32>>,
    /// For how long a replica that runs may be unhealthy between deployments until it is restarted; the environment's if
    /// not given.
    pub repair_after: Option<At<Span>>,
    /// How often it is restarted for that within an hour; the environment's if not given.
    #[schemars(range(min = 1))]
    pub repair_limit: Option<At<u32>>,
    /// How long after a start failures do not count.
    pub start_period: Option<Span>,
    /// How long the main process has to run without a restart before a check that passes counts. An answer to `http`
    /// tells that the program serves; a port that is open and a command do not.
    pub settle: Option<Span>,
}
