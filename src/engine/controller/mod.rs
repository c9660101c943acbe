//! The loop: follows the repository, and keeps every environment equal to it.
//!
//! Owns the loop's state. Keeps true: one `select!`; handling an event is `decide`, a plain function; a
//! trigger only wakes the loop, which looks again; an environment has one pass at a time, and
//! environments do not wait for one another. What a pass does is `sync/environment.rs`.

pub mod checks;
pub mod pending;
pub mod sources;
pub mod targets;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rand::RngExt as _;
use thiserror::Error;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

use crate::{
    decide::{self, Effect, Event, Policy, State},
    declare::{Declaration, Overrides},
    engine::{
        Watch,
        execute::cancellation::{Halt, Halting},
        history::{
            log::{self, Newest},
            store::{HistoryStore, Signing, StoreError},
        },
        observe::connections::Roster,
        prepare::{Prepared, attempts::Attempts},
        sync::{deploy::ControllerId, environment, error::SyncError},
    },
    github::GitHub,
    host::{Host, waits},
    model::{
        belief::Refusal,
        name::{EnvironmentName, InstanceName},
        outcome::Conclusion,
        plan::Commits,
    },
    release::{BuildCache, Fetcher, Unfetched},
    report::{
        self,
        status::{self, ErrorOf, StatusView},
    },
};
use sources::{Asked, Moving};
use targets::{Targets, Unresolved};

/// How long what runs is waited for when the loop ends. Hosts go on by themselves.
const FAREWELL: Duration = Duration::from_secs(8);
/// The loop shows that it lives at least so often.
const PULSE: Duration = Duration::from_secs(2);

/// How what is wrong with the repository begins, for people.
const TROUBLE: &str = "the repository: ";

/// Why the loop ended without being told to.
#[derive(Debug, Error)]
pub enum LoopError {
    #[error("a pass ended in a panic, which is a fault of evenkeel; the next start looks at everything again")]
    Panicked(#[source] tokio::task::JoinError),
    #[error("this loop was started before")]
    Twice,
}

/// Outcomes that could not be recorded yet, with what they made live.
type Unrecorded = BTreeMap<EnvironmentName, Vec<(Conclusion, Arc<Prepared>)>>;

/// What the loop needs to run.
pub struct Controller<H, L> {
    pub store: L,
    pub roster: Roster<H>,
    pub overrides: Overrides,
    /// The fleet folder below the repository's root.
    pub folder: String,
    pub policy: Policy,
    pub identity: ControllerId,
    pub watch: Box<Watch>,
    /// Numbers between 0 and 1 that spread what many controllers do at once.
    pub jitter: Box<dyn Fn() -> f64 + Send + Sync>,
    /// The way to sources that lie elsewhere than in the repository.
    pub fetcher: Arc<dyn Fetcher>,
    /// Where builds are run and kept; without it none is.
    pub build_cache: Option<Arc<BuildCache>>,
    /// Which commits are being prepared.
    pub attempts: Arc<Attempts>,
    /// Where checks are asked for, when it is signed in to.
    pub github: Option<Arc<GitHub>>,
    /// Why GitHub cannot be asked or told anything, where it takes a person to mend that. `status` shows it.
    pub shut_out: Mutex<Option<String>>,
    /// Which checks are green, by commit.
    pub(in crate::engine) green: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// What `status` answers, by environment.
    pub status: Arc<Mutex<BTreeMap<EnvironmentName, StatusView>>>,
    /// Goes up with each turn of the loop: who watches it sees that it lives.
    pub pulse: Arc<AtomicU64>,
    /// What the default branch's last commit declares.
    pub(in crate::engine) declaration: Mutex<Option<(String, Arc<Declaration>)>>,
    /// The last commits of each environment, prepared, the latest first: a pass that looks for drift starts
    /// from there.
    pub(in crate::engine) prepared: Mutex<BTreeMap<EnvironmentName, Vec<Arc<Prepared>>>>,
    pub(in crate::engine) moving: Mutex<Moving>,
    pub(in crate::engine) asked: Asked,
    pub(in crate::engine) unrecorded: Mutex<Unrecorded>,
    /// Why the repository does not say what is wanted; none while it does.
    pub(in crate::engine) trouble: Mutex<Option<String>>,
    /// The same of single environments.
    pub(in crate::engine) untold: Mutex<BTreeMap<EnvironmentName, String>>,
    /// What of each history does not count, as it was told last.
    refused: Mutex<BTreeMap<EnvironmentName, Vec<Refusal>>>,
    /// Whether what is written counts, as it was fetched last.
    signing: Mutex<Signing>,
    /// When releases are read again next.
    pub(in crate::engine) rereads: Mutex<BTreeMap<InstanceName, Instant>>,
    turns: Mutex<BTreeMap<EnvironmentName, u64>>,
    /// How what runs in each environment is told to stop.
    halts: Mutex<BTreeMap<EnvironmentName, watch::Sender<Halt>>>,
    hurries: mpsc::Sender<(EnvironmentName, bool)>,
    hurried: Mutex<Option<mpsc::Receiver<(EnvironmentName, bool)>>>,
}

impl<H: Host, L: HistoryStore> Controller<H, L> {
    pub fn new(
        store: L,
        roster: Roster<H>,
        overrides: Overrides,
        folder: String,
        policy: Policy,
        identity: ControllerId,
        watch: Box<Watch>,
    ) -> Self {
        let (hurries, hurried) = mpsc::channel(16);
        let hurried = Mutex::new(Some(hurried));
        let (status, pulse, prepared, moving, unrecorded, trouble) = Default::default();
        let (rereads, turns, halts) = Default::default();
        Self {
            store,
            roster,
            overrides,
            folder,
            policy,
            identity,
            watch,
            jitter: Box::new(|| rand::rng().random()),
            fetcher: Arc::new(Unfetched),
            build_cache: None,
            attempts: Arc::default(),
            github: None,
            shut_out: Mutex::default(),
            green: Mutex::default(),
            status,
            pulse,
            declaration: Mutex::default(),
            prepared,
            moving,
            asked: Asked::default(),
            unrecorded,
            trouble,
            untold: Mutex::default(),
            refused: Mutex::default(),
            signing: Mutex::new(Signing::Listed),
            rereads,
            turns,
            halts,
            hurries,
            hurried,
        }
    }

