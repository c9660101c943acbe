//! Pull requests to the config repository: each is planned against the live hosts, and its comment and checks are
//! kept up to date.
//!
//! Owns: which pull requests are planned when, and what is told of them. Keeps true: one plan of a pull request at
//! a time, of its newest commit; a proposal is never trusted (`trust.rs`); what could not be said is said
//! later; GitHub being away is no trouble for the loop.

mod deployed;
mod look;
mod proposal;
mod publish;
mod trust;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::{OnceCell, mpsc},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::{
    ledger::{GitLedger, Ledger as _, LedgerError},
    reconcile::Reconciler,
    rollback::RollbackError,
    roster::Roster,
    round_error::RoundError,
};
use crate::{
    declare,
    git::Fetched,
    github::{GitHub, GitHubError, event::Event},
    host::Host,
    model::pull::{PullRequest, PullState},
    report,
};
use proposal::{Base, Proposal, proposal};

/// Deliveries come in bunches: a push, its checks, its labels.
const BUNCH: Duration = Duration::from_millis(100);
/// So long a bunch may hold up the plan.
const LONGEST_BUNCH: Duration = Duration::from_secs(1);
/// How many are planned at a time.
const AT_ONCE: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

#[derive(Debug, Error)]
pub enum PullError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Round(#[from] RoundError),
    #[error(transparent)]
    Rollback(#[from] RollbackError),
}

/// Follows the pull requests of the config repository.
pub struct PullRequests<H> {
    reconciler: Arc<Reconciler<H, GitLedger>>,
    github: Arc<GitHub>,
    /// Connections of its own: what strangers have hosts look for must not be in the way of the loop.
    roster: Roster<H>,
    poll_every: Duration,
    /// What was last said of each, so that nothing is said twice.
    said: Mutex<BTreeMap<u64, publish::Said>>,
    ourselves: OnceCell<String>,
    page: OnceCell<String>,
}

/// What a plan was made of: another commit on either side makes another plan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    head: String,
    base: String,
    commit: String,
    for_maintainer: bool,
}

/// One pull request, between its plans.
#[derive(Debug, Default)]
struct Known {
    /// When to plan it, and since when that waits.
    due: Option<(Instant, Instant)>,
    running: Option<AbortHandle>,
    made: Option<Made>,
    /// The head and the base branch as last heard of.
    heard: Option<(String, String)>,
    /// Somebody who may write here has asked for its plan.
    asked: bool,
    failures: u32,
}

#[derive(Default)]
struct State {
    known: BTreeMap<u64, Known>,
    /// What the list of open ones had when it was last asked for.
    list: Option<String>,
    open: BTreeSet<u64>,
}

struct Ended {
    number: u64,
    result: Result<Option<Made>, PullError>,
}

impl<H: Host> PullRequests<H> {
    pub fn new(
        reconciler: Arc<Reconciler<H, GitLedger>>,
        github: Arc<GitHub>,
        roster: Roster<H>,
        poll_every: Duration,
    ) -> Self {
        Self {
            reconciler,
            github,
            roster,
            poll_every,
            said: Mutex::default(),
            ourselves: OnceCell::new(),
            page: OnceCell::new(),
        }
    }

