//! The folders of one build: a clean checkout of its source, a home, and room for temporary files.
//!
//! Keeps true: they hold nothing of an earlier build, and are removed when this one has ended. Who builds as root
//! lends them to a user that is nobody, out here too: limits do not hold for root, and the kernel trusts it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, lchown, symlink},
    path::{Path, PathBuf},
};

use super::BuildError;
use crate::model::{budget::Budget, release::ReleaseFile};

#[derive(Debug)]
pub struct Work {
    folder: PathBuf,
    user: Option<u32>,
    budget: Budget,
}

/// No account has this number: useradd(8) and systemd stay far below.
const NOBODY: u32 = 1_900_000_001;
/// Where that user can get to, whatever is closed on the way to our own folders.
const LENT: &str = "/var/tmp";

/// The one user that the sandbox knows; programs ask for their name and home.
const USERS: &str = "root:x:0:0::/nonexistent:/bin/false\nbuild:x:1000:1000::/home/build:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nbuild:x:1000:\n";

impl Work {
    /// `folder` is made anew; as root, one elsewhere.
    pub fn prepare(folder: &Path, files: &BTreeMap<String, ReleaseFile>, budget: Budget) -> Result<Self, BuildError> {
        let told = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::File { doing, path, source }
        };
        let work = match rustix::process::geteuid().is_root() {
            true => {
                let name = format!("evenkeel-build-{:016x}", rand::random::<u64>());
                Self { folder: Path::new(LENT).join(name), user: Some(NOBODY), budget }
            }
            false => Self { folder: folder.to_owned(), user: None, budget },
        };
        remove(&work.folder).map_err(told("remove", &work.folder))?;
        fs::create_dir_all(&work.folder).map_err(told("make", &work.folder))?;
        fs::set_permissions(&work.folder, fs::Permissions::from_mode(0o700)).map_err(told("close", &work.folder))?;
        for made in [work.source(), work.home(), work.temporary()] {
            fs::create_dir_all(&made).map_err(told("make", &made))?;
        }
        for (path, text) in [(work.users(), USERS), (work.groups(), GROUPS)] {
            fs::write(&path, text).map_err(told("write", &path))?;
        }
        for (below, file) in files {
            // A release's paths stay within it, and none lies below a link.
            let path = work.source().join(below);
            write(&path, file).map_err(told("write", &path))?;
        }
        if let Some(user) = work.user {
            lend(&work.folder, user).map_err(told("lend", &work.folder))?;
        }
        Ok(work)
    }

    /// Who runs the build; none: who we are.
    pub fn user(&self) -> Option<u32> {
        self.user
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    pub fn users(&self) -> PathBuf {
        self.folder.join("passwd")
    }

    pub fn groups(&self) -> PathBuf {
        self.folder.join("group")
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What is left takes up room until the next build, which says so when it cannot.
        let _ = remove(&self.folder);
    }
}

fn write(path: &Path, file: &ReleaseFile) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match file {
        ReleaseFile::File { content, executable, .. } => {
            fs::write(path, content)?;
            fs::set_permissions(path, fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 }))
        }
        ReleaseFile::Symlink { target } => symlink(target, path),
    }
}

/// Gives all of it to the user; of links the links, not what they lead to.
fn lend(path: &Path, user: u32) -> io::Result<()> {
    lchown(path, Some(user), Some(user))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            lend(&entry?.path(), user)?;
        }
    }
    Ok(())
}

/// Also what a build has closed to everybody.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        ended => return ended,
    }
    open(folder)?;
    fs::remove_dir_all(folder)
}

fn open(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open(&entry.path())?;
        }
    }
    Ok(())
}
