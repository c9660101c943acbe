//! A prepared fleet and its hosts in memory.

use std::collections::BTreeMap;

use evenkeel::{
    engine::{observe::probe::plan_from, prepare::Prepared},
    host::question,
    model::{
        name::InstanceName,
        observation::Observation,
        plan::{InstanceState, Phase, Plan, Step},
    },
    plan::Observed,
};

use crate::{
    declared::{Declared, content, desired, instance},
    host::Host,
};

#[derive(Clone)]
pub struct World {
    pub prepared: Prepared,
    pub hosts: BTreeMap<InstanceName, Host>,
}

impl World {
    /// Every host is exactly as declared.
    pub fn live(declared: &Declared) -> Self {
        Self::with(declared.prepare(), Host::as_desired)
    }

    /// Every host is exactly as prepared.
    pub fn of(prepared: Prepared) -> Self {
        Self::with(prepared, Host::as_desired)
    }

    /// Every host is empty.
    pub fn empty(declared: &Declared) -> Self {
        Self::with(declared.prepare(), |_| Host::empty())
    }

    fn with(prepared: Prepared, host: impl Fn(&evenkeel::model::desired::Desired) -> Host) -> Self {
        let hosts = prepared.desired.iter().map(|(name, desired)| (name.clone(), host(desired))).collect();
        Self { prepared, hosts }
    }

    /// The hosts stay, and something else is declared.
    pub fn declare(mut self, declared: &Declared) -> Self {
        self.prepared = declared.prepare();
        self
    }

    pub fn host(&mut self, name: &str) -> &mut Host {
        self.hosts.get_mut(&instance(name)).expect("a host")
    }

    /// Changes one host.
    pub fn on(mut self, name: &str, change: impl FnOnce(&mut Host)) -> Self {
        change(self.host(name));
        self
    }

    pub fn observe(&self) -> Observed {
        let look = |(name, desired)| {
            let host: &Host = &self.hosts[name];
            (InstanceName::clone(name), Ok(host.observe(&question(&self.prepared.fleet, desired), desired)))
        };
        self.prepared.desired.iter().map(look).collect()
    }

    pub fn plan(&self) -> Plan {
        plan_from(&self.prepared, &self.observe(), None)
    }

    /// Plans from what the probe of one instance would say, changed.
    pub fn plan_when(&self, name: &str, change: impl FnOnce(&mut Observation)) -> Plan {
        let mut observed = self.observe();
        change(observed.get_mut(&instance(name)).expect("an instance").as_mut().expect("reached"));
        plan_from(&self.prepared, &observed, None)
    }

    /// Carries a plan out on the hosts, phase by phase.
    pub fn apply(&mut self, plan: &Plan) {
        assert!(!plan.is_refused(), "{:#?}", plan.findings);
        for (name, host) in &mut self.hosts {
            let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.instance == *name).collect();
            if !steps.is_empty() {
                host.apply(&steps, &plan.instances[name].manifest_after, plan.instances[name].generation + 1);
            }
        }
    }

    /// Carries out the waves up to this one, as a controller that dies then.
    pub fn apply_until(&mut self, plan: &Plan, wave: u32) {
        self.apply_until_phase(plan, Phase { wave, stage: u32::MAX });
    }

    /// Carries out the phases up to this one.
    pub fn apply_until_phase(&mut self, plan: &Plan, last: Phase) {
        for (name, host) in &mut self.hosts {
            let done = |step: &&Step| step.instance == *name && step.phase <= last;
            let steps: Vec<&Step> = plan.steps.iter().filter(done).collect();
            let instance = &plan.instances[name];
            let mut during = instance.manifest_before.clone().unwrap_or_default().union(&instance.manifest_after);
            let written: Vec<&str> = steps.iter().filter_map(|step| Some(step.action.file()?.0)).collect();
            let before = instance.manifest_before.clone().unwrap_or_default().files.into_iter();
            during.files.extend(before.filter(|(path, _)| !written.contains(&path.as_str())));
            for unit in steps.iter().filter_map(|step| step.action.started()) {
                during.units.insert(unit.to_owned(), instance.manifest_after.units[unit].clone());
            }
            if !steps.is_empty() {
                host.apply(&steps, &during, instance.generation + 1);
            }
        }
    }

    /// The content that a path should have.
    pub fn wanted(&self, name: &str, path: &str) -> String {
        content(desired(&self.prepared, name), path)
    }
}

pub fn state<'a>(plan: &'a Plan, name: &str) -> &'a InstanceState {
    &plan.instances[&instance(name)].state
}
