//! Releases: sources to content-addressed trees, and to the stream that carries what an instance lacks.
//!
//! Keeps true: the same files make the same release, wherever they came from; `.git` never travels; links
//! that would leave the release are refused by name. What lies elsewhere comes through a [`Fetcher`], all of
//! it before the first host is touched.
//! Never does: running anything of a source but its build, in the sandbox of `build/`, where that is asked for.

pub mod archive;
mod build;
mod difference;
mod error;
mod fetcher;
mod links;
mod pack;
mod requirements;
mod resolve;
mod unpack;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

pub use build::{BuildCache, BuildError, Builds, Cgroups, ENTER_BUILD, Fault, Job, Made, NoCgroup, enter};
pub use difference::difference;
pub use error::{ReleaseError, Trouble};
pub use fetcher::{FetchError, Fetcher, Known, Unfetched};
pub use pack::pack;
pub use requirements::requirements;
pub use resolve::{moving, resolve};
pub use unpack::{UnpackError, unpack};

use crate::model::{
    budget::Budget,
    build::{Build, BuiltRelease},
    digest::Digest,
    fleet::Fleet,
    release::{Making, Release, ReleaseFile},
    source::{Origin, Pinned, Source, SourceCommits},
    tree::{self, Entry, Tree},
};

type Files = BTreeMap<String, ReleaseFile>;

/// The release of every source of the fleet. `tree` is the config repository's, and `known` says which
/// commits moving revisions stand for; what it does not say is asked for. `builds` says how far to go for what
/// has to be built.
pub fn gather(
    fleet: &Fleet,
    tree: &Tree,
    known: &SourceCommits,
    fetcher: &dyn Fetcher,
    builds: Builds<'_>,
) -> Result<BTreeMap<Source, Release>, ReleaseError> {
    let work = GatherWork { most: Budget::STANDARD.steps, spent: AtomicUsize::new(0) };
    let needed = fleet.sources();
    let names: Vec<&Source> = needed.keys().copied().collect();
    let made = resolve::each(&names, |source| {
        if source.is_elsewhere() && !fetcher.may_ask(&source.origin) {
            return Ok(Release::unresolved(source));
        }
        let pinned = resolve(source, known, fetcher)?;
        let requirements = requirements::named(fleet, source);
        release(source, pinned, &Supply { tree, fetcher, work: &work }, builds, &requirements)
    });
    let mut releases = BTreeMap::new();
    let mut troubles = Vec::new();
    for (source, made) in names.into_iter().zip(made) {
        match made.and_then(|release| program(fleet, source, &release).map(|()| release)) {
            Ok(release) => drop(releases.insert(source.clone(), release)),
            Err(why) => {
                let users = needed[source].iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                troubles.push((users, why));
            }
        }
    }
    if troubles.is_empty() { Ok(releases) } else { Err(ReleaseError { troubles }) }
}

/// What all sources are taken from, and what they share.
struct Supply<'a> {
    /// The config repository's.
    tree: &'a Tree,
    fetcher: &'a dyn Fetcher,
    work: &'a GatherWork,
}

/// Counts in steps what sources multiply: their files and their patterns.
struct GatherWork {
    most: usize,
    spent: AtomicUsize,
}

impl GatherWork {
    fn spend(&self, steps: usize) -> bool {
        let add = |spent: usize| Some(spent.saturating_add(steps));
        let spent = self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or_else(|spent| spent);
        spent.saturating_add(steps) <= self.most
    }
}

fn release(
    source: &Source,
    pinned: Pinned,
    from: &Supply<'_>,
    builds: Builds<'_>,
    requirements: &BTreeSet<&str>,
) -> Result<Release, Trouble> {
    let unfetched = |why| Trouble::Unfetched { from: source.to_string(), why };
    let fetched = match (&source.origin, &pinned) {
        (Origin::Git(git), Pinned::Git { commit, .. }) => Some(from.fetcher.folder(git, commit).map_err(unfetched)?),
        (Origin::Archive(archive), _) => Some(from.fetcher.archive(archive).map_err(unfetched)?),
        _ => None,
    };
    let folder = match &pinned {
        Pinned::Folder(folder) | Pinned::Git { folder, .. } | Pinned::Archive { folder, .. } => folder,
        Pinned::Unresolved { .. } => return Ok(Release::unresolved(source)),
    };
    let files = files(source, fetched.as_ref().unwrap_or(from.tree), folder, from.work)?;
    match &source.build {
        Some(build) => built(source, pinned, build, files, builds, requirements),
        None => Ok(Release::new(pinned, files)),
    }
}

