//! The deployments' directories on a host: what was kept, and what became of each phase.

use std::{collections::BTreeMap, time::Duration};

use evenkeel::{
    host::{FailedStep, StepEvent},
    model::{digest::Digest, plan::Step},
};
use tokio::time::Instant;

use crate::machine::Lies;

/// What is written within so much time before power is lost may not have come to the disk.
const UNSYNCED: Duration = Duration::from_secs(5);

/// A line of a phase's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    File(String, Lies),
    Absent(String),
    /// Which start of the unit ran; none: it did not. 0: it was coming up again and again.
    Active(String, Option<u64>),
    Enabled(String, bool),
    Nginx,
}

impl Kept {
    /// The path of a line that is about one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Kept::File(path, _) | Kept::Absent(path) => Some(path),
            Kept::Active(..) | Kept::Enabled(..) | Kept::Nginx => None,
        }
    }

    pub fn is_traffic(&self) -> bool {
        self.path().is_some_and(|path| path.starts_with("/etc/nginx/") || path.contains("/sites/"))
    }
}

/// A line of a phase's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Event(StepEvent),
    /// systemd's word for how the unit ended.
    End(&'static str),
}

/// What a phase is to do, as it was sent.
#[derive(Debug, Clone)]
pub struct Order {
    pub work: evenkeel::host::PhaseWork,
    pub steps: Vec<Step>,
}

#[derive(Debug, Default)]
pub struct Phase {
    /// There once `begin` has passed.
    pub journal: Option<Vec<Kept>>,
    /// There once the script has begun, or has been undone.
    pub events: Option<Vec<(Instant, Line)>>,
    /// Everything lies there as before.
    pub undone: bool,
    /// What ran before does not run again.
    pub not_running: bool,
    /// What units were started with that could not be started again.
    pub forgotten: BTreeMap<String, Digest>,
}

impl Phase {
    pub fn say(&mut self, line: Line) {
        self.events.get_or_insert_default().push((Instant::now(), line));
    }
}

#[derive(Debug, Default)]
pub struct Directory {
    pub name: String,
    pub phases: BTreeMap<u32, Phase>,
    /// From when undoing it begins.
    pub undoing: bool,
    pub undone: bool,
    pub finished: bool,
}

impl Directory {
    pub fn newest_begun(&self) -> Option<(u32, &Phase)> {
        self.phases.iter().rev().find(|(_, phase)| phase.journal.is_some()).map(|(number, phase)| (*number, phase))
    }

    pub fn is_whole(&self, phase: Option<u32>) -> bool {
        let asked = self.phases.iter().filter(|(number, _)| phase.is_none_or(|phase| phase == **number));
        asked.into_iter().all(|(_, phase)| phase.journal.is_none() || (phase.undone && !phase.not_running))
    }

    pub fn has_begun(&self) -> bool {
        self.newest_begun().is_some()
    }

    pub fn forget_events(&mut self, now: Instant) {
        for phase in self.phases.values_mut() {
            if let Some(events) = &mut phase.events {
                events.retain(|(at, _)| now.duration_since(*at) > UNSYNCED);
            }
        }
    }

    pub fn failed(&self) -> Option<FailedStep> {
        let lines = self.phases.values().flat_map(|phase| phase.events.iter().flatten());
        lines.rev().find_map(|(_, line)| match line {
            Line::Event(StepEvent::Failed(failed)) => Some(failed.clone()),
            _ => None,
        })
    }
}
