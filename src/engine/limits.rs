//! How long a deployment may take before it counts as failed.

use std::time::Duration;

use crate::{
    host::{PHASE_LIMIT, STAGE_LIMIT},
    model::{
        fleet::Environment,
        plan::{Action, Plan},
    },
};

use super::health;

/// A phase that installs nothing is a matter of seconds; this is for hosts that are slow in everything.
const PLAIN_PHASE: Duration = Duration::from_secs(180);

/// The longest that carrying `plan` out can take while everything is still within its own limits.
pub fn of(plan: &Plan, environment: &Environment) -> Duration {
    let phases = plan.steps.iter().map(|step| step.phase).max().unwrap_or(0);
    let stages = plan.steps.iter().any(|step| matches!(step.action, Action::StageRelease { .. }));
    let mut limit = if stages { STAGE_LIMIT } else { Duration::ZERO };
    for phase in 1..=phases {
        let steps = || plan.steps.iter().filter(|step| step.phase == phase);
        let installs =
            steps().any(|step| matches!(step.action, Action::InstallPackages { .. } | Action::BuildVenv { .. }));
        limit += if installs { PHASE_LIMIT } else { PLAIN_PHASE };
        limit += environment.lost_after.0;
        limit += steps().filter_map(health::longest_wait).max().unwrap_or_default();
    }
    limit
}
