//! The mirror: a bare copy of the config repository in the state directory, from which all is read.
//!
//! Keeps true: the mirror's references are the remote's as last seen, so deleting it loses nothing (but
//! for a history that vanished there: it is kept here until it is back); reading never waits for the
//! network. Only one fetch or push runs at a time.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use git2::{Oid, Signature, Time};
use parking_lot::{Mutex, MutexGuard};

use super::{
    durable,
    error::{Context, GitError},
    local,
    objects::read_tree,
    seen::Memory,
    transport::{Credentials, Limits, Session},
    url::RemoteUrl,
};
use crate::model::{
    budget::Budget,
    commit::CommitId,
    source::short_commit,
    tree::{Entry, Tree, followed},
};

/// History branches are state, not something declared.
pub(super) const HISTORY: &str = "refs/heads/evenkeel/history/";
/// Below it lie the marks that keep commits from being collected, by environment.
pub(super) const MARKS: &str = "refs/evenkeel/";
pub(super) const GOOD: &str = "/good";
pub(super) const GOOD_DEFAULT: &str = "/good-default";
/// What is mirrored; everything else at the remote (tags, pull requests) is left there.
pub(super) const MIRRORED: [&str; 2] = ["refs/heads/", MARKS];

/// Whether a reference, in full, is a history branch or one of the marks beside them.
pub fn is_of_history(reference: &str) -> bool {
    reference.starts_with(HISTORY) || reference.starts_with(MARKS)
}

/// The config repository.
#[derive(Debug)]
pub struct Repository {
    pub(super) mirror: PathBuf,
    pub(super) url: RemoteUrl,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    credentials: Credentials,
    author: (String, String),
    writing: Mutex<()>,
    pub(super) memory: Memory,
}

/// The right to write to the mirror: other threads wait, and other processes (a `history` beside the
/// controller). The kernel gives it back when its holder ends, however that ends.
pub(super) struct Writing<'a> {
    _thread: MutexGuard<'a, ()>,
    _process: File,
}

/// What people want to know of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSummary {
    pub id: String,
    pub author: String,
    /// When it was committed.
    pub when: DateTime<Utc>,
    pub subject: String,
}

impl Repository {
    /// Opens the mirror, making it where there is none. Nothing is fetched yet, nor is what writes to it waited for.
    pub fn open(mirror: &Path, url: &RemoteUrl, credentials: Credentials) -> Result<Self, GitError> {
        durable::ensure();
        // The last thing that is made of one is its HEAD, and without that it does not open.
        if git2::Repository::open_bare(mirror).is_err() {
            make(mirror)?;
        }
        let author = (local::AUTHOR.0.to_owned(), local::AUTHOR.1.to_owned());
        let (mirror, url, limits) = (mirror.to_owned(), url.clone(), Limits::default());
        let (budget, writing, memory) = (Budget::STANDARD, Mutex::default(), Memory::default());
        Ok(Self { mirror, url, limits, budget, credentials, author, writing, memory })
    }

    /// How long a remote may take, where that is not [`Limits::default`].
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How much of the remote is downloaded and read, where that is not [`Budget::STANDARD`].
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Who the commits that are written here are by; `evenkeel <evenkeel@localhost>` otherwise.
    pub fn with_author(mut self, name: &str, email: &str) -> Self {
        self.author = (name.to_owned(), email.to_owned());
        self
    }

    /// Where the mirror lies, and the repository that it is of.
    pub fn place(&self) -> (&Path, &RemoteUrl) {
        (&self.mirror, &self.url)
    }

    /// Whether the mirror has a commit.
    pub fn has(&self, commit: &str) -> bool {
        self.mirror().is_ok_and(|mirror| find_commit(&mirror, commit).is_ok())
    }

    /// Every file of a commit.
    pub fn tree(&self, commit: &str) -> Result<Tree, GitError> {
        let mirror = self.mirror()?;
        let root = find_commit(&mirror, commit)?.tree().context("read the tree of", commit)?;
        read_tree(&mirror, root.id(), "", &commit_of(&self.url, commit), &self.budget)
    }

    /// The environment's commit, with what the default branch alone decides taken from there:
    /// `fleet.yaml`, `environments/` and `instances/` below `folder`.
    pub fn composed_tree(&self, default: &str, environment: &str, folder: &str) -> Result<Tree, GitError> {
        let own = self.tree(environment)?;
        if default == environment {
            return Ok(own);
        }
        compose(&own, &self.tree(default)?, folder)
    }

