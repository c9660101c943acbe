//! What `status` says of an environment: whether it is as declared, and healthy.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use futures_util::future::join_all;

use super::{ailing, bounded, health::check_of, probe::Hosts};
use crate::{
    decide::Goal,
    engine::{history::controller_id::ControllerId, history::log::Newest, prepare::Prepared},
    host::{self, Checkup, HostRead},
    model::{
        desired::{Replica, Resource},
        name::{EnvironmentName, InstanceName},
        outcome::Deployment,
        plan::{Action, Commits, InstancePlan, InstanceState, Phase, Plan, Step, StepId, Verb},
        repair::{Ailing, ReplicaUnit, Seen, SeenReplica},
        status::{Deployed, Health, InstanceStatus, ServiceStatus, StatusView, Sync},
        time::timestamp,
    },
    report,
};

/// What was seen of each replica whose health was asked for.
pub type SeenReplicas = BTreeMap<ReplicaUnit, SeenReplica>;

/// Asks every replica for its health and puts it beside what the plan says.
pub async fn of_hosts<H: HostRead>(
    prepared: &Prepared,
    plan: &Plan,
    hosts: &Hosts<H>,
    deployed: Option<&Deployment>,
) -> (StatusView, SeenReplicas) {
    let prepared = &*prepared.in_slots(&plan.slots());
    let asked = prepared.desired.iter().map(|(name, desired)| async move {
        let replicas = join_all(desired.replicas.values().map(|replica| service(name, replica, plan, hosts))).await;
        let (mut replicas, seen): (Vec<_>, Vec<_>) = replicas.into_iter().unzip();
        // Of two copies each binds a port that nobody calls.
        for replica in &mut replicas {
            replica.port = prepared.fleet.services.get(&replica.name).map_or(replica.port, |service| service.port);
        }
        let state = plan.instances.get(name).map(|instance| &instance.state);
        let services = desired.replicas.values().map(|replica| Resource::Service(replica.service.clone())).collect();
        let (sync, why) = instance_sync(state, plan, name, &services);
        let address =
            prepared.fleet.instances.get(name).map(|instance| instance.address.to_string()).unwrap_or_default();
        (InstanceStatus { name: name.clone(), address, sync, why, services: replicas }, seen)
    });
    let (instances, seen): (Vec<_>, Vec<_>) = bounded::each(asked.collect()).await.into_iter().unzip();
    let (sync, health) = worst(&instances);
    let view = StatusView {
        branch: prepared.fleet.environment.branch.clone(),
        deployed: deployed.map(Deployed::from),
        sync,
        health,
        instances,
        observed_at: Some(timestamp(Utc::now())),
        ..StatusView::unknown(plan.environment.clone(), plan.commits.environment.clone())
    };
    (view, seen.into_iter().flatten().flatten().collect())
}

/// As if there were only these instances.
pub fn narrowed(mut view: StatusView, to: &[InstanceName]) -> StatusView {
    view.instances.retain(|instance| to.contains(&instance.name));
    (view.sync, view.health) = worst(&view.instances);
    view
}

fn worst(instances: &[InstanceStatus]) -> (Sync, Health) {
    let services = instances.iter().flat_map(|instance| &instance.services);
    (worst_sync(instances.iter().map(|instance| instance.sync)), worst_health(services.map(|service| service.health)))
}

/// Adds what the loop knows besides: why the newest commits are not live, who holds what, what does not hold.
pub fn stand(
    view: &mut StatusView,
    goal: &Goal,
    newest: &Newest,
    backed_off: &BTreeMap<(InstanceName, Resource), u32>,
) {
    let environment_state = &newest.state;
    view.refused.clone_from(&newest.refusals);
    if let Goal::Observe { commits, why } | Goal::Repair { instead_of: commits, why, .. } = goal {
        // What is live may be as the last good commits say, but not as the newest do.
        if environment_state.good.as_ref().is_none_or(|good| good.commits != *commits) && view.sync == Sync::Synced {
            view.sync = Sync::OutOfSync;
        }
        view.commit = commits.environment.clone();
        view.notes.extend(report::status::barred(*why, commits, newest.deployment.as_deref(), environment_state));
    }
    view.notes.extend(report::status::state(environment_state));
    for ((instance, resource), count) in backed_off {
        let instance = view.instances.iter_mut().find(|view| view.name == *instance);
        let Some(instance) = instance else { continue };
        instance.sync = Sync::OutOfSync;
        view.sync = if view.sync == Sync::Unknown { Sync::Unknown } else { Sync::OutOfSync };
        view.health = Health::Degraded;
        let why = report::status::does_not_hold(*count);
        match instance.services.iter_mut().find(|service| Resource::Service(service.name.clone()) == *resource) {
            Some(service) => (service.health, service.why) = (Health::Degraded, Some(why)),
            None => instance.why = Some(format!("{resource}: {why}")),
        }
    }
}

