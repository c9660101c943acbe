//! Sources in the loop, and what is built of them. Where branches and tags of other repositories are is asked whenever the config
//! repository is fetched, so that a change there is deployed like a commit here.
//!
//! Keeps true: what is wanted of an environment names a commit for each of them, so that everything that
//! is keyed on what is wanted (a failure, a quarantine, what is good) is about those very files. A
//! repository that is away stays where it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tracing::{error, info, warn};

use super::Controller;
use crate::{
    engine::{
        history::{log, store::HistoryStore},
        prepare::{Prepared, attempts::Attempt, declared, gathered, off::off},
        sync::{deploy::timestamp, environment::CONTROLLER, error::SyncError},
    },
    host::Host,
    model::{
        build::BuiltReleases,
        environment_state::{Control, EnvironmentState, StateEvent},
        name::EnvironmentName,
        plan::Commits,
        source::{GitSource, SourceCommits},
    },
    release::{self, Builds, Fetcher},
};

/// How long one repository may hold up what all the others bring. It goes on being asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// Two take turns while the newest commits cannot be deployed: they, and the last good ones.
const PREPARED: usize = 2;

/// What an environment's commits name of other repositories.
pub(in crate::engine) type Moving = BTreeMap<EnvironmentName, (Commits, Arc<BTreeMap<String, GitSource>>)>;

/// The sources that were asked where they are, and have not answered yet.
pub(in crate::engine) type Asked = Arc<Mutex<BTreeSet<String>>>;

/// That a source is being asked: for as long as this lives nobody asks it again.
struct Asking {
    asked: Asked,
    name: String,
}

impl Asking {
    /// None where it is being asked already.
    fn begin(asked: &Asked, name: &str) -> Option<Self> {
        let is_first = asked.lock().insert(name.to_owned());
        is_first.then(|| Self { asked: asked.clone(), name: name.to_owned() })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.asked.lock().remove(&self.name);
    }
}

