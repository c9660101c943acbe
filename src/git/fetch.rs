//! Fetching: the mirror's references become the remote's, and nothing of the history is lost.
//!
//! Keeps true: all is downloaded before a reference moves, so a fetch that fails leaves the mirror as it
//! was; a history branch that vanished at the remote, or was set back there, stays here and is pushed
//! back; one that was rewritten there is taken as it is there, never overwritten.

use crate::model::commit::CommitId;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use git2::{Direction, Oid, Reference, RemoteConnection};

use super::{
    error::{Context, GitError},
    intake::Intake,
    local::{self, MoveFrom},
    offered::measure,
    repository::{GOOD, GOOD_DEFAULT, HISTORY, MARKS, MIRRORED, Repository, descends},
    url::RemoteUrl,
};

/// The remote's references as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub default_branch: String,
    /// The newest commit of each branch, but for the history branches.
    pub branches: BTreeMap<String, CommitId>,
    /// Whether any reference, those of the history too, moved since the last fetch.
    pub changed: bool,
    /// By environment: what somebody did to its history, found by this fetch.
    pub history: BTreeMap<String, HistoryChange>,
}

/// What became of a history branch that somebody else did not just append to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryChange {
    /// It had vanished at the remote, or had been set back; what was kept here was pushed back.
    Restored { at: String },
    /// It has vanished or was set back at the remote, and is still kept here.
    NotRestored { why: String },
    /// Our newest commit is not in it any more: the remote's was taken, and will be appended to.
    Rewritten { ours: String, theirs: String },
}

/// A reference at a remote.
pub(super) struct Head {
    pub(super) name: String,
    /// What it stands for, where it is a name for another one.
    pub(super) target: Option<String>,
    pub(super) at: Oid,
}

type References = BTreeMap<String, Oid>;

impl Repository {
    /// Makes the mirror's references the remote's, and pushes back a history branch that vanished there.
    pub fn fetch(&self) -> Result<Fetched, GitError> {
        let _writing = self.writing()?;
        self.fetch_while_writing(&self.mirror()?)
    }

    /// As [`Self::fetch`], for one who holds the right to write already.
    pub(super) fn fetch_while_writing(&self, mirror: &git2::Repository) -> Result<Fetched, GitError> {
        let before = self.references(mirror)?;
        let head_before = head(mirror);
        let heads = self.download(mirror)?;
        let head_now = default_branch(&heads).ok_or_else(|| GitError::NoDefaultBranch { url: self.url.to_string() })?;

        let mut history = rewritten(mirror, &before, &heads)?;
        let set_back = self.set_back(mirror, &before, &heads)?;
        let lost = self.take(mirror, &before, &heads, &set_back)?;
        if head_before.as_deref() != Some(&head_now) {
            mirror.set_head(&head_now).context("set HEAD of", self.mirror.display())?;
        }
        for (environment, at, there) in lost {
            let reference = format!("{HISTORY}{environment}");
            let change = match self.publish(mirror, &reference, at, MoveFrom::Seen(there)) {
                Ok(()) => HistoryChange::Restored { at: at.to_string() },
                Err(error) => HistoryChange::NotRestored { why: error.with_causes() },
            };
            history.insert(environment, change);
        }
        let after = self.references(mirror)?;
        let changed = before != after || head_before.as_deref() != Some(&head_now);
        Ok(Fetched { history, ..fetched(&head_now, after, changed) })
    }

    /// What the last fetch found, without the network. None before the first.
    pub fn last_fetched(&self) -> Result<Option<Fetched>, GitError> {
        let mirror = self.mirror()?;
        let references = self.references(&mirror)?;
        let head = head(&mirror).filter(|head| references.contains_key(head));
        Ok(head.map(|head| fetched(&head, references, false)))
    }

