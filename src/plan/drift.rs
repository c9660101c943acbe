//! Which drift is repaired. Only for plans that no new commit asked for: a deployment brings everything
//! to what is declared.
//!
//! Keeps true: a resource is repaired whole or not at all, so that no process is restarted for a file
//! that stays as it is; what stays as it is stands in the manifest as it did before.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    desired::Resource,
    drift::{Difference, DriftPolicy, DriftRule},
    finding::{Code, Finding},
    manifest::Manifest,
    name::{FleetName, InstanceName, ServiceName},
    paths,
    plan::{Action, Before, Follows, InstanceState, Plan, Step},
    rollout::Slot,
};

/// Why the steps of a resource are left undone.
pub type BackedOff = BTreeMap<(InstanceName, Resource), String>;

/// What stays as it is although it differs.
#[derive(Debug, Clone, Default)]
pub struct Leave {
    /// Which drift is repaired. None: a commit asks for the changes, and all of them are made.
    pub drift: Option<DriftPolicy>,
    /// Only where drift is repaired.
    pub backed_off: BackedOff,
    /// The instances that a person holds, each with why in words.
    pub held: BTreeMap<InstanceName, String>,
}

/// Takes out of the plan what stays as it is.
pub fn leave(plan: &mut Plan, leave: &Leave, fleet: &FleetName) {
    let switches = switches(&plan.steps);
    if let Some(policy) = leave.drift.as_ref().filter(|_| plan.has_changes()) {
        by_policy(plan, policy, &leave.backed_off);
    }
    leave_held(plan, &leave.held);
    stay(plan, &switches, fleet);
}

type Switches = BTreeSet<(InstanceName, ServiceName, Slot)>;

/// The copies that nginx is led to.
fn switches(steps: &[Step]) -> Switches {
    let switch = |step: &Step| match (&step.action, &step.resource) {
        (Action::SwitchPort { to: Some(to), .. }, Resource::Service(service)) => {
            Some((step.instance.clone(), service.clone(), to.slot))
        }
        _ => None,
    };
    steps.iter().filter_map(switch).collect()
}

/// A copy that nginx is not led to any more in the plan does not take over. `planned`: what it would have been led to.
fn stay(plan: &mut Plan, planned: &Switches, fleet: &FleetName) {
    let left = switches(&plan.steps);
    for (name, service, slot) in planned.difference(&left) {
        let Some(instance) = plan.instances.get_mut(name) else { continue };
        let is_other = |unit: &String| {
            paths::replica_of_unit(fleet, unit)
                .is_some_and(|replica| replica.service == *service && replica.slot == slot.next())
        };
        if instance.manifest_before.iter().flat_map(|manifest| manifest.units.keys()).any(is_other) {
            instance.slots.insert(service.clone(), slot.next());
        }
    }
}

/// Leaves in the plan what the policy has repaired; the rest becomes findings, or nothing where it is
/// ignored. `spared` resources are left too, each with its reason.
pub fn by_policy(plan: &mut Plan, policy: &DriftPolicy, spared: &BackedOff) {
    let planned = plan.steps.clone();
    let groups: BTreeMap<(InstanceName, Resource), Vec<(Difference, String)>> = plan
        .by_resource()
        .into_iter()
        .map(|((instance, resource), steps)| {
            let differences =
                steps.iter().filter_map(|step| Some((difference(step)?, step.action.subject()))).collect();
            ((instance.clone(), resource.clone()), differences)
        })
        .collect();
    for ((instance, resource), differences) in groups {
        let key = (instance.clone(), resource.clone());
        let rules: BTreeSet<DriftRule> = differences.iter().map(|(difference, _)| policy.rule(*difference)).collect();
        let left = match spared.get(&key) {
            Some(why) => Some(why.clone()),
            None if rules.contains(&DriftRule::Report) => Some("drift is reported here, not repaired".to_owned()),
            None if rules.contains(&DriftRule::Repair) => {
                leave_ignored(plan, &instance, &resource, policy);
                continue;
            }
            None => None,
        };
        plan.steps.retain(|step| !is(step, &instance, &resource));
        let ignored = rules.iter().all(|rule| *rule == DriftRule::Ignore) && !spared.contains_key(&key);
        if let Some(why) = left.filter(|_| !ignored) {
            let what: Vec<&str> = differences.iter().map(|(_, subject)| subject.as_str()).collect();
            let message = format!("{resource} has drifted ({}): {why}", what.join(", "));
            if let Some(of_instance) = plan.instances.get_mut(&instance) {
                of_instance.drift.push((resource, message.clone()));
            }
            plan.findings.push(Finding::warning(Code::Drift, message).on(&instance));
        }
    }
    settle(plan, &planned);
}

