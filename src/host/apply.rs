//! One phase on one instance: what is handed to the host, and the events it reports back.

use std::time::Duration;

use super::{parse::strangers, quote::assign, scripts::script};
use crate::model::{budget::Budget, digest::Digest, name::FleetName, outcome::Cause, paths, seal::Key, text};

/// Longer than any package installation that ends well; systemd then stops and undoes the phase.
pub const PHASE_LIMIT: Duration = Duration::from_secs(900);

/// Everything about a phase besides its steps.
#[derive(Debug, Clone)]
pub struct PhaseWork {
    pub fleet: FleetName,
    pub generation: u64,
    /// Name of the deployment's directory: the generation, or for a drift repair one of its own.
    pub name: String,
    /// Its number among the phases of the deployment, as its directory's name.
    pub phase: u32,
    /// What the manifest must be when the phase begins; None: there must be none.
    pub manifest_before: Option<Digest>,
    /// With which the digests in these are sealed, where there is no key yet.
    pub new_key: Option<Key>,
    /// Old and new together, in force before the first change.
    pub manifest_during: String,
    /// In force once all of the phase is done.
    pub manifest_after: String,
    /// Whether the deployment is done here with this phase.
    pub last: bool,
    /// How many releases stay there beyond those that are in use.
    pub keep_releases: u32,
    /// Whether the host undoes the phase by itself when it fails.
    pub undo_on_failure: bool,
    /// How long the host may be out of reach before it counts as lost.
    pub lost_after: Duration,
}

/// What became of a deployment on one host, as its own files tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostProgress {
    pub state: TrailState,
    /// The number of its newest phase here; 0 where there is none.
    pub newest_phase: u32,
    /// The last step that failed.
    pub failed: Option<FailedStep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailState {
    /// It never began here.
    Nothing,
    /// A phase, or an undo, runs at this moment.
    Running,
    /// Its newest phase is done, and another was to follow.
    Between,
    /// Its last phase is done.
    Finished,
    /// A phase was cut off, or could not be undone.
    Broken,
    Undone,
}

/// What happens to a step on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEvent {
    Started(String),
    Done(String),
    /// It goes on, and waits for this.
    Waiting {
        step: String,
        what: String,
    },
    Failed(FailedStep),
    /// Undoing one thing failed; undoing went on.
    UndoFailed {
        subject: String,
        message: String,
    },
}

/// A step that a host did not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    pub step: String,
    /// [`Cause::Step`], [`Cause::Host`] or [`Cause::Overtaken`].
    pub cause: Cause,
    pub message: String,
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
        let text = |text: &str| {
            let said = text.replace('\u{1e}', "\n");
            text::of_host(strangers::port_held(&said).as_deref().unwrap_or(said.trim()))
        };
        Some(match kind {
            "started" => Line::Event(StepEvent::Started(subject)),
            "done" => Line::Event(StepEvent::Done(subject)),
            "waiting" => Line::Event(StepEvent::Waiting { step: subject, what: text(rest) }),
            "failed" => {
                let (cause, message) = failed_by(rest);
                Line::Event(StepEvent::Failed(FailedStep { step: subject, cause, message: text(message) }))
            }
            "undo-failed" => Line::Event(StepEvent::UndoFailed { subject, message: text(rest) }),
            "end" => Line::End(subject),
            _ => return None,
        })
    }
}

/// The cause before a message. A controller before this one had scripts that wrote none.
fn failed_by(rest: &str) -> (Cause, &str) {
    match rest.split_once('\t') {
        Some(("commit", message)) => (Cause::Step, message),
        Some(("overtaken", message)) => (Cause::Overtaken, message),
        Some((_, message)) => (Cause::Host, message),
        None => (Cause::Step, rest),
    }
}

impl HostProgress {
    /// Reads what `scripts/trail.sh` prints.
    pub(super) fn parse(output: &str) -> Option<Self> {
        let mut lines = output.lines();
        let (state, newest_phase) = lines.next()?.split_once(' ')?;
        let state = match state {
            "nothing" => TrailState::Nothing,
            "running" => TrailState::Running,
            "between" => TrailState::Between,
            "finished" => TrailState::Finished,
            "broken" => TrailState::Broken,
            "undone" => TrailState::Undone,
            _ => return None,
        };
        let failed = lines.find_map(|line| match Line::parse(line)? {
            Line::Event(StepEvent::Failed(failed)) => Some(failed),
            _ => None,
        });
        // Every instance is asked for as many phases as the one that tells of most.
        let newest_phase = newest_phase.parse().ok().filter(|phase| *phase <= Budget::STANDARD.phases)?;
        Some(Self { state, newest_phase, failed })
    }
}

impl PhaseWork {
    pub(super) fn base(&self) -> String {
        paths::base(&self.fleet)
    }

    /// The deployment's directory.
    pub(super) fn deployment(&self) -> String {
        format!("{}/deployments/{}", self.base(), self.name)
    }

    /// The phase's directory.
    pub(super) fn directory(&self) -> String {
        format!("{}/{}", self.deployment(), self.phase)
    }

    pub(super) fn events(&self) -> String {
        format!("{}/events", self.directory())
    }

    /// Unpacks the archive on standard input, starts the unit, and prints the events until it has ended.
    /// A phase that was begun already, by a call whose answer was lost, is only listened to.
    pub(super) fn launch(&self, unit: &str) -> String {
        let phase = self.phase.to_string();
        let (deployment, events) = (self.deployment(), self.events());
        let variables = [
            ("unit", unit),
            ("deployment", deployment.as_str()),
            ("phase", phase.as_str()),
            ("events", events.as_str()),
        ];
        variables.map(|(name, value)| assign(name, value)).concat()
            + &transient()
            + &script!("drop_ins.sh")
            + &script!("way_in.sh")
            + &script!("launch.sh")
            + &script!("follow.sh")
    }
}

/// What runs a script as a unit on a host, and says whether it runs.
pub(super) fn transient() -> String {
    assign("limit", &PHASE_LIMIT.as_secs().to_string()) + &script!("transient.sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_back() {
        let failed = |cause, message: &str| FailedStep { step: "a/b".into(), cause, message: message.into() };
        for (line, expected) in [
            ("failed\ta/b\tcommit\tfirst\u{1e}second ", failed(Cause::Step, "first\nsecond")),
            ("failed\ta/b\tovertaken\tno", failed(Cause::Overtaken, "no")),
            ("failed\ta/b\thost\tno", failed(Cause::Host, "no")),
            ("failed\ta/b\twhat a later version says\tno", failed(Cause::Host, "no")),
            ("failed\ta/b\tno, plan again", failed(Cause::Step, "no, plan again")),
        ] {
            assert_eq!(Line::parse(line), Some(Line::Event(StepEvent::Failed(expected))), "{line}");
        }
        assert_eq!(Line::parse("end\ttimeout\tyes"), Some(Line::End("timeout".into())));
        assert_eq!(Line::parse("garbage"), None);
        let trail = HostProgress::parse("broken 3\nfailed\ta/b\thost\tno such thing\n");
        let failed = Some(failed(Cause::Host, "no such thing"));
        assert_eq!(trail, Some(HostProgress { state: TrailState::Broken, newest_phase: 3, failed }));
        assert_eq!(HostProgress::parse("perhaps 3"), None);
        assert_eq!(HostProgress::parse("broken 4294967295"), None, "nobody is asked to undo so many phases");
    }
}
