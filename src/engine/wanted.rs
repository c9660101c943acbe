//! What the repository wants of each environment, from what was fetched.

use std::{collections::BTreeMap, sync::Arc};

use tracing::warn;

use super::{
    ledger::Ledger,
    prepare::PrepareError,
    reconcile::{Reconciler, lock},
    required,
    round_error::RoundError,
};
use crate::{
    decide::Wanted,
    declare::{self, Declaration},
    git::{Fetched, HistoryChange},
    host::Host,
    model::{name::EnvironmentName, plan::Commits, standing::Standing},
};

/// The commits of each environment: the default branch's, and its own branch's; and what its history says.
pub async fn wanted<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    fetched: &Fetched,
) -> Result<BTreeMap<EnvironmentName, Wanted>, RoundError> {
    let Some(default) = fetched.branches.get(&fetched.default_branch) else { return Err(RoundError::NoCommits) };
    let declaration = declaration(reconciler, default).await?;
    let mut wanted = BTreeMap::new();
    for name in declaration.environments() {
        let Some(branch) = declaration.environment_branch(name) else { continue };
        let Some(commit) = fetched.branches.get(branch) else {
            warn!(environment = %name, "its branch {branch} is not in the repository");
            continue;
        };
        let mut commits = Commits::of_config(Some(default.clone()), Some(commit.clone()));
        let said = reconciler.said(name).await?;
        commits.sources = reconciler.source_commits(name, &commits, &said.standing).await?;
        let rewinds = rewinds(&reconciler.ledger, &said.standing, &commits).await?;
        let observe_every = declaration.observe_interval(name).0.as_millis() as u64;
        let names = declaration.required_checks(name);
        let missing_checks = required::missing(reconciler, names, &commits, &said.standing).await;
        wanted.insert(name.clone(), Wanted { commits, observe_every, said, rewinds, missing_checks });
    }
    Ok(wanted)
}

/// What the commit declares. Most fetches bring nothing new, and a commit is read once.
async fn declaration<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    commit: &str,
) -> Result<Arc<Declaration>, RoundError> {
    if let Some((of, declaration)) = &*lock(&reconciler.declaration)
        && of == commit
    {
        return Ok(declaration.clone());
    }
    let tree = reconciler.ledger.tree(commit, commit, &reconciler.folder).await?;
    let (declaration, findings) = declare::read_shared(&tree, &reconciler.folder);
    let declaration = declaration.filter(|declaration| !declaration.has_broken_environments());
    let Some(declaration) = declaration.map(Arc::new) else { return Err(PrepareError::Invalid { findings }.into()) };
    *lock(&reconciler.declaration) = Some((commit.to_owned(), declaration.clone()));
    Ok(declaration)
}

/// The last good commits of each environment: what is left to look after while the fleet cannot be read.
pub async fn last_good<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
) -> Result<BTreeMap<EnvironmentName, Wanted>, RoundError> {
    let mut wanted = BTreeMap::new();
    for name in reconciler.ledger.histories().await? {
        let said = reconciler.said(&name).await?;
        let Some(commits) = said.standing.kept_up().map(|good| good.commits.clone()) else { continue };
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else { continue };
        let tree = reconciler.ledger.tree(default, branch, &reconciler.folder).await?;
        let (Some(declaration), _) = declare::read_shared(&tree, &reconciler.folder) else { continue };
        let observe_every = declaration.observe_interval(&name).0.as_millis() as u64;
        wanted.insert(name, Wanted { commits, observe_every, said, rewinds: false, missing_checks: Vec::new() });
    }
    Ok(wanted)
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
