//! The branch of plans: what is too long for a comment, in files that people can read.
//!
//! Keeps true: a file takes the place of the one of its name and no other's; what somebody else put there meanwhile
//! stays. Nothing is ever deployed from here.

use chrono::{DateTime, Utc};
use git2::{FileMode, Oid, build::TreeUpdateBuilder};

use super::{
    error::{Context, GitError},
    history::position,
    local::MoveFrom,
    repository::Repository,
};

/// The branch's name.
pub const PLANS: &str = "evenkeel/plans";
/// How often a file is offered to a branch that others write to as well.
const TRIES: u32 = 3;

impl Repository {
    /// Puts a file into the root of the branch, and pushes it. One that is there already is left as it is.
    pub fn put_plan(&self, name: &str, content: &[u8], message: &str, when: DateTime<Utc>) -> Result<(), GitError> {
        let _writing = self.writing()?;
        let reference = format!("refs/heads/{PLANS}");
        let mirror = self.mirror()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let before = position(&mirror, &reference)?;
            let tree = with_file(&mirror, before, name, content).context("write a file for", &reference)?;
            let Some(tree) = tree else { return Ok(()) };
            let commit = self.commit(&mirror, before, tree, message, when).context("write a commit for", &reference)?;
            match self.publish(&mirror, &reference, commit, MoveFrom::Seen(before)) {
                Ok(()) => {
                    mirror.reference(&reference, commit, true, "plan").context("move", &reference)?;
                    return Ok(());
                }
                // Somebody was faster.
                Err(GitError::Diverged { .. }) if tries < TRIES => _ = self.fetch_while_writing(&mirror)?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// The commit's tree with the file in it. None where it has it already.
fn with_file(
    mirror: &git2::Repository,
    commit: Option<Oid>,
    name: &str,
    content: &[u8],
) -> Result<Option<Oid>, git2::Error> {
    let before = match commit {
        Some(commit) => mirror.find_commit(commit)?.tree()?,
        None => mirror.find_tree(mirror.treebuilder(None)?.write()?)?,
    };
    let tree =
        TreeUpdateBuilder::new().upsert(name, mirror.blob(content)?, FileMode::Blob).create_updated(mirror, &before)?;
    Ok((tree != before.id()).then_some(tree))
}
