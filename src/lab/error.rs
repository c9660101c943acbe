//! What can go wrong with a lab.
//!
//! Keeps true: each text names the thing, the place and the next move, and never repeats its source
//! (whoever prints an error prints the chain).

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

/// Something that this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The program or file that was looked for.
    pub what: String,
    /// The Debian package that has it.
    pub package: &'static str,
    /// The exact command that installs it.
    pub install: String,
}

#[derive(Debug, Error)]
pub enum LabError {
    #[error("{action} needs root (namespaces, mounts, containers); run it again with sudo")]
    NotRoot { action: &'static str },
    #[error("`{name}` cannot be the name of a lab: {why}")]
    Name { name: String, why: &'static str },
    #[error("`{name}` cannot be the name of an instance in lab {lab}: {why}")]
    Instance { lab: String, name: String, why: &'static str },
    #[error("the lab's folder {} {why}; set EVENKEEL_LAB to another one", path.display())]
    Folder { path: PathBuf, why: &'static str },
    #[error("this machine lacks {}; install with: {}", what.join(", "), install)]
    Missing { what: Vec<String>, install: String },
    #[error(
        "not enough {kind} in {place}: {what} takes about {need_mib} MiB and {have_mib} MiB are free; free some, or {or}"
    )]
    NoRoom { kind: &'static str, place: String, what: String, need_mib: u64, have_mib: u64, or: &'static str },
    #[error(
        "the network namespace {namespace} exists but no lab in {} made it; bring that lab down where it was \
         started (same EVENKEEL_LAB), remove it with `ip netns delete {namespace}`, or name this lab otherwise",
        root.display()
    )]
    ForeignNamespace { namespace: String, root: PathBuf },
    #[error("lab {lab} is not up; start it with `evenkeel lab up`")]
    NotUp { lab: String },
    #[error("lab {lab} has no host `{host}`; it has {known}")]
    NoHost { lab: String, host: String, known: String },
    #[error("{host} in lab {lab} is already the host of {by}; use another instance name, or bring the lab down first")]
    HostTaken { lab: String, host: String, by: String },
    #[error("lab {lab} has room for {most} hosts and {asked} are asked for; {or}")]
    TooMany { lab: String, most: u8, asked: usize, or: &'static str },
    #[error("{host} in lab {lab} is off, so it has no cable; boot it first with `evenkeel lab boot {host}`")]
    HostOff { lab: String, host: String },
    #[error(
        "{host} let nobody in within {} s; look at {}, or start over with `evenkeel lab down`",
        waited.as_secs(), console.display()
    )]
    NoLogin { host: String, waited: Duration, console: PathBuf },
    #[error(
        "{host} went off while it was booting; its last words in {}:\n{last_words}\nstart over with `evenkeel lab down`",
        console.display()
    )]
    Died { host: String, console: PathBuf, last_words: String },
    #[error("{what} still runs {} s after it was killed (processes {pids}); look at it with `ps`", waited.as_secs())]
    WillNotDie { what: String, waited: Duration, pids: String },
    #[error("another evenkeel has held {} for {} minutes; wait for it or end it, then try again", path.display(), waited.as_secs() / 60)]
    Busy { path: PathBuf, waited: Duration },
    #[error("the base system in {} is in use by lab {}; bring that lab down first", base.display(), labs.join(", "))]
    BaseInUse { base: PathBuf, labs: Vec<String> },
    #[error("{doing}: `{command}` failed ({status}): {said}")]
    Failed { doing: String, command: String, status: String, said: String },
    #[error("{doing}: `{command}` was stopped after {} s; try again, or run it by hand to see what it waits for", limit.as_secs())]
    TimedOut { doing: String, command: String, limit: Duration },
    #[error("{doing}")]
    Io { doing: String, source: io::Error },
    #[error("writing {}", path.display())]
    Yaml { path: PathBuf, source: serde_yaml::Error },
    #[error("no command was given to run inside lab {lab}")]
    NoCommand { lab: String },
}

/// Says what was being done when an I/O error came up.
pub(super) trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Io { doing: doing(), source: source.into() })
    }
}