    /// Runs until `stop`. `pokes` wake it. What runs on hosts then is left to them, and the next start
    /// goes on from there. When it is dropped, all that it does ends with it.
    pub async fn run(
        self: Arc<Self>,
        stop: CancellationToken,
        mut triggers: mpsc::Receiver<()>,
    ) -> Result<(), LoopError> {
        let Some(mut hurried) = self.hurried.lock().take() else { return Err(LoopError::Twice) };
        let began = Instant::now();
        let now = || began.elapsed().as_millis() as u64;
        let mut state = State::default();
        let (sender, mut events) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        let mut event = Event::Tick;
        loop {
            self.pulse.fetch_add(1, Ordering::Relaxed);
            let effects = decide::decide(&mut state, self.policy, event, now(), (self.jitter)());
            for effect in effects {
                let (controller, sender) = (self.clone(), sender.clone());
                tasks.spawn(async move {
                    let event = controller.carry_out(effect).await;
                    // The loop has ended when nobody receives.
                    let _ = sender.send(event).await;
                });
            }
            let pause = Duration::from_millis(decide::next_due(&state, self.policy).saturating_sub(now()).max(1));
            while let Some(ended) = tasks.try_join_next() {
                // Nobody would ever hear that it has ended; a new start finds out what it left behind.
                ended.map_err(LoopError::Panicked)?;
            }
            event = tokio::select! {
                // Each branch is cancel-safe: a token, a timer, and channels that lose nothing.
                biased; // so that the same events make the same story
                () = stop.cancelled() => break,
                Some(()) = triggers.recv() => Event::Triggered,
                Some((environment, take_over)) = hurried.recv() => Event::RetryRequested { environment, take_over },
                Some(event) = events.recv() => event,
                () = tokio::time::sleep(pause.min(PULSE)) => Event::Tick,
            };
        }
        info!("stopping; what runs on hosts goes on there, and the next start takes it up");
        self.halts.lock().values().for_each(|halt| _ = halt.send_replace(Halt::Detach));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            warn!("ended while something still ran; the next start looks at it again");
        }
        Ok(())
    }

