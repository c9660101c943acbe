//! Repositories on this machine: pushing to them, and making them for the demo and for tests.
//!
//! libgit2 does not push to a repository that has a work tree, and people run `--repo .`. So objects
//! are written straight into the other repository and a reference is moved there by compare-and-swap.
//!
//! Keeps true: an object is written after everything it refers to, or in one pack with it, so a cut leaves no holes; a
//! repository's work tree, index and checked-out branch are never touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use git2::{FileMode, ObjectType, Odb, Oid, Repository, Signature, Sort, Time, build::TreeUpdateBuilder};
use rustix::fs::Mode;

use super::{
    error::{Context, GitError},
    fetch::Head,
    objects,
    publish::diverged,
    work_tree::read_folder,
};
use crate::model::{
    budget::{Budget, Exceeded},
    tree::{Entry, Tree},
};

pub(super) const AUTHOR: (&str, &str) = ("evenkeel", "evenkeel@localhost");

/// As much is read of a list of repositories whose objects another borrows, and so many places are looked at.
const LONGEST_LIST: u64 = 1 << 16;
const MOST_PLACES: usize = 100;

/// Each object by itself is two files to sync, a pack is four: the record of a change to fifty services took 130 of the
/// one, and each may take as long as the disk likes. Fewer objects are not worth a pack, for packs are looked through.
const FEWEST_IN_A_PACK: usize = 16;

/// What a reference may be moved from.
#[derive(Debug, Clone, Copy)]
pub(super) enum MoveFrom {
    /// What was last seen there; none: it must be new.
    Seen(Option<Oid>),
    Anywhere,
}

/// Opens the repository at this very path.
pub(super) fn open(path: &Path) -> Result<Repository, GitError> {
    Repository::open(path).context("open the repository", path.display())
}

/// Where a repository at this path takes what it gives: itself, the one that it is a work tree of, and those whose
/// objects it borrows. All of it is named by files that whoever made it wrote.
pub fn places(path: &Path) -> Result<Vec<PathBuf>, GitError> {
    let mut places = vec![path.to_owned()];
    // Nothing is there, or nothing that opens: whoever asks it for something says so.
    let Ok(repository) = Repository::open(path) else { return Ok(places) };
    places.extend([repository.path().to_owned(), repository.commondir().to_owned()]);
    let mut objects = vec![repository.commondir().join("objects")];
    while let Some(folder) = objects.pop() {
        let list = folder.join("info/alternates");
        let told = |source| GitError::File { doing: "read", path: list.clone(), source };
        let mut text = Vec::new();
        match File::open(&list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(told)?.take(LONGEST_LIST).read_to_end(&mut text).map_err(told)?,
        };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#') {
            let borrowed = folder.join(OsStr::from_bytes(line));
            if places.len() > MOST_PLACES {
                return Err(told(io::ErrorKind::FileTooLarge.into()));
            }
            if !places.contains(&borrowed) {
                places.push(borrowed.clone());
                objects.push(borrowed);
            }
        }
    }
    Ok(places)
}

/// As libgit2 takes it: a plain path with a colon in it would be taken for a host.
pub(super) fn file_url(path: &Path) -> Result<String, GitError> {
    let name_error = || GitError::Name { path: path.display().to_string() };
    reqwest::Url::from_file_path(path).map(String::from).map_err(|()| name_error())
}

/// Every reference, but for those whose name is not plain UTF-8: libgit2's binding would panic at them.
pub(super) fn heads(path: &Path) -> Result<Vec<Head>, GitError> {
    let repository = open(path)?;
    // libgit2 reads it whole.
    let (packed, most) = (repository.commondir().join("packed-refs"), Budget::STANDARD.spoken_bytes);
    if fs::metadata(&packed).is_ok_and(|metadata| metadata.len() > most) {
        return Err(objects::over(&path.display().to_string(), "packed-refs", Exceeded::SpokenBytes(most)));
    }
    let read = || {
        let mut heads = Vec::new();
        // HEAD is not there before the first commit.
        if let (Ok(head), Ok(at)) = (repository.find_reference("HEAD"), repository.refname_to_id("HEAD")) {
            let target = head.symbolic_target().ok().flatten().map(str::to_owned);
            heads.push(Head { name: "HEAD".to_owned(), target, at });
        }
        for reference in repository.references()? {
            let reference = reference?;
            // One that leads nowhere is none, as for git.
            if let (Ok(name), Some(at)) = (reference.name(), reference.resolve().ok().and_then(|found| found.target()))
            {
                heads.push(Head { name: name.to_owned(), target: None, at });
            }
        }
        Ok(heads)
    };
    read().context("read the references of", path.display())
}

