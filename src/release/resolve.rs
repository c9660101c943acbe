//! A source to what it stands for: a branch or tag to a commit, an archive to its digest.

use std::collections::BTreeMap;

use super::{Fetcher, Trouble};
use crate::model::{
    fleet::Fleet,
    source::{GitSource, Origin, Pinned, Revision, Source, SourceCommits},
};

/// How many sources are fetched at once.
const AT_ONCE: usize = 8;

/// What the source stands for. A moving revision is at the commit that `known` says, else it is asked.
pub fn resolve(source: &Source, known: &SourceCommits, fetcher: &dyn Fetcher) -> Result<Pinned, Trouble> {
    Ok(match &source.origin {
        Origin::Folder(folder) => Pinned::Folder(folder.clone()),
        Origin::Git(git) => {
            let commit = match (&git.revision, git.moving().and_then(|moving| known.get(&moving))) {
                (Revision::Commit(commit), _) | (_, Some(commit)) => commit.clone(),
                _ => fetcher.commit(git).map_err(|why| Trouble::Unfetched { from: source.to_string(), why })?,
            };
            let (url, revision, folder) = (git.url.clone(), git.revision.clone(), git.folder.clone());
            Pinned::Git { url, commit, revision, folder }
        }
        Origin::Archive(archive) => {
            let (url, sha256, folder) = (archive.url.clone(), archive.sha256, archive.folder.clone());
            Pinned::Archive { url, sha256, folder }
        }
    })
}

/// The branches and tags of other repositories that the fleet takes files from, each once.
pub fn moving(fleet: &Fleet) -> BTreeMap<String, GitSource> {
    let sources = fleet.sources();
    sources.keys().filter_map(|source| source.moving()).filter_map(|git| Some((git.moving()?, git.clone()))).collect()
}

/// Does the work for each source, several at once where it waits for others.
pub(super) fn each<T: Send>(sources: &[&Source], work: impl Fn(&Source) -> T + Sync) -> Vec<T> {
    if !sources.iter().any(|source| source.is_elsewhere()) {
        return sources.iter().map(|source| work(source)).collect();
    }
    let mut done = Vec::with_capacity(sources.len());
    for chunk in sources.chunks(AT_ONCE) {
        done.extend(std::thread::scope(|scope| {
            let running: Vec<_> = chunk.iter().map(|source| scope.spawn(|| work(source))).collect();
            let joined = running.into_iter().map(|one| match one.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect::<Vec<_>>()
        }));
    }
    done
}
