//! Releases: sources to content-addressed trees, and to the stream that carries what an instance lacks.
//!
//! Keeps true: the same files make the same release, wherever they came from; `.git` never travels; links
//! that would leave the release are refused by name. What lies elsewhere comes through a [`Fetcher`], all of
//! it before the first host is touched.
//! Never does: running anything of the source (builds are not there yet).

pub mod archive;
mod difference;
mod error;
mod fetcher;
mod links;
mod pack;
mod resolve;
mod unpack;

use std::collections::BTreeMap;

pub use difference::difference;
pub use error::{ReleaseError, Trouble};
pub use fetcher::{FetchError, Fetcher, Unfetched};
pub use pack::pack;
pub use resolve::{moving, resolve};
pub use unpack::{Bounds, UnpackError, unpack};

use crate::model::{
    digest::Digest,
    fleet::Fleet,
    release::{Release, ReleaseFile},
    source::{Origin, Pinned, Source, SourceCommits},
    tree::{self, Entry, Tree},
};

/// The release of every source of the fleet. `tree` is the config repository's, and `known` says which
/// commits moving revisions stand for; what it does not say is asked for.
pub fn gather(
    fleet: &Fleet,
    tree: &Tree,
    known: &SourceCommits,
    fetcher: &dyn Fetcher,
) -> Result<BTreeMap<Source, Release>, ReleaseError> {
    let needed = fleet.sources();
    let names: Vec<&Source> = needed.keys().copied().collect();
    let made = resolve::each(&names, |source| {
        let pinned = resolve(source, known, fetcher)?;
        release(source, pinned, tree, fetcher)
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

fn release(source: &Source, pinned: Pinned, tree: &Tree, fetcher: &dyn Fetcher) -> Result<Release, Trouble> {
    let unfetched = |why| Trouble::Unfetched { from: source.to_string(), why };
    let fetched = match (&source.origin, &pinned) {
        (Origin::Git(git), Pinned::Git { commit, .. }) => Some(fetcher.folder(git, commit).map_err(unfetched)?),
        (Origin::Archive(archive), _) => Some(fetcher.archive(archive).map_err(unfetched)?),
        _ => None,
    };
    let folder = match &pinned {
        Pinned::Folder(folder) | Pinned::Git { folder, .. } | Pinned::Archive { folder, .. } => folder,
    };
    let files = files(source, fetched.as_ref().unwrap_or(tree), folder)?;
    Ok(Release::new(pinned, files))
}

fn files(source: &Source, tree: &Tree, folder: &str) -> Result<BTreeMap<String, ReleaseFile>, Trouble> {
    let excluder = source.exclude.ready();
    let travels = |path: &str| !path.split('/').any(|part| part == ".git") && !excluder.excludes(path);
    let mut files = BTreeMap::new();
    for (path, entry) in tree.below(folder).filter(|(path, _)| travels(path)) {
        files.insert(path.to_owned(), release_file(source, path, entry)?);
    }
    for (path, file) in &files {
        let named = || (source.to_string(), path.clone());
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
    if files.is_empty() {
        return Err(match (&source.origin, tree.has_folder(folder)) {
            (_, true) => Trouble::NothingLeft { from: source.to_string() },
            (Origin::Folder(folder), false) => Trouble::NoFolder { folder: folder.clone() },
            (_, false) => Trouble::NoFolderThere { from: source.to_string() },
        });
    }
    Ok(files)
}

fn release_file(source: &Source, path: &str, entry: &Entry) -> Result<ReleaseFile, Trouble> {
    let (from, path) = (source.to_string(), path.to_owned());
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

/// A program that begins with `./` is part of the source, and executable. For a folder of the config
/// repository `declare` has said so, with the line.
fn program(fleet: &Fleet, source: &Source, release: &Release) -> Result<(), Trouble> {
    let users = fleet.services.values().filter(|service| service.sources.values().any(|of| of == source));
    for program in users.filter_map(|service| service.exec.first()).filter(|program| program.starts_with("./")) {
        let found = tree::join("", program).and_then(|path| release.files.get(&path));
        if !matches!(found, Some(ReleaseFile::File { executable: true, .. } | ReleaseFile::Symlink { .. })) {
            let (program, from) = (program.clone(), release.source.to_string());
            return Err(Trouble::NoProgram { program, from, there: found.is_some() });
        }
    }
    Ok(())
}
