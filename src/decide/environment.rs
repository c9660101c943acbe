//! One environment in the loop: what runs, what is due, and who is not asked for a while.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Effect, End, Millis, Policy, SyncResult, Target,
    goal::{Circumstances, Goal, goal},
    health::HealthMemory,
    waits::{Wait, spread},
};
use crate::model::{
    desired::Resource,
    name::{EnvironmentName, InstanceName},
    plan::Commits,
    repair::ReplicaUnit,
};

/// So many repairs of one resource, each soon after the one before, and it counts as one that does not hold.
const REPAIRS_THAT_DO_NOT_HOLD: u32 = 3;
/// Drift that a controller has not repaired within so many looks it does not repair.
const NEGLECTED_AFTER: u64 = 4;
/// A deployment of commits that do not count may be a person's, who tries a branch with `apply`, or a forgery that says
/// of itself how long it takes: for so long it is left alone, then it is fenced off and undone.
const LEFT_ALONE: Millis = 120_000;
/// Repairs further apart than so many looks have nothing to do with one another.
const SOON_AFTER: u64 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    target: Target,
    /// When that was told.
    told_at: Millis,
    running: bool,
    /// An instance came back while a sync ran that left it out.
    again: bool,
    /// What the last pass was for.
    tried: Option<Goal>,
    /// When to look again, be it for drift or after a failure.
    due: Millis,
    /// Passes that failed in a row, whatever they were for.
    trouble: Wait,
    /// Commits that failed without being quarantined.
    failed: Option<(Commits, Wait)>,
    /// The deployment that is open, and when it counts as abandoned by who began it.
    open: Option<(u64, String, Millis)>,
    /// When the difference that is left to another controller counts as neglected by it.
    neglected_at: Option<Millis>,
    unreachable: BTreeMap<InstanceName, Unreachable>,
    repairs: BTreeMap<(InstanceName, Resource), Repairs>,
    health: HealthMemory,
    /// Replicas that the last sync was told to restart.
    told_due: BTreeSet<ReplicaUnit>,
}

/// An instance that did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unreachable {
    why: String,
    wait: Wait,
    /// It is being asked.
    asking: bool,
    /// It answered again; the next sync shows whether it can be looked at.
    answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Repairs {
    count: u32,
    last: Millis,
    wait: Wait,
}

impl Environment {
    pub fn new(target: Target, now: Millis) -> Self {
        let mut new = Self {
            target: target.clone(),
            told_at: now,
            running: false,
            again: false,
            tried: None,
            due: now,
            trouble: Wait::default(),
            failed: None,
            open: None,
            neglected_at: None,
            unreachable: BTreeMap::new(),
            repairs: BTreeMap::new(),
            health: HealthMemory::default(),
            told_due: BTreeSet::new(),
        };
        new.wants(target, now);
        new
    }

    pub fn is_running(&self) -> bool {
        self.running
    }

    /// What the repository holds now.
    pub fn wants(&mut self, target: Target, now: Millis) {
        if self.target.commits != target.commits {
            // A new commit is a new chance: it does not wait for the old one's backoff.
            self.failed = None;
            self.trouble = Wait::default();
        }
        self.target = target;
        self.told_at = now;
        self.note_open(now);
    }

    fn note_open(&mut self, now: Millis) {
        self.open = match (&self.target.history.open, self.open.take()) {
            (None, _) => None,
            (Some(open), Some(seen)) if (seen.0, &seen.1) == (open.generation, &open.started) => Some(seen),
            (Some(open), _) => {
                let limit = if open.counts { open.limit } else { open.limit.min(LEFT_ALONE) };
                Some((open.generation, open.started.clone(), now.saturating_add(limit)))
            }
        };
    }

    pub fn ended(&mut self, goal: Goal, result: SyncResult, now: Millis, jitter: f64) {
        self.running = false;
        if let Some(history) = result.history {
            self.target.history = history;
            self.note_open(now);
        }
        let pause = match result.end {
            End::Done => {
                self.trouble = Wait::default();
                if let Goal::Deploy(commits) = &goal
                    && self.failed.as_ref().is_some_and(|(failed, _)| failed == commits)
                {
                    self.failed = None;
                }
                now + spread(self.target.observe_every, jitter)
            }
            End::Overtaken => now + spread(super::SOON, jitter),
            End::Failed => {
                let again = self.trouble.longer(now, jitter);
                if let Goal::Deploy(commits) = &goal {
                    let mut wait = match self.failed.take() {
                        Some((failed, wait)) if failed == *commits => wait,
                        _ => Wait::default(),
                    };
                    wait.longer(now, jitter);
                    self.failed = Some((commits.clone(), wait));
                }
                again
            }
        };
        self.neglected_at = match (result.differs, self.neglected_at) {
            (false, _) => None,
            (true, Some(at)) => Some(at),
            (true, None) => Some(now + self.target.observe_every.saturating_mul(NEGLECTED_AFTER)),
        };
        self.health.see(result.seen, &result.restarted, now);
        let is_new = |replica: &ReplicaUnit| !self.told_due.contains(replica);
        let restarts = result.end == End::Done && self.health.due(now).keys().any(is_new);
        self.due = if std::mem::take(&mut self.again) || restarts { now } else { pause };
        self.tried = Some(goal);
        self.note_absent(result.unreached, now, jitter);
        self.note_repairs(result.repaired, now, jitter);
    }

