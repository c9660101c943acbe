//! What a deployment is said to have done: on the pull request that was merged, and in the one that reverts it.
//!
//! Keeps true: an outcome is never called better than it is; titles, logins, messages and logs stand in code.

use super::{
    LONGEST_COMMENT,
    document::{Block, Document, Foot, Piece, Section},
    markdown::{clipped, code, code_line, fence, link, named, paragraphs},
};
use crate::{
    model::{
        failure::Failure,
        name::InstanceName,
        outcome::{Cause, Deployment, Kind, Outcome},
        pull::PullRequest,
    },
    report::{
        change, deployment,
        words::{count, duration, short},
    },
};

/// Merged pull requests that are listed.
const NOTES: usize = 50;
/// The last lines of a log that are shown, and how far each.
const LOG: usize = 40;
const LINE: usize = 300;

/// A deployment, to be told of.
#[derive(Debug)]
pub struct DeployedView<'a> {
    pub deployment: &'a Deployment,
    /// Where people read its commit of the history.
    pub record: Option<&'a str>,
    /// What was asked of replicas last. None: nobody asked.
    pub replicas: Option<Replicas>,
    /// The pull requests that were merged since the deployment before it, the newest first.
    pub merged: &'a [PullRequest],
    /// The one that takes it back.
    pub revert: Option<&'a PullRequest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    pub healthy: usize,
    pub all: usize,
}

/// What the report of one deployment begins with, so that it is found again.
pub fn deployed_marker(deployment: &Deployment) -> String {
    format!("<!-- evenkeel:deployed {} {} -->", deployment.environment, deployment.generation)
}

/// The comment on a merged pull request.
pub fn deployed(view: &DeployedView<'_>) -> String {
    let head = paragraphs([
        format!("{}\n### {}", deployed_marker(view.deployment), title(view.deployment)),
        told(view),
        next(view),
    ]);
    let sections = [failures(view.deployment), notes(view.merged), changes(view.deployment)];
    let document = Document { head, sections: sections.into_iter().flatten().collect(), foot: Foot::default() };
    document.rendered().within(LONGEST_COMMENT, &where_it_is(view)).text.into_string()
}

fn where_it_is(view: &DeployedView<'_>) -> String {
    match view.record {
        Some(address) => format!("It is in {}.", link("the record", address)),
        None => "`evenkeel show` tells all of it.".to_owned(),
    }
}

/// How it ended.
fn title(deployment: &Deployment) -> String {
    let environment = format!("`{}`", deployment.environment);
    match deployment.outcome {
        None => format!("Deploying to {environment}"),
        Some(Outcome::Applied) => format!("Deployed to {environment}"),
        Some(Outcome::Unchanged) => format!("Nothing to deploy to {environment}"),
        Some(Outcome::Partial) => {
            let missing = |number, how| format!("{} {how}", count(number, "instance"));
            let missing = match (deployment.failed.len(), deployment.unreached.len()) {
                (0, unreached) => missing(unreached, "out of reach"),
                (failed, 0) => missing(failed, "that failed"),
                (failed, unreached) => missing(failed + unreached, "that failed or are out of reach"),
            };
            format!("Deployed to {environment}, but for {missing}")
        }
        Some(Outcome::RolledBack) => format!("Rolled back in {environment}: all is as it was before"),
        Some(Outcome::RollbackFailed) => format!("Rollback failed in {environment}: somebody has to look at it"),
        Some(Outcome::Stopped) => format!("Stopped half-way in {environment}, which is held"),
        Some(Outcome::Refused) => format!("Not deployed to {environment}: refused, and nothing was touched"),
    }
}

/// What, how long, how it is, and where to read more.
fn told(view: &DeployedView<'_>) -> String {
    let deployment = view.deployment;
    let mut said = Vec::new();
    if let Some(commit) = &deployment.commits.environment {
        said.push(code(&short(commit)));
    }
    if matches!(deployment.outcome, Some(Outcome::Applied | Outcome::Partial)) {
        said.push(deployment::done(&deployment.summary));
    }
    said.extend(deployment.duration_ms.map(|ms| format!("in {}", duration(ms))));
    said.extend(view.replicas.map(|replicas| match replicas {
        Replicas { healthy, all } if healthy == all => format!("all {} healthy", count(all, "replica")),
        Replicas { healthy, all } => format!("**{healthy} of {} healthy**", count(all, "replica")),
    }));
    said.extend(view.record.map(|address| link("the record", address)));
    said.join(" · ")
}

