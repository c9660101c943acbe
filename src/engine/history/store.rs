//! The history branch as the engine uses it. [`GitStore`] is the real one, and the config repository too; tests put one in
//! memory in its place.

use std::{collections::BTreeMap, future::Future, path::PathBuf, sync::Arc};

use chrono::Utc;
use parking_lot::Mutex;

use super::followed::Followed;
pub use crate::engine::prepare::config::{ConfigSource, StoreError};
use crate::{
    engine::events::Events,
    git::{Fetched, GitError, Repository, Signer, Tip},
    model::{belief::Held, commit::CommitId, event::EventKind, name::EnvironmentName, plan::Commits, tree::Tree},
    report,
};

/// Files of a history commit, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Where it is written what happened. Every call may wait for the network, but for those that say otherwise.
pub trait HistoryStore: Send + Sync + 'static {
    /// The environments that have a history, as last fetched or written, without the network.
    fn histories(&self) -> impl Future<Output = Result<Vec<EnvironmentName>, StoreError>> + Send;

    /// The newest commit of the history as last fetched or written, without the network.
    fn tip(&self, environment: &EnvironmentName) -> impl Future<Output = Result<Option<Tip>, StoreError>> + Send;

    /// As [`Self::tip`], with no more of its files than the named ones.
    fn head(
        &self,
        environment: &EnvironmentName,
        files: &'static [&'static str],
    ) -> impl Future<Output = Result<Option<Tip>, StoreError>> + Send;

    /// Appends to the history, if it still ends with `seen`.
    fn append(
        &self,
        environment: &EnvironmentName,
        seen: Option<CommitId>,
        files: Files,
        message: String,
    ) -> impl Future<Output = Result<CommitId, StoreError>> + Send;

    /// Keeps the objects of the last good commits from being collected.
    fn mark_good(
        &self,
        environment: &EnvironmentName,
        commits: &Commits,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Which of the commits the branches that the environment follows hold, or held when this controller looked;
    /// without the network.
    fn held(
        &self,
        environment: &EnvironmentName,
        commits: Held,
    ) -> impl Future<Output = Result<Held, StoreError>> + Send;

    /// The newest history commit that this controller believed as a whole, with the named files. None where it is
    /// `newest`, or there is none.
    fn believed_before(
        &self,
        environment: &EnvironmentName,
        newest: &CommitId,
        files: &'static [&'static str],
    ) -> impl Future<Output = Result<Option<Tip>, StoreError>> + Send;

    /// Whether this process knows that it believed the history commit as a whole. What was seen once stays seen, so
    /// nothing of it is asked again.
    fn remembers(&self, _environment: &EnvironmentName, _commit: &CommitId) -> bool {
        false
    }

    /// Remembers that a history commit is believed as a whole.
    fn believe(
        &self,
        environment: &EnvironmentName,
        commit: &CommitId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether a listed key vouches for the history commit and for those since the last believed one. Without a list
    /// nobody has to.
    fn vouched(
        &self,
        _environment: &EnvironmentName,
        _commit: &CommitId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Whether what is written from here counts.
    fn signing(&self) -> impl Future<Output = Result<Signing, StoreError>> + Send {
        async { Ok(Signing::Listed) }
    }
}

/// The config repository, with its histories.
pub trait Store: ConfigSource + HistoryStore {}

impl<S: ConfigSource + HistoryStore> Store for S {}

/// Whether what is written from here counts to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// The list names a key that signs here.
    Listed,
    /// The list names none of the keys that are at hand here. The line to add, where there is a key.
    NotListed(Option<String>),
    /// There is no list. The line to add, where there is a key.
    NoList(Option<String>),
}

impl Signing {
    /// What would make every history safer.
    pub fn advice(&self) -> Vec<String> {
        match self {
            Signing::NoList(line) => vec![report::refusal::no_list(line.as_deref())],
            Signing::Listed | Signing::NotListed(_) => Vec::new(),
        }
    }
}