/// Copies `commit` with all it needs from the mirror and moves `reference` to it.
pub(super) fn publish(
    mirror: &Repository,
    path: &Path,
    reference: &str,
    commit: Oid,
    from: MoveFrom,
) -> Result<(), GitError> {
    // A thread of its own, for it writes as the other repository's owner shares it.
    let mirror = mirror.path();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            share_as(path);
            let mirror = Repository::open(mirror).context("open the mirror", mirror.display())?;
            write(&mirror, path, reference, commit, from)
        });
        writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What this thread writes from now on is as open as the objects of the repository at `path`: it is not ours, and others
/// read it. Where the kernel does not let it, it stays as closed as all that we write.
fn share_as(path: &Path) {
    let objects = Repository::open(path).ok().map(|repository| repository.commondir().join("objects"));
    let Some(mode) = objects.and_then(|objects| objects.metadata().ok()).map(|found| found.mode()) else { return };
    // SAFETY: only this thread's own copy of working directory and umask comes of it; no descriptor is shared less.
    if unsafe { libc::unshare(libc::CLONE_FS) } == 0 {
        rustix::process::umask(Mode::from_raw_mode(!mode & 0o077));
    }
}

fn write(mirror: &Repository, path: &Path, reference: &str, commit: Oid, from: MoveFrom) -> Result<(), GitError> {
    let to = open(path)?;
    let url = path.display().to_string();
    if is_checked_out(&to, reference).context("open the repository", &url)? {
        let why = "it is checked out there".to_owned();
        return Err(GitError::Refused { url, reference: reference.to_owned(), why });
    }
    copy(mirror, &to, commit).context("copy commits to", &url)?;
    let MoveFrom::Seen(seen) = from else {
        to.reference(reference, commit, true, "evenkeel").context("move", reference)?;
        return Ok(());
    };
    // A zero id means that there must be none.
    match to.reference_matching(reference, commit, true, seen.unwrap_or(Oid::ZERO_SHA1), "evenkeel") {
        Ok(_) => Ok(()),
        Err(error) => match to.refname_to_id(reference).ok() {
            found if found != seen => Err(diverged(&url, reference, seen, found)),
            _ => Err(error).context("move", reference),
        },
    }
}

/// Copies a commit and its ancestors, as far as they are not there.
pub(super) fn copy(from: &Repository, to: &Repository, commit: Oid) -> Result<(), git2::Error> {
    let target = to.odb()?;
    let missing = missing(from, &target, commit)?;
    if missing.len() < FEWEST_IN_A_PACK {
        let source = from.odb()?;
        return missing.into_iter().try_for_each(|id| copy_object(&source, &target, id));
    }
    let (mut pack, mut written) = (from.packbuilder()?, Ok(()));
    missing.into_iter().try_for_each(|id| pack.insert_object(id, None))?;
    let mut writer = target.packwriter()?;
    let packed = pack.foreach(|bytes| {
        written = writer.write_all(bytes);
        written.is_ok()
    });
    written.map_err(|error| git2::Error::from_str(&error.to_string()))?;
    packed?;
    writer.commit().map(|_| ())
}

/// What `target` lacks of a commit and its ancestors: parents first, each object after those that it names.
fn missing(from: &Repository, target: &Odb<'_>, commit: Oid) -> Result<Vec<Oid>, git2::Error> {
    let (mut missing, mut found) = (Vec::new(), BTreeSet::new());
    let mut there = |id| target.exists(id);
    let mut commits = from.revwalk()?;
    commits.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    commits.push(commit)?;
    for id in commits.with_hide_callback(&mut there)? {
        let id = id?;
        let mut lacks = |id| !target.exists(id) && found.insert(id);
        missing_below(from, from.find_commit(id)?.tree_id(), &mut lacks, &mut missing)?;
        if lacks(id) {
            missing.push(id);
        }
    }
    Ok(missing)
}

/// Whether a work tree, the repository's own or an added one, stands on the reference.
fn is_checked_out(repository: &Repository, reference: &str) -> Result<bool, git2::Error> {
    let main = Repository::open(repository.commondir())?;
    let mut trees = if main.is_bare() { Vec::new() } else { vec![main] };
    for name in &repository.worktrees()? {
        let Ok(Some(name)) = name else { continue };
        // One whose folder is gone stands on nothing.
        trees.extend(repository.find_worktree(name).and_then(|tree| Repository::open_from_worktree(&tree)).ok());
    }
    Ok(trees.iter().any(|tree| {
        let head = tree.find_reference("HEAD").ok();
        head.is_some_and(|head| matches!(head.symbolic_target(), Ok(Some(target)) if target == reference))
    }))
}

