//! Which commits are being prepared, so that a commit that ends the process is not tried for ever.
//!
//! A file in the state directory names each commit while it is read, and how often a start found it so. Keeps true: the
//! file is on the disk before the commit is read; what was prepared, or found not to be valid, is not in it; a normal end of the
//! process leaves none. Deleting it loses nothing but the count.
//!
//! While a commit is read, `preparing.json` in the state directory says so. A start that finds it there
//! for the second time quarantines the commit, by a control of the history (`Quarantine`), and never reads it again
//! unless the quarantine is lifted. What is prepared, found not to be valid, or left by a normal end is not counted.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::model::{event::logged, name::EnvironmentName, plan::Commits, time::timestamp};

/// So often the process may die of the same commits before they are blamed: once may be anything.
const DEATHS: u32 = 2;
/// Bytes of the file. What is longer was not written here.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AttemptEntry {
    /// None: the default branch's commit, read for all environments.
    environment: Option<EnvironmentName>,
    /// Of the config repository.
    commits: Commits,
    /// RFC 3339.
    since: String,
    in_progress: bool,
    /// How many starts found it in progress.
    deaths: u32,
    /// Whether the history says so.
    recorded: bool,
}

impl AttemptEntry {
    fn is(&self, environment: Option<&EnvironmentName>, commits: &Commits) -> bool {
        self.environment.as_ref() == environment && self.commits.same_config(commits)
    }

    fn is_condemned(&self) -> bool {
        self.deaths >= DEATHS
    }
}

/// What the file holds. Without a place nothing is kept.
#[derive(Debug, Default)]
pub struct Attempts {
    place: Option<PathBuf>,
    entries: Mutex<Vec<AttemptEntry>>,
}

/// One commit being prepared. Dropping it says that nothing is done with it just now.
pub struct Attempt {
    attempts: Arc<Attempts>,
    environment: Option<EnvironmentName>,
    commits: Commits,
}

/// What to make of commits that the process died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condemned {
    /// The reason, for people.
    pub why: String,
    /// Whether the history has it already.
    pub recorded: bool,
}

impl Attempts {
    /// Counts what the process before this one did not finish.
    pub fn open(state: &Path) -> Self {
        let place = state.join("preparing.json");
        let mut entries = match read(&place) {
            Ok(entries) => entries,
            Err(error) => {
                warn!(
                    event = logged::ATTEMPTS_UNREAD,
                    "{} cannot be read, so nothing is known of what ended this process: {error}",
                    place.display()
                );
                Vec::new()
            }
        };
        for entry in entries.iter_mut().filter(|entry| entry.in_progress) {
            (entry.in_progress, entry.deaths) = (false, entry.deaths.saturating_add(1));
        }
        let attempts = Self { place: Some(place), entries: Mutex::new(entries) };
        attempts.change(|_| {});
        attempts
    }

    /// Says that these commits are being prepared. Blocks until that is on the disk.
    pub fn begin(self: &Arc<Self>, environment: Option<&EnvironmentName>, commits: &Commits) -> Attempt {
        let commits = Commits::of_config(commits.default.clone(), commits.environment.clone());
        self.change(|entries| match entries.iter_mut().find(|entry| entry.is(environment, &commits)) {
            Some(entry) => entry.in_progress = true,
            None => entries.push(AttemptEntry {
                environment: environment.cloned(),
                commits: commits.clone(),
                since: timestamp(Utc::now()),
                in_progress: true,
                deaths: 0,
                recorded: false,
            }),
        });
        Attempt { attempts: self.clone(), environment: environment.cloned(), commits }
    }

    /// Why these commits are not prepared any more; none where they may be.
    pub fn condemned(&self, environment: Option<&EnvironmentName>, commits: &Commits) -> Option<Condemned> {
        let entries = self.entries.lock();
        let entry = entries.iter().find(|entry| entry.is(environment, commits) && entry.is_condemned())?;
        let (deaths, since) = (entry.deaths, &entry.since);
        let why =
            format!("evenkeel's process died {deaths} times while it prepared these commits, first begun {since}");
        Some(Condemned { why, recorded: entry.recorded })
    }

    /// The history says it, and from now on it alone counts.
    pub fn recorded(&self, environment: &EnvironmentName, commits: &Commits) {
        let of = |entry: &&mut AttemptEntry| entry.is(Some(environment), commits);
        self.change(|entries| entries.iter_mut().filter(of).for_each(|entry| entry.recorded = true));
    }

