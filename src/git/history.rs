//! The history branches: one commit for each thing that happened in an environment.
//!
//! Keeps true: a commit is appended only to the head that was last seen, at the remote before here, so
//! two controllers can never both have written the next one; nothing is ever overwritten.
//! Never makes up what a record says: the caller hands over the files and the message.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use chrono::{DateTime, Utc};
use git2::{Direction, FileMode, Oid, PushOptions, RemoteCallbacks, Signature, Time, build::TreeUpdateBuilder};

use super::{
    error::{Context, GitError},
    local::{self, MoveFrom},
    repository::{HISTORY, Repository, find_commit},
    url::RemoteUrl,
};
use crate::model::{name::EnvironmentName, outcome::Record, tree::Entry};

const RECORD: &str = "deployment.json";

impl Repository {
    /// The newest `limit` records, newest first, as last fetched or written. Commits that record
    /// something other than a deployment are passed over.
    pub fn history(&self, environment: &EnvironmentName, limit: usize) -> Result<Vec<Record>, GitError> {
        let branch = branch(environment);
        let mirror = self.mirror()?;
        let mut next = tip(&mirror, &branch)?;
        let mut records = Vec::new();
        while let Some(commit) = next.filter(|_| records.len() < limit) {
            let found = mirror.find_commit(commit).context("find commit", commit)?;
            next = found.parent_ids().next();
            let tree = found.tree().context("read the tree of", commit)?;
            let Some(entry) = tree.get_name(RECORD) else { continue };
            let blob = mirror.find_blob(entry.id()).context("read the record of", commit)?;
            let deployment = serde_json::from_slice(blob.content()).map_err(|source| GitError::Record {
                branch: branch.clone(),
                commit: commit.to_string(),
                source,
            })?;
            records.push(Record { commit: commit.to_string(), deployment });
        }
        Ok(records)
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

    /// Appends one commit whose tree is `files` and pushes it by compare-and-swap on the head last
    /// seen. On [`GitError::Diverged`] another controller was faster, and nothing was written.
    pub fn append(
        &self,
        environment: &EnvironmentName,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        when: DateTime<Utc>,
    ) -> Result<String, GitError> {
        let _writing = self.writing()?;
        let branch = branch(environment);
        let mirror = self.mirror()?;
        let seen = tip(&mirror, &branch)?;
        let commit = self.commit(&mirror, seen, files, message, when).context("write a commit for", &branch)?;
        self.publish(&mirror, &branch, commit, MoveFrom::Seen(seen))?;
        mirror.reference(&branch, commit, true, "append").context("move", &branch)?;
        Ok(commit.to_string())
    }

    /// Moves `refs/evenkeel/<environment>/good`, which keeps the last good commit from being collected.
    pub fn mark_good(&self, environment: &EnvironmentName, commit: &str) -> Result<(), GitError> {
        let _writing = self.writing()?;
        let reference = format!("refs/evenkeel/{environment}/good");
        let mirror = self.mirror()?;
        let commit = find_commit(&mirror, commit)?.id();
        self.publish(&mirror, &reference, commit, MoveFrom::Anywhere)?;
        mirror.reference(&reference, commit, true, "good").context("move", &reference)?;
        Ok(())
    }

    fn commit(
        &self,
        mirror: &git2::Repository,
        parent: Option<Oid>,
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        when: DateTime<Utc>,
    ) -> Result<Oid, git2::Error> {
        let mut tree = TreeUpdateBuilder::new();
        for (path, content) in files {
            tree.upsert(path.as_str(), mirror.blob(content)?, FileMode::Blob);
        }
        let empty = mirror.find_tree(mirror.treebuilder(None)?.write()?)?;
        let tree = mirror.find_tree(tree.create_updated(mirror, &empty)?)?;
        let (name, email) = &self.author;
        let author = Signature::new(name, email, &Time::new(when.timestamp(), 0))?;
        let parent = parent.map(|parent| mirror.find_commit(parent)).transpose()?;
        mirror.commit(None, &author, &author, message, &tree, parent.as_ref().as_slice())
    }

    /// Moves a reference at the remote.
    fn publish(&self, mirror: &git2::Repository, reference: &str, commit: Oid, from: MoveFrom) -> Result<(), GitError> {
        if let RemoteUrl::Local(path) = &self.url {
            return local::publish(mirror, path, reference, commit, from);
        }
        let (seen, expected) = match from {
            MoveFrom::Seen(seen) => (seen, Some(seen.unwrap_or(Oid::ZERO_SHA1))),
            MoveFrom::Anywhere => (None, None),
        };
        let found = Cell::new(None);
        let refused = RefCell::new(None);
        let pushed = self.with_remote(mirror, "push to", |remote| {
            let mut callbacks = RemoteCallbacks::new();
            // The remote says where its reference is, and moves it only from there. So whoever was
            // faster is seen here, or by the remote.
            callbacks.push_negotiation(|updates| match updates.iter().find(|u| Some(u.src()) != expected) {
                Some(update) if expected.is_some() => {
                    found.set(Some(update.src()));
                    Err(git2::Error::from_str("the reference has moved"))
                }
                _ => Ok(()),
            });
            callbacks.push_update_reference(|_, status| {
                *refused.borrow_mut() = status.map(|why| why.replace(char::is_control, " "));
                Ok(())
            });
            let mut options = PushOptions::new();
            options.remote_callbacks(callbacks);
            let force = if expected.is_some() { "" } else { "+" };
            remote.push(&[format!("{force}{commit}:{reference}")], Some(&mut options))
        });
        let diverged = |found: Oid| diverged(&self.url.to_string(), reference, seen, some(found));
        match (pushed, found.get(), refused.into_inner()) {
            (_, Some(found), _) => Err(diverged(found)),
            (_, None, Some(why)) => match (expected, self.remote_tip(mirror, reference)?) {
                (Some(expected), found) if found != expected => Err(diverged(found)),
                _ => Err(GitError::Refused { url: self.url.to_string(), reference: reference.to_owned(), why }),
            },
            (pushed, None, None) => pushed,
        }
    }

    /// Where the remote's reference is now; zero where there is none.
    fn remote_tip(&self, mirror: &git2::Repository, reference: &str) -> Result<Oid, GitError> {
        self.with_remote(mirror, "ask", |remote| {
            let connection = remote.connect_auth(Direction::Fetch, None, None)?;
            let heads = connection.list()?;
            Ok(heads.iter().find(|head| head.name() == reference).map_or(Oid::ZERO_SHA1, |head| head.oid()))
        })
    }
}

pub(super) fn diverged(url: &str, reference: &str, seen: Option<Oid>, found: Option<Oid>) -> GitError {
    let text = |oid: Option<Oid>| oid.map_or("nothing".to_owned(), |oid| oid.to_string());
    GitError::Diverged { url: url.to_owned(), reference: reference.to_owned(), seen: text(seen), found: text(found) }
}

fn some(oid: Oid) -> Option<Oid> {
    Some(oid).filter(|oid| !oid.is_zero())
}

fn branch(environment: &EnvironmentName) -> String {
    format!("{HISTORY}{environment}")
}

fn tip(mirror: &git2::Repository, reference: &str) -> Result<Option<Oid>, GitError> {
    match mirror.refname_to_id(reference) {
        Ok(oid) => Ok(Some(oid)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).context("read", reference),
    }
}
