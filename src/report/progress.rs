//! What is said while a deployment is under way, one line for each thing that happens.

use super::{
    style::{Mark, Style},
    words::{count, duration, one_line},
};
use crate::model::{digest::Digest, name::InstanceName};

/// Something that happened, as the engine tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Connecting { instances: usize },
    Observed { instance: InstanceName, ms: u64 },
    NotReached { instance: InstanceName, why: String },
    Phase { number: u32, of: u32, title: String },
    Step { instance: InstanceName, id: String, verb: String, subject: String, state: StepState },
    Healthy { instance: InstanceName, service: String, after_ms: u64 },
    Unhealthy { instance: InstanceName, service: String, why: String },
    Undoing { instance: InstanceName },
    Undone { instance: InstanceName },
    Warning(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    Started,
    Done,
    Failed(String),
}

/// The event in one line, without a line break.
pub fn line(event: &Event, style: Style) -> String {
    match event {
        Event::Connecting { instances } => format!("Looking at {} …", count(*instances, "instance")),
        Event::Observed { instance, ms } => on(instance, Mark::Good, &format!("observed in {}", duration(*ms)), style),
        Event::NotReached { instance, why } => {
            on(instance, Mark::Unknown, &format!("not reached: {}", one_line(why)), style)
        }
        Event::Phase { number, of, title } => style.bold(&format!("Phase {number} of {of}: {}", one_line(title))),
        Event::Step { instance, verb, subject, state, .. } => {
            let (mark, words) = step(verb, subject, state);
            on(instance, mark, &words, style)
        }
        Event::Healthy { instance, service, after_ms } => {
            let words = format!("{} is healthy after {}", one_line(service), duration(*after_ms));
            on(instance, Mark::Good, &words, style)
        }
        Event::Unhealthy { instance, service, why } => {
            on(instance, Mark::Bad, &format!("{}: {}", one_line(service), one_line(why)), style)
        }
        Event::Undoing { instance } => on(instance, Mark::Busy, "undoing the deployment", style),
        Event::Undone { instance } => on(instance, Mark::Good, "undone: as it was before", style),
        Event::Warning(text) => format!("{} {}", style.warn("warning:"), one_line(text)),
    }
}

fn on(instance: &InstanceName, mark: Mark, words: &str, style: Style) -> String {
    let instance = format!("{instance:<16}");
    // What went well is read past; what did not is not.
    let words = if matches!(mark, Mark::Bad | Mark::Unknown | Mark::Busy) {
        style.as_mark(mark, words)
    } else {
        words.to_owned()
    };
    format!("  {instance} {} {words}", style.mark(mark))
}

fn step(verb: &str, subject: &str, state: &StepState) -> (Mark, String) {
    let [doing, done, plain] = forms(verb);
    let subject = match (verb, subject.parse::<Digest>()) {
        ("stage", Ok(release)) => format!("release {}", release.short()),
        _ => one_line(subject),
    };
    match state {
        StepState::Started => (Mark::Busy, format!("{doing} {subject}")),
        StepState::Done => (Mark::Good, format!("{done} {subject}")),
        StepState::Failed(why) => (Mark::Bad, format!("could not {plain} {subject}: {}", one_line(why))),
    }
}

/// A plan's verb as it is going on, as it is done, and as it should have been.
fn forms(verb: &str) -> [&str; 3] {
    match verb {
        "install" => ["installing", "installed", "install"],
        "stage" => ["sending", "sent", "send"],
        "create" => ["writing", "created", "create"],
        "update" => ["writing", "updated", "update"],
        "delete" => ["deleting", "deleted", "delete"],
        "stop" => ["stopping", "stopped", "stop"],
        "enable" => ["enabling", "enabled", "enable"],
        "start" => ["starting", "started", "start"],
        "restart" => ["restarting", "restarted", "restart"],
        "reload" => ["reloading", "reloaded", "reload"],
        "await-health" => ["waiting for", "healthy:", "see healthy"],
        other => [other, other, other],
    }
}
