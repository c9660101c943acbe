//! What the repository wants of each environment, from what was fetched.
//!
//! Keeps true: the trouble of one environment is none of the others'; where the newest commits of one cannot be told, its
//! last good ones are wanted on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, Utc};
use tracing::debug;

use super::checks::{self, CheckSource, Green};
use crate::{
    decide::{HistorySnapshot, Hours, Target},
    declare::{self, Declaration},
    engine::{
        events::Events,
        history::{
            controller_id::CONTROLLER,
            log,
            store::{Signing, Store},
        },
        prepare::{
            PrepareError,
            config::{ConfigSource, StoreError},
            off::off,
            preparation::Moving,
        },
        sync::{environment::Purpose, error::SyncError, pending, workspace::Workspace},
    },
    git::{Fetched, HistoryChange},
    github::GitHub,
    host::{HostRead, waits},
    model::{
        belief::Refusal,
        calendar::{Calendar, HORIZON},
        commit::CommitId,
        environment_state::{Control, EnvironmentState, StateEvent},
        event::{Detail, EventKind},
        name::EnvironmentName,
        plan::Commits,
        status::Waiting,
        time::timestamp,
    },
    report::chain,
};

/// What the repository wants, as far as it can be told.
#[derive(Debug, Default)]
pub struct Targets {
    /// Of each environment. While its newest commits cannot be told, its last good ones are wanted on.
    pub known: BTreeMap<EnvironmentName, Target>,
    /// The environments whose newest commits cannot be told.
    pub unresolved: BTreeMap<EnvironmentName, Unresolved>,
}

/// Why it cannot be told what an environment's branch holds, for people: the environment, the cause, the next move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    pub branch: String,
    pub why: String,
}

/// What came of asking the repository.
pub struct FetchResult {
    /// Whether what is written counts.
    pub signing: Result<Signing, StoreError>,
    /// None: nothing could be told.
    pub targets: Option<Targets>,
    /// Why the repository does not say what is wanted; none while it does.
    pub trouble: Option<SyncError>,
    /// The environments that the default branch declares; none where that is not known.
    pub declared: Option<BTreeSet<EnvironmentName>>,
    /// What of each history does not count.
    pub refusals: BTreeMap<EnvironmentName, Vec<Refusal>>,
    /// What is merged and waits for a deployment that goes on.
    pub waiting: Vec<(EnvironmentName, Waiting)>,
}

/// Finds out what is wanted, and remembers what was read for it: most fetches bring nothing new.
#[derive(Default)]
pub struct Resolver {
    /// What the default branch's last commit declares.
    declaration: Option<(CommitId, Arc<Declaration>)>,
    /// What the last commits of each environment name of other repositories.
    moving: BTreeMap<EnvironmentName, (Commits, Moving)>,
    green: Green,
    /// Set where nothing that is written from here counts: the line to add, where there is a key.
    no_writer: Option<Option<String>>,
    refusals: BTreeMap<EnvironmentName, Vec<Refusal>>,
}

