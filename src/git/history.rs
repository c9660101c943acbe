//! The history branches: one commit for each thing that happened in an environment.
//!
//! Keeps true: a commit is appended only to the head that the caller built on, at the remote before here,
//! so two controllers can never both have written the next one; nothing is ever overwritten.
//! Never makes up what a record says: the caller hands over the files and the message.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use git2::{FileMode, Oid, Tree, build::TreeUpdateBuilder};
use serde::de::DeserializeOwned;

use super::{
    error::{Context, GitError},
    local::MoveFrom,
    objects::read_blob,
    publish::diverged,
    repository::{GOOD, GOOD_DEFAULT, HISTORY, MARKS, Repository, find_commit},
    signature::Signer,
};
use crate::model::{
    budget::Budget,
    name::EnvironmentName,
    outcome::Record,
    plan::Commits,
    standing::{HistoryEntry, StandingEvent},
    tree::Entry,
};

const RECORD: &str = "deployment.json";
/// Only in the commit of a control: its other files are those of the record before.
const EVENT: &str = "event.json";

/// The newest commit of a history branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Repository {
    /// The newest commit with every file that it keeps, as last fetched or written. None before the first.
    pub fn tip(&self, environment: &EnvironmentName) -> Result<Option<Tip>, GitError> {
        let Some(commit) = position(&self.mirror()?, &branch(environment))? else { return Ok(None) };
        let commit = commit.to_string();
        let files = self.history_files(environment, &commit)?;
        Ok(Some(Tip { commit, files }))
    }

    /// As [`Self::tip`], with none but the named files of the root.
    pub fn head(&self, environment: &EnvironmentName, files: &[&str]) -> Result<Option<Tip>, GitError> {
        let mirror = self.mirror()?;
        let commit = position(&mirror, &branch(environment))?;
        commit.map(|commit| tip_at(&mirror, commit, files)).transpose()
    }

    /// The environments that have a history, as last fetched or written.
    pub fn histories(&self) -> Result<Vec<EnvironmentName>, GitError> {
        let references = self.references(&self.mirror()?)?;
        Ok(references.keys().filter_map(|name| name.strip_prefix(HISTORY)?.parse().ok()).collect())
    }

    /// The newest `limit` controls and deployments, newest first, as last fetched or written. Commits
    /// that record neither are passed over.
    pub fn history(&self, environment: &EnvironmentName, limit: usize) -> Result<Vec<HistoryEntry>, GitError> {
        self.newest(environment, limit, |commit| {
            if let Some(event) = commit.parse::<StandingEvent>(EVENT)? {
                return Ok(Some(HistoryEntry::Control { commit: commit.id.to_string(), event: Box::new(event) }));
            }
            Ok(commit.record()?.map(|record| HistoryEntry::Deployment(Box::new(record))))
        })
    }

    /// As [`Self::history`], of deployments only.
    pub fn records(&self, environment: &EnvironmentName, limit: usize) -> Result<Vec<Record>, GitError> {
        self.newest(environment, limit, |commit| if commit.holds(EVENT) { Ok(None) } else { commit.record() })
    }

    /// Every file that a record keeps.
    pub fn history_files(&self, _: &EnvironmentName, commit: &str) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        let tree = self.tree(commit)?;
        let files = tree.iter().filter_map(|(path, entry)| match entry {
            Entry::File { content, .. } => Some((path.to_owned(), content.to_vec())),
            Entry::Symlink { .. } | Entry::Submodule => None,
        });
        Ok(files.collect())
    }

    /// Appends one commit whose tree is `files` to the commit that the caller built on (none: there was
    /// no branch), and pushes it. When the branch is elsewhere, here or at the remote, that is
    /// [`GitError::Diverged`] and nothing was written.
    pub fn append(
        &self,
        environment: &EnvironmentName,
        seen: Option<&str>,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        when: DateTime<Utc>,
    ) -> Result<String, GitError> {
        self.append_signed(environment, seen, files, message, when, None)
    }

    /// As [`Self::append`], with a signature.
    pub fn append_signed(
        &self,
        environment: &EnvironmentName,
        seen: Option<&str>,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        when: DateTime<Utc>,
        signer: Option<&Signer>,
    ) -> Result<String, GitError> {
        let _writing = self.writing()?;
        let branch = branch(environment);
        let mirror = self.mirror()?;
        let seen = seen.map(|seen| Oid::from_str(seen).context("find commit", seen)).transpose()?;
        let ours = position(&mirror, &branch)?;
        if ours != seen {
            return Err(diverged(&self.url.to_string(), &branch, seen, ours));
        }
        let write = || {
            let mut tree = TreeUpdateBuilder::new();
            for (path, content) in files {
                tree.upsert(path.as_str(), mirror.blob(content)?, FileMode::Blob);
            }
            let empty = mirror.find_tree(mirror.treebuilder(None)?.write()?)?;
            let tree = tree.create_updated(&mirror, &empty)?;
            self.commit(&mirror, seen, tree, message, when)
        };
        let commit = write().context("write a commit for", &branch)?;
        let commit = self.signed_commit(&mirror, commit, signer)?;
        self.publish(&mirror, &branch, commit, MoveFrom::Seen(seen))?;
        mirror.reference(&branch, commit, true, "append").context("move", &branch)?;
        self.wrote(&mirror, environment, commit)?;
        Ok(commit.to_string())
    }

    /// Moves `refs/evenkeel/<environment>/good`, which keeps the last good commit from being collected. Where the
    /// environment has a branch of its own, `good-default` keeps the default branch's.
    pub fn mark_good(&self, environment: &EnvironmentName, commits: &Commits) -> Result<(), GitError> {
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let default = commits.default.as_ref().filter(|default| commits.environment.as_ref() != Some(default));
        for (mark, commit) in [(GOOD, commits.environment.as_ref()), (GOOD_DEFAULT, default)] {
            let Some(commit) = commit else { continue };
            let reference = format!("{MARKS}{environment}{mark}");
            let commit = find_commit(&mirror, commit)?.id();
            self.publish(&mirror, &reference, commit, MoveFrom::Anywhere)?;
            mirror.reference(&reference, commit, true, "good").context("move", &reference)?;
        }
        Ok(())
    }

    /// Walks the branch from its newest commit, until `limit` are picked.
    fn newest<T>(
        &self,
        environment: &EnvironmentName,
        limit: usize,
        pick: impl Fn(&HistoryCommit<'_>) -> Result<Option<T>, GitError>,
    ) -> Result<Vec<T>, GitError> {
        let branch = branch(environment);
        let mirror = self.mirror()?;
        let mut next = position(&mirror, &branch)?;
        let mut picked = Vec::new();
        while let Some(id) = next.filter(|_| picked.len() < limit) {
            let found = mirror.find_commit(id).context("find commit", id)?;
            next = found.parent_ids().next();
            let tree = found.tree().context("read the tree of", id)?;
            let commit = HistoryCommit { mirror: &mirror, budget: &self.budget, branch: &branch, id, tree };
            // Somebody else's commit has the record that was there before it, and is none.
            let before = next.map(|parent| mirror.find_commit(parent).and_then(|parent| parent.tree()));
            let before = before.transpose().context("read the tree before", id)?;
            if before.is_none_or(|before| [RECORD, EVENT].iter().any(|file| !commit.has_as_in(file, &before))) {
                picked.extend(pick(&commit)?);
            }
        }
        Ok(picked)
    }
}

