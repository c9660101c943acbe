//! A deployment in words: the commit that records it, and the last lines of `apply`.
//!
//! Keeps true: a subject fits 72 characters; the trailers are the last paragraph, one line each, so
//! that nothing a log or a message holds can pass for one; an outcome is never called better than it is.

use super::{
    change,
    style::Style,
    words::{self, block, count, one_line, short, visible},
};
use crate::model::{
    failure::Failure,
    name::EnvironmentName,
    outcome::{Cause, Conclusion, Deployment, Kind, Outcome},
    plan::{Commits, Summary},
};

pub use super::record::{history, json, show};

/// What git and GitHub show of a subject without cutting it.
const SUBJECT: usize = 72;

/// The message of the history branch's commit. `subject_of_commit` is that of the deployed commit.
pub fn commit_message(deployment: &Deployment, subject_of_commit: Option<&str>) -> String {
    let mut text = format!("{}\n\n", subject(&headline(deployment)));
    text += &match (commit(deployment), subject_of_commit) {
        (Some(commit), Some(subject)) => format!("Commit {commit}: {}\n", one_line(subject)),
        (Some(commit), None) => format!("Commit {commit}\n"),
        (None, _) => "From a work tree, not a commit\n".to_owned(),
    };
    text += &body(deployment, Style(false));
    text + "\n" + &trailers(deployment)
}

/// The headline, cut between words where it is too long; the body has it all.
fn subject(headline: &str) -> String {
    if headline.chars().count() <= SUBJECT {
        return headline.to_owned();
    }
    let short: String = headline.chars().take(SUBJECT - 1).collect();
    let words = short.rsplit_once(' ').map_or(short.as_str(), |(words, _)| words);
    format!("{}…", words.trim_end_matches([',', ':']))
}

/// The last lines that `apply` prints.
pub fn outcome(deployment: &Conclusion, style: Style) -> String {
    let line = words::capital(&headline(deployment));
    let line = match deployment.outcome() {
        Outcome::Applied => style.good(&line),
        Outcome::Partial => style.warn(&line),
        Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped | Outcome::Refused => style.bad(&line),
        Outcome::Unchanged => line,
    };
    let mut text = format!("{line}\n");
    text += &troubles(deployment, style);
    let took = deployment.duration_ms.map(|ms| format!(", {}", words::duration(ms))).unwrap_or_default();
    text += &style.dim(&format!("Generation {} of {}{took}", deployment.generation, deployment.environment));
    text.push('\n');
    text += match deployment.outcome() {
        Outcome::RolledBack => "Every file and unit is as it was before; packages stay as apt and dpkg left them.\n",
        Outcome::RollbackFailed => "Look at what is not undone before the next deployment.\n",
        Outcome::Partial if !deployment.failed.is_empty() => {
            "The instances that failed run what they ran before, and are tried again. `evenkeel rollback` takes the \
             deployment back everywhere.\n"
        }
        Outcome::Partial => "What was not reached follows with the next deployment that reaches it.\n",
        Outcome::Stopped => {
            "Nothing was undone, and the environment is held. Push a commit that mends it, or pin an earlier one \
             with `evenkeel rollback --now`; then `evenkeel resume`.\n"
        }
        Outcome::Refused => "Nothing was touched.\n",
        Outcome::Applied | Outcome::Unchanged => "",
    };
    text
}

/// What happened, in one line without a full stop.
pub fn headline(deployment: &Deployment) -> String {
    let from = commit(deployment).unwrap_or_else(|| "the work tree".to_owned());
    let what = what(deployment);
    let repair = deployment.kind == Kind::DriftRepair;
    match (deployment.outcome, &deployment.taken_over) {
        (None, Some(before)) => format!("taken over from {}: apply {from}, {what}", one_line(&before.from)),
        (outcome, _) => headline_of(outcome, repair, &from, &what),
    }
}

fn headline_of(outcome: Option<Outcome>, repair: bool, from: &str, what: &str) -> String {
    match outcome {
        None => format!("intent: apply {from}, {what}"),
        Some(Outcome::Applied) if repair => format!("repaired drift from {from}: {what}"),
        Some(Outcome::Applied) => format!("applied {from}: {what}"),
        Some(Outcome::Unchanged) => format!("unchanged: everything is as {from} declares it"),
        Some(Outcome::Partial) => format!("partly applied {from}: {what}"),
        Some(Outcome::RolledBack) if repair => format!("rolled back a drift repair: {what}"),
        Some(Outcome::RolledBack) => format!("rolled back {from}: {what}"),
        Some(Outcome::RollbackFailed) => format!("rollback of {from} FAILED: {what}"),
        Some(Outcome::Stopped) => format!("stopped {from}: {what}"),
        Some(Outcome::Refused) => format!("refused {from}: {what}"),
    }
}

