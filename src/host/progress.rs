//! What the host says of a phase that it carries out.
//!
//! Keeps true: each event is told once, however often its file is read again; how the phase ended is what the host
//! says, or an error.
//!
//! Events are lines of a file: `started`, `done`, `failed`, `undo-failed`, `end`. The controller prints the file as
//! it grows.

use super::{
    HostError, PhaseWork, StepEvent,
    apply::{FailedStep, Line, PHASE_LIMIT},
    shell::Answer,
};
use crate::model::text;

/// What the events of a phase have said so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Events that were handed on.
    told: usize,
    /// Events that were read since the file was read from its start.
    read: usize,
    failed: Option<FailedStep>,
    end: Option<String>,
}

impl Progress {
    /// After a cut the file is read again.
    pub fn again(&mut self) {
        self.read = 0;
    }

    /// A line that is no event is what starting the unit said: it comes once, and the events come again. An end is
    /// taken wherever it stands: a host that lost power may have lost events that were told.
    pub fn line(&mut self, line: &str, events: &mut (dyn FnMut(StepEvent) + Send)) {
        match Line::parse(line) {
            Some(Line::Event(event)) => {
                self.read += 1;
                if self.read <= self.told {
                    return;
                }
                self.told = self.read;
                if let StepEvent::Failed(failed) = &event {
                    self.failed = Some(failed.clone());
                }
                events(event);
            }
            Some(Line::End(result)) => self.end = Some(result),
            None => {}
        }
    }

    pub fn verdict(self, doing: &'static str, work: &PhaseWork, unit: String, answer: Answer) -> Result<(), HostError> {
        match (answer.status, self.end, self.failed) {
            (0, Some(result), _) if result == "success" => Ok(()),
            (75, _, _) => Err(HostError::Busy { unit }),
            // What a host that goes down makes fail on its way says nothing of the step.
            (_, Some(result), _) if result == "cut-off" => Err(HostError::CutOff { phase: work.phase }),
            (_, Some(_), Some(failed)) => Err(HostError::Step(failed)),
            (_, Some(result), None) if result == "timeout" => {
                Err(HostError::TooLong { phase: work.phase, seconds: PHASE_LIMIT.as_secs() })
            }
            (_, Some(_), None) => Err(HostError::CutOff { phase: work.phase }),
            (status, None, _) => {
                let output = format!("{}\n{}", String::from_utf8_lossy(&answer.output), answer.errors);
                Err(HostError::Status { doing, status, output: text::of_host(output.trim()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASE: [&str; 2] = ["started\ta/b\t", "done\ta/b\t"];
    const END: &str = "end\tsuccess\t-";

    /// What is told of a phase whose lines are heard in several goes, with a cut after each but the last.
    fn told(goes: &[&[&str]]) -> (Vec<StepEvent>, Option<String>) {
        let (mut progress, mut told) = (Progress::default(), Vec::new());
        for lines in goes {
            progress.again();
            lines.iter().for_each(|line| progress.line(line, &mut |event| told.push(event)));
        }
        (told, progress.end)
    }

    #[test]
    fn after_a_cut_each_event_is_told_once_and_the_end_is_heard() {
        let all =
            (vec![StepEvent::Started("a/b".to_owned()), StepEvent::Done("a/b".to_owned())], Some("success".to_owned()));
        let [started, done] = PHASE;
        assert_eq!(told(&[&[started, done, END]]), all);
        assert_eq!(told(&[&[started], &[started, done, END]]), all);
        // What systemd-run complains of comes before the events, and not again.
        let complaint = "Failed to start transient service unit: Unit evenkeel-test.service is deactivating.";
        assert_eq!(told(&[&[complaint, started, done], &[started, done, END]]), all);
        assert_eq!(told(&[&[complaint, complaint, started], &[started, done, END]]), all);
    }

    #[test]
    fn an_end_is_heard_where_the_events_before_it_were_lost_with_the_hosts_power() {
        let [started, done] = PHASE;
        let (_, end) = told(&[&[started, done], &[started, "end\tcut-off\t-"]]);
        assert_eq!(end.as_deref(), Some("cut-off"));
    }
}
