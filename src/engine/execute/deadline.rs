//! How long a deployment may take before it counts as failed.
//!
//! An intent names the longest that its deployment may take. That is how another controller knows when it may take it
//! for abandoned, without a clock that both share and without a lease that must be renewed.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    engine::observe::health,
    host::{PHASE_LIMIT, STAGE_LIMIT},
    model::{
        fleet::Environment,
        plan::{Action, Plan, Step, Takes},
    },
};

/// A phase that installs nothing is a matter of seconds; this is for hosts that are slow in everything.
const PLAIN_PHASE: Duration = Duration::from_secs(180);
/// How long systemd waits for a unit to end before it kills it: its default (systemd-system.conf(5),
/// `DefaultTimeoutStopSec=`), for our units declare nothing else.
const STOP: Duration = Duration::from_secs(90);

/// The longest that carrying `plan` out can take while everything is still within its own limits.
pub fn of(plan: &Plan, environment: &Environment) -> Duration {
    let stages = plan.steps.iter().any(|step| step.action.traits().takes == Takes::Upload);
    let mut limit = if stages { STAGE_LIMIT } else { Duration::ZERO };
    for phase in plan.phases() {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.phase == phase).collect();
        limit += script(&steps);
        limit += environment.lost_after.0;
        limit += steps.iter().filter_map(|step| longest_wait(plan, step)).max().unwrap_or_default();
    }
    limit
}

/// The longest that a step waits for a replica; after a pause it is asked once more.
fn longest_wait(plan: &Plan, step: &Step) -> Option<Duration> {
    let Action::Pause { unit, span } = &step.action else { return health::longest_wait(step) };
    let of_unit =
        plan.steps.iter().filter(|other| other.instance == step.instance && other.action.awaited() == Some(unit));
    Some(span.0 + of_unit.filter_map(health::longest_wait).max().unwrap_or_default())
}

/// The longest that a phase's scripts can take: each host stops one unit after the other, and ends its script at
/// [`PHASE_LIMIT`].
fn script(steps: &[&Step]) -> Duration {
    let that_take = |takes| steps.iter().filter(move |step| step.action.traits().takes == takes);
    if that_take(Takes::PhaseTime).next().is_some() {
        return PHASE_LIMIT;
    }
    let mut stops = BTreeMap::new();
    for step in that_take(Takes::StopTime) {
        *stops.entry(&step.instance).or_insert(0) += 1;
    }
    (PLAIN_PHASE + STOP * stops.into_values().max().unwrap_or(0)).min(PHASE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        desired::Resource,
        name::InstanceName,
        plan::{Commits, Phase, StepId},
    };

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn environment() -> Environment {
        use crate::model::{drift::DriftPolicy, quantity::Span};
        Environment {
            name: "test".parse().expect("a name"),
            branch: "main".to_owned(),
            observe_interval: Span(seconds(30)),
            drift: DriftPolicy::default(),
            rollback_on_failure: true,
            on_instance_failure: Default::default(),
            lost_after: Span(seconds(60)),
            keep_releases: 5,
            calendar: Default::default(),
            require_checks: Vec::new(),
        }
    }

    /// How long steps may take, each in its phase on its instance.
    fn limit(steps: impl IntoIterator<Item = (u32, &'static str, Action)>) -> Duration {
        let step = |(wave, instance, action): (u32, &str, Action)| {
            let instance: InstanceName = instance.parse().expect("a name");
            let (resource, phase) = (Resource::Packages, Phase { wave, stage: 0 });
            let id = StepId::new(&instance, &resource, action.verb(), &action.subject());
            Step { id, instance, phase, resource, action, reason: String::new() }
        };
        let plan = Plan {
            environment: "test".parse().expect("a name"),
            commits: Commits::default(),
            instances: BTreeMap::new(),
            steps: steps.into_iter().map(step).collect(),
            findings: Vec::new(),
            services: 0,
            interrupted: Default::default(),
        };
        of(&plan, &environment())
    }

    fn restart(number: u32) -> Action {
        Action::RestartUnit { unit: format!("a@{number}.service") }
    }

    #[test]
    fn a_plan_that_stops_nothing_is_over_soon() {
        let start = Action::StartUnit { unit: "a@1.service".to_owned() };
        assert_eq!(limit([(1, "h1", start)]), PLAIN_PHASE + seconds(60));
    }

    #[test]
    fn units_that_stop_slowly_on_one_instance_one_after_the_other_are_waited_for() {
        let stop = Action::StopUnit { unit: "b@1.service".to_owned(), foreign: true };
        let four = (0..3).map(|number| (1, "h1", restart(number))).chain([(1, "h1", stop)]);
        assert!(limit(four) > seconds(4 * 90 + 60));
        let twelve = (0..12).map(|number| (1, "h1", restart(number)));
        assert!(limit(twelve) > seconds(12 * 30 + 60));
    }

    #[test]
    fn instances_stop_their_units_at_the_same_time() {
        let one = limit([(1, "h1", restart(1))]);
        assert_eq!(limit([(1, "h1", restart(1)), (1, "h2", restart(1))]), one);
        assert_eq!(limit([(1, "h1", restart(1)), (2, "h2", restart(1))]), 2 * one, "phases come after one another");
    }

    #[test]
    fn no_phase_is_given_longer_than_its_host_gives_it() {
        let many = (0..100).map(|number| (1, "h1", restart(number)));
        assert_eq!(limit(many), PHASE_LIMIT + seconds(60));
    }
}
