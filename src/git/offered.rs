//! What a repository on this machine would send, counted before libgit2 packs it.
//!
//! A remote elsewhere packs what it sends itself. For one on this machine libgit2 does, in this process, and holds each
//! object whole meanwhile. So headers of objects are read first, and an object is held only when its size is within the
//! [`Budget`].
//!
//! Keeps true: the walk has a stack of its own and passes over what is here already; it ends at the first limit.
//! Accepted: who may write to that repository while it is read makes it larger after it was counted.

use std::collections::HashSet;

use git2::{ObjectType, Oid, Repository};

use super::{
    error::{Context, GitError},
    objects::over,
};
use crate::model::budget::{Budget, Exceeded};

/// Whether all that `wanted` needs, as far as `here` lacks it, is within the budget. `from` names the repository in words.
pub(super) fn measure(
    here: &Repository,
    there: &Repository,
    wanted: impl Iterator<Item = Oid>,
    from: &str,
    budget: &Budget,
) -> Result<(), GitError> {
    let told = |limit| Err(over(from, "", limit));
    let (ours, theirs) = (here.odb().context("read", from)?, there.odb().context("read", from)?);
    let mut counted = HashSet::new();
    let (mut open, mut total) = (wanted.collect::<Vec<_>>(), 0u64);
    while let Some(id) = open.pop() {
        if counted.contains(&id) || ours.exists(id) {
            continue;
        }
        let (size, kind) = theirs.read_header(id).context("read", from)?;
        if size as u64 > budget.object_bytes {
            return told(Exceeded::ObjectBytes(budget.object_bytes));
        }
        total = total.saturating_add(size as u64);
        if total > budget.inflated_bytes {
            return told(Exceeded::InflatedBytes(budget.inflated_bytes));
        }
        if counted.len() >= budget.objects {
            return told(Exceeded::Objects(budget.objects));
        }
        counted.insert(id);
        open.extend(named_by(there, id, kind).context("read", from)?);
    }
    Ok(())
}

/// The objects that an object cannot be without.
fn named_by(repository: &Repository, id: Oid, kind: ObjectType) -> Result<Vec<Oid>, git2::Error> {
    Ok(match kind {
        ObjectType::Commit => {
            let commit = repository.find_commit(id)?;
            commit.parent_ids().chain([commit.tree_id()]).collect()
        }
        // A submodule's commit lies in another repository.
        ObjectType::Tree => {
            let tree = repository.find_tree(id)?;
            tree.iter().filter(|entry| entry.kind() != Some(ObjectType::Commit)).map(|entry| entry.id()).collect()
        }
        ObjectType::Tag => vec![repository.find_tag(id)?.target_id()],
        ObjectType::Blob | ObjectType::Any => Vec::new(),
    })
}
