//! In which order steps are carried out.
//!
//! Phases are barriers across the whole environment: packages and releases first, then services level
//! by level of `after`, then traffic, then what is declared no more.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::model::{
    fleet::Fleet,
    name::ServiceName,
    plan::{Action, Rank, Step},
};

/// Before anything that runs is touched.
pub(super) const PREPARE: u32 = 0;
/// Above every level of services: no fleet has a thousand services one after the other.
pub(super) const TRAFFIC: u32 = 1_000_000;
pub(super) const PRUNE: u32 = TRAFFIC + 1;

/// The phase of each service: one more than the latest of those it comes after.
pub(super) fn levels(fleet: &Fleet) -> BTreeMap<ServiceName, u32> {
    let mut levels = BTreeMap::new();
    // Each service lies below those that it comes after, and is met a second time when they are done.
    let mut open: Vec<(&ServiceName, bool)> = fleet.services.keys().map(|name| (name, false)).collect();
    while let Some((name, is_second)) = open.pop() {
        let after = fleet.services.get(name).into_iter().flat_map(|service| &service.after);
        let known = after.filter(|other| fleet.services.contains_key(*other));
        if is_second {
            let latest = known.filter_map(|other| levels.get(other)).max().copied().unwrap_or(PREPARE);
            levels.insert(name.clone(), latest + 1);
        } else if !levels.contains_key(name) {
            // Stands while the service's own `after` are looked at, so that even a cycle ends here
            // (declaring refuses cycles).
            levels.insert(name.clone(), PREPARE + 1);
            open.push((name, true));
            open.extend(known.map(|other| (other, false)));
        }
    }
    levels
}

/// Sorts the steps, and numbers the phases that have steps from 1.
pub(super) fn arrange(steps: &mut [Step]) {
    steps.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut number = 0;
    let mut current = None;
    for step in steps {
        if current != Some(step.phase) {
            current = Some(step.phase);
            number += 1;
        }
        step.phase = number;
    }
}

fn key(step: &Step) -> (u32, &str, Rank, String, Reverse<u32>, String) {
    let (resource, subject) = (step.resource.to_string(), step.action.subject());
    (step.phase, step.instance.as_str(), step.action.traits().rank, resource, Reverse(age(&step.action)), subject)
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
