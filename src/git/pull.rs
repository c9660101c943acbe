//! Pull requests in the mirror: what they propose, and what the base would be with it.
//!
//! Keeps true: nothing is merged but here, and no reference at the remote moves; what strangers propose is
//! counted before it is read.
//!
//! GitHub's own merge commit (`refs/pull/N/merge`) comes late, so it is not used:
//! <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>.

use std::{collections::BTreeSet, fmt};

use git2::{MergeOptions, Oid};

use super::{
    error::{Context, GitError},
    objects::{measure, read_tree},
    repository::{Repository, commit_of, find_commit},
};
use crate::model::{budget::Budget, commit::CommitId, tree::Tree};

/// Before every other place that objects are written to and read from.
const IN_MEMORY: i32 = 999;

/// What the base would be with a pull request.
#[derive(Debug)]
pub enum Merged {
    Clean(Box<Proposed>),
    /// These paths were changed on both sides.
    Conflict(Vec<String>),
}

/// A merge that was made here. Its objects are in memory: the mirror does not know of it.
pub struct Proposed {
    mirror: git2::Repository,
    from: String,
    budget: Budget,
    pub commit: CommitId,
}

impl fmt::Debug for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposed({})", self.commit)
    }
}

impl Proposed {
    /// Every file of a commit: of the merge, or of one that the mirror has.
    pub fn tree(&self, commit: &CommitId) -> Result<Tree, GitError> {
        let tree = find_commit(&self.mirror, commit)?.tree_id();
        read_tree(&self.mirror, tree, "", &self.from, &self.budget)
    }
}

impl Repository {
    /// Downloads what a pull request proposes, where it is not here yet; answers its commit.
    pub fn fetch_pull(&self, number: u64) -> Result<CommitId, GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let (there, here) = (format!("refs/pull/{number}/head"), format!("refs/evenkeel-pulls/{number}"));
        let at = self.get_reference(&mirror, &there)?;
        // Kept from being collected, and from being downloaded whole each time it grows.
        mirror.reference(&here, at, true, "pull request").context("move", &here)?;
        Ok(at.to_string().into())
    }

    /// Lets go of what a pull request proposed that is closed.
    pub fn forget_pull(&self, number: u64) -> Result<(), GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let here = format!("refs/evenkeel-pulls/{number}");
        match mirror.find_reference(&here) {
            Ok(mut found) => found.delete().context("delete", &here),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(()),
            Err(error) => Err(error).context("find", &here),
        }
    }

    /// Lets go of all that pull requests proposed but these.
    pub fn forget_pulls_but(&self, open: &BTreeSet<u64>) -> Result<(), GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let found = mirror.references_glob("refs/evenkeel-pulls/*").context("list", "refs/evenkeel-pulls")?;
        for reference in found {
            let mut reference = reference.context("list", "refs/evenkeel-pulls")?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let number = name.rsplit('/').next().and_then(|number| number.parse().ok());
            if number.is_none_or(|number| !open.contains(&number)) {
                reference.delete().context("delete", &name)?;
            }
        }
        Ok(())
    }

    /// The commits that came to a branch after `from`, the newest first, each of the branch itself: what a merge
    /// brought is its merge commit.
    pub fn between(&self, from: Option<&CommitId>, to: &CommitId, limit: usize) -> Result<Vec<CommitId>, GitError> {
        let mirror = self.mirror()?;
        let to = find_commit(&mirror, to)?.id();
        let walk = || {
            let mut walk = mirror.revwalk()?;
            walk.simplify_first_parent()?;
            walk.push(to)?;
            // One that was dropped by force is not here, and hides nothing.
            if let Some(from) =
                from.and_then(|from| Oid::from_str(from).ok()).filter(|from| mirror.find_commit(*from).is_ok())
            {
                walk.hide(from)?;
            }
            walk.take(limit)
                .map(|commit| Ok(commit?.to_string().into()))
                .collect::<Result<Vec<CommitId>, git2::Error>>()
        };
        walk().context("follow the parents of", to)
    }

    /// The base with what is proposed, as a merge would make it. Nothing is written and nobody is waited for.
    pub fn merged(&self, base: &CommitId, head: &CommitId) -> Result<Merged, GitError> {
        let mirror = self.mirror()?;
        let (base, head) = (find_commit(&mirror, base)?, find_commit(&mirror, head)?);
        let from = commit_of(&self.url, &head.id().to_string());
        for side in [&base, &head] {
            // Merging calls itself for each folder inside another.
            measure(&mirror, side.tree_id(), &commit_of(&self.url, &side.id().to_string()), &self.budget)?;
        }
        let doing = || format!("{} and {}", base.id(), head.id());
        let objects = mirror.odb().context("merge", doing())?;
        objects.add_new_mempack_backend(IN_MEMORY).context("merge", doing())?;
        let mut index = mirror.merge_commits(&base, &head, Some(&MergeOptions::new())).context("merge", doing())?;
        if index.has_conflicts() {
            let mut paths = Vec::new();
            for conflict in index.conflicts().context("merge", doing())? {
                let conflict = conflict.context("merge", doing())?;
                let side = conflict.our.or(conflict.their).or(conflict.ancestor);
                paths.extend(side.map(|side| String::from_utf8_lossy(&side.path).into_owned()));
            }
            paths.sort();
            paths.dedup();
            return Ok(Merged::Conflict(paths));
        }
        let tree = index.write_tree_to(&mirror).context("merge", doing())?;
        let message = format!("merge {} here, to look at it", head.id());
        let when = chrono::DateTime::from_timestamp(head.time().seconds(), 0).unwrap_or_default();
        let commit = self.commit(&mirror, Some(base.id()), tree, &message, when).context("merge", doing())?.to_string();
        drop((base, head, objects));
        let from = format!("{from}, merged");
        Ok(Merged::Clean(Box::new(Proposed { mirror, from, budget: self.budget, commit: commit.into() })))
    }
}
