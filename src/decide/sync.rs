//! One sync: whether it may deploy, and what comes next. The same for the daemon, and for `apply` from a command line.
//!
//! Keeps true: pure; what bars a deployment bars it for all who ask, and only a person can say that a rewind or a
//! take-over is meant.

use super::{
    Checks, Policy, Target,
    goal::{Circumstances, Goal, goal},
};
use crate::model::environment_state::{Barred, EnvironmentState, NotPermitted, Pin};

/// What a person says besides the commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meant {
    /// Deploy although the commits do not contain the deployed ones, or were rolled back from.
    pub rewind: bool,
    /// End what another controller has left open: it is gone for good.
    pub take_over: bool,
    /// Deploy although no deployment may begin now.
    pub now: bool,
}

/// Whether a person may deploy these commits now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permit {
    Deploy,
    /// A deployment is open and has to end first.
    Recover,
    /// Another controller is at it.
    UnderWay,
    /// The environment was rolled back from these commits.
    Pinned(Box<Pin>),
    Refused(NotPermitted),
}

/// Whether a person may deploy the target from a command line, which neither asks GitHub nor waits nor retries.
pub fn permit(target: &Target, meant: Meant) -> Permit {
    if let Some(open) = &target.history.open {
        return if open.ours || meant.take_over { Permit::Recover } else { Permit::UnderWay };
    }
    // A person is asked for, so nothing is put off, and drift is not left to who deployed last.
    let closed = target.hours.as_ref().filter(|_| !meant.now).and_then(|hours| hours.closed(0));
    let circumstances = Circumstances { failed: None, abandoned_at: None, neglected_at: Some(0), closed };
    let mut target = target.clone();
    if meant.rewind {
        (target.rewinds, target.history.doubted) = (false, false);
        target.history.state.pin = None;
    }
    let state = &target.history.state;
    let policy = Policy { poll_every: 0, observe_only: false };
    let (why, commits) = match goal(&target, policy, &circumstances, 0) {
        Goal::Deploy(commits) if commits == target.commits => return Permit::Deploy,
        Goal::Deploy(_) | Goal::Recover { .. } => return pinned(state),
        Goal::Observe { why, commits } => (why, commits),
        Goal::Repair { why, instead_of, .. } => (why, instead_of),
    };
    if commits != target.commits {
        return pinned(state);
    }
    Permit::Refused(match (why, &target.checks) {
        (Barred::Rewind, _) if target.history.doubted => NotPermitted::Doubted,
        (Barred::Checks, Some(Checks { missing, .. })) => NotPermitted::Checks(missing.clone()),
        (why, _) => NotPermitted::Barred(why),
    })
}

fn pinned(state: &EnvironmentState) -> Permit {
    match &state.pin {
        Some(pin) => Permit::Pinned(Box::new(pin.clone())),
        None => Permit::Refused(NotPermitted::Barred(Barred::Later)),
    }
}

/// What is known of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub is_refused: bool,
    pub has_changes: bool,
    pub needs_builds: bool,
    /// No commit asked for what differs.
    pub is_settled: bool,
    /// An instance did not answer, or is held with changes.
    pub leaves_instances: bool,
}

/// What comes after a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Refuse,
    /// Everything that is not built is built before the first host is touched; then it is planned anew.
    Build,
    CarryOut,
    /// The hosts are as declared, and a partial deployment becomes complete.
    Complete,
    Nothing,
}

/// What comes after a plan.
pub fn next(facts: Facts) -> Next {
    match facts {
        Facts { is_refused: true, .. } => Next::Refuse,
        Facts { has_changes: true, needs_builds: true, .. } => Next::Build,
        Facts { has_changes: true, .. } => Next::CarryOut,
        Facts { is_settled: false, leaves_instances: false, .. } => Next::Complete,
        _ => Next::Nothing,
    }
}
