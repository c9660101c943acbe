//! A plan in words: what would change, why, and what is refused.
//!
//! Owns the order in which a plan is read: instance by instance, then what is not known, then what it is refused for, then
//! one line that sums it up. Keeps true: every step is shown, and nothing that is no step.

use std::collections::BTreeSet;

use super::{
    plan_json, plan_steps,
    style::{Mark, Style},
    words::{self, count, one_line, visible},
};
use crate::model::{
    desired::Resource,
    finding::{Finding, Severity},
    name::ServiceName,
    plan::{Action, InstanceState, Plan, Step, Summary},
};

/// How many resources a phase is named after.
const NAMED: usize = 4;

/// The whole plan, for people.
pub fn text(plan: &Plan, style: Style) -> String {
    let mut text = String::new();
    let (errors, warnings): (Vec<_>, Vec<_>) = plan.findings.iter().partition(|finding| finding.is_error());
    if plan.has_changes() {
        text += &introduction(plan, style);
        for (name, instance) in &plan.instances {
            let groups = plan_steps::groups(plan, name);
            if groups.is_empty() {
                continue;
            }
            let refused =
                if instance.state == InstanceState::Refused { style.bad(" (refused)") } else { String::new() };
            text += &format!("{}{refused}\n", style.bold(name.as_str()));
            text.extend(groups.iter().map(|group| group.text(style) + "\n"));
        }
        text += &as_declared(plan, style);
        text += &interrupted(plan, style);
    }
    text += &unknown(plan, style);
    if !warnings.is_empty() {
        text.extend(warnings.iter().map(|finding| said(finding, style)));
        text.push('\n');
    }
    // Last, where whoever reads a plan of many steps looks first.
    if !errors.is_empty() {
        let title = format!("Failed checks: {} is refused before anything is touched", plan.environment);
        text += &format!("{}\n\n", style.bad(&title));
        text.extend(errors.iter().map(|finding| said(finding, style)));
        text.push('\n');
    }
    text + &style.bold(&sum(plan, " above")) + "\n"
}

/// The plan as JSON, as described by `schema/plan.json`.
pub fn json(plan: &Plan) -> String {
    plan_json::json(plan)
}

/// The plan in one line: the last line of its text.
pub fn headline(plan: &Plan) -> String {
    sum(plan, "")
}

