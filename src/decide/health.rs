//! Health between deployments: when a replica that runs and is not healthy is restarted, and when that is given up.
//!
//! Keeps true: what is not known changes nothing; systemd comes first, so only a replica that runs is restarted; no
//! replica is restarted more often within an hour than its rule says. What was seen lasts as long as the controller:
//! the next one counts anew. Never does: asking a replica, or restarting one.

use std::collections::{BTreeMap, BTreeSet};

use super::Millis;
use crate::model::repair::{Ailing, HealthRule, ReplicaUnit, Seen, SeenReplica};

const HOUR: Millis = 3_600_000;

/// What became of each replica that is not as healthy as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HealthMemory(BTreeMap<ReplicaUnit, ReplicaHealth>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ReplicaHealth {
    /// What it was started with: another start begins anew.
    inputs: String,
    /// Checks that failed in a row.
    failed: u32,
    /// Since when it counts as unhealthy, and why.
    unhealthy: Option<(Millis, String)>,
    rule: HealthRule,
    /// When it was restarted for its health, within the last hour.
    restarts: Vec<Millis>,
    /// It was restarted as often as it may be, and is unhealthy still.
    given_up: bool,
}

impl ReplicaHealth {
    fn see(&mut self, seen: &SeenReplica, now: Millis) {
        self.rule = seen.rule;
        self.restarts.retain(|at| now.saturating_sub(*at) < HOUR);
        match &seen.seen {
            Seen::Unknown => {}
            Seen::Healthy => (self.failed, self.unhealthy, self.given_up) = (0, None, false),
            Seen::Unhealthy(why) => {
                self.failed += 1;
                if self.failed >= self.rule.failures {
                    let since = self.unhealthy.take().map_or(now, |(since, _)| since);
                    self.unhealthy = Some((since, why.clone()));
                }
            }
        }
        self.given_up |= self.is_overdue(now) && !self.may_restart();
    }

    /// Whether it was restarted less often within the last hour than it may be.
    fn may_restart(&self) -> bool {
        self.restarts.len() < self.rule.repair_limit as usize
    }

    /// Whether it has been unhealthy for as long as it may be.
    fn is_overdue(&self, now: Millis) -> bool {
        let since = self.unhealthy.as_ref().map(|(since, _)| *since);
        since.zip(self.rule.repair_after).is_some_and(|(since, after)| now.saturating_sub(since) >= after)
    }
}

impl HealthMemory {
    /// Takes in what a sync saw, and which replicas it restarted for their health. Replicas of instances that the sync did
    /// not observe keep their state.
    pub fn see(&mut self, seen: BTreeMap<ReplicaUnit, SeenReplica>, restarted: &BTreeSet<ReplicaUnit>, now: Millis) {
        for replica in restarted {
            if let Some(health) = self.0.get_mut(replica) {
                health.restarts.push(now);
                (health.failed, health.unhealthy) = (0, None);
            }
        }
        for (replica, seen) in seen {
            let health = self.0.entry(replica).or_default();
            if health.inputs != seen.inputs {
                *health = ReplicaHealth { inputs: seen.inputs.clone(), ..ReplicaHealth::default() };
            }
            health.see(&seen, now);
        }
        // What was restarted is kept for its limit; of all others there is nothing to remember.
        self.0.retain(|_, health| health.failed > 0 || health.given_up || !health.restarts.is_empty());
    }

    /// A person has every replica tried again.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// What the next sync has to know.
    pub fn ailing(&self, now: Millis) -> Ailing {
        Ailing { failed: self.failed(), due: self.due(now), given_up: self.given_up() }
    }

    /// The replicas to restart, each with why it counts as unhealthy.
    pub fn due(&self, now: Millis) -> BTreeMap<ReplicaUnit, String> {
        let due =
            self.0.iter().filter(|(_, health)| health.is_overdue(now) && !health.given_up && health.may_restart());
        due.filter_map(|(replica, health)| Some((replica.clone(), health.unhealthy.as_ref()?.1.clone()))).collect()
    }

    fn given_up(&self) -> BTreeMap<ReplicaUnit, u32> {
        let given_up = self.0.iter().filter(|(_, health)| health.given_up);
        given_up.map(|(replica, health)| (replica.clone(), health.rule.repair_limit)).collect()
    }

