//! Going back: which deployment to, and its fleet as a commit on a branch.
//!
//! Keeps true: going back is a commit that people merge; what is restored is all that the deployment was made from
//! in the config repository, and nothing else. What it was made from is asked of its own commits, never of today's.

use std::collections::BTreeSet;

use chrono::Utc;
use thiserror::Error;

use crate::{
    declare,
    engine::history::{
        log,
        store::{GitStore, HistoryStore as _, StoreError},
    },
    git::{GitError, Repository},
    model::{
        belief::Held,
        commit::CommitId,
        environment_state::{Control, HistoryEntry},
        name::EnvironmentName,
        outcome::{Kind, Outcome},
        plan::Commits,
        source::Origin,
    },
    report,
};

#[derive(Debug, Error)]
pub enum RollbackError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("generation {generation} of {environment} was never live on all of its instances")]
    NeverApplied { environment: EnvironmentName, generation: u64 },
    #[error(
        "generation {generation} of {environment} is refused: its commit {commit:.12} is on no branch that {environment} \
         follows, and never was when this controller looked"
    )]
    Refused { environment: EnvironmentName, generation: u64, commit: CommitId },
    #[error("{environment} has no earlier deployment to go back to")]
    NothingEarlier { environment: EnvironmentName },
    #[error("what generation {generation} of {environment} was made from cannot be told: {why}")]
    Unreadable { environment: EnvironmentName, generation: u64, why: String },
}

impl RollbackError {
    /// Whether the branch would hold nothing else than what it is to be merged to.
    pub fn is_nothing_to_restore(&self) -> bool {
        matches!(self, Self::Store(StoreError::Git(GitError::NothingToRestore { .. })))
    }
}

/// A branch that holds an earlier deployment's fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub branch: String,
    /// The branch that it is to be merged to.
    pub base: String,
}

/// What was live on all instances once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    pub environment: EnvironmentName,
    pub generation: u64,
    pub commits: Commits,
}

/// The deployment to go back to: of this generation, else the last one that was live before what is live.
pub async fn earlier(
    store: &GitStore,
    environment: &EnvironmentName,
    generation: Option<u64>,
) -> Result<Past, RollbackError> {
    let good = log::newest(store, environment).await?.state.good;
    let applied = applied(store, environment).await?;
    // What the history says was deployed is brought back only if somebody merged it.
    let held = store.held(environment, Held::asked(applied.iter().map(|past| &past.commits))).await?;
    if let Some(named) = applied.iter().find(|past| Some(past.generation) == generation)
        && let Some((_, commit)) = held.refuses(&named.commits)
    {
        let (environment, generation) = (environment.clone(), named.generation);
        return Err(RollbackError::Refused { environment, generation, commit });
    }
    let mut candidates = applied.into_iter().filter(|past| held.refuses(&past.commits).is_none());
    let candidate = candidates.find(|past| match generation {
        Some(generation) => past.generation == generation,
        None => good.as_ref().is_none_or(|good| past.generation < good.generation && past.commits != good.commits),
    });
    let environment = environment.clone();
    candidate.ok_or(match generation {
        Some(generation) => RollbackError::NeverApplied { environment, generation },
        None => RollbackError::NothingEarlier { environment },
    })
}

/// What is live while nothing newer is good. A repair of it may bear the number of a deployment that failed.
pub async fn last_good(store: &GitStore, environment: &EnvironmentName) -> Result<Option<Past>, RollbackError> {
    let Some(good) = log::newest(store, environment).await?.state.good else { return Ok(None) };
    let deployed = applied(store, environment).await?.into_iter().find(|past| past.commits == good.commits);
    let (environment, generation) = (environment.clone(), good.generation);
    Ok(Some(deployed.unwrap_or(Past { environment, generation, commits: good.commits })))
}

/// Newest first.
async fn applied(store: &GitStore, environment: &EnvironmentName) -> Result<Vec<Past>, RollbackError> {
    let name = environment.clone();
    let pick = |entry| Some((was_live_everywhere(&entry), past(entry)));
    let picked = store.call(move |repository| repository.pick_history(&name, pick)).await?;
    let everywhere: BTreeSet<u64> = picked.iter().filter_map(|(everywhere, _)| *everywhere).collect();
    let past = picked.into_iter().filter_map(|(_, past)| past);
    Ok(past.filter(|past| everywhere.contains(&past.generation)).collect())
}

