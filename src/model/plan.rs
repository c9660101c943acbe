//! A plan: the ordered list of changes for one environment, each with its reason.
//!
//! Keeps true: everything is decided here. Carrying a plan out is a match on [`Action`]; reasons
//! inform people and never steer. A plan with an error among its findings is never carried out.

mod action;
mod phase;
mod step_id;
mod traits;
mod verb;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use action::{Action, Before, Leading, ReplicaPlace, ShiftedFile};
pub use phase::Phase;
pub use step_id::StepId;
pub use traits::{Batch, FileEffect, Follows, Rank, ReasonTold, Recorded, Side, Takes, Traits};
pub use verb::Verb;

use super::{
    commit::CommitId,
    desired::Resource,
    digest::Digest,
    finding::Finding,
    manifest::Manifest,
    name::{EnvironmentName, InstanceName, ServiceName},
    rollout::Slots,
    seal::Key,
    source::SourceCommits,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub environment: EnvironmentName,
    pub commits: Commits,
    pub instances: BTreeMap<InstanceName, InstancePlan>,
    /// In the order in which they are carried out: by phase, within a phase by instance.
    pub steps: Vec<Step>,
    /// Refusals (errors) and warnings.
    pub findings: Vec<Finding>,
    /// How many services the environment declares, for the last line.
    pub services: usize,
    /// Services that answered, and of which no replica does for a while when this is carried out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub interrupted: BTreeSet<ServiceName>,
}

/// What a plan was made from. A work tree has no commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Commits {
    /// Of the default branch: `fleet.yaml`, `environments/`, `instances/`.
    pub default: Option<CommitId>,
    /// Of the environment's branch: services, sites, code.
    pub environment: Option<CommitId>,
    /// Of the other repositories that services and sites take their files from: the commit of each branch
    /// and tag, by its address and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: SourceCommits,
}

impl Commits {
    /// Those of the config repository alone.
    pub fn of_config(default: Option<CommitId>, environment: Option<CommitId>) -> Self {
        Self { default, environment, sources: SourceCommits::new() }
    }

    /// Whether these are `wanted`, and of other repositories what that says.
    pub fn agrees(&self, wanted: &Self) -> bool {
        self.same_config(wanted) && wanted.sources.iter().all(|(name, commit)| self.sources.get(name) == Some(commit))
    }

    /// Whether the config repository is at the same commits, whatever other repositories are at.
    pub fn same_config(&self, other: &Self) -> bool {
        (&self.default, &self.environment) == (&other.default, &other.environment)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePlan {
    pub state: InstanceState,
    /// The manifest as it was seen; what undo restores.
    pub manifest_before: Option<Manifest>,
    pub manifest_digest: Option<Digest>,
    /// With which digests in the manifest are sealed, where the instance has no key yet.
    #[serde(skip)]
    pub new_key: Option<Key>,
    /// The manifest once every step is done.
    pub manifest_after: Manifest,
    /// The newest generation seen on the instance.
    pub generation: u64,
    /// What is not as declared and is left as it is, each resource with why. The findings say the same.
    #[serde(default)]
    pub drift: Vec<(Resource, String)>,
    /// In which slot each service is to run that has two copies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: Slots,
}

/// Of so many resources it is told what is not as declared.
const DRIFT_TOLD: usize = 4;

impl InstancePlan {
    /// Whether nothing is to be done, and nothing is left as it is that is not as declared.
    pub fn is_as_declared(&self) -> bool {
        self.state == InstanceState::AsDeclared && self.drift.is_empty()
    }

    /// What is left as it is, in words: what one drop-in does to fifty services is not said fifty times.
    pub fn drift_told<'a>(&'a self, is_told: impl Fn(&Resource) -> bool + 'a) -> Option<String> {
        let all: Vec<&str> = self.drift.iter().filter(|(of, _)| is_told(of)).map(|(_, why)| why.as_str()).collect();
        let told = all.iter().take(DRIFT_TOLD).map(|why| (*why).to_owned());
        let more = all.len().checked_sub(DRIFT_TOLD + 1).map(|more| format!("and {} more", more + 1));
        let told: Vec<String> = told.chain(more).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Why a resource is not as declared, where it is left as it is.
    pub fn drift_of(&self, resource: &Resource) -> Option<String> {
        self.drift_told(|of| of == resource)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceState {
    /// Nothing is to be done. What is left as it is stands in [`InstancePlan::drift`].
    AsDeclared,
    Changes,
    /// Not reached, or not understood: nothing is planned there.
    Unknown(String),
    /// A guard forbids changes; the findings say why.
    Refused,
    /// A person holds it, and it stays as it is although it differs: [`InstancePlan::drift`] names what does. Why, in
    /// words.
    Held(String),
}

/// One change on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the plan and readable: `ai-core/service/gong_mcp/write/etc/…`.
    pub id: StepId,
    pub instance: InstanceName,
    pub phase: Phase,
    pub resource: Resource,
    pub action: Action,
    pub reason: String,
}

/// The counts of the plan's last line. A resource is one service, site or package list on one instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub restart: usize,
    pub delete: usize,
    /// Instances with changes.
    pub changed_instances: usize,
    pub instances: usize,
    pub services: usize,
    /// Instances that could not be observed.
    pub unknown_instances: usize,
}

/// What becomes of one resource on one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Create,
    Update,
    Delete,
    /// No file of it changes, only what runs: a restart, a start, a reload, an enable.
    Restart,
}

impl Plan {
    pub fn is_refused(&self) -> bool {
        super::finding::any_error(&self.findings)
    }

