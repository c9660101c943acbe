//! Whether requests are lost while a plan is carried out.
//!
//! Keeps true: it says what the plan's waves do. A replica is restarted in place, a few of a service at a time or all at
//! once; nginx goes on serving while it reloads, and so does a site while it is switched over.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    PlannedEnvironment,
    changes::{Change, Changes},
    markdown::named,
};
use crate::model::{
    desired::Resource,
    name::ServiceName,
    plan::{Action, Before, Fate, Rank},
};

type Places<'a> = BTreeMap<&'a ServiceName, BTreeSet<&'a str>>;

/// Each service of which requests can be lost, in a line.
pub(super) fn lost(environment: &PlannedEnvironment<'_>, changes: &Changes<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let restarts = |change: &Change<'_>| has(change, |action| matches!(action, Action::RestartUnit { .. }));
    for (service, places) in services(changes, restarts) {
        // What is not known to run elsewhere too runs here only.
        let replicas = environment.replicas.get(service).copied().unwrap_or_default().max(places.len());
        let is_own = changes.own.iter().any(|change| is_of(change, service) && restarts(change));
        let anyway = if is_own { "" } else { " (also without this pull request)" };
        let is_interrupted = environment.plan.interrupted.contains(service);
        lines.push(restart(service, &places, replicas, is_interrupted) + anyway);
    }
    let replaces = |action: &Action| matches!(action, Action::StopUnit { foreign: true, .. });
    for (service, places) in services(changes, |change| has(change, replaces)) {
        let units = units(changes, service);
        lines.push(format!(
            "- **`{service}`** takes the place of {} on {}: requests fail from when that stops until this is healthy",
            named(&units),
            names(&places)
        ));
    }
    for (service, places) in services(changes, |change| change.fate() == Fate::Delete) {
        lines.push(format!("- **`{service}`** is removed from {}: requests to it fail from then on", names(&places)));
    }
    lines
}

fn restart(service: &ServiceName, places: &BTreeSet<&str>, replicas: usize, is_interrupted: bool) -> String {
    let where_it_is = names(places);
    match (places.len(), replicas) {
        (all, 2..) if all > 1 && !is_interrupted => format!(
            "- **`{service}`** restarts on {where_it_is}, a few of its {replicas} replicas at a time: requests straight to one fail until it is healthy again, the rest answers"
        ),
        (_, 1) => format!(
            "- **`{service}`** restarts on {where_it_is}, its only replica: requests to it fail until it is healthy again"
        ),
        (all, replicas) if all == replicas => format!(
            "- **`{service}`** restarts on {where_it_is}, all {replicas} replicas at once: requests to it fail until one is healthy again"
        ),
        (some, replicas) => format!(
            "- **`{service}`** restarts on {where_it_is}, {some} of its {replicas} replicas: requests to {} fail until healthy again, the rest answers",
            if some == 1 { "that one" } else { "those" }
        ),
    }
}

/// What goes on without losing any.
pub(super) fn unharmed(changes: &Changes<'_>) -> String {
    let on = |wanted: fn(&Action) -> bool| -> Vec<&str> {
        let found: BTreeSet<&str> =
            changes.all().filter(|change| has(change, wanted)).map(|change| change.instance.as_str()).collect();
        found.into_iter().collect()
    };
    let reloads = on(|action| action.traits().rank == Rank::Serve);
    let switches = on(|action| matches!(action, Action::WriteLink { before: Before::Link { .. }, .. }));
    match (reloads.is_empty(), switches.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("nginx goes on serving while it reloads on {}", named(&reloads)),
        (true, false) => format!("sites are switched over in one go on {}", named(&switches)),
        (false, false) if reloads == switches => {
            format!("nginx goes on serving while it reloads and sites are switched over, on {}", named(&reloads))
        }
        (false, false) => format!(
            "nginx goes on serving while it reloads on {}, and sites are switched over in one go on {}",
            named(&reloads),
            named(&switches)
        ),
    }
}

fn services<'a>(changes: &Changes<'a>, wanted: impl Fn(&Change<'a>) -> bool) -> Places<'a> {
    let mut found: Places<'a> = BTreeMap::new();
    for change in changes.all() {
        if let Resource::Service(service) = change.resource
            && wanted(change)
        {
            found.entry(service).or_default().insert(change.instance.as_str());
        }
    }
    found
}

/// The units that a service replaces.
fn units<'a>(changes: &Changes<'a>, service: &ServiceName) -> Vec<&'a str> {
    let of = changes.all().filter(|change| is_of(change, service));
    let mut units: Vec<&str> = of
        .flat_map(|change| &change.steps)
        .filter_map(|step| match &step.action {
            Action::StopUnit { unit, foreign: true } => Some(unit.as_str()),
            _ => None,
        })
        .collect();
    units.sort_unstable();
    units.dedup();
    units
}

fn is_of(change: &Change<'_>, service: &ServiceName) -> bool {
    matches!(change.resource, Resource::Service(name) if name == service)
}

fn names(places: &BTreeSet<&str>) -> String {
    named(&places.iter().copied().collect::<Vec<_>>())
}

fn has(change: &Change<'_>, wanted: impl Fn(&Action) -> bool) -> bool {
    change.steps.iter().any(|step| wanted(&step.action))
}
