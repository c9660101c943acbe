//! Builds: a source's files in, what its command makes of them out. Run in a sandbox on this machine, and kept.
//!
//! Keeps true: the command sees the source, the system's programs and nothing else of this machine; a build ends,
//! however it behaves, with all its processes; one that was made is not made again; what is kept is used only
//! when it is what was put there.
//! Never does: deciding what may be built (only what is merged is; the caller knows).
//!
//! A build is keyed by its source's digest and its definition, and what comes of it is a release like any
//! other. Before it is built nobody knows that release's digest, so how far one goes is a value of its own,
//! `release::Builds`: what is kept here; what the history says was made (`builds` of the last `Good`, so a controller
//! with an empty cache, or one that stands by, plans what is live without building, and builds that differ each time
//! do not set two controllers against one another); else it is *due*, and the key stands in for the digest. A plan
//! that would stage a release whose files are not at hand says `needs_builds`. The loop then builds, prepares and
//! observes anew, and plans again; `apply` does the same before it asks; `plan` shows it as it is. So what no host
//! lacks is never built. A build that fails by its own fault is recorded as `refused` with the cause `build`, which
//! condemns the commits; what this machine lacks (bubblewrap, room) is no commit's fault, and tried again. Nothing of
//! the pull request's kind is ever built: the callers that set `run` are the loop, with commits of the environment's
//! branch, `apply`, after it has asked whether the branch holds the commit, and the demo, with the work tree that
//! somebody started it in.

mod cgroup;
mod error;
mod kept;
mod log;
mod network;
mod output;
mod proxy;
mod remove;
mod sandbox;
mod seccomp;
mod usage;
mod work;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use parking_lot::Mutex;

pub use cgroup::{Cgroups, NoCgroup};
pub use error::{BuildError, Fault};
pub use network::{ENTER_BUILD, enter};

use self::{
    kept::Kept,
    sandbox::{Ended, Ending, MOST_PROCESSES},
    work::Work,
};
use super::travelling;
use crate::model::{
    budget::Budget,
    build::{Build, BuiltReleases},
    digest::Digest,
    release::ReleaseFile,
};

/// How many of a build's last lines are told with its failure.
const LAST_LINES: usize = 20;

/// How far to go for what has to be built.
#[derive(Debug, Clone, Copy, Default)]
pub struct Builds<'a> {
    /// Where builds are run and kept. Without one nothing is looked up.
    pub build_cache: Option<&'a BuildCache>,
    /// What the history says was made of builds. Without the files, which hosts have.
    pub recorded: Option<&'a BuiltReleases>,
    /// Whether what is not kept is built. Only for what is merged.
    pub run: bool,
}

/// A place where builds are run and kept.
#[derive(Debug)]
pub struct BuildCache {
    folder: PathBuf,
    budget: Budget,
    bubblewrap: PathBuf,
    /// This program, as it is started in a sandbox with a network.
    program: PathBuf,
    /// One at a time: a build may take all of the machine.
    building: Mutex<()>,
    cgroups: OnceLock<Result<Cgroups, NoCgroup>>,
}

/// One build, and the files that it starts from.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    pub key: Digest,
    pub build: &'a Build,
    pub files: &'a BTreeMap<String, ReleaseFile>,
}

/// What came of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub files: BTreeMap<String, ReleaseFile>,
    /// What its command said.
    pub log: Arc<str>,
}

impl BuildCache {
    /// `folder` is ours, and no other process builds in it; deleting it loses nothing but time.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        // The sandbox is made from elsewhere.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self {
            folder,
            budget: Budget::STANDARD,
            bubblewrap: "bwrap".into(),
            program: "/proc/self/exe".into(),
            building: Mutex::default(),
            cgroups: OnceLock::new(),
        }
    }

    /// Another program than the `bwrap` of the system.
    pub fn with_bubblewrap(mut self, program: impl Into<PathBuf>) -> Self {
        self.bubblewrap = program.into();
        self
    }

    /// Another program that knows [`ENTER_BUILD`] than the one that runs.
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// How much a build may leave in its folders while it runs, and how much may come out of it.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Where each build gets a cgroup of its own, else why not. Asked for the first time, it moves this process into a part
    /// of the cgroup that was delegated to it.
    pub fn cgroups(&self) -> &Result<Cgroups, NoCgroup> {
        self.cgroups.get_or_init(Cgroups::open)
    }

    /// What was made earlier, if it is still there as it was.
    pub fn kept(&self, key: &Digest) -> Option<Made> {
        Kept::new(&self.folder).find(key, &self.budget)
    }

    /// What was made earlier, else made now. Blocks for as long as the build may take.
    pub fn make(&self, job: Job<'_>) -> Result<Made, BuildError> {
        let _one = self.building.lock();
        // Somebody may have waited for the same one.
        if let Some(made) = self.kept(&job.key) {
            return Ok(made);
        }
        let began = Instant::now();
        let work = Work::prepare(&self.folder.join("work"), job.files, self.budget)?;
        let cgroup = self.cgroups().clone().and_then(|cgroups| cgroups.make(job.build, MOST_PROCESSES));
        let Ended { ending, log, out_of_tasks, unkept } =
            sandbox::run(&self.bubblewrap, &self.program, &work, job.build, cgroup)?;
        let fault = match ending {
            Ending::NotStarted => return Err(BuildError::Sandbox { said: log.last_lines(LAST_LINES).join(" ") }),
            Ending::NoRoom(free) => return Err(BuildError::NoRoom { free }),
            Ending::Fault(fault) => Some(fault),
            Ending::Done => None,
        };
        let files = match fault {
            Some(fault) => Err(fault),
            None => output::read(&work.source(), &job.build.output, &self.budget).and_then(|tree| {
                travelling(job.build.output_name(), &tree).map_err(|why| Fault::Output(why.to_string()))
            }),
        };
        let kept = Kept::new(&self.folder);
        match files {
            Ok(files) => {
                let log = format!("{}{unkept}built in {:.1} s\n", log.text(), began.elapsed().as_secs_f64());
                let made = Made { files, log: log.into() };
                kept.put(&job.key, &made)?;
                Ok(made)
            }
            Err(fault) => {
                let whole = kept.put_failed(&job.key, &format!("{}{unkept}", log.text()))?;
                let command = job.build.to_string();
                Err(BuildError::Failed {
                    command,
                    fault,
                    last_lines: log.last_lines(LAST_LINES),
                    network: job.build.network,
                    out_of_tasks,
                    log: whole,
                })
            }
        }
    }
}