impl Resolver {
    /// Fetches, and finds out what is wanted. `knows_nothing`: while that cannot be told, it is what the repository said
    /// last, or what was deployed last: so drift is looked for all the same.
    pub async fn fetch<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        github: Option<&GitHub>,
        knows_nothing: bool,
        purpose: Purpose,
    ) -> FetchResult {
        let began = Instant::now();
        let fetched = waits::said("", || "the repository".to_owned(), workspace.store.fetch()).await;
        debug!(fetch_ms = began.elapsed().as_millis() as u64, "the repository was asked");
        let signing = workspace.store.signing().await;
        self.no_writer = match (&signing, purpose) {
            (Ok(Signing::NotListed(line)), Purpose::Change) => Some(line.clone()),
            _ => None,
        };
        let asked = github.map_or(CheckSource::Nobody, CheckSource::GitHub);
        let found = match fetched {
            Ok(fetched) => {
                tell_of_history(&workspace.events, &fetched);
                self.resolve(workspace, asked, &fetched).await
            }
            Err(error) => Err(error.into()),
        };
        let (targets, trouble) = match found {
            Ok(targets) => (Some(targets), None),
            Err(failure) if knows_nothing => (self.resolve_without(workspace, asked).await, Some(failure)),
            Err(failure) => (None, Some(failure)),
        };
        let declared = self.declaration.as_ref().filter(|_| trouble.is_none());
        let declared = declared.map(|(_, declaration)| declaration.environments().into_iter().cloned().collect());
        if let Some(declared) = &declared {
            workspace.connections.only(declared);
        }
        let waiting = match &targets {
            Some(targets) if trouble.is_none() => what_waits(workspace, &targets.known).await,
            _ => Vec::new(),
        };
        FetchResult { signing, targets, trouble, declared, refusals: std::mem::take(&mut self.refusals), waiting }
    }

    /// What was known before, while the repository does not say what is wanted.
    async fn resolve_without<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        asked: CheckSource<'_>,
    ) -> Option<Targets> {
        let known = match workspace.store.last_fetched().await {
            Ok(Some(fetched)) => match self.resolve(workspace, asked, &fetched).await {
                Err(SyncError::Invalid { .. }) => Targets::default(),
                known => known.inspect_err(|error| unread(&workspace.events, chain(error))).ok()?,
            },
            Ok(None) => Targets::default(),
            Err(error) => {
                unread(&workspace.events, chain(&error));
                return None;
            }
        };
        if !known.known.is_empty() {
            return Some(known);
        }
        let last_good = self.last_good(workspace).await;
        let last_good = last_good.inspect_err(|error| unread(&workspace.events, chain(error))).ok()?;
        Some(Targets { known: last_good, ..known })
    }

    /// The commits of each environment: the default branch's, and its own branch's; and what its history says.
    pub async fn resolve<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        asked: CheckSource<'_>,
        fetched: &Fetched,
    ) -> Result<Targets, SyncError> {
        let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Err(SyncError::NoCommits) };
        let declaration = self.declaration(workspace, default).await?;
        let mut targets = Targets::default();
        for name in declaration.environments() {
            let Some(branch) = declaration.environment_branch(name) else { continue };
            let of = Branches { declaration: &declaration, fetched, name, default, branch };
            let failure = match self.newest(workspace, asked, &of).await {
                Ok(newest) => {
                    targets.known.insert(name.clone(), newest);
                    continue;
                }
                Err(failure) => failure,
            };
            let kept_up = self.kept_up(workspace, name).await;
            let events = workspace.events.of(name);
            let kept_up = kept_up.inspect_err(|error| events.emit(history_unread(chain(error)))).ok().flatten();
            let then = if kept_up.is_some() { "its last good commits are kept up" } else { "it is not looked after" };
            let next = failure.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            let why = format!("{name}, branch {branch}: {}{next}; until then {then}", chain(&failure));
            events.emit(EventKind::EnvironmentUnresolved { branch: Detail::of(branch), why: Detail::of(&why) });
            targets.unresolved.insert(name.clone(), Unresolved { branch: branch.to_owned(), why });
            targets.known.extend(kept_up.map(|kept_up| (name.clone(), kept_up)));
        }
        Ok(targets)
    }

    /// What the branches of one environment hold now.
    async fn newest<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        asked: CheckSource<'_>,
        of: &Branches<'_>,
    ) -> Result<Target, SyncError> {
        let mut history = self.history(workspace, of.name).await?;
        let commit = of.fetched.branches.get(of.branch).ok_or(SyncError::NoBranch)?;
        let mut commits = Commits::of_config(Some(of.default.clone()), Some(commit.clone()));
        let observe_every = of.declaration.observe_interval(of.name).0.as_millis() as u64;
        if let Some(state) = quarantined_for_dying(workspace, of.name, &commits, &history.state).await? {
            // Nothing of them is read, so nobody knows which other repositories they name.
            history.state = state;
            return Ok(Target { commits, observe_every, history, rewinds: false, checks: None, hours: None });
        }
        let watch = |kind| workspace.events.of(of.name).emit(kind);
        let moving = self.moving(workspace, of.name, &commits).await?;
        let good = history.state.good.as_ref().map(|good| &good.commits.sources);
        commits.sources = workspace.preparation.source_commits(&moving, good, &watch).await;
        let rewinds = history.doubted || rewinds(&workspace.store, &history.state, &commits).await?;
        let names = of.declaration.required_checks(of.name);
        let state = &history.state;
        let checks = checks::checks(asked, &mut self.green, names, state.target(&commits), state, &watch).await;
        let hours = hours(&of.declaration.calendar(of.name), Utc::now());
        Ok(Target { commits, observe_every, history, rewinds, checks, hours })
    }

    /// What the history says of an environment. What cannot be recorded is not begun.
    async fn history<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        environment: &EnvironmentName,
    ) -> Result<HistorySnapshot, SyncError> {
        if let Some(line) = &self.no_writer {
            return Err(StoreError::NoWriter { line: line.clone() }.into());
        }
        let newest = workspace.newest(environment).await?;
        self.refusals.insert(environment.clone(), newest.refusals.clone());
        Ok(newest.snapshot(&workspace.identity))
    }

    /// Which branches and tags of other repositories the commits name.
    async fn moving<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        environment: &EnvironmentName,
        commits: &Commits,
    ) -> Result<Moving, SyncError> {
        if let Some((_, moving)) = self.moving.get(environment).filter(|(of, _)| of.same_config(commits)) {
            return Ok(moving.clone());
        }
        let moving = workspace.preparation.moving(&workspace.store, environment, commits).await?;
        self.moving.insert(environment.clone(), (commits.clone(), moving.clone()));
        Ok(moving)
    }

    /// What the commit declares. Most fetches bring nothing new, and a commit is read once.
    async fn declaration<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        commit: &CommitId,
    ) -> Result<Arc<Declaration>, SyncError> {
        if let Some((_, declaration)) = self.declaration.as_ref().filter(|(of, _)| of == commit) {
            return Ok(declaration.clone());
        }
        let commits = Commits::of_config(Some(commit.clone()), None);
        let attempts = workspace.preparation.attempts.clone();
        if let Some(condemned) = attempts.condemned(None, &commits) {
            let why = format!("commit {commit:.12}: {}", condemned.why);
            return Err(SyncError::Invalid { why, findings: Vec::new() });
        }
        let attempt = off(move || attempts.begin(None, &commits)).await?;
        let folder = workspace.preparation.folder.clone();
        let tree = workspace.store.tree(commit, commit, &folder).await?;
        let read = move || {
            let read = declare::read_shared(&tree, &folder);
            attempt.survived();
            read
        };
        let (declaration, findings) = off(read).await?;
        let declaration = declaration.filter(|declaration| !declaration.has_broken_environments());
        let Some(declaration) = declaration.map(Arc::new) else {
            return Err(PrepareError::Invalid { findings }.into());
        };
        self.declaration = Some((commit.to_owned(), declaration.clone()));
        Ok(declaration)
    }

    /// The last good commits of each environment: what is left to look after while the fleet cannot be read.
    async fn last_good<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
    ) -> Result<BTreeMap<EnvironmentName, Target>, SyncError> {
        let mut targets = BTreeMap::new();
        for name in workspace.store.histories().await? {
            match self.kept_up(workspace, &name).await {
                Ok(kept_up) => targets.extend(kept_up.map(|kept_up| (name, kept_up))),
                Err(failure) => {
                    let why = format!("it is not looked after: {}", chain(&failure));
                    workspace.events.of(&name).emit(history_unread(why));
                }
            }
        }
        Ok(targets)
    }

    /// The last good commits of an environment, as what is wanted of it; none where nothing was ever good.
    async fn kept_up<H: HostRead, S: Store>(
        &mut self,
        workspace: &Workspace<H, S>,
        name: &EnvironmentName,
    ) -> Result<Option<Target>, SyncError> {
        let history = self.history(workspace, name).await?;
        let Some(commits) = history.state.kept_up().map(|good| good.commits.clone()) else { return Ok(None) };
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else { return Ok(None) };
        let folder = workspace.preparation.folder.clone();
        let tree = workspace.store.tree(default, branch, &folder).await?;
        let (Some(declaration), _) = off(move || declare::read_shared(&tree, &folder)).await? else { return Ok(None) };
        let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
        Ok(Some(Target { commits, observe_every, history, rewinds: false, checks: None, hours: None }))
    }
}

