//! A change of a record in one line.
//!
//! Owns: the words for what a deployment changed. Keeps true: text from outside is one line, without control characters.

use super::words::{one_line, visible};
use crate::model::{
    change::{self, ChangeStep, RecordedChange, ResourceChange},
    desired::Resource,
    digest::Digest,
    plan::{Fate, Verb},
};

/// `INSTANCE: VERB RESOURCE: STEPS (REASONS)`, without a verb where only the process changes.
pub fn line(recorded: &RecordedChange) -> String {
    match recorded {
        RecordedChange::Change(change) => format!("{}: {}", change.instance, of_change(change)),
        RecordedChange::Line(line) => one_line(line),
    }
}

/// As [`line`], without the instance.
pub fn what(recorded: &RecordedChange) -> String {
    match recorded {
        RecordedChange::Change(change) => of_change(change),
        RecordedChange::Line(line) => one_line(change::parts(line).1),
    }
}

fn of_change(change: &ResourceChange) -> String {
    let verb = match change.action {
        _ if change.resource == Resource::Packages => "install ",
        Fate::Create => "create ",
        Fate::Update => "update ",
        Fate::Delete => "delete ",
        Fate::Restart => "",
    };
    let steps: Vec<String> = change.steps.iter().map(step).collect();
    let colon = if steps.is_empty() { "" } else { ": " };
    let what = visible(&format!("{verb}{}{colon}{}", change.resource, steps.join(", ")));
    format!("{what} ({})", one_line(&change.reasons.join("; ")))
}

fn step(step: &ChangeStep) -> String {
    let subject = &step.subject;
    let short = || subject.parse::<Digest>().map_or_else(|_| subject.clone(), |digest| digest.short().to_owned());
    let verb = match step.action {
        Verb::Install | Verb::Update => return subject.clone(),
        Verb::Stage => {
            let from = step.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            return format!("release {}{from}", short());
        }
        Verb::Build => return format!("virtual environment {}", short()),
        Verb::Stop if step.replaced => "replaces",
        Verb::Reload => return format!("reload {}", subject.strip_suffix(".service").unwrap_or(subject)),
        verb @ (Verb::Create
        | Verb::Delete
        | Verb::Stop
        | Verb::Enable
        | Verb::Start
        | Verb::Restart
        | Verb::AwaitHealth
        | Verb::Shift
        | Verb::Switch
        | Verb::Drain
        | Verb::Pause) => verb.as_str(),
    };
    format!("{verb} {subject}")
}
