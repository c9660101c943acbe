//! What the loop knows, and what of it others may see.
//!
//! Keeps true: one task changes it. Never does: I/O but for the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    Halts,
    handle::Message,
    targets::{FetchResult, Resolver, Unresolved},
};
use crate::{
    decide::{Event, Goal},
    engine::{
        events::Events,
        execute::cancellation::Halt,
        history::{controller_id::ControllerId, store::Signing},
        observe::status,
        sync::{
            memory::SyncMemory,
            pursue::{Pursued, StatusChange},
        },
    },
    model::{
        belief::Refusal,
        environment_state::Barred,
        event::{Detail, EventKind},
        name::EnvironmentName,
        plan::Commits,
        status::{ErrorOf, Health, StatusView, Sync},
    },
    report,
};

/// How what is wrong with the repository begins, for people.
const TROUBLE: &str = "the repository: ";

/// What `status` answers, by environment.
pub type Statuses = BTreeMap<EnvironmentName, StatusView>;

/// What others may see of the loop.
#[derive(Debug, Clone, Default)]
pub struct Published {
    pub statuses: Arc<Statuses>,
    /// The environments that the default branch declares; none while that is not known.
    pub declared: Option<Arc<BTreeSet<EnvironmentName>>>,
}

/// What the loop knows besides what it decides from.
pub(super) struct ControllerState {
    identity: ControllerId,
    events: Events,
    observe_only: bool,
    published: watch::Sender<Published>,
    /// Lent while the repository is asked.
    resolver: Resolver,
    /// Lent while an environment's sync runs.
    memories: BTreeMap<EnvironmentName, SyncMemory>,
    halts: Halts,
    /// Why the repository does not say what is wanted; none while it does.
    trouble: Option<String>,
    /// The same of single environments.
    unresolved: BTreeMap<EnvironmentName, String>,
    /// What of each history does not count, as it was told last.
    refused: BTreeMap<EnvironmentName, Vec<Refusal>>,
    /// Whether what is written counts, as it was fetched last.
    signing: Signing,
}

impl ControllerState {
    pub fn new(
        identity: ControllerId,
        events: Events,
        observe_only: bool,
        published: watch::Sender<Published>,
    ) -> Self {
        Self {
            identity,
            events,
            observe_only,
            published,
            resolver: Resolver::default(),
            memories: BTreeMap::new(),
            halts: Halts::new(),
            trouble: None,
            unresolved: BTreeMap::new(),
            refused: BTreeMap::new(),
            signing: Signing::Listed,
        }
    }

    pub fn lend_resolver(&mut self) -> Resolver {
        std::mem::take(&mut self.resolver)
    }

    /// What a sync of the environment remembers, and how it is told to stop.
    pub fn lend_memory(&mut self, environment: &EnvironmentName) -> (SyncMemory, watch::Sender<Halt>) {
        let mut memory = self.memories.remove(environment).unwrap_or_default();
        memory.turn += 1;
        let halt = watch::Sender::new(Halt::GoOn);
        self.halts.insert(environment.clone(), halt.clone());
        (memory, halt)
    }

    /// Whether no environment was ever looked at.
    pub fn knows_nothing(&self) -> bool {
        self.published.borrow().statuses.is_empty()
    }

    /// What runs is left to the hosts.
    pub fn detach(&self) {
        self.halts.values().for_each(|halt| drop(halt.send_replace(Halt::Detach)));
    }

