//! What the repository wants of each environment, from what was fetched.

use std::{collections::BTreeMap, sync::Arc};

use tracing::warn;

use super::{Reconciler, checks};
use crate::{
    decide::Wanted,
    declare::{self, Declaration},
    engine::{
        history::store::Ledger,
        prepare::{PrepareError, off::off},
        sync::error::RoundError,
    },
    git::{Fetched, HistoryChange},
    host::Host,
    model::{name::EnvironmentName, plan::Commits, standing::Standing},
    report::chain,
};

/// What the repository wants, as far as it can be told.
#[derive(Debug, Default)]
pub struct Wants {
    /// Of each environment. While its newest commits cannot be told, its last good ones are wanted on.
    pub known: BTreeMap<EnvironmentName, Wanted>,
    /// The environments whose newest commits cannot be told.
    pub untold: BTreeMap<EnvironmentName, Untold>,
}

/// Why it cannot be told what an environment's branch holds, for people: the environment, the cause, the next move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    pub branch: String,
    pub why: String,
}

/// The commits of each environment: the default branch's, and its own branch's; and what its history says. The
/// trouble of one is none of the others'.
pub async fn wanted<H: Host, L: Ledger>(reconciler: &Reconciler<H, L>, fetched: &Fetched) -> Result<Wants, RoundError> {
    let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Err(RoundError::NoCommits) };
    let declaration = declaration(reconciler, default).await?;
    let mut wants = Wants::default();
    for name in declaration.environments() {
        let Some(branch) = declaration.environment_branch(name) else { continue };
        let failure = match newest(reconciler, &declaration, fetched, name, default, branch).await {
            Ok(newest) => {
                wants.known.insert(name.clone(), newest);
                continue;
            }
            Err(failure) => failure,
        };
        let kept_up =
            kept_up(reconciler, name).await.inspect_err(|error| warn!(environment = %name, "{}", chain(error)));
        let kept_up = kept_up.ok().flatten();
        let then = if kept_up.is_some() { "its last good commits are kept up" } else { "it is not looked after" };
        let next = failure.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        let why = format!("{name}, branch {branch}: {}{next}; until then {then}", chain(&failure));
        warn!(environment = %name, "{why}");
        wants.untold.insert(name.clone(), Untold { branch: branch.to_owned(), why });
        wants.known.extend(kept_up.map(|kept_up| (name.clone(), kept_up)));
    }
    Ok(wants)
}

/// What the branches of one environment hold now.
async fn newest<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    declaration: &Declaration,
    fetched: &Fetched,
    name: &EnvironmentName,
    default: &str,
    branch: &str,
) -> Result<Wanted, RoundError> {
    let mut said = reconciler.said(name).await?;
    let commit = fetched.branches.get(branch).ok_or(RoundError::NoBranch)?;
    let mut commits = Commits::of_config(Some(default.to_owned()), Some(commit.clone()));
    if let Some(standing) = reconciler.quarantined_for_dying(name, &commits, &said.standing).await? {
        // Nothing of them is read, so nobody knows which other repositories they name.
        said.standing = standing;
        let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
        return Ok(Wanted { commits, observe_every, said, rewinds: false, checks: None });
    }
    commits.sources = reconciler.source_commits(name, &commits, &said.standing).await?;
    let rewinds = said.doubted || rewinds(&reconciler.ledger, &said.standing, &commits).await?;
    let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
    let names = declaration.required_checks(name);
    let checks = checks::checks(reconciler, names, said.standing.target(&commits), &said.standing).await;
    Ok(Wanted { commits, observe_every, said, rewinds, checks })
}

/// What the commit declares. Most fetches bring nothing new, and a commit is read once.
async fn declaration<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    commit: &str,
) -> Result<Arc<Declaration>, RoundError> {
    if let Some((of, declaration)) = &*reconciler.declaration.lock()
        && of == commit
    {
        return Ok(declaration.clone());
    }
    let commits = Commits::of_config(Some(commit.to_owned()), None);
    if let Some(condemned) = reconciler.attempts.condemned(None, &commits) {
        return Err(RoundError::Invalid(format!("commit {commit:.12}: {}", condemned.why)));
    }
    let attempts = reconciler.attempts.clone();
    let attempt = off(move || attempts.begin(None, &commits)).await?;
    let tree = reconciler.ledger.tree(commit, commit, &reconciler.folder).await?;
    let folder = reconciler.folder.clone();
    let read = move || {
        let read = declare::read_shared(&tree, &folder);
        attempt.survived();
        read
    };
    let (declaration, findings) = off(read).await?;
    let declaration = declaration.filter(|declaration| !declaration.has_broken_environments());
    let Some(declaration) = declaration.map(Arc::new) else { return Err(PrepareError::Invalid { findings }.into()) };
    *reconciler.declaration.lock() = Some((commit.to_owned(), declaration.clone()));
    Ok(declaration)
}

/// The last good commits of each environment: what is left to look after while the fleet cannot be read.
pub async fn last_good<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
) -> Result<BTreeMap<EnvironmentName, Wanted>, RoundError> {
    let mut wanted = BTreeMap::new();
    for name in reconciler.ledger.histories().await? {
        match kept_up(reconciler, &name).await {
            Ok(kept_up) => wanted.extend(kept_up.map(|kept_up| (name, kept_up))),
            Err(failure) => warn!(environment = %name, "it is not looked after: {}", chain(&failure)),
        }
    }
    Ok(wanted)
}

/// The last good commits of an environment, as what is wanted of it; none where nothing was ever good.
async fn kept_up<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    name: &EnvironmentName,
) -> Result<Option<Wanted>, RoundError> {
    let said = reconciler.said(name).await?;
    let Some(commits) = said.standing.kept_up().map(|good| good.commits.clone()) else { return Ok(None) };
    let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else { return Ok(None) };
    let tree = reconciler.ledger.tree(default, branch, &reconciler.folder).await?;
    let folder = reconciler.folder.clone();
    let (Some(declaration), _) = off(move || declare::read_shared(&tree, &folder)).await? else { return Ok(None) };
    let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
    Ok(Some(Wanted { commits, observe_every, said, rewinds: false, checks: None }))
}

/// Whether the commits leave out the deployed ones: somebody pushed by force.
pub async fn rewinds<L: Ledger>(ledger: &L, standing: &Standing, commits: &Commits) -> Result<bool, RoundError> {
    let Some(good) = standing.kept_up() else { return Ok(false) };
    let pairs = [(&good.commits.default, &commits.default), (&good.commits.environment, &commits.environment)];
    for pair in pairs {
        if let (Some(deployed), Some(next)) = pair
            && !ledger.is_ancestor(deployed, next).await?
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
