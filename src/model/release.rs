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
        Self { digest: Digest::of_fields(fields), source, files }
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
