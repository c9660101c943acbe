//! What is said of an environment before any detail: the table, what is lost, what is refused, what is not known.
//!
//! Keeps true: however large a fleet is, this stays short enough to leave room for details.

use std::collections::BTreeSet;

use super::{
    PlannedEnvironment,
    changes::{Changes, Tally},
    markdown::{alert, code, code_line, named, paragraphs},
    requests,
};
use crate::{
    model::{
        desired::Resource,
        finding::{Code, Finding},
        name::InstanceName,
        plan::{Action, InstancePlan, InstanceState, Step},
    },
    report::words::{count, counted},
};

/// Rows of a table.
const ROWS: usize = 40;
/// Findings, instances without an answer, and the like.
const LINES: usize = 12;

/// The instances that change, or of which nothing is known, each with what happens there.
pub(super) fn table(environment: &PlannedEnvironment<'_>, changes: &Changes<'_>) -> String {
    let plan = environment.plan;
    let mut rows = Vec::new();
    for (name, instance) in &plan.instances {
        let own = Tally::of(changes.own_on(name));
        let what = what(name, instance, changes);
        if what.is_empty() {
            continue;
        }
        let cell = |number: usize| if number == 0 { String::new() } else { number.to_string() };
        let [created, updated, restarted, removed] = [own.created, own.updated, own.restarted, own.removed].map(cell);
        rows.push(format!("| `{name}` | {created} | {updated} | {restarted} | {removed} | {what} |"));
    }
    if rows.is_empty() {
        return String::new();
    }
    let others = plan.instances.len() - rows.len();
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    let mut text =
        "| Instance | Created | Updated | Restarted | Removed | What |\n|---|--:|--:|--:|--:|---|\n".to_owned();
    text += &rows.join("\n");
    let mut said = Vec::new();
    if more > 0 {
        said.push(format!("{more} more like these"));
    }
    if others > 0 {
        said.push(counted(others, "other instance stays as it is", "other instances stay as they are"));
    }
    if said.is_empty() { text } else { format!("{text}\n\n{}.", said.join(", ")) }
}

/// The resources that change on an instance, and how it is. Only names that were checked: a bar would end the cell.
fn what(name: &InstanceName, instance: &InstancePlan, changes: &Changes<'_>) -> String {
    let own: Vec<String> = changes
        .own_on(name)
        .into_iter()
        .map(|change| match change.resource {
            Resource::Service(name) => name.to_string(),
            Resource::Site(name) => name.to_string(),
            Resource::Nginx => "nginx".to_owned(),
            Resource::Packages => "packages".to_owned(),
            Resource::Manifest => "the manifest".to_owned(),
            Resource::Folders => "evenkeel's folders".to_owned(),
            Resource::Leftover(_) => "a leftover".to_owned(),
        })
        .collect();
    let mut said = vec![named(&own)];
    said.push(match &instance.state {
        InstanceState::Unknown(_) => "no answer".to_owned(),
        InstanceState::Refused => "refused".to_owned(),
        InstanceState::Held(_) => "held".to_owned(),
        InstanceState::AsDeclared | InstanceState::Changes => String::new(),
    });
    if changes.before.iter().any(|change| change.instance == name) {
        said.push("drift".to_owned());
    }
    said.retain(|word| !word.is_empty());
    said.join("; ")
}

/// What refuses the plan.
pub(super) fn refusals(environment: &PlannedEnvironment<'_>) -> String {
    let errors: Vec<&Finding> = environment.plan.findings.iter().filter(|finding| finding.is_error()).collect();
    if errors.is_empty() {
        return String::new();
    }
    alert("CAUTION", &format!("Nothing is touched while this stands:\n\n{}", list(errors, finding)))
}

