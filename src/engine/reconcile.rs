//! The loop: follows the repository, and keeps every environment equal to it.
//!
//! Owns the loop's state. Keeps true: one `select!`; handling an event is `decide`, a plain function; a
//! trigger only wakes the loop, which looks again; an environment has one pass at a time, and
//! environments do not wait for one another.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rand::RngExt as _;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, error, info, info_span, warn};

use super::{
    Prepared, Watch,
    ledger::{Ledger, LedgerError},
    look::look,
    pass::{self, Order, PassError},
    prepare::{PrepareError, prepare},
    roster::Roster,
    survey,
};
use crate::{
    decide::{self, Effect, End, Event, Policy, State, Wanted},
    declare::{self, Overrides},
    host::Host,
    model::{
        finding::any_error,
        name::EnvironmentName,
        outcome::Outcome,
        plan::{Commits, Plan},
    },
    report::{self, status::StatusView},
};

/// What the loop needs to run.
pub struct Reconciler<H> {
    pub ledger: Ledger,
    pub roster: Roster<H>,
    pub overrides: Overrides,
    /// The fleet folder below the repository's root.
    pub folder: String,
    pub policy: Policy,
    pub watch: Box<Watch>,
    /// What `status` answers, by environment.
    pub status: Arc<Mutex<BTreeMap<EnvironmentName, StatusView>>>,
    /// The last commits of each environment, prepared: a pass that looks for drift starts from there.
    prepared: Mutex<BTreeMap<EnvironmentName, Arc<Prepared>>>,
}

/// Why a pass did not end with everything as declared.
#[derive(Debug, Error)]
enum PassFailure {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Pass(#[from] PassError),
    #[error("refused: {0}")]
    Refused(String),
    #[error("the deployment ended {outcome}: {why}")]
    Deployment { outcome: Outcome, why: String },
    #[error("not reached: {0}")]
    Unreached(String),
    #[error("the default branch holds no environment that is complete enough to go on")]
    NoCommits,
}

impl<H: Host> Reconciler<H> {
    pub fn new(
        ledger: Ledger,
        roster: Roster<H>,
        overrides: Overrides,
        folder: String,
        policy: Policy,
        watch: Box<Watch>,
    ) -> Self {
        let (status, prepared) = Default::default();
        Self { ledger, roster, overrides, folder, policy, watch, status, prepared }
    }

    /// Runs until `stop`. `pokes` wake it; a pass that is running then is left to end.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, mut pokes: mpsc::Receiver<()>) {
        let began = Instant::now();
        let now = || began.elapsed().as_millis() as u64;
        let mut state = State::default();
        let (sender, mut events) = mpsc::channel(64);
        let tasks = TaskTracker::new();
        let mut event = Event::Tick;
        loop {
            let effects = decide::decide(&mut state, self.policy, event, now(), rand::rng().random());
            for effect in effects {
                let (reconciler, sender) = (self.clone(), sender.clone());
                tasks.spawn(async move {
                    let event = reconciler.carry_out(effect).await;
                    // The loop has ended when nobody receives.
                    let _ = sender.send(event).await;
                });
            }
            // The far future is cut to a day: the timer takes no more.
            let pause = Duration::from_millis(decide::next_due(&state).saturating_sub(now()).clamp(1, 86_400_000));
            event = tokio::select! {
                // Each branch is cancel-safe: a token, a timer, and channels that lose nothing.
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => Event::Tick,
                Some(()) = pokes.recv() => Event::Poked,
                Some(event) = events.recv() => event,
            };
        }
        // What runs is left to end: its outcome is then recorded.
        info!("stopping; waiting for what is running");
        tasks.close();
        tasks.wait().await;
    }

    async fn carry_out(&self, effect: Effect) -> Event {
        match effect {
            Effect::Fetch => match self.fetch().await {
                Ok(wanted) => Event::Fetched(wanted),
                Err(failure) => {
                    warn!("the repository: {}", report::chain(&failure));
                    self.note_fetch_failure(&report::chain(&failure));
                    Event::FetchFailed
                }
            },
            Effect::Pass { environment, commits } => {
                let span = info_span!("pass", %environment);
                let result = self.pass(&environment, &commits).instrument(span).await;
                if let Err(failure) = &result {
                    let why = report::chain(failure);
                    error!(%environment, "{why}");
                    self.note_error(&environment, &commits, why);
                }
                let end = match result {
                    Ok(()) => End::AsDeclared,
                    Err(PassFailure::Unreached(_)) => End::Unreached,
                    Err(_) => End::Failed,
                };
                Event::Ended { environment, commits, end }
            }
        }
    }