    pub fn has_changes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// In which slots services are to run that have two copies, by instance.
    pub fn slots(&self) -> BTreeMap<InstanceName, Slots> {
        self.instances.iter().map(|(name, instance)| (name.clone(), instance.slots.clone())).collect()
    }

    /// Whether something has to be built before it can be carried out.
    pub fn needs_builds(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::StageRelease { due: true, .. }))
    }

    pub fn unknown_instances(&self) -> impl Iterator<Item = (&InstanceName, &str)> {
        self.instances.iter().filter_map(|(name, instance)| match &instance.state {
            InstanceState::Unknown(why) => Some((name, why.as_str())),
            InstanceState::AsDeclared | InstanceState::Changes | InstanceState::Refused | InstanceState::Held(_) => {
                None
            }
        })
    }

    /// Instances that differ, or may, and that carrying the plan out does not bring to what is declared: each with why.
    pub fn left_instances(&self) -> impl Iterator<Item = (&InstanceName, &str)> {
        self.instances.iter().filter_map(|(name, instance)| match &instance.state {
            InstanceState::Unknown(why) | InstanceState::Held(why) => Some((name, why.as_str())),
            InstanceState::AsDeclared | InstanceState::Changes | InstanceState::Refused => None,
        })
    }

    /// What is not as declared and is left as it is: how many resources, on how many instances.
    pub fn drifted(&self) -> (usize, usize) {
        let of = |instance: &InstancePlan| {
            instance.drift.iter().map(|(resource, _)| resource.clone()).collect::<BTreeSet<Resource>>().len()
        };
        let counts: Vec<usize> = self.instances.values().map(of).filter(|count| *count > 0).collect();
        (counts.iter().sum(), counts.len())
    }

    /// In their order, those of one wave side by side.
    pub fn phases(&self) -> Vec<Phase> {
        let phases: BTreeSet<Phase> = self.steps.iter().map(|step| step.phase).collect();
        phases.into_iter().collect()
    }

    /// The steps of each resource on each instance, in order.
    pub fn by_resource(&self) -> BTreeMap<(&InstanceName, &Resource), Vec<&Step>> {
        let mut groups: BTreeMap<_, Vec<&Step>> = BTreeMap::new();
        for step in &self.steps {
            groups.entry((&step.instance, &step.resource)).or_default().push(step);
        }
        groups
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            changed_instances: self.instances.values().filter(|i| i.state == InstanceState::Changes).count(),
            instances: self.instances.len(),
            services: self.services,
            unknown_instances: self.unknown_instances().count(),
            ..Summary::default()
        };
        for steps in self.by_resource().values() {
            let fate = fate(steps);
            let restarted = count_restarts(steps);
            summary.restart += restarted;
            match fate {
                Fate::Create => summary.create += 1,
                Fate::Update => summary.update += 1,
                Fate::Delete => summary.delete += 1,
                // Enabled, stopped, reloaded or staged again: a plan with changes never counts none.
                Fate::Restart if restarted == 0 => summary.update += 1,
                Fate::Restart => {}
            }
        }
        summary
    }

    /// What is done of the plan where these instances are left out.
    pub fn without(&self, left_out: &BTreeSet<InstanceName>) -> Self {
        let mut plan = self.clone();
        plan.steps.retain(|step| !left_out.contains(&step.instance));
        plan.instances.retain(|name, _| !left_out.contains(name));
        plan
    }

    /// Over the steps and their preconditions: what an approval is bound to.
    pub fn digest(&self) -> Digest {
        Digest::of_fields(self.steps.iter().flat_map(|step| {
            // Plain data: it cannot fail to serialise.
            let action = serde_json::to_string(&step.action).unwrap_or_default();
            [step.id.to_string(), step.phase.to_string(), action]
        }))
    }
}

/// What a resource's steps amount to. Told by files: a resource all of whose files are new is
/// created, one all of whose files go is deleted.
pub fn fate(steps: &[&Step]) -> Fate {
    let does = |effect| steps.iter().any(|step| step.action.traits().files == effect);
    match (does(FileEffect::Creates), does(FileEffect::Updates), does(FileEffect::Deletes)) {
        (true, false, false) => Fate::Create,
        (false, false, true) => Fate::Delete,
        (false, false, false) => Fate::Restart,
        _ => Fate::Update,
    }
}

/// How many processes of a resource restart: what runs, and what starts again. A start belongs to a creation.
pub fn count_restarts(steps: &[&Step]) -> usize {
    let starts_again = fate(steps) == Fate::Restart;
    let restarts = |step: &&&Step| match step.action {
        Action::RestartUnit { .. } => true,
        Action::StartUnit { .. } => starts_again,
        _ => false,
    };
    steps.iter().filter(restarts).count()
}
