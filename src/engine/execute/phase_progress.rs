//! What a phase is at on its host, for those who wait for it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{host::StepEvent, model::plan::Step};

/// What could not be undone, by what was said of it: a disk that is full says the same of each file.
#[derive(Default)]
pub(super) struct Alike(BTreeMap<String, usize>);

impl Alike {
    /// Whether the event says something that none before it said.
    pub fn is_new(&mut self, event: &StepEvent) -> bool {
        let StepEvent::UndoFailed { subject, message } = event else { return true };
        let count = self.0.entry(message.replace(subject.as_str(), "…")).or_default();
        *count += 1;
        *count == 1
    }

    /// What was said more than once, with how often besides the first time.
    pub fn more(&self) -> impl Iterator<Item = (usize, &str)> {
        let often = self.0.iter().filter(|(_, count)| **count > 1);
        often.map(|(message, count)| (count - 1, message.as_str()))
    }
}

/// What a phase is at on its host.
pub(super) struct Current(Mutex<(String, Instant)>);

impl Default for Current {
    fn default() -> Self {
        Self(Mutex::new(("its phase to begin".to_owned(), Instant::now())))
    }
}

impl Current {
    pub fn hear(&self, steps: &[&Step], event: &StepEvent) {
        let name = |id: &str| match steps.iter().find(|step| step.id == *id) {
            Some(step) => format!("{} {}", step.action.verb(), step.action.subject()),
            None => id.to_owned(),
        };
        let mut current = self.0.lock();
        *current = match event {
            StepEvent::Started(id) => (name(id), Instant::now()),
            // Since it began.
            StepEvent::Waiting { step, what } => (format!("{}: {what}", name(step)), current.1),
            StepEvent::Done(_) => ("the next step".to_owned(), Instant::now()),
            StepEvent::Failed { .. } | StepEvent::UndoFailed { .. } => ("its undo".to_owned(), Instant::now()),
        };
    }

    pub fn now(&self) -> Option<(String, Instant)> {
        Some(self.0.lock().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_alike_for_many_files_is_told_once_and_counted() {
        let mut alike = Alike::default();
        let failed = |path: &str, why: &str| StepEvent::UndoFailed {
            subject: path.to_owned(),
            message: format!("cp: cannot create '{path}.evenkeel-new': {why}"),
        };
        let told = (0..20).filter(|number| alike.is_new(&failed(&format!("/etc/{number}"), "Read-only file system")));
        assert_eq!(told.count(), 1);
        assert!(alike.is_new(&failed("/etc/x", "No space left on device")));
        assert!(alike.is_new(&StepEvent::Done("a".to_owned())) && alike.is_new(&StepEvent::Done("a".to_owned())));
        let more: Vec<(usize, &str)> = alike.more().collect();
        assert_eq!(more, [(19, "cp: cannot create '….evenkeel-new': Read-only file system")]);
    }
}
