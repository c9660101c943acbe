//! What a command says while a deployment is under way, one line for each event. The words are those of `event.rs`.

use super::{
    event::about_hosts,
    style::{Mark, Style},
    words::one_line,
};
use crate::model::event::EventKind;

/// The event in one line, without a line break. None of an event that is no progress, and of one that people wait for
/// only to see its end.
pub fn line(kind: &EventKind, style: Style) -> Option<String> {
    let is_noise =
        matches!(kind, EventKind::HostsAsked { .. } | EventKind::HostObserved { .. } | EventKind::StepBegun { .. });
    if is_noise { None } else { every_line(kind, style) }
}

/// As [`line`], also of what people do not wait for.
pub fn every_line(kind: &EventKind, style: Style) -> Option<String> {
    let (mark, words) = about_hosts(kind)?;
    // What went well is read past; what did not is not.
    let painted = match mark {
        Mark::Bad | Mark::Unknown | Mark::Busy => style.as_mark(mark, &words),
        _ => words.clone(),
    };
    Some(match (kind.instance(), kind) {
        (
            _,
            EventKind::RollbackFailed { .. }
            | EventKind::RollbackStepFailed { .. }
            | EventKind::RollbackStepsFailed { .. },
        ) => format!("{} {words}", style.warn("warning:")),
        (Some(instance), _) => format!("  {instance:<16} {} {painted}", style.mark(mark)),
        (None, EventKind::PhaseBegun { .. }) => style.bold(&words),
        (None, _) => words,
    })
}

/// That something is waited for, in one line: at an instance, or at this machine where it is empty.
pub fn waiting(instance: &str, what: &str, seconds: u64, style: Style) -> String {
    let words = format!("waiting for {}, for {seconds} s so far", one_line(what));
    let words = style.as_mark(Mark::Busy, &words);
    if instance.is_empty() { words } else { format!("  {instance:<16} {} {words}", style.mark(Mark::Busy)) }
}