/// The config repository's mirror, shared by the syncs of all environments. Git's blocking calls go to
/// threads made for them. Those that write take turns by themselves; those that read wait for nobody.
#[derive(Clone)]
pub struct GitStore {
    repository: Arc<Repository>,
    events: Option<Events>,
    /// Which branch each environment follows.
    followed: Arc<Followed>,
    /// The history commits that this process found remembered or remembered itself.
    remembered: Arc<Mutex<BTreeMap<EnvironmentName, CommitId>>>,
    /// The keys that may sign, the first ones before the others.
    signers: Arc<Vec<Signer>>,
}

impl GitStore {
    /// `folder` is the fleet folder: the default branch says there which branch an environment follows.
    pub fn new(repository: Repository, folder: &str) -> Self {
        Self {
            repository: Arc::new(repository),
            events: None,
            followed: Arc::new(Followed::new(folder)),
            remembered: Arc::default(),
            signers: Arc::default(),
        }
    }

    /// What is written is signed by the first of these keys that the default branch lists.
    pub fn with_signers(mut self, signers: Vec<Signer>) -> Self {
        self.signers = Arc::new(signers);
        self
    }

    /// Each commit that is appended to a history is an event.
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = Some(events);
        self
    }

    /// A person deploys these commits from here, whatever branch holds them: to this controller they were seen.
    pub async fn vouch(&self, environment: &EnvironmentName, commits: &Commits) -> Result<(), StoreError> {
        let (environment, commits) = (environment.clone(), commits.clone());
        self.call(move |repository| repository.vouch(&environment, &commits)).await
    }

    /// Where the mirror lies, and the address of the repository that it is of.
    pub fn place(&self) -> (PathBuf, String) {
        let (mirror, url) = self.repository.place();
        (mirror.to_owned(), url.to_string())
    }

    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Repository) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let repository = self.repository.clone();
        // A call that panicked left git's own files consistent: they change by rename.
        Ok(tokio::task::spawn_blocking(move || call(&repository)).await??)
    }
}

impl ConfigSource for GitStore {
    async fn fetch(&self) -> Result<Fetched, StoreError> {
        let followed = self.followed.clone();
        self.call(move |repository| {
            let fetched = repository.fetch()?;
            followed.see(repository, &fetched)?;
            Ok(fetched)
        })
        .await
    }

    async fn last_fetched(&self) -> Result<Option<Fetched>, StoreError> {
        self.call(Repository::last_fetched).await
    }

    async fn tree(&self, default: &CommitId, environment: &CommitId, folder: &str) -> Result<Tree, StoreError> {
        let (default, environment, folder) = (default.clone(), environment.clone(), folder.to_owned());
        self.call(move |repository| repository.composed_tree(&default, &environment, &folder)).await
    }

    async fn is_ancestor(&self, commit: &CommitId, of: &CommitId) -> Result<bool, StoreError> {
        let (commit, of) = (commit.clone(), of.clone());
        self.call(move |repository| repository.is_ancestor(&commit, &of)).await
    }

    async fn subject(&self, commit: &CommitId) -> Option<String> {
        let id = commit.clone();
        self.call(move |repository| repository.commit_summary(&id)).await.ok().map(|summary| summary.subject)
    }
}

impl HistoryStore for GitStore {
    async fn histories(&self) -> Result<Vec<EnvironmentName>, StoreError> {
        self.call(Repository::histories).await
    }

    async fn tip(&self, environment: &EnvironmentName) -> Result<Option<Tip>, StoreError> {
        let environment = environment.clone();
        self.call(move |repository| repository.tip(&environment)).await
    }

