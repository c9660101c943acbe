//! What is merged and is not being deployed yet, though nothing is wrong with it.
//!
//! Keeps true: only the controller that would deploy it says that it waits; what has failed, and what is live
//! already, waits for nothing.

use crate::{
    decide::{Goal, Open},
    engine::history::{controller_id::ControllerId, log::Newest},
    model::{
        commit::CommitId,
        environment_state::{Barred, EnvironmentState},
        plan::Commits,
        status::{Waiting, WaitsOn},
    },
    report,
};

/// What waits behind a sync that could not deploy it. `differs`: whether hosts differ from what the sync looked at.
pub fn behind(goal: &Goal, newest: &Newest, identity: &ControllerId, differs: bool) -> Option<Waiting> {
    let (commits, why) = match goal {
        Goal::Observe { commits, why } if differs => (commits, why),
        Goal::Repair { instead_of, why, .. } => (instead_of, why),
        _ => return None,
    };
    let state = &newest.state;
    let ours = newest.deployment.as_ref().is_none_or(|deployment| deployment.controller_id == identity.id);
    let commit = awaited(commits, state).filter(|_| ours)?;
    let (on, why) = reason(*why, commits, state)?;
    Some(Waiting { commit, generation: newest.generation().saturating_add(1), on, why })
}

/// The environment's commit, by which people know what waits: not one that is live or has failed, whatever else of
/// what is wanted is newer.
fn awaited(commits: &Commits, state: &EnvironmentState) -> Option<CommitId> {
    let commit = commits.environment.clone()?;
    let is_live = state.kept_up().is_some_and(|live| live.commits.environment.as_ref() == Some(&commit));
    (!is_live && state.quarantined(commits).is_none()).then_some(commit)
}

fn reason(why: Barred, commits: &Commits, state: &EnvironmentState) -> Option<(WaitsOn, String)> {
    let told = || report::status::barred(why, commits, None, state);
    let (on, why) = match why {
        Barred::Held => (WaitsOn::Hold, state.hold().map(report::control::held)),
        Barred::Checks => (WaitsOn::Checks, told()),
        Barred::Rewind => (WaitsOn::Rewind, told()),
        Barred::Closed { .. } => (WaitsOn::Hours, told()),
        // Nothing is going to deploy it, somebody else does, or it is tried again in a moment.
        Barred::ObserveOnly | Barred::StoodBack | Barred::StandsBy | Barred::Quarantined | Barred::Later => {
            return None;
        }
    };
    Some((on, why?))
}

/// What waits for the end of a deployment of ours. A rollback keeps what was rolled back waiting for nothing.
pub fn after(open: Option<&Open>, commits: &Commits, state: &EnvironmentState) -> Option<Waiting> {
    let next = state.target(commits);
    let open = open.filter(|open| open.ours && open.commits.environment != next.environment)?;
    Some(Waiting {
        commit: awaited(next, state)?,
        generation: open.generation.saturating_add(1),
        on: WaitsOn::Deployment,
        why: format!("waits for generation {} to end", open.generation),
    })
}

