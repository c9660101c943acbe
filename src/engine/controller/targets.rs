//! What the repository wants of each environment, from what was fetched.

use std::{collections::BTreeMap, sync::Arc};

use tracing::warn;

use super::{Controller, checks};
use crate::{
    decide::Target,
    declare::{self, Declaration},
    engine::{
        history::store::HistoryStore,
        prepare::{PrepareError, off::off},
        sync::error::SyncError,
    },
    git::{Fetched, HistoryChange},
    host::Host,
    model::{environment_state::EnvironmentState, name::EnvironmentName, plan::Commits},
    report::chain,
};

/// What the repository wants, as far as it can be told.
#[derive(Debug, Default)]
pub struct Targets {
    /// Of each environment. While its newest commits cannot be told, its last good ones are wanted on.
    pub known: BTreeMap<EnvironmentName, Target>,
    /// The environments whose newest commits cannot be told.
    pub untold: BTreeMap<EnvironmentName, Unresolved>,
}

/// Why it cannot be told what an environment's branch holds, for people: the environment, the cause, the next move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    pub branch: String,
    pub why: String,
}

/// The commits of each environment: the default branch's, and its own branch's; and what its history says. The
/// trouble of one is none of the others'.
pub async fn wanted<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    fetched: &Fetched,
) -> Result<Targets, SyncError> {
    let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Err(SyncError::NoCommits) };
    let declaration = declaration(controller, default).await?;
    let mut wants = Targets::default();
    for name in declaration.environments() {
        let Some(branch) = declaration.environment_branch(name) else { continue };
        let failure = match newest(controller, &declaration, fetched, name, default, branch).await {
            Ok(newest) => {
                wants.known.insert(name.clone(), newest);
                continue;
            }
            Err(failure) => failure,
        };
        let kept_up =
            kept_up(controller, name).await.inspect_err(|error| warn!(environment = %name, "{}", chain(error)));
        let kept_up = kept_up.ok().flatten();
        let then = if kept_up.is_some() { "its last good commits are kept up" } else { "it is not looked after" };
        let next = failure.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        let why = format!("{name}, branch {branch}: {}{next}; until then {then}", chain(&failure));
        warn!(environment = %name, "{why}");
        wants.untold.insert(name.clone(), Unresolved { branch: branch.to_owned(), why });
        wants.known.extend(kept_up.map(|kept_up| (name.clone(), kept_up)));
    }
    Ok(wants)
}

/// What the branches of one environment hold now.
async fn newest<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    declaration: &Declaration,
    fetched: &Fetched,
    name: &EnvironmentName,
    default: &str,
    branch: &str,
) -> Result<Target, SyncError> {
    let mut history = controller.history_snapshot(name).await?;
    let commit = fetched.branches.get(branch).ok_or(SyncError::NoBranch)?;
    let mut commits = Commits::of_config(Some(default.to_owned()), Some(commit.clone()));
    if let Some(state) = controller.quarantined_for_dying(name, &commits, &history.state).await? {
        // Nothing of them is read, so nobody knows which other repositories they name.
        history.state = state;
        let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
        return Ok(Target { commits, observe_every, history, rewinds: false, checks: None });
    }
    commits.sources = controller.source_commits(name, &commits, &history.state).await?;
    let rewinds = history.doubted || rewinds(&controller.store, &history.state, &commits).await?;
    let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
    let names = declaration.required_checks(name);
    let checks = checks::checks(controller, names, history.state.target(&commits), &history.state).await;
    Ok(Target { commits, observe_every, history, rewinds, checks })
}

/// What the commit declares. Most fetches bring nothing new, and a commit is read once.
async fn declaration<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    commit: &str,
) -> Result<Arc<Declaration>, SyncError> {
    if let Some((of, declaration)) = &*controller.declaration.lock()
        && of == commit
    {
        return Ok(declaration.clone());
    }
    let commits = Commits::of_config(Some(commit.to_owned()), None);
    if let Some(condemned) = controller.attempts.condemned(None, &commits) {
        return Err(SyncError::Invalid(format!("commit {commit:.12}: {}", condemned.why)));
    }
    let attempts = controller.attempts.clone();
    let attempt = off(move || attempts.begin(None, &commits)).await?;
    let tree = controller.store.tree(commit, commit, &controller.folder).await?;
    let folder = controller.folder.clone();
    let read = move || {
        let read = declare::read_shared(&tree, &folder);
        attempt.survived();
        read
    };
    let (declaration, findings) = off(read).await?;
    let declaration = declaration.filter(|declaration| !declaration.has_broken_environments());
    let Some(declaration) = declaration.map(Arc::new) else { return Err(PrepareError::Invalid { findings }.into()) };
    *controller.declaration.lock() = Some((commit.to_owned(), declaration.clone()));
    Ok(declaration)
}

/// The last good commits of each environment: what is left to look after while the fleet cannot be read.
pub async fn last_good<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
) -> Result<BTreeMap<EnvironmentName, Target>, SyncError> {
    let mut wanted = BTreeMap::new();
    for name in controller.store.histories().await? {
        match kept_up(controller, &name).await {
            Ok(kept_up) => wanted.extend(kept_up.map(|kept_up| (name, kept_up))),
            Err(failure) => warn!(environment = %name, "it is not looked after: {}", chain(&failure)),
        }
    }
    Ok(wanted)
}

/// The last good commits of an environment, as what is wanted of it; none where nothing was ever good.
async fn kept_up<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    name: &EnvironmentName,
) -> Result<Option<Target>, SyncError> {
    let history = controller.history_snapshot(name).await?;
    let Some(commits) = history.state.kept_up().map(|good| good.commits.clone()) else { return Ok(None) };
    let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else { return Ok(None) };
    let tree = controller.store.tree(default, branch, &controller.folder).await?;
    let folder = controller.folder.clone();
    let (Some(declaration), _) = off(move || declare::read_shared(&tree, &folder)).await? else { return Ok(None) };
    let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
    Ok(Some(Target { commits, observe_every, history, rewinds: false, checks: None }))
}

/// Whether the commits leave out the deployed ones: somebody pushed by force.
pub async fn rewinds<L: HistoryStore>(
    store: &L,
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
pub fn tell_of_history(fetched: &Fetched) {
    for (environment, change) in &fetched.history {
        match change {
            HistoryChange::Restored { at } => {
                warn!(environment, "its history branch was gone at the remote; it is restored, at {at:.12}");
            }
            HistoryChange::NotRestored { why } => {
                warn!(environment, "its history branch is gone at the remote, and cannot be restored: {why}");
            }
            HistoryChange::Rewritten { ours, theirs } => warn!(
                environment,
                "its history was rewritten at the remote: {ours:.12} is not in it; going on from {theirs:.12}"
            ),
        }
    }
}
