//! Holds the promises against what is written into the history.
//!
//! Keeps true: each deployment that began gets one outcome, and it is true at the moment it is written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use evenkeel::{
    engine::{history::store::Files, prepare::Prepared},
    model::outcome::{Deployment, Kind, Outcome},
};
use tokio::time::Instant;

use crate::{
    machine::Machine,
    remote::Remote,
    tale::Tale,
    truth::{self, Snapshot},
};

/// What people change within so much time before an intent, its plan may not have seen.
const UNSEEN: Duration = Duration::from_secs(120);

pub struct Judge {
    tale: Arc<Tale>,
    machines: BTreeMap<String, Arc<Machine>>,
    /// The deployments that began, by generation.
    begun: BTreeMap<u64, Begun>,
}

struct Begun {
    at: Instant,
    controller: u64,
    before: BTreeMap<String, Snapshot>,
    ended: bool,
}

impl Judge {
    pub fn new(tale: Arc<Tale>, machines: BTreeMap<String, Arc<Machine>>) -> Self {
        Self { tale, machines, begun: BTreeMap::new() }
    }

    /// A commit is appended to the history.
    pub fn appended(&mut self, remote: &mut Remote, controller: u64, before: &Files, after: &Files) {
        let (was, is) = (deployment(before), deployment(after));
        if after.contains_key("event.json") {
            if was != is {
                self.tale.wrong("what somebody asked for changed the record beside it");
            }
            self.tale.count("things asked");
            return;
        }
        let Some(is) = is else { return self.tale.wrong("a commit of the history has no record") };
        let open = was.filter(|was| was.outcome.is_none());
        match is.outcome {
            None => self.begins(&is, controller, open.as_ref()),
            Some(outcome) => {
                self.count_recovery(&is, controller);
                self.ends(remote, &is, outcome, open.as_ref());
            }
        }
    }

    fn count_recovery(&self, record: &Deployment, controller: u64) {
        let begun = self.begun.get(&record.generation).filter(|begun| !begun.ended && record.kind == Kind::Change);
        if begun.is_some_and(|begun| begun.controller != controller) {
            self.tale.count("recoveries");
        }
    }

    fn begins(&mut self, intent: &Deployment, controller: u64, open: Option<&Deployment>) {
        let generation = intent.generation;
        if intent.taken_over.is_some() && open.is_some_and(|open| open.generation == generation) {
            self.tale.count("take-overs");
            return;
        }
        self.tale.count("deployments");
        if let Some(open) = open {
            self.tale.wrong(format!("generation {generation} begins while {} is open", open.generation));
        }
        if self.begun.last_key_value().is_some_and(|(newest, _)| *newest >= generation) {
            self.tale.wrong(format!("generation {generation} begins after a newer one, or again"));
        }
        let before = self.machines.iter().map(|(name, machine)| (name.clone(), Snapshot::of(&machine.state())));
        self.begun.insert(generation, Begun { at: Instant::now(), controller, before: before.collect(), ended: false });
    }

    fn ends(&mut self, remote: &mut Remote, record: &Deployment, outcome: Outcome, open: Option<&Deployment>) {
        self.tale.count(count_of(outcome, record.kind));
        self.tale.tell(|| match &record.failure {
            Some(failure) => {
                let step = failure.step.as_ref().map_or("no step", |step| step.as_str());
                format!("  because of {:?} {step}: {}", failure.scope, failure.message)
            }
            None => format!("  {} generation {}: {outcome}", record.controller, record.generation),
        });
        let generation = record.generation;
        if record.failure.as_ref().is_some_and(|failure| failure.cause.condemns()) && record.kind == Kind::Change {
            self.tale.count("quarantines");
        }
        if record.kind == Kind::DriftRepair || outcome == Outcome::Refused {
            if let Some(open) = open {
                self.tale.wrong(format!("the record of generation {} is open and written over", open.generation));
            }
        } else {
            match self.begun.get_mut(&generation) {
                Some(begun) if begun.ended => self.tale.wrong(format!("generation {generation} ends twice")),
                Some(begun) => begun.ended = true,
                None => self.tale.wrong(format!("generation {generation} ends and never began")),
            }
            if open.is_none_or(|open| open.generation != generation) {
                self.tale.wrong(format!("generation {generation} ends and is not the open one"));
            }
        }
        let prepared = record.commits.environment.as_ref().and_then(|commit| remote.prepared(commit));
        for wrong in self.lies(record, outcome, prepared.as_deref()) {
            self.tale.wrong(format!("generation {generation} is said to be {outcome}, but {wrong}"));
        }
        if let Some(begun) = self.begun.get_mut(&generation).filter(|begun| begun.ended) {
            begun.before.clear();
        }
    }

