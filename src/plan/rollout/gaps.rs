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
    plan::Step,
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
    let stops = |step: &&Step| step.action.stopped().is_some_and(|unit| is_steady(&step.instance, unit));
    let has_one = |instance: &InstanceName, manifest: &Manifest| {
        manifest.units.keys().any(|unit| is_of(unit) && is_steady(instance, unit))
    };
    let running = owned.iter().filter(|(instance, manifest)| has_one(instance, manifest)).map(|(name, _)| *name);
    // What it replaces answered in its place.
    let mut answering: BTreeSet<&InstanceName> =
        running.chain(of_service().filter(stops).map(|step| &step.instance)).collect();
    if answering.is_empty() {
        return false;
    }
    let waves: BTreeSet<u32> = of_service().map(|step| step.phase.wave).collect();
    waves.into_iter().any(|wave| {
        let of_wave = || of_service().filter(move |step| step.phase.wave == wave);
        let away: BTreeSet<&InstanceName> = of_wave().filter(stops).map(|step| &step.instance).collect();
        let is_gap = answering.is_subset(&away);
        answering.extend(of_wave().filter(|step| step.action.started().is_some()).map(|step| &step.instance));
        is_gap
    })
}
