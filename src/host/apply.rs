//! One phase on one instance: what is handed to the host, and the events it reports back.

use std::time::Duration;

use super::quote::word;
use crate::model::digest::Digest;

/// Longer than any package installation that ends well; systemd then stops and undoes the phase.
pub(super) const PHASE_LIMIT: Duration = Duration::from_secs(900);

/// Everything about a phase besides its steps.
#[derive(Debug, Clone)]
pub struct PhaseWork {
    pub fleet: String,
    pub generation: u64,
    /// Name of the deployment's directory: the generation, or for a drift repair one of its own.
    pub name: String,
    pub phase: u32,
    /// What the plan saw; None where there was no manifest.
    pub manifest_before: Option<Digest>,
    /// Old and new together, in force before the first change.
    pub manifest_union: String,
    /// Set in the instance's last phase.
    pub manifest_after: Option<String>,
}

/// What happens to a step on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEvent {
    Started(String),
    Done(String),
    Failed {
        step: String,
        message: String,
    },
    /// Undoing one thing failed; undoing went on.
    UndoFailed {
        subject: String,
        message: String,
    },
}

/// A line of the events file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Event(StepEvent),
    /// The unit has ended: systemd's word for how.
    End(String),
}

impl Line {
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        let (kind, subject, rest) = (fields.next()?, fields.next()?.to_owned(), fields.next()?);
        // The script writes line breaks within a message as record separators.
        let message = || rest.replace('\u{1e}', "\n").trim().to_owned();
        Some(match kind {
            "started" => Line::Event(StepEvent::Started(subject)),
            "done" => Line::Event(StepEvent::Done(subject)),
            "failed" => Line::Event(StepEvent::Failed { step: subject, message: message() }),
            "undo-failed" => Line::Event(StepEvent::UndoFailed { subject, message: message() }),
            "end" => Line::End(subject),
            _ => return None,
        })
    }
}

impl PhaseWork {
    pub(super) fn base(&self) -> String {
        format!("/var/lib/evenkeel/{}", self.fleet)
    }

    pub(super) fn directory(&self) -> String {
        format!("{}/deployments/{}", self.base(), self.name)
    }

    pub(super) fn events(&self) -> String {
        format!("{}/events-{}", self.directory(), self.phase)
    }

    /// Unpacks the archive on standard input, starts the unit, and prints the events until it has ended.
    pub(super) fn launch(&self, unit: &str) -> String {
        let directory = word(&self.directory());
        let events = word(&self.events());
        format!(
            "set -e\nmkdir -p {directory}\nchmod 0700 {directory}\ntar -x -C {directory}\n: >{events}\n{}{}",
            run_unit(unit, &self.directory(), "apply.sh"),
            follow(&events),
        )
    }
}

/// Starts a script as the transient unit whose name excludes a second one. A unit that is ending, or
/// undoing itself, is waited for. Exit status 75 (EX_TEMPFAIL): one runs.
pub(super) fn run_unit(unit: &str, directory: &str, script: &str) -> String {
    format!(
        "tries=0\n\
         until systemd-run --quiet --collect --unit={unit} -p Type=exec -p RuntimeMaxSec={limit} \
         -p TimeoutStopSec=300 -p ExecStopPost={stop} -- /bin/sh {script}; do\n  \
           case $(systemctl show --value -p ActiveState {unit}) in\n  \
           active | activating | reloading) exit 75 ;;\n  \
           deactivating) ;;\n  \
           *) tries=$((tries + 1)); [ \"$tries\" -lt 20 ] || exit 1 ;;\n  \
           esac\n  \
           sleep 0.05\n\
         done\n",
        unit = word(unit),
        limit = PHASE_LIMIT.as_secs(),
        stop = word(&format!("/bin/sh {directory}/stop.sh")),
        script = word(&format!("{directory}/{script}")),
    )
}

/// Prints an events file as it grows, to its `end`.
fn follow(events: &str) -> String {
    format!(
        "while :; do\n  \
           if IFS= read -r line; then\n    \
             printf '%s\\n' \"$line\"\n    \
             case $line in end*) break ;; esac\n  \
           else sleep 0.02; fi\n\
         done <{events}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_back() {
        let failed = Line::parse("failed\ta/b\tfirst\u{1e}second ");
        let expected = StepEvent::Failed { step: "a/b".into(), message: "first\nsecond".into() };
        assert_eq!(failed, Some(Line::Event(expected)));
        assert_eq!(Line::parse("end\ttimeout\tyes"), Some(Line::End("timeout".into())));
        assert_eq!(Line::parse("garbage"), None);
    }
}
