//! The work tree as a tree of files: what a person has in front of them, committed or not.
//!
//! Keeps true: what git would not take (ignored files, `.git`, sockets) is not there; what git tracks
//! is there although a pattern ignores it. Never writes.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use ignore::{DirEntry, WalkBuilder};

use super::{
    error::{Context, GitError},
    objects,
};
use crate::model::{
    budget::{Budget, Exceeded, Tally},
    commit::CommitId,
    tree::{Entry, Tree},
};

/// A work tree, read.
#[derive(Debug, Clone)]
pub struct WorkTree {
    /// All of the repository; without a repository, only what lies in the fleet folder.
    pub tree: Tree,
    /// The repository's root; without a repository, the folder that holds the fleet folder.
    pub root: PathBuf,
    /// The fleet folder's path below the root.
    pub fleet: String,
    /// What HEAD is at; none before the first commit and without a repository.
    pub commit: Option<CommitId>,
    /// Whether the work tree is what HEAD says; never so without a repository.
    pub clean: bool,
}

/// Reads the work tree that the fleet folder lies in.
pub fn work_tree(folder: &Path) -> Result<WorkTree, GitError> {
    work_tree_within(folder, &Budget::STANDARD)
}

/// As [`work_tree`], within another budget than the standard one.
pub fn work_tree_within(folder: &Path, budget: &Budget) -> Result<WorkTree, GitError> {
    let folder = fs::canonicalize(folder).map_err(|source| file_error("open", folder, source))?;
    if !folder.is_dir() {
        return Err(file_error("open", &folder, std::io::ErrorKind::NotADirectory.into()));
    }
    match git2::Repository::discover(&folder) {
        Ok(repository) => match repository.workdir().map(fs::canonicalize) {
            Some(root) => in_repository(
                &repository,
                &root.map_err(|source| file_error("open", &folder, source))?,
                &folder,
                budget,
            ),
            None => alone(&folder, budget),
        },
        Err(error) if error.code() == git2::ErrorCode::NotFound => alone(&folder, budget),
        Err(error) => Err(error).context("open", folder.display()),
    }
}

fn in_repository(
    repository: &git2::Repository,
    root: &Path,
    folder: &Path,
    budget: &Budget,
) -> Result<WorkTree, GitError> {
    let context = |result: Result<_, git2::Error>| result.context("read", root.display());
    let mut reader = WorkTreeReader::new(root, budget);
    reader.folder()?;
    // Git tracks what it was told to, whatever the patterns say.
    for entry in context(repository.index().map(|index| index.iter().collect::<Vec<_>>()))? {
        let path = String::from_utf8(entry.path)
            .map_err(|error| GitError::Name { path: String::from_utf8_lossy(error.as_bytes()).into_owned() })?;
        if reader.tree.get(&path).is_none() && entry.mode & 0o170_000 != 0o160_000 {
            reader.add(&root.join(&path))?;
        }
    }
    let tree = reader.tree;
    let commit = match repository.head().and_then(|head| head.peel_to_commit()) {
        Ok(commit) => Some(commit.id().to_string().into()),
        Err(error) if matches!(error.code(), git2::ErrorCode::UnbornBranch | git2::ErrorCode::NotFound) => None,
        Err(source) => return Err(GitError::Git { doing: "read HEAD of", what: root.display().to_string(), source }),
    };
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).include_ignored(false);
    let clean = repository.statuses(Some(&mut options)).context("compare", root.display())?.is_empty();
    let fleet = relative(root, folder)?;
    Ok(WorkTree { tree, root: root.to_owned(), fleet, clean: clean && commit.is_some(), commit })
}

/// Without a repository only the folder is read: what lies beside it may be anything.
fn alone(folder: &Path, budget: &Budget) -> Result<WorkTree, GitError> {
    let root = folder.parent().unwrap_or(folder);
    let fleet = relative(root, folder)?;
    let mut tree = Tree::default();
    for (path, entry) in read_folder(folder, budget)?.iter() {
        let path = if fleet.is_empty() { path.to_owned() } else { format!("{fleet}/{path}") };
        tree.insert(&path, entry.clone()).map_err(|path| GitError::Name { path })?;
    }
    Ok(WorkTree { tree, root: root.to_owned(), fleet, commit: None, clean: false })
}

/// Every file below `root` that git would take.
pub(super) fn read_folder(root: &Path, budget: &Budget) -> Result<Tree, GitError> {
    let mut reader = WorkTreeReader::new(root, budget);
    reader.folder()?;
    Ok(reader.tree)
}

