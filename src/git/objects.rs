//! Reading trees and files out of git's objects, within a [`Budget`].
//!
//! Keeps true: an object's header says how large it is before it is inflated; folders are walked with a stack of our
//! own, however deep they lie; what is over a limit is an error that names the limit, the repository and the path.

use git2::{ObjectType, Odb, Oid, Repository};

use super::error::{Context, GitError};
use crate::model::{
    budget::{Budget, Exceeded, Tally},
    tree::{Entry, Tree},
};

/// The files below a tree, each by its path after `folder` (empty, or with a slash at its end). `from` names the
/// repository and commit.
pub(super) fn read_tree(
    mirror: &Repository,
    root: Oid,
    folder: &str,
    from: &str,
    budget: &Budget,
) -> Result<Tree, GitError> {
    let mut tree = Tree::default();
    walk(mirror, root, folder, from, budget, |found| {
        let entry = match found.kind {
            ObjectKind::Submodule => Entry::Submodule,
            ObjectKind::Link => Entry::Symlink {
                target: String::from_utf8(content(mirror, found.id, &found.path)?)
                    .map_err(|_| GitError::Name { path: found.path.clone() })?,
            },
            ObjectKind::File { executable } => {
                let blob = mirror.find_blob(found.id).context("read", &found.path)?;
                Entry::File { content: blob.content().into(), executable }
            }
        };
        tree.insert(&found.path, entry).map_err(|path| GitError::Name { path })
    })?;
    Ok(tree)
}

/// Whether a tree is within the budget, from the headers of its objects alone.
pub(super) fn measure(mirror: &Repository, root: Oid, from: &str, budget: &Budget) -> Result<(), GitError> {
    walk(mirror, root, "", from, budget, |_| Ok(()))
}

/// The content of one file that is named by itself.
pub(super) fn read_blob(mirror: &Repository, id: Oid, from: &str, path: &str, most: u64) -> Result<Vec<u8>, GitError> {
    let objects = mirror.odb().context("read", path)?;
    if size(&objects, id, path)? > most {
        return Err(over(from, path, Exceeded::FileBytes(most)));
    }
    content(mirror, id, path)
}

fn content(mirror: &Repository, id: Oid, path: &str) -> Result<Vec<u8>, GitError> {
    Ok(mirror.find_blob(id).context("read", path)?.content().to_vec())
}

struct FoundObject {
    path: String,
    id: Oid,
    kind: ObjectKind,
}

enum ObjectKind {
    File { executable: bool },
    Link,
    Submodule,
}

fn walk(
    mirror: &Repository,
    root: Oid,
    folder: &str,
    from: &str,
    budget: &Budget,
    mut each: impl FnMut(FoundObject) -> Result<(), GitError>,
) -> Result<(), GitError> {
    let objects = mirror.odb().context("read", from)?;
    let mut tally = Tally::new(budget);
    let mut open = vec![(root, folder.to_owned())];
    while let Some((id, folder)) = open.pop() {
        let over = |place: &str, limit| over(from, place, limit);
        // A folder's own object lists names, and may be as large as any.
        let listing = size(&objects, id, from)?;
        if listing > budget.object_bytes {
            return Err(over(&folder, Exceeded::ObjectBytes(budget.object_bytes)));
        }
        for item in &mirror.find_tree(id).context("read", from)? {
            let path = match std::str::from_utf8(item.name_bytes()) {
                Ok(name) => format!("{folder}{name}"),
                Err(_) => {
                    let name = String::from_utf8_lossy(item.name_bytes());
                    return Err(GitError::Name { path: format!("{folder}{name}") });
                }
            };
            tally.entry(&path).map_err(|limit| over(&path, limit))?;
            let kind = match (item.kind(), item.filemode()) {
                (Some(ObjectType::Tree), _) => {
                    open.push((item.id(), path + "/"));
                    continue;
                }
                (Some(ObjectType::Commit), _) => ObjectKind::Submodule,
                (_, 0o120_000) => ObjectKind::Link,
                (_, mode) => ObjectKind::File { executable: mode & 0o100 != 0 },
            };
            if !matches!(kind, ObjectKind::Submodule) {
                let bytes = size(&objects, item.id(), &path)?;
                tally.content(bytes).map_err(|limit| over(&path, limit))?;
            }
            each(FoundObject { path, id: item.id(), kind })?;
        }
    }
    Ok(())
}

fn size(objects: &Odb<'_>, id: Oid, path: &str) -> Result<u64, GitError> {
    Ok(objects.read_header(id).context("read", path)?.0 as u64)
}

pub(super) fn over(from: &str, place: &str, limit: Exceeded) -> GitError {
    // A path of a hostile tree may be as long as the tree is deep.
    let place = match place.char_indices().nth(Budget::STANDARD.line_text) {
        Some((end, _)) => format!("{}…", &place[..end]),
        None => place.to_owned(),
    };
    GitError::OverBudget { from: from.to_owned(), place, limit }
}
