//! What each stage says of a commit: `evenkeel/validate`, `evenkeel/plan`, `evenkeel/deploy`.
//!
//! Keeps true: a pull request that changes nothing that is deployed succeeds and says so, so that the checks can
//! be required; what was not looked at is never called a success.

use super::{
    DeployedView, PullContent, PullView, deployed,
    headline::{headline, refusals},
    plan,
};
use crate::{
    model::{
        finding::Finding,
        outcome::Outcome,
        pull::{Check, CheckState, Conclusion},
    },
    report::{deployment, findings, words::clip},
};

/// What GitHub shows of a status: <https://docs.github.com/en/rest/commits/statuses#create-a-commit-status>.
const TITLE: usize = 140;
/// A check run's summary and text each take so much:
/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>.
const LONGEST: usize = 65_535;

/// Whether what is declared can be deployed at all.
pub fn validate_check(view: &PullView<'_>) -> Check {
    let warned = || match view.warnings {
        [] => "Valid".to_owned(),
        warnings => format!("Valid: {}", findings::summary(warnings)),
    };
    let (conclusion, title, found): (_, _, &[Finding]) = match &view.content {
        PullContent::Invalid(found) => (Conclusion::Failure, findings::summary(found), found),
        PullContent::Planned(_) => (Conclusion::Success, warned(), view.warnings),
        PullContent::Untouched => (Conclusion::Success, headline(view), &[]),
        PullContent::Fork => (Conclusion::ActionRequired, headline(view), &[]),
        PullContent::Conflict(_) | PullContent::Refused(_) => (Conclusion::Failure, headline(view), &[]),
    };
    let summary = if found.is_empty() {
        format!("{title}.\n")
    } else {
        plan::findings(found).within(LONGEST, "`evenkeel validate` tells them all.").text
    };
    check(view, "evenkeel/validate", conclusion, title, summary, None, found.to_vec())
}

/// What merging would do.
pub fn plan_check(view: &PullView<'_>) -> Check {
    let conclusion = match &view.content {
        PullContent::Untouched => Conclusion::Success,
        PullContent::Planned(environments) if refusals(environments) == 0 => Conclusion::Success,
        PullContent::Fork => Conclusion::ActionRequired,
        PullContent::Planned(_) | PullContent::Conflict(_) | PullContent::Refused(_) | PullContent::Invalid(_) => {
            Conclusion::Failure
        }
    };
    let shortened = plan::document(view).within(LONGEST, "It follows below.");
    let text = shortened.left_out.map(|left| left.within(LONGEST, "`evenkeel plan` tells it on any machine.").text);
    check(view, "evenkeel/plan", conclusion, headline(view), shortened.text, text, Vec::new())
}

fn check(
    view: &PullView<'_>,
    name: &str,
    conclusion: Conclusion,
    title: String,
    summary: String,
    text: Option<String>,
    findings: Vec<Finding>,
) -> Check {
    let state = CheckState::Done(conclusion);
    Check {
        name: name.to_owned(),
        commit: view.pull.head.clone(),
        state,
        title: clip(&title, TITLE),
        summary,
        text,
        findings,
    }
}

/// How the deployment of `commit` goes, or went.
pub fn deploy_check(view: &DeployedView<'_>, commit: &str) -> Check {
    let state = match view.deployment.outcome {
        None => CheckState::InProgress,
        Some(Outcome::Applied | Outcome::Unchanged) => CheckState::Done(Conclusion::Success),
        Some(Outcome::Partial) => CheckState::Done(Conclusion::Neutral),
        Some(Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped | Outcome::Refused) => {
            CheckState::Done(Conclusion::Failure)
        }
    };
    let environment = &view.deployment.environment;
    let line = match view.deployment.outcome {
        None => format!("deploying, {}", deployment::what(view.deployment)),
        Some(_) => deployment::headline(view.deployment),
    };
    Check {
        name: "evenkeel/deploy".to_owned(),
        commit: commit.to_owned(),
        state,
        title: clip(&format!("{environment}: {line}"), TITLE),
        summary: deployed::deployed(view),
        text: None,
        findings: Vec::new(),
    }
}