/// Where a source is now. What it does not say in time it may still find out: the mirror has it then. A thread that waits
/// for it cannot be stopped, so there is never a second one.
async fn ask(fetcher: &Arc<dyn Fetcher>, asked: &Asked, name: &str, source: &GitSource) -> Result<String, String> {
    let Some(asking) = Asking::begin(asked, name) else {
        return Err("it was asked before, and has not answered yet".to_owned());
    };
    let (fetcher, source) = (fetcher.clone(), source.clone());
    let answer = tokio::task::spawn_blocking(move || {
        let _asking = asking;
        fetcher.commit(&source)
    });
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => answer.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

impl<H: Host, L: HistoryStore> Controller<H, L> {
    /// The commit of each branch and tag that the environment takes files from.
    pub(in crate::engine) async fn source_commits(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        state: &EnvironmentState,
    ) -> Result<SourceCommits, SyncError> {
        let moving = self.moving(environment, commits).await?;
        let asked = moving.iter().map(|(name, source)| async move {
            let commit = match ask(&self.fetcher, &self.asked, name, source).await {
                Ok(commit) => Some(commit),
                Err(why) => {
                    let known = self.fetcher.last_commit(source);
                    let good = || state.good.as_ref()?.commits.sources.get(name).cloned();
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

    /// What these commits ask of hosts, with all their files, and what is deployed in their place. What is built
    /// is looked up, and made only where that is asked for.
    pub(crate) async fn prepared_for(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        run_builds: bool,
    ) -> Result<Arc<Prepared>, SyncError> {
        let known = self.prepared.lock().get(environment).cloned().unwrap_or_default();
        let known = known.into_iter().filter(|prepared| prepared.commits.agrees(commits));
        let newest = log::newest(&self.store, environment).await?;
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
        let deployed = newest.state.good.map(|good| good.commits.sources).unwrap_or_default();
        if prepared.deployed == deployed { Ok(prepared) } else { Ok(Arc::new((*prepared).clone().after(deployed))) }
    }

    async fn prepare(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        recorded: &BuiltReleases,
        run: bool,
    ) -> Result<Arc<Prepared>, SyncError> {
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else {
            return Err(SyncError::NoCommits);
        };
        let attempt = self.attempt(environment, commits).await?;
        let tree = self.store.tree(default, branch, &self.folder).await?;
        let (name, folder, overrides) = (environment.clone(), self.folder.clone(), self.overrides.clone());
        let (wanted, fetcher) = (commits.clone(), self.fetcher.clone());
        let (build_cache, recorded) = (self.build_cache.clone(), recorded.clone());
        let prepare = move || {
            let builds = Builds { build_cache: build_cache.as_deref(), recorded: Some(&recorded), run };
            let prepared = declared(&tree, &folder, &name, &overrides)
                .and_then(|fleet| gathered(fleet, &tree, wanted, &*fetcher, builds));
            attempt.survived();
            prepared
        };
        let prepared = Arc::new(off(prepare).await??);
        let mut cache = self.prepared.lock();
        let latest = cache.entry(environment.clone()).or_default();
        latest.retain(|known| known.commits != prepared.commits);
        latest.insert(0, prepared.clone());
        latest.truncate(PREPARED);
        Ok(prepared)
    }

    /// Says that these commits are being prepared, unless this process died of them.
    async fn attempt(&self, environment: &EnvironmentName, commits: &Commits) -> Result<Attempt, SyncError> {
        if let Some(condemned) = self.attempts.condemned(Some(environment), commits) {
            return Err(SyncError::Refused(condemned.why));
        }
        let (attempts, environment, commits) = (self.attempts.clone(), environment.clone(), commits.clone());
        Ok(off(move || attempts.begin(Some(&environment), &commits)).await?)
    }

    /// What the history says of commits that this process died of, said there where it is not yet. None: they may be
    /// prepared.
    pub(in crate::engine) async fn quarantined_for_dying(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
        state: &EnvironmentState,
    ) -> Result<Option<EnvironmentState>, SyncError> {
        let Some(condemned) = self.attempts.condemned(Some(environment), commits) else { return Ok(None) };
        if state.quarantined(commits).is_some() {
            self.attempts.recorded(environment, commits);
            return Ok(Some(state.clone()));
        }
        if condemned.recorded {
            info!(%environment, "the quarantine was lifted; the commits are tried again");
            self.attempts.pardon(environment, commits);
            return Ok(None);
        }
        error!(%environment, "{}; they are quarantined", condemned.why);
        let control = Control::Quarantine { commits: commits.clone(), why: condemned.why };
        let event = StateEvent { control, by: CONTROLLER.to_owned(), reason: None, when: timestamp(Utc::now()) };
        let state = log::note(&self.store, environment, &event).await?;
        self.attempts.recorded(environment, commits);
        Ok(Some(state))
    }

    /// Which branches and tags there are to ask for. Nothing where the fleet does not validate: the pass says so.
    async fn moving(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
    ) -> Result<Arc<BTreeMap<String, GitSource>>, SyncError> {
        let known = self.moving.lock().get(environment).cloned();
        if let Some((_, moving)) = known.filter(|(of, _)| of.same_config(commits)) {
            return Ok(moving);
        }
        let (Some(default), Some(branch)) = (&commits.default, &commits.environment) else {
            return Err(SyncError::NoCommits);
        };
        let attempt = self.attempt(environment, commits).await?;
        let tree = self.store.tree(default, branch, &self.folder).await?;
        let (name, folder, overrides) = (environment.clone(), self.folder.clone(), self.overrides.clone());
        let moving = move || {
            let _attempt = attempt;
            let fleet = declared(&tree, &folder, &name, &overrides);
            fleet.map(|(fleet, _)| release::moving(&fleet)).unwrap_or_default()
        };
        let moving = Arc::new(off(moving).await?);
        self.moving.lock().insert(environment.clone(), (commits.clone(), moving.clone()));
        Ok(moving)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;
    use crate::{
        model::{
            source::{ArchiveSource, Revision},
            tree::Tree,
        },
        release::FetchError,
    };

    /// Answers a question when it is told to, and tells when it is asked one.
    struct Slow {
        is_asked: UnboundedSender<()>,
        may_answer: Mutex<mpsc::Receiver<()>>,
    }

    impl Fetcher for Slow {
        fn commit(&self, _: &GitSource) -> Result<String, FetchError> {
            self.is_asked.send(()).expect("the test listens");
            self.may_answer.lock().recv().expect("the test tells");
            Ok("c0ffee".to_owned())
        }

        fn last_commit(&self, _: &GitSource) -> Option<String> {
            None
        }

        fn folder(&self, _: &GitSource, _: &str) -> Result<Tree, FetchError> {
            Ok(Tree::default())
        }

        fn archive(&self, _: &ArchiveSource) -> Result<Tree, FetchError> {
            Ok(Tree::default())
        }
    }

    #[tokio::test]
    async fn a_source_that_is_slow_is_asked_once_at_a_time() {
        let (is_asked, mut hears) = unbounded_channel();
        let (tells, may_answer) = mpsc::channel();
        let fetcher: Arc<dyn Fetcher> = Arc::new(Slow { is_asked, may_answer: Mutex::new(may_answer) });
        let url = "https://git.example.org/other.git".to_owned();
        let source = GitSource { url, revision: Revision::Default, folder: String::new(), credentials: None };
        let asked = Asked::default();
        let first = tokio::spawn({
            let (fetcher, asked, source) = (fetcher.clone(), asked.clone(), source.clone());
            async move { ask(&fetcher, &asked, "other", &source).await }
        });
        hears.recv().await.expect("it is asked");
        // The wait for it may be over by now: the thread goes on, and no other joins it.
        first.abort();
        let again = ask(&fetcher, &asked, "other", &source).await;
        assert_eq!(again, Err("it was asked before, and has not answered yet".to_owned()));
        assert!(hears.try_recv().is_err(), "it is asked twice at once");
        tells.send(()).expect("it listens");
        while !asked.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tells.send(()).expect("it listens");
        assert_eq!(ask(&fetcher, &asked, "other", &source).await, Ok("c0ffee".to_owned()));
        assert!(hears.try_recv().is_ok(), "it is not asked again");
    }
}
