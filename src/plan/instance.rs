//! What differs on one instance.

use std::collections::BTreeMap;

use super::{
    Inputs, links,
    rollout::{PlannedChange, Tier},
};
use crate::model::{
    desired::{Desired, DesiredLink, Resource},
    finding::{Finding, any_error},
    generation,
    manifest::Manifest,
    name::InstanceName,
    observation::{LiveUnit, Observation},
    paths,
    plan::{Action, InstancePlan, InstanceState, StepId},
    seal::Broken,
    seen::Seen,
};

/// Why something is not known that the probe said nothing of. Never taken for absent.
pub(super) const NOT_ASKED: &str = "it was not asked about";

/// Collects the changes and findings of one instance.
pub(super) struct Differ<'a> {
    pub inputs: &'a Inputs<'a>,
    pub desired: &'a Desired,
    pub live: &'a Observation,
    pub owned: Manifest,
    /// Every link that should be there.
    pub links: BTreeMap<String, DesiredLink>,
    pub after: Manifest,
    pub changes: Vec<PlannedChange>,
    pub findings: Vec<Finding>,
    /// What is left as it is and is not as declared.
    pub drift: Vec<(Resource, String)>,
    /// Parts that did not answer. One is enough for nothing to be planned here.
    pub unknown: Vec<String>,
}

pub(super) struct Found {
    pub instance: InstancePlan,
    pub changes: Vec<PlannedChange>,
    pub findings: Vec<Finding>,
}

impl<'a> Differ<'a> {
    pub fn new(inputs: &'a Inputs<'a>, desired: &'a Desired, live: &'a Observation) -> Self {
        let owned = live.owned().cloned().unwrap_or_default();
        let after = Manifest::default();
        Self {
            inputs,
            desired,
            live,
            links: links::wanted(desired, &owned),
            owned,
            after,
            changes: Vec::new(),
            findings: Vec::new(),
            drift: Vec::new(),
            unknown: Vec::new(),
        }
    }

    pub fn run(mut self) -> Found {
        let generation = self.generation();
        self.known("the manifest", &self.live.manifest);
        self.folders();
        self.seal();
        self.packages();
        self.releases();
        self.venvs();
        self.files();
        self.replicas();
        self.fronts();
        self.certificates();
        self.nginx();
        self.leftovers();
        self.units();
        self.guards();
        let state = if !self.unknown.is_empty() {
            self.changes.clear();
            self.findings.clear();
            self.drift.clear();
            InstanceState::Unknown(self.unknown.join("; "))
        } else if any_error(&self.findings) {
            InstanceState::Refused
        } else if self.changes.is_empty() {
            InstanceState::AsDeclared
        } else {
            InstanceState::Changes
        };
        let instance = InstancePlan {
            state,
            manifest_before: self.live.owned().cloned(),
            manifest_digest: self.live.manifest_digest,
            new_key: self.live.seal.new_key.clone(),
            manifest_after: self.after,
            generation,
            drift: self.drift,
            slots: self.desired.slots(),
        };
        Found { instance, changes: self.changes, findings: self.findings }
    }

    /// The newest generation that the instance has seen. One that the history makes implausible is unknown: the number
    /// of the next deployment, which every instance is told, is made from it.
    fn generation(&mut self) -> u64 {
        let Some(seen) = self.known("the generation", &self.live.generation).copied() else { return 0 };
        match generation::believe(seen, self.inputs.newest_generation) {
            Ok(seen) => seen,
            Err(doubt) => {
                let file = paths::generation(&self.inputs.fleet.name);
                self.unknown.push(format!("{doubt}; log in there, and write the last true one to {file}"));
                0
            }
        }
    }

    pub fn name(&self) -> &'a InstanceName {
        &self.desired.instance
    }

    /// The value when it is known; notes an unknown, on which nothing may be planned.
    pub fn known<'s, T>(&mut self, what: &str, seen: &'s Seen<T>) -> Option<&'s T> {
        if let Some(why) = seen.unknown() {
            self.unknown.push(format!("{what}: {why}"));
        }
        seen.known()
    }

    /// What systemd says of a unit, when it is known and there.
    pub fn unit(&mut self, name: &str) -> Option<&'a LiveUnit> {
        match self.live.units.get(name) {
            Some(Seen::Known(unit)) => Some(unit),
            Some(Seen::Absent) => None,
            Some(Seen::Unknown(why)) => {
                self.unknown.push(format!("{name}: {why}"));
                None
            }
            None => {
                self.unknown.push(format!("{name}: {NOT_ASKED}"));
                None
            }
        }
    }

    pub fn change(&mut self, tier: Tier, resource: &Resource, action: Action, reason: impl Into<String>) {
        let id = StepId::new(self.name(), resource, action.verb(), &action.subject());
        self.changes.push(PlannedChange {
            id,
            instance: self.name().clone(),
            tier,
            resource: resource.clone(),
            action,
            reason: reason.into(),
        });
    }

    /// What a resource's files change with.
    pub fn tier_of(&self, resource: &Resource) -> Tier {
        match resource {
            Resource::Packages | Resource::Manifest | Resource::Folders => Tier::Prepare,
            Resource::Service(service) => Tier::Services([service.clone()].into()),
            Resource::Site(_) | Resource::Nginx => Tier::Traffic,
            Resource::Leftover(_) => Tier::Prune,
        }
    }

    /// What others can learn from the manifest, or have it say.
    fn seal(&mut self) {
        let reason = match self.live.seal.broken {
            None => return,
            Some(Broken::Plain) => "from now on nobody guesses a secret by the digests in it",
            Some(Broken::Open) => "drift: others than root can read it",
        };
        let action = Action::SealManifest { path: paths::manifest(&self.inputs.fleet.name) };
        self.change(Tier::Prepare, &Resource::Manifest, action, reason);
    }
}
