//! How much of a history is believed: the newest commit of the history branch, held against the branches that the
//! environment follows.
//!
//! Keeps true: the history is data and no authority, so a commit that it names counts only when a
//! followed branch holds that commit, or held it when this controller looked; everything else is a [`Refusal`], and the
//! environment goes on with what was believed before. Never does: asking git (the answers are a [`Held`]), wording.
//!
//! What a history says passes `model/belief.rs` before anybody reads it: `newest` in
//! `engine/history/log.rs`, on which everything else builds, answers believed values only, and a commit that no
//! followed branch holds, or held when this controller looked, is in none of them. What the mirror saw lies in
//! references of its own, never fetched and never pushed: `refs/evenkeel-seen/` (heads of followed branches; one
//! each, and one more for each forced push), `refs/evenkeel-believed/` (the newest history commit that was believed
//! as a whole) and `refs/evenkeel-written/`. An intent whose commits do not count names none: it is taken over and
//! undone, never gone on with. Deployed commits that do not count, with nothing remembered in their place, are a
//! `Doubt`: the environment is only looked at until a person retries. With `history_writers` a commit counts when a
//! listed key signed it for this very environment; a controller begins nothing that it could not record so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    budget::Budget,
    commit::CommitId,
    environment_state::{EnvironmentState, Good, Quarantined},
    generation,
    name::EnvironmentName,
    outcome::Deployment,
    plan::Commits,
};

/// What a commit of the history branch says. Nothing of it is believed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    pub state: EnvironmentState,
    /// The newest deployment: an intent while its outcome is none.
    pub deployment: Option<Deployment>,
}

/// The commits, of those that were asked for, which the followed branches hold or held when this controller looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    pub default: BTreeSet<CommitId>,
    pub environment: BTreeSet<CommitId>,
}

/// What is believed of a history, and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belief {
    pub state: EnvironmentState,
    /// Names no commits where they are refused. That it began or ended counts all the same: other controllers are
    /// heeded.
    pub deployment: Option<Deployment>,
    /// The newest generation that the history tells of, also where its record is refused.
    pub generation: u64,
    /// Set where the deployed commits are refused and nothing is remembered in their place: what is live is not known,
    /// so a person decides.
    pub doubt: Option<Doubt>,
    pub refusals: Vec<Refusal>,
}

/// The deployed commits that are refused, as the history says them. They stay in the history until a person decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubt {
    pub good: Option<Good>,
    pub partial: Option<Good>,
}

/// One thing that the history says and that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Refusal {
    pub claim: Claim,
    pub reason: Reason,
    /// The commit that the history names, as the history writes it.
    pub commit: Option<String>,
    pub generation: Option<u64>,
    /// The newest commit of the history branch, which says so.
    pub history: Option<CommitId>,
}

/// A part of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The last good deployment.
    Good,
    /// A deployment that is not yet live on every instance.
    Partial,
    Pin,
    /// The commits that may leave out the deployed ones.
    Rewind,
    Quarantine,
    /// A deployment without an outcome.
    Intent,
    /// The newest deployment.
    Deployment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The environment's branch does not hold the commit.
    NotOnBranch,
    /// The default branch does not hold the commit.
    NotOnDefaultBranch,
    /// The generation is far from the one before.
    Generation,
    /// The deployment is recorded as one of another environment.
    OtherEnvironment,
}

impl Claimed {
    /// Every pair of commits that decides something.
    pub fn commits(&self) -> impl Iterator<Item = &Commits> {
        let state = &self.state;
        let goods = state.good.iter().chain(&state.partial).map(|good| &good.commits);
        let pin = state.pin.iter().map(|pin| &pin.commits);
        let quarantine = newest_quarantined(state).iter().map(|quarantined| &quarantined.commits);
        let deployment = self.deployment.iter().map(|deployment| &deployment.commits);
        goods.chain(pin).chain(&state.rewind_to).chain(quarantine).chain(deployment)
    }

    fn generation(&self) -> u64 {
        self.deployment.as_ref().map_or(0, |deployment| deployment.generation)
    }
}