/// What happens now, or has to be done.
fn next(view: &DeployedView<'_>) -> String {
    let deployment = view.deployment;
    let mut said = Vec::new();
    if deployment.kind == Kind::Change && is_condemned(deployment) {
        let commit = deployment.commits.environment.as_deref().map_or("It".to_owned(), |commit| code(&short(commit)));
        said.push(format!(
            "{commit} is quarantined: it is not tried again until a newer commit, or `/evenkeel retry`."
        ));
    }
    if is_tried_again(deployment) {
        let failed: Vec<&str> =
            deployment.failure.iter().filter_map(Failure::instance).map(InstanceName::as_str).collect();
        said.push(format!("The cause is {}, not the commit: the deployment is tried again.", named(&failed)));
    }
    if deployment.outcome == Some(Outcome::Stopped) {
        said.push("Nothing was undone. Push a commit that mends it; then `/evenkeel resume`.".to_owned());
    }
    if let Some(revert) = view.revert {
        let number = link(&format!("#{}", revert.number), &revert.url);
        said.push(format!("{number} reverts it: merge that, or push what mends it."));
    }
    if !deployment.failed.is_empty() {
        let names: Vec<&str> =
            deployment.failed.iter().filter_map(Failure::instance).map(InstanceName::as_str).collect();
        said.push(format!("Left out: {}. The deployment is undone there, and tried again.", named(&names)));
    }
    if !deployment.unreached.is_empty() {
        let names: Vec<&str> = deployment.unreached.keys().map(|name| name.as_str()).collect();
        said.push(format!("Not reached: {}. What was not reached follows when it answers.", named(&names)));
    }
    said.join("\n")
}

/// An instance could not, and what failed is undone.
fn is_tried_again(deployment: &Deployment) -> bool {
    deployment.kind == Kind::Change
        && deployment.outcome == Some(Outcome::RolledBack)
        && deployment.failure.as_ref().is_some_and(|failure| failure.cause == Cause::Host)
}

fn is_condemned(deployment: &Deployment) -> bool {
    matches!(deployment.outcome, Some(Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Refused))
        && deployment.failure.as_ref().is_some_and(|failure| failure.cause.condemns())
}

/// What failed, each with what it said and the last lines of its log.
fn failures(deployment: &Deployment) -> Option<Section> {
    let failed = deployment.failure.iter().map(|it| failure("Failed", it));
    let failed = failed.chain(deployment.failed.iter().map(|it| failure("Left out", it)));
    let pieces: Vec<Piece> = failed.chain(deployment.not_undone.iter().map(|it| failure("Not undone", it))).collect();
    let brief = format!("- {}", count(pieces.len(), "failure"));
    (!pieces.is_empty()).then(|| Section { pieces, brief, ..Section::default() })
}

fn failure(title: &str, failure: &Failure) -> Piece {
    let step = failure.step.as_ref().map(|step| format!(", {}", code(step.on_instance()))).unwrap_or_default();
    let head = match (failure.cause, failure.instance()) {
        (Cause::Cancelled, _) => "**Cancelled**".to_owned(),
        (Cause::Refused, _) => "**Refused**".to_owned(),
        (Cause::Build, _) => "**Not built**".to_owned(),
        (_, None) => format!("**{title}**"),
        (_, Some(instance)) => format!("**{title}** on `{instance}`{step}"),
    };
    let lines = |text: &[&str]| text.iter().map(|line| clipped(line, LINE)).collect::<Vec<_>>();
    let message: Vec<&str> = failure.message.lines().take(LOG).collect();
    let log: Vec<&str> = failure.log.iter().flat_map(|line| line.lines()).collect();
    let last = &log[log.len().saturating_sub(LOG)..];
    let log = if last.is_empty() {
        String::new()
    } else {
        format!("The last lines of its log:\n\n{}", fence("", lines(last)))
    };
    let brief = format!("- {head}");
    Piece { whole: Block::Plain(paragraphs([head, fence("", lines(&message)), log])), brief }
}

