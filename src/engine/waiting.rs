//! What is merged and is not being deployed yet, though nothing is wrong with it.
//!
//! Keeps true: only the controller that would deploy it says that it waits; what has failed, and what is live
//! already, waits for nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{chronicle::Newest, pass::Seat};
use crate::{
    decide::{Goal, Open},
    model::{
        name::EnvironmentName,
        plan::Commits,
        standing::{Barred, Standing},
    },
    report::{
        self,
        status::{StatusView, Waiting},
    },
};

/// What waits behind a pass that could not deploy it. `differs`: whether hosts differ from what the pass looked at.
pub fn behind(goal: &Goal, newest: &Newest, seat: &Seat, differs: bool) -> Option<Waiting> {
    let (commits, why) = match goal {
        Goal::Observe { commits, why } if differs => (commits, why),
        Goal::Repair { instead_of, why, .. } => (instead_of, why),
        _ => return None,
    };
    let standing = &newest.standing;
    let ours = newest.deployment.as_ref().is_none_or(|deployment| deployment.seat == seat.id);
    let commit = awaited(commits, standing).filter(|_| ours)?;
    Some(Waiting { commit, generation: newest.generation() + 1, why: reason(*why, commits, standing)? })
}

/// The environment's commit, by which people know what waits: not one that is live or has failed, whatever else of
/// what is wanted is newer.
fn awaited(commits: &Commits, standing: &Standing) -> Option<String> {
    let commit = commits.environment.clone()?;
    let is_live = standing.kept_up().is_some_and(|live| live.commits.environment.as_ref() == Some(&commit));
    (!is_live && standing.quarantined(commits).is_none()).then_some(commit)
}

fn reason(why: Barred, commits: &Commits, standing: &Standing) -> Option<String> {
    match why {
        Barred::Held => standing.hold().map(report::control::held),
        Barred::Checks | Barred::Rewind => report::status::barred(why, commits, None, standing),
        // Nothing is going to deploy it, somebody else does, or it is tried again in a moment.
        Barred::ObserveOnly | Barred::StoodBack | Barred::StandsBy | Barred::Quarantined | Barred::Later => None,
    }
}

/// What waits for the end of a deployment of ours. A rollback keeps what was rolled back waiting for nothing.
pub fn after(open: Option<&Open>, commits: &Commits, standing: &Standing) -> Option<Waiting> {
    let next = standing.target(commits);
    let open = open.filter(|open| open.ours && open.commits.environment != next.environment)?;
    Some(Waiting {
        commit: awaited(next, standing)?,
        generation: open.generation + 1,
        why: format!("waits for generation {} to end", open.generation),
    })
}

/// What waits for its builds. They may take minutes, and nothing of the deployment is recorded before they end.
pub fn for_builds(newest: &Newest, commits: &Commits) -> Option<Waiting> {
    let commit = awaited(commits, &newest.standing)?;
    Some(Waiting { commit, generation: newest.generation() + 1, why: "its releases are being built".to_owned() })
}

/// Notes it where `status` finds it, until the next look at the hosts.
pub fn note(
    status: &Mutex<BTreeMap<EnvironmentName, StatusView>>,
    environment: &EnvironmentName,
    waiting: Option<Waiting>,
) {
    let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(view), Some(waiting)) = (status.get_mut(environment), waiting) else { return };
    view.waiting = Some(waiting);
}
