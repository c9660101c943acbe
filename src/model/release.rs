//! Releases: immutable, content-addressed trees of files.
//!
//! Keeps true: the digest is the same for the same tree on every machine; it covers sorted
//! (path, mode, content) and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use super::{digest::Digest, source::Pinned};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub digest: Digest,
    /// Where its files were taken from. No part of the digest.
    pub source: Pinned,
    pub files: BTreeMap<String, ReleaseFile>,
    pub making: Making,
}

/// How a release came to be. No part of the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Making {
    /// Its files are the source's.
    Taken,
    /// Its files are what a build made.
    Built { key: Digest, log: Arc<str> },
    /// A build made it once, and the history says so. Its files are not at hand.
    Recorded { key: Digest },
    /// It has to be built. Its digest is the build's key, and stands for one that nobody knows yet.
    Due { key: Digest },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseFile {
    File { content: Arc<[u8]>, digest: Digest, executable: bool },
    Symlink { target: String },
}

/// A release ready to travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    pub digest: Digest,
    /// `tar`, compressed with gzip.
    pub archive: Vec<u8>,
    /// `DIGEST  ./PATH` a line, as `sha256sum --check` reads it.
    pub sums: String,
}

impl Release {
    pub fn new(source: Pinned, files: BTreeMap<String, ReleaseFile>) -> Self {
        let fields = files.iter().flat_map(|(path, file)| {
            let (mode, content) = match file {
                ReleaseFile::File { digest, executable, .. } => {
                    (if *executable { "0555" } else { "0444" }, digest.to_string())
                }
                ReleaseFile::Symlink { target } => ("link", target.clone()),
            };
            [path.clone(), mode.to_owned(), content]
        });
        Self { digest: Digest::of_fields(fields), source, files, making: Making::Taken }
    }

    /// One whose files are not at hand: only a build would tell them.
    pub fn without_files(digest: Digest, source: Pinned, making: Making) -> Self {
        Self { digest, source, files: BTreeMap::new(), making }
    }

    /// The key of the build that makes it.
    pub fn build_key(&self) -> Option<Digest> {
        match &self.making {
            Making::Taken => None,
            Making::Built { key, .. } | Making::Recorded { key } | Making::Due { key } => Some(*key),
        }
    }

    /// Whether it can travel. Otherwise it has to be built first.
    pub fn is_at_hand(&self) -> bool {
        matches!(self.making, Making::Taken | Making::Built { .. })
    }

    /// Where its files come from, in words.
    pub fn origin(&self) -> String {
        match &self.making {
            Making::Taken => self.source.to_string(),
            Making::Built { .. } | Making::Recorded { .. } => format!("{}, built", self.source),
            Making::Due { .. } => format!("{}, to be built", self.source),
        }
    }

    /// Bytes of all contents together.
    pub fn size(&self) -> u64 {
        self.files
            .values()
            .map(|file| match file {
                ReleaseFile::File { content, .. } => content.len() as u64,
                ReleaseFile::Symlink { .. } => 0,
            })
            .sum()
    }

    /// One line per file, `mode digest path`: what history keeps of a release, never its contents.
    pub fn listing(&self) -> String {
        let line = |(path, file): (&String, &ReleaseFile)| match file {
            ReleaseFile::File { digest, executable, .. } => {
                format!("{} {digest} {path}\n", if *executable { "0555" } else { "0444" })
            }
            ReleaseFile::Symlink { target } => format!("link {path} -> {target}\n"),
        };
        self.files.iter().map(line).collect()
    }
}
