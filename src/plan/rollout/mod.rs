//! Waves: in which order what differs is changed.
//!
//! Keeps true: waves are barriers across the whole environment: packages and releases first, then services level by level
//! of `after`, then traffic, then what is declared no more. What a strategy does with its services it does within their
//! level, wave by wave, beside the other services of the level. Where services are recreated there is one wave: whoever
//! asks one is answered by none of its replicas until one is healthy again. Never does: deciding what is changed, but for
//! which of two copies is to run.

mod blue_green;
mod gaps;
mod rolling;
mod traffic;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

pub(super) use self::{blue_green::found, gaps::gaps, traffic::Traffic};
use crate::model::{
    desired::Resource,
    fleet::{Fleet, Service},
    name::{InstanceName, ServiceName},
    plan::{Action, Phase, Rank, Step, StepId},
    rollout::Rollout,
};

/// Whether a unit of an instance runs, and has shown that it stays up.
pub(super) type IsSteady<'a> = &'a dyn Fn(&InstanceName, &str) -> bool;

/// A change that is to be made, without its place in the plan.
pub(super) struct PlannedChange {
    pub id: StepId,
    pub instance: InstanceName,
    pub tier: Tier,
    pub resource: Resource,
    pub action: Action,
    pub reason: String,
}

/// What a change is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tier {
    /// Before anything that runs is touched.
    Prepare,
    /// The first of these services. None of them is there: at the very end.
    Services(BTreeSet<ServiceName>),
    /// Once every service is healthy.
    Traffic,
    /// When no traffic goes there any more.
    Prune,
}

impl Tier {
    fn is_of(&self, service: &ServiceName) -> bool {
        matches!(self, Tier::Services(services) if services.contains(service))
    }
}

/// What waits for what, whatever the strategies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Prepare,
    Services(u32),
    Traffic,
    Prune,
}

/// Puts changes into waves, and each wave's into the order in which they are made.
pub(super) fn steps(fleet: &Fleet, mut changes: Vec<PlannedChange>, is_steady: IsSteady<'_>) -> Vec<Step> {
    let levels = levels(fleet);
    let mut waves: BTreeMap<(&ServiceName, InstanceName), u32> = BTreeMap::new();
    for service in fleet.services.values() {
        let Rollout::Rolling(rolling) = &service.rollout else { continue };
        let of_service = changes.iter().filter(|change| change.tier.is_of(&service.name));
        let waves_here = rolling::waves(rolling, service, of_service, is_steady);
        changes.extend(rolling::pauses(rolling, service, &changes, &waves_here));
        waves.extend(waves_here.into_iter().map(|(instance, wave)| ((&service.name, instance), wave)));
    }
    let mut phases: BTreeMap<(Level, Phase), Vec<PlannedChange>> = BTreeMap::new();
    for change in changes {
        let (level, first) = place(fleet, &levels, &change.tier);
        // What makes room for several services does so for the first of them that changes there.
        let of_level = first.into_iter().filter_map(|name| waves.get(&(name, change.instance.clone())));
        let stage = match blue_green::is_staged(fleet, &change.tier) {
            true => blue_green::stage(fleet, &change),
            false => u32::from(matches!(change.action, Action::Pause { .. })),
        };
        let phase = Phase { wave: of_level.min().copied().unwrap_or_default(), stage };
        phases.entry((level, phase)).or_default().push(change);
    }
    numbered(phases)
}

/// The level of a tier, and those of its services that are of it.
fn place<'f>(fleet: &'f Fleet, levels: &BTreeMap<ServiceName, u32>, tier: &Tier) -> (Level, BTreeSet<&'f ServiceName>) {
    let level = match tier {
        Tier::Prepare => Level::Prepare,
        Tier::Services(services) => {
            let known = services.iter().filter_map(|name| fleet.services.get_key_value(name));
            let known: Vec<(&ServiceName, &Service)> = known.collect();
            let level_of = |name: &ServiceName| levels.get(name).copied();
            match known.iter().filter_map(|(name, _)| level_of(name)).min() {
                Some(level) => {
                    let first = known.into_iter().map(|(name, _)| name).filter(|name| level_of(name) == Some(level));
                    return (Level::Services(level), first.collect());
                }
                None => Level::Prune,
            }
        }
        Tier::Traffic => Level::Traffic,
        Tier::Prune => Level::Prune,
    };
    (level, BTreeSet::new())
}

