//! The mirror: a bare copy of the config repository in the state directory, from which all is read.
//!
//! Keeps true: the mirror's references are the remote's as last seen, so deleting it loses nothing;
//! reading never waits for the network. Only one fetch or push runs at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use git2::{AutotagOption, Direction, FetchOptions, ObjectType, Oid};

use super::{
    error::{Context, GitError},
    local,
    transport::{Credentials, Session},
    url::RemoteUrl,
};
use crate::model::tree::{Entry, Tree};

/// History branches are state, not something declared.
pub(super) const HISTORY: &str = "refs/heads/evenkeel/history/";
/// What is mirrored; everything else at the remote (tags, pull requests) is left there.
const MIRRORED: [&str; 2] = ["refs/heads/", "refs/evenkeel/"];

/// The config repository.
#[derive(Debug)]
pub struct Repository {
    mirror: PathBuf,
    pub(super) url: RemoteUrl,
    credentials: Credentials,
    pub(super) author: (String, String),
    writing: Mutex<()>,
}

/// The remote's references as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub default_branch: String,
    /// The newest commit of each branch, but for the history branches.
    pub branches: BTreeMap<String, String>,
    /// Whether any reference, those of the history too, moved since the last fetch.
    pub changed: bool,
}

/// The right to write to the mirror: other threads wait, and other processes (a `history` beside the
/// reconciler). The kernel gives it back when its holder ends, however that ends.
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
    /// Opens the mirror, making it where there is none. Nothing is fetched yet.
    pub fn open(mirror: &Path, url: &RemoteUrl, credentials: Credentials) -> Result<Self, GitError> {
        let _making = lock(mirror)?;
        let opened = match git2::Repository::open_bare(mirror) {
            Err(error) if error.code() == git2::ErrorCode::NotFound => {
                let mut options = git2::RepositoryInitOptions::new();
                git2::Repository::init_opts(mirror, options.bare(true).external_template(false))
            }
            opened => opened,
        };
        opened.context("open the mirror", mirror.display())?;
        let author = (local::AUTHOR.0.to_owned(), local::AUTHOR.1.to_owned());
        Ok(Self { mirror: mirror.to_owned(), url: url.clone(), credentials, author, writing: Mutex::default() })
    }

    /// Who the commits on the history branches are by; `evenkeel <evenkeel@localhost>` otherwise.
    pub fn with_author(mut self, name: &str, email: &str) -> Self {
        self.author = (name.to_owned(), email.to_owned());
        self
    }

    /// Makes the mirror's references the remote's.
    pub fn fetch(&self) -> Result<Fetched, GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let before = self.references(&mirror)?;
        let head_before = head(&mirror);
        let head_now = self.with_remote(&mirror, "fetch from", |remote| {
            let mut connection = remote.connect_auth(Direction::Fetch, None, None)?;
            let heads: Vec<_> = connection
                .list()?
                .iter()
                .map(|head| (head.name().to_owned(), head.symref_target().map(str::to_owned), head.oid()))
                .collect();
            let there: BTreeSet<_> = heads.iter().map(|(name, ..)| name).collect();
            // First what is gone, or a branch `a` would stand in the way of a new branch `a/b`.
            for name in before.keys().filter(|name| !there.contains(name)) {
                mirror.find_reference(name)?.delete()?;
            }
            let refspecs = MIRRORED.map(|prefix| format!("+{prefix}*:{prefix}*"));
            let mut options = FetchOptions::new();
            options.download_tags(AutotagOption::None).update_fetchhead(false);
            connection.remote().fetch(&refspecs, Some(&mut options), None)?;
            Ok(default_branch(&heads))
        })?;
        let head_now = head_now.ok_or_else(|| GitError::NoDefaultBranch { url: self.url.to_string() })?;
        if head_before.as_deref() != Some(&head_now) {
            mirror.set_head(&head_now).context("set HEAD of", self.mirror.display())?;
        }
        let after = self.references(&mirror)?;
        let changed = before != after || head_before.as_deref() != Some(&head_now);
        Ok(fetched(&head_now, after, changed))
    }

    /// What the last fetch found, without the network. None before the first.
    pub fn last_fetched(&self) -> Result<Option<Fetched>, GitError> {
        let mirror = self.mirror()?;
        let references = self.references(&mirror)?;
        let head = head(&mirror).filter(|head| references.contains_key(head));
        Ok(head.map(|head| fetched(&head, references, false)))
    }

    /// Every file of a commit.
    pub fn tree(&self, commit: &str) -> Result<Tree, GitError> {
        let mirror = self.mirror()?;
        let root = find_commit(&mirror, commit)?.tree().context("read the tree of", commit)?;
        let mut tree = Tree::default();
        add_tree(&mirror, &root, "", &mut tree)?;
        Ok(tree)
    }

    /// The environment's commit, with what the default branch alone decides taken from there:
    /// `fleet.yaml`, `environments/` and `instances/` below `folder`.
    pub fn composed_tree(&self, default: &str, environment: &str, folder: &str) -> Result<Tree, GitError> {
        let own = self.tree(environment)?;
        if default == environment {
            return Ok(own);
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let shared = |path: &str| {
            path.strip_prefix(&prefix).is_some_and(|path| {
                // Also when somebody makes a file or a link of the folder's name.
                matches!(path.split('/').next(), Some("fleet.yaml" | "environments" | "instances"))
            })
        };
        let default = self.tree(default)?;
        let entries =
            own.iter().filter(|(path, _)| !shared(path)).chain(default.iter().filter(|(path, _)| shared(path)));
        let mut composed = Tree::default();
        for (path, entry) in entries {
            composed.insert(path, entry.clone()).map_err(|path| GitError::Name { path })?;
        }
        Ok(composed)
    }

    pub fn commit_summary(&self, commit: &str) -> Result<CommitSummary, GitError> {
        let mirror = self.mirror()?;
        let commit = find_commit(&mirror, commit)?;
        Ok(CommitSummary {
            id: commit.id().to_string(),
            author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
            when: DateTime::from_timestamp(commit.time().seconds(), 0).unwrap_or_default(),
            subject: String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned(),
        })
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
        let thread = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Writing { _thread: thread, _process: lock(&self.mirror)? })
    }

    /// Does something with the remote, and tells why it failed in our words rather than libgit2's.
    pub(super) fn with_remote<T>(
        &self,
        mirror: &git2::Repository,
        doing: &'static str,
        work: impl FnOnce(&mut git2::Remote<'_>) -> Result<T, git2::Error>,
    ) -> Result<T, GitError> {
        let url = || self.url.to_string();
        let session = Session::open(&self.url, &self.credentials).map_err(|source| GitError::Remote {
            doing,
            url: url(),
            source: Box::new(source),
        })?;
        let address = match (&session, &self.url) {
            (Some(session), _) => session.address(),
            (None, RemoteUrl::Local(path)) => {
                local::open(path)?;
                local::file_url(path)?
            }
            (None, RemoteUrl::Http(_) | RemoteUrl::Ssh(_)) => url(),
        };
        mirror.remote_anonymous(&address).and_then(|mut remote| work(&mut remote)).map_err(|source| {
            match session.as_ref().and_then(Session::failure) {
                Some(source) => GitError::Remote { doing, url: url(), source: Box::new(source) },
                None => GitError::RemoteGit { doing, url: url(), source },
            }
        })
    }

    fn references(&self, mirror: &git2::Repository) -> Result<BTreeMap<String, Oid>, GitError> {
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

/// The full name of the branch that HEAD is at. A HEAD that names no branch (nothing is committed
/// there yet, or it is detached) leaves no doubt when there is only one branch.
fn default_branch(heads: &[(String, Option<String>, Oid)]) -> Option<String> {
    let branches = || heads.iter().filter(|(name, ..)| name.starts_with("refs/heads/") && !name.starts_with(HISTORY));
    let named = heads.iter().find(|(name, ..)| name == "HEAD").and_then(|(_, target, oid)| match target {
        Some(target) => branches().find(|(name, ..)| name == target),
        None => branches().find(|(.., at)| at == oid),
    });
    let only = || Some(branches().next()?).filter(|_| branches().count() == 1);
    named.or_else(only).map(|(name, ..)| name.clone())
}

fn head(mirror: &git2::Repository) -> Option<String> {
    let head = mirror.find_reference("HEAD").ok()?;
    head.symbolic_target().ok().flatten().map(str::to_owned)
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

fn fetched(head: &str, references: BTreeMap<String, Oid>, changed: bool) -> Fetched {
    let branches = references
        .into_iter()
        .filter(|(name, _)| !name.starts_with(HISTORY))
        .filter_map(|(name, oid)| Some((name.strip_prefix("refs/heads/")?.to_owned(), oid.to_string())))
        .collect();
    let default_branch = head.strip_prefix("refs/heads/").unwrap_or(head).to_owned();
    Fetched { default_branch, branches, changed }
}

pub(super) fn find_commit<'r>(mirror: &'r git2::Repository, commit: &str) -> Result<git2::Commit<'r>, GitError> {
    Oid::from_str(commit).and_then(|oid| mirror.find_commit(oid)).context("find commit", commit)
}

fn add_tree(mirror: &git2::Repository, from: &git2::Tree<'_>, folder: &str, tree: &mut Tree) -> Result<(), GitError> {
    for item in from {
        let name = std::str::from_utf8(item.name_bytes())
            .map_err(|_| GitError::Name { path: format!("{folder}{}", String::from_utf8_lossy(item.name_bytes())) })?;
        let path = format!("{folder}{name}");
        let entry = match item.kind() {
            Some(ObjectType::Tree) => {
                let below = mirror.find_tree(item.id()).context("read", &path)?;
                add_tree(mirror, &below, &format!("{path}/"), tree)?;
                continue;
            }
            Some(ObjectType::Commit) => Entry::Submodule,
            _ => {
                let blob = mirror.find_blob(item.id()).context("read", &path)?;
                match item.filemode() {
                    0o120_000 => Entry::Symlink {
                        target: String::from_utf8(blob.content().to_vec())
                            .map_err(|_| GitError::Name { path: path.clone() })?,
                    },
                    mode => Entry::File { content: blob.content().into(), executable: mode & 0o100 != 0 },
                }
            }
        };
        tree.insert(&path, entry).map_err(|path| GitError::Name { path })?;
    }
    Ok(())
}
