//! What each stage says of a commit: `evenkeel/validate`, `evenkeel/plan`, `evenkeel/deploy`.
//!
//! Keeps true: a pull request that changes nothing that is deployed succeeds and says so, so that the checks can
//! be required; what was not looked at is never called a success.

use super::{
    DeployedView, PullContent, PullView,
    document::{Rendered, Shortened},
    headline::{headline, refusals},
    markdown::{clipped, fence, paragraphs},
    plan::{self, Dated},
};
use crate::{
    model::{
        commit::CommitId,
        finding::Finding,
        name::EnvironmentName,
        outcome::Outcome,
        pull::{Check, CheckState, Conclusion},
        status::Waiting,
    },
    report::{
        deployment, findings,
        words::{clip, one_line},
    },
};

/// What GitHub shows of a status: <https://docs.github.com/en/rest/commits/statuses#create-a-commit-status>.
const TITLE: usize = 140;
/// A check run's summary and text each take so much:
/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>.
const LONGEST: usize = 65_535;
/// Why something waits: holds have reasons that people write.
const LONGEST_REASON: usize = 1000;

/// Whether what is declared can be deployed at all.
pub(super) fn validate_check(view: &PullView<'_>) -> Check {
    let warned = || match view.warnings {
        [] => "Valid".to_owned(),
        warnings => format!("Valid: {}", findings::summary(warnings)),
    };
    let (conclusion, title, found): (_, _, &[Finding]) = match &view.content {
        PullContent::Invalid(found) => (Conclusion::Failure, findings::summary(found), found),
        PullContent::Planned(_) => (Conclusion::Success, warned(), view.warnings),
        PullContent::Untouched { .. } => (Conclusion::Success, headline(view), &[]),
        PullContent::Fork => (Conclusion::ActionRequired, headline(view), &[]),
        PullContent::Conflict(_) | PullContent::Refused(_) => (Conclusion::Failure, headline(view), &[]),
    };
    let summary = if found.is_empty() {
        format!("{title}.\n")
    } else {
        plan::findings(found).rendered().within(LONGEST, "`evenkeel validate` tells them all.").text.into_string()
    };
    check(view, "evenkeel/validate", conclusion, title, summary, None, found.to_vec())
}

/// What merging would do, which the comment tells too.
pub(super) fn plan_check(view: &PullView<'_>, rendered: &Rendered) -> Dated<Check> {
    let conclusion = match &view.content {
        PullContent::Untouched { .. } => Conclusion::Success,
        PullContent::Planned(environments) if refusals(environments) == 0 => Conclusion::Success,
        PullContent::Fork => Conclusion::ActionRequired,
        PullContent::Planned(_) | PullContent::Conflict(_) | PullContent::Refused(_) | PullContent::Invalid(_) => {
            Conclusion::Failure
        }
    };
    let Shortened { text: summary, left_out } = rendered.within(LONGEST, "It follows below.");
    let text = left_out
        .map(|left| left.rendered().within(LONGEST, "`evenkeel plan` tells it on any machine.").text.into_string());
    let timeless = summary.timeless();
    let posted = check(view, "evenkeel/plan", conclusion, headline(view), summary.into_string(), text, Vec::new());
    Dated { timeless: Check { summary: timeless, ..posted.clone() }, posted }
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

/// That a commit waits for its deployment.
pub fn queued_check(environment: &EnvironmentName, waiting: &Waiting) -> Check {
    let title = format!("{environment}: not deployed yet, {}", one_line(&waiting.why));
    let summary = paragraphs([
        format!("### Not deployed to `{environment}` yet"),
        fence("", [clipped(&waiting.why, LONGEST_REASON)]),
        "It is deployed by itself as soon as nothing stands in its way.".to_owned(),
    ]);
    deploying(&waiting.commit, CheckState::Queued, &title, summary)
}

/// That a commit which waited is not deployed any more.
pub fn let_go_check(environment: &EnvironmentName, commit: &CommitId) -> Check {
    let title = format!("{environment}: not deployed");
    let summary =
        format!("### Not deployed to `{environment}`\n\nAll that it declares is live already, or something newer is.");
    deploying(commit, CheckState::Done(Conclusion::Neutral), &title, summary)
}

/// How the deployment of `commit` goes, or went. `told` is what the comment tells of it.
pub fn deploy_check(view: &DeployedView<'_>, commit: &CommitId, told: String) -> Check {
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
    deploying(commit, state, &format!("{environment}: {line}"), told)
}

fn deploying(commit: &CommitId, state: CheckState, title: &str, summary: String) -> Check {
    Check {
        name: "evenkeel/deploy".to_owned(),
        commit: commit.clone(),
        state,
        title: clip(title, TITLE),
        summary,
        text: None,
        findings: Vec::new(),
    }
}

/// One check for several of one commit: in progress while one is, else queued while one is, else as bad as the worst.
/// None for none.
pub fn together(checks: &[&Check]) -> Option<Check> {
    let (first, others) = checks.split_first()?;
    if others.is_empty() {
        return Some((*first).clone());
    }
    let state = checks.iter().map(|check| check.state).reduce(|one, other| match (one, other) {
        (CheckState::InProgress, _) | (_, CheckState::InProgress) => CheckState::InProgress,
        (CheckState::Queued, _) | (_, CheckState::Queued) => CheckState::Queued,
        (CheckState::Done(one), CheckState::Done(other)) => CheckState::Done(one.worse(other)),
    })?;
    let titles: Vec<&str> = checks.iter().map(|check| check.title.as_str()).collect();
    let summaries: Vec<&str> = checks.iter().map(|check| check.summary.as_str()).collect();
    let findings = checks.iter().flat_map(|check| check.findings.clone()).collect();
    let summary = clip(&summaries.join("\n\n"), LONGEST);
    Some(Check { state, title: clip(&titles.join("; "), TITLE), summary, findings, ..(*first).clone() })
}
