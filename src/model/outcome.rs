//! How a deployment ended, and the record that is kept of it.
//!
//! Keeps true: outcomes are distinct and cannot lie.
//!
//! There is one outcome more: `stopped`, for a deployment that failed where `rollback_on_failure` is false.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{
    build::BuiltReleases,
    change::RecordedChange,
    commit::CommitId,
    digest::Digest,
    failure::Failure,
    name::{EnvironmentName, InstanceName},
    plan::{Commits, Summary},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Applied,
    /// Nothing to do; not recorded.
    Unchanged,
    RolledBack,
    RollbackFailed,
    /// Applied everywhere but on instances that could not be reached, or failed and were left out.
    Partial,
    /// It failed and was left as it is, because `rollback_on_failure` is false; the environment is held.
    Stopped,
    Refused,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Unchanged => "unchanged",
            Outcome::RolledBack => "rolled-back",
            Outcome::RollbackFailed => "rollback-failed",
            Outcome::Partial => "partial",
            Outcome::Stopped => "stopped",
            Outcome::Refused => "refused",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a deployment was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A commit asked for it.
    Change,
    /// Live had moved away from what was deployed.
    DriftRepair,
}

/// The version of a record's format. Version 1 keeps each change as a line, version 2 in fields. Since version 3 a failure
/// names its instance and its step only where one failed: what reads 2 at most asks for both, and must say what it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct RecordVersion(u32);

impl RecordVersion {
    /// What is written.
    pub const CURRENT: Self = Self(3);
}

impl<'de> Deserialize<'de> for RecordVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = u32::deserialize(deserializer)?;
        if version > Self::CURRENT.0 {
            let known = Self::CURRENT.0;
            let why = format!(
                "the record has version {version}, and this evenkeel reads {known} at most: install a newer one"
            );
            return Err(D::Error::custom(why));
        }
        Ok(Self(version))
    }
}

/// `deployment.json` on the history branch, as it is written: [`RecordedDeployment`] is what it is read as.
/// Times are RFC 3339 in UTC, durations milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Deployment {
    pub version: RecordVersion,
    pub environment: EnvironmentName,
    pub generation: u64,
    pub kind: Kind,
    pub commits: Commits,
    pub plan_digest: Digest,
    /// Over what the commits declare.
    #[serde(default)]
    pub desired: Option<Digest>,
    pub triggered_by: String,
    pub controller: String,
    /// Where that controller sits: the same after its restart.
    #[serde(default, rename = "seat")]
    pub controller_id: String,
    pub started: String,
    /// Set where another controller took it over from the one that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<TakenOver>,
    /// None of an intent.
    pub outcome: Option<Outcome>,
    pub duration_ms: Option<u64>,
    // What was planned; in an outcome without the instances that failed and were left out, as `changes` is.
    pub summary: Summary,
    /// What was built for it, or for one before it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub builds: BuiltReleases,
    /// Instances that the plan changes.
    #[serde(default)]
    pub touches: BTreeSet<InstanceName>,
    /// The longest it may last before it counts as failed. Another controller waits so long before it
    /// takes an intent without outcome for abandoned.
    #[serde(default)]
    pub limit_ms: u64,
    /// What was planned, one change for each resource on each instance; in an outcome without the instances that
    /// failed and were left out.
    pub changes: Vec<RecordedChange>,
    /// Who may have caused the drift that was repaired: a hint, never more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<String>,
    /// Over what it is refused for, without the wording: the same refusal is recorded once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_for: Option<Digest>,
    /// What failed, where it was not left out.
    pub failure: Option<Failure>,
    /// Instances that were not reached, each with the reason.
    pub unreached: BTreeMap<InstanceName, String>,
    /// Of those, the ones that somebody left out by choice.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<InstanceName>,
    /// Instances that failed and were left out, each with why; the deployment is undone there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Failure>,
    /// What was left half-way where undoing failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_undone: Vec<Failure>,
}

/// A deployment that has begun and is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent(Deployment);

