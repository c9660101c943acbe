//! What builds made, each in a folder named by its key: `output.tar.gz`, `digest` and `log`.
//!
//! Keeps true: a folder is there whole or not at all; what is read is what was put there, else it is not there.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use super::{BuildError, Made, remove::remove};
use crate::{
    model::{
        budget::{Budget, read_text_within},
        digest::Digest,
        release::{Compression, Release},
        source::Pinned,
    },
    release::{pack, travelling, unpack},
};

/// How many are kept: some for each environment, and what was live before.
const MOST: usize = 30;

pub struct Kept<'a> {
    folder: &'a Path,
}

impl<'a> Kept<'a> {
    pub fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    fn place(&self, key: &Digest) -> PathBuf {
        self.folder.join("made").join(key.to_string())
    }

    pub fn find(&self, key: &Digest, budget: &Budget) -> Option<Made> {
        let place = self.place(key);
        let text = |name: &str| read_text_within(File::open(place.join(name)).ok()?, budget.file_bytes as u64).ok();
        let digest: Digest = text("digest")?.trim().parse().ok()?;
        let archive = BufReader::new(File::open(place.join("output.tar.gz")).ok()?);
        let files = travelling("what was built", &unpack(archive, budget).ok()?).ok()?;
        let release = Release::new(Pinned::Folder(String::new()), files);
        let log = text("log")?;
        if release.digest != digest {
            return None;
        }
        // Its time says when it was used last. Where that cannot be written it is only thrown away sooner.
        let _ = fs::write(place.join("used"), "");
        Some(Made { files: release.files, log: log.into() })
    }

    pub fn put(&self, key: &Digest, made: &Made) -> Result<(), BuildError> {
        let place = self.place(key);
        let part = place.with_extension("part");
        let told = |source| BuildError::File { doing: "write", path: part.clone(), source };
        let release = Release::new(Pinned::Folder(String::new()), made.files.clone());
        let write = || {
            remove(&part)?;
            remove(&place)?;
            fs::create_dir_all(&part)?;
            fs::write(part.join("output.tar.gz"), pack(&release, release.files.keys(), Compression::Gzip)?)?;
            fs::write(part.join("digest"), format!("{}\n", release.digest))?;
            fs::write(part.join("log"), &*made.log)?;
            fs::write(part.join("used"), "")?;
            fs::rename(&part, &place)
        };
        write().map_err(told)?;
        self.prune();
        Ok(())
    }

    /// Keeps all that a build said that failed, and answers where.
    pub fn put_failed(&self, key: &Digest, log: &str) -> Result<PathBuf, BuildError> {
        let folder = self.folder.join("failed");
        let path = folder.join(format!("{}.log", key.short()));
        let told = |source| BuildError::File { doing: "write", path: path.clone(), source };
        fs::create_dir_all(&folder).and_then(|()| fs::write(&path, log)).map_err(told)?;
        oldest(&folder, |path| path.to_owned()).for_each(|old| drop(fs::remove_file(old)));
        Ok(path)
    }

    /// What cannot be removed now is removed another time.
    fn prune(&self) {
        oldest(&self.folder.join("made"), |path| path.join("used")).for_each(|old| drop(remove(&old)));
    }
}

/// What is too many in a folder, by the time of the file that tells it.
fn oldest(folder: &Path, told_by: impl Fn(&Path) -> PathBuf) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut entries: Vec<_> =
        entries.map(|path| (fs::metadata(told_by(&path)).and_then(|told| told.modified()).ok(), path)).collect();
    entries.sort();
    let surplus = entries.len().saturating_sub(MOST);
    entries.into_iter().take(surplus).map(|(_, path)| path)
}
