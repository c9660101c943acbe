//! Going back: which deployment to, and its fleet as a commit on a branch.
//!
//! Keeps true: going back is a commit that people merge; what is restored is all that the deployment was made from
//! in the config repository, and nothing else.

use chrono::Utc;
use thiserror::Error;

use super::{
    chronicle,
    ledger::{GitLedger, LedgerError},
};
use crate::{
    declare,
    git::{GitError, Repository},
    model::{
        name::EnvironmentName,
        outcome::{Deployment, Kind, Outcome},
        source::Origin,
    },
    report,
};

#[derive(Debug, Error)]
pub enum RollbackError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("generation {generation} of {environment} was never applied")]
    NeverApplied { environment: EnvironmentName, generation: u64 },
    #[error("{environment} has no earlier deployment to go back to")]
    NothingEarlier { environment: EnvironmentName },
    #[error("generation {generation} names no commit")]
    NoCommit { generation: u64 },
}

/// A branch that holds an earlier deployment's fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub branch: String,
    /// The branch that it is to be merged to.
    pub base: String,
}

/// The deployment to go back to: of this generation, else the last one that was applied before what is live.
pub async fn earlier(
    ledger: &GitLedger,
    environment: &EnvironmentName,
    generation: Option<u64>,
) -> Result<Deployment, RollbackError> {
    let name = environment.clone();
    let records = ledger.call(move |repository| repository.records(&name, usize::MAX)).await?;
    let good = chronicle::newest(ledger, environment).await?.standing.good;
    let applied = records.into_iter().map(|record| record.deployment).filter(|deployment| {
        deployment.outcome == Some(Outcome::Applied)
            && deployment.kind == Kind::Change
            && deployment.commits.environment.is_some()
    });
    let mut candidates = applied.filter(|deployment| match generation {
        Some(generation) => deployment.generation == generation,
        None => good
            .as_ref()
            .is_none_or(|good| deployment.generation < good.generation && deployment.commits != good.commits),
    });
    let environment = environment.clone();
    candidates.next().ok_or(match generation {
        Some(generation) => RollbackError::NeverApplied { environment, generation },
        None => RollbackError::NothingEarlier { environment },
    })
}

/// Makes the branch. `folder` is the fleet folder.
pub async fn restore(
    ledger: &GitLedger,
    folder: &str,
    environment: &EnvironmentName,
    target: &Deployment,
) -> Result<Restored, RollbackError> {
    let no_commit = RollbackError::NoCommit { generation: target.generation };
    let from = target.commits.environment.clone().ok_or(no_commit)?;
    let (folder, name, generation) = (folder.to_owned(), environment.clone(), target.generation);
    let branch = format!("evenkeel/rollback/{environment}-{generation}");
    let message = report::deployment::restore_message(target);
    let made = ledger.call(move |repository| {
        let (base, at, paths) = taken(repository, &folder, &name, &from)?;
        repository.restore(&branch, &at, &from, &paths, &message, Utc::now())?;
        Ok(Restored { branch, base })
    });
    Ok(made.await?)
}

/// The branch to merge to, the commit there, and the paths that a deployment was made from.
fn taken(
    repository: &Repository,
    folder: &str,
    environment: &EnvironmentName,
    from: &str,
) -> Result<(String, String, Vec<String>), GitError> {
    let fetched = repository.fetch()?;
    let default = fetched.branches.get(&fetched.default_branch).cloned().unwrap_or_default();
    let tree = repository.composed_tree(&default, from, folder)?;
    let (declaration, _) = declare::read(&tree, folder);
    let follows = declaration.as_ref().and_then(|declared| declared.environment_branch(environment));
    let follows = follows.filter(|branch| fetched.branches.contains_key(*branch));
    let base = follows.unwrap_or(&fetched.default_branch).to_owned();
    let at = fetched.branches.get(&base).cloned().unwrap_or(default);
    // Code that lies outside of the fleet folder goes back with it.
    let fleet = declaration.and_then(|declared| declared.resolve(environment, &Default::default()).ok());
    let mut paths = vec![folder.to_owned()];
    for source in fleet.iter().flat_map(|fleet| fleet.sources().into_keys()) {
        match &source.origin {
            Origin::Folder(path) if !path.starts_with(&format!("{folder}/")) => paths.push(path.clone()),
            // What lies elsewhere is found where it was.
            Origin::Folder(_) | Origin::Git(_) | Origin::Archive(_) => {}
        }
    }
    Ok((base, at, paths))
}