/// Release notes: what was merged since the deployment before.
fn notes(merged: &[PullRequest]) -> Option<Section> {
    let mut lines = vec!["**Merged since the deployment before**\n".to_owned()];
    lines.extend(merged.iter().take(NOTES).map(|pull| {
        let number = link(&format!("#{}", pull.number), &pull.url);
        format!("- {number} {} by {}", code_line(&pull.title), code(&pull.author))
    }));
    if merged.len() > NOTES {
        lines.push(format!("- … and {} more", merged.len() - NOTES));
    }
    let brief = format!("- {} merged since the deployment before", count(merged.len(), "pull request"));
    (!merged.is_empty()).then(|| Section { head: lines.join("\n"), brief, ..Section::default() })
}

/// What changed, by instance, folded.
fn changes(deployment: &Deployment) -> Option<Section> {
    let mut by_instance: Vec<(&str, Vec<String>)> = Vec::new();
    for change in &deployment.changes {
        let (instance, what) = (change.instance(), change::what(change));
        match by_instance.last_mut() {
            Some((last, lines)) if *last == instance => lines.push(what),
            _ => by_instance.push((instance, vec![what])),
        }
    }
    let piece = |(instance, lines): (&str, Vec<String>)| {
        let sum = count(lines.len(), "change");
        // A name that is none of an instance was not written by us.
        let is_known = deployment.touches.iter().any(|name| name.as_str() == instance);
        let name = if is_known { format!("<b>{instance}</b>: ") } else { String::new() };
        let body = fence("", lines.iter().map(|line| clipped(line, LINE)));
        Piece { whole: Block::details(format!("{name}{sum}"), body), brief: format!("- {}: {sum}", code(instance)) }
    };
    let pieces: Vec<Piece> = by_instance.into_iter().map(piece).collect();
    let head = format!("**{}**", deployment::changes_title(deployment));
    let brief = format!("- {}", count(deployment.changes.len(), "change"));
    (!pieces.is_empty()).then(|| Section { head, pieces, brief, ..Section::default() })
}

/// The title of the pull request that takes a deployment back. The reverted one's title is not in it: as the
/// message of a commit it could mention people, and close issues.
pub fn revert_title(deployment: &Deployment, reverted: &PullRequest) -> String {
    let what = match deployment.outcome {
        Some(Outcome::RollbackFailed) => "could not be rolled back",
        Some(Outcome::Stopped) => "failed",
        _ => "was rolled back",
    };
    format!("Revert #{}, which {what} in {}", reverted.number, deployment.environment)
}

/// The text of that pull request.
pub fn revert_body(view: &DeployedView<'_>, reverted: &PullRequest) -> String {
    let deployment = view.deployment;
    let number = link(&format!("#{}", reverted.number), &reverted.url);
    let live = match deployment.outcome {
        Some(Outcome::RolledBack) => {
            "The hosts are as they were before it; the branch is not. Merging this makes the two agree."
        }
        _ => "The hosts were left half-way. Merging this deploys what was there before.",
    };
    let record = view.record.map(|address| format!("More in {}.", link("the record", address))).unwrap_or_default();
    let head = paragraphs([
        format!(
            "Takes back {number}, {} by {}, which failed in `{}`.",
            code_line(&reverted.title),
            code(&reverted.author),
            deployment.environment
        ),
        live.to_owned(),
    ]);
    let foot = Foot::of(&paragraphs([
        "To keep the change, close this and push what mends it: a newer commit is tried by itself.".to_owned(),
        record,
    ]));
    let document = Document { head, sections: failures(deployment).into_iter().collect(), foot };
    document.rendered().within(LONGEST_COMMENT, &where_it_is(view)).text.into_string()
}
