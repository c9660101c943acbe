//! Repositories that are only read: a branch, a tag or a commit, and what lies in a folder there.
//!
//! Keeps true: a commit that was had once needs no network any more; only what a revision needs is
//! downloaded; a reference of the mirror moves when all that it needs is here.

use std::path::Path;

use git2::{Direction, ObjectType, Oid};

use super::{
    error::{Context, GitError},
    fetch::{Head, default_branch, list},
    history::position,
    intake::Intake,
    local,
    objects::read_tree,
    repository::{Repository, commit_of, find_commit},
    seen::Line,
    url::RemoteUrl,
};
use crate::model::{commit::CommitId, digest::Digest, tree::Tree};

impl Repository {
    /// Asks the remote for the commit of a branch or tag, the default branch's where none is named, and
    /// downloads what is lacking of it.
    pub fn resolve(&self, revision: Option<&str>) -> Result<CommitId, GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let heads = self.heads(&mirror)?;
        let named = match revision {
            Some(revision) => self.named(&heads, revision)?,
            None => default_branch(&heads).ok_or_else(|| GitError::NoDefaultBranch { url: self.url.to_string() })?,
        };
        let lacking = || GitError::NoRevision { url: self.url.to_string(), revision: named.clone() };
        let at = heads.iter().find(|head| head.name == named).ok_or_else(lacking)?.at;
        if !mirror.odb().context("read", self.mirror.display())?.exists(at) {
            self.get(&mirror, &[&named])?;
        }
        let commit = mirror.find_object(at, None).and_then(|object| object.peel_to_commit());
        let commit = commit.context("find the commit of", &named)?.id();
        let kept = kept_as(revision);
        // Where it was before counts on when it was moved by force.
        self.seen(&mirror, &line(revision), position(&mirror, &kept)?)?;
        mirror.reference(&kept, commit, true, "resolve").context("move", &named)?;
        self.seen(&mirror, &line(revision), Some(commit))?;
        Ok(commit.to_string().into())
    }

    /// Whether the branch or tag holds the commit, or held it when it was resolved here. Asks the remote only where
    /// what is here does not say so.
    pub fn revision_holds(&self, revision: Option<&str>, commit: &CommitId) -> Result<bool, GitError> {
        let id = Oid::from_str(commit).context("find commit", commit)?;
        let here = || {
            let mirror = self.mirror()?;
            let heads = self.seen(&mirror, &line(revision), position(&mirror, &kept_as(revision))?)?;
            heads.into_iter().try_fold(false, |holds, head| Ok(holds || self.contains(&mirror, head, id)?))
        };
        Ok(here()? || {
            self.resolve(revision)?;
            here()?
        })
    }

    /// The commit that [`Self::resolve`] answered last in the mirror, without the network and without waiting for who
    /// writes there.
    pub fn last_resolved(mirror: &Path, revision: Option<&str>) -> Option<CommitId> {
        let found = git2::Repository::open_bare(mirror).ok()?.refname_to_id(&kept_as(revision)).ok()?;
        Some(found.to_string().into())
    }

    /// The files of a commit below `folder`, each by its path from the root. Downloads the commit where it
    /// is not here yet.
    pub fn folder(&self, commit: &CommitId, folder: &str) -> Result<Tree, GitError> {
        let mirror = self.mirror()?;
        let id = Oid::from_str(commit).context("find commit", commit)?;
        if mirror.find_commit(id).is_err() {
            let _writing = self.writing()?;
            // Whatever branch or tag it is on: a remote need not give a commit by its name alone.
            self.get(&mirror, &["refs/heads/*", "refs/tags/*"])?;
        }
        let lacking = || GitError::NoRevision { url: self.url.to_string(), revision: commit.to_string() };
        let found = find_commit(&mirror, commit).map_err(|_| lacking())?;
        let root = found.tree().context("read the tree of", commit)?;
        let from = commit_of(&self.url, commit);
        if folder.is_empty() {
            return read_tree(&mirror, root.id(), "", &from, &self.budget);
        }
        match root.get_path(folder.as_ref()) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => {
                read_tree(&mirror, entry.id(), &format!("{folder}/"), &from, &self.budget)
            }
            _ => Ok(Tree::default()),
        }
    }

    /// Downloads one reference of the remote with all that it needs, unless that is here; answers where it is.
    pub(super) fn get_reference(&self, mirror: &git2::Repository, name: &str) -> Result<Oid, GitError> {
        let heads = self.heads(mirror)?;
        let lacking = || GitError::NoRevision { url: self.url.to_string(), revision: name.to_owned() };
        let at = heads.iter().find(|head| head.name == name).ok_or_else(lacking)?.at;
        if !mirror.odb().context("read", self.mirror.display())?.exists(at) {
            self.get(mirror, &[name])?;
        }
        Ok(at)
    }

    /// What the remote has, without downloading anything.
    fn heads(&self, mirror: &git2::Repository) -> Result<Vec<Head>, GitError> {
        if let RemoteUrl::Local(path) = &self.url {
            return local::heads(path);
        }
        self.with_remote(mirror, "ask", self.limits.push, |remote| {
            list(&remote.connect_auth(Direction::Fetch, None, None)?)
        })
    }

    /// The full name of the reference that is meant.
    fn named(&self, heads: &[Head], revision: &str) -> Result<String, GitError> {
        let found: Vec<&Head> =
            candidates(revision).iter().filter_map(|name| heads.iter().find(|head| head.name == *name)).collect();
        match found[..] {
            [only] => Ok(only.name.clone()),
            [] => Err(GitError::NoRevision { url: self.url.to_string(), revision: revision.to_owned() }),
            _ => Err(GitError::AmbiguousRevision { url: self.url.to_string(), revision: revision.to_owned() }),
        }
    }

    /// Downloads references of the remote, one each or all below a folder (`/*`), with all that they need.
    fn get(&self, mirror: &git2::Repository, names: &[&str]) -> Result<(), GitError> {
        if let RemoteUrl::Local(path) = &self.url {
            let is_named = |head: &&Head| {
                names.iter().any(|name| match name.strip_suffix('*') {
                    Some(folder) => head.name.starts_with(folder),
                    None => head.name == *name,
                })
            };
            self.count_offered(mirror, path, local::heads(path)?.iter().filter(is_named))?;
        }
        let refspecs: Vec<String> = names.iter().map(|name| format!("+{name}:{name}")).collect();
        let intake = Intake::new(mirror, &self.url, &self.budget);
        let done = self.with_remote(mirror, "fetch from", self.limits.fetch, |remote| {
            let mut connection = remote.connect_auth(Direction::Fetch, None, None)?;
            intake.download(connection.remote(), &refspecs)
        });
        intake.outcome(done)
    }
}

fn line(revision: Option<&str>) -> Line {
    Line::Revision(Digest::of(revision.unwrap_or_default()).short().to_owned())
}

/// What a name may stand for, as git looks for it; `heads/x` and `tags/x` leave no doubt.
fn candidates(revision: &str) -> [String; 3] {
    [format!("refs/{revision}"), format!("refs/heads/{revision}"), format!("refs/tags/{revision}")]
}

/// Where the mirror keeps what a revision stood for. No name of the remote's, or a branch `a` that was there
/// once would stand in the way of `a/b`.
fn kept_as(revision: Option<&str>) -> String {
    format!("refs/evenkeel/revisions/{}", Digest::of(revision.unwrap_or_default()).short())
}