    fn failed(&self) -> BTreeMap<ReplicaUnit, u32> {
        let failed = self.0.iter().filter(|(_, health)| health.failed > 0);
        failed.map(|(replica, health)| (replica.clone(), health.failed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    fn replica() -> ReplicaUnit {
        ("h1".parse().unwrap(), "fleet-a@1.service".to_owned())
    }

    fn rule(failures: u32, repair_limit: u32) -> HealthRule {
        HealthRule { failures, repair_after: Some(2 * MINUTE), repair_limit }
    }

    fn sick() -> Seen {
        Seen::Unhealthy("GET / answered 500".to_owned())
    }

    struct Story {
        memory: HealthMemory,
        rule: HealthRule,
    }

    impl Story {
        fn new(rule: HealthRule) -> Self {
            Self { memory: HealthMemory::default(), rule }
        }

        /// Whether a restart is due after this was seen.
        fn sees(&mut self, minute: Millis, seen: Seen) -> bool {
            self.runs("one", minute, seen)
        }

        fn runs(&mut self, inputs: &str, minute: Millis, seen: Seen) -> bool {
            let seen = SeenReplica { seen, rule: self.rule, inputs: inputs.to_owned() };
            self.memory.see([(replica(), seen)].into(), &BTreeSet::new(), minute * MINUTE);
            self.memory.due(minute * MINUTE).contains_key(&replica())
        }

        fn restarts(&mut self, minute: Millis) {
            self.memory.see(BTreeMap::new(), &[replica()].into(), minute * MINUTE);
        }

        fn is_given_up(&self) -> bool {
            self.memory.given_up().contains_key(&replica())
        }
    }

    #[test]
    fn a_replica_that_stays_unhealthy_is_restarted_once_the_span_is_over() {
        let mut story = Story::new(rule(2, 3));
        let due: Vec<bool> = (0..5).map(|minute| story.sees(minute, sick())).collect();
        assert_eq!(
            due,
            [false, false, false, true, true],
            "the second check makes it unhealthy, two minutes make it due"
        );
        story.restarts(5);
        assert!(!story.sees(6, sick()), "it has as long again");
        assert!(!story.sees(7, Seen::Healthy) && story.memory.failed().is_empty());
        assert!(!story.sees(8, sick()), "checks in a row");
    }

    #[test]
    fn what_is_not_known_neither_counts_nor_mends() {
        let mut story = Story::new(rule(2, 3));
        for minute in 0..50 {
            assert!(!story.sees(minute, Seen::Unknown));
        }
        assert!(!story.sees(50, sick()) && !story.sees(51, Seen::Unknown) && !story.sees(52, sick()));
        assert!(story.sees(54, sick()));
    }

    #[test]
    fn nothing_is_restarted_without_a_declared_span() {
        let mut story = Story::new(HealthRule { repair_after: None, ..rule(1, 3) });
        assert!((0..100).all(|minute| !story.sees(minute, sick())) && !story.is_given_up());
    }

    /// Restarts whenever that is due; how often within these minutes.
    fn restarted(story: &mut Story, minutes: std::ops::Range<Millis>) -> usize {
        let due = minutes.filter(|minute| {
            let due = story.sees(*minute, sick());
            if due {
                story.restarts(*minute);
            }
            due
        });
        due.count()
    }

    #[test]
    fn after_so_many_restarts_within_an_hour_it_is_given_up_until_something_happens() {
        let mut story = Story::new(rule(1, 3));
        assert_eq!(restarted(&mut story, 0..300), 3);
        assert!(story.is_given_up());
        // It is healthy again.
        story.sees(300, Seen::Healthy);
        assert!(!story.is_given_up());
        assert_eq!(restarted(&mut story, 301..400), 3);
        // It is another one by now.
        assert!(!story.runs("two", 400, sick()) && !story.is_given_up());
        assert!(story.runs("two", 402, sick()));
        // A person asks for it.
        assert_eq!(restarted(&mut story, 403..500), 3);
        story.memory.forget();
        assert!(!story.sees(500, sick()) && story.sees(502, sick()));
    }

    #[test]
    fn what_becomes_due_between_two_looks_is_restarted_no_more_often_than_it_may_be() {
        let mut story = Story::new(rule(1, 1));
        story.sees(0, sick());
        assert!(story.memory.due(3 * MINUTE).contains_key(&replica()));
        story.restarts(3);
        story.sees(4, sick());
        assert!(story.memory.due(7 * MINUTE).is_empty());
        story.sees(7, sick());
        assert!(story.is_given_up());
    }

    #[test]
    fn one_that_is_healthy_between_its_restarts_is_restarted_no_more_often() {
        let mut story = Story::new(rule(1, 2));
        let mut at = Vec::new();
        for minute in 0..120 {
            let seen = if minute % 4 == 0 { Seen::Healthy } else { sick() };
            if story.sees(minute, seen) {
                story.restarts(minute);
                at.push(minute);
            }
        }
        assert!(at.len() >= 4 && at.windows(3).all(|three| three[2] - three[0] >= 60), "{at:?}");
    }
}