    /// The commits of each environment: the default branch's, and its own branch's.
    async fn fetch(&self) -> Result<BTreeMap<EnvironmentName, Wanted>, PassFailure> {
        let folder = self.folder.clone();
        let (fetched, tree) = self
            .ledger
            .call(move |repository| {
                let fetched = repository.fetch()?;
                let tree = fetched.branches.get(&fetched.default_branch).map(|commit| repository.tree(commit));
                Ok((fetched, tree.transpose()?))
            })
            .await?;
        let (Some(tree), Some(default)) = (tree, fetched.branches.get(&fetched.default_branch)) else {
            return Err(PassFailure::NoCommits);
        };
        let (declaration, findings) = declare::read(&tree, &folder);
        let Some(declaration) = declaration else { return Err(PrepareError::Invalid { findings }.into()) };
        let mut wanted = BTreeMap::new();
        for name in declaration.environments() {
            let Some(branch) = declaration.environment_branch(name) else { continue };
            match fetched.branches.get(branch) {
                Some(commit) => {
                    let commits = Commits { default: Some(default.clone()), environment: Some(commit.clone()) };
                    let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
                    wanted.insert(name.clone(), Wanted { commits, observe_every });
                }
                None => warn!(environment = %name, "its branch {branch} is not in the repository"),
            }
        }
        Ok(wanted)
    }

    async fn pass(&self, environment: &EnvironmentName, commits: &Commits) -> Result<(), PassFailure> {
        let prepared = self.prepared(environment, commits).await?;
        let hosts = self.roster.hosts(&prepared.fleet);
        // Looking again and again at what is as declared is not worth telling.
        let quiet: &Watch = &|_| {};
        let plan = look(&prepared, &hosts, quiet).await;
        let unreached: Vec<String> = plan.unknown_instances().map(|(name, why)| format!("{name}: {why}")).collect();
        if plan.is_refused() {
            let refusals: Vec<String> =
                plan.findings.iter().filter(|f| f.is_error()).map(|finding| finding.message.clone()).collect();
            self.publish(&prepared, &plan).await;
            return Err(PassFailure::Refused(refusals.join("; ")));
        }
        if plan.has_changes() {
            info!("{}", report::plan::headline(&plan));
            let order = Order {
                prepared: &prepared,
                plan: &plan,
                hosts: &hosts,
                ledger: &self.ledger,
                triggered_by: "the reconciler".to_owned(),
                watch: &self.watch,
            };
            let deployment = pass::carry_out(&order).await?;
            pass::warn_of(&order, &deployment);
            let outcome = deployment.outcome.unwrap_or(Outcome::Unchanged);
            info!(generation = deployment.generation, %outcome, ms = deployment.duration_ms, "deployment ended");
            if let Some(failure) = &deployment.failure {
                let why = format!("{}, {}: {}", failure.instance, failure.step, failure.message);
                self.publish(&prepared, &plan).await;
                return Err(PassFailure::Deployment { outcome, why });
            }
            self.publish(&prepared, &look(&prepared, &hosts, quiet).await).await;
        } else {
            self.publish(&prepared, &plan).await;
        }
        if unreached.is_empty() { Ok(()) } else { Err(PassFailure::Unreached(unreached.join("; "))) }
    }

    async fn prepared(&self, environment: &EnvironmentName, commits: &Commits) -> Result<Arc<Prepared>, PassFailure> {
        let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(environment).cloned();
        if let Some(prepared) = known.filter(|prepared| prepared.commits == *commits) {
            return Ok(prepared);
        }
        let (Some(default), Some(branch)) = (commits.default.clone(), commits.environment.clone()) else {
            return Err(PassFailure::NoCommits);
        };
        let folder = self.folder.clone();
        let tree = self.ledger.call(move |repository| repository.composed_tree(&default, &branch, &folder)).await?;
        let prepared = Arc::new(prepare(&tree, &self.folder, environment, &self.overrides, commits.clone())?);
        let mut cache = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(environment.clone(), prepared.clone());
        Ok(prepared)
    }

    /// Puts what is known of the environment where `status` finds it.
    async fn publish(&self, prepared: &Prepared, plan: &Plan) {
        let environment = plan.environment.clone();
        let history = {
            let environment = environment.clone();
            self.ledger.call(move |repository| repository.history(&environment, 1)).await
        };
        let newest = history.inspect_err(|error| warn!("the history: {}", report::chain(error))).ok();
        let deployed = newest.iter().flatten().next().map(|record| &record.deployment);
        let mut view = survey::survey(prepared, plan, &self.roster.hosts(&prepared.fleet), deployed).await;
        view.controller = Some(pass::controller());
        self.status.lock().unwrap_or_else(PoisonError::into_inner).insert(environment, view);
    }

    fn note_error(&self, environment: &EnvironmentName, commits: &Commits, why: String) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let view = status.entry(environment.clone()).or_insert_with(|| survey::nothing_known(environment, commits));
        view.last_error = Some(why);
    }

    fn note_fetch_failure(&self, why: &str) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        for view in status.values_mut() {
            view.last_error = Some(format!("the repository: {why}"));
        }
    }
}

impl PrepareError {
    /// The findings, for those who can show them.
    pub fn findings(&self) -> &[crate::model::finding::Finding] {
        match self {
            PrepareError::Invalid { findings } if any_error(findings) => findings,
            _ => &[],
        }
    }
}
