//! What is planned, as short text.

use evenkeel::{
    model::plan::{Action, Plan},
    report::{self, Style},
};

/// A step a line: `PHASE INSTANCE VERB SUBJECT (REASON)`; a long digest by its beginning.
pub fn steps(plan: &Plan) -> String {
    let line = |step: &evenkeel::model::plan::Step| {
        let subject = match &step.action {
            Action::StageRelease { source, .. } => source.clone(),
            Action::BuildVenv { service, .. } => format!("virtual environment of {service}"),
            other => other.subject(),
        };
        format!("{} {} {} {subject} ({})\n", step.phase, step.instance, step.action.verb(), step.reason)
    };
    plan.steps.iter().map(line).collect()
}

/// Each step without its reason: `VERB SUBJECT`.
pub fn verbs(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.verb(), step.action.subject())).collect()
}

/// What is refused: `INSTANCE CODE: MESSAGE`, and the hint.
pub fn findings(plan: &Plan) -> String {
    let line = |finding: &evenkeel::model::finding::Finding| {
        let instance = finding.instance.as_deref().unwrap_or("-");
        let hint = finding.hint.as_deref().unwrap_or("-");
        format!("{instance} {}: {}\n  hint: {hint}\n", finding.code, finding.message)
    };
    plan.findings.iter().map(line).collect()
}

/// As people see it, without the digests of releases.
pub fn shown(plan: &Plan) -> String {
    report::plan::text(plan, Style(false))
}

/// A text with every digest, whole or shortened, replaced: for snapshots that the code of the example's
/// services must not change.
pub fn without_digests(text: &str) -> String {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let mut replaced = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        if length == 64 || length == 12 {
            replaced += if length == 64 { "DIGEST" } else { "SHORT" };
        } else {
            replaced += &rest[..length];
        }
        let next = rest[length..].chars().next();
        replaced.extend(next);
        rest = &rest[length + next.map_or(0, char::len_utf8)..];
    }
    replaced
}