    /// Everything that the remote's references need, without moving one here.
    fn download(&self, mirror: &git2::Repository) -> Result<Vec<Head>, GitError> {
        // Before the connection, so that what is newer comes with it.
        let listed = match &self.url {
            RemoteUrl::Local(path) => Some(local::heads(path)?),
            RemoteUrl::Http(_) | RemoteUrl::Ssh(_) => None,
        };
        if let (RemoteUrl::Local(path), Some(heads)) = (&self.url, &listed) {
            self.count_offered(mirror, path, mirrored(heads))?;
        }
        let intake = Intake::new(mirror, &self.url, &self.budget);
        let done = self.with_remote(mirror, "fetch from", self.limits.fetch, |remote| {
            let mut connection = remote.connect_auth(Direction::Fetch, None, None)?;
            let heads = listed.map_or_else(|| list(&connection), Ok)?;
            let refspecs = MIRRORED.map(|prefix| format!("+{prefix}*:{prefix}*"));
            intake.download(connection.remote(), &refspecs)?;
            Ok(heads)
        });
        let heads = intake.outcome(done)?;
        let objects = mirror.odb().context("read", self.mirror.display())?;
        if let Some(head) = mirrored(&heads).find(|head| !objects.exists(head.at)) {
            return Err(GitError::Incomplete { url: self.url.to_string(), reference: head.name.clone() });
        }
        Ok(heads)
    }

    /// Refuses what a repository on this machine has at these heads and the budget does not allow.
    pub(super) fn count_offered<'h>(
        &self,
        mirror: &git2::Repository,
        path: &Path,
        heads: impl Iterator<Item = &'h Head>,
    ) -> Result<(), GitError> {
        measure(mirror, &local::open(path)?, heads.map(|head| head.at), &self.url.to_string(), &self.budget)
    }

    /// Moves the mirror's references to where the remote's are. Hands back the environments whose
    /// history has vanished there or was set back: where it is here, and there.
    fn take(
        &self,
        mirror: &git2::Repository,
        before: &References,
        heads: &[Head],
        set_back: &BTreeMap<String, SetBack>,
    ) -> Result<Vec<(String, Oid, Option<Oid>)>, GitError> {
        let there: BTreeSet<_> = heads.iter().map(|head| head.name.as_str()).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            before.keys().filter(|name| !there.contains(name.as_str())).partition(|name| is_kept(name));
        // First what is gone, or a branch `a` would stand in the way of a new branch `a/b`.
        for name in gone {
            mirror.find_reference(name).and_then(|mut found| found.delete()).context("delete", name)?;
        }
        let in_the_way = |name: &str| {
            let below = |folder: &str, name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            kept.iter().any(|kept| below(kept, name) || below(name, kept))
        };
        // The history last: whoever reads it finds the commits that it names on their branches.
        let (history, others): (Vec<_>, Vec<_>) = mirrored(heads).partition(|head| head.name.starts_with(HISTORY));
        for head in others.into_iter().chain(history).filter(|head| before.get(&head.name) != Some(&head.at)) {
            if !in_the_way(&head.name) && !set_back.contains_key(&head.name) {
                mirror.reference(&head.name, head.at, true, "fetch").context("move", &head.name)?;
            }
        }
        let mut lost = Vec::new();
        for name in kept {
            let Some(environment) = name.strip_prefix(HISTORY) else { continue };
            lost.push((environment.to_owned(), self.answered_for(mirror, environment, before[name])?, None));
        }
        for (name, SetBack { ours, theirs }) in set_back {
            let Some(environment) = name.strip_prefix(HISTORY) else { continue };
            lost.push((environment.to_owned(), *ours, Some(*theirs)));
        }
        for (environment, at, _) in &lost {
            let name = format!("{HISTORY}{environment}");
            if before.get(&name) != Some(at) {
                mirror.reference(&name, *at, true, "fetch").context("move", &name)?;
            }
        }
        Ok(lost)
    }

    /// The history branches that are at an older commit of ours at the remote: to push ours overwrites nothing.
    fn set_back(
        &self,
        mirror: &git2::Repository,
        before: &References,
        heads: &[Head],
    ) -> Result<BTreeMap<String, SetBack>, GitError> {
        let mut found = BTreeMap::new();
        for head in mirrored(heads) {
            if let Some(environment) = head.name.strip_prefix(HISTORY)
                && let Some(ours) = before.get(&head.name).filter(|ours| **ours != head.at)
                && descends(mirror, *ours, head.at)?
            {
                let ours = self.answered_for(mirror, environment, *ours)?;
                if ours != head.at && descends(mirror, ours, head.at)? {
                    found.insert(head.name.clone(), SetBack { ours, theirs: head.at });
                }
            }
        }
        Ok(found)
    }

    /// The newest commit of a history that this controller wrote or believed: what somebody else appended after it, and
    /// what a person takes away again, is not brought back from here. All of it where nothing is known of it.
    fn answered_for(&self, mirror: &git2::Repository, environment: &str, ours: Oid) -> Result<Oid, GitError> {
        let Ok(environment) = environment.parse() else { return Ok(ours) };
        let mut newest: Option<Oid> = None;
        let known = [self.believed_commit(mirror, &environment)?, self.written_commit(mirror, &environment)?];
        for known in known.into_iter().flatten() {
            let is_newer = newest.is_none_or(|newest| descends(mirror, known, newest).unwrap_or(false));
            if is_newer && descends(mirror, ours, known)? {
                newest = Some(known);
            }
        }
        Ok(newest.unwrap_or(ours))
    }
}