    fn note_absent(&mut self, unreached: BTreeMap<InstanceName, String>, now: Millis, jitter: f64) {
        // Who was asked and is not among them was looked at.
        self.unreachable.retain(|name, unreachable| !unreachable.answered || unreached.contains_key(name));
        for (name, why) in unreached {
            let unreachable = self.unreachable.entry(name).or_insert_with(|| Unreachable {
                why: why.clone(),
                wait: Wait::default(),
                asking: false,
                answered: true,
            });
            if unreachable.answered {
                unreachable.answered = false;
                unreachable.why = why;
                unreachable.wait.longer(now, jitter);
            }
        }
    }

    fn note_repairs(
        &mut self,
        repaired: std::collections::BTreeSet<(InstanceName, Resource)>,
        now: Millis,
        jitter: f64,
    ) {
        let soon = self.target.observe_every.saturating_mul(SOON_AFTER);
        self.repairs.retain(|_, repairs| now.saturating_sub(repairs.last.max(repairs.wait.until)) < soon);
        for what in repaired {
            let none = Repairs { count: 0, last: now, wait: Wait::default() };
            let repairs = self.repairs.entry(what).or_insert(none);
            repairs.count += 1;
            repairs.last = now;
            if repairs.count >= REPAIRS_THAT_DO_NOT_HOLD {
                // Such a wait begins with a minute or so.
                repairs.wait.failures = repairs.wait.failures.max(5);
                repairs.wait.longer(now, jitter);
            }
        }
    }

    pub fn asked(&mut self, instance: &InstanceName, answered: Result<(), String>, now: Millis, jitter: f64) {
        let Some(unreachable) = self.unreachable.get_mut(instance) else { return };
        unreachable.asking = false;
        match answered {
            Ok(()) => {
                unreachable.answered = true;
                self.due = now;
                self.again = self.running;
            }
            Err(why) => {
                unreachable.why = why;
                unreachable.wait.longer(now, jitter);
            }
        }
    }

    /// Nothing is put off any more.
    pub fn hurry(&mut self, take_over: bool, now: Millis) {
        self.failed = None;
        self.trouble = Wait::default();
        self.repairs.clear();
        self.health.forget();
        self.due = now;
        if let Some((_, _, abandoned_at)) = self.open.as_mut().filter(|_| take_over) {
            // Whoever asks for this knows that the other controller is gone.
            *abandoned_at = now;
        }
        for unreachable in self.unreachable.values_mut() {
            unreachable.wait.until = now;
        }
    }

    fn goal(&self, policy: Policy, now: Millis) -> Goal {
        let circumstances = Circumstances {
            failed: self.failed.as_ref(),
            abandoned_at: self.open.as_ref().map(|(_, _, abandoned_at)| *abandoned_at),
            neglected_at: self.neglected_at,
            closed: self.target.hours.as_ref().and_then(|hours| hours.closed(now.saturating_sub(self.told_at))),
        };
        goal(&self.target, policy, &circumstances, now)
    }

    pub fn due(&mut self, name: &EnvironmentName, policy: Policy, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (instance, unreachable) in &mut self.unreachable {
            if !unreachable.asking && !unreachable.answered && unreachable.wait.until <= now {
                unreachable.asking = true;
                effects.push(Effect::Ask { environment: name.clone(), instance: instance.clone() });
            }
        }
        let goal = self.goal(policy, now);
        if !self.running && (self.tried.as_ref() != Some(&goal) || self.due <= now) {
            self.running = true;
            let unreachable = self.unreachable.iter().filter(|(_, unreachable)| !unreachable.answered);
            let backed_off = self.repairs.iter().filter(|(_, repairs)| repairs.wait.until > now);
            let ailing = self.health.ailing(now);
            self.told_due = ailing.due.keys().cloned().collect();
            effects.push(Effect::Pass {
                environment: name.clone(),
                goal,
                unreachable: unreachable.map(|(name, unreachable)| (name.clone(), unreachable.why.clone())).collect(),
                backed_off: backed_off.map(|(what, repairs)| (what.clone(), repairs.count)).collect(),
                ailing: Box::new(ailing),
            });
        }
        effects
    }

    pub fn next_due(&self, policy: Policy) -> Millis {
        let unreachable = self.unreachable.values().filter(|unreachable| !unreachable.asking && !unreachable.answered);
        let ask = unreachable.map(|unreachable| unreachable.wait.until).min().unwrap_or(Millis::MAX);
        if self.running {
            return ask;
        }
        // The goal changes by itself when a wait is over, or another's deployment counts as abandoned.
        let failed = self.failed.as_ref().map_or(Millis::MAX, |(_, wait)| wait.until);
        let failed = if self.tried == Some(self.goal(policy, failed)) { Millis::MAX } else { failed };
        let abandoned = match (&self.open, &self.target.history.open) {
            (Some((_, _, abandoned_at)), Some(open)) if !open.ours => *abandoned_at,
            _ => Millis::MAX,
        };
        let abandoned = if matches!(self.tried, Some(Goal::Recover { .. })) { Millis::MAX } else { abandoned };
        self.due.min(ask).min(failed).min(abandoned).min(self.opens_or_closes(policy))
    }

    /// When the goal becomes another one by the hour alone.
    fn opens_or_closes(&self, policy: Policy) -> Millis {
        let changes = self.target.hours.iter().flat_map(|hours| hours.changes());
        let mut changes = changes.map(|change| self.told_at.saturating_add(change));
        changes.find(|at| self.tried != Some(self.goal(policy, *at))).unwrap_or(Millis::MAX)
    }
}