/// Of a tree with all below it, those that are lacking, each after those that it names.
fn missing_below(
    from: &Repository,
    id: Oid,
    lacks: &mut impl FnMut(Oid) -> bool,
    missing: &mut Vec<Oid>,
) -> Result<(), git2::Error> {
    enum Next {
        Below(Oid),
        Itself(Oid),
    }
    let mut open = vec![Next::Below(id)];
    while let Some(next) = open.pop() {
        match next {
            Next::Itself(id) => missing.push(id),
            Next::Below(id) if !lacks(id) => {}
            Next::Below(id) => {
                open.push(Next::Itself(id));
                for entry in &from.find_tree(id)? {
                    match entry.kind() {
                        Some(ObjectType::Tree) => open.push(Next::Below(entry.id())),
                        // A submodule's commit lies in another repository.
                        Some(ObjectType::Commit) => {}
                        _ if lacks(entry.id()) => missing.push(entry.id()),
                        _ => {}
                    }
                }
            }
        }
    }
    Ok(())
}

fn copy_object(source: &Odb<'_>, target: &Odb<'_>, id: Oid) -> Result<(), git2::Error> {
    let object = source.read(id)?;
    target.write(object.kind(), object.data()).map(|_| ())
}

/// Makes a bare repository whose first commit holds the folders, each at its path (`""` is the root).
/// Ignored files and submodules are left out.
pub fn create_bare_from_folder(
    bare: &Path,
    folders: &[(&Path, &str)],
    branch: &str,
    message: &str,
    when: DateTime<Utc>,
) -> Result<String, GitError> {
    let mut tree = Tree::default();
    for (folder, place) in folders {
        for (path, entry) in read_folder(folder, &Budget::STANDARD)?.iter() {
            let path = if place.is_empty() { path.to_owned() } else { format!("{place}/{path}") };
            tree.insert(&path, entry.clone()).map_err(|path| GitError::Name { path })?;
        }
    }
    let create = || {
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).external_template(false).initial_head(branch);
        let repository = Repository::init_opts(bare, &options)?;
        let mut builder = TreeUpdateBuilder::new();
        for (path, entry) in tree.iter() {
            match entry {
                Entry::File { content, executable } => {
                    let mode = if *executable { FileMode::BlobExecutable } else { FileMode::Blob };
                    builder.upsert(path, repository.blob(content)?, mode);
                }
                Entry::Symlink { target } => {
                    builder.upsert(path, repository.blob(target.as_bytes())?, FileMode::Link);
                }
                Entry::Submodule => {}
            }
        }
        commit(&repository, branch, None, &mut builder, message, when)
    };
    create().context("make the repository", bare.display())
}

/// Commits changes (none removes a file) to a branch; a branch that is not there begins where HEAD is.
pub fn commit_to_bare(
    bare: &Path,
    branch: &str,
    changes: &BTreeMap<String, Option<Vec<u8>>>,
    message: &str,
    when: DateTime<Utc>,
) -> Result<String, GitError> {
    let repository = open(bare)?;
    let create = || {
        let at = repository.refname_to_id(&format!("refs/heads/{branch}")).ok();
        let parent = at.or_else(|| repository.refname_to_id("HEAD").ok());
        let tree = parent.map(|parent| repository.find_commit(parent)?.tree()).transpose()?;
        let mut builder = TreeUpdateBuilder::new();
        for (path, content) in changes {
            match content {
                Some(content) => {
                    let before = tree.as_ref().and_then(|tree| tree.get_path(Path::new(path)).ok());
                    let executable = before.is_some_and(|entry| entry.filemode() == 0o100_755);
                    let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
                    builder.upsert(path.as_str(), repository.blob(content)?, mode);
                }
                None => {
                    builder.remove(path.as_str());
                }
            }
        }
        commit(&repository, branch, parent, &mut builder, message, when)
    };
    create().context("commit to", bare.display())
}

fn commit(
    repository: &Repository,
    branch: &str,
    parent: Option<Oid>,
    changes: &mut TreeUpdateBuilder,
    message: &str,
    when: DateTime<Utc>,
) -> Result<String, git2::Error> {
    let reference = format!("refs/heads/{branch}");
    let at = repository.refname_to_id(&reference).unwrap_or(Oid::ZERO_SHA1);
    let parent = parent.map(|parent| repository.find_commit(parent)).transpose()?;
    let base = match &parent {
        Some(parent) => parent.tree()?,
        None => repository.find_tree(repository.treebuilder(None)?.write()?)?,
    };
    let tree = repository.find_tree(changes.create_updated(repository, &base)?)?;
    let author = Signature::new(AUTHOR.0, AUTHOR.1, &Time::new(when.timestamp(), 0))?;
    let commit = repository.commit(None, &author, &author, message, &tree, parent.as_ref().as_slice())?;
    repository.reference_matching(&reference, commit, true, at, message)?;
    Ok(commit.to_string())
}
