//! Pull requests to the config repository: each is planned against the live hosts, and its comment and checks are
//! kept up to date.
//!
//! Owns: which pull requests are planned when, and what is told of them. Keeps true: one plan of a pull request at
//! a time, of its newest commit; a proposal is never trusted (`trust.rs`); what could not be said is said
//! later; GitHub being away is no trouble for the loop.
//!
//! `pulls/` follows them beside the loop and never in its way: its connections to hosts are its own. A
//! proposal is merged, prepared and planned in a process of its own (`engine/prepare/confined.rs`): memory, processor
//! and time are limited, it writes no file, and holds no credential, so what it runs into ends that process and is
//! told. The merge is a commit in that process's memory (`git/pull.rs`) and known nowhere else; from it an
//! environment is prepared as from any commit, but with `release::Known`, which asks for no source that the base does
//! not have, from what was fetched for the base, and with builds that are looked up and never run. Its values come
//! back as JSON, contents of files by digest where the base does not have them; the controller asks the hosts and
//! hands on what they say. What is not known then is `Making::Unresolved` or `Due`, and the plan says so. A file of a
//! host that the proposal grants to itself is not looked at (`trust.rs`). Both plans, with it and without it, come
//! from one look at the hosts of the base; a step that both have is none of the proposal's doing. The merge's commit
//! is never deployed: what is merged at GitHub is another one. Deployments are told from the history alone, in its
//! order (`deployed.rs`), so what could not be told is told later; GitHub's own list of deployments says what was
//! told before. What has to wait is told from what `status` knows (`engine/sync/pending.rs`, `pulls/queued.rs`),
//! under the generation that it will most likely have: so the deployment goes on with the same entry. Commands go to
//! `engine/requests/control.rs`, as those of the command line do. `require_checks` is part of an environment's target
//! (`engine/controller/checks.rs`), and `decide` waits for it.

mod apart;
mod commands;
mod deployed;
mod installation;
mod look;
mod pauses;
mod proposal;
mod publish;
mod queue;
mod queued;
mod reader;
mod rights;
mod told;
mod trust;
mod wakes;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::{
    sync::{OnceCell, mpsc},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    declare,
    engine::{
        controller::Handle,
        history::{
            log,
            store::{ConfigSource as _, GitStore, StoreError},
        },
        observe::connections::Connections,
        prepare::off::off,
        requests::rollback::RollbackError,
        sync::error::SyncError,
    },
    git::Fetched,
    github::{GitHub, GitHubError, event::Event},
    host::HostRead,
    model::{
        commit::CommitId,
        event::{Detail, EventKind},
        name::EnvironmentName,
        pull::{Check, PullRequest, PullState},
    },
    report,
};

pub use apart::{COMMAND as READ_PROPOSAL, serve as read_proposal};
pub use reader::ReaderSetup;

use proposal::{Base, Proposal, proposal};
use queue::{Approved, Comments, Made, State};

/// So soon after a push it is here.
const AFTER_PUSH: Duration = Duration::from_secs(2);

#[derive(Debug, Error)]
pub enum PullError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    Rollback(#[from] RollbackError),
}

/// Follows the pull requests of the config repository.
pub struct PullRequests<H> {
    controller: Handle<H, GitStore>,
    github: Arc<GitHub>,
    /// Connections of its own: what strangers have hosts look for must not be in the way of the loop.
    connections: Connections<H>,
    reading: ReaderSetup,
    poll_every: Duration,
    /// Wakes the loop.
    poke: mpsc::Sender<()>,
    /// What was last said of each, so that nothing is said twice.
    said: Mutex<BTreeMap<u64, publish::Said>>,
    ourselves: OnceCell<String>,
    page: OnceCell<String>,
    /// Whoever tells of deployments has this: what is told of one comes in the order in which it happens.
    telling: tokio::sync::Mutex<()>,
    /// The newest checks of each environment's deployments, the newest first.
    deploys: Mutex<BTreeMap<EnvironmentName, VecDeque<Check>>>,
}

/// A plan that was made and told, or not.
struct EndedPlan {
    number: u64,
    result: Result<PlanEnd, PullError>,
}

/// What came of planning one.
enum PlanEnd {
    Told(Made),
    /// There is nothing to plan any more, and what was kept of it is let go of.
    Closed,
    /// Its base branch is not in the repository.
    NoBase,
}

impl<H: HostRead> PullRequests<H> {
    pub fn new(
        controller: Handle<H, GitStore>,
        github: Arc<GitHub>,
        connections: Connections<H>,
        reading: ReaderSetup,
        poll_every: Duration,
        poke: mpsc::Sender<()>,
    ) -> Self {
        Self {
            controller,
            github,
            connections,
            reading,
            poll_every,
            poke,
            said: Mutex::default(),
            ourselves: OnceCell::new(),
            page: OnceCell::new(),
            telling: tokio::sync::Mutex::default(),
            deploys: Mutex::default(),
        }
    }

    /// Every connection to an instance is made anew, with the keys that there are then.
    pub fn forget_connections(&self) {
        self.connections.forget();
    }

