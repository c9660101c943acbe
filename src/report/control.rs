//! Controls in words: what people asked of an environment, and who is held by whom.

use super::words::{one_line, short, time};
use crate::model::{
    environment_state::{Control, Hold, StateEvent},
    name::{EnvironmentName, InstanceName},
    plan::Commits,
};

/// The message of the history branch's commit.
pub fn commit_message(environment: &EnvironmentName, event: &StateEvent) -> String {
    let reason = match &event.control {
        Control::Hold { reason, .. } | Control::Cancel { reason } | Control::Quarantine { why: reason, .. } => {
            Some(reason)
        }
        _ => event.reason.as_ref(),
    };
    let reason = reason.map(|reason| format!("{}\n\n", one_line(reason))).unwrap_or_default();
    let by = one_line(&event.by);
    format!(
        "{}\n\n{reason}Environment: {environment}\nControl: {}\nAsked-By: {by}\n",
        line(&event.control),
        word(&event.control)
    )
}

/// What was asked, in one line without a full stop.
pub fn line(control: &Control) -> String {
    match control {
        Control::Hold { instance: None, .. } => "hold: nothing is changed until it is resumed".to_owned(),
        Control::Hold { instance: Some(name), .. } => format!("hold {name}: it is not changed until it is resumed"),
        Control::Resume { instance: None } => "resume".to_owned(),
        Control::Resume { instance: Some(name) } => format!("resume {name}"),
        Control::Retry { commits, allow_rewind: false } => format!("retry {}", commit(commits)),
        Control::Retry { commits, allow_rewind: true } => {
            format!("retry {}, though it leaves out the deployed commit", commit(commits))
        }
        Control::Cancel { .. } => "cancel the running deployment".to_owned(),
        Control::Quarantine { commits, .. } => format!("quarantine {}", commit(commits)),
        Control::Complete { commits, .. } => format!("complete: {} is live on every instance", commit(commits)),
        Control::Pin { commits, generation, .. } => {
            format!("pin to {} of generation {generation}, until a newer commit", commit(commits))
        }
    }
}

/// Its word, and who asked for what, for a table of the history.
pub(super) fn in_table(event: &StateEvent) -> (&'static str, String) {
    let what = match &event.control {
        Control::Hold { instance, reason } => {
            let instance = instance.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            format!("{instance}{}", one_line(reason))
        }
        Control::Resume { instance } => instance.as_ref().map(ToString::to_string).unwrap_or_default(),
        Control::Retry { commits, .. } | Control::Complete { commits, .. } => commit(commits),
        Control::Cancel { reason } => one_line(reason),
        Control::Quarantine { commits, why } => format!("{}: {}", commit(commits), one_line(why)),
        Control::Pin { commits, generation, .. } => format!("to {} of generation {generation}", commit(commits)),
    };
    let because = event.reason.as_ref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
    let by = format!("by {}{because}", one_line(&event.by));
    (word(&event.control), if what.is_empty() { by } else { format!("{what} ({by})") })
}

fn word(control: &Control) -> &'static str {
    match control {
        Control::Hold { .. } => "hold",
        Control::Resume { .. } => "resume",
        Control::Retry { .. } => "retry",
        Control::Cancel { .. } => "cancel",
        Control::Complete { .. } => "complete",
        Control::Quarantine { .. } => "quarantine",
        Control::Pin { .. } => "pin",
    }
}

fn commit(commits: &Commits) -> String {
    commits.environment.as_deref().map_or("the work tree".to_owned(), short)
}

/// Why an instance or environment is left as it is.
pub fn held(hold: &Hold) -> String {
    format!("held by {} since {} UTC: {}", one_line(&hold.owner), time(&hold.since), one_line(&hold.reason))
}

/// What somebody did on an instance shortly before something changed there. `at` is Unix time.
pub fn trace(instance: &InstanceName, at: i64, what: &str) -> String {
    let when = chrono::DateTime::from_timestamp(at, 0).map(|when| when.format("%H:%M:%S").to_string());
    format!("{} on {instance} at {} UTC", one_line(what), when.unwrap_or_default())
}