/// What waits for its builds. They may take minutes, and nothing of the deployment is recorded before they end.
pub fn for_builds(newest: &Newest, commits: &Commits) -> Option<Waiting> {
    let commit = awaited(commits, &newest.state)?;
    Some(Waiting {
        commit,
        generation: newest.generation().saturating_add(1),
        on: WaitsOn::Builds,
        why: "its releases are being built".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{
        environment_state::{Good, Hold, Pin, Quarantined},
        outcome::RecordedDeployment,
    };

    const OURS: &str = "ours";

    fn identity() -> ControllerId {
        ControllerId { name: "control (pid 7)".to_owned(), id: OURS.to_owned() }
    }

    fn commits(commit: &str) -> Commits {
        Commits::of_config(Some("f00".into()), Some(commit.into()))
    }

    fn good(commit: &str, generation: u64) -> Good {
        Good { commits: commits(commit), generation, desired: None, builds: Default::default() }
    }

    /// A history of one deployment, which applied `a` as generation 1.
    fn deployed(identity: &str) -> Newest {
        let deployment: RecordedDeployment = serde_json::from_value(json!({
            "version": 1, "environment": "test", "generation": 1, "kind": "change", "commits": commits("a"),
            "plan_digest": crate::model::digest::Digest::of("a plan"), "triggered_by": "the controller",
            "controller": "control (pid 7)", "seat": identity, "started": "2026-11-21T13:14:05Z", "outcome": "applied",
            "summary": crate::model::plan::Summary::default(), "changes": [], "unreached": {},
        }))
        .expect("a deployment");
        let state = EnvironmentState { good: Some(good("a", 1)), ..EnvironmentState::default() };
        Newest { deployment: Some(deployment), state, ..Newest::default() }
    }

    fn held(newest: Newest) -> Newest {
        let hold = Hold {
            instance: None,
            owner: "ada".to_owned(),
            reason: "the demo".to_owned(),
            since: "2026-11-21T13:14:05Z".to_owned(),
        };
        Newest { state: EnvironmentState { holds: vec![hold], ..newest.state }, ..newest }
    }

    fn observe(commit: &str, why: Barred) -> Goal {
        Goal::Observe { commits: commits(commit), why }
    }

    fn waits(commit: &str, generation: u64, on: WaitsOn, why: &str) -> Option<Waiting> {
        Some(Waiting { commit: commit.into(), generation, on, why: why.to_owned() })
    }

    #[test]
    fn what_is_held_waits_for_who_holds_it() {
        let newest = held(deployed(OURS));
        let why = "held by ada since 2026-11-21 13:14:05 UTC: the demo";
        assert_eq!(behind(&observe("b", Barred::Held), &newest, &identity(), true), waits("b", 2, WaitsOn::Hold, why));
        // What is live is repaired meanwhile.
        let repair = Goal::Repair { good: commits("a"), instead_of: commits("b"), why: Barred::Held };
        assert_eq!(behind(&repair, &newest, &identity(), false), waits("b", 2, WaitsOn::Hold, why));
    }

    #[test]
    fn what_has_no_green_checks_waits_for_them_also_before_anything_was_deployed() {
        let why = "b waits for checks to be green: `require_checks` of the environment names them";
        let goal = observe("b", Barred::Checks);
        assert_eq!(behind(&goal, &deployed(OURS), &identity(), true), waits("b", 2, WaitsOn::Checks, why));
        assert_eq!(behind(&goal, &Newest::default(), &identity(), true), waits("b", 1, WaitsOn::Checks, why));
    }

    #[test]
    fn what_a_forced_push_brought_waits_for_a_person() {
        let waiting = behind(&observe("b", Barred::Rewind), &deployed(OURS), &identity(), true).expect("it waits");
        assert_eq!((waiting.commit.as_str(), waiting.generation), ("b", 2));
        assert!(waiting.why.contains("a forced push?") && waiting.why.contains("--allow-rewind"), "{}", waiting.why);
    }

    #[test]
    fn where_there_is_nothing_to_deploy_nothing_waits() {
        let newest = held(deployed(OURS));
        let of = |goal: &Goal, differs| behind(goal, &newest, &identity(), differs);
        assert_eq!(of(&observe("b", Barred::Held), false), None, "the hosts are as it declares");
        assert_eq!(of(&observe("a", Barred::Held), true), None, "it is live: what differs has drifted");
        assert_eq!(of(&Goal::Deploy(commits("b")), true), None, "it is being deployed");
        let work_tree = Goal::Observe { commits: Commits::default(), why: Barred::Held };
        assert_eq!(of(&work_tree, true), None, "it is no commit");
        assert_eq!(for_builds(&newest, &commits("a")), None, "it is live");
    }

    #[test]
    fn what_nobody_is_going_to_deploy_does_not_wait() {
        let newest = deployed(OURS);
        for why in [Barred::ObserveOnly, Barred::StoodBack, Barred::StandsBy, Barred::Quarantined, Barred::Later] {
            assert_eq!(behind(&observe("b", why), &newest, &identity(), true), None, "{why:?}");
        }
        assert_eq!(behind(&observe("b", Barred::Held), &held(deployed("another's")), &identity(), true), None);
        let mut failed = held(deployed(OURS));
        let quarantined = Quarantined { commits: commits("b"), generation: 1, why: "h1: not healthy".to_owned() };
        failed.state.quarantine.push(quarantined);
        assert_eq!(behind(&observe("b", Barred::Held), &failed, &identity(), true), None);
    }

    #[test]
    fn what_is_being_built_waits_for_its_builds() {
        let why = "its releases are being built";
        assert_eq!(for_builds(&deployed(OURS), &commits("b")), waits("b", 2, WaitsOn::Builds, why));
        assert_eq!(for_builds(&Newest::default(), &commits("b")), waits("b", 1, WaitsOn::Builds, why));
    }

    #[test]
    fn what_comes_while_we_deploy_waits_for_the_end_of_that() {
        let open =
            |ours| Open { generation: 2, commits: commits("b"), started: String::new(), ours, counts: true, limit: 0 };
        let state = deployed(OURS).state;
        let behind = |ours, commit| after(Some(&open(ours)), &commits(commit), &state);
        assert_eq!(behind(true, "c"), waits("c", 3, WaitsOn::Deployment, "waits for generation 2 to end"));
        assert_eq!(behind(true, "b"), None, "it is being deployed");
        assert_eq!(behind(true, "a"), None, "it is live");
        assert_eq!(behind(false, "c"), None, "another controller tells of it");
        assert_eq!(after(None, &commits("c"), &state), None);

        let other_default = Commits::of_config(Some("f01".into()), Some("b".into()));
        assert_eq!(after(Some(&open(true)), &other_default, &state), None, "of b it is told already");
    }

    #[test]
    fn what_is_being_rolled_back_does_not_wait_for_that() {
        let back =
            Open { generation: 3, commits: commits("a"), started: String::new(), ours: true, counts: true, limit: 0 };
        let rolled_back = Pin { commits: commits("a"), instead_of: commits("b"), owner: "ada".to_owned() };
        let state =
            EnvironmentState { good: Some(good("b", 2)), pin: Some(rolled_back), ..EnvironmentState::default() };
        assert_eq!(after(Some(&back), &commits("b"), &state), None);
        assert_eq!(
            after(Some(&back), &commits("c"), &state),
            waits("c", 4, WaitsOn::Deployment, "waits for generation 3 to end")
        );
        let quarantined = Quarantined { commits: commits("c"), generation: 1, why: "h1: not healthy".to_owned() };
        let state = EnvironmentState { quarantine: vec![quarantined], ..state };
        assert_eq!(after(Some(&back), &commits("c"), &state), None);
    }
}