/// What was done, or why not.
pub(super) fn what(deployment: &Deployment) -> String {
    match (deployment.outcome, &deployment.failure) {
        (None, _) => to_do(&deployment.summary),
        (Some(Outcome::Applied), _) => done(&deployment.summary),
        (Some(Outcome::Unchanged), _) => "nothing to do".to_owned(),
        (Some(Outcome::Partial), _) => {
            let missing =
                [(deployment.failed.len(), "failed and left out"), (deployment.unreached.len(), "not reached")];
            let missing =
                missing.iter().filter(|(number, _)| *number > 0).map(|(number, how)| format!(", {number} {how}"));
            done(&deployment.summary) + &missing.collect::<String>()
        }
        (Some(Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped), Some(failure)) => {
            match failure.cause {
                Cause::Cancelled => format!("cancelled {}", one_line(&failure.message)),
                Cause::Interrupted => "it was interrupted".to_owned(),
                Cause::Lost | Cause::Step | Cause::Host | Cause::Overtaken | Cause::Refused | Cause::Build => {
                    match failure.instance() {
                        None => one_line(&failure.message),
                        Some(instance) if failure.cause == Cause::Lost => format!("{instance} was lost"),
                        Some(instance) => format!("{} failed on {instance}", resource(failure)),
                    }
                }
            }
        }
        (Some(Outcome::Refused), Some(failure)) => one_line(&failure.message),
        (Some(Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped | Outcome::Refused), None) => {
            "no reason recorded".to_owned()
        }
    }
}

/// A failure in one line: where, what, and what it said.
pub fn failure_line(failure: &Failure) -> String {
    let message = one_line(&failure.message);
    match (failure.cause, failure.instance(), &failure.step) {
        (Cause::Cancelled, ..) => format!("cancelled {message}"),
        (Cause::Refused | Cause::Build, ..) | (_, None, _) => message,
        (_, Some(instance), None) => format!("{instance}: {message}"),
        (_, Some(instance), Some(step)) => format!("{instance}, {}: {message}", visible(step.as_str())),
    }
}

/// The message of the commit that restores what a deployment deployed, with the reason of who asked for it.
pub fn restore_message(
    environment: &EnvironmentName,
    generation: u64,
    commits: &Commits,
    reason: Option<&str>,
) -> String {
    let from = commits.environment.as_deref().map_or_else(|| "the work tree".to_owned(), short);
    let reason = reason.map(|reason| format!("\n{}\n", one_line(reason))).unwrap_or_default();
    format!(
        "Roll {environment} back to generation {generation}\n\n\
         The fleet as {from} declares it, which generation {generation} deployed.\n{reason}"
    )
}

/// The commit as people name it. None for a work tree.
pub(super) fn commit(deployment: &Deployment) -> Option<String> {
    deployment.commits.environment.as_deref().map(short)
}

/// Changes, and what went wrong: every paragraph after an empty line.
pub(super) fn body(deployment: &Deployment, style: Style) -> String {
    let mut text = String::new();
    if !deployment.changes.is_empty() {
        text += &format!("\n{}\n", style.bold(&format!("{}:", changes_title(deployment))));
        text.extend(deployment.changes.iter().map(|change| format!("- {}\n", change::line(change))));
    }
    if !deployment.commits.sources.is_empty() {
        text += &format!("\n{}\n", style.bold("With files of:"));
        let sources = deployment.commits.sources.iter();
        text.extend(sources.map(|(name, commit)| format!("- {} at {}\n", one_line(name), short(commit))));
    }
    if !deployment.builds.is_empty() {
        text += &format!("\n{}\n", style.bold("Built:"));
        let builds = deployment.builds.values().map(|built| {
            let (from, release) = (one_line(&built.from), built.release);
            format!("- {from}: release {} (what it said: builds/{release}.log of this record)\n", release.short())
        });
        text.extend(builds);
    }
    if !deployment.suspects.is_empty() {
        text += &format!("\n{}\n", style.bold("Possibly by:"));
        text.extend(deployment.suspects.iter().map(|suspect| format!("- {}\n", one_line(suspect))));
    }
    let troubles = troubles(deployment, style);
    if troubles.is_empty() { text } else { text + "\n" + &troubles }
}

