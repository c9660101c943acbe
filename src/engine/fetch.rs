//! The way to sources that lie elsewhere: other git repositories, each with a mirror of its own, and
//! archives. Both are kept below the state directory; deleting them loses nothing.
//!
//! Keeps true: the config repository's token goes to the config repository's own host and to no other, for
//! an address is named by whoever may write a service's file. What signs in to GitHub is for the config repository
//! itself and for no source: it may see more there than whoever wrote the address. A commit of a branch or tag comes
//! from that branch or tag, whoever names it: a history that somebody wrote brings in none that is not merged there.

use std::path::{Path, PathBuf};

use crate::{
    git::{Credentials, GitError, RemoteUrl, Repository, Token},
    model::{
        digest::Digest,
        source::{ArchiveSource, GitSource, Revision, SourceCredentials},
        tree::Tree,
    },
    release::{
        FetchError, Fetcher,
        archive::{self, Limits},
    },
};

/// Goes out over the network.
#[derive(Debug)]
pub struct NetworkFetcher {
    folder: PathBuf,
    config: RemoteUrl,
    credentials: Credentials,
    limits: Limits,
}

impl NetworkFetcher {
    /// `state` is the state directory; `credentials` are those of the config repository at `config`.
    pub fn new(state: &Path, config: &RemoteUrl, credentials: Credentials) -> Self {
        Self { folder: state.join("sources"), config: config.clone(), credentials, limits: Limits::default() }
    }

    /// How long an archive may take, and how large it may be.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn mirror(&self, source: &GitSource) -> Result<Repository, FetchError> {
        let url: RemoteUrl = source.url.parse().map_err(told)?;
        let credentials = self.credentials(source, &url)?;
        Repository::open(&self.place(source), &url, credentials).map_err(told)
    }

    /// Where the source's mirror lies.
    fn place(&self, source: &GitSource) -> PathBuf {
        self.folder.join("git").join(format!("{}.git", Digest::of(&source.url).short()))
    }

    fn credentials(&self, source: &GitSource, url: &RemoteUrl) -> Result<Credentials, FetchError> {
        let mut credentials = self.credentials.clone();
        if !url.same_host(&self.config) || matches!(credentials.token, Token::Source(_)) {
            credentials.token = Token::None;
        }
        match &source.credentials {
            Some(SourceCredentials::TokenFile(path)) => {
                // Looked at here: git's transport takes a file for a token whatever is in it.
                archive::token(path)?;
                credentials.token = Token::File(path.clone());
            }
            Some(SourceCredentials::SshKey(path)) => credentials.ssh_key = Some(path.clone()),
            None => {}
        }
        Ok(credentials)
    }
}

impl Fetcher for NetworkFetcher {
    fn commit(&self, source: &GitSource) -> Result<String, FetchError> {
        if let Revision::Commit(commit) = &source.revision {
            return Ok(commit.clone());
        }
        self.mirror(source)?.resolve(name(source)).map_err(told)
    }

    fn last_commit(&self, source: &GitSource) -> Option<String> {
        Repository::last_resolved(&self.place(source), name(source))
    }

    fn folder(&self, source: &GitSource, commit: &str) -> Result<Tree, FetchError> {
        let mirror = self.mirror(source)?;
        if source.moving().is_some() && !mirror.revision_holds(name(source), commit).map_err(told)? {
            let (url, revision, commit) = (source.url.clone(), source.revision.to_string(), commit.to_owned());
            return Err(told(GitError::NotHeld { url, revision, commit }));
        }
        mirror.folder(commit, &source.folder).map_err(told)
    }

    fn archive(&self, source: &ArchiveSource) -> Result<Tree, FetchError> {
        Ok(archive::fetch(source, &self.folder.join("archives"), self.limits)?)
    }
}

/// What [`NetworkFetcher`] has fetched into the same state directory, and nothing more: it goes nowhere.
#[derive(Debug)]
pub struct CachedFetcher(NetworkFetcher);

#[derive(Debug, thiserror::Error)]
#[error("it was not fetched yet")]
struct NotFetched;

impl CachedFetcher {
    pub fn new(state: &Path, config: &RemoteUrl) -> Self {
        Self(NetworkFetcher::new(state, config, Credentials::default()))
    }
}

impl Fetcher for CachedFetcher {
    fn commit(&self, source: &GitSource) -> Result<String, FetchError> {
        match &source.revision {
            Revision::Commit(commit) => Ok(commit.clone()),
            Revision::Default | Revision::Named(_) => {
                self.last_commit(source).ok_or_else(|| FetchError::new(NotFetched, None))
            }
        }
    }

    fn last_commit(&self, source: &GitSource) -> Option<String> {
        self.0.last_commit(source)
    }

    fn folder(&self, source: &GitSource, commit: &str) -> Result<Tree, FetchError> {
        let place = self.0.place(source);
        if !place.exists() {
            return Err(FetchError::new(NotFetched, None));
        }
        let url: RemoteUrl = source.url.parse().map_err(told)?;
        let mirror = Repository::open(&place, &url, Credentials::default()).map_err(told)?;
        if !mirror.has(commit) {
            return Err(FetchError::new(NotFetched, None));
        }
        mirror.folder(commit, &source.folder).map_err(told)
    }

    fn archive(&self, source: &ArchiveSource) -> Result<Tree, FetchError> {
        let kept = archive::kept(source, &self.0.folder.join("archives"), &self.0.limits.budget)?;
        kept.ok_or_else(|| FetchError::new(NotFetched, None))
    }
}

fn name(source: &GitSource) -> Option<&str> {
    match &source.revision {
        Revision::Named(name) => Some(name),
        Revision::Default | Revision::Commit(_) => None,
    }
}

fn told(error: GitError) -> FetchError {
    let next = error.hint();
    FetchError::new(error, next)
}
