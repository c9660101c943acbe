//! What the host says of a phase that it carries out.
//!
//! Keeps true: each event is told once, however often its file is read again; how the phase ended is what the host
//! says, or an error.

use super::{
    HostError, PhaseWork, StepEvent,
    apply::{Line, OVERTAKEN, PHASE_LIMIT},
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
    failed: Option<(String, String)>,
    is_hindered: bool,
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
        let line = Line::parse(line);
        self.is_hindered |= matches!(line, Some(Line::Hindered { .. }));
        let line = match line {
            Some(Line::Hindered { step, message }) => Some(Line::Event(StepEvent::Failed { step, message })),
            line => line,
        };
        match line {
            Some(Line::Event(event)) => {
                self.read += 1;
                if self.read <= self.told {
                    return;
                }
                self.told = self.read;
                if let StepEvent::Failed { step, message } = &event {
                    self.failed = Some((step.clone(), message.clone()));
                }
                events(event);
            }
            Some(Line::End(result)) => self.end = Some(result),
            Some(Line::Hindered { .. }) | None => {}
        }
    }

    pub fn verdict(self, doing: &'static str, work: &PhaseWork, unit: String, answer: Answer) -> Result<(), HostError> {
        match (answer.status, self.end, self.failed) {
            (0, Some(result), _) if result == "success" => Ok(()),
            (75, _, _) => Err(HostError::Busy { unit }),
            // What a host that goes down makes fail on its way says nothing of the step.
            (_, Some(result), _) if result == "cut-off" => Err(HostError::CutOff { phase: work.phase }),
            (_, Some(_), Some((step, message))) if self.is_hindered => Err(HostError::Hindered { step, message }),
            (_, Some(_), Some((step, message))) if message.ends_with(OVERTAKEN) => {
                Err(HostError::Overtaken { step, message })
            }
            (_, Some(_), Some((step, message))) => Err(HostError::Step { step, message, log: Vec::new() }),
            (_, Some(result), None) if result == "timeout" => {
                let message = format!("phase {} was not done within {} s", work.phase, PHASE_LIMIT.as_secs());
                Err(HostError::Step { step: String::new(), message, log: Vec::new() })
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

    #[test]
    fn what_a_host_does_not_let_its_unit_do_is_no_fault_of_the_step() {
        let mut progress = Progress::default();
        progress.line("hindered\tbegin\tit cannot write to /etc", &mut |_| {});
        progress.line("end\texit-code\tyes", &mut |_| {});
        let is_failed = matches!(&progress.failed, Some((step, why)) if step == "begin" && why.contains("/etc"));
        assert!(is_failed && progress.is_hindered, "{progress:?}");
    }
}
