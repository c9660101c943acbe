//! A pull request's plan in one line, in words.

use std::collections::BTreeSet;

use super::{PlannedEnvironment, PullContent, PullView, changes::Changes};
use crate::{
    model::{
        desired::Resource,
        plan::{Fate, Plan},
    },
    report::{
        findings,
        words::{count, counted},
    },
};

/// Plain words, which need no escaping.
pub fn headline(view: &PullView<'_>) -> String {
    match &view.content {
        PullContent::Untouched { .. } => "Nothing that is deployed changes".to_owned(),
        PullContent::Fork => "Not planned: this comes from another repository".to_owned(),
        PullContent::Conflict(paths) => format!("Not planned: {} in conflict", count(paths.len(), "file")),
        PullContent::Refused(_) => "Not planned: it cannot be looked at".to_owned(),
        PullContent::Invalid(found) => format!("Not planned: {} in what is declared", findings::summary(found)),
        PullContent::Planned(environments) => planned(environments),
    }
}

fn planned(environments: &[PlannedEnvironment<'_>]) -> String {
    let reasons = refusals(environments);
    if reasons > 0 {
        let refused = environments.iter().filter(|environment| environment.plan.is_refused()).count();
        let place = match (refused, environments.len()) {
            (_, 1) => String::new(),
            (refused, all) if refused == all => " in every environment".to_owned(),
            (refused, all) => format!(" in {refused} of {all} environments"),
        };
        return format!("Refused{place} for {}", count(reasons, "reason"));
    }
    let all: Vec<Changes<'_>> = environments.iter().map(Changes::of).collect();
    if !changes_anything(&all) {
        return unchanged(environments, &all);
    }
    let places = if all.len() > 1 { format!(" in {} environments", all.len()) } else { String::new() };
    let mut said = vec![counted(instances(&all), "instance changes", "instances change") + &places];
    let services = |wanted: &dyn Fn(Fate, usize) -> bool| named(&all, Counted::Services, wanted);
    let new = services(&|fate, _| fate == Fate::Create);
    if new > 0 {
        said.push(counted(new, "service is new", "services are new"));
    }
    let sites = named(&all, Counted::Sites, &|fate, _| fate == Fate::Create);
    if sites > 0 {
        said.push(counted(sites, "site is new", "sites are new"));
    }
    said.push(match services(&|_, restarts| restarts > 0) {
        0 => "nothing restarts".to_owned(),
        number => counted(number, "service restarts", "services restart"),
    });
    said.push(removed(&all));
    let drifted = all.iter().filter(|changes| !changes.before.is_empty()).count();
    if drifted > 0 {
        said.push("drift is put right".to_owned());
    }
    said.join(", ")
}

/// Whether the pull request itself does anything to a host.
pub(super) fn changes_anything(all: &[Changes<'_>]) -> bool {
    all.iter().any(|changes| !changes.own.is_empty())
}

/// What the pull request changes nothing of.
fn unchanged(environments: &[PlannedEnvironment<'_>], all: &[Changes<'_>]) -> String {
    let sum = |of: fn(&Plan) -> usize| environments.iter().map(|environment| of(environment.plan)).sum::<usize>();
    let instances = count(sum(|plan| plan.instances.len()), "instance");
    let services = count(sum(|plan| plan.services), "service");
    let is_unknown = |plan: &Plan| plan.unknown_instances().count();
    if all.iter().any(|changes| !changes.before.is_empty()) {
        return "No changes by this, but drift is put right".to_owned();
    }
    let drifted = sum(|plan| plan.drifted().1);
    match sum(is_unknown) {
        0 if drifted != 0 => format!("No changes: {instances}, {services}; drift on {}", count(drifted, "instance")),
        0 => format!("No changes: {instances} and {services} as declared"),
        unknown => format!("No changes on what answered: {unknown} of {instances} gave none"),
    }
}

/// How many reasons there are to refuse it.
pub(super) fn refusals(environments: &[PlannedEnvironment<'_>]) -> usize {
    let findings = environments.iter().flat_map(|environment| &environment.plan.findings);
    findings.filter(|finding| finding.is_error()).count()
}

fn instances(all: &[Changes<'_>]) -> usize {
    all.iter().map(|changes| changes.instances().len()).sum()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Services,
    Sites,
}

/// How many services, or sites, have a change that is wanted; one is counted once for each environment.
fn named(all: &[Changes<'_>], counted: Counted, wanted: &dyn Fn(Fate, usize) -> bool) -> usize {
    let of = |changes: &Changes<'_>| {
        let is_one = |resource: &Resource| match resource {
            Resource::Service(_) => counted == Counted::Services,
            Resource::Site(_) => counted == Counted::Sites,
            Resource::Nginx | Resource::Packages | Resource::Manifest | Resource::Folders | Resource::Leftover(_) => {
                false
            }
        };
        let wanted =
            changes.own.iter().filter(|change| is_one(change.resource) && wanted(change.fate(), change.restarts()));
        wanted.map(|change| change.resource).collect::<BTreeSet<_>>().len()
    };
    all.iter().map(of).sum()
}

/// What is removed somewhere, be it from one instance of many.
fn removed(all: &[Changes<'_>]) -> String {
    let is_gone = |fate: Fate, _: usize| fate == Fate::Delete;
    let others = all.iter().flat_map(|changes| &changes.own).filter(|change| {
        let counted = matches!(change.resource, Resource::Service(_) | Resource::Site(_));
        !counted && change.fate() == Fate::Delete
    });
    let numbers = [
        (named(all, Counted::Services, &is_gone), "service"),
        (named(all, Counted::Sites, &is_gone), "site"),
        (others.count(), "leftover"),
    ];
    let said: Vec<String> =
        numbers.iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(*number, noun)).collect();
    let total: usize = numbers.iter().map(|(number, _)| number).sum();
    match said.split_last() {
        None => "nothing is removed".to_owned(),
        Some((last, [])) => format!("{last} {} removed", if total == 1 { "is" } else { "are" }),
        Some((last, before)) => format!("{} and {last} are removed", before.join(", ")),
    }
}