    /// What is not as the outcome says.
    fn lies(&self, record: &Deployment, outcome: Outcome, prepared: Option<&Prepared>) -> Vec<String> {
        let mut lies = Vec::new();
        let began = self.begun.get(&record.generation).filter(|_| record.kind == Kind::Change);
        let excused = began.map_or(Instant::now(), |begun| begun.at).checked_sub(UNSEEN).unwrap_or(Instant::now());
        for (name, machine) in &self.machines {
            let mut state = machine.state();
            // systemd does so every two seconds, and nobody waits for what it tries by itself.
            state.retry();
            let wrong = match (outcome, began, prepared) {
                (Outcome::Applied | Outcome::Partial, _, Some(prepared)) => {
                    let unreached = record.unreached.keys().any(|unreached| unreached.as_str() == name);
                    let desired = prepared.desired.iter().find(|(instance, _)| instance.as_str() == name);
                    // A repair says of what it touched that it is well, and of nothing else.
                    let said =
                        record.kind == Kind::Change || record.touches.iter().any(|touched| touched.as_str() == name);
                    desired
                        .filter(|_| !unreached && said)
                        .map(|(_, desired)| truth::differs(&state, desired, excused))
                        .unwrap_or_default()
                }
                (Outcome::RolledBack | Outcome::RollbackFailed, Some(begun), _) => {
                    let named = record
                        .not_undone
                        .iter()
                        .any(|failure| failure.instance().is_some_and(|it| it.as_str() == name));
                    // What was repaired, or of an older one was undone meanwhile, is not what it found.
                    let own = record.generation.to_string();
                    let mut others = state.worked.iter().filter(|(name, at)| **name != own && **at >= begun.at);
                    let before = begun.before.get(name).filter(|_| !named && others.next().is_none());
                    before.map(|before| before.differs(&state, excused)).unwrap_or_default()
                }
                _ => Vec::new(),
            };
            lies.extend(wrong.into_iter().map(|wrong| format!("on {name} {wrong}")));
        }
        lies
    }

    /// At the end of a story nothing is open.
    pub fn concludes(&self) {
        for (generation, begun) in self.begun.iter().filter(|(_, begun)| !begun.ended) {
            let _ = begun;
            self.tale.wrong(format!("generation {generation} began and never ended"));
        }
    }
}

pub fn deployment(files: &Files) -> Option<Deployment> {
    files.get("deployment.json").map(|text| serde_json::from_slice(text).expect("a record"))
}

fn count_of(outcome: Outcome, kind: Kind) -> &'static str {
    match (kind, outcome) {
        (Kind::DriftRepair, Outcome::Applied | Outcome::Partial) => "repairs",
        (Kind::DriftRepair, _) => "failed repairs",
        (Kind::Change, Outcome::Applied) => "applied",
        (Kind::Change, Outcome::Partial) => "partial",
        (Kind::Change, Outcome::RolledBack) => "rolled back",
        (Kind::Change, Outcome::RollbackFailed) => "rollback failed",
        (Kind::Change, Outcome::Stopped) => "stopped",
        (Kind::Change, Outcome::Refused) => "refused",
        (Kind::Change, Outcome::Unchanged) => "unchanged",
    }
}
