//! Releases: sources to content-addressed trees, and to the stream that carries what an instance lacks.
//!
//! Keeps true: `.git` never travels; links that would leave the release are refused by name.
//! Never does: running anything of the source (builds are not there yet).

mod links;
mod pack;
mod requirements;

use std::collections::BTreeMap;

use thiserror::Error;

pub use pack::pack;
pub use requirements::{RequirementsError, requirements};

use crate::model::{
    digest::Digest,
    fleet::{Fleet, Source},
    release::{Release, ReleaseFile},
    tree::{Entry, Tree},
};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReleaseError {
    #[error("the source folder {folder} is not in the repository; commit it or correct source.path")]
    NoFolder { folder: String },
    #[error("{path}: the link to {target} leaves its release {folder}; copy what it points at, or remove it")]
    LinkLeaves { folder: String, path: String, target: String },
    #[error("{path} is a git submodule, which is not followed; commit its files into {folder}")]
    Submodule { folder: String, path: String },
    #[error("{path:?} in {folder} has a line break or tab in its name; rename it")]
    HostileName { folder: String, path: String },
}

/// The release of every source of the fleet.
pub fn gather(fleet: &Fleet, tree: &Tree) -> Result<BTreeMap<Source, Release>, ReleaseError> {
    fleet.sources().into_iter().map(|source| Ok((source.clone(), release(source, tree)?))).collect()
}

fn release(source: &Source, tree: &Tree) -> Result<Release, ReleaseError> {
    let Source::Path(folder) = source;
    let mut files = BTreeMap::new();
    for (path, entry) in tree.below(folder) {
        files.insert(path.to_owned(), release_file(folder, path, entry)?);
    }
    for (path, file) in &files {
        if let ReleaseFile::Symlink { target } = file
            && !links::stays(&files, path, target)
        {
            let (folder, path, target) = (folder.clone(), path.clone(), target.clone());
            return Err(ReleaseError::LinkLeaves { folder, path, target });
        }
    }
    if files.is_empty() {
        return Err(ReleaseError::NoFolder { folder: folder.clone() });
    }
    Ok(Release::new(source.clone(), files))
}

fn release_file(folder: &str, path: &str, entry: &Entry) -> Result<ReleaseFile, ReleaseError> {
    let (folder, path) = (folder.to_owned(), path.to_owned());
    if path.contains(['\n', '\t', '\r']) {
        return Err(ReleaseError::HostileName { folder, path });
    }
    match entry {
        Entry::File { content, executable } => {
            Ok(ReleaseFile::File { content: content.clone(), digest: Digest::of(content), executable: *executable })
        }
        Entry::Symlink { target } => Ok(ReleaseFile::Symlink { target: target.clone() }),
        Entry::Submodule => Err(ReleaseError::Submodule { folder, path }),
    }
}
