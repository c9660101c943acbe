//! Services of which no replica answers for a while.
//!
//! Keeps true: a service that answers nobody as it is has no gap to come. Never does: knowing who calls: one that nobody
//! calls is told all the same.

use std::collections::{BTreeMap, BTreeSet};

use super::IsSteady;
use crate::model::{
    desired::Resource,
    fleet::Fleet,
    manifest::Manifest,
    name::{InstanceName, ServiceName},
    paths,
    plan::{Action, Phase, Step},
    rollout::{ReplicaId, Slot},
};

/// The services whose replicas are all away at one time while these steps are carried out. `owned`: what evenkeel has made
/// on each instance that was seen.
pub(in crate::plan) fn gaps(
    fleet: &Fleet,
    owned: &BTreeMap<&InstanceName, &Manifest>,
    steps: &[Step],
    is_steady: IsSteady<'_>,
) -> BTreeSet<ServiceName> {
    fleet.services.keys().filter(|service| is_interrupted(fleet, service, owned, steps, is_steady)).cloned().collect()
}

fn is_interrupted(
    fleet: &Fleet,
    service: &ServiceName,
    owned: &BTreeMap<&InstanceName, &Manifest>,
    steps: &[Step],
    is_steady: IsSteady<'_>,
) -> bool {
    let is_of = |unit: &str| paths::replica_of_unit(&fleet.name, unit).is_some_and(|of| of.service == *service);
    let of_service = || steps.iter().filter(|step| step.resource == Resource::Service(service.clone()));
    let stopped = |step: &Step| {
        let unit = step.action.stopped().filter(|unit| is_steady(&step.instance, unit))?;
        Some((step.instance.clone(), unit.to_owned()))
    };
    let running = owned.iter().flat_map(|(instance, manifest)| {
        let units = manifest.units.keys().filter(|unit| is_of(unit) && is_steady(instance, unit));
        units.map(|unit| ((*instance).clone(), unit.clone()))
    });
    // What it replaces answered in its place.
    let mut answering: BTreeSet<(InstanceName, String)> = running.chain(of_service().filter_map(stopped)).collect();
    if answering.is_empty() {
        return false;
    }
    let phases: BTreeSet<Phase> = of_service().map(|step| step.phase).collect();
    phases.into_iter().any(|phase| {
        let of_phase = || of_service().filter(move |step| step.phase == phase);
        let away: BTreeSet<(InstanceName, String)> = of_phase().filter_map(stopped).collect();
        let is_gap = answering.is_subset(&away);
        answering.retain(|unit| !away.contains(unit));
        answering.extend(of_phase().filter_map(|step| Some((step.instance.clone(), begins(fleet, step)?))));
        is_gap
    })
}

/// The unit that callers reach from this step on: of two copies, the one that nginx is led to.
fn begins(fleet: &Fleet, step: &Step) -> Option<String> {
    if let Action::SwitchPort { path, to: Some(to), .. } = &step.action {
        let (service, port) = paths::front_of(&fleet.name, path)?;
        return Some(paths::unit(&fleet.name, &ReplicaId { service, port, slot: to.slot }));
    }
    let unit = step.action.started()?;
    let slot = paths::replica_of_unit(&fleet.name, unit).map(|replica| replica.slot);
    matches!(slot, Some(Slot::Sole)).then(|| unit.to_owned())
}
