//! What a pull request changes, apart from what would be done without it.
//!
//! Keeps true: every step of the plan is in exactly one of the two.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
};

use super::PlannedEnvironment;
use crate::model::{
    desired::Resource,
    digest::Digest,
    name::InstanceName,
    plan::{Action, Fate, Follows, Plan, Step, count_restarts, fate},
};

/// Where a release's digest would stand, were it known.
const KNOWN_LATER: &str = "<known after the merge>";

/// The steps of one resource on one instance, in order.
pub(super) struct Change<'a> {
    pub instance: &'a InstanceName,
    pub resource: &'a Resource,
    pub steps: Vec<&'a Step>,
}

/// An environment's steps, in the order of the plan.
pub(super) struct Changes<'a> {
    /// Because of the pull request.
    pub own: Vec<Change<'a>>,
    /// What would be done without it too.
    pub before: Vec<Change<'a>>,
    plan: &'a Plan,
    /// Digests that stand for ones which nobody knows before it is merged, whole and as they are shown.
    made_up: BTreeSet<String>,
}

/// Resources by what becomes of them, and restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub created: usize,
    pub updated: usize,
    pub restarted: usize,
    pub removed: usize,
}

impl<'a> Changes<'a> {
    pub fn of(environment: &PlannedEnvironment<'a>) -> Self {
        let known: BTreeMap<&str, &Action> =
            environment.before.steps.iter().map(|step| (step.id.as_str(), &step.action)).collect();
        let is_known = |step: &Step| known.get(step.id.as_str()).is_some_and(|action| **action == step.action);
        let mut own = Vec::new();
        let mut before = Vec::new();
        for group in groups(&environment.plan.steps) {
            let (old, new): (Vec<&Step>, Vec<&Step>) = group.steps.iter().copied().partition(|step| is_known(step));
            // What follows from files is told where the pull request changes some of them.
            let (follows, old): (Vec<&Step>, Vec<&Step>) =
                old.into_iter().partition(|step| !new.is_empty() && follows(&step.action));
            let mine: Vec<&Step> = group
                .steps
                .iter()
                .copied()
                .filter(|step| new.iter().chain(&follows).any(|mine| mine.id == step.id))
                .collect();
            let parts = [(&mut own, mine), (&mut before, old)];
            for (changes, steps) in parts.into_iter().filter(|(_, steps)| !steps.is_empty()) {
                changes.push(Change { instance: group.instance, resource: group.resource, steps });
            }
        }
        let steps = environment.plan.steps.iter().chain(&environment.before.steps);
        let made_up = steps.filter_map(|step| match &step.action {
            Action::StageRelease { release, due: true, .. } => Some(release),
            _ => None,
        });
        let made_up = made_up.flat_map(|release| [release.to_string(), format!("{}…", release.short())]).collect();
        Self { own, before, plan: environment.plan, made_up }
    }

    /// A line of a file without what is made up in it.
    pub fn without_made_up(&self, line: String) -> String {
        self.made_up.iter().fold(line, |line, digest| line.replace(digest.as_str(), KNOWN_LATER))
    }

    /// Whether a live file is as evenkeel wrote it there: then what it holds was declared once, and is no secret of
    /// the host's.
    pub fn was_declared(&self, instance: &InstanceName, path: &str, live: &Digest) -> bool {
        let manifest = self.plan.instances.get(instance).and_then(|instance| instance.manifest_before.as_ref());
        manifest.and_then(|manifest| manifest.files.get(path)) == Some(live)
    }

    /// The instances that the pull request changes.
    pub fn instances(&self) -> BTreeSet<&'a InstanceName> {
        self.own.iter().map(|change| change.instance).collect()
    }

    pub fn own_on(&self, instance: &InstanceName) -> Vec<&Change<'a>> {
        self.own.iter().filter(|change| change.instance == instance).collect()
    }

    /// Everything that will be done.
    pub fn all(&self) -> impl Iterator<Item = &Change<'a>> {
        self.own.iter().chain(&self.before)
    }
}

impl Change<'_> {
    pub fn fate(&self) -> Fate {
        fate(&self.steps)
    }

    /// Restarts of what runs, and starts of what should have run.
    pub fn restarts(&self) -> usize {
        count_restarts(&self.steps)
    }

    pub fn tally(&self) -> Tally {
        let mut tally = Tally { restarted: self.restarts(), ..Tally::default() };
        match self.fate() {
            Fate::Create => tally.created = 1,
            Fate::Update => tally.updated = 1,
            Fate::Delete => tally.removed = 1,
            Fate::Restart => tally.updated = usize::from(tally.restarted == 0),
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.restarted += other.restarted;
        self.removed += other.removed;
    }
}

impl Tally {
    pub fn of<'b, 'a: 'b>(changes: impl IntoIterator<Item = &'b Change<'a>>) -> Self {
        let mut tally = Self::default();
        changes.into_iter().for_each(|change| tally += change.tally());
        tally
    }

    /// `2 created, 1 restarted`.
    pub fn words(self) -> String {
        let numbers = [self.created, self.updated, self.restarted, self.removed];
        let words = ["created", "updated", "restarted", "removed"];
        let said = numbers.into_iter().zip(words).filter(|(number, _)| *number > 0);
        said.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
    }
}

fn groups(steps: &[Step]) -> Vec<Change<'_>> {
    let mut order: Vec<Change<'_>> = Vec::new();
    let mut places: BTreeMap<(&InstanceName, &Resource), usize> = BTreeMap::new();
    for step in steps {
        let place = *places.entry((&step.instance, &step.resource)).or_insert_with(|| {
            order.push(Change { instance: &step.instance, resource: &step.resource, steps: Vec::new() });
            order.len() - 1
        });
        order[place].steps.push(step);
    }
    order
}

/// Whether a step is there because of others.
fn follows(action: &Action) -> bool {
    action.traits().follows != Follows::Itself
}
