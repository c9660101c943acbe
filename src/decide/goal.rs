//! What an environment is to be brought to at a moment.

use super::{Millis, Policy, Target, Wait};
use crate::model::{environment_state::Barred, plan::Commits};

/// What a sync is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Bring the environment to these commits.
    Deploy(Commits),
    /// Repair what has drifted from the last good deployment, or complete one that left out instances; the
    /// newer commits cannot be deployed.
    Repair { good: Commits, instead_of: Commits, why: Barred },
    /// Look, and change nothing.
    Observe { commits: Commits, why: Barred },
    /// End a deployment that was left open.
    Recover { generation: u64, target: Commits, take_over: bool },
}

impl Goal {
    /// The commits that the sync looks at.
    pub fn commits(&self) -> &Commits {
        match self {
            Goal::Deploy(commits) | Goal::Observe { commits, .. } => commits,
            Goal::Repair { good, .. } => good,
            Goal::Recover { target, .. } => target,
        }
    }
}

/// What the answer depends on besides what is wanted.
pub(super) struct Circumstances<'a> {
    /// Commits that are put off.
    pub failed: Option<&'a (Commits, Wait)>,
    /// When an open deployment of another counts as abandoned.
    pub abandoned_at: Option<Millis>,
    /// When drift that is left to another is no longer left to it.
    pub neglected_at: Option<Millis>,
    /// Set while no deployment may begin: until when, as far as that can be told.
    pub closed: Option<Option<i64>>,
}

pub(super) fn goal(target: &Target, policy: Policy, circumstances: &Circumstances<'_>, now: Millis) -> Goal {
    let Circumstances { failed, abandoned_at, neglected_at, closed } = circumstances;
    let state = &target.history.state;
    let revision = state.target(&target.commits).clone();
    let observe = |why| Goal::Observe { commits: revision.clone(), why };
    if policy.observe_only {
        return observe(Barred::ObserveOnly);
    }
    if let Some(open) = &target.history.open {
        let abandoned = abandoned_at.is_some_and(|at| at <= now);
        return if open.ours || abandoned {
            Goal::Recover { generation: open.generation, target: revision, take_over: !open.ours }
        } else {
            observe(Barred::StoodBack)
        };
    }
    if state.hold().is_some() {
        return observe(Barred::Held);
    }
    let stands_by = target.history.led_elsewhere && neglected_at.is_none_or(|at| at > now);
    let put_off = failed.is_some_and(|(commits, wait)| *commits == revision && wait.until > now);
    let deployed = state.kept_up().is_some_and(|kept_up| kept_up.commits == revision);
    // A pin goes back on purpose, and what is deployed already goes nowhere.
    let meant = revision != target.commits
        || state.rewind_to.as_ref().is_some_and(|meant| meant.same_config(&revision))
        || deployed && !target.history.doubted;
    // Whoever may go back may not therefore deploy what was never checked.
    let unchecked = target.checks.as_ref().is_some_and(|checks| checks.of != revision || !checks.missing.is_empty());
    let why = if state.quarantined(&revision).is_some() {
        Barred::Quarantined
    } else if target.history.doubted && !meant {
        // What is live may be newer than anything that is known: to keep up what is known would go back, too.
        return observe(Barred::Rewind);
    } else if target.rewinds && !meant {
        Barred::Rewind
    } else if unchecked && !deployed {
        Barred::Checks
    } else if let Some(until) = closed.filter(|_| !meant) {
        Barred::Closed { until }
    } else if put_off {
        Barred::Later
    } else if stands_by && state.good.as_ref().is_some_and(|good| good.commits == revision) {
        return observe(Barred::StandsBy);
    } else {
        return Goal::Deploy(revision);
    };
    match state.kept_up() {
        // What it would repair is what it watches: hosts that are as the newest commits declare are no answer to that.
        Some(good) if stands_by => Goal::Observe { commits: good.commits.clone(), why },
        None if stands_by => observe(why),
        Some(good) if good.commits != revision => {
            Goal::Repair { good: good.commits.clone(), instead_of: revision, why }
        }
        _ => observe(why),
    }
}