/// Has a replica count as unhealthy once so many checks in a row have failed as are declared, and says of one that is not
/// restarted any more that it is not.
pub fn ailing(view: &mut StatusView, seen: &SeenReplicas, ailing: &Ailing) {
    for instance in &mut view.instances {
        for service in &mut instance.services {
            let replica = (instance.name.clone(), service.unit.clone());
            if let Some(times) = ailing.given_up.get(&replica).filter(|_| service.health == Health::Degraded) {
                service.why = Some(report::status::given_up(*times, service.why.as_deref()));
            }
            let Some(SeenReplica { seen: Seen::Unhealthy(_), rule, .. }) = seen.get(&replica) else { continue };
            let failed = ailing.failed.get(&replica).copied().unwrap_or_default() + 1;
            if failed < rule.failures && service.health == Health::Degraded {
                service.health = Health::Healthy;
                service.why = Some(report::status::failed_checks(failed, rule.failures, service.why.as_deref()));
            }
        }
    }
    view.health = worst(&view.instances).1;
}

/// What is about to be changed is neither healthy nor sick until that is done. `changing`: what steps are about.
pub fn progressing(view: &mut StatusView, changing: &BTreeSet<(InstanceName, Resource)>) {
    view.health = Health::Progressing;
    view.sync = Sync::OutOfSync;
    view.waiting = None;
    for instance in &mut view.instances {
        for service in &mut instance.services {
            if changing.contains(&(instance.name.clone(), Resource::Service(service.name.clone()))) {
                instance.sync = Sync::OutOfSync;
                (service.sync, service.health) = (Sync::OutOfSync, Health::Progressing);
            }
        }
    }
}

/// Before the first pass has ended.
pub fn nothing_known(environment: &EnvironmentName, commits: &Commits, identity: &ControllerId) -> StatusView {
    let unknown = StatusView::unknown(environment.clone(), commits.environment.clone());
    StatusView { controller: Some(identity.name.clone()), ..unknown }
}

async fn service<H: HostRead>(
    instance: &InstanceName,
    replica: &Replica,
    plan: &Plan,
    hosts: &Hosts<H>,
) -> (ServiceStatus, Option<(ReplicaUnit, SeenReplica)>) {
    let looked_at = plan.instances.get(instance).filter(|plan| !matches!(plan.state, InstanceState::Unknown(_)));
    let resource = Resource::Service(replica.service.clone());
    let of_service = |step: &&Step| step.instance == *instance && step.resource == resource;
    let steps: Vec<&Step> = plan.steps.iter().filter(of_service).collect();
    let checkup = match (hosts.get(instance), looked_at) {
        // One that did not answer a moment ago is not asked again for each of its services.
        (Some(host), Some(_)) => check(host.as_ref(), instance, replica).await,
        _ => None,
    };
    let started = looked_at.and_then(|plan| plan.manifest_before.as_ref()?.units.get(&replica.unit)?.inputs);
    let seen = checkup.as_ref().zip(started).map(|(checkup, inputs)| {
        let (seen, rule) = (ailing::seen(replica, checkup), ailing::rule(replica));
        let seen = SeenReplica { seen, rule, inputs: inputs.to_string() };
        ((instance.clone(), replica.unit.clone()), seen)
    });
    let (mut health, mut why) = checkup.as_ref().map_or((Health::Unknown, None), |checkup| health_of(checkup, replica));
    if let Some(plan) = looked_at {
        (health, why) = as_deployed_there(plan, &replica.unit, &steps, (health, why));
    }
    let stays_up = checkup.and_then(|checkup| checkup.run).is_none_or(|run| !run.is_failing() && !run.is_given_up());
    let sync = match steps.first() {
        Some(step) => {
            why = why.or_else(|| Some(step.reason.clone()));
            Sync::OutOfSync
        }
        None if looked_at.is_none() => {
            // The instance says why already.
            why = why.filter(|_| health != Health::Unknown);
            Sync::Unknown
        }
        None => match plan.instances.get(instance).and_then(|plan| plan.drift_of(&resource)) {
            Some(drift) => {
                why = Some(why.map_or(drift.clone(), |why| format!("{why}; {drift}")));
                Sync::OutOfSync
            }
            None if stays_up => Sync::Synced,
            None => Sync::OutOfSync,
        },
    };
    let (name, port, unit) = (replica.service.clone(), replica.port, replica.unit.clone());
    (ServiceStatus { name, port, unit, sync, health, why }, seen)
}

pub(super) async fn check<H: HostRead>(host: &H, instance: &InstanceName, replica: &Replica) -> Option<Checkup> {
    let (check, _) = check_of(&waiting_for(instance, replica))?;
    Some(host.health(&check).await)
}