    async fn head(
        &self,
        environment: &EnvironmentName,
        files: &'static [&'static str],
    ) -> Result<Option<Tip>, StoreError> {
        let environment = environment.clone();
        self.call(move |repository| repository.head(&environment, files)).await
    }

    async fn append(
        &self,
        environment: &EnvironmentName,
        seen: Option<CommitId>,
        files: Files,
        message: String,
    ) -> Result<CommitId, StoreError> {
        let (name, followed, signers) = (environment.clone(), self.followed.clone(), self.signers.clone());
        let append = move |repository: &Repository| {
            let signer = match &followed.now(repository)?.writers {
                Some(writers) => match signers.iter().find(|signer| signer.is_listed(writers)) {
                    Some(signer) => Some(signer),
                    None => return Ok(None),
                },
                // An agent may ask a person, and nobody needs the signature.
                None => signers.iter().find(|signer| signer.is_at_hand()),
            };
            repository.append_signed(&name, seen.as_ref(), &files, &message, Utc::now(), signer).map(Some)
        };
        let Some(appended) = self.call(append).await? else {
            let line = self.signers.first().map(Signer::line);
            return Err(StoreError::NoWriter { line });
        };
        if let Some(events) = &self.events {
            events.of(environment).emit(EventKind::HistoryAppended { commit: appended.clone() });
        }
        Ok(appended)
    }

    async fn mark_good(&self, environment: &EnvironmentName, commits: &Commits) -> Result<(), StoreError> {
        let (environment, commits) = (environment.clone(), commits.clone());
        self.call(move |repository| repository.mark_good(&environment, &commits)).await
    }

    async fn held(&self, environment: &EnvironmentName, commits: Held) -> Result<Held, StoreError> {
        let (environment, followed) = (environment.clone(), self.followed.clone());
        let held = move |repository: &Repository| {
            repository.held(&environment, &commits, |default| {
                Ok(followed.rules(repository, default)?.branches.get(&environment).cloned())
            })
        };
        self.call(held).await
    }

    async fn believed_before(
        &self,
        environment: &EnvironmentName,
        newest: &CommitId,
        files: &'static [&'static str],
    ) -> Result<Option<Tip>, StoreError> {
        if self.remembers(environment, newest) {
            return Ok(None);
        }
        let environment = environment.clone();
        let tip = self.call(move |repository| repository.believed(&environment, files)).await?;
        Ok(tip.filter(|tip| tip.commit != *newest))
    }

    fn remembers(&self, environment: &EnvironmentName, commit: &CommitId) -> bool {
        self.remembered.lock().get(environment).is_some_and(|remembered| remembered == commit)
    }

    async fn believe(&self, environment: &EnvironmentName, commit: &CommitId) -> Result<(), StoreError> {
        if self.remembers(environment, commit) {
            return Ok(());
        }
        let (name, id) = (environment.clone(), commit.clone());
        self.call(move |repository| repository.believe(&name, &id)).await?;
        self.remembered.lock().insert(environment.clone(), commit.clone());
        Ok(())
    }

    async fn vouched(&self, environment: &EnvironmentName, commit: &CommitId) -> Result<(), StoreError> {
        if self.remembers(environment, commit) {
            return Ok(());
        }
        let (name, id, followed) = (environment.clone(), commit.clone(), self.followed.clone());
        let unlisted = move |repository: &Repository| match &followed.now(repository)?.writers {
            Some(writers) => repository.unlisted(&name, &id, writers),
            None => Ok(None),
        };
        let environment = environment.clone();
        match self.call(unlisted).await? {
            Some(unlisted) => Err(StoreError::Unlisted { environment, unlisted: Box::new(unlisted) }),
            None => Ok(()),
        }
    }

    async fn signing(&self) -> Result<Signing, StoreError> {
        let (followed, signers) = (self.followed.clone(), self.signers.clone());
        let signing = move |repository: &Repository| {
            let line = signers.first().map(Signer::line);
            Ok(match &followed.now(repository)?.writers {
                Some(writers) if signers.iter().any(|signer| signer.is_listed(writers)) => Signing::Listed,
                Some(_) => Signing::NotListed(line),
                None => Signing::NoList(line),
            })
        };
        self.call(signing).await
    }
}