fn files(source: &Source, tree: &Tree, folder: &str, work: &GatherWork) -> Result<Files, Trouble> {
    // Before it is done: what is declared counts only the files of the config repository.
    let held = tree.below(folder).map(|(path, _)| source.exclude.steps_to_hold(path));
    let steps = held.fold(source.exclude.steps_to_ready(), usize::saturating_add);
    if !source.exclude.is_empty() && !work.spend(steps) {
        return Err(Trouble::TooMuchWork { from: source.to_string(), most: work.most });
    }
    let excluder = source.exclude.ready();
    let mut left = Tree::default();
    for (path, entry) in tree.below(folder).filter(|(path, _)| !excluder.excludes(path)) {
        // It is the path of another tree, so it is a plain one.
        let _ = left.insert(path, entry.clone());
    }
    let files = travelling(&source.to_string(), &left)?;
    if files.is_empty() {
        return Err(match (&source.origin, tree.has_folder(folder)) {
            (_, true) => Trouble::NothingLeft { from: source.to_string() },
            (Origin::Folder(folder), false) => Trouble::NoFolder { folder: folder.clone() },
            (_, false) => Trouble::NoFolderThere { from: source.to_string() },
        });
    }
    Ok(files)
}

/// The files of a tree as a release has them. `from` names the tree in words.
fn travelling(from: &str, tree: &Tree) -> Result<Files, Trouble> {
    let mut files = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(path, _)| !path.split('/').any(|part| part == ".git")) {
        files.insert(path.to_owned(), release_file(from, path, entry)?);
    }
    for (path, file) in &files {
        let named = || (from.to_owned(), path.clone());
        if let ReleaseFile::Symlink { target } = file
            && !links::stays(&files, path, target)
        {
            let (from, path) = named();
            return Err(Trouble::LinkLeaves { from, path, target: target.clone() });
        }
        // Unpacked on a host, such a file would go where the link leads.
        if let Some((end, _)) = path.match_indices('/').find(|(end, _)| files.contains_key(&path[..*end])) {
            let (from, path) = named();
            let above = path[..end].to_owned();
            return Err(Trouble::BelowFile { from, path, above });
        }
    }
    Ok(files)
}

fn release_file(from: &str, path: &str, entry: &Entry) -> Result<ReleaseFile, Trouble> {
    let (from, path) = (from.to_owned(), path.to_owned());
    let hostile = |text: &str| text.contains(['\n', '\t', '\r', '\0']);
    match entry {
        _ if hostile(&path) => Err(Trouble::HostileName { from, path }),
        Entry::File { content, executable } => {
            Ok(ReleaseFile::File { content: content.clone(), digest: Digest::of(content), executable: *executable })
        }
        Entry::Symlink { target } if hostile(target) => Err(Trouble::HostileName { from, path: target.clone() }),
        Entry::Symlink { target } => Ok(ReleaseFile::Symlink { target: target.clone() }),
        Entry::Submodule => Err(Trouble::Submodule { from, path }),
    }
}

/// What is built of the files, as far as one goes for it. What the history says of it is enough only where it
/// says what these requirements hold.
fn built(
    source: &Source,
    pinned: Pinned,
    build: &Build,
    files: Files,
    builds: Builds<'_>,
    requirements: &BTreeSet<&str>,
) -> Result<Release, Trouble> {
    let unbuilt = |why| Trouble::Unbuilt { from: source.to_string(), why: Box::new(why) };
    let key = build.key(&Release::new(pinned.clone(), files.clone()).digest);
    let tells = |recorded: &&BuiltRelease| requirements.iter().all(|file| recorded.requirements.contains_key(*file));
    let recorded = builds.recorded.and_then(|recorded| recorded.get(&key)).filter(tells);
    let made = builds.build_cache.and_then(|build_cache| build_cache.kept(&key));
    let release = |made: Made| {
        let mut release = Release::new(pinned.clone(), made.files);
        release.making = Making::Built { key, log: made.log };
        release
    };
    match (made.map(release), recorded) {
        // Another controller's build may have made other bytes of it. What is deployed is left alone.
        (Some(made), Some(recorded)) if made.digest == recorded.release || builds.run => Ok(made),
        (Some(made), None) => Ok(made),
        _ if builds.run => {
            let build_cache = builds.build_cache.ok_or_else(|| unbuilt(BuildError::NoPlace))?;
            build_cache.make(Job { key, build, files: &files }).map(release).map_err(unbuilt)
        }
        (_, Some(recorded)) => {
            let making = Making::Recorded { key, requirements: recorded.requirements.clone() };
            Ok(Release::without_files(recorded.release, pinned, making))
        }
        (None, None) => Ok(Release::without_files(key, pinned, Making::Due { key })),
    }
}

/// A program that begins with `./` is part of the source, and executable. For a folder of the config
/// repository `declare` has said so, with the line.
fn program(fleet: &Fleet, source: &Source, release: &Release) -> Result<(), Trouble> {
    if !release.is_at_hand() {
        return Ok(());
    }
    let users = fleet.services.values().filter(|service| service.sources.values().any(|of| of == source));
    for program in users.filter_map(|service| service.exec.first()).filter(|program| program.starts_with("./")) {
        let found = tree::join("", program).and_then(|path| release.files.get(&path));
        if !matches!(found, Some(ReleaseFile::File { executable: true, .. } | ReleaseFile::Symlink { .. })) {
            let (program, from) = (program.clone(), release.origin());
            return Err(Trouble::NoProgram { program, from, there: found.is_some() });
        }
    }
    Ok(())
}