/// A commit of a history branch, as it is read.
struct HistoryCommit<'m> {
    mirror: &'m git2::Repository,
    budget: &'m Budget,
    branch: &'m str,
    id: Oid,
    tree: Tree<'m>,
}

impl HistoryCommit<'_> {
    /// Whether a file, or that it is not there, is as in the other tree.
    fn has_as_in(&self, file: &str, other: &Tree<'_>) -> bool {
        self.tree.get_name(file).map(|entry| entry.id()) == other.get_name(file).map(|entry| entry.id())
    }

    fn holds(&self, file: &str) -> bool {
        self.tree.get_name(file).is_some()
    }

    fn record(&self) -> Result<Option<Record>, GitError> {
        let deployment = self.parse(RECORD)?;
        Ok(deployment.map(|deployment| Record { commit: self.id.to_string(), deployment }))
    }

    fn parse<T: DeserializeOwned>(&self, file: &'static str) -> Result<Option<T>, GitError> {
        let Some(entry) = self.tree.get_name(file) else { return Ok(None) };
        let content = read_blob(self.mirror, entry.id(), file, self.budget)?;
        let parsed = serde_json::from_slice(&content);
        let (branch, commit) = (self.branch.to_owned(), self.id.to_string());
        parsed.map(Some).map_err(|source| GitError::Record { branch, commit, file, source })
    }
}

/// A commit of a history with the named files of its root.
pub(super) fn tip_at(mirror: &git2::Repository, commit: Oid, files: &[&str]) -> Result<Tip, GitError> {
    let tree = mirror.find_commit(commit).and_then(|commit| commit.tree()).context("read the tree of", commit)?;
    let mut tip = Tip { commit: commit.to_string(), files: BTreeMap::new() };
    for name in files {
        let Some(entry) = tree.get_name(name) else { continue };
        tip.files.insert((*name).to_owned(), read_blob(mirror, entry.id(), name, &Budget::STANDARD)?);
    }
    Ok(tip)
}

fn branch(environment: &EnvironmentName) -> String {
    format!("{HISTORY}{environment}")
}

/// Where the mirror's reference is.
pub(super) fn position(mirror: &git2::Repository, reference: &str) -> Result<Option<Oid>, GitError> {
    match mirror.refname_to_id(reference) {
        Ok(oid) => Ok(Some(oid)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).context("read", reference),
    }
}
