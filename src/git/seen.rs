//! What this controller saw: the heads that followed branches had, and the history commits that were believed.
//!
//! Keeps true: both are references of the mirror's own, which are never fetched and never pushed, so nobody else
//! writes them; a head that a newer one contains is dropped, so only a forced push or another branch adds one; to lose
//! them is to forget the commits that a branch no longer holds, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use git2::{ErrorCode, Oid, Reference};
use parking_lot::Mutex;

use super::{
    error::{Context, GitError},
    history::{Tip, position},
    repository::{Repository, descends},
};
use crate::model::{belief::Held, budget::Budget, commit::CommitId, name::EnvironmentName, plan::Commits};

const SEEN: &str = "refs/evenkeel-seen/";
const BELIEVED: &str = "refs/evenkeel-believed/";
const WRITTEN: &str = "refs/evenkeel-written/";

/// So many answers are kept; the walks that they cost are repeated then.
const ANSWERS: usize = 10_000;

/// A reference that another one moves is tried again so often, after such pauses. Its lock is held for no longer than a
/// small file takes to be written and synced.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(10);

/// Whose heads these are. An environment's are kept by its name and not by its branch's: the default branch says which
/// one it follows, and what it followed yesterday counts on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    Default,
    Environment(EnvironmentName),
    /// A branch or tag of another repository, by the digest of its name.
    Revision(String),
}

/// What is known without asking the mirror again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    heads: Mutex<BTreeMap<Line, BTreeSet<Oid>>>,
    /// Whether a head contains a commit, which never changes.
    contains: Mutex<HashMap<(Oid, Oid), bool>>,
}

impl Line {
    fn folder(&self) -> String {
        match self {
            Line::Default => format!("{SEEN}default/"),
            Line::Environment(name) => format!("{SEEN}environments/{name}/"),
            Line::Revision(digest) => format!("{SEEN}revisions/{digest}/"),
        }
    }
}

impl Repository {
    /// Those of the asked commits that the followed branches contain, or a head that they had when this controller
    /// looked. Where they are now is seen hereby. `branch` says which one the environment follows, by the default
    /// branch's commit.
    pub fn held(
        &self,
        environment: &EnvironmentName,
        asked: &Held,
        branch: impl FnOnce(&CommitId) -> Result<Option<String>, GitError>,
    ) -> Result<Held, GitError> {
        let mirror = self.mirror()?;
        let default = newest_of_default(&mirror)?;
        let branch = default.map(|default| branch(&default.to_string().into())).transpose()?.flatten();
        let head = match branch.map(|branch| format!("refs/heads/{branch}")) {
            Some(reference) if Reference::is_valid_name(&reference) => position(&mirror, &reference)?,
            _ => None,
        };
        Ok(Held {
            default: self.held_by(&mirror, &Line::Default, default, &asked.default)?,
            environment: self.held_by(&mirror, &Line::Environment(environment.clone()), head, &asked.environment)?,
        })
    }

    /// The default branch's newest commit, as last fetched.
    pub fn default_head(&self) -> Result<Option<CommitId>, GitError> {
        Ok(newest_of_default(&self.mirror()?)?.map(|commit| commit.to_string().into()))
    }

    /// Takes the commits for seen, whatever branch holds them.
    pub fn vouch(&self, environment: &EnvironmentName, commits: &Commits) -> Result<(), GitError> {
        let mirror = self.mirror()?;
        let lines = [(Line::Default, &commits.default), (Line::Environment(environment.clone()), &commits.environment)];
        for (line, commit) in lines {
            let commit = commit.as_ref().map(|commit| Oid::from_str(commit).context("find commit", commit));
            self.seen(&mirror, &line, commit.transpose()?)?;
        }
        Ok(())
    }

    fn held_by(
        &self,
        mirror: &git2::Repository,
        line: &Line,
        head: Option<Oid>,
        commits: &BTreeSet<CommitId>,
    ) -> Result<BTreeSet<CommitId>, GitError> {
        let heads = self.seen(mirror, line, head)?;
        let mut held = BTreeSet::new();
        for text in commits {
            // As git writes it: another spelling would be another commit to everybody who compares.
            let Some(commit) = Oid::from_str(text).ok().filter(|commit| *text == commit.to_string().as_str()) else {
                continue;
            };
            for head in &heads {
                if self.contains(mirror, *head, commit)? {
                    held.insert(text.clone());
                    break;
                }
            }
        }
        Ok(held)
    }

    /// The newest history commit of the environment that was believed as a whole.
    pub fn believed(&self, environment: &EnvironmentName, files: &[&str]) -> Result<Option<Tip>, GitError> {
        let mirror = self.mirror()?;
        let commit = self.believed_commit(&mirror, environment)?;
        commit.map(|commit| self.tip_at(&mirror, commit, files)).transpose()
    }

    pub(super) fn believed_commit(
        &self,
        mirror: &git2::Repository,
        environment: &EnvironmentName,
    ) -> Result<Option<Oid>, GitError> {
        position(mirror, &format!("{BELIEVED}{environment}"))
    }