/// When deployments may begin: so far ahead that a repository may well be away for a while.
pub fn hours(calendar: &Calendar, now: DateTime<Utc>) -> Option<Hours> {
    if calendar.is_always_open() {
        return None;
    }
    let open =
        calendar.open(now, HORIZON).into_iter().map(|(from, to)| (from.timestamp_millis(), to.timestamp_millis()));
    Some(Hours { asked_at: now.timestamp_millis(), open: open.collect() })
}

/// One environment and its branches, as fetched.
struct Branches<'a> {
    declaration: &'a Declaration,
    fetched: &'a Fetched,
    name: &'a EnvironmentName,
    /// The default branch's commit.
    default: &'a CommitId,
    /// The environment's branch.
    branch: &'a str,
}

/// What waits for a deployment that still goes on: to know what is wanted takes a while.
async fn what_waits<H: HostRead, S: Store>(
    workspace: &Workspace<H, S>,
    targets: &BTreeMap<EnvironmentName, Target>,
) -> Vec<(EnvironmentName, Waiting)> {
    let mut waiting = Vec::new();
    for (environment, target) in targets.iter().filter(|(_, target)| target.history.open.is_some()) {
        match workspace.newest(environment).await {
            Ok(newest) => {
                let history = newest.snapshot(&workspace.identity);
                let waits = pending::after(history.open.as_ref(), &target.commits, &history.state);
                waiting.extend(waits.map(|waits| (environment.clone(), waits)));
            }
            Err(error) => workspace.events.of(environment).emit(history_unread(chain(&error))),
        }
    }
    waiting
}