    /// Runs until `stop`. `events` are hints: what they tell is asked for again.
    pub async fn run(self: Arc<Self>, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut state = State::default();
        let mut plans = JoinSet::new();
        let mut poll_at = Instant::now();
        loop {
            let due = state.start_what_is_due(&self, &mut plans);
            let next = due.map_or(poll_at, |due| due.min(poll_at));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = plans.join_next() => match ended {
                    Ok(ended) => state.ended(ended),
                    // A newer commit took its place.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => warn!("planning a pull request ended in a panic, which is a fault of evenkeel: {error}"),
                },
                Some(event) = events.recv() => state.heard(&event),
                () = sleep_until(next) => {}
            }
            if poll_at <= Instant::now() {
                poll_at = Instant::now() + self.poll(&mut state).await;
            }
        }
    }

    /// What deliveries would have told: GitHub does not repeat one. Answers when to ask again.
    async fn poll(&self, state: &mut State) -> Duration {
        let open = match self.github.open_pulls(state.list.as_deref()).await {
            Ok(Some(changed)) => {
                state.list = changed.etag;
                changed.now
            }
            Ok(None) => {
                state.bases_moved(&self.branches().await);
                return self.poll_every;
            }
            Err(error) => {
                warn!("the open pull requests are not known: {}", report::chain(&error));
                return self.poll_every.max(FIRST_PAUSE);
            }
        };
        state.open = open.iter().map(|pull| pull.number).collect();
        for pull in open {
            state.is(pull.number, &pull.head, &pull.base);
        }
        state.bases_moved(&self.branches().await);
        self.poll_every
    }

    async fn branches(&self) -> BTreeMap<String, String> {
        match self.reconciler.ledger.last_fetched().await {
            Ok(fetched) => fetched.map(|fetched| fetched.branches).unwrap_or_default(),
            Err(error) => {
                warn!("{}", report::chain(&error));
                BTreeMap::new()
            }
        }
    }

    /// Plans one and tells of it. None where there is nothing to plan.
    async fn plan(&self, number: u64, asked: bool) -> Result<Option<Made>, PullError> {
        let pull = self.github.pull(number).await?;
        if pull.state != PullState::Open {
            self.reconciler.ledger.call(move |repository| repository.forget_pull(number)).await?;
            return Ok(None);
        }
        let fetched = self.reconciler.ledger.fetch().await?;
        let Some(commit) = fetched.branches.get(&pull.base).cloned() else { return Ok(None) };
        let head = self.reconciler.ledger.call(move |repository| repository.fetch_pull(number)).await?;
        let pull = PullRequest { head, ..pull };
        let made = Made { head: pull.head.clone(), base: pull.base.clone(), commit, for_maintainer: asked };
        let is_fork = pull.from.as_deref() != Some(self.github.name().to_string().as_str());
        if is_fork && !asked && !self.plans_forks(&fetched).await? {
            self.publish(&pull, &made.commit, publish::Content::Fork).await?;
            return Ok(Some(made));
        }
        let base = Base { fetched: &fetched, branch: &pull.base, commit: &made.commit };
        let proposal = proposal(&self.reconciler, &base, &pull.head).await?;
        let content = match proposal {
            Proposal::Conflict(paths) => publish::Content::Conflict(paths),
            Proposal::Refused(why) => publish::Content::Refused(why),
            Proposal::Invalid(findings) => publish::Content::Invalid(findings),
            Proposal::Changes(pairs) if pairs.is_empty() => publish::Content::Untouched,
            Proposal::Changes(pairs) => {
                let planned = pairs.into_iter().map(|pair| async {
                    let hosts = self.roster.hosts(&pair.base.fleet);
                    let plans = look::plans(&pair, &hosts).await;
                    (pair, plans)
                });
                publish::Content::Planned(futures_util::future::join_all(planned).await)
            }
        };
        self.publish(&pull, &made.commit, content).await?;
        Ok(Some(made))
    }

    /// Whether the fleet, as the default branch has it, lets anybody's proposal be looked at.
    async fn plans_forks(&self, fetched: &Fetched) -> Result<bool, PullError> {
        let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Ok(false) };
        let folder = &self.reconciler.folder;
        let tree = self.reconciler.ledger.tree(default, default, folder).await?;
        let (declaration, _) = declare::read_shared(&tree, folder);
        Ok(declaration.is_some_and(|declaration| declaration.plans_forks()))
    }

    /// Our own login: what somebody else wrote is not ours to change.
    async fn ourselves(&self) -> Result<&str, GitHubError> {
        self.ourselves.get_or_try_init(|| self.github.who_am_i()).await.map(String::as_str)
    }
}

impl Known {
    fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(AbortHandle::is_finished)
    }
}