    /// They may be tried again.
    pub fn pardon(&self, environment: &EnvironmentName, commits: &Commits) {
        self.change(|entries| entries.retain(|entry| !entry.is(Some(environment), commits)));
    }

    /// The process ends in the normal way: what it is at says nothing of the commits.
    pub fn close(&self) {
        self.change(|entries| {
            entries.retain(AttemptEntry::is_condemned);
            entries.iter_mut().for_each(|entry| entry.in_progress = false);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<AttemptEntry>)) {
        let mut entries = self.entries.lock();
        change(&mut entries);
        let Some(place) = &self.place else { return };
        if let Err(error) = write(place, &entries) {
            warn!(event = logged::ATTEMPTS_UNWRITTEN, "{} cannot be written: {error}", place.display());
        }
    }
}

impl Attempt {
    /// All of it is done, and the process lives: what happened before was not the commits' doing.
    pub fn survived(self) {
        let (environment, commits) = (self.environment.as_ref(), &self.commits);
        self.attempts.change(|entries| entries.retain(|entry| !entry.is(environment, commits)));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let (environment, commits) = (self.environment.as_ref(), &self.commits);
        self.attempts.change(|entries| {
            entries.retain(|entry| !entry.is(environment, commits) || entry.deaths > 0);
            let of = |entry: &&mut AttemptEntry| entry.is(environment, commits);
            entries.iter_mut().filter(of).for_each(|entry| entry.in_progress = false);
        });
    }
}

fn read(place: &Path) -> io::Result<Vec<AttemptEntry>> {
    let mut text = Vec::new();
    match File::open(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?.take(LARGEST).read_to_end(&mut text)?,
    };
    Ok(serde_json::from_slice(&text)?)
}

/// Whole or not at all, and on the disk when this returns.
fn write(place: &Path, entries: &[AttemptEntry]) -> io::Result<()> {
    let part = place.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(&serde_json::to_vec_pretty(entries)?)?;
    file.sync_all()?;
    fs::rename(&part, place)?;
    place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(commit: &str) -> Commits {
        Commits::of_config(Some("f00".into()), Some(commit.into()))
    }

    #[test]
    fn commits_are_condemned_when_the_process_died_of_them_twice() {
        let state = tempfile::tempdir().expect("a folder");
        let production: EnvironmentName = "production".parse().expect("a name");
        // A kill runs no destructor.
        let dies = |commit: &str| {
            let attempts = Arc::new(Attempts::open(state.path()));
            drop(attempts.begin(Some(&production), &commits("good")));
            std::mem::forget(attempts.begin(Some(&production), &commits(commit)));
        };
        let condemned = |commit: &str| Attempts::open(state.path()).condemned(Some(&production), &commits(commit));
        dies("bad");
        assert_eq!(condemned("bad"), None, "once may be anything");
        dies("other");
        Arc::new(Attempts::open(state.path())).close();
        dies("bad");
        assert_eq!(condemned("bad"), None, "a normal end in between forgets what was begun");
        // One part of it that goes well is not all of it.
        drop(Arc::new(Attempts::open(state.path())).begin(Some(&production), &commits("bad")));
        dies("bad");
        assert!(condemned("bad").is_some_and(|condemned| !condemned.recorded));
        assert_eq!((condemned("good"), condemned("other")), (None, None));
        Attempts::open(state.path()).recorded(&production, &commits("bad"));
        assert!(condemned("bad").is_some_and(|condemned| condemned.recorded));
        Attempts::open(state.path()).pardon(&production, &commits("bad"));
        assert_eq!(condemned("bad"), None);
        dies("bad");
        Arc::new(Attempts::open(state.path())).begin(Some(&production), &commits("bad")).survived();
        dies("bad");
        assert_eq!(condemned("bad"), None, "it was prepared in between");
    }

    #[test]
    fn a_file_that_is_none_is_passed_over() {
        let state = tempfile::tempdir().expect("a folder");
        fs::write(state.path().join("preparing.json"), "[[[[").expect("written");
        let attempts = Arc::new(Attempts::open(state.path()));
        assert_eq!(attempts.condemned(None, &commits("a")), None);
    }
}