/// Whoever writes more into a history by hand does not make this controller look them all up.
fn newest_quarantined(state: &EnvironmentState) -> &[Quarantined] {
    let surplus = state.quarantine.len().saturating_sub(EnvironmentState::QUARANTINED);
    state.quarantine.get(surplus..).unwrap_or_default()
}

impl Held {
    /// All that the pairs name, to be asked for.
    pub fn asked<'a>(commits: impl Iterator<Item = &'a Commits>) -> Self {
        let mut asked = Self::default();
        for commits in commits {
            asked.default.extend(commits.default.clone());
            asked.environment.extend(commits.environment.clone());
        }
        asked
    }

    /// Why the commits do not count; none when the branches hold both. A half that names no commit brings none in.
    pub fn refuses(&self, commits: &Commits) -> Option<(Reason, CommitId)> {
        let lacks = |held: &BTreeSet<CommitId>, commit: &Option<CommitId>| {
            commit.as_ref().filter(|commit| !held.contains(*commit)).cloned()
        };
        lacks(&self.environment, &commits.environment)
            .map(|commit| (Reason::NotOnBranch, commit))
            .or_else(|| lacks(&self.default, &commits.default).map(|commit| (Reason::NotOnDefaultBranch, commit)))
    }
}

/// What is believed of `claimed`. `before` is the newest commit of this history that this controller believed as a
/// whole, where it remembers one.
pub fn believe(
    environment: &EnvironmentName,
    claimed: Claimed,
    before: Option<Claimed>,
    held: &Held,
    budget: &Budget,
) -> Belief {
    let limit = generation::limit_of_history(before.as_ref().map(Claimed::generation), budget);
    let mut judge = Judge { environment, held, limit, budget, refusals: Vec::new() };
    let remembers = before.is_some();
    let before = before.unwrap_or_default();
    let (state, doubt) = judge.state(claimed.state, before.state, remembers);
    let newest = claimed.deployment.as_ref().map_or(0, |newest| newest.generation);
    let told = if newest > limit { 0 } else { newest };
    let generation = told.max(before.deployment.as_ref().map_or(0, |before| before.generation));
    let deployment = match claimed.deployment {
        Some(deployment) if judge.is_misplaced(&deployment) => before.deployment,
        // That it began or ended counts; what it deployed does not, so nobody can take that from here.
        Some(deployment) if judge.refuses(claim(&deployment), &deployment.commits, None) => {
            Some(Deployment { commits: Commits::default(), desired: None, builds: Default::default(), ..deployment })
        }
        deployment => deployment,
    };
    // Those of a long list are alike; the first of them say what happened.
    judge.refusals.truncate(budget.findings);
    Belief { state, deployment, generation, doubt, refusals: judge.refusals }
}

fn claim(deployment: &Deployment) -> Claim {
    if deployment.outcome.is_none() { Claim::Intent } else { Claim::Deployment }
}

struct Judge<'a> {
    environment: &'a EnvironmentName,
    held: &'a Held,
    /// The largest generation that is taken for one.
    limit: u64,
    budget: &'a Budget,
    refusals: Vec<Refusal>,
}

