//! Events in, effects out: what the tests of each subject share.

mod controls;
mod drift;
mod goals;
mod open;
mod permits;
mod timing;

use super::*;
use crate::model::environment_state::{Barred, Good, Hold, Pin, Quarantined};

const POLICY: Policy = Policy { poll_every: 10_000, observe_only: false };

fn production() -> EnvironmentName {
    "production".parse().unwrap()
}

fn h1() -> InstanceName {
    "h1".parse().unwrap()
}

fn commits(id: &str) -> Commits {
    Commits::of_config(Some(id.into()), Some(id.into()))
}

/// The config repository's commit, and where a branch of another one is.
fn with_source(id: &str, source: &str) -> Commits {
    let sources = [("https://example.org/a.git main".to_owned(), source.into())].into();
    Commits { sources, ..commits(id) }
}

fn target(id: &str) -> Target {
    Target {
        commits: commits(id),
        observe_every: 30_000,
        history: HistorySnapshot::default(),
        rewinds: false,
        checks: None,
        hours: None,
    }
}

fn good(id: &str) -> EnvironmentState {
    EnvironmentState {
        good: Some(Good { commits: commits(id), generation: 1, desired: None, builds: Default::default() }),
        ..EnvironmentState::default()
    }
}

fn checks(id: &str, missing: &[&str]) -> Checks {
    Checks { of: commits(id), missing: missing.iter().map(|name| (*name).to_owned()).collect() }
}

fn history(state: EnvironmentState) -> HistorySnapshot {
    HistorySnapshot { state, open: None, led_elsewhere: false, doubted: false }
}

fn fetched(target: Target) -> Event {
    Event::Fetched([(production(), target)].into())
}

fn result(end: End, state: EnvironmentState) -> SyncResult {
    let history = Some(history(state));
    SyncResult {
        end,
        history,
        unreached: BTreeMap::new(),
        differs: false,
        repaired: BTreeSet::new(),
        seen: BTreeMap::new(),
        restarted: BTreeSet::new(),
    }
}

fn ended(goal: Goal, result: SyncResult) -> Event {
    Event::Ended { environment: production(), goal, result: Box::new(result) }
}

fn deploy(id: &str) -> Goal {
    Goal::Deploy(commits(id))
}

fn repair(good: &str, instead_of: &str, why: Barred) -> Goal {
    Goal::Repair { good: commits(good), instead_of: commits(instead_of), why }
}

fn observe(id: &str, why: Barred) -> Goal {
    Goal::Observe { commits: commits(id), why }
}

fn pass(goal: Goal) -> Effect {
    Effect::Pass {
        environment: production(),
        goal,
        unreachable: BTreeMap::new(),
        backed_off: BTreeMap::new(),
        ailing: Box::default(),
    }
}

#[derive(Default)]
struct Loop(State);

impl Loop {
    /// One that has fetched this at the time 0.
    fn of(target: Target) -> (Self, Vec<Effect>) {
        let mut new = Self::default();
        new.at(0, Event::Tick);
        let effects = new.at(0, fetched(target));
        (new, effects)
    }

    fn at(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        decide(&mut self.0, POLICY, event, now, 0.5)
    }

    /// What is due by then, without what has to do with fetching.
    fn due(&mut self, now: Millis) -> Vec<Effect> {
        let effects = self.at(now, Event::Tick);
        effects.into_iter().filter(|effect| *effect != Effect::Fetch).collect()
    }

    fn next_due(&self) -> Millis {
        next_due(&self.0, POLICY)
    }
}
