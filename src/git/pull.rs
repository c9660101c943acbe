//! Pull requests in the mirror: what they propose, and what the base would be with it.
//!
//! Keeps true: nothing is merged but here, and no reference at the remote moves; what strangers propose is
//! counted before it is read.
//!
//! GitHub's own merge commit (`refs/pull/N/merge`) comes late, so it is not used:
//! <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>.

use std::collections::BTreeSet;

use git2::{MergeOptions, ObjectType, Odb, Oid, Tree};

use super::{
    error::{Context, GitError},
    repository::{Repository, find_commit},
};

/// What of a proposal is read.
const MOST_FILES: usize = 20_000;
const MOST_BYTES: usize = 256 << 20;

/// What the base would be with a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// As this commit, which is known here only.
    Clean(String),
    /// These paths were changed on both sides.
    Conflict(Vec<String>),
    /// It is more than is read of what strangers propose.
    TooLarge(String),
}

impl Repository {
    /// Downloads what a pull request proposes, where it is not here yet; answers its commit.
    pub fn fetch_pull(&self, number: u64) -> Result<String, GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let (there, here) = (format!("refs/pull/{number}/head"), format!("refs/evenkeel-pulls/{number}"));
        let at = self.get_reference(&mirror, &there)?;
        // Kept from being collected, and from being downloaded whole each time it grows.
        mirror.reference(&here, at, true, "pull request").context("move", &here)?;
        Ok(at.to_string())
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
    pub fn between(&self, from: Option<&str>, to: &str, limit: usize) -> Result<Vec<String>, GitError> {
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
            walk.take(limit).map(|commit| Ok(commit?.to_string())).collect::<Result<Vec<String>, git2::Error>>()
        };
        walk().context("follow the parents of", to)
    }

    /// The base with what is proposed, as a merge would make it.
    pub fn merged(&self, base: &str, head: &str) -> Result<Merged, GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let (base, head) = (find_commit(&mirror, base)?, find_commit(&mirror, head)?);
        let proposed = head.tree().context("read the tree of", head.id())?;
        if let Some(why) = too_large(&mirror, &proposed)? {
            return Ok(Merged::TooLarge(why));
        }
        let doing = || format!("{} and {}", base.id(), head.id());
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
        // Two files of an attribute's or a rename's making can be more than either side had.
        if let Some(why) = too_large(&mirror, &mirror.find_tree(tree).context("read", tree)?)? {
            return Ok(Merged::TooLarge(why));
        }
        let message = format!("merge {} here, to look at it", head.id());
        let when = chrono::DateTime::from_timestamp(head.time().seconds(), 0).unwrap_or_default();
        let merged = self.commit(&mirror, Some(base.id()), tree, &message, when).context("merge", doing())?;
        Ok(Merged::Clean(merged.to_string()))
    }
}

/// Why a tree is not read; none where it may be. Sizes come from the objects' headers.
fn too_large(mirror: &git2::Repository, root: &Tree<'_>) -> Result<Option<String>, GitError> {
    let objects = mirror.odb().context("read", mirror.path().display())?;
    let mut count = Count { files: 0, bytes: 0 };
    count.add(mirror, &objects, root.id())?;
    Ok(match count {
        Count { files, .. } if files > MOST_FILES => {
            Some(format!("it has more than {MOST_FILES} files, which is more than is read of a pull request"))
        }
        Count { bytes, .. } if bytes > MOST_BYTES => {
            Some(format!("it has more than {} MiB, which is more than is read of a pull request", MOST_BYTES >> 20))
        }
        Count { .. } => None,
    })
}

struct Count {
    files: usize,
    bytes: usize,
}

impl Count {
    /// Ends as soon as it is too much: one tree may be named by many.
    fn add(&mut self, mirror: &git2::Repository, objects: &Odb<'_>, tree: Oid) -> Result<(), GitError> {
        let mut open = vec![tree];
        while let Some(next) = open.pop() {
            let tree = mirror.find_tree(next).context("read", next)?;
            for item in &tree {
                self.files += 1;
                match item.kind() {
                    Some(ObjectType::Tree) => open.push(item.id()),
                    Some(ObjectType::Blob) => {
                        self.bytes += objects.read_header(item.id()).context("read", item.id())?.0
                    }
                    _ => {}
                }
                if self.files > MOST_FILES || self.bytes > MOST_BYTES {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
