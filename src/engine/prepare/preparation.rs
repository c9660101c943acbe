//! Commits to what they ask of hosts, with what is kept from sync to sync so that a commit is read once.
//!
//! Keeps true: what is wanted of an environment names a commit for each source of another repository, so that everything
//! that is keyed on it (a failure, a quarantine, what is good) is about those very files; a repository that is away stays
//! where it was; commits that this process died of are not read again.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use parking_lot::Mutex;
use thiserror::Error;

use super::{
    PrepareError, Prepared,
    attempts::{Attempt, Attempts},
    config::{ConfigSource, StoreError},
    declared, gathered,
    off::off,
    sources::{Asked, ask},
};
use crate::{
    declare::Overrides,
    engine::Watch,
    model::{
        build::BuiltReleases,
        event::{Detail, EventKind},
        name::EnvironmentName,
        plan::Commits,
        source::{GitSource, SourceCommits},
    },
    release::{self, BuildCache, Builds, Fetcher, Unfetched},
};

/// Two take turns while the newest commits cannot be deployed: they, and the last good ones.
const PREPARED: usize = 2;

/// What commits name of other repositories.
pub type Moving = Arc<BTreeMap<String, GitSource>>;

/// What the history tells a preparation.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// What was made of builds.
    pub builds: BuiltReleases,
    /// Where the sources of the last good deployment were.
    pub sources: SourceCommits,
}

/// Whether builds that are not kept are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    Run,
    LookUp,
}

#[derive(Debug, Error)]
pub enum PreparationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Condemned(String),
    #[error("the default branch holds no environment that is complete enough to go on")]
    NoCommits,
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("fetching what lies elsewhere did not end")]
    Panicked(#[from] tokio::task::JoinError),
}

/// How commits become what hosts should hold.
pub struct Preparation {
    /// The fleet folder below the repository's root.
    pub folder: String,
    pub overrides: Overrides,
    /// The way to sources that lie elsewhere than in the repository.
    pub fetcher: Arc<dyn Fetcher>,
    /// Where builds are run and kept; without it none is.
    pub build_cache: Option<Arc<BuildCache>>,
    /// Which commits are being prepared.
    pub attempts: Arc<Attempts>,
    /// The last commits of each environment, the latest first.
    latest: Mutex<BTreeMap<EnvironmentName, Vec<Arc<Prepared>>>>,
    asked: Asked,
}

impl Preparation {
    /// Fetches nothing and builds nothing, until it is given the means.
    pub fn new(folder: String, overrides: Overrides) -> Self {
        Self {
            folder,
            overrides,
            fetcher: Arc::new(Unfetched),
            build_cache: None,
            attempts: Arc::default(),
            latest: Mutex::default(),
            asked: Asked::default(),
        }
    }

    /// What was prepared last of the environment.
    pub fn latest(&self, environment: &EnvironmentName) -> Option<Arc<Prepared>> {
        self.latest.lock().get(environment).and_then(|latest| latest.first().cloned())
    }

    /// What these commits ask of hosts, with all their files, and what is deployed in their place.
    pub async fn prepared(
        &self,
        config: &impl ConfigSource,
        environment: &EnvironmentName,
        commits: &Commits,
        recorded: Recorded,
        build: Build,
    ) -> Result<Arc<Prepared>, PreparationError> {
        let known = self.latest.lock().get(environment).cloned().unwrap_or_default();
        let known = known.into_iter().filter(|prepared| prepared.commits.agrees(commits));
        let fits = |prepared: &Prepared| match build {
            Build::Run => prepared.is_built(),
            Build::LookUp => prepared.is_as_recorded(&recorded.builds),
        };
        let prepared = match known.into_iter().find(|prepared| fits(prepared)) {
            Some(prepared) => prepared,
            None => self.prepare(config, environment, commits, recorded.builds, build).await?,
        };
        if prepared.commits.sources.is_empty() || prepared.deployed == recorded.sources {
            return Ok(prepared);
        }
        Ok(Arc::new((*prepared).clone().after(recorded.sources)))
    }

    async fn prepare(
        &self,
        config: &impl ConfigSource,
        environment: &EnvironmentName,
        commits: &Commits,
        recorded: BuiltReleases,
        build: Build,
    ) -> Result<Arc<Prepared>, PreparationError> {
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else {
            return Err(PreparationError::NoCommits);
        };
        let attempt = self.attempt(environment, commits).await?;
        let tree = config.tree(default, branch, &self.folder).await?;
        let (name, folder, overrides) = (environment.clone(), self.folder.clone(), self.overrides.clone());
        let (commits, fetcher, build_cache) = (commits.clone(), self.fetcher.clone(), self.build_cache.clone());
        let prepare = move || {
            let run = build == Build::Run;
            let builds = Builds { build_cache: build_cache.as_deref(), recorded: Some(&recorded), run };
            let prepared = declared(&tree, &folder, &name, &overrides)
                .and_then(|fleet| gathered(fleet, &tree, commits, &*fetcher, builds));
            attempt.survived();
            prepared
        };
        let prepared = Arc::new(off(prepare).await??);
        let mut cache = self.latest.lock();
        let latest = cache.entry(environment.clone()).or_default();
        latest.retain(|known| known.commits != prepared.commits);
        latest.insert(0, prepared.clone());
        latest.truncate(PREPARED);
        Ok(prepared)
    }

    /// Says that these commits are being prepared, unless this process died of them.
    async fn attempt(&self, environment: &EnvironmentName, commits: &Commits) -> Result<Attempt, PreparationError> {
        if let Some(condemned) = self.attempts.condemned(Some(environment), commits) {
            return Err(PreparationError::Condemned(condemned.why));
        }
        let (attempts, environment, commits) = (self.attempts.clone(), environment.clone(), commits.clone());
        Ok(off(move || attempts.begin(Some(&environment), &commits)).await?)
    }

    /// Which branches and tags there are to ask for. Nothing where the fleet does not validate: the sync says so.
    pub async fn moving(
        &self,
        config: &impl ConfigSource,
        environment: &EnvironmentName,
        commits: &Commits,
    ) -> Result<Moving, PreparationError> {
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else {
            return Err(PreparationError::NoCommits);
        };
        let attempt = self.attempt(environment, commits).await?;
        let tree = config.tree(default, branch, &self.folder).await?;
        let (name, folder, overrides) = (environment.clone(), self.folder.clone(), self.overrides.clone());
        let moving = move || {
            let _attempt = attempt;
            let fleet = declared(&tree, &folder, &name, &overrides);
            fleet.map(|(fleet, _)| release::moving(&fleet)).unwrap_or_default()
        };
        Ok(Arc::new(off(moving).await?))
    }

    /// The commit of each branch and tag. `good`: where they were when the last good deployment was made.
    pub async fn source_commits(
        &self,
        moving: &Moving,
        good: Option<&SourceCommits>,
        watch: &Watch<'_>,
    ) -> SourceCommits {
        let asked = moving.iter().map(|(name, source)| async move {
            let commit = match ask(&self.fetcher, &self.asked, name, source).await {
                Ok(commit) => Some(commit),
                Err(why) => {
                    let known = self.fetcher.last_commit(source);
                    let known = known.or_else(|| good?.get(name).cloned());
                    let goes_on = known.is_some();
                    watch(EventKind::SourceUnknown { source: Detail::of(name), goes_on, why: Detail::of(why) });
                    known
                }
            };
            Some((name.clone(), commit?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