    pub fn commit_summary(&self, commit: &CommitId) -> Result<CommitSummary, GitError> {
        let mirror = self.mirror()?;
        let commit = find_commit(&mirror, commit)?;
        Ok(CommitSummary {
            id: commit.id().to_string(),
            author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
            when: DateTime::from_timestamp(commit.time().seconds(), 0).unwrap_or_default(),
            subject: String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned(),
        })
    }

    /// Whether `commit` is `of` or among its ancestors. One that is not in the mirror at all is not: a
    /// force-pushed branch dropped it, and it was never fetched.
    pub fn is_ancestor(&self, commit: &CommitId, of: &CommitId) -> Result<bool, GitError> {
        let mirror = self.mirror()?;
        let of = find_commit(&mirror, of)?.id();
        let commit = Oid::from_str(commit).context("find commit", commit)?;
        match mirror.find_commit(commit) {
            Ok(found) => descends(&mirror, of, found.id()),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(false),
            Err(error) => Err(error).context("find commit", commit),
        }
    }

    /// The first parent of a commit.
    pub fn parent(&self, commit: &CommitId) -> Result<Option<CommitId>, GitError> {
        let mirror = self.mirror()?;
        let parent = find_commit(&mirror, commit)?.parent_ids().next();
        Ok(parent.map(|parent| parent.to_string().into()))
    }

    /// What to watch for a new commit in a repository on this machine; for others there is nothing to
    /// watch. Only what exists: a file that appears later is found by polling.
    pub fn watch_paths(&self) -> Vec<PathBuf> {
        let RemoteUrl::Local(path) = &self.url else { return Vec::new() };
        let Ok(remote) = local::open(path) else { return Vec::new() };
        let shared = remote.commondir();
        let paths = [shared.join("refs/heads"), shared.join("packed-refs"), remote.path().join("HEAD")];
        paths.into_iter().filter(|path| path.exists()).collect()
    }

    pub(super) fn mirror(&self) -> Result<git2::Repository, GitError> {
        git2::Repository::open_bare(&self.mirror).context("open the mirror", self.mirror.display())
    }

    /// Held while references change, here and at the remote.
    pub(super) fn writing(&self) -> Result<Writing<'_>, GitError> {
        // It guards no value that a panic could have left half-made.
        let thread = self.writing.lock();
        Ok(Writing { _thread: thread, _process: lock(&self.mirror)? })
    }

    /// Writes a commit that no reference names yet.
    pub(super) fn commit(
        &self,
        mirror: &git2::Repository,
        parent: Option<Oid>,
        tree: Oid,
        message: &str,
        when: DateTime<Utc>,
    ) -> Result<Oid, git2::Error> {
        let (name, email) = &self.author;
        let author = Signature::new(name, email, &Time::new(when.timestamp(), 0))?;
        let parent = parent.map(|parent| mirror.find_commit(parent)).transpose()?;
        mirror.commit(None, &author, &author, message, &mirror.find_tree(tree)?, parent.as_ref().as_slice())
    }

    /// Does something with the remote, for `total` at the longest, and tells why it failed in our words rather than libgit2's.
    pub(super) fn with_remote<T>(
        &self,
        mirror: &git2::Repository,
        doing: &'static str,
        total: Duration,
        work: impl FnOnce(&mut git2::Remote<'_>) -> Result<T, git2::Error>,
    ) -> Result<T, GitError> {
        let url = || self.url.to_string();
        let session = Session::open(&self.url, &self.credentials, self.limits, total)
            .map_err(|source| GitError::Remote { doing, url: url(), source: Box::new(source) })?;
        let address = match (&session, &self.url) {
            (Some(session), _) => session.address(),
            (None, RemoteUrl::Local(path)) => {
                local::open(path)?;
                local::file_url(path)?
            }
            (None, RemoteUrl::Http(_) | RemoteUrl::Ssh(_)) => url(),
        };
        let done = mirror.remote_anonymous(&address).and_then(|mut remote| work(&mut remote));
        done.map_err(|source| failed(doing, &self.url, session.as_ref(), source))
    }

    pub(super) fn references(&self, mirror: &git2::Repository) -> Result<BTreeMap<String, Oid>, GitError> {
        let read = || {
            let mut found = BTreeMap::new();
            for reference in mirror.references()? {
                let reference = reference?;
                if let (Ok(name), Some(target)) = (reference.name(), reference.target())
                    && MIRRORED.iter().any(|prefix| name.starts_with(prefix))
                {
                    found.insert(name.to_owned(), target);
                }
            }
            Ok(found)
        };
        read().context("read the references of", self.mirror.display())
    }
}