/// What to mind.
pub(super) fn warnings(environment: &PlannedEnvironment<'_>) -> String {
    // What is not built is among the notes, once and not for each instance.
    let is_told = |finding: &Finding| finding.is_error() || finding.code == Code::NotBuilt;
    let warnings: Vec<&Finding> = environment.plan.findings.iter().filter(|finding| !is_told(finding)).collect();
    let mut parts = Vec::new();
    if !warnings.is_empty() {
        parts.push(alert("WARNING", &list(warnings, finding)));
    }
    if let Some(why) = environment.barred {
        parts.push(alert("NOTE", &format!("Merging does not deploy it at once: {}", code_line(why))));
    }
    paragraphs(parts)
}

/// What is said of what is declared, with its place.
pub(super) fn declared(warnings: &[Finding]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    alert("WARNING", &list(warnings.iter().collect(), finding))
}

fn finding(finding: &Finding) -> String {
    let place = finding.place.as_ref().map(|place| format!("{}: ", code(&format!("{}:{}", place.file, place.line))));
    let place = place.unwrap_or_default();
    let instance = finding.instance.as_deref().map(|name| format!("{}: ", code(name))).unwrap_or_default();
    let hint = finding.hint.as_deref().map(|hint| format!("<br>Next: {}", code_line(hint))).unwrap_or_default();
    format!("- {place}{instance}{}{hint}", code_line(&finding.message))
}

/// What is not known before the merge, or not now.
fn unknown(environment: &PlannedEnvironment<'_>) -> Vec<String> {
    let mut lines: Vec<String> = environment
        .plan
        .unknown_instances()
        .map(|(name, why)| format!("- `{name}` gave no answer, and is planned when it does: {}", code_line(why)))
        .collect();
    for unresolved in &environment.unresolved {
        let (resource, source) = (code(&unresolved.resource.to_string()), code(&unresolved.source.to_string()));
        lines.push(format!(
            "- {resource} takes its files from {source}, which is fetched once this is merged and not before: what it holds is not shown"
        ));
    }
    lines.extend(due(environment).into_iter().map(|resource| {
        let resource = code(&resource.to_string());
        format!("- {resource} is built once this is merged and not before: what comes of it is not known")
    }));
    lines
}

/// What is built once it is merged.
fn due<'a>(environment: &PlannedEnvironment<'a>) -> BTreeSet<&'a Resource> {
    let is_due = |step: &&Step| matches!(step.action, Action::StageRelease { due: true, .. });
    // What is not fetched yet is due too, and said already.
    let is_fetched =
        |step: &&Step| environment.unresolved.iter().all(|unresolved| unresolved.resource != step.resource);
    environment.plan.steps.iter().filter(is_due).filter(is_fetched).map(|step| &step.resource).collect()
}

/// Whether requests are lost, and what cannot be told.
pub(super) fn notes(environment: &PlannedEnvironment<'_>, changes: &Changes<'_>) -> String {
    let mut lines = Vec::new();
    if changes.all().next().is_some() && !environment.plan.is_refused() {
        lines = requests::lost(environment, changes);
        let unharmed = requests::unharmed(changes);
        let rest = if lines.is_empty() { "No request is lost" } else { "No other request is lost" };
        let because = if unharmed.is_empty() { String::new() } else { format!(": {unharmed}") };
        lines.push(format!("- {rest}{because}"));
    }
    lines.extend(unknown(environment));
    list(lines, |line| line)
}

/// A list that ends.
fn list<T>(items: Vec<T>, line: impl Fn(T) -> String) -> String {
    let more = items.len().saturating_sub(LINES);
    let mut lines: Vec<String> = items.into_iter().take(LINES).map(line).collect();
    if more > 0 {
        lines.push(format!("- … and {more} more"));
    }
    lines.join("\n")
}

/// What is put right besides, in words.
pub(super) fn before_summary(changes: &Changes<'_>) -> String {
    let instances: BTreeSet<_> = changes.before.iter().map(|change| change.instance).collect();
    format!("{} on {}", count(changes.before.len(), "resource"), count(instances.len(), "instance"))
}
