//! Going back: a branch that puts files back to what an earlier commit holds, for a pull request.
//!
//! Keeps true: a branch that holds something else is never moved; all but the named paths is as in the
//! base; a commit that would change nothing is not made.

use chrono::{DateTime, Utc};
use git2::{Commit, FileMode, ObjectType, Oid, Reference, Tree};

use super::{
    error::{Context, GitError},
    local::MoveFrom,
    repository::{Repository, find_commit},
};
use crate::model::tree::join;

impl Repository {
    /// Makes `branch` at the remote: one commit on `base` in which each of `paths` (folders or files,
    /// relative to the root; `""` is all) is what commit `from` holds there, and gone where it holds
    /// nothing. A branch that has the same files already is as good: its commit is handed back.
    pub fn restore(
        &self,
        branch: &str,
        base: &str,
        from: &str,
        paths: &[String],
        message: &str,
        when: DateTime<Utc>,
    ) -> Result<String, GitError> {
        let _writing = self.writing()?;
        let reference = format!("refs/heads/{branch}");
        if !Reference::is_valid_name(&reference) {
            return Err(GitError::Branch { branch: branch.to_owned() });
        }
        let mirror = self.mirror()?;
        let (base, from) = (find_commit(&mirror, base)?, find_commit(&mirror, from)?);
        let tree = restored(&mirror, &base, &from, paths)?;
        if tree == base.tree_id() {
            let (from, base, paths) = (from.id().to_string(), base.id().to_string(), paths.join(", "));
            return Err(GitError::NothingToRestore { from, base, paths });
        }
        let commit =
            self.commit(&mirror, Some(base.id()), tree, message, when).context("write a commit for", &reference)?;
        match self.publish(&mirror, &reference, commit, MoveFrom::Seen(None)) {
            Ok(()) => {
                mirror.reference(&reference, commit, true, "restore").context("move", &reference)?;
                Ok(commit.to_string())
            }
            Err(GitError::Diverged { found, .. }) => {
                // Whoever made it may have done so since the last fetch.
                self.fetch_while_writing(&mirror)?;
                match find_commit(&mirror, &found)?.tree_id() == tree {
                    true => Ok(found),
                    false => Err(GitError::BranchTaken { url: self.url.to_string(), branch: branch.to_owned(), found }),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// The base's tree, with the paths of the other commit.
fn restored(
    mirror: &git2::Repository,
    base: &Commit<'_>,
    from: &Commit<'_>,
    paths: &[String],
) -> Result<Oid, GitError> {
    let before = from.tree().context("read the tree of", from.id())?;
    let mut tree = base.tree().context("read the tree of", base.id())?;
    for path in paths {
        let plain = join("", path).ok_or_else(|| GitError::Path { path: path.clone() })?;
        let write = || {
            let parts: Vec<_> = plain.split('/').filter(|part| !part.is_empty()).collect();
            if parts.is_empty() {
                return Ok(before.id());
            }
            let there = match before.get_path(plain.as_ref()) {
                Ok(entry) => Some((entry.id(), entry.filemode())),
                Err(error) if error.code() == git2::ErrorCode::NotFound => None,
                Err(error) => return Err(error),
            };
            match replaced(mirror, Some(&tree), there, &parts)? {
                Some(tree) => Ok(tree),
                None => mirror.treebuilder(None)?.write(),
            }
        };
        let id = write().context("restore", path)?;
        tree = mirror.find_tree(id).context("read", path)?;
    }
    Ok(tree.id())
}

/// The tree with what lies at `path` replaced. None when nothing is left of it: git knows no empty folder.
fn replaced(
    mirror: &git2::Repository,
    tree: Option<&Tree<'_>>,
    with: Option<(Oid, i32)>,
    path: &[&str],
) -> Result<Option<Oid>, git2::Error> {
    let mut builder = mirror.treebuilder(tree)?;
    let [name, below @ ..] = path else { return Ok(tree.map(Tree::id)) };
    let entry = tree.and_then(|tree| tree.get_name(name));
    let new = if below.is_empty() {
        with
    } else {
        match entry.as_ref().filter(|entry| entry.kind() == Some(ObjectType::Tree)) {
            Some(folder) => replaced(mirror, Some(&mirror.find_tree(folder.id())?), with, below)?,
            // A file stands there, or nothing: it makes way for what comes, and stays when nothing does.
            None if with.is_none() => return Ok(tree.map(Tree::id)),
            None => replaced(mirror, None, with, below)?,
        }
        .map(|folder| (folder, i32::from(FileMode::Tree)))
    };
    match new {
        Some((id, mode)) => {
            builder.insert(name, id, mode)?;
        }
        None if entry.is_some() => builder.remove(name)?,
        None => {}
    }
    if builder.is_empty() { Ok(None) } else { builder.write().map(Some) }
}
