//! `environments/NAME.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Branch, Commands, FreezeKeys, RolloutKeys, WindowKeys};
use crate::{
    declare::de::At,
    model::{
        drift::{Difference, DriftRule},
        quantity::Span,
    },
};

/// A branch and the instances that follow it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Environment")]
pub struct EnvironmentFile {
    /// For people.
    pub description: Option<String>,
    /// The branch whose services, sites and code are deployed.
    pub branch: Branch,
    /// How often the loop looks for drift; 30s if not given.
    pub observe_interval: Option<At<Span>>,
    /// What is done about a difference that no commit asked for: it is repaired (if not given), reported
    /// and left, or ignored.
    pub drift: Option<DriftRule>,
    /// The same for single kinds of difference: `files`, `modes`, `processes`, `enabled`, `packages`,
    /// `releases`, `nginx`, `units`. What changes a unit besides its file is reported if not given; evenkeel did not make
    /// it, and does not repair it.
    pub drift_of: Option<BTreeMap<Difference, At<DriftRule>>>,
    /// Whether a deployment that fails is undone everywhere; true if not given. With false it stops
    /// where it failed, and the environment is held until somebody resumes it.
    pub rollback_on_failure: Option<bool>,
    /// What becomes of a deployment when an instance fails: `undo` (if not given) undoes it on every instance;
    /// `leave-out` undoes it on that instance alone and goes on with the others. A commit that fails on every instance
    /// is undone either way.
    pub on_instance_failure: Option<InstanceFailureRule>,
    /// With `on_instance_failure: leave-out`, how many instances may be left out before the deployment is undone
    /// everywhere; 1 if not given.
    #[schemars(range(min = 1))]
    pub leave_out_at_most: Option<At<u32>>,
    /// For how long a replica that runs may be unhealthy between deployments until it is restarted; it is not if not
    /// given.
    pub repair_after: Option<At<Span>>,
    /// How often a replica is restarted for that within an hour; 3 if not given.
    #[schemars(range(min = 1))]
    pub repair_limit: Option<At<u32>>,
    /// How long an instance may be out of reach while it is changed before the deployment counts as
    /// failed; 60s if not given.
    pub lost_after: Option<At<Span>>,
    /// How many releases stay on an instance beyond those that are in use, the newest first: 5 if not given.
    pub keep_releases: Option<u32>,
    /// Names of checks that must be green on a commit before it is deployed; none if not given. GitHub is asked, so
    /// the controller has to be signed in there.
    pub require_checks: Option<Vec<String>>,
    /// When deployments may begin: while any of these is open. Always if not given. What repairs drift or goes back may
    /// at any time.
    pub windows: Option<Vec<WindowKeys>>,
    /// When none begins, whatever `windows` says.
    pub freezes: Option<Vec<FreezeKeys>>,
    /// How new versions take over of services that do not say it themselves.
    pub rollout: Option<RolloutKeys>,
    /// Who may give which command in a comment on a pull request.
    #[serde(default)]
    pub commands: Commands,
}

/// What becomes of the other instances when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceFailureRule {
    /// The deployment is undone everywhere.
    Undo,
    /// The deployment is undone on that instance alone.
    LeaveOut,
}