/// Counts the waves from 1, and sorts the changes of each phase.
fn numbered(phases: BTreeMap<(Level, Phase), Vec<PlannedChange>>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut ids = BTreeSet::new();
    let (mut wave, mut current) = (0, None);
    for ((level, Phase { wave: of_level, stage }), mut changes) in phases {
        if current != Some((level, of_level)) {
            current = Some((level, of_level));
            wave += 1;
        }
        changes.sort_by(|a, b| key(a).cmp(&key(b)));
        let phase = Phase { wave, stage };
        steps.extend(changes.into_iter().map(|PlannedChange { id, instance, resource, action, reason, .. }| {
            let id = if ids.insert(id.as_str().to_owned()) { id } else { id.in_phase(phase) };
            Step { id, instance, phase, resource, action, reason }
        }));
    }
    steps
}

fn key(change: &PlannedChange) -> (&str, Rank, String, Reverse<u32>, String) {
    let (resource, subject) = (change.resource.to_string(), change.action.subject());
    (change.instance.as_str(), change.action.traits().rank, resource, Reverse(age(&change.action)), subject)
}

/// Of a site's links the oldest is written first, and the one that is served last. So whoever looks for a
/// file through one after the other, the newest first, finds it while they move, too.
fn age(action: &Action) -> u32 {
    match action {
        Action::WriteLink { path, .. } => {
            path.rsplit_once("/previous-").and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// The level of each service: one more than the latest of those it comes after.
fn levels(fleet: &Fleet) -> BTreeMap<ServiceName, u32> {
    let mut levels = BTreeMap::new();
    // Each service lies below those that it comes after, and is met a second time when they are done.
    let mut open: Vec<(&ServiceName, bool)> = fleet.services.keys().map(|name| (name, false)).collect();
    while let Some((name, is_second)) = open.pop() {
        let after = fleet.services.get(name).into_iter().flat_map(|service| &service.after);
        let known = after.filter(|other| fleet.services.contains_key(*other));
        if is_second {
            let latest = known.filter_map(|other| levels.get(other)).max().copied().unwrap_or(0);
            levels.insert(name.clone(), latest + 1);
        } else if !levels.contains_key(name) {
            // Stands while the service's own `after` are looked at, so that even a cycle ends here
            // (declaring refuses cycles).
            levels.insert(name.clone(), 1);
            open.push((name, true));
            open.extend(known.map(|other| (other, false)));
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(instance: &str, action: Action) -> PlannedChange {
        let (instance, resource) = (instance.parse().expect("a name"), Resource::Nginx);
        let id = StepId::new(&instance, &resource, action.verb(), &action.subject());
        PlannedChange { id, instance, tier: Tier::Prepare, resource, action, reason: String::new() }
    }

    #[test]
    fn waves_are_numbered_without_gaps_and_each_has_its_stages() {
        let start = || change("h1", Action::StartUnit { unit: "a@1.service".to_owned() });
        let at = |level, wave, stage| ((level, Phase { wave, stage }), vec![start()]);
        let (first, second) = (Level::Services(1), Level::Services(7));
        let phases = [at(Level::Prune, 0, 0), at(first, 0, 0), at(first, 0, 1), at(first, 3, 0), at(second, 0, 0)];
        let numbered = numbered(phases.into());
        let told: Vec<String> = numbered.iter().map(|step| step.phase.to_string()).collect();
        assert_eq!(told, ["1", "1.1", "2", "3", "4"]);
    }

    #[test]
    fn the_order_of_a_phase_is_that_of_its_changes_whoever_found_them_first() {
        let unit = || "a@1.service".to_owned();
        let changes = || {
            let actions = [
                Action::RestartUnit { unit: unit() },
                Action::EnableUnit { unit: unit() },
                Action::StopUnit { unit: unit(), foreign: false },
                Action::ReleaseNginx,
            ];
            ["h2", "h1"].into_iter().flat_map(move |name| actions.clone().map(|action| change(name, action)))
        };
        let ordered = |changes: Vec<PlannedChange>| {
            let steps = numbered(BTreeMap::from([((Level::Traffic, Phase::default()), changes)]));
            steps.into_iter().map(|step| step.id).collect::<Vec<_>>()
        };
        let forward = ordered(changes().collect());
        assert_eq!(forward, ordered(changes().collect::<Vec<_>>().into_iter().rev().collect()));
        assert!(forward[..4].iter().all(|id| id.as_str().starts_with("h1/")), "{forward:?}");
    }
}