impl Judge<'_> {
    fn state(
        &mut self,
        mut claimed: EnvironmentState,
        before: EnvironmentState,
        remembers: bool,
    ) -> (EnvironmentState, Option<Doubt>) {
        let refuses_good = claimed.good.as_ref().is_some_and(|good| self.refuses_good(Claim::Good, good));
        let refuses_partial = claimed.partial.as_ref().is_some_and(|good| self.refuses_good(Claim::Partial, good));
        let mut doubt = None;
        if refuses_good || refuses_partial {
            let raw = Doubt { good: claimed.good.clone(), partial: claimed.partial.take() };
            doubt = Some(raw).filter(|_| !remembers);
            if refuses_good {
                (claimed.good, claimed.partial) = (before.good, before.partial);
            } else if claimed.good == before.good {
                claimed.partial = before.partial;
            }
        }
        if claimed.pin.as_ref().is_some_and(|pin| self.refuses(Claim::Pin, &pin.commits, None)) {
            claimed.pin = before.pin;
        }
        if claimed.rewind_to.as_ref().is_some_and(|commits| self.refuses(Claim::Rewind, commits, None)) {
            claimed.rewind_to = before.rewind_to;
        }
        let surplus = claimed.quarantine.len().saturating_sub(EnvironmentState::QUARANTINED);
        claimed.quarantine.drain(..surplus);
        claimed
            .quarantine
            .retain(|quarantined| !self.refuses(Claim::Quarantine, &quarantined.commits, Some(quarantined.generation)));
        (claimed, doubt)
    }

    fn refuses_good(&mut self, claim: Claim, good: &Good) -> bool {
        self.refuses(claim, &good.commits, Some(good.generation))
    }

    /// Whether the record says nothing at all of this environment.
    fn is_misplaced(&mut self, deployment: &Deployment) -> bool {
        let reason = if deployment.environment != *self.environment {
            Reason::OtherEnvironment
        } else if deployment.generation > self.limit {
            Reason::Generation
        } else {
            return false;
        };
        self.refuse(claim(deployment), reason, deployment.commits.environment.clone(), Some(deployment.generation));
        true
    }

    fn refuses(&mut self, claim: Claim, commits: &Commits, generation: Option<u64>) -> bool {
        if let Some((reason, commit)) = self.held.refuses(commits) {
            self.refuse(claim, reason, Some(commit), generation);
            return true;
        }
        if generation.is_some_and(|generation| generation > self.limit) {
            self.refuse(claim, Reason::Generation, commits.environment.clone(), generation);
            return true;
        }
        false
    }

    fn refuse(&mut self, claim: Claim, reason: Reason, commit: Option<CommitId>, generation: Option<u64>) {
        let commit = commit.map(|commit| commit.chars().take(self.budget.name_text).collect());
        self.refusals.push(Refusal { claim, reason, commit, generation, history: None });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{
        digest::Digest,
        environment_state::{Hold, Pin},
        plan::Summary,
    };

    fn commits(commit: &str) -> Commits {
        Commits::of_config(Some(commit.into()), Some(commit.into()))
    }

    fn good(commit: &str, generation: u64) -> Good {
        Good { commits: commits(commit), generation, desired: None, builds: Default::default() }
    }

    fn deployment(commit: &str, generation: u64, outcome: Option<&str>) -> Deployment {
        let deployment = json!({
            "version": 1, "environment": "test", "generation": generation, "kind": "change",
            "commits": commits(commit), "plan_digest": Digest::of("a plan"), "triggered_by": "ada",
            "controller": "a laptop", "started": "2026-11-21T13:14:05Z", "outcome": outcome,
            "summary": Summary::default(), "changes": [], "unreached": {},
        });
        serde_json::from_value(deployment).expect("a deployment")
    }

    /// `a` was deployed, and the branch holds `a` and `b`.
    fn deployed() -> Claimed {
        let state = EnvironmentState { good: Some(good("a", 4)), ..EnvironmentState::default() };
        Claimed { state, deployment: Some(deployment("a", 4, Some("applied"))) }
    }

    fn weigh(claimed: Claimed, before: Option<Claimed>) -> Belief {
        let held: BTreeSet<CommitId> = ["a", "b"].map(CommitId::from).into();
        let held = Held { default: held.clone(), environment: held };
        believe(&"test".parse().expect("a name"), claimed, before, &held, &Budget::STANDARD)
    }

    fn refused(belief: &Belief) -> Vec<(Claim, Reason)> {
        belief.refusals.iter().map(|refusal| (refusal.claim, refusal.reason)).collect()
    }

    #[test]
    fn what_the_branches_hold_is_believed_as_it_is_written() {
        let mut claimed = deployed();
        claimed.state.pin = Some(Pin { commits: commits("a"), instead_of: commits("b"), owner: "ada".into() });
        claimed.state.rewind_to = Some(commits("b"));
        for before in [None, Some(deployed())] {
            let belief = weigh(claimed.clone(), before);
            assert_eq!((belief.state, belief.deployment), (claimed.state.clone(), claimed.deployment.clone()));
            assert_eq!((belief.generation, belief.doubt, belief.refusals), (4, None, Vec::new()));
        }
    }

    #[test]
    fn a_commit_that_no_branch_holds_steers_nothing() {
        let mut forged = deployed();
        let pin = Pin { commits: commits("x"), instead_of: commits("b"), owner: "mallory".into() };
        forged.state.pin = Some(pin);
        forged.state.rewind_to = Some(commits("x"));
        forged.state.quarantine =
            vec![Quarantined { commits: commits("x"), generation: 4, why: "it failed".to_owned() }];
        forged.state.good = Some(good("x", 4));
        forged.state.partial = Some(good("x", 4));
        forged.deployment = Some(deployment("x", 5, None));
        let belief = weigh(forged, Some(deployed()));
        assert_eq!((belief.state, belief.generation, belief.doubt), (deployed().state, 5, None));
        let open = belief.deployment.expect("it is open all the same");
        assert_eq!((open.commits, open.generation, open.outcome), (Commits::default(), 5, None));
        let claims: Vec<Claim> = belief.refusals.iter().map(|refusal| refusal.claim).collect();
        let all = [Claim::Good, Claim::Partial, Claim::Pin, Claim::Rewind, Claim::Quarantine, Claim::Intent];
        assert_eq!(claims, all);
        assert!(belief.refusals.iter().all(|refusal| refusal.reason == Reason::NotOnBranch));
    }

    #[test]
    fn each_half_of_a_pair_is_looked_for_on_its_own_branch() {
        let mut forged = deployed();
        let pinned = Commits::of_config(Some("x".into()), Some("a".into()));
        forged.state.pin = Some(Pin { commits: pinned, instead_of: commits("b"), owner: "mallory".into() });
        let belief = weigh(forged, None);
        assert_eq!(refused(&belief), [(Claim::Pin, Reason::NotOnDefaultBranch)]);
        assert_eq!(belief.state, deployed().state);
    }

    #[test]
    fn deployed_commits_that_nobody_remembers_leave_a_doubt() {
        let mut rewound = deployed();
        rewound.state.good = Some(good("x", 4));
        rewound.deployment = Some(deployment("x", 4, Some("applied")));
        let belief = weigh(rewound, None);
        assert_eq!((belief.state.good, belief.generation), (None, 4));
        assert_eq!(belief.deployment.map(|newest| newest.commits), Some(Commits::default()));
        assert_eq!(belief.doubt, Some(Doubt { good: Some(good("x", 4)), partial: None }));
    }

    #[test]
    fn a_hold_is_heeded_whatever_else_is_refused() {
        let mut forged = deployed();
        let (owner, reason, since) = ("ada".to_owned(), "an audit".to_owned(), "2026-11-21T13:14:05Z".to_owned());
        forged.state.holds = vec![Hold { instance: None, owner, reason, since }];
        forged.state.good = Some(good("x", 4));
        let belief = weigh(forged, Some(deployed()));
        assert_eq!((belief.state.holds.len(), belief.state.good), (1, deployed().state.good));
    }

    #[test]
    fn a_generation_that_jumps_is_not_counted_on() {
        for (generation, before, counted) in [
            (u64::MAX, Some(deployed()), 4),
            (4 + Budget::STANDARD.generation_jump + 1, Some(deployed()), 4),
            (u64::MAX, None, 0),
            (Budget::STANDARD.generation + 1, None, 0),
        ] {
            let mut forged = deployed();
            forged.deployment = Some(deployment("a", generation, Some("applied")));
            let belief = weigh(forged, before.clone());
            assert_eq!(refused(&belief), [(Claim::Deployment, Reason::Generation)], "{generation}");
            assert_eq!(belief.generation, counted, "{generation}");
            assert_eq!(belief.deployment, before.and_then(|before| before.deployment));
        }
        let mut near = deployed();
        near.deployment = Some(deployment("b", 400, Some("applied")));
        assert_eq!(weigh(near, Some(deployed())).generation, 400);
    }

    #[test]
    fn a_deployment_of_another_environment_is_none_of_this_one() {
        let mut forged = deployed();
        let mut other = deployment("a", 5, None);
        other.environment = "other".parse().expect("a name");
        forged.deployment = Some(other);
        let belief = weigh(forged, Some(deployed()));
        assert_eq!(refused(&belief), [(Claim::Intent, Reason::OtherEnvironment)]);
        assert_eq!(belief.deployment, deployed().deployment);
    }
}
