//! The loop's policy: (state, event, now) to (state, effects).
//!
//! Keeps true: pure, so a night of events is a test of a millisecond; never two syncs in one
//! environment; a trigger carries no facts, it only makes the loop look again. Never does: I/O,
//! reading a clock, choosing random numbers (jitter is handed in).

mod environment;
mod goal;
mod health;
mod hours;
mod left_out;
pub mod rights;
pub mod sync;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    desired::Resource,
    environment_state::EnvironmentState,
    name::{EnvironmentName, InstanceName},
    plan::Commits,
    repair::{Ailing, ReplicaUnit, SeenReplica},
};
use environment::Environment;
pub use goal::Goal;
pub use hours::Hours;
pub use left_out::FailureScope;
use waits::{Wait, spread};

/// Milliseconds on a clock that only goes forward.
pub type Millis = u64;

/// After another controller was faster its outcome is worth a look soon.
const SOON: Millis = 1_000;

/// How the loop is set up.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How often the repository is asked for new commits.
    pub poll_every: Millis,
    /// Nothing is ever changed, only looked at.
    pub observe_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has come to look what is due.
    Tick,
    /// Somebody says that the repository may have changed.
    Triggered,
    /// What the repository holds, by environment.
    Fetched(BTreeMap<EnvironmentName, Target>),
    FetchFailed,
    /// A pass has ended.
    Ended {
        environment: EnvironmentName,
        goal: Goal,
        result: Box<SyncResult>,
    },
    /// An instance that did not answer was asked again.
    Asked {
        environment: EnvironmentName,
        instance: InstanceName,
        answered: Result<(), String>,
    },
    /// A person does not want to wait: what was put off is tried now. `take_over`: also what another
    /// controller has left open, which is gone for good.
    RetryRequested {
        environment: EnvironmentName,
        take_over: bool,
    },
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What there was to do is done, on every instance that answers.
    Done,
    /// It could not be planned, was refused, or was rolled back.
    Failed,
    /// Somebody else changed something at the same time: look again.
    Overtaken,
}

/// What a sync found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncResult {
    pub end: End,
    /// What the history says now; none where it could not be read.
    pub history: Option<HistorySnapshot>,
    /// Instances that were asked and did not answer, each with the reason.
    pub unreached: BTreeMap<InstanceName, String>,
    /// Whether something differs that was left as it is.
    pub differs: bool,
    /// What was repaired without a commit asking for it.
    pub repaired: BTreeSet<(InstanceName, Resource)>,
    /// Replicas whose health was asked for.
    pub seen: BTreeMap<ReplicaUnit, SeenReplica>,
    /// Those that it restarted for their health.
    pub restarted: BTreeSet<ReplicaUnit>,
}

/// What the history says of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistorySnapshot {
    pub state: EnvironmentState,
    pub open: Option<Open>,
    /// Whether another controller deployed last. Drift is left to it, for two that repair the same would
    /// take each other's work for something that was cut off.
    pub led_elsewhere: bool,
    /// The deployed commits are refused and nothing is remembered in their place: what is live is not known.
    pub doubted: bool,
}

/// A deployment that began, and of which nothing says how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub generation: u64,
    pub commits: Commits,
    /// When it began or was taken over, as it is recorded: tells two of one number apart.
    pub started: String,
    /// Begun by this controller, before it was started again.
    pub ours: bool,
    /// Its commits count. One whose commits do not is ended at once: nobody may go on with it.
    pub counts: bool,
    /// The longest that it may last.
    pub limit: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub commits: Commits,
    pub observe_every: Millis,
    pub history: HistorySnapshot,
    /// Whether these commits leave out the deployed one.
    pub rewinds: bool,
    /// Set where checks have to be green first.
    pub checks: Option<Checks>,
    /// Set where deployments may not begin at any time.
    pub hours: Option<Hours>,
}

/// What GitHub says of the checks that an environment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// The commits that were asked about. Of others nothing is known, so they are not green.
    pub of: Commits,
    /// Those that are not green.
    pub missing: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Fetch,
    /// Look at the environment, and do what the goal says.
    Pass {
        environment: EnvironmentName,
        goal: Goal,
        /// Instances that are not asked: they did not answer, for these reasons.
        unreachable: BTreeMap<InstanceName, String>,
        /// What is not repaired: it was, so many times, and did not hold.
        backed_off: BTreeMap<(InstanceName, Resource), u32>,
        /// What is remembered of the health of replicas.
        ailing: Box<Ailing>,
    },
    /// Ask an instance whether it answers again.
    Ask {
        environment: EnvironmentName,
        instance: InstanceName,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    fetching: bool,
    /// A poke that came while fetching: what it announced may have come too late.
    fetch_again: bool,
    fetch_at: Millis,
    fetch_failed: Wait,
    environments: BTreeMap<EnvironmentName, Environment>,
}

/// `jitter` is between 0 and 1; it spreads what many controllers and instances do.
pub fn decide(state: &mut State, policy: Policy, event: Event, now: Millis, jitter: f64) -> Vec<Effect> {
    match event {
        Event::Tick => {}
        Event::Triggered => {
            state.fetch_at = now;
            state.fetch_again = state.fetching;
        }
        Event::Fetched(target) => {
            fetched(state, target, now);
            let again = std::mem::take(&mut state.fetch_again);
            state.fetching = false;
            state.fetch_failed = Wait::default();
            state.fetch_at = if again { now } else { now + spread(policy.poll_every, jitter) };
        }
        Event::FetchFailed => {
            state.fetching = false;
            state.fetch_again = false;
            state.fetch_at = state.fetch_failed.longer(now, jitter);
        }
        Event::Ended { environment, goal, result } => {
            if result.end == End::Overtaken {
                state.fetch_at = state.fetch_at.min(now + SOON);
            }
            if let Some(environment) = state.environments.get_mut(&environment) {
                environment.ended(goal, *result, now, jitter);
            }
        }
        Event::Asked { environment, instance, answered } => {
            if let Some(environment) = state.environments.get_mut(&environment) {
                environment.asked(&instance, answered, now, jitter);
            }
        }
        Event::RetryRequested { environment, take_over } => {
            state.fetch_at = now;
            if let Some(environment) = state.environments.get_mut(&environment) {
                environment.hurry(take_over, now);
            }
        }
    }
    due(state, policy, now)
}

/// When something will be due next.
pub fn next_due(state: &State, policy: Policy) -> Millis {
    let fetch = if state.fetching { Millis::MAX } else { state.fetch_at };
    let environments = state.environments.values().map(|environment| environment.next_due(policy));
    environments.min().unwrap_or(Millis::MAX).min(fetch)
}

fn fetched(state: &mut State, target: BTreeMap<EnvironmentName, Target>, now: Millis) {
    // An environment that is declared no more is looked after no more; what runs there stays.
    state.environments.retain(|name, environment| target.contains_key(name) || environment.is_running());
    for (name, target) in target {
        match state.environments.get_mut(&name) {
            Some(environment) => environment.wants(target, now),
            None => _ = state.environments.insert(name, Environment::new(target, now)),
        }
    }
}

fn due(state: &mut State, policy: Policy, now: Millis) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !state.fetching && state.fetch_at <= now {
        state.fetching = true;
        effects.push(Effect::Fetch);
    }
    for (name, environment) in &mut state.environments {
        effects.extend(environment.due(name, policy, now));
    }
    effects
}

#[cfg(test)]
mod tests;