/// A history branch that somebody moved back at the remote.
struct SetBack {
    ours: Oid,
    theirs: Oid,
}

/// What a remote that is not on this machine says that it has.
pub(super) fn list(connection: &RemoteConnection<'_, '_, '_>) -> Result<Vec<Head>, git2::Error> {
    let head = |head: &git2::RemoteHead<'_>| Head {
        name: head.name().to_owned(),
        target: head.symref_target().map(str::to_owned),
        at: head.oid(),
    };
    Ok(connection.list()?.iter().map(head).collect())
}

/// The references that the mirror has too. What git would not take as a name is passed over.
fn mirrored(heads: &[Head]) -> impl Iterator<Item = &Head> {
    let ours = |head: &&Head| {
        MIRRORED.iter().any(|prefix| head.name.starts_with(prefix)) && Reference::is_valid_name(&head.name)
    };
    heads.iter().filter(ours)
}

/// What is never deleted here because it is gone there: the history, and the marks that keep its commits.
fn is_kept(name: &str) -> bool {
    let marks = [GOOD, GOOD_DEFAULT].iter().any(|mark| name.ends_with(mark));
    name.starts_with(HISTORY) || (name.starts_with(MARKS) && marks)
}

/// The history branches in whose new commits our newest one is not.
fn rewritten(
    mirror: &git2::Repository,
    before: &References,
    heads: &[Head],
) -> Result<BTreeMap<String, HistoryChange>, GitError> {
    let mut found = BTreeMap::new();
    for head in mirrored(heads) {
        if let (Some(environment), Some(ours)) = (head.name.strip_prefix(HISTORY), before.get(&head.name))
            && !descends(mirror, head.at, *ours)?
            && !descends(mirror, *ours, head.at)?
        {
            let (ours, theirs) = (ours.to_string(), head.at.to_string());
            found.insert(environment.to_owned(), HistoryChange::Rewritten { ours, theirs });
        }
    }
    Ok(found)
}

/// The full name of the branch that HEAD is at. A HEAD that names no branch (nothing is committed
/// there yet, or it is detached) leaves no doubt when there is only one branch.
pub(super) fn default_branch(heads: &[Head]) -> Option<String> {
    let branches =
        || mirrored(heads).filter(|head| head.name.starts_with("refs/heads/") && !head.name.starts_with(HISTORY));
    let named = heads.iter().find(|head| head.name == "HEAD").and_then(|head| match &head.target {
        Some(target) => branches().find(|branch| branch.name == *target),
        None => branches().find(|branch| branch.at == head.at),
    });
    let only = || Some(branches().next()?).filter(|_| branches().count() == 1);
    named.or_else(only).map(|branch| branch.name.clone())
}

fn head(mirror: &git2::Repository) -> Option<String> {
    let head = mirror.find_reference("HEAD").ok()?;
    head.symbolic_target().ok().flatten().map(str::to_owned)
}

fn fetched(head: &str, references: References, changed: bool) -> Fetched {
    let branches = references
        .into_iter()
        .filter(|(name, _)| !name.starts_with(HISTORY))
        .filter_map(|(name, at)| Some((name.strip_prefix("refs/heads/")?.to_owned(), at.to_string().into())))
        .collect();
    let default_branch = head.strip_prefix("refs/heads/").unwrap_or(head).to_owned();
    Fetched { default_branch, branches, changed, history: BTreeMap::new() }
}