impl Intent {
    /// Begins one, whatever the value says of an end.
    pub fn begun(deployment: Deployment) -> Self {
        Self(Deployment { outcome: None, ..deployment })
    }

    /// As one of the controller that takes it over.
    pub fn claimed_by(self, controller: String, controller_id: String, from: TakenOver) -> Self {
        Self(Deployment { controller, controller_id, taken_over: Some(from), ..self.0 })
    }

    pub fn into_deployment(self) -> Deployment {
        self.0
    }
}

impl Deref for Intent {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.0
    }
}

/// A deployment that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    outcome: Outcome,
    deployment: Deployment,
}

impl Conclusion {
    pub fn new(deployment: Deployment, outcome: Outcome) -> Self {
        // An intent of an earlier version may end in a failure of this one.
        let version = RecordVersion::CURRENT;
        Self { outcome, deployment: Deployment { version, outcome: Some(outcome), ..deployment } }
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// As one of which less was done than was planned.
    pub fn narrowed(self, summary: Summary, changes: Vec<RecordedChange>) -> Self {
        Self { deployment: Deployment { summary, changes, ..self.deployment }, ..self }
    }

    pub fn numbered(self, generation: u64) -> Self {
        Self { deployment: Deployment { generation, ..self.deployment }, ..self }
    }
}

impl Deref for Conclusion {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}

/// A deployment as the history tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Deployment")]
pub enum RecordedDeployment {
    Intent(Intent),
    Conclusion(Conclusion),
}

impl RecordedDeployment {
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            RecordedDeployment::Intent(intent) => Some(intent),
            RecordedDeployment::Conclusion(_) => None,
        }
    }

    pub fn conclusion(&self) -> Option<&Conclusion> {
        match self {
            RecordedDeployment::Intent(_) => None,
            RecordedDeployment::Conclusion(conclusion) => Some(conclusion),
        }
    }
}

impl From<Intent> for RecordedDeployment {
    fn from(intent: Intent) -> Self {
        RecordedDeployment::Intent(intent)
    }
}

impl From<Conclusion> for RecordedDeployment {
    fn from(conclusion: Conclusion) -> Self {
        RecordedDeployment::Conclusion(conclusion)
    }
}

impl From<Deployment> for RecordedDeployment {
    fn from(deployment: Deployment) -> Self {
        match deployment.outcome {
            None => RecordedDeployment::Intent(Intent(deployment)),
            Some(outcome) => RecordedDeployment::Conclusion(Conclusion { outcome, deployment }),
        }
    }
}

impl Deref for RecordedDeployment {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        match self {
            RecordedDeployment::Intent(intent) => intent,
            RecordedDeployment::Conclusion(conclusion) => conclusion,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TakenOver {
    /// The controller before.
    pub from: String,
    /// RFC 3339.
    pub at: String,
}

/// What kind of failure it was: not each says something of the commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// What the commits declare failed: a unit does not start, nginx refuses a file, a package or a requirement does
    /// not exist, a replica does not become healthy.
    #[default]
    Step,
    /// The instance did not carry a step out, whatever the commits say: its disk is full or read-only, somebody holds a
    /// lock, an index does not answer, evenkeel's own unit is not let work there.
    Host,
    /// The instance was lost while it was changed.
    Lost,
    /// A person cancelled it.
    Cancelled,
    /// Something on the instance had changed since the plan, or another deployment ran there.
    Overtaken,
    /// The controller, or the host, was stopped in the middle.
    Interrupted,
    /// It was refused, and nothing was touched.
    Refused,
    /// What it deploys could not be built, and nothing was touched.
    Build,
}

impl Cause {
    /// Whether the commits are quarantined. A closed list: all else is tried again.
    pub fn condemns(self) -> bool {
        match self {
            Cause::Step | Cause::Lost | Cause::Cancelled | Cause::Build => true,
            Cause::Host | Cause::Overtaken | Cause::Interrupted | Cause::Refused => false,
        }
    }
}

/// A commit on the history branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub commit: CommitId,
    pub deployment: RecordedDeployment,
}