    /// Runs until `stop`. `events` are hints: what they tell is asked for again.
    pub async fn run(self: Arc<Self>, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut state = State::default();
        let mut plans = JoinSet::new();
        let mut commands = JoinSet::new();
        let mut poll_at = Instant::now();
        loop {
            let due = state.start_what_is_due(&self, &mut plans);
            for command in std::mem::take(&mut state.commands) {
                let pulls = self.clone();
                commands.spawn(async move { (command.number, pulls.obey(&command).await) });
            }
            let next = due.map_or(poll_at, |due| due.min(poll_at));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = plans.join_next() => match ended {
                    Ok(ended) => state.ended(ended).into_iter().for_each(|kind| self.emit(kind)),
                    // A newer commit took its place.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => self.panicked("planning a pull request", &error),
                },
                Some(obeyed) = commands.join_next() => match obeyed {
                    Ok((number, Ok(asked))) => asked.into_iter().for_each(|asked| state.asked(number, asked)),
                    Ok((pull, Err(error))) => self.emit(EventKind::CommandUnanswered { pull, why: reason(&error) }),
                    Err(error) => self.panicked("doing what a command asks for", &error),
                },
                Some(event) = events.recv() => {
                    match &event {
                        // The loop fetches it, and then open pull requests may stand on something older.
                        Event::Push(_) => poll_at = poll_at.min(Instant::now() + AFTER_PUSH),
                        // What waited for it may be deployed now. A full channel holds a poke already.
                        Event::CheckRun(check) | Event::CheckSuite(check) if check.action == "rerequested" => {
                            check.pulls.iter().for_each(|number| self.says_again(*number));
                        }
                        Event::CheckRun(check) | Event::CheckSuite(check) if check.action == "completed" => {
                            let _ = self.poke.try_send(());
                        }
                        Event::Installation(installation) => {
                            let is_ours = self.installation_changed(installation, &mut state).await;
                            poll_at = if is_ours { Instant::now() } else { poll_at };
                        }
                        _ => {}
                    }
                    state.heard(&event);
                }
                () = sleep_until(next) => {}
            }
            if poll_at <= Instant::now() {
                poll_at = Instant::now() + self.poll(&mut state).await;
            }
        }
    }

    fn emit(&self, kind: EventKind) {
        self.controller.workspace.events.emit(kind);
    }

    fn emit_of(&self, environment: &EnvironmentName, deployment: Option<u64>, kind: EventKind) {
        let events = self.controller.workspace.events.of(environment);
        deployment.map_or(events, |generation| events.deployment(generation)).emit(kind);
    }

    fn panicked(&self, task: &str, error: &JoinError) {
        self.emit(EventKind::TaskPanicked { task: Detail::of(task), why: Detail::of(error) });
    }

    /// What deliveries would have told: GitHub does not repeat one. Answers when to ask again.
    async fn poll(&self, state: &mut State) -> Duration {
        if let Some(declared) = self.controller.published().borrow().declared.clone() {
            self.connections.only(&declared);
        }
        self.poll_comments(state).await;
        let is_first = state.list.is_none();
        let open = self.github.open_pulls(state.list.as_deref()).await;
        match &open {
            Ok(_) => self.is_let_in(),
            Err(error) => self.is_shut_out(error),
        }
        let open = match open {
            Ok(Some(changed)) => {
                state.list = changed.etag;
                changed.now
            }
            Ok(None) => {
                state.bases_moved(&self.branches().await);
                return self.poll_every;
            }
            Err(error) => {
                self.emit(EventKind::PullsUnknown { why: reason(&error) });
                return self.poll_every.max(pauses::FIRST);
            }
        };
        state.open = open.iter().map(|pull| pull.number).collect();
        state.missed_the_end();
        if is_first {
            // What was closed while nobody ran here.
            let open = state.open.clone();
            let forgotten =
                self.controller.workspace.store.call(move |repository| repository.forget_pulls_but(&open)).await;
            forgotten.unwrap_or_else(|error| self.emit(EventKind::PullsKept { why: reason(&error) }));
        }
        for pull in open {
            state.is(pull.number, &pull.head, &pull.base);
        }
        state.bases_moved(&self.branches().await);
        self.poll_every
    }

    async fn poll_comments(&self, state: &mut State) {
        let read = state.comments.get_or_insert_with(Comments::begin);
        let comments = match self.github.comments_since(read.since, read.etag.as_deref()).await {
            Ok(Some(changed)) => read.takes(changed),
            Ok(None) => return,
            Err(error) => return self.emit(EventKind::CommentsUnknown { why: reason(&error) }),
        };
        let began = read.began;
        // Nobody waits for what was asked long before, and one that was edited asks for what nobody has seen.
        let fresh = comments.into_iter().filter(|it| it.created_at >= began && it.created_at == it.updated_at);
        for comment in fresh.filter(|comment| comment.url.contains("/pull/")) {
            state.commented(comment.number, comment.id, &comment.author, &comment.body);
        }
    }

    async fn branches(&self) -> BTreeMap<String, CommitId> {
        match self.controller.workspace.store.last_fetched().await {
            Ok(fetched) => fetched.map(|fetched| fetched.branches).unwrap_or_default(),
            Err(error) => {
                self.emit(EventKind::RepositoryUnread { goes_on: false, why: reason(&error) });
                BTreeMap::new()
            }
        }
    }

    /// Plans one and tells of it.
    async fn plan(&self, number: u64, approved: &Approved) -> Result<PlanEnd, PullError> {
        let pull = self.github.pull(number).await?;
        if pull.state != PullState::Open {
            self.controller.workspace.store.call(move |repository| repository.forget_pull(number)).await?;
            return Ok(PlanEnd::Closed);
        }
        let fetched = self.controller.workspace.store.fetch().await?;
        let Some(commit) = fetched.branches.get(&pull.base).cloned() else { return Ok(PlanEnd::NoBase) };
        let plans_forks = !self.is_fork(&pull) || self.plans_forks(&fetched).await?;
        if !plans_forks && !approved.is_for(&pull.head) {
            // Not even downloaded.
            let made = Made { head: pull.head.clone(), base: pull.base.clone(), commit };
            self.publish(&pull, &made.commit, publish::Content::Fork).await?;
            return Ok(PlanEnd::Told(made));
        }
        let head = self.controller.workspace.store.call(move |repository| repository.fetch_pull(number)).await?;
        let pull = PullRequest { head, ..pull };
        let made = Made { head: pull.head.clone(), base: pull.base.clone(), commit };
        if !plans_forks && !approved.is_for(&pull.head) {
            // Somebody has pushed since: it is another commit than the one that was asked for.
            self.publish(&pull, &made.commit, publish::Content::Fork).await?;
            return Ok(PlanEnd::Told(made));
        }
        let content = self.looked_at(&fetched, &pull, &made.commit).await?;
        self.publish(&pull, &made.commit, content).await?;
        Ok(PlanEnd::Told(made))
    }

    /// What there is to say of a proposal, once it was compared with the live hosts.
    async fn looked_at(
        &self,
        fetched: &Fetched,
        pull: &PullRequest,
        commit: &CommitId,
    ) -> Result<publish::Content, PullError> {
        let base = Base { fetched, branch: &pull.base, commit };
        let (proposal, reader) = proposal(&self.controller, &self.reading, &base, &pull.head).await?;
        Ok(match proposal {
            Proposal::Conflict(paths) => publish::Content::Conflict(paths),
            Proposal::Refused(why) => publish::Content::Refused(why),
            Proposal::Invalid(findings) => publish::Content::Invalid(findings),
            Proposal::Unfollowed => publish::Content::Untouched { followed: false },
            Proposal::Changes(pairs) if pairs.is_empty() => publish::Content::Untouched { followed: true },
            Proposal::Changes(pairs) => {
                let Some(reader) = reader else {
                    return Ok(publish::Content::Refused("nothing has read it".to_owned()));
                };
                let planned = pairs.into_iter().map(|pair| async {
                    let hosts = self.connections.hosts(&pair.base.fleet);
                    let newest =
                        log::newest(&self.controller.workspace.store, &pair.base.fleet.environment.name).await?;
                    let plans = look::plans(&pair, &hosts, &reader, newest.newest_generation()).await;
                    Ok::<_, PullError>(plans.map(|plans| (pair, plans)))
                });
                let planned = futures_util::future::try_join_all(planned).await?;
                match planned.into_iter().collect::<Result<Vec<_>, reader::ReaderError>>() {
                    Ok(planned) => publish::Content::Planned(planned),
                    Err(error) => publish::Content::Refused(report::chain(&error)),
                }
            }
        })
    }

    /// Whether somebody who may not write here can change what is proposed.
    fn is_fork(&self, pull: &PullRequest) -> bool {
        pull.from.as_deref() != Some(self.github.name().to_string().as_str())
    }

    /// As [`Self::plans_forks`], of what was fetched last.
    async fn plans_forks_now(&self) -> Result<bool, PullError> {
        match self.controller.workspace.store.last_fetched().await? {
            Some(fetched) => self.plans_forks(&fetched).await,
            None => Ok(false),
        }
    }

    /// Whether the fleet, as the default branch has it, lets anybody's proposal be looked at.
    async fn plans_forks(&self, fetched: &Fetched) -> Result<bool, PullError> {
        let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Ok(false) };
        let folder = self.controller.workspace.preparation.folder.clone();
        let tree = self.controller.workspace.store.tree(default, default, &folder).await?;
        let read = off(move || declare::read_shared(&tree, &folder)).await;
        let (declaration, _) = read.map_err(StoreError::from)?;
        Ok(declaration.is_some_and(|declaration| declaration.plans_forks()))
    }

    /// Our own login: what somebody else wrote is not ours to change.
    async fn ourselves(&self) -> Result<&str, GitHubError> {
        self.ourselves.get_or_try_init(|| self.github.who_am_i()).await.map(String::as_str)
    }
}

/// An error and its causes, for an event.
fn reason(error: &(dyn std::error::Error + 'static)) -> Detail {
    Detail::of(report::chain(error))
}
