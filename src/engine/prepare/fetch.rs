//! The way to sources that lie elsewhere: other git repositories, each with a mirror of its own, and
//! archives. Both are kept below the state directory; deleting them loses nothing.
//!
//! Keeps true: an address is named by whoever may write a service's file, so nothing lets a source in but the credential
//! that it names, at addresses that the controller's operator listed for it; neither the config repository's token, nor
//! what signs in to GitHub, nor the key of hosts. What was fetched with one credential, or from one address, is kept
//! for sources that name the same. A commit of a branch or tag comes from that branch or tag, whoever names it: a history
//! that somebody wrote brings in none that is not merged there.
//!
//! Preparing has two halves. What is declared needs the tree and nothing else; then everything that lies
//! elsewhere comes through one port, `release::Fetcher`, all of it before the first host is touched. With
//! `release::Unfetched` in its place nothing goes anywhere: that is for plans of what nobody trusts yet. `release/`
//! and `git/` are neighbours and do not see one another, so the real one, over both, is `engine/prepare/fetch.rs`. An
//! archive is unpacked only when the file on disk has its digest, in memory, and counted while it comes. Addresses of
//! sources are named by whoever may write a service's file, so nothing in git names a file of the controller: a
//! source names a credential, the operator's file (`--credentials`) says what that is and for which addresses.
//! Without it a source reaches public IP addresses over https and ssh. A `model::reach::Scope` goes with each fetch:
//! the IP address that is connected to is judged, each redirect anew, and what lets the source in goes only where the
//! scope carries it. What lets us into the config repository, what signs in to GitHub, the agent and the key of hosts
//! go to no source. What was fetched is kept by address and credential, in full digests. The operator's addresses
//! (`--repo`) have no scope.

use std::path::{Path, PathBuf};

use super::access::{AccessError, AccessFile};
use crate::{
    git::{self, Credentials, GitError, RemoteUrl, Repository, Token},
    model::{
        commit::CommitId,
        digest::Digest,
        reach::{Scope, Secret},
        source::{ArchiveSource, GitSource, Revision},
        tree::Tree,
    },
    release::{
        FetchError, Fetcher,
        archive::{self, Access, Limits},
    },
};

/// Goes out over the network.
#[derive(Debug)]
pub struct NetworkFetcher {
    folder: PathBuf,
    access: AccessFile,
    /// By what servers are known.
    servers: Credentials,
    limits: Limits,
}

impl NetworkFetcher {
    /// `state` is the state directory. Of `config`, which is for the config repository, sources are given what servers
    /// are known by and nothing that lets anybody in.
    pub fn new(state: &Path, config: &Credentials, access: AccessFile) -> Self {
        let (ca_file, known_hosts) = (config.ca_file.clone(), config.known_hosts.clone());
        let servers = Credentials { ca_file, known_hosts, ..Credentials::default() };
        Self { folder: state.join("sources"), access, servers, limits: Limits::default() }
    }

    /// How long an archive may take, and how large it may be.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn mirror(&self, source: &GitSource) -> Result<Repository, FetchError> {
        let url: RemoteUrl = source.url.parse().map_err(told)?;
        let (scope, secret) = self.access.entry(source.credentials.as_ref(), url.address())?;
        if let RemoteUrl::Local(path) = &url {
            self.access.admit_places(&scope, &git::places(path).map_err(told)?)?;
        }
        let credentials = self.credentials(scope, secret)?;
        Repository::open(&self.place(source), &url, credentials).map_err(told)
    }

    /// Where the source's mirror lies. Not in `git`, where mirrors were kept by their address alone once.
    fn place(&self, source: &GitSource) -> PathBuf {
        let credential = source.credentials.as_ref().map_or("", |name| name.as_str());
        let name = Digest::of(format!("{}\n{credential}", source.url));
        self.folder.join("repositories").join(format!("{name}.git"))
    }

    fn credentials(&self, scope: Scope, secret: Option<Secret>) -> Result<Credentials, FetchError> {
        let mut credentials = Credentials { scope: Some(scope.into()), ..self.servers.clone() };
        match secret {
            Some(Secret::Token(path)) => {
                // Looked at here: git's transport takes a file for a token whatever is in it.
                archive::token(&path)?;
                credentials.token = Token::File(path);
            }
            Some(Secret::Netrc(path)) => credentials.token = Token::Netrc(path),
            Some(Secret::SshKey(path)) => credentials.ssh_key = Some(path),
            None => {}
        }
        Ok(credentials)
    }
}

impl Fetcher for NetworkFetcher {
    fn commit(&self, source: &GitSource) -> Result<CommitId, FetchError> {
        if let Revision::Commit(commit) = &source.revision {
            return Ok(commit.clone());
        }
        self.mirror(source)?.resolve(name(source)).map_err(told)
    }

    fn last_commit(&self, source: &GitSource) -> Option<CommitId> {
        Repository::last_resolved(&self.place(source), name(source))
    }

    fn folder(&self, source: &GitSource, commit: &CommitId) -> Result<Tree, FetchError> {
        let mirror = self.mirror(source)?;
        if source.moving().is_some() && !mirror.revision_holds(name(source), commit).map_err(told)? {
            let (url, revision, commit) = (source.url.clone(), source.revision.to_string(), commit.to_owned());
            return Err(told(GitError::NotHeld { url, revision, commit }));
        }
        mirror.folder(commit, &source.folder).map_err(told)
    }

    fn archive(&self, source: &ArchiveSource) -> Result<Tree, FetchError> {
        // Of those that an archive may have, git takes each for the same place.
        let url: RemoteUrl = source.url.parse().map_err(told)?;
        let (scope, secret) = self.access.entry(source.credentials.as_ref(), url.address())?;
        if let RemoteUrl::Local(path) = &url {
            self.access.admit_places(&scope, std::slice::from_ref(path))?;
        }
        let access = Access { scope: &scope, secret: secret.as_ref(), client: git::client };
        Ok(archive::fetch(source, &self.folder.join("archives"), self.limits, access)?)
    }
}

/// What [`NetworkFetcher`] has fetched into the same state directory, and nothing more: it goes nowhere.
#[derive(Debug)]
pub struct CachedFetcher(NetworkFetcher);

#[derive(Debug, thiserror::Error)]
#[error("it was not fetched yet")]
struct NotFetched;

impl CachedFetcher {
    pub fn new(state: &Path) -> Self {
        Self(NetworkFetcher::new(state, &Credentials::default(), AccessFile::default()))
    }
}

impl Fetcher for CachedFetcher {
    fn commit(&self, source: &GitSource) -> Result<CommitId, FetchError> {
        match &source.revision {
            Revision::Commit(commit) => Ok(commit.clone()),
            Revision::Default | Revision::Named(_) => {
                self.last_commit(source).ok_or_else(|| FetchError::new(NotFetched, None))
            }
        }
    }

    fn last_commit(&self, source: &GitSource) -> Option<CommitId> {
        self.0.last_commit(source)
    }

    fn folder(&self, source: &GitSource, commit: &CommitId) -> Result<Tree, FetchError> {
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

impl From<AccessError> for FetchError {
    fn from(error: AccessError) -> Self {
        let next = error.hint();
        Self::new(error, next)
    }
}