    /// The newest commit of the history that this mirror wrote itself.
    pub(super) fn written_commit(
        &self,
        mirror: &git2::Repository,
        environment: &EnvironmentName,
    ) -> Result<Option<Oid>, GitError> {
        position(mirror, &format!("{WRITTEN}{environment}"))
    }

    pub(super) fn wrote(
        &self,
        mirror: &git2::Repository,
        environment: &EnvironmentName,
        commit: Oid,
    ) -> Result<(), GitError> {
        let reference = format!("{WRITTEN}{environment}");
        remember(mirror, &reference, commit, "written")
    }

    /// Remembers a history commit as believed.
    pub fn believe(&self, environment: &EnvironmentName, commit: &CommitId) -> Result<(), GitError> {
        let mirror = self.mirror()?;
        let reference = format!("{BELIEVED}{environment}");
        let commit = Oid::from_str(commit).context("find commit", commit)?;
        remember(&mirror, &reference, commit, "believed")
    }

    /// The heads of the line, with `head` among them or contained in one of them.
    pub(super) fn seen(
        &self,
        mirror: &git2::Repository,
        line: &Line,
        head: Option<Oid>,
    ) -> Result<BTreeSet<Oid>, GitError> {
        let mut known = self.memory.heads.lock();
        let heads = match known.get(line) {
            Some(heads) => heads,
            None => known.entry(line.clone()).or_insert(self.read_seen(mirror, line)?),
        };
        let mut heads = heads.clone();
        let Some(head) = head.filter(|head| !heads.contains(head)) else { return Ok(heads) };
        for seen in &heads {
            if self.contains(mirror, *seen, head)? {
                return Ok(heads);
            }
        }
        let folder = line.folder();
        let name = |head: &Oid| format!("{folder}{head}");
        // First the new one, so that at no time less is seen.
        remember(mirror, &name(&head), head, "seen")?;
        let mut contained = Vec::new();
        for seen in &heads {
            if self.contains(mirror, head, *seen)? {
                contained.push(*seen);
            }
        }
        heads.insert(head);
        heads.retain(|seen| !contained.contains(seen));
        if heads.len() > Budget::STANDARD.seen_heads {
            let age =
                |seen: &&Oid| mirror.find_commit(**seen).map(|commit| commit.time().seconds()).unwrap_or(i64::MIN);
            let oldest = heads.iter().filter(|seen| **seen != head).min_by_key(age).copied();
            oldest.iter().for_each(|oldest| _ = heads.remove(oldest));
            contained.extend(oldest);
        }
        for seen in contained {
            // Another process may have done so; one that stays says nothing new.
            let _ = mirror.find_reference(&name(&seen)).and_then(|mut found| found.delete());
        }
        known.insert(line.clone(), heads.clone());
        Ok(heads)
    }

    fn read_seen(&self, mirror: &git2::Repository, line: &Line) -> Result<BTreeSet<Oid>, GitError> {
        let folder = line.folder();
        let read = || {
            let mut heads = BTreeSet::new();
            for reference in mirror.references_glob(&format!("{folder}*"))? {
                heads.extend(reference?.target());
            }
            Ok(heads)
        };
        read().context("read the references of", self.mirror.display())
    }

    /// Whether the head is the commit, or has it among its ancestors. A commit that is not here is in none.
    pub(super) fn contains(&self, mirror: &git2::Repository, head: Oid, commit: Oid) -> Result<bool, GitError> {
        if head == commit {
            return Ok(true);
        }
        if let Some(answer) = self.memory.contains.lock().get(&(head, commit)) {
            return Ok(*answer);
        }
        let is_here = |id: Oid| mirror.find_commit(id).is_ok();
        if !is_here(commit) || !is_here(head) {
            return Ok(false);
        }
        let answer = descends(mirror, head, commit)?;
        let mut answers = self.memory.contains.lock();
        if answers.len() >= ANSWERS {
            answers.clear();
        }
        answers.insert((head, commit), answer);
        Ok(answer)
    }
}

/// Moves a reference of the controller's own memory. Loops and processes that share a mirror remember at the same time,
/// and git's lock of a reference is refused, not waited for.
fn remember(mirror: &git2::Repository, reference: &str, commit: Oid, why: &str) -> Result<(), GitError> {
    let mut tries = 0;
    while position(mirror, reference)? != Some(commit) {
        match mirror.reference(reference, commit, true, why) {
            Err(error) if error.code() == ErrorCode::Locked && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            moved => return moved.map(|_| ()).context("move", reference),
        }
    }
    Ok(())
}

/// The default branch's newest commit, as last fetched.
fn newest_of_default(mirror: &git2::Repository) -> Result<Option<Oid>, GitError> {
    match mirror.head() {
        Ok(head) => Ok(head.target()),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => Ok(None),
        Err(error) => Err(error).context("read the HEAD of", mirror.path().display()),
    }
}
