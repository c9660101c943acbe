//! `blue-green`: a second copy starts beside the first, and takes over once it is healthy.
//!
//! Keeps true: what would restart the copy that takes requests starts the other one instead; a copy that runs nothing is
//! started where it is. Which copy takes requests is told by what lies on the instance, so a rollout that was cut off goes
//! on from there: what is started already and is as declared is not started again. The old copy goes last, in a stage of
//! its own. Never does: reading a clock, or keeping anything between two plans.

use std::collections::BTreeMap;

use crate::{
    model::{
        desired::{Copies, Desired},
        fleet::Fleet,
        nginx::loopback_server,
        observation::{LiveFile, Observation},
        paths,
        plan::Action,
        rollout::{Rollout, Slot, Slots},
        seen::Seen,
    },
    plan::{
        Inputs,
        instance::{Differ, Found},
        rollout::{PlannedChange, Tier},
    },
};

/// The stages of a service's wave. In the first the new copy starts beside the old one.
const BESIDE: u32 = 0;
/// nginx is led to the new copy. What has its port and is not nginx makes room.
const SWITCH: u32 = 1;
/// The new copy has all requests, and the old one still runs.
const BAKE: u32 = 2;
/// The old copy goes.
const RETIRE: u32 = 3;

/// What differs on an instance, with each service in the slot in which it is to run.
pub(in crate::plan) fn found(inputs: &Inputs<'_>, desired: &Desired, live: &Observation) -> Found {
    let slots = desired.copies.iter().map(|(service, copies)| (service.clone(), live_slot(copies, live))).collect();
    let there = desired.in_slots(&slots);
    let found = Differ::new(inputs, &there, live).run();
    let next = taken_over(&there, &found.changes);
    if next.is_empty() {
        return found;
    }
    Differ::new(inputs, &there.in_slots(&next), live).run()
}

/// Which copy takes requests. Where both are there, the one that nginx is led to; blue where none is.
fn live_slot(copies: &Copies, live: &Observation) -> Slot {
    let has = |slot| live.owned().is_some_and(|owned| owned.units.contains_key(&copies.in_slot(slot).replica.unit));
    match (has(Slot::Blue), has(Slot::Green)) {
        (true, true) => led_to(copies, live),
        (false, true) => Slot::Green,
        (_, false) => Slot::Blue,
    }
}

fn led_to(copies: &Copies, live: &Observation) -> Slot {
    let copy = |slot| copies.in_slot(slot);
    if let Some(Seen::Known(LiveFile::Regular { digest, content, .. })) = live.files.get(&copies.blue.front.path) {
        let text = content.as_ref().and_then(|content| content.public()).map(String::from_utf8_lossy);
        for slot in [Slot::Blue, Slot::Green] {
            let (front, port) = (&copy(slot).front, copy(slot).replica.port);
            let declared = copy(slot).files.get(&front.path).is_some_and(|file| file.digest() == *digest);
            // One that an older declaration or an older evenkeel wrote.
            let leads = text.as_ref().is_some_and(|text| text.contains(&loopback_server(port)));
            if declared || leads {
                return slot;
            }
        }
    }
    let runs = |slot| live.unit(&copy(slot).replica.unit).is_some_and(|unit| unit.is_active());
    if runs(Slot::Green) && !runs(Slot::Blue) { Slot::Green } else { Slot::Blue }
}

/// The services of which the copy that runs would restart, each with the slot that takes over instead.
fn taken_over(there: &Desired, changes: &[PlannedChange]) -> Slots {
    let restarts = |unit: &str| {
        changes.iter().any(|change| match &change.action {
            Action::RestartUnit { unit: restarted } => restarted == unit,
            _ => false,
        })
    };
    let slots: BTreeMap<_, _> = there.slots();
    let would = |(service, slot): (_, Slot)| {
        let copies = there.copies.get(&service)?;
        restarts(&copies.in_slot(slot).replica.unit).then(|| (service, slot.next()))
    };
    slots.into_iter().filter_map(would).collect()
}

/// The stage of a change that is made with services, the first of which run as one of two copies.
pub(super) fn stage(fleet: &Fleet, change: &PlannedChange) -> u32 {
    let slot_of = |unit: &str| paths::replica_of_unit(&fleet.name, unit).map(|replica| replica.slot);
    let is_front = |path: &str| paths::front_of(&fleet.name, path).is_some();
    let goes = |unit: &str| match slot_of(unit) {
        Some(Slot::Blue | Slot::Green) => RETIRE,
        // What has the service's own port, which nginx is to bind.
        Some(Slot::Sole) | None => SWITCH,
    };
    match &change.action {
        Action::SwitchPort { .. } => SWITCH,
        Action::WriteFile { path, .. } if is_front(path) => SWITCH,
        Action::RemoveFile { path, .. } if is_front(path) => SWITCH,
        Action::RemoveFile { path, .. } => path.strip_prefix("/etc/systemd/system/").map_or(RETIRE, goes),
        Action::StopUnit { unit, .. } => goes(unit),
        Action::Drain { .. } => RETIRE,
        Action::Pause { .. } => BAKE,
        Action::AwaitHealth { service, port, .. } => {
            let is_own = fleet.services.get(service).is_some_and(|service| service.port == *port);
            if is_own { BAKE } else { BESIDE }
        }
        _ => BESIDE,
    }
}

/// Whether what is made with these services goes through the stages of two copies.
pub(super) fn is_staged(fleet: &Fleet, tier: &Tier) -> bool {
    let Tier::Services(services) = tier else { return false };
    let of = |name| fleet.services.get(name).is_some_and(|service| matches!(service.rollout, Rollout::BlueGreen(_)));
    services.iter().any(of)
}
