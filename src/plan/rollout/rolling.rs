//! `rolling`: a few replicas at a time, while the others answer.
//!
//! Keeps true: what takes no replica away comes first, so that what is down is up again before one that answers goes; of
//! those that answer never more than `max_unavailable` are away at once. A wave begins when the one before it is healthy,
//! and has stayed so for `pause`.

use std::collections::{BTreeMap, BTreeSet};

use super::{IsSteady, PlannedChange};
use crate::model::{
    fleet::Service,
    name::InstanceName,
    plan::{Action, StepId},
    rollout::Rolling,
};

/// In which wave each instance changes that changes at all, from 0.
pub(super) fn waves<'a>(
    rolling: &Rolling,
    service: &Service,
    changes: impl Iterator<Item = &'a PlannedChange>,
    is_steady: IsSteady<'_>,
) -> BTreeMap<InstanceName, u32> {
    let (mut changing, mut leaving) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        changing.insert(&change.instance);
        if change.action.stopped().is_some_and(|unit| is_steady(&change.instance, unit)) {
            leaving.insert(&change.instance);
        }
    }
    let staying: Vec<&InstanceName> = changing.difference(&leaving).copied().collect();
    let mut leaving: Vec<&InstanceName> = leaving.into_iter().collect();
    let place = |name: &InstanceName| rolling.order.iter().position(|first| first == name).unwrap_or(usize::MAX);
    leaving.sort_by_key(|name| (place(name), *name));
    let batch = rolling.max_unavailable.of(service.on.len());
    let batches = (!staying.is_empty()).then_some(staying.as_slice()).into_iter().chain(leaving.chunks(batch));
    (0..).zip(batches).flat_map(|(wave, names)| names.iter().map(move |name| ((*name).clone(), wave))).collect()
}

/// What waits after each wave but the last, where something was started in it.
pub(super) fn pauses(
    rolling: &Rolling,
    service: &Service,
    changes: &[PlannedChange],
    waves: &BTreeMap<InstanceName, u32>,
) -> Vec<PlannedChange> {
    let last = waves.values().max().copied().unwrap_or_default();
    let goes_before_another = |change: &&PlannedChange| {
        change.tier.is_of(&service.name) && waves.get(&change.instance).is_some_and(|wave| *wave < last)
    };
    let pause = |change: &PlannedChange| {
        let action = Action::Pause { unit: change.action.awaited()?.to_owned(), span: rolling.pause };
        let id = StepId::new(&change.instance, &change.resource, action.verb(), &action.subject());
        let reason = "the others change when it has stayed healthy".to_owned();
        let (instance, tier, resource) = (change.instance.clone(), change.tier.clone(), change.resource.clone());
        Some(PlannedChange { id, instance, tier, resource, action, reason })
    };
    match rolling.pause.0.is_zero() {
        true => Vec::new(),
        false => changes.iter().filter(goes_before_another).filter_map(pause).collect(),
    }
}