impl State {
    /// An event says that something may have changed.
    fn heard(&mut self, event: &Event) {
        match event {
            Event::PullRequest(event) => {
                debug!(pull = event.number, action = event.action, "a pull request was changed");
                match event.action.as_str() {
                    "opened" | "reopened" | "synchronize" | "ready_for_review" => self.is_due(event.number, true),
                    "edited" if event.base_changed => self.is_due(event.number, true),
                    "closed" => self.closed(event.number),
                    _ => return,
                }
                if event.action != "closed" {
                    let heard = (event.head.commit.clone(), event.base.branch.clone());
                    self.known.entry(event.number).or_default().heard = Some(heard);
                }
            }
            Event::CheckRun(event) | Event::CheckSuite(event) if event.action == "rerequested" => {
                event.pulls.iter().for_each(|number| self.asked_again(*number));
            }
            _ => {}
        }
    }

    fn asked_again(&mut self, number: u64) {
        self.known.entry(number).or_default().made = None;
        self.is_due(number, true);
    }

    /// One that is open, as the list has it.
    fn is(&mut self, number: u64, head: &str, base: &str) {
        let known = self.known.entry(number).or_default();
        let heard = (head.to_owned(), base.to_owned());
        let made = known.made.as_ref().is_some_and(|made| made.head == head && made.base == base);
        if !made && known.heard.as_ref() != Some(&heard) {
            known.heard = Some(heard);
            self.is_due(number, true);
        }
    }

    /// What is planned on top of a commit that is the newest no more is planned again.
    fn bases_moved(&mut self, branches: &BTreeMap<String, String>) {
        let moved = self.known.iter().filter(|(number, known)| {
            let made = known.made.as_ref().filter(|_| self.open.contains(number) && known.due.is_none());
            made.is_some_and(|made| branches.get(&made.base).is_some_and(|commit| *commit != made.commit))
        });
        for number in moved.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.is_due(number, false);
        }
    }

    /// `anew`: what runs is of an older commit.
    fn is_due(&mut self, number: u64, anew: bool) {
        self.open.insert(number);
        let known = self.known.entry(number).or_default();
        if anew && let Some(running) = known.running.take() {
            running.abort();
        }
        let now = Instant::now();
        let since = known.due.map_or(now, |(_, since)| since);
        known.due = Some(((now + BUNCH).min(since + LONGEST_BUNCH), since));
        known.failures = 0;
    }

    fn closed(&mut self, number: u64) {
        if let Some(running) = self.known.remove(&number).and_then(|known| known.running) {
            running.abort();
        }
        self.open.remove(&number);
    }

    /// Answers when the next one is due.
    fn start_what_is_due<H: Host>(
        &mut self,
        pulls: &Arc<PullRequests<H>>,
        plans: &mut JoinSet<Ended>,
    ) -> Option<Instant> {
        let now = Instant::now();
        for (number, known) in &mut self.known {
            let is_due = known.due.is_some_and(|(at, _)| at <= now) && known.is_idle();
            if !is_due || plans.len() >= AT_ONCE {
                continue;
            }
            known.due = None;
            let (pulls, number, asked) = (pulls.clone(), *number, known.asked);
            let span = info_span!("pull", pull = number);
            let plan = async move { Ended { number, result: pulls.plan(number, asked).await } };
            known.running = Some(plans.spawn(plan.instrument(span)));
        }
        let room = plans.len() < AT_ONCE;
        let waiting = self.known.values().filter(|known| known.is_idle());
        waiting.filter_map(|known| known.due.map(|(at, _)| at)).min().filter(|_| room)
    }

    fn ended(&mut self, ended: Ended) {
        let Some(known) = self.known.get_mut(&ended.number) else { return };
        match ended.result {
            Ok(made) => {
                info!(pull = ended.number, "its plan is told");
                known.made = made;
                known.failures = 0;
            }
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << known.failures.min(10)).min(LONGEST_PAUSE);
                known.failures += 1;
                warn!(
                    pull = ended.number,
                    "not planned, tried again in {} s: {}",
                    pause.as_secs(),
                    report::chain(&error)
                );
                let now = Instant::now();
                known.due.get_or_insert((now + pause, now));
            }
        }
    }
}
