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
    let is_live = standing.kept_up().is_some_and(|live| live.commits == *commits);
    if !ours || is_live || standing.quarantined(commits).is_some() {
        return None;
    }
    Some(Waiting {
        commit: commits.environment.clone()?,
        generation: newest.generation() + 1,
        why: reason(*why, commits, standing)?,
    })
}

fn reason(why: Barred, commits: &Commits, standing: &Standing) -> Option<String> {
    match why {
        Barred::Held => standing.hold().map(report::control::held),
        Barred::Checks | Barred::Rewind => report::status::barred(why, commits, None, standing),
        // Nothing is going to deploy it, somebody else does, or it is tried again in a moment.
        Barred::ObserveOnly | Barred::StoodBack | Barred::StandsBy | Barred::Quarantined | Barred::Later => None,
    }
}

/// What waits for the end of a deployment of ours.
pub fn after(open: Option<&Open>, commits: &Commits) -> Option<Waiting> {
    let open = open.filter(|open| open.ours && open.commits != *commits)?;
    Some(Waiting {
        commit: commits.environment.clone()?,
        generation: open.generation + 1,
        why: format!("waits for generation {} to end", open.generation),
    })
}

/// What waits for its builds. They may take minutes, and nothing of the deployment is recorded before they end.
pub fn for_builds(newest: &Newest, commits: &Commits) -> Option<Waiting> {
    let is_live = newest.standing.kept_up().is_some_and(|live| live.commits == *commits);
    let commit = commits.environment.clone().filter(|_| !is_live)?;
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
    let note = format!("{}: {}", report::words::short(&waiting.commit), waiting.why);
    if !view.notes.contains(&note) {
        view.notes.push(note);
    }
    view.waiting = Some(waiting);
}
