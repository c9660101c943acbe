//! A config repository on this machine, and a daemon that follows it.

use std::{
    fmt::Debug,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use chrono::Utc;
use evenkeel::{
    git::{commit_to_bare, create_bare_from_folder},
    model::event::EventName,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub use crate::waiting::{PATIENCE, wait_for};
use crate::{events, waiting::wait_for_or};

/// The program under test.
pub const EVENKEEL: &str = env!("CARGO_BIN_EXE_evenkeel");

/// A bare repository with the fleet that `evenkeel init` writes.
pub struct Config {
    pub folder: TempDir,
}

/// A running `evenkeel run`. Dropping it ends it.
pub struct Daemon {
    process: Child,
    log: PathBuf,
}

impl Config {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let made = Command::new(EVENKEEL).args(["init", "--name", "web"]).current_dir(folder.path()).output();
        assert!(made.expect("evenkeel runs").status.success());
        let config = Self { folder };
        let fleet = config.path("fleet");
        create_bare_from_folder(&config.repository(), &[(&fleet, "fleet")], "main", "A fleet", Utc::now())
            .expect("it is made");
        config
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn repository(&self) -> PathBuf {
        self.path("config.git")
    }

    /// Commits to the repository where no watcher of it looks: a copy gets the commit and takes its place.
    pub fn commit_unseen(&self) -> String {
        let (copy, old) = (self.path("copy.git"), self.path("old.git"));
        let copied = Command::new("cp").arg("-a").arg(self.repository()).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()), "the repository can be copied");
        let change = [("README".to_owned(), Some(b"changed\n".to_vec()))].into();
        let commit = commit_to_bare(&copy, "main", &change, "Unseen", Utc::now()).expect("it commits");
        fs::rename(self.repository(), old).expect("it is ours");
        fs::rename(copy, self.repository()).expect("it is ours");
        commit
    }

    /// The newest commit that the daemon has fetched.
    pub fn fetched(&self) -> Option<String> {
        let text = fs::read_to_string(self.path("state/mirror.git/refs/heads/main")).ok()?;
        Some(text.trim().to_owned())
    }

    /// The daemon's command: it asks the repository once an hour, so within a test once.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(EVENKEEL);
        command
            .args(["run", "--poll", "1h", "--repo"])
            .arg(self.repository())
            .arg("--state")
            .arg(self.path("state"))
            .args(arguments)
            .env("HOME", self.folder.path())
            .env_remove("EVENKEEL_LOG")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .env_remove("JOURNAL_STREAM")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        command
    }

    /// Its log is JSON.
    pub fn run(&self, arguments: &[&str]) -> Daemon {
        self.start(self.command(&[arguments, &["--log-format", "json"]].concat()))
    }

    pub fn start(&self, command: Command) -> Daemon {
        let log = self.path("log");
        Daemon::start(command, log)
    }
}

impl Daemon {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let stderr = File::options().create(true).append(true).open(&log).expect("the log can be written");
        let process = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("evenkeel runs");
        Self { process, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// The lines of the log that are complete.
    pub fn lines(&self) -> Vec<String> {
        let text = self.log();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
    }

    /// The lines of a JSON log.
    pub fn records(&self) -> Vec<Value> {
        let record = |line: String| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.lines().into_iter().map(record).collect()
    }

    /// Waits until something has happened; answers the first record of a JSON log that tells it.
    #[track_caller]
    pub fn tells(&self, event: EventName) -> Value {
        self.tells_that(event, |_| true)
    }

    /// As [`Self::tells`], of a record with these fields.
    #[track_caller]
    pub fn tells_that(&self, event: EventName, is_meant: impl Fn(&Value) -> bool) -> Value {
        let find = || events::told(&self.log(), event).find(&is_meant);
        wait_for_or(event.as_str(), find, || format!("{:#?}", self.lines()))
    }

    #[track_caller]
    pub fn wait_for_line(&self, part: &str) -> String {
        let find = || self.lines().into_iter().find(|line| line.contains(part));
        wait_for_or(part, find, || format!("{:#?}", self.lines()))
    }

    pub fn signal(&self, signal: Signal) {
        let process = Pid::from_child(&self.process);
        kill_process(process, signal).expect("it runs");
    }

    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        wait_for("the daemon's end", || self.process.try_wait().expect("it is ours"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
pub fn assert_is<T: PartialEq<U> + Debug, U: Debug>(what: &str, found: T, expected: U) {
    assert!(found == expected, "{what} is {found:?}, not {expected:?}");
}

pub fn from_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
