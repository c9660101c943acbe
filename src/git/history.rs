//! The history branches: one commit for each thing that happened in an environment.
//!
//! Keeps true: a commit is appended only to the head that the caller built on, at the remote before here,
//! so two controllers can never both have written the next one; nothing is ever overwritten.
//! Never makes up what a record says: the caller hands over the files and the message.

use std::{cell::Cell, collections::BTreeMap, ops::ControlFlow};

use chrono::{DateTime, Utc};
use git2::{FileMode, Oid, Tree, build::TreeUpdateBuilder};
use serde::de::DeserializeOwned;

use super::{
    error::{Context, GitError},
    local::{self, MoveFrom},
    objects::{over, read_blob},
    publish::diverged,
    repository::{GOOD, GOOD_DEFAULT, HISTORY, MARKS, Repository, find_commit},
    signature::Signer,
};
use crate::model::{
    budget::{Budget, Exceeded},
    commit::CommitId,
    environment_state::{HistoryEntry, StateEvent},
    name::EnvironmentName,
    outcome::Record,
    plan::Commits,
    tree::Entry,
};

/// Before every folder of objects, so that it takes what is written.
const IN_MEMORY: i32 = 1000;
const RECORD: &str = "deployment.json";
const STANDING: &str = "standing.json";
/// Only in the commit of a control: its other files are those of the record before.
const EVENT: &str = "event.json";