/// Makes the mirror where there is none, while no other process does.
fn make(mirror: &Path) -> Result<(), GitError> {
    let _making = lock(mirror)?;
    let opened = match git2::Repository::open_bare(mirror) {
        Err(error) if error.code() == git2::ErrorCode::NotFound => {
            let mut options = git2::RepositoryInitOptions::new();
            git2::Repository::init_opts(mirror, options.bare(true).external_template(false))
        }
        opened => opened,
    };
    opened.map(|_| ()).context("open the mirror", mirror.display())
}

/// Why something with a remote failed: what really happened, where the transport knows.
pub(super) fn failed(doing: &'static str, url: &RemoteUrl, session: Option<&Session>, source: git2::Error) -> GitError {
    let url = url.to_string();
    match session.and_then(Session::failure) {
        Some(source) => GitError::Remote { doing, url, source: Box::new(source) },
        None => GitError::RemoteGit { doing, url, heard: session.map(Session::heard), source },
    }
}

/// Waits until no other process writes to the mirror.
fn lock(mirror: &Path) -> Result<File, GitError> {
    let path = mirror.join("evenkeel.lock");
    let told = |source| GitError::File { doing: "lock", path: path.clone(), source };
    fs::create_dir_all(mirror).map_err(told)?;
    let file = File::create(&path).map_err(told)?;
    file.lock().map_err(told)?;
    Ok(file)
}

/// Whether `ancestor` is `of` or among its ancestors.
pub(super) fn descends(mirror: &git2::Repository, of: Oid, ancestor: Oid) -> Result<bool, GitError> {
    Ok(of == ancestor || mirror.graph_descendant_of(of, ancestor).context("follow the parents of", of)?)
}

pub(super) fn find_commit<'r>(mirror: &'r git2::Repository, commit: &str) -> Result<git2::Commit<'r>, GitError> {
    Oid::from_str(commit).and_then(|oid| mirror.find_commit(oid)).context("find commit", commit)
}

/// A commit of a repository, in words.
pub(super) fn commit_of(url: &RemoteUrl, commit: &str) -> String {
    format!("{url} at commit {}", short_commit(commit))
}

/// The tree of an environment's branch, with what the default branch alone decides taken from that one's.
pub fn compose(own: &Tree, default: &Tree, folder: &str) -> Result<Tree, GitError> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let shared = |path: &str| {
        path.strip_prefix(&prefix).is_some_and(|path| {
            // Also when somebody makes a file or a link of the folder's name.
            matches!(path.split('/').next(), Some("fleet.yaml" | "fleet.yml" | "environments" | "instances"))
        })
    };
    let own = own.iter().filter(|(path, _)| !shared(path)).map(|(path, entry)| (path, entry.clone()));
    let taken = default.iter().filter(|(path, _)| shared(path));
    let taken = taken.map(|(path, entry)| (path, without_link(default, folder, path, entry)));
    let mut composed = Tree::default();
    for (path, entry) in own.chain(taken) {
        composed.insert(path, entry).map_err(|path| GitError::Name { path })?;
    }
    Ok(composed)
}

/// What the default branch has at `path`, as the file itself where that is a link: beside an environment's files a link
/// would lead to one of those.
fn without_link(default: &Tree, folder: &str, path: &str, entry: &Entry) -> Entry {
    match (entry, default.file_through_links(folder, path)) {
        (Entry::Symlink { .. }, Some(file)) => file.clone(),
        // One that leads nowhere on the default branch leads nowhere at all: to itself.
        (Entry::Symlink { target }, None) if followed(folder, path, target).is_some() => {
            Entry::Symlink { target: path.rsplit('/').next().unwrap_or(path).to_owned() }
        }
        (entry, _) => entry.clone(),
    }
}