/// What is ignored stands in nobody's way: the resource's other differences are repaired. But a restart
/// for the sake of files that stay as they are would be made again and again.
fn leave_ignored(plan: &mut Plan, instance: &InstanceName, resource: &Resource, policy: &DriftPolicy) {
    let ignored = |step: &Step| difference(step).is_some_and(|of| policy.rule(of) == DriftRule::Ignore);
    let mut of_resource = plan.steps.iter().filter(|step| is(step, instance, resource));
    let files_stay = of_resource.any(|step| {
        ignored(step) && matches!(difference(step), Some(Difference::Files | Difference::Modes | Difference::Releases))
    });
    let follows = |step: &Step| step.action.traits().follows == Follows::ByFiles;
    plan.steps.retain(|step| !is(step, instance, resource) || !(ignored(step) || files_stay && follows(step)));
    if !plan.steps.iter().any(|step| is(step, instance, resource) && difference(step).is_some()) {
        plan.steps.retain(|step| !is(step, instance, resource));
    }
}

/// Takes what a person holds out of the plan: those instances stay as they are.
fn leave_held(plan: &mut Plan, held: &BTreeMap<InstanceName, String>) {
    for (instance, why) in held {
        let Some(of_instance) = plan.instances.get_mut(instance) else { continue };
        let of_this = |step: &&Step| step.instance == *instance;
        let differing: BTreeSet<Resource> =
            plan.steps.iter().filter(of_this).map(|step| step.resource.clone()).collect();
        plan.steps.retain(|step| step.instance != *instance);
        plan.findings.retain(|finding| finding.instance.as_deref() != Some(instance.as_str()));
        if !differing.is_empty() {
            of_instance.state = InstanceState::Held(why.clone());
            let differs = |resource: Resource| (resource.clone(), format!("{resource} differs: {why}"));
            of_instance.drift.extend(differing.into_iter().map(differs));
        }
    }
}

fn is(step: &Step, instance: &InstanceName, resource: &Resource) -> bool {
    step.instance == *instance && step.resource == *resource
}

/// An instance on which nothing is left to do is as it should be. `planned` are the steps before some were taken out.
fn settle(plan: &mut Plan, planned: &[Step]) {
    let busy: BTreeSet<InstanceName> = plan.steps.iter().map(|step| step.instance.clone()).collect();
    for (name, instance) in &mut plan.instances {
        if instance.state == InstanceState::Changes && !busy.contains(name) {
            instance.state = InstanceState::AsDeclared;
        }
    }
    // What nginx is not told of it has not read.
    let tells = |step: &&Step| matches!(step.action, Action::ReloadNginx { .. });
    let told: BTreeSet<InstanceName> = plan.steps.iter().filter(tells).map(|step| step.instance.clone()).collect();
    for (_, instance) in plan.instances.iter_mut().filter(|(name, _)| !told.contains(*name)) {
        if let Some(before) = &instance.manifest_before {
            instance.manifest_after.certificates.clone_from(&before.certificates);
        }
    }
    let kept: BTreeSet<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    for step in planned.iter().filter(|step| !kept.contains(step.id.as_str())) {
        if let Some(instance) = plan.instances.get_mut(&step.instance) {
            let before = instance.manifest_before.clone().unwrap_or_default();
            as_before(&step.action, &before, &mut instance.manifest_after);
        }
    }
}

/// Has the manifest say the same as before of what a step that is not taken would have changed. Else the next look
/// would find nothing to do about it.
fn as_before(action: &Action, before: &Manifest, after: &mut Manifest) {
    if let Action::StartUnit { unit } | Action::RestartUnit { unit } | Action::StopUnit { unit, .. } = action {
        keep(unit, &before.units, &mut after.units);
    }
    if let Some((path, _)) = action.file() {
        keep(path, &before.files, &mut after.files);
        keep(path, &before.links, &mut after.links);
    }
}

fn keep<T: Clone>(name: &str, before: &BTreeMap<String, T>, after: &mut BTreeMap<String, T>) {
    match before.get(name) {
        Some(was) => _ = after.insert(name.to_owned(), was.clone()),
        None => _ = after.remove(name),
    }
}

/// What a step is about. None for what only follows from others.
fn difference(step: &Step) -> Option<Difference> {
    match &step.action {
        Action::WriteFile { before: Before::File { digest, .. }, content, .. } if *digest == content.digest() => {
            Some(Difference::Modes)
        }
        action => action.traits().repairs,
    }
}