    /// Takes the message in. The answer is what is to be decided upon.
    pub fn hear(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Event(event) => Some(event),
            Message::Fetched { fetched, resolver } => {
                self.resolver = *resolver;
                Some(self.fetched(*fetched))
            }
            Message::Status { environment, change } => {
                self.change(&environment, change);
                None
            }
            Message::Pursued { environment, goal, pursued } => Some(self.pursued(environment, goal, *pursued)),
            Message::Cancel { environment, by, reason, answer } => {
                let halt = self.halts.get(&environment).filter(|halt| halt.receiver_count() > 0);
                let runs = halt.map(|halt| halt.send_replace(Halt::Cancel { by, reason })).is_some();
                // Who asked may be gone.
                let _ = answer.send(runs);
                None
            }
        }
    }

    /// Publishes the change, and then tells of each environment whose status is another one.
    fn publish(&self, change: impl FnOnce(&mut Statuses)) {
        let before = self.published.borrow().statuses.clone();
        self.published.send_modify(|published| change(Arc::make_mut(&mut published.statuses)));
        let after = self.published.borrow().statuses.clone();
        for (environment, view) in after.iter() {
            if before.get(environment).is_none_or(|before| !before.says_the_same(view)) {
                let (commit, waits_on) = (view.commit.clone(), view.waiting.as_ref().map(|waiting| waiting.on));
                let (sync, health) = (view.sync, view.health);
                let changed = EventKind::EnvironmentChanged { commit, sync, health, waits_on };
                let scope = self.events.of(environment);
                let generation = view.deployed.as_ref().map(|deployed| deployed.generation);
                generation.map_or(scope, |generation| scope.deployment(generation)).emit(changed);
            }
        }
    }

    fn change(&mut self, environment: &EnvironmentName, change: StatusChange) {
        let (advice, commits) = (self.signing.advice(), Commits::default());
        self.publish(|statuses| {
            let nothing = || status::nothing_known(environment, &commits, &self.identity);
            let view = statuses.entry(environment.clone()).or_insert_with(nothing);
            match change {
                StatusChange::Looked(mut seen) => {
                    // What went wrong stands until this sync has ended.
                    (seen.last_error, seen.error_of) = (view.last_error.take(), view.error_of);
                    seen.advice = advice;
                    *view = *seen;
                }
                StatusChange::Progressing(changing) => status::progressing(view, &changing),
                StatusChange::Waiting(waiting) => view.waiting = Some(waiting),
            }
        });
    }

    /// What the repository wants of each environment.
    fn fetched(&mut self, fetched: FetchResult) -> Event {
        match fetched.signing {
            Ok(signing) if signing != self.signing => {
                for advice in signing.advice() {
                    self.events.emit(EventKind::HistoryAdvice { advice: advice.into() });
                }
                self.signing = signing;
            }
            Ok(_) => {}
            Err(error) => {
                let why = Detail::of(format!("the keys that may write it: {}", report::chain(&error)));
                self.events.emit(EventKind::HistoryUnread { why });
            }
        }
        fetched.refusals.into_iter().for_each(|(environment, refusals)| self.tell_of_refusals(&environment, refusals));
        if let Some(declared) = fetched.declared {
            self.published.send_modify(|published| published.declared = Some(Arc::new(declared)));
        }
        self.trouble = fetched.trouble.as_ref().map(|failure| format!("{TROUBLE}{}", report::chain(failure)));
        if let Some(targets) = &fetched.targets {
            self.note_unresolved(&targets.unresolved, |name| targets.known.contains_key(name));
        }
        for (environment, waiting) in fetched.waiting {
            self.publish(|statuses| {
                if let Some(view) = statuses.get_mut(&environment) {
                    view.waiting = Some(waiting);
                }
            });
        }
        let known = fetched.targets.map(|targets| targets.known);
        match (known, &self.trouble) {
            (Some(known), None) => Event::Fetched(known),
            (Some(known), Some(why)) if !known.is_empty() => {
                self.events.emit(EventKind::RepositoryUnread { goes_on: true, why: Detail::of(why) });
                Event::Fetched(known)
            }
            (_, why) => {
                if let Some(why) = why {
                    self.events.emit(EventKind::RepositoryUnread { goes_on: false, why: Detail::of(why) });
                }
                let trouble = self.trouble.clone();
                self.publish(|statuses| {
                    for view in statuses.values_mut() {
                        (view.last_error, view.error_of) = (trouble.clone(), ErrorOf::Repository);
                    }
                });
                Event::FetchFailed
            }
        }
    }

    /// Why an environment's newest commits are not followed stands in its status until they are. Where nothing of it
    /// is known to go on with nobody looks at its hosts either.
    fn note_unresolved(
        &mut self,
        unresolved: &BTreeMap<EnvironmentName, Unresolved>,
        is_known: impl Fn(&EnvironmentName) -> bool,
    ) {
        let of = |(name, unresolved): (&EnvironmentName, &Unresolved)| {
            (name.clone(), format!("{TROUBLE}{}", unresolved.why))
        };
        let now: BTreeMap<_, _> = unresolved.iter().map(of).collect();
        let before = std::mem::replace(&mut self.unresolved, now.clone());
        self.publish(|statuses| {
            for (name, why) in before {
                if let Some(view) = statuses.get_mut(&name) {
                    view.last_error.take_if(|error| *error == why);
                }
            }
            for (name, why) in now {
                let nothing = || status::nothing_known(&name, &Commits::default(), &self.identity);
                let view = statuses.entry(name.clone()).or_insert_with(nothing);
                (view.last_error, view.error_of) = (Some(why), ErrorOf::Repository);
                if !is_known(&name) {
                    (view.sync, view.health) = (Sync::Unknown, Health::Unknown);
                }
            }
        });
    }

    /// A sync has ended.
    fn pursued(&mut self, environment: EnvironmentName, goal: Goal, pursued: Pursued) -> Event {
        let Pursued { mut result, error, refusals, memory } = pursued;
        self.memories.insert(environment.clone(), memory);
        if let (false, Signing::NotListed(_)) = (self.observe_only, &self.signing) {
            // What cannot be recorded is not begun.
            result.history = None;
        }
        refusals.into_iter().for_each(|refusals| self.tell_of_refusals(&environment, refusals));
        self.note_error(&environment, &goal, error);
        Event::Ended { environment, goal, result: Box::new(result) }
    }

    /// While commits are put off, what stands against them is still what went wrong last.
    fn note_error(&mut self, environment: &EnvironmentName, goal: &Goal, why: Option<String>) {
        let put_off =
            matches!(goal, Goal::Observe { why: Barred::Later, .. } | Goal::Repair { why: Barred::Later, .. });
        let trouble = self.trouble.clone().or_else(|| self.unresolved.get(environment).cloned());
        self.publish(|statuses| {
            let nothing = || status::nothing_known(environment, goal.commits(), &self.identity);
            let view = statuses.entry(environment.clone()).or_insert_with(nothing);
            let before = view.last_error.take().filter(|_| put_off && view.error_of == ErrorOf::Pass);
            let of_a_sync = why.or(before);
            view.error_of = if of_a_sync.is_none() { ErrorOf::Repository } else { ErrorOf::Pass };
            view.last_error = of_a_sync.or(trouble);
        });
    }

    /// Says what of a history does not count: in the log once, in the status as long as it is so.
    fn tell_of_refusals(&mut self, environment: &EnvironmentName, refusals: Vec<Refusal>) {
        self.publish(|statuses| {
            if let Some(view) = statuses.get_mut(environment) {
                view.refused.clone_from(&refusals);
            }
        });
        if self.refused.get(environment).is_none_or(|before| *before != refusals) {
            for refusal in &refusals {
                self.events.of(environment).emit(EventKind::HistoryRefused { refusal: refusal.clone() });
            }
            self.refused.insert(environment.clone(), refusals);
        }
    }
}