/// The newest commit of a history branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    pub commit: CommitId,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Repository {
    /// The newest commit with every file that it keeps, as last fetched or written. None before the first.
    pub fn tip(&self, environment: &EnvironmentName) -> Result<Option<Tip>, GitError> {
        let Some(commit) = position(&self.mirror()?, &branch(environment))? else { return Ok(None) };
        let commit = CommitId::from(commit.to_string());
        let files = self.history_files(environment, &commit)?;
        Ok(Some(Tip { commit, files }))
    }

    /// As [`Self::tip`], with none but the named files of the root.
    pub fn head(&self, environment: &EnvironmentName, files: &[&str]) -> Result<Option<Tip>, GitError> {
        let mirror = self.mirror()?;
        let commit = position(&mirror, &branch(environment))?;
        commit.map(|commit| self.tip_at(&mirror, commit, files)).transpose()
    }

    /// The environments that have a history, as last fetched or written.
    pub fn histories(&self) -> Result<Vec<EnvironmentName>, GitError> {
        let references = self.references(&self.mirror()?)?;
        Ok(references.keys().filter_map(|name| name.strip_prefix(HISTORY)?.parse().ok()).collect())
    }

    /// The newest `limit` controls and deployments, newest first, as last fetched or written. Commits
    /// that record neither are passed over.
    pub fn history(&self, environment: &EnvironmentName, limit: usize) -> Result<Vec<HistoryEntry>, GitError> {
        self.newest(environment, limit, |commit| commit.entry())
    }

    /// What `pick` keeps of the controls and deployments, newest first, however many there are: no more than one of them
    /// is held at a time.
    pub fn pick_history<T>(
        &self,
        environment: &EnvironmentName,
        mut pick: impl FnMut(HistoryEntry) -> Option<T>,
    ) -> Result<Vec<T>, GitError> {
        let mut picked = Vec::new();
        self.walk(environment, |commit| {
            picked.extend(commit.entry()?.and_then(&mut pick));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(picked)
    }

    /// As [`Self::history`], of deployments only.
    pub fn records(&self, environment: &EnvironmentName, limit: usize) -> Result<Vec<Record>, GitError> {
        self.newest(environment, limit, |commit| commit.record_of_its_own())
    }

    /// The newest deployment that is meant.
    pub fn find_record(
        &self,
        environment: &EnvironmentName,
        is_meant: impl Fn(&Record) -> bool,
    ) -> Result<Option<Record>, GitError> {
        let mut found = None;
        self.walk(environment, |commit| {
            found = commit.record_of_its_own()?.filter(&is_meant);
            Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(found)
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
    /// no branch), signed where `signer` is one, and pushes it. When the branch is elsewhere, here or at the remote, that
    /// is [`GitError::Diverged`]; when a file is larger than the next reader takes, [`GitError::OverBudget`]. Nothing was
    /// written then.
    pub fn append_signed(
        &self,
        environment: &EnvironmentName,
        seen: Option<&CommitId>,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        when: DateTime<Utc>,
        signer: Option<&Signer>,
    ) -> Result<CommitId, GitError> {
        let branch = branch(environment);
        let most = self.budget.record_bytes;
        let is_large = |name: &&str| files.get(*name).is_some_and(|content| content.len() as u64 > most);
        if let Some(name) = [RECORD, STANDING, EVENT].iter().find(|name| is_large(name)) {
            return Err(over(&format!("the next commit of {branch}"), name, Exceeded::FileBytes(most)));
        }
        let _writing = self.writing()?;
        let mirror = self.mirror()?;
        let seen = seen.map(|seen| Oid::from_str(seen).context("find commit", seen)).transpose()?;
        let ours = position(&mirror, &branch)?;
        if ours != seen {
            return Err(diverged(&self.url.to_string(), &branch, seen, ours));
        }
        // In memory first: the mirror syncs what is written, all of it together.
        let draft = self.mirror()?;
        let write = || {
            draft.odb()?.add_new_mempack_backend(IN_MEMORY)?;
            let mut tree = TreeUpdateBuilder::new();
            for (path, content) in files {
                tree.upsert(path.as_str(), draft.blob(content)?, FileMode::Blob);
            }
            let empty = draft.find_tree(draft.treebuilder(None)?.write()?)?;
            let tree = tree.create_updated(&draft, &empty)?;
            self.commit(&draft, seen, tree, message, when)
        };
        let commit = write().context("write a commit for", &branch)?;
        let commit = self.signed_commit(&draft, commit, signer)?;
        local::copy(&draft, &mirror, commit).context("write a commit for", &branch)?;
        self.publish(&mirror, &branch, commit, MoveFrom::Seen(seen))?;
        mirror.reference(&branch, commit, true, "append").context("move", &branch)?;
        self.wrote(&mirror, environment, commit)?;
        Ok(commit.to_string().into())
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

    /// Walks the branch from its newest commit, until `limit` are picked. What is picked is kept, so it is no more than
    /// the budget has.
    fn newest<T>(
        &self,
        environment: &EnvironmentName,
        limit: usize,
        pick: impl Fn(&HistoryCommit<'_>) -> Result<Option<T>, GitError>,
    ) -> Result<Vec<T>, GitError> {
        let (mut picked, mut bytes, most) = (Vec::new(), 0u64, self.budget.records_bytes);
        if limit == 0 {
            return Ok(picked);
        }
        self.walk(environment, |commit| {
            if let Some(found) = pick(commit)? {
                picked.push(found);
                bytes = bytes.saturating_add(commit.read.get());
            }
            if bytes > most {
                return Err(over(commit.branch, "", Exceeded::RecordsBytes(most)));
            }
            Ok(if picked.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(picked)
    }

    /// Hands on each commit of the branch that records something, from the newest on.
    fn walk(
        &self,
        environment: &EnvironmentName,
        mut each: impl FnMut(&HistoryCommit<'_>) -> Result<ControlFlow<()>, GitError>,
    ) -> Result<(), GitError> {
        let branch = branch(environment);
        let mirror = self.mirror()?;
        let mut next = position(&mirror, &branch)?;
        while let Some(id) = next {
            let found = mirror.find_commit(id).context("find commit", id)?;
            next = found.parent_ids().next();
            let tree = found.tree().context("read the tree of", id)?;
            let (budget, read) = (&self.budget, Cell::new(0));
            let commit = HistoryCommit { mirror: &mirror, budget, branch: &branch, id, tree, read };
            // Somebody else's commit has the record that was there before it, and is none.
            let before = next.map(|parent| mirror.find_commit(parent).and_then(|parent| parent.tree()));
            let before = before.transpose().context("read the tree before", id)?;
            if before.is_none_or(|before| [RECORD, EVENT].iter().any(|file| !commit.has_as_in(file, &before)))
                && each(&commit)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// A commit of a history with the named files of its root.
    pub(super) fn tip_at(&self, mirror: &git2::Repository, commit: Oid, files: &[&str]) -> Result<Tip, GitError> {
        let tree = mirror.find_commit(commit).and_then(|commit| commit.tree()).context("read the tree of", commit)?;
        let mut tip = Tip { commit: commit.to_string().into(), files: BTreeMap::new() };
        let from = format!("history commit {commit}");
        for name in files {
            let Some(entry) = tree.get_name(name) else { continue };
            tip.files.insert((*name).to_owned(), read_blob(mirror, entry.id(), &from, name, self.budget.record_bytes)?);
        }
        Ok(tip)
    }
}

/// A commit of a history branch, as it is read.
struct HistoryCommit<'m> {
    mirror: &'m git2::Repository,
    budget: &'m Budget,
    branch: &'m str,
    id: Oid,
    tree: Tree<'m>,
    /// How many bytes of it were parsed.
    read: Cell<u64>,
}

impl HistoryCommit<'_> {
    /// Whether a file, or that it is not there, is as in the other tree.
    fn has_as_in(&self, file: &str, other: &Tree<'_>) -> bool {
        self.tree.get_name(file).map(|entry| entry.id()) == other.get_name(file).map(|entry| entry.id())
    }

    fn holds(&self, file: &str) -> bool {
        self.tree.get_name(file).is_some()
    }

    fn entry(&self) -> Result<Option<HistoryEntry>, GitError> {
        if let Some(event) = self.parse::<StateEvent>(EVENT)? {
            return Ok(Some(HistoryEntry::Control { commit: self.id.to_string().into(), event: Box::new(event) }));
        }
        Ok(self.record()?.map(|record| HistoryEntry::Deployment(Box::new(record))))
    }

    /// None of a control, which holds the record before it.
    fn record_of_its_own(&self) -> Result<Option<Record>, GitError> {
        if self.holds(EVENT) { Ok(None) } else { self.record() }
    }

    fn record(&self) -> Result<Option<Record>, GitError> {
        let deployment = self.parse(RECORD)?;
        Ok(deployment.map(|deployment| Record { commit: self.id.to_string().into(), deployment }))
    }

    fn parse<T: DeserializeOwned>(&self, file: &'static str) -> Result<Option<T>, GitError> {
        let Some(entry) = self.tree.get_name(file) else { return Ok(None) };
        let from = format!("commit {} on {}", self.id, self.branch);
        let content = read_blob(self.mirror, entry.id(), &from, file, self.budget.record_bytes)?;
        self.read.set(self.read.get().saturating_add(content.len() as u64));
        let parsed = serde_json::from_slice(&content);
        let (branch, commit) = (self.branch.to_owned(), self.id.to_string());
        parsed.map(Some).map_err(|source| GitError::Record { branch, commit, file, source })
    }
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
