//! What a command says while a deployment is under way, one line for each event. The words are those of `event.rs`.

use super::{
    event::{about_hosts, words},
    style::{Mark, Style},
    words::one_line,
};
use crate::model::event::{Event, EventKind, Level};

/// The event in one line, without a line break. None of what people wait for only to see its end, and none of what goes
/// well without them: of what is no progress, the warnings alone.
pub fn line(event: &Event, style: Style) -> Option<String> {
    let kind = &event.kind;
    match kind {
        EventKind::HostsAsked { .. } | EventKind::HostObserved { .. } | EventKind::StepBegun { .. } => None,
        // A command's answer says why.
        EventKind::CommitsRefused { .. } => None,
        kind => match about_hosts(kind) {
            Some(told) => Some(progress(kind, told, style)),
            None if kind.name().level() >= Level::Warning => Some(warning(&words(event), style)),
            None => None,
        },
    }
}

fn progress(kind: &EventKind, (mark, words): (Mark, String), style: Style) -> String {
    // What went well is read past; what did not is not.
    let painted = match mark {
        Mark::Bad | Mark::Unknown | Mark::Busy => style.as_mark(mark, &words),
        _ => words.clone(),
    };
    match (kind.instance(), kind) {
        (
            _,
            EventKind::RollbackFailed { .. }
            | EventKind::RollbackStepFailed { .. }
            | EventKind::RollbackStepsFailed { .. },
        ) => warning(&words, style),
        (Some(instance), _) => format!("  {instance:<16} {} {painted}", style.mark(mark)),
        (None, EventKind::PhaseBegun { .. }) => style.bold(&words),
        (None, _) => words,
    }
}

fn warning(words: &str, style: Style) -> String {
    format!("{} {}", style.warn("warning:"), one_line(words))
}

/// That something is waited for, in one line: at an instance, or at this machine where it is empty.
pub fn waiting(instance: &str, what: &str, seconds: u64, style: Style) -> String {
    let words = format!("waiting for {}, for {seconds} s so far", one_line(what));
    let words = style.as_mark(Mark::Busy, &words);
    if instance.is_empty() { words } else { format!("  {instance:<16} {} {words}", style.mark(Mark::Busy)) }
}