/// Of a replica that passed its check: its process has to have run for long enough, too.
fn health_of(checkup: &Checkup, replica: &Replica) -> (Health, Option<String>) {
    let run = checkup.run.as_ref();
    match &checkup.health {
        host::Health::Healthy => match run.and_then(|run| Some((run, run.tries.runs_for?))) {
            Some((run, _)) if run.is_failing() => {
                (Health::Degraded, Some(format!("{} is {}", replica.unit, run.told())))
            }
            Some((run, runs_for)) if runs_for < run.due(replica.health.settle.0, 0) => {
                let (runs_for, due) = (runs_for.as_secs(), run.due(replica.health.settle.0, 0).as_secs_f64());
                let why = format!("its process has run for {runs_for} s, and counts as healthy after {due} s");
                (Health::Progressing, Some(why))
            }
            _ => (Health::Healthy, None),
        },
        host::Health::Unhealthy(why) => (Health::Degraded, Some(why.clone())),
        host::Health::Unknown(why) => (Health::Unknown, Some(why.clone())),
    }
}

/// What was checked, as it stands for what is declared. A unit that was never deployed is not healthy by anybody's answer,
/// and of a process that may run from something else than what was deployed nothing is known. One that an earlier commit
/// deployed is as healthy as it says: that it is not the newest is told by its sync.
fn as_deployed_there(
    instance: &InstancePlan,
    unit: &str,
    steps: &[&Step],
    (health, why): (Health, Option<String>),
) -> (Health, Option<String>) {
    let deployed = instance.manifest_before.as_ref().and_then(|manifest| manifest.units.get(unit));
    let Some(deployed) = deployed else {
        let why = why.map_or(format!("{unit} is not deployed"), |why| format!("{unit} is not deployed: {why}"));
        return (Health::Degraded, Some(why));
    };
    let starts = steps.iter().find(|step| step.action.started() == Some(unit));
    let is_same = deployed.inputs.is_none() || instance.manifest_after.units.get(unit) == Some(deployed);
    match starts.filter(|_| health == Health::Healthy && is_same) {
        Some(step) => (Health::Unknown, Some(step.reason.clone())),
        None => (health, why),
    }
}

/// The step that would wait for the replica, for the check that is in it.
pub fn waiting_for(instance: &InstanceName, replica: &Replica) -> Step {
    let resource = Resource::Service(replica.service.clone());
    Step {
        id: StepId::new(instance, &resource, Verb::AwaitHealth, &replica.unit),
        instance: instance.clone(),
        phase: Phase::default(),
        resource,
        action: Action::await_health(replica),
        reason: String::new(),
    }
}

fn instance_sync(
    state: Option<&InstanceState>,
    plan: &Plan,
    name: &InstanceName,
    services: &BTreeSet<Resource>,
) -> (Sync, Option<String>) {
    match state {
        Some(InstanceState::AsDeclared) => {
            // What is reported and left is no step.
            match plan.instances.get(name).filter(|instance| !instance.is_as_declared()) {
                // Each service says it of itself.
                Some(instance) => (Sync::OutOfSync, instance.drift_told(|of| !services.contains(of))),
                None => (Sync::Synced, None),
            }
        }
        Some(InstanceState::Changes) => {
            let steps = plan.steps.iter().filter(|step| step.instance == *name).count();
            (Sync::OutOfSync, Some(format!("{steps} steps to do")))
        }
        Some(InstanceState::Refused) => {
            let about = plan.findings.iter().find(|finding| finding.instance.as_deref() == Some(name.as_str()));
            (Sync::OutOfSync, about.map(|finding| finding.message.clone()))
        }
        Some(InstanceState::Held(why)) => (Sync::OutOfSync, Some(why.clone())),
        Some(InstanceState::Unknown(why)) => (Sync::Unknown, Some(why.clone())),
        None => (Sync::Unknown, None),
    }
}

fn worst_sync(all: impl Iterator<Item = Sync>) -> Sync {
    let mut counts = BTreeMap::new();
    all.for_each(|sync| *counts.entry(rank_sync(sync)).or_insert(0) += 1);
    match counts.last_key_value() {
        Some((2, _)) => Sync::Unknown,
        Some((1, _)) => Sync::OutOfSync,
        _ => Sync::Synced,
    }
}

fn rank_sync(sync: Sync) -> u8 {
    match sync {
        Sync::Synced => 0,
        Sync::OutOfSync => 1,
        Sync::Unknown => 2,
    }
}

fn worst_health(all: impl Iterator<Item = Health>) -> Health {
    all.fold(Health::Healthy, |worst, health| match (worst, health) {
        (Health::Degraded, _) | (_, Health::Degraded) => Health::Degraded,
        (Health::Unknown, _) | (_, Health::Unknown) => Health::Unknown,
        (Health::Progressing, _) | (_, Health::Progressing) => Health::Progressing,
        (Health::Healthy, Health::Healthy) => Health::Healthy,
    })
}
