//! The planner: what differs between desired and live, in which order it is changed, and what is refused.
//!
//! Keeps true: pure; the same values give the same plan; nothing is planned from the lack of an answer;
//! every step says why. Applying makes no choice that is not made here.
//!
//! The same values give the same plan. Every step says why; reasons inform people and never steer. A plan
//! with an error among its findings is never carried out, on no instance. A path that exists and is not in the
//! instance's manifest is refused by name; the one exception is what `replaces` and `replaces_default` name.

mod certificates;
mod confined;
pub mod drift;
mod files;
mod fronts;
mod guard;
mod instance;
mod links;
mod moved;
mod packages;
mod ports;
mod programs;
mod releases;
mod replica;
mod rollout;
mod served;
mod site;
mod units;
mod venv;

use std::collections::BTreeMap;

pub use drift::Leave;
pub use moved::moved;

use crate::model::{
    desired::{Desired, Resource},
    digest::Digest,
    fleet::Fleet,
    name::InstanceName,
    observation::Observation,
    plan::{Commits, InstancePlan, InstanceState, Plan},
    release::Release,
    seen::Seen,
};

/// Observations by instance; the error is why there is none.
pub type Observed = BTreeMap<InstanceName, Result<Observation, String>>;

/// Everything a plan is made from.
pub struct Inputs<'a> {
    pub fleet: &'a Fleet,
    pub commits: Commits,
    pub desired: &'a BTreeMap<InstanceName, Desired>,
    pub releases: &'a BTreeMap<Digest, &'a Release>,
    pub observed: &'a Observed,
    /// The newest generation that the history tells of; None where there is no history, or it was not asked.
    pub newest_generation: Option<u64>,
    /// Why a resource's files are others although the config repository says the same, in words.
    pub moved: &'a BTreeMap<Resource, String>,
    /// What stays as it is although it differs.
    pub leave: &'a Leave,
}

pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut plan = Plan {
        environment: inputs.fleet.environment.name.clone(),
        commits: inputs.commits.clone(),
        instances: BTreeMap::new(),
        steps: Vec::new(),
        findings: Vec::new(),
        services: inputs.fleet.services.len(),
        interrupted: Default::default(),
    };
    let mut changes = Vec::new();
    for (name, desired) in inputs.desired {
        let observation = match inputs.observed.get(name) {
            Some(Ok(observation)) => observation,
            Some(Err(why)) => {
                plan.instances.insert(name.clone(), InstancePlan::unknown(why.clone()));
                continue;
            }
            None => {
                plan.instances.insert(name.clone(), InstancePlan::unknown("it was not asked".to_owned()));
                continue;
            }
        };
        let found = rollout::found(inputs, desired, observation);
        plan.instances.insert(name.clone(), found.instance);
        changes.extend(found.changes);
        plan.findings.extend(found.findings);
    }
    let live = |name: &InstanceName| inputs.observed.get(name).and_then(|observed| observed.as_ref().ok());
    let is_steady = |instance: &InstanceName, unit: &str| {
        let unit = live(instance).and_then(|live| live.units.get(unit)).and_then(Seen::known);
        unit.is_some_and(|unit| unit.is_active() && !unit.run().is_unsteady())
    };
    plan.steps = rollout::steps(inputs.fleet, changes, &is_steady);
    plan.findings.extend(confined::told_once(&plan.steps));
    drift::leave(&mut plan, inputs.leave, &inputs.fleet.name);
    let traffic = rollout::Traffic {
        fleet: inputs.fleet,
        desired: inputs.desired,
        instances: &plan.instances,
        live: &live,
        is_steady: &is_steady,
    };
    plan.steps = traffic.shifted(std::mem::take(&mut plan.steps));
    let seen = inputs.observed.iter().filter_map(|(name, observed)| Some((name, observed.as_ref().ok()?.owned()?)));
    plan.interrupted = rollout::gaps(inputs.fleet, &seen.collect(), &plan.steps, &is_steady);
    plan
}

impl InstancePlan {
    fn unknown(why: String) -> Self {
        Self {
            state: InstanceState::Unknown(why),
            manifest_before: None,
            manifest_digest: None,
            new_key: None,
            manifest_after: Default::default(),
            generation: 0,
            drift: Vec::new(),
            slots: Default::default(),
        }
    }
}
