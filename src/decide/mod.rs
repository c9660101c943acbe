//! The loop's policy: (state, event, now) to (state, effects).
//!
//! Keeps true: pure, so a night of events is a test of a millisecond; never two passes in one
//! environment; a trigger carries no facts, it only makes the loop look again. Never does: I/O,
//! reading a clock, choosing random numbers (jitter is handed in).

use std::collections::BTreeMap;

use crate::model::{name::EnvironmentName, plan::Commits};

/// Milliseconds on a clock that only goes forward.
pub type Millis = u64;

/// The first pause after a failure; each further one doubles it.
const FIRST_BACKOFF: Millis = 2_000;
const LONGEST_BACKOFF: Millis = 300_000;

/// How the loop is set up.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How often the repository is asked for new commits.
    pub poll_every: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has come to look what is due.
    Tick,
    /// Somebody says that the repository may have changed.
    Poked,
    /// What the repository holds: the commits of each environment, and how often it is observed.
    Fetched(BTreeMap<EnvironmentName, Wanted>),
    FetchFailed,
    /// A pass has ended.
    Ended {
        environment: EnvironmentName,
        commits: Commits,
        end: End,
    },
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    AsDeclared,
    /// Some instance was not reached; the others are as declared.
    Unreached,
    /// It could not be planned, was refused, or was rolled back.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub commits: Commits,
    pub observe_every: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Fetch,
    /// Look at the environment and bring it to these commits.
    Pass {
        environment: EnvironmentName,
        commits: Commits,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    fetching: bool,
    /// A poke that came while fetching: what it announced may have come too late.
    fetch_again: bool,
    fetch_at: Millis,
    fetch_failures: u32,
    environments: BTreeMap<EnvironmentName, Environment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Environment {
    wanted: Wanted,
    running: bool,
    /// What the last pass was about.
    tried: Option<Commits>,
    failures: u32,
    /// When to look again, be it for drift or after a failure.
    due: Millis,
}

/// `jitter` is between 0 and 1; it spreads what many controllers and instances do.
pub fn decide(state: &mut State, policy: Policy, event: Event, now: Millis, jitter: f64) -> Vec<Effect> {
    match event {
        Event::Tick => {}
        Event::Poked => {
            state.fetch_at = now;
            state.fetch_again = state.fetching;
        }
        Event::Fetched(wanted) => {
            fetched(state, wanted, now);
            let again = std::mem::take(&mut state.fetch_again);
            state.fetching = false;
            state.fetch_failures = 0;
            state.fetch_at = if again { now } else { now + spread(policy.poll_every, jitter) };
        }
        Event::FetchFailed => {
            state.fetching = false;
            state.fetch_again = false;
            state.fetch_failures += 1;
            state.fetch_at = now + spread(backoff(state.fetch_failures), jitter);
        }
        Event::Ended { environment, commits, end } => {
            if let Some(environment) = state.environments.get_mut(&environment) {
                environment.running = false;
                environment.failures = if end == End::Failed { environment.failures + 1 } else { 0 };
                let pause = match end {
                    // An instance that is off must not keep the others from being looked at.
                    End::AsDeclared | End::Unreached => environment.wanted.observe_every,
                    End::Failed => backoff(environment.failures),
                };
                environment.due = now + spread(pause, jitter);
                environment.tried = Some(commits);
            }
        }
    }
    due(state, now)
}

/// When something will be due next.
pub fn next_due(state: &State) -> Millis {
    let passes = state.environments.values().filter(|e| !e.running).map(|e| if e.is_new() { 0 } else { e.due });
    let fetch = if state.fetching { Millis::MAX } else { state.fetch_at };
    passes.min().unwrap_or(Millis::MAX).min(fetch)
}

impl Environment {
    fn is_new(&self) -> bool {
        self.tried.as_ref() != Some(&self.wanted.commits)
    }
}

fn fetched(state: &mut State, wanted: BTreeMap<EnvironmentName, Wanted>, now: Millis) {
    // An environment that is declared no more is looked after no more; what runs there stays.
    state.environments.retain(|name, environment| wanted.contains_key(name) || environment.running);
    for (name, wanted) in wanted {
        match state.environments.get_mut(&name) {
            Some(environment) => {
                if environment.wanted.commits != wanted.commits {
                    // A new commit is a new chance: it does not wait for the old one's backoff.
                    environment.failures = 0;
                }
                environment.wanted = wanted;
            }
            None => {
                let environment = Environment { wanted, running: false, tried: None, failures: 0, due: now };
                state.environments.insert(name, environment);
            }
        }
    }
}

fn due(state: &mut State, now: Millis) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !state.fetching && state.fetch_at <= now {
        state.fetching = true;
        effects.push(Effect::Fetch);
    }
    for (name, environment) in &mut state.environments {
        if !environment.running && (environment.is_new() || environment.due <= now) {
            environment.running = true;
            let commits = environment.wanted.commits.clone();
            effects.push(Effect::Pass { environment: name.clone(), commits });
        }
    }
    effects
}

fn backoff(failures: u32) -> Millis {
    FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_BACKOFF)
}

/// Between nine tenths and eleven tenths of the pause.
fn spread(pause: Millis, jitter: f64) -> Millis {
    let tenth = pause / 10;
    pause - tenth + (2.0 * jitter.clamp(0.0, 1.0) * tenth as f64) as Millis
}

#[cfg(test)]
mod tests;