    async fn carry_out(&self, effect: Effect) -> Event {
        match effect {
            Effect::Fetch => match self.fetch().await {
                Ok(wanted) => Event::Fetched(wanted),
                Err(failure) => {
                    warn!("{TROUBLE}{}", report::chain(&failure));
                    self.note_trouble();
                    Event::FetchFailed
                }
            },
            Effect::Pass { environment, goal, unreachable, backed_off } => {
                let span = info_span!("pass", %environment);
                let passing = Box::pin(environment::round(self, &environment, &goal, &unreachable, &backed_off));
                let result = passing.instrument(span).await;
                Event::Ended { environment, goal, result: Box::new(result) }
            }
            Effect::Ask { environment, instance } => {
                let answered = environment::ask(self, &environment, &instance).await;
                Event::Asked { environment, instance, answered }
            }
        }
    }

    /// What the repository wants of each environment. While that cannot be told, and nothing is known yet,
    /// it is what it said last, or what was deployed last: so drift is looked for all the same.
    async fn fetch(&self) -> Result<BTreeMap<EnvironmentName, decide::Target>, SyncError> {
        let began = Instant::now();
        let fetched = waits::said("", || "the repository".to_owned(), self.store.fetch()).await;
        debug!(fetch_ms = began.elapsed().as_millis() as u64, "the repository was asked");
        if let Err(error) = self.note_signing().await {
            warn!("the keys that may write the history: {}", report::chain(&error));
        }
        let wanted = match fetched {
            Ok(fetched) => {
                targets::tell_of_history(&fetched);
                targets::wanted(self, &fetched).await
            }
            Err(error) => Err(error.into()),
        };
        let failure = match wanted {
            Ok(wants) => {
                *self.trouble.lock() = None;
                self.note_untold(&wants);
                self.let_go(&self.roster);
                self.note_what_waits(&wants.known).await;
                return Ok(wants.known);
            }
            Err(failure) => failure,
        };
        let why = format!("{TROUBLE}{}", report::chain(&failure));
        *self.trouble.lock() = Some(why.clone());
        if !self.status.lock().is_empty() {
            return Err(failure);
        }
        let known = match self.store.last_fetched().await? {
            Some(fetched) => targets::wanted(self, &fetched).await.or_else(|failure| match failure {
                SyncError::Invalid(_) => Ok(Targets::default()),
                failure => Err(failure),
            })?,
            None => Targets::default(),
        };
        self.note_untold(&known);
        let known = if known.known.is_empty() { targets::last_good(self).await? } else { known.known };
        if known.is_empty() {
            return Err(failure);
        }
        warn!("{why}; going on with what is known");
        Ok(known)
    }

    /// Ends the connections to what belongs to an environment that is declared no more.
    pub(crate) fn let_go(&self, roster: &Roster<H>) {
        let declared = self.declaration.lock().as_ref().map(|(_, declaration)| declaration.clone());
        if let Some(declaration) = declared {
            roster.only(&declaration.environments());
        }
    }

    /// What waits for a deployment that still goes on: to know what is wanted takes a while.
    async fn note_what_waits(&self, wanted: &BTreeMap<EnvironmentName, decide::Target>) {
        for (environment, wanted) in wanted.iter().filter(|(_, wanted)| wanted.history.open.is_some()) {
            match self.history_snapshot(environment).await {
                Ok(history) => {
                    let waiting = pending::after(history.open.as_ref(), &wanted.commits, &history.state);
                    pending::note(&self.status, environment, waiting);
                }
                Err(error) => warn!(%environment, "the history: {}", report::chain(&error)),
            }
        }
    }

    /// Why an environment's newest commits are not followed stands in its status until they are. Where nothing of it
    /// is known to go on with nobody looks at its hosts either.
    fn note_untold(&self, wants: &Targets) {
        let of = |(name, untold): (&EnvironmentName, &Unresolved)| (name.clone(), format!("{TROUBLE}{}", untold.why));
        let now: BTreeMap<_, _> = wants.untold.iter().map(of).collect();
        let before = std::mem::replace(&mut *self.untold.lock(), now.clone());
        let mut status = self.status.lock();
        for (name, why) in before {
            if let Some(view) = status.get_mut(&name) {
                view.last_error.take_if(|error| *error == why);
            }
        }
        for (name, why) in now {
            let nothing = || crate::engine::observe::status::nothing_known(&name, &Commits::default(), &self.identity);
            let view = status.entry(name.clone()).or_insert_with(nothing);
            (view.last_error, view.error_of) = (Some(why), ErrorOf::Repository);
            if !wants.known.contains_key(&name) {
                (view.sync, view.health) = (status::Sync::Unknown, status::Health::Unknown);
            }
        }
    }