/// What was deployed to some instance at least.
fn past(entry: HistoryEntry) -> Option<Past> {
    let HistoryEntry::Deployment(record) = entry else { return None };
    let deployment = record.deployment.conclusion()?;
    let reached = matches!(deployment.outcome(), Outcome::Applied | Outcome::Partial);
    (reached && deployment.kind == Kind::Change && deployment.commits.environment.is_some()).then(|| Past {
        environment: deployment.environment.clone(),
        generation: deployment.generation,
        commits: deployment.commits.clone(),
    })
}

/// The generation that was live on all instances then. One that was deployed in part comes to that later.
fn was_live_everywhere(entry: &HistoryEntry) -> Option<u64> {
    match entry {
        HistoryEntry::Deployment(record) => {
            let ended = record.deployment.conclusion()?;
            (ended.outcome() == Outcome::Applied).then_some(ended.generation)
        }
        HistoryEntry::Control { event, .. } => match event.control {
            Control::Complete { generation, .. } => Some(generation),
            _ => None,
        },
    }
}

/// Makes the branch. `folder` is the fleet folder, `reason` stands in the commit.
pub async fn restore(
    store: &GitStore,
    folder: &str,
    target: &Past,
    reason: Option<&str>,
) -> Result<Restored, RollbackError> {
    let (folder, target) = (folder.to_owned(), target.clone());
    let branch = format!("evenkeel/rollback/{}-{}", target.environment, target.generation);
    let Past { environment, generation, commits } = &target;
    let message = report::deployment::restore_message(environment, *generation, commits, reason);
    let made = store.call(move |repository| {
        let (base, at) = base(repository, &folder, &target.environment)?;
        let made_from = match made_from(repository, &folder, &target)? {
            Ok(made_from) => made_from,
            Err(error) => return Ok(Err(error)),
        };
        repository.restore(&branch, &at, &made_from.commit, &made_from.paths, &message, Utc::now())?;
        Ok(Ok(Restored { branch, base }))
    });
    made.await?
}

/// The branch to merge to, and the commit there: the one that the environment follows today.
fn base(repository: &Repository, folder: &str, environment: &EnvironmentName) -> Result<(String, CommitId), GitError> {
    let fetched = repository.fetch()?;
    let nothing = || GitError::NoDefaultBranch { url: repository.place().1.to_string() };
    let default = fetched.branches.get(&fetched.default_branch).cloned().ok_or_else(nothing)?;
    let (declaration, _) = declare::read_shared(&repository.tree(&default)?, folder);
    let follows = declaration.as_ref().and_then(|declared| declared.environment_branch(environment));
    // One that is declared no more, or whose branch is gone, comes back with the default branch.
    let follows = follows.and_then(|branch| Some((branch.to_owned(), fetched.branches.get(branch)?.clone())));
    Ok(follows.unwrap_or((fetched.default_branch, default)))
}

/// All that a deployment was made from in the config repository.
struct MadeFrom {
    commit: CommitId,
    paths: Vec<String>,
}

fn made_from(
    repository: &Repository,
    folder: &str,
    target: &Past,
) -> Result<Result<MadeFrom, RollbackError>, GitError> {
    let unreadable = |why: &str| {
        let (environment, generation) = (target.environment.clone(), target.generation);
        Ok(Err(RollbackError::Unreadable { environment, generation, why: why.to_owned() }))
    };
    let Some(commit) = target.commits.environment.clone() else { return unreadable("it names no commit") };
    let default = target.commits.default.as_ref().unwrap_or(&commit);
    let (declaration, findings) = declare::read(&repository.composed_tree(default, &commit, folder)?, folder);
    let fleet =
        declaration.ok_or(findings).and_then(|declared| declared.resolve(&target.environment, &Default::default()));
    let fleet = match fleet {
        Ok(fleet) => fleet,
        Err(findings) => return unreadable(&report::findings::first(&findings)),
    };
    // Code that lies outside of the fleet folder goes back with it.
    let mut paths = vec![folder.to_owned()];
    for source in fleet.sources().into_keys() {
        match &source.origin {
            Origin::Folder(path) if !path.starts_with(&format!("{folder}/")) => paths.push(path.clone()),
            // What lies elsewhere is found where it was.
            Origin::Folder(_) | Origin::Git(_) | Origin::Archive(_) => {}
        }
    }
    Ok(Ok(MadeFrom { commit, paths }))
}
