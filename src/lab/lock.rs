//! File locks, so that two evenkeels never build or boot the same thing.
//!
//! Keeps true: a lock outlives its holder by as long as the programs that the holder started for it
//! (they get the lock file as their standard input, see `tool`). So whoever takes the lock after a
//! SIGKILL finds the place at rest. Lock files are never deleted: deleting one would let two in.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::{
    Progress,
    error::{Doing, LabError},
};

/// As long as the slowest thing done under a lock may take: building the base.
const PATIENCE: Duration = super::base::BUILD_LIMIT;

#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Shared,
    Exclusive,
}

impl Lock {
    /// Takes the lock, saying `waiting` once if somebody else has it.
    pub fn take(path: &Path, kind: Kind, waiting: &str, progress: &dyn Progress) -> Result<Self, LabError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).doing(|| format!("creating {}", parent.display()))?;
        }
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .doing(|| format!("opening {}", path.display()))?;
        let begun = Instant::now();
        let mut said = false;
        loop {
            let taken = match kind {
                Kind::Shared => file.try_lock_shared(),
                Kind::Exclusive => file.try_lock(),
            };
            match taken {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::Error(source)) => {
                    return Err(LabError::Io { doing: format!("locking {}", path.display()), source });
                }
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(LabError::Busy { path: PathBuf::from(path), waited: PATIENCE });
                }
                Err(TryLockError::WouldBlock) => {
                    if !said {
                        progress.say(waiting);
                        said = true;
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// An empty standard input that keeps the lock for as long as somebody has it open.
    pub fn as_stdin(&self) -> Result<Stdio, LabError> {
        Ok(self.file.try_clone().doing(|| "sharing a lock".to_owned())?.into())
    }
}