/// What the history says of commits that this process died of, said there where it is not yet. None: they may be
/// prepared.
async fn quarantined_for_dying<H: HostRead, S: Store>(
    workspace: &Workspace<H, S>,
    environment: &EnvironmentName,
    commits: &Commits,
    state: &EnvironmentState,
) -> Result<Option<EnvironmentState>, SyncError> {
    let attempts = &workspace.preparation.attempts;
    let Some(condemned) = attempts.condemned(Some(environment), commits) else { return Ok(None) };
    if state.quarantined(commits).is_some() {
        attempts.recorded(environment, commits);
        return Ok(Some(state.clone()));
    }
    if condemned.recorded {
        let commit = commits.environment.clone();
        workspace.events.of(environment).emit(EventKind::CommitsPardoned { commit });
        attempts.pardon(environment, commits);
        return Ok(None);
    }
    let (commit, why) = (commits.environment.clone(), Detail::of(&condemned.why));
    workspace.events.of(environment).emit(EventKind::CommitsQuarantined { commit, why });
    let control = Control::Quarantine { commits: commits.clone(), why: condemned.why };
    let event = StateEvent { control, by: CONTROLLER.to_owned(), reason: None, when: timestamp(Utc::now()) };
    let state = log::note(&workspace.store, environment, &event).await?;
    attempts.recorded(environment, commits);
    Ok(Some(state))
}

/// Whether the commits leave out the deployed ones: somebody pushed by force.
pub async fn rewinds(
    store: &impl ConfigSource,
    state: &EnvironmentState,
    commits: &Commits,
) -> Result<bool, SyncError> {
    let Some(good) = state.kept_up() else { return Ok(false) };
    let pairs = [(&good.commits.default, &commits.default), (&good.commits.environment, &commits.environment)];
    for pair in pairs {
        if let (Some(deployed), Some(next)) = pair
            && !store.is_ancestor(deployed, next).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says what has happened to histories at the remote that should not happen.
pub fn tell_of_history(events: &Events, fetched: &Fetched) {
    for (name, change) in &fetched.history {
        let kind = match change.clone() {
            HistoryChange::Restored { at } => EventKind::HistoryRestored { commit: at.into() },
            HistoryChange::NotRestored { why } => EventKind::HistoryGone { why: Detail::of(why) },
            HistoryChange::Rewritten { ours, theirs } => EventKind::HistoryRewritten { ours, theirs },
        };
        match name.parse() {
            Ok(environment) => events.of(&environment).emit(kind),
            // A branch that somebody pushed below the histories, and that is none.
            Err(_) => events.emit(kind),
        }
    }
}

fn unread(events: &Events, why: String) {
    events.emit(EventKind::RepositoryUnread { goes_on: false, why: why.into() });
}

fn history_unread(why: String) -> EventKind {
    EventKind::HistoryUnread { why: why.into() }
}