struct WorkTreeReader<'a> {
    root: &'a Path,
    budget: &'a Budget,
    tally: Tally,
    tree: Tree,
}

impl<'a> WorkTreeReader<'a> {
    fn new(root: &'a Path, budget: &'a Budget) -> Self {
        Self { root, budget, tally: Tally::new(budget), tree: Tree::default() }
    }

    fn folder(&mut self) -> Result<(), GitError> {
        let walk_error = |source| GitError::Walk { folder: self.root.to_owned(), source };
        let (root, most) = (self.root.to_owned(), self.budget.file_bytes as u64);
        // The walk reads the patterns of a folder whole before it tells of anything in there.
        let refused = Arc::new(OnceLock::new());
        let may_enter = {
            let refused = Arc::clone(&refused);
            move |folder: &Path| {
                let patterns = folder.join(".gitignore");
                let is_small = fs::metadata(&patterns).map_or(true, |metadata| metadata.len() <= most);
                if !is_small {
                    // The first is told of.
                    let _ = refused.set(patterns);
                }
                is_small
            }
        };
        if !may_enter(&root) {
            return Err(self.over(".gitignore", Exceeded::FileBytes(most)));
        }
        let walk = WalkBuilder::new(self.root)
            .hidden(false)
            .ignore(false)
            // Git takes no notice of patterns above the repository's root.
            .parents(false)
            .require_git(false)
            .follow_links(false)
            // One more than is read, so that what lies deeper is seen and refused.
            .max_depth(Some(self.budget.depth + 2))
            // Another repository in here is named, as a submodule is, and not entered.
            .filter_entry(move |entry| {
                entry.file_name() != ".git"
                    && !entry.path().parent().is_some_and(|parent| is_submodule(&root, parent))
                    && (!is_folder(entry) || may_enter(entry.path()))
            })
            .build();
        for entry in walk {
            let entry = entry.map_err(walk_error)?;
            let path = entry.path();
            if path == self.root {
                continue;
            }
            if is_folder(&entry) {
                let path = relative(self.root, path)?;
                self.counted(&path)?;
                if is_submodule(self.root, entry.path()) {
                    self.insert(&path, Entry::Submodule)?;
                }
            } else {
                self.add(path)?;
            }
        }
        match refused.get() {
            Some(patterns) => Err(self.over(&relative(self.root, patterns)?, Exceeded::FileBytes(most))),
            None => Ok(()),
        }
    }

    /// Adds one path, if git would keep what is there. A file that has just gone is not there.
    fn add(&mut self, path: &Path) -> Result<(), GitError> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(source) => return Err(file_error("read", path, source)),
        };
        let name = relative(self.root, path)?;
        self.counted(&name)?;
        let entry = if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(|source| file_error("read", path, source))?;
            Entry::Symlink { target: plain(&target)? }
        } else if metadata.is_file() {
            let size = metadata.len();
            self.tally.content(size).map_err(|limit| self.over(&name, limit))?;
            let mut content = Vec::new();
            // A file that grows meanwhile is read as it was counted.
            let read = File::open(path).and_then(|file| file.take(size).read_to_end(&mut content));
            read.map_err(|source| file_error("read", path, source))?;
            Entry::File { content: content.into(), executable: metadata.permissions().mode() & 0o100 != 0 }
        } else {
            return Ok(());
        };
        self.insert(&name, entry)
    }

    fn counted(&mut self, path: &str) -> Result<(), GitError> {
        self.tally.entry(path).map_err(|limit| self.over(path, limit))
    }

    fn over(&self, path: &str, limit: Exceeded) -> GitError {
        objects::over(&self.root.display().to_string(), path, limit)
    }

    fn insert(&mut self, path: &str, entry: Entry) -> Result<(), GitError> {
        self.tree.insert(path, entry).map_err(|path| GitError::Name { path })
    }
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}

fn is_submodule(root: &Path, folder: &Path) -> bool {
    folder != root && folder.starts_with(root) && folder.join(".git").exists()
}

fn relative(root: &Path, path: &Path) -> Result<String, GitError> {
    plain(path.strip_prefix(root).unwrap_or(path))
}

fn plain(path: &Path) -> Result<String, GitError> {
    path.to_str().map(str::to_owned).ok_or_else(|| GitError::Name { path: path.display().to_string() })
}

fn file_error(doing: &'static str, path: &Path, source: std::io::Error) -> GitError {
    GitError::File { doing, path: path.to_owned(), source }
}
