//! A plan as JSON, and the schema of that JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{VERSION, pretty, schema_of};
use crate::model::{
    content::Content,
    digest::Digest,
    finding::Finding,
    name::InstanceName,
    plan::{Action, Before, Commits, InstancePlan, InstanceState, Plan, Step, Summary, Verb},
};

/// What evenkeel would change in one environment.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "evenkeel plan")]
struct PlanView<'a> {
    /// Of this format.
    version: u32,
    environment: &'a str,
    commits: &'a Commits,
    /// Over the steps and their preconditions; what an approval is bound to.
    digest: String,
    instances: Vec<InstanceView<'a>>,
    /// In the order in which they are carried out.
    steps: Vec<StepView<'a>>,
    /// Refusals (errors) and warnings. With an error nothing is carried out.
    findings: &'a [Finding],
    /// Services that answered, and of which no replica does for a while when this is carried out.
    interrupted: Vec<&'a str>,
    summary: Summary,
}

#[derive(Serialize, JsonSchema)]
struct InstanceView<'a> {
    name: &'a str,
    state: StateView,
    /// Why it is unknown, refused or drifted.
    why: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum StateView {
    AsDeclared,
    /// Nothing is planned there, and something that is left as it is is not as declared.
    Drifted,
    Changes,
    /// Not reached, or not understood: nothing is planned there.
    Unknown,
    Refused,
    /// A person holds it, and it stays as it is although it differs.
    Held,
}

#[derive(Serialize, JsonSchema)]
struct StepView<'a> {
    id: &'a str,
    instance: &'a str,
    /// Counts from 1. A phase begins when the one before is done and healthy everywhere.
    phase: u32,
    /// What it does; `subject` says with what.
    action: Verb,
    /// service/NAME, site/NAME, nginx, packages, folders, manifest or leftover/NAME.
    resource: String,
    /// The path, unit, release or packages it is about.
    subject: String,
    reason: &'a str,
    /// The file or link as it is; null where there is none, and for steps that are not about one.
    before: Option<FileView<'a>>,
    /// The file or link as it will be.
    after: Option<FileView<'a>>,
    /// The steps it waits for: on each instance the last ones of the phase before.
    needs: Vec<&'a str>,
}

/// A file (with digest and mode) or a symbolic link (with target).
#[derive(Serialize, JsonSchema, Default)]
struct FileView<'a> {
    /// SHA-256 of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Permission bits in octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    /// Where it is text and was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    /// Of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

pub(super) fn json(plan: &Plan) -> String {
    let ends = ends_of_phases(plan);
    let view = PlanView {
        version: VERSION,
        environment: plan.environment.as_str(),
        commits: &plan.commits,
        digest: plan.digest().to_string(),
        instances: plan
            .instances
            .iter()
            .map(|(name, instance)| {
                let (state, why) = state(plan, name, instance);
                InstanceView { name: name.as_str(), state, why }
            })
            .collect(),
        steps: plan.steps.iter().map(|step| step_view(step, &ends)).collect(),
        findings: &plan.findings,
        interrupted: plan.interrupted.iter().map(|name| name.as_str()).collect(),
        summary: plan.summary(),
    };
    pretty(&view)
}

pub(super) fn schema() -> String {
    schema_of::<PlanView<'_>>()
}

fn state(plan: &Plan, name: &InstanceName, instance: &InstancePlan) -> (StateView, Option<String>) {
    match &instance.state {
        InstanceState::AsDeclared if !instance.is_as_declared() => (StateView::Drifted, instance.drift_told(|_| true)),
        InstanceState::AsDeclared => (StateView::AsDeclared, None),
        InstanceState::Changes => (StateView::Changes, None),
        InstanceState::Unknown(why) => (StateView::Unknown, Some(why.clone())),
        InstanceState::Held(why) => (StateView::Held, Some(why.clone())),
        InstanceState::Refused => {
            let here = |finding: &&Finding| finding.is_error() && finding.instance.as_deref() == Some(name.as_str());
            let reasons: Vec<_> = plan.findings.iter().filter(here).map(|finding| finding.message.as_str()).collect();
            (StateView::Refused, Some(reasons.join("; ")))
        }
    }
}

/// What ends each phase: on each instance its waits for health, which come last, or else its last step.
/// Naming every step of a phase would make a plan of n steps n² long.
fn ends_of_phases(plan: &Plan) -> BTreeMap<u32, Vec<&str>> {
    let mut phases: BTreeMap<u32, BTreeMap<&InstanceName, Vec<&Step>>> = BTreeMap::new();
    for step in &plan.steps {
        phases.entry(step.phase.wave).or_default().entry(&step.instance).or_default().push(step);
    }
    let waits = |step: &&&Step| matches!(step.action, Action::AwaitHealth { .. });
    let ends = |steps: &Vec<&'_ Step>| steps.iter().filter(waits).count();
    phases
        .into_iter()
        .map(|(phase, instances)| {
            let ids = instances.values().flat_map(|steps| {
                let last = steps.len() - ends(steps).max(1);
                steps[last..].iter().map(|step| step.id.as_str())
            });
            (phase, ids.collect())
        })
        .collect()
}

fn step_view<'a>(step: &'a Step, ends: &BTreeMap<u32, Vec<&'a str>>) -> StepView<'a> {
    let (before, after) = files(&step.action);
    StepView {
        id: step.id.as_str(),
        instance: step.instance.as_str(),
        phase: step.phase.wave,
        action: step.action.verb(),
        resource: step.resource.to_string(),
        subject: step.action.subject(),
        reason: &step.reason,
        before,
        after,
        needs: ends.range(..step.phase.wave).next_back().map(|(_, ids)| ids.clone()).unwrap_or_default(),
    }
}

fn files(action: &Action) -> (Option<FileView<'_>>, Option<FileView<'_>>) {
    let after = match action {
        Action::WriteFile { content, mode, .. } => Some(FileView {
            digest: content.public().map(|bytes| Digest::of(bytes).to_string()),
            mode: Some(octal(*mode)),
            owner: Some("root:root"),
            content: text(content),
            target: None,
        }),
        Action::WriteLink { target, .. } => Some(FileView { target: Some(target), ..FileView::default() }),
        _ => None,
    };
    (action.file().and_then(|(_, before)| file(before)), after)
}

fn file(before: &Before) -> Option<FileView<'_>> {
    match before {
        Before::Absent => None,
        Before::Link { target } => Some(FileView { target: Some(target), ..FileView::default() }),
        Before::File { digest, mode, owner, content } => Some(FileView {
            digest: Some(digest.to_string()),
            mode: Some(octal(*mode)),
            owner: Some(owner),
            content: content.as_ref().and_then(text),
            target: None,
        }),
    }
}

fn text(content: &Content) -> Option<&str> {
    std::str::from_utf8(content.public()?).ok()
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}
