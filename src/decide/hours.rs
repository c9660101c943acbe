//! The hours in which deployments may begin.
//!
//! Keeps true: what opens or closes does so by the clock, while nothing else happens; so the newest commit goes when it
//! opens, whatever was missed meanwhile. Never does: standing in the way of what repairs drift, goes back on purpose, or
//! has begun already.

use super::Millis;

/// When deployments may begin, as the calendar says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// The time at which it was asked, in milliseconds since 1970.
    pub asked_at: i64,
    /// From when until when, in milliseconds since 1970; in order.
    pub open: Vec<(i64, i64)>,
}

impl Hours {
    /// None: it is open so long after it was asked. Else until when it is closed, in seconds since 1970.
    pub(super) fn closed(&self, after: Millis) -> Option<Option<i64>> {
        let now = self.asked_at.saturating_add(i64::try_from(after).unwrap_or(i64::MAX));
        let next = self.open.iter().find(|(_, to)| *to > now);
        match next {
            Some((from, _)) if *from <= now => None,
            next => Some(next.map(|(from, _)| from.div_euclid(1_000))),
        }
    }

    /// The moments at which it opens or closes, since it was asked.
    pub(super) fn changes(&self) -> impl Iterator<Item = Millis> {
        let moments = self.open.iter().flat_map(|(from, to)| [*from, *to]);
        moments.filter_map(|at| Millis::try_from(at.saturating_sub(self.asked_at)).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        decide::{
            Effect, End, Event, Goal, HistorySnapshot, Policy, State, SyncResult, Target, decide, next_due,
            sync::{Meant, Permit, permit},
        },
        model::{
            environment_state::{Barred, EnvironmentState, Good, NotPermitted, Pin},
            plan::Commits,
        },
    };

    const HOUR: i64 = 3_600_000;
    const POLICY: Policy = Policy { poll_every: 1_000_000_000, observe_only: false };

    fn commits(id: &str) -> Commits {
        Commits::of_config(Some(id.into()), Some(id.into()))
    }

    fn state() -> EnvironmentState {
        let good = Good { commits: commits("a"), generation: 1, desired: None, builds: Default::default() };
        EnvironmentState { good: Some(good), ..EnvironmentState::default() }
    }

    /// `b` is wanted and `a` is live; asked at noon, it is open from one to two and from three on.
    fn target(state: EnvironmentState) -> Target {
        let hours = Hours { asked_at: 12 * HOUR, open: vec![(13 * HOUR, 14 * HOUR), (15 * HOUR, 400 * HOUR)] };
        Target {
            commits: commits("b"),
            observe_every: 1_000_000_000,
            history: HistorySnapshot { state, ..HistorySnapshot::default() },
            rewinds: false,
            checks: None,
            hours: Some(hours),
        }
    }

    fn goals(effects: &[Effect]) -> Vec<Goal> {
        let goal = |effect: &Effect| match effect {
            Effect::Pass { goal, .. } => Some(goal.clone()),
            Effect::Fetch | Effect::Ask { .. } => None,
        };
        effects.iter().filter_map(goal).collect()
    }

    fn repair(until: i64) -> Goal {
        let why = Barred::Closed { until: Some(until * HOUR / 1_000) };
        Goal::Repair { good: commits("a"), instead_of: commits("b"), why }
    }

    #[test]
    fn the_newest_commit_goes_when_it_opens_and_drift_is_repaired_meanwhile() {
        let environment: crate::model::name::EnvironmentName = "test".parse().expect("a name");
        let (mut loop_state, hour) = (State::default(), HOUR as Millis);
        let fetched = Event::Fetched(BTreeMap::from([(environment.clone(), target(state()))]));
        // The loop's own clock says something else than the wall's.
        let began = 77 * hour;
        let effects = decide(&mut loop_state, POLICY, fetched, began, 0.5);
        assert_eq!(goals(&effects), [repair(13)]);
        let ended = |goal: Goal| Event::Ended {
            environment: environment.clone(),
            goal,
            result: Box::new(SyncResult {
                end: End::Done,
                history: None,
                unreached: BTreeMap::new(),
                differs: false,
                repaired: BTreeSet::new(),
                seen: BTreeMap::new(),
                restarted: BTreeSet::new(),
            }),
        };
        assert_eq!(goals(&decide(&mut loop_state, POLICY, ended(repair(13)), began + 5, 0.5)), []);
        // Nothing else happens: the clock alone wakes the loop.
        assert_eq!(next_due(&loop_state, POLICY), began + hour);
        let effects = decide(&mut loop_state, POLICY, Event::Tick, began + hour, 0.5);
        assert_eq!(goals(&effects), [Goal::Deploy(commits("b"))]);
        // One that began may end; what has to be tried again waits for the next hour that is open.
        let ended = ended(Goal::Deploy(commits("b")));
        let effects = decide(&mut loop_state, POLICY, ended, began + 2 * hour + 5, 0.5);
        assert_eq!(goals(&effects), [repair(15)]);
    }

    #[test]
    fn what_goes_back_or_is_said_to_be_meant_now_does_not_wait() {
        let effects = |state: EnvironmentState| {
            let fetched = Event::Fetched(BTreeMap::from([("test".parse().expect("a name"), target(state))]));
            goals(&decide(&mut State::default(), POLICY, fetched, 0, 0.5))
        };
        let pin = Pin { commits: commits("z"), instead_of: commits("b"), owner: "ada".to_owned() };
        assert_eq!(effects(EnvironmentState { pin: Some(pin), ..state() }), [Goal::Deploy(commits("z"))]);
        let closed = Permit::Refused(NotPermitted::Barred(Barred::Closed { until: Some(13 * HOUR / 1_000) }));
        assert_eq!(permit(&target(state()), Meant::default()), closed);
        assert_eq!(permit(&target(state()), Meant { now: true, ..Meant::default() }), Permit::Deploy);
    }

    #[test]
    fn what_never_opens_again_is_closed_without_an_end() {
        let hours = Hours { asked_at: 0, open: vec![(10, 20)] };
        assert_eq!([0, 10, 19, 20, 21].map(|at| hours.closed(at)), [Some(Some(0)), None, None, Some(None), Some(None)]);
    }
}