/// What became of the changes.
pub(super) fn changes_title(deployment: &Deployment) -> &'static str {
    match deployment.outcome {
        None | Some(Outcome::Refused | Outcome::Unchanged) => "Planned changes",
        Some(Outcome::Applied | Outcome::Partial) => "Changes",
        Some(Outcome::RolledBack) => "Changes, all undone",
        Some(Outcome::RollbackFailed) => "Changes, not all undone",
        Some(Outcome::Stopped) => "Changes, begun and left as they are",
    }
}

/// The failure with its log, what is left half-way, and who was not reached.
fn troubles(deployment: &Deployment, style: Style) -> String {
    let mut paragraphs = Vec::new();
    if let Some(failure) = &deployment.failure {
        paragraphs.push(failed("Failed", failure, style));
    }
    paragraphs.extend(deployment.failed.iter().map(|failure| failed("Left out", failure, style)));
    paragraphs.extend(deployment.not_undone.iter().map(|failure| failed("Not undone", failure, style)));
    if !deployment.unreached.is_empty() {
        let lines = deployment.unreached.iter().map(|(name, why)| format!("- {name}: {}\n", one_line(why)));
        paragraphs.push(format!("{}\n{}", style.warn("Not reached:"), lines.collect::<String>()));
    }
    paragraphs.join("\n")
}

fn failed(title: &str, failure: &Failure, style: Style) -> String {
    let step = failure.step.as_ref().map(|step| format!(" {}", visible(step.on_instance()))).unwrap_or_default();
    let title = match (failure.cause, failure.instance()) {
        (Cause::Cancelled, _) => "Cancelled:".to_owned(),
        (Cause::Refused, _) => "Refused:".to_owned(),
        (Cause::Build, _) => "Not built:".to_owned(),
        (_, None) => format!("{title}:"),
        (_, Some(instance)) => format!("{title} on {instance}:"),
    };
    let mut text = format!("{}{step}\n", style.bad(&title));
    text += &block("  ", &failure.message);
    if !failure.log.is_empty() {
        text += "  the last lines of its log:\n";
        text.extend(failure.log.iter().map(|line| format!("    {}\n", visible(line))));
    }
    text
}

/// What failed: `service/gong_mcp`.
fn resource(failure: &Failure) -> String {
    failure.step.as_ref().map_or("a step".to_owned(), |step| visible(step.resource()))
}

fn trailers(deployment: &Deployment) -> String {
    let outcome = match deployment.outcome {
        Some(outcome) => ("Outcome", outcome.to_string()),
        None => ("Intent", "yes".to_owned()),
    };
    let optional = |name, value: Option<String>| value.map(|value| (name, value));
    let known = [
        Some(("Environment", deployment.environment.to_string())),
        optional("Deployed-Commit", deployment.commits.environment.clone().map(String::from)),
        Some(outcome),
        Some(("Generation", deployment.generation.to_string())),
        Some(("Plan-Digest", deployment.plan_digest.to_string())),
        Some(("Triggered-By", deployment.triggered_by.clone())),
        optional("Duration", deployment.duration_ms.map(words::duration)),
    ];
    known.into_iter().flatten().map(|(name, value)| format!("{name}: {}\n", one_line(&value))).collect()
}

/// `3 created, 1 restarted on 2 instances`.
pub(super) fn done(summary: &Summary) -> String {
    counts(summary, ["created", "updated", "restarted", "deleted"])
}

/// `3 to create, 1 to restart on 2 instances`.
fn to_do(summary: &Summary) -> String {
    counts(summary, ["to create", "to update", "to restart", "to delete"])
}

/// What is nought is not worth its place in a subject.
fn counts(summary: &Summary, words: [&str; 4]) -> String {
    let numbers = [summary.create, summary.update, summary.restart, summary.delete];
    let said = numbers.into_iter().zip(words).filter(|(number, _)| *number > 0);
    let said: Vec<String> = said.map(|(number, word)| format!("{number} {word}")).collect();
    let on = count(summary.changed_instances, "instance");
    if said.is_empty() { format!("small changes on {on}") } else { format!("{} on {on}", said.join(", ")) }
}