/// What a wave, which people know as a phase, is about: what is prepared, and the resources it changes.
pub fn phase_title(plan: &Plan, wave: u32) -> String {
    let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.phase.wave == wave).collect();
    let staged: BTreeSet<_> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::StageRelease { release, .. } => Some(release),
            _ => None,
        })
        .collect();
    let built: BTreeSet<_> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::BuildVenv { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    if let Some(shifted) = shifted(&steps) {
        return shifted;
    }
    let prepares = |step: &Step| matches!(step.action, Action::StageRelease { .. } | Action::BuildVenv { .. });
    let resources: BTreeSet<_> = steps.iter().filter(|step| !prepares(step)).map(|step| &step.resource).collect();
    let name = |resource: &&Resource| visible(&resource.to_string()) + &on(plan, wave, resource);
    let mut named: Vec<String> = resources.iter().take(NAMED).map(name).collect();
    if !staged.is_empty() {
        named.push(count(staged.len(), "release"));
    }
    if !built.is_empty() {
        named.push(count(built.len(), "virtual environment"));
    }
    match resources.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// What a wave that only shifts traffic does with it.
fn shifted(steps: &[&Step]) -> Option<String> {
    let (mut away, mut back) = (BTreeSet::new(), BTreeSet::new());
    for step in steps {
        let Action::ShiftTraffic { away: gone, back: come, .. } = &step.action else { return None };
        away.extend(gone.iter().cloned());
        back.extend(come.iter().cloned());
    }
    (!steps.is_empty()).then(|| format!("nginx: {}", plan_steps::shifted(&away, &back)))
}

/// Where a service changes in this wave, if it changes in another one elsewhere.
fn on(plan: &Plan, wave: u32, resource: &Resource) -> String {
    let runs = |step: &&Step| step.resource == *resource && step.action.awaited().is_some();
    let (here, elsewhere): (Vec<_>, Vec<_>) = plan.steps.iter().filter(runs).partition(|step| step.phase.wave == wave);
    if here.is_empty() || elsewhere.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = here.iter().take(NAMED).map(|step| step.instance.as_str()).collect();
    match here.len().saturating_sub(NAMED) {
        0 => format!(" on {}", names.join(", ")),
        more => format!(" on {} and {more} more", names.join(", ")),
    }
}

fn introduction(plan: &Plan, style: Style) -> String {
    let from = match &plan.commits.environment {
        Some(commit) => format!("commit {}", words::short(commit)),
        None => "the work tree".to_owned(),
    };
    let verb = if plan.is_refused() { "What would make" } else { "To make" };
    let mut text = format!("{verb} {} as {from} declares it:\n\n", style.bold(plan.environment.as_str()));
    let mut marks: BTreeSet<Mark> = BTreeSet::new();
    for group in plan.instances.keys().flat_map(|name| plan_steps::groups(plan, name)) {
        marks.extend(group.marks());
    }
    let legend = marks.iter().filter_map(|mark| {
        let word = match mark {
            Mark::Create => "create",
            Mark::Update => "update",
            Mark::Delete => "delete",
            Mark::Restart => "start or restart",
            Mark::Unknown | Mark::Good | Mark::Bad | Mark::Busy => return None,
        };
        Some(format!("{} {word}", style.mark(*mark)))
    });
    text += &format!("  {}\n\n", legend.collect::<Vec<_>>().join("   "));
    text + &phases(plan, style)
}

/// The order of things, where there is more than one.
fn phases(plan: &Plan, style: Style) -> String {
    let phases: BTreeSet<u32> = plan.steps.iter().map(|step| step.phase.wave).collect();
    if phases.len() < 2 {
        return String::new();
    }
    let mut text =
        format!("In {} phases; each begins when the one before is done and healthy everywhere:\n", phases.len());
    for phase in phases {
        text += &format!("  {phase}. {}\n", style.dim(&phase_title(plan, phase)));
    }
    text + "\n"
}

fn as_declared(plan: &Plan, style: Style) -> String {
    let is_so = plan.instances.iter().filter(|(_, instance)| instance.is_as_declared());
    let names: Vec<&str> = is_so.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("{}\n\n", style.dim(&format!("As declared: {}", names.join(", "))))
}

/// The gaps that callers meet.
fn interrupted(plan: &Plan, style: Style) -> String {
    let names: Vec<&str> = plan.interrupted.iter().take(NAMED).map(ServiceName::as_str).collect();
    let services = match plan.interrupted.len().saturating_sub(NAMED) {
        _ if names.is_empty() || plan.is_refused() => return String::new(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    };
    format!("{} until a replica is healthy again: {services}\n\n", style.warn("Interrupted"))
}

fn unknown(plan: &Plan, style: Style) -> String {
    let mut text = String::new();
    for (name, why) in plan.unknown_instances() {
        let name = style.bold(name.as_str());
        text += &format!(
            "{} {name}: not observed: {}; nothing is planned there\n",
            style.mark(Mark::Unknown),
            one_line(why)
        );
    }
    for (name, instance) in &plan.instances {
        if let InstanceState::Held(why) = &instance.state {
            let name = style.bold(name.as_str());
            text += &format!("{} {name}: {}; nothing is changed there\n", style.mark(Mark::Unknown), one_line(why));
        }
    }
    if text.is_empty() { text } else { text + "\n" }
}

fn said(finding: &Finding, style: Style) -> String {
    let word = match finding.severity {
        Severity::Error => style.bad("refused"),
        Severity::Warning => style.warn("warning"),
    };
    let instance =
        finding.instance.as_ref().map(|name| format!("{}: ", style.bold(&visible(name)))).unwrap_or_default();
    let code = style.dim(&format!("[{}]", finding.code));
    let mut text = format!("  {word} {instance}{} {code}\n", one_line(&finding.message));
    if let Some(hint) = &finding.hint {
        text += &format!("          {} {}\n", style.note("hint:"), one_line(hint));
    }
    text
}

/// The last line. `place` says where the reasons of a refusal are.
/// What a plan with changes comes to, in one line.
pub fn counts(summary: &Summary) -> String {
    let Summary { create, update, restart, delete, changed_instances, instances, .. } = summary;
    format!(
        "Plan: {create} to create, {update} to update, {restart} to restart, {delete} to delete \
         on {changed_instances} of {}.",
        count(*instances, "instance")
    )
}

fn sum(plan: &Plan, place: &str) -> String {
    let summary = plan.summary();
    let Summary { instances, services, unknown_instances, .. } = summary;
    if plan.is_refused() {
        let reasons = plan.findings.iter().filter(|finding| finding.is_error()).count();
        return format!("Refused: {}{place}. Nothing was touched.", count(reasons, "reason"));
    }
    if plan.has_changes() {
        return counts(&summary);
    }
    let (resources, drifted) = plan.drifted();
    if resources > 0 {
        let unknown = match unknown_instances {
            0 => String::new(),
            unknown => format!("; {unknown} could not be observed"),
        };
        let see = if place.is_empty() { String::new() } else { format!(", see{place}") };
        return format!(
            "Not as declared, and left so: {} on {drifted} of {}{see}{unknown}.",
            count(resources, "resource"),
            count(instances, "instance")
        );
    }
    match unknown_instances {
        0 => format!("No changes. {}, {} as declared.", count(instances, "instance"), count(services, "service")),
        _ if unknown_instances == instances => {
            format!("Nothing is planned: {} could not be observed.", count(instances, "instance"))
        }
        _ => format!(
            "No changes on {} of {}; {unknown_instances} could not be observed.",
            instances - unknown_instances,
            count(instances, "instance")
        ),
    }
}
