//! What is said while a deployment is under way, one line for each thing that happens.

use super::{
    style::{Mark, Style},
    words::{count, duration, one_line},
};
use crate::model::{
    digest::Digest,
    name::InstanceName,
    plan::{StepId, Verb},
};

/// Something that happened, as the engine tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Connecting { instances: usize },
    Observed { instance: InstanceName, ms: u64 },
    NotReached { instance: InstanceName, why: String },
    Phase { number: u32, of: u32, title: String },
    Step { instance: InstanceName, id: StepId, verb: Verb, subject: String, state: StepState },
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
    let (mark, words) = words(event);
    // What went well is read past; what did not is not.
    let painted = match mark {
        Mark::Bad | Mark::Unknown | Mark::Busy => style.as_mark(mark, &words),
        _ => words.clone(),
    };
    match (instance(event), event) {
        (Some(instance), _) => format!("  {instance:<16} {} {painted}", style.mark(mark)),
        (None, Event::Phase { .. }) => style.bold(&words),
        (None, Event::Warning(_)) => format!("{} {words}", style.warn("warning:")),
        (None, _) => words,
    }
}

/// That something is waited for, in one line: at an instance, or at this machine where it is empty.
pub fn waiting(instance: &str, what: &str, seconds: u64, style: Style) -> String {
    let words = format!("waiting for {}, for {seconds} s so far", one_line(what));
    let words = style.as_mark(Mark::Busy, &words);
    if instance.is_empty() { words } else { format!("  {instance:<16} {} {words}", style.mark(Mark::Busy)) }
}

/// The instance that it is about, where it is about one.
pub fn instance(event: &Event) -> Option<&InstanceName> {
    match event {
        Event::Observed { instance, .. }
        | Event::NotReached { instance, .. }
        | Event::Step { instance, .. }
        | Event::Healthy { instance, .. }
        | Event::Unhealthy { instance, .. }
        | Event::Undoing { instance }
        | Event::Undone { instance } => Some(instance),
        Event::Connecting { .. } | Event::Phase { .. } | Event::Warning(_) => None,
    }
}

/// What happened, without where, for those who show that in a place of its own.
pub fn words(event: &Event) -> (Mark, String) {
    match event {
        Event::Connecting { instances } => (Mark::Good, format!("Looking at {} …", count(*instances, "instance"))),
        Event::Observed { ms, .. } => (Mark::Good, format!("observed in {}", duration(*ms))),
        Event::NotReached { why, .. } => (Mark::Unknown, format!("not reached: {}", one_line(why))),
        Event::Phase { number, of, title } => (Mark::Good, format!("Phase {number} of {of}: {}", one_line(title))),
        Event::Step { verb, subject, state, .. } => step(*verb, subject, state),
        Event::Healthy { service, after_ms, .. } => {
            (Mark::Good, format!("{} is healthy after {}", one_line(service), duration(*after_ms)))
        }
        Event::Unhealthy { service, why, .. } => (Mark::Bad, format!("{}: {}", one_line(service), one_line(why))),
        Event::Undoing { .. } => (Mark::Busy, "undoing the deployment".to_owned()),
        Event::Undone { .. } => (Mark::Good, "undone: as it was before".to_owned()),
        Event::Warning(text) => (Mark::Bad, one_line(text)),
    }
}

fn step(verb: Verb, subject: &str, state: &StepState) -> (Mark, String) {
    let [doing, done, plain] = forms(verb);
    let subject = match (verb, subject.parse::<Digest>()) {
        (Verb::Stage, Ok(release)) => format!("release {}", release.short()),
        (Verb::Build, Ok(key)) => format!("virtual environment {}", key.short()),
        _ => one_line(subject),
    };
    match state {
        StepState::Started => (Mark::Busy, format!("{doing} {subject}")),
        StepState::Done => (Mark::Good, format!("{done} {subject}")),
        StepState::Failed(why) => (Mark::Bad, format!("could not {plain} {subject}: {}", one_line(why))),
    }
}

/// A plan's verb as it is going on, as it is done, and as it should have been.
fn forms(verb: Verb) -> [&'static str; 3] {
    match verb {
        Verb::Install => ["installing", "installed", "install"],
        Verb::Stage => ["sending", "sent", "send"],
        Verb::Build => ["building", "built", "build"],
        Verb::Create => ["writing", "created", "create"],
        Verb::Update => ["writing", "updated", "update"],
        Verb::Delete => ["deleting", "deleted", "delete"],
        Verb::Stop => ["stopping", "stopped", "stop"],
        Verb::Enable => ["enabling", "enabled", "enable"],
        Verb::Start => ["starting", "started", "start"],
        Verb::Restart => ["restarting", "restarted", "restart"],
        Verb::Reload => ["reloading", "reloaded", "reload"],
        Verb::AwaitHealth => ["waiting for", "healthy:", "see healthy"],
        Verb::Shift => ["shifting traffic:", "shifted traffic:", "shift traffic:"],
        Verb::Switch => ["switching", "switched", "switch"],
        Verb::Drain => ["draining", "drained", "drain"],
        Verb::Pause => ["pausing after", "still healthy:", "see still healthy"],
    }
}
