//! Sources in the loop, and what is built of them. Where branches and tags of other repositories are is asked whenever the config
//! repository is fetched, so that a change there is deployed like a commit here.
//!
//! Keeps true: what is wanted of an environment names a commit for each of them, so that everything that
//! is keyed on what is wanted (a failure, a quarantine, what is good) is about those very files. A
//! repository that is away stays where it was.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tracing::warn;

use super::{
    Prepared, chronicle,
    ledger::Ledger,
    prepare::{declared, gathered},
    reconcile::{Reconciler, lock},
    round_error::RoundError,
};
use crate::{
    host::Host,
    model::{
        build::BuiltReleases,
        name::EnvironmentName,
        plan::Commits,
        source::{GitSource, SourceCommits},
        standing::Standing,
    },
    release::{self, Builds},
};

/// How long one repository may hold up what all the others bring. It goes on being asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// Two take turns while the newest commits cannot be deployed: they, and the last good ones.
const PREPARED: usize = 2;

/// What an environment's commits name of other repositories.
pub(super) type Moving = BTreeMap<EnvironmentName, (Commits, Arc<BTreeMap<String, GitSource>>)>;

impl<H: Host, L: Ledger> Reconciler<H, L> {
    /// The commit of each branch and tag that the environment takes files from.
    pub(super) async fn source_commits(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        standing: &Standing,
    ) -> Result<SourceCommits, RoundError> {
        let moving = self.moving(environment, commits).await?;
        let asked = moving.iter().map(|(name, source)| async move {
            let commit = match self.ask_source(source).await {
                Ok(commit) => Some(commit),
                Err(why) => {
                    let known = self.fetcher.last_commit(source);
                    let good = || standing.good.as_ref()?.commits.sources.get(name).cloned();
                    let known = known.or_else(good);
                    let then = known.as_deref().map_or("nothing is known of it", |_| "going on with what it was");
                    warn!(%environment, "{name}: {why}; {then}");
                    known
                }
            };
            Some((name.clone(), commit?))
        });
        Ok(join_all(asked).await.into_iter().flatten().collect())
    }

    async fn ask_source(&self, source: &GitSource) -> Result<String, String> {
        let (fetcher, source) = (self.fetcher.clone(), source.clone());
        let asked = tokio::task::spawn_blocking(move || fetcher.commit(&source));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    /// What these commits ask of hosts, with all their files, and what is deployed in their place. What is built
    /// is looked up, and made only where that is asked for.
    pub(super) async fn prepared_for(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        run_builds: bool,
    ) -> Result<Arc<Prepared>, RoundError> {
        let known = lock(&self.prepared).get(environment).cloned().unwrap_or_default();
        let known = known.into_iter().filter(|prepared| prepared.commits.agrees(commits));
        let newest = chronicle::newest(&self.ledger, environment).await?;
        let recorded = newest.builds();
        let fits = |prepared: &Prepared| {
            if run_builds { prepared.is_built() } else { prepared.is_as_recorded(&recorded) }
        };
        let prepared = match known.into_iter().find(|prepared| fits(prepared)) {
            Some(prepared) => prepared,
            None => self.prepare(environment, commits, &recorded, run_builds).await?,
        };
        if prepared.commits.sources.is_empty() {
            return Ok(prepared);
        }
        let deployed = newest.standing.good.map(|good| good.commits.sources).unwrap_or_default();
        if prepared.deployed == deployed { Ok(prepared) } else { Ok(Arc::new((*prepared).clone().after(deployed))) }
    }

    async fn prepare(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        recorded: &BuiltReleases,
        run: bool,
    ) -> Result<Arc<Prepared>, RoundError> {
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else {
            return Err(RoundError::NoCommits);
        };
        let tree = self.ledger.tree(default, branch, &self.folder).await?;
        let fleet = declared(&tree, &self.folder, environment, &self.overrides)?;
        let waits = fleet.0.sources().keys().any(|source| source.is_elsewhere() || source.build.is_some());
        let (wanted, fetcher) = (commits.clone(), self.fetcher.clone());
        let (workshop, recorded) = (self.workshop.clone(), recorded.clone());
        let gather = move || {
            let builds = Builds { workshop: workshop.as_deref(), recorded: Some(&recorded), run };
            gathered(fleet, &tree, wanted, &*fetcher, builds)
        };
        let prepared = if waits { tokio::task::spawn_blocking(gather).await? } else { gather() }?;
        let prepared = Arc::new(prepared);
        let mut cache = lock(&self.prepared);
        let latest = cache.entry(environment.clone()).or_default();
        latest.retain(|known| known.commits != prepared.commits);
        latest.insert(0, prepared.clone());
        latest.truncate(PREPARED);
        Ok(prepared)
    }

    /// Which branches and tags there are to ask for. Nothing where the fleet does not validate: the pass says so.
    async fn moving(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
    ) -> Result<Arc<BTreeMap<String, GitSource>>, RoundError> {
        let known = lock(&self.moving).get(environment).cloned();
        if let Some((_, moving)) = known.filter(|(of, _)| of.same_config(commits)) {
            return Ok(moving);
        }
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else {
            return Err(RoundError::NoCommits);
        };
        let tree = self.ledger.tree(default, branch, &self.folder).await?;
        let fleet = declared(&tree, &self.folder, environment, &self.overrides);
        let moving = Arc::new(fleet.map(|(fleet, _)| release::moving(&fleet)).unwrap_or_default());
        lock(&self.moving).insert(environment.clone(), (commits.clone(), moving.clone()));
        Ok(moving)
    }
}