    /// The number of the pass that the environment has now.
    pub(in crate::engine) fn turn(&self, environment: &EnvironmentName) -> u64 {
        let mut turns = self.turns.lock();
        let turn = turns.entry(environment.clone()).or_default();
        *turn += 1;
        *turn
    }

    /// How what runs in the environment is told to stop; a new one for each deployment.
    pub(in crate::engine) fn halting(&self, environment: &EnvironmentName) -> Halting {
        let (sender, receiver) = watch::channel(Halt::GoOn);
        self.halts.lock().insert(environment.clone(), sender);
        Halting::new(receiver)
    }

    /// Tells what runs in the environment to stop and to be undone. False where nothing runs.
    pub fn cancel(&self, environment: &EnvironmentName, by: &str, reason: &str) -> bool {
        let halts = self.halts.lock();
        let Some(halt) = halts.get(environment).filter(|halt| halt.receiver_count() > 0) else { return false };
        halt.send_replace(Halt::Cancel { by: by.to_owned(), reason: reason.to_owned() });
        true
    }

    /// What was put off in the environment is tried now, and the repository is asked. `take_over`: what
    /// another controller left open is ended, too.
    pub async fn hurry(&self, environment: &EnvironmentName, take_over: bool) {
        // The loop has ended when nobody receives.
        let _ = self.hurries.send((environment.clone(), take_over)).await;
    }

    /// What the history says of an environment.
    pub(in crate::engine) async fn history_snapshot(
        &self,
        environment: &EnvironmentName,
    ) -> Result<decide::HistorySnapshot, StoreError> {
        if let (false, Signing::NotListed(line)) = (self.policy.observe_only, &*self.signing.lock()) {
            // What cannot be recorded is not begun.
            return Err(StoreError::NoWriter { line: line.clone() });
        }
        let newest = log::newest(&self.store, environment).await?;
        self.tell_of_refusals(environment, &newest);
        let open = newest.open().map(|open| decide::Open {
            generation: open.generation,
            commits: open.commits.clone(),
            started: open.taken_over.as_ref().map_or(&open.started, |taken_over| &taken_over.at).clone(),
            ours: open.controller_id == self.identity.id,
            counts: open.commits.environment.is_some(),
            limit: open.limit_ms,
        });
        let led_elsewhere = newest.deployment.as_ref().is_some_and(|newest| newest.controller_id != self.identity.id);
        Ok(decide::HistorySnapshot { state: newest.state, open, led_elsewhere, doubted: newest.doubt.is_some() })
    }

    /// Whether what is written counts, as the default branch says now; and in the log, once, what would be safer.
    async fn note_signing(&self) -> Result<(), StoreError> {
        let signing = self.store.signing().await?;
        let mut noted = self.signing.lock();
        if *noted != signing {
            signing.advice().iter().for_each(|advice| warn!("{advice}"));
            *noted = signing;
        }
        Ok(())
    }

    /// What would make every history safer.
    pub(in crate::engine) fn advice(&self) -> Vec<String> {
        self.signing.lock().advice()
    }

    /// Says what of a history does not count: in the log once, in the status as long as it is so.
    fn tell_of_refusals(&self, environment: &EnvironmentName, newest: &Newest) {
        if let Some(view) = self.status.lock().get_mut(environment) {
            view.refused.clone_from(&newest.refusals);
        }
        let mut refused = self.refused.lock();
        if refused.get(environment).is_none_or(|before| *before != newest.refusals) {
            for refusal in &newest.refusals {
                warn!(%environment, "{}", report::refusal::line(environment, refusal));
            }
            refused.insert(environment.clone(), newest.refusals.clone());
        }
    }

    fn note_trouble(&self) {
        let trouble = self.trouble.lock().clone();
        for view in self.status.lock().values_mut() {
            (view.last_error, view.error_of) = (trouble.clone(), ErrorOf::Repository);
        }
    }
}
