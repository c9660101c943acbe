//! Releases: immutable, content-addressed trees of files.
//!
//! Keeps true: the digest is the same for the same tree on every machine; it covers sorted
//! (path, mode, content) and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    digest::Digest,
    source::{Pinned, Source},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub digest: Digest,
    /// Where its files were taken from. No part of the digest.
    pub source: Pinned,
    pub files: BTreeMap<String, ReleaseFile>,
    pub making: Making,
}

/// How a release came to be. No part of the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Making {
    /// Its files are the source's.
    Taken,
    /// Its files are what a build made.
    Built { key: Digest, log: Arc<str> },
    /// A build made it once, and the history says so. Its files are not at hand.
    /// It said then what the files of requirements in it hold.
    Recorded { key: Digest, requirements: BTreeMap<String, Digest> },
    /// It has to be built. Its digest is the build's key, and stands for one that nobody knows yet.
    Due { key: Digest },
    /// It is named by somebody who is not trusted yet, so nobody has asked what it is. Its digest stands for that.
    Unresolved,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseFile {
    File { content: Arc<[u8]>, digest: Digest, executable: bool },
    Symlink { target: String },
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

    /// One that nobody has asked for yet.
    pub fn unresolved(source: &Source) -> Self {
        let from = source.to_string();
        let digest = Digest::of_fields(["unresolved", &from]);
        Self::without_files(digest, Pinned::Unresolved { from }, Making::Unresolved)
    }

    /// One whose files are not at hand: only a build would tell them.
    pub fn without_files(digest: Digest, source: Pinned, making: Making) -> Self {
        Self { digest, source, files: BTreeMap::new(), making }
    }

    /// The key of the build that makes it.
    pub fn build_key(&self) -> Option<Digest> {
        match &self.making {
            Making::Taken | Making::Unresolved => None,
            Making::Built { key, .. } | Making::Recorded { key, .. } | Making::Due { key } => Some(*key),
        }
    }

    /// Whether it can travel. Otherwise it has to be built first.
    pub fn is_at_hand(&self) -> bool {
        matches!(self.making, Making::Taken | Making::Built { .. })
    }

    /// Where its files come from, in words.
    pub fn origin(&self) -> String {
        match &self.making {
            Making::Taken | Making::Unresolved => self.source.to_string(),
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
        let listed = self.listed();
        listed.lines(listed.0.keys())
    }

    pub fn listed(&self) -> Listing {
        let listed = |file: &ReleaseFile| match file {
            ReleaseFile::File { digest, executable, .. } => Listed::File { digest: *digest, executable: *executable },
            ReleaseFile::Symlink { target } => Listed::Symlink { target: target.clone() },
        };
        Listing(self.files.iter().map(|(path, file)| (path.clone(), listed(file))).collect())
    }
}

/// What a release holds, without the contents. An instance keeps it beside the release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing(pub BTreeMap<String, Listed>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Listed {
    File { digest: Digest, executable: bool },
    Symlink { target: String },
}

impl Listing {
    /// Reads [`Release::listing`]. None when it is something else: then nothing is known of what lies there.
    pub fn parse(text: &str) -> Option<Self> {
        text.lines().map(Self::read_line).collect::<Option<_>>().map(Self)
    }

    fn read_line(line: &str) -> Option<(String, Listed)> {
        if let Some(link) = line.strip_prefix("link ") {
            let (path, target) = link.split_once(" -> ")?;
            return Some((path.to_owned(), Listed::Symlink { target: target.to_owned() }));
        }
        let (mode, rest) = line.split_once(' ')?;
        let (digest, path) = rest.split_once(' ')?;
        let executable = matches!(mode, "0555");
        let listed = Listed::File { digest: digest.parse().ok()?, executable };
        (executable || mode == "0444").then(|| (path.to_owned(), listed))
    }

    fn line(path: &str, listed: &Listed) -> String {
        match listed {
            Listed::File { digest, executable: true } => format!("0555 {digest} {path}"),
            Listed::File { digest, executable: false } => format!("0444 {digest} {path}"),
            Listed::Symlink { target } => format!("link {path} -> {target}"),
        }
    }

    /// As [`Release::listing`], of these paths.
    pub fn lines<'a>(&'a self, paths: impl IntoIterator<Item = &'a String>) -> String {
        let lines = paths.into_iter().filter_map(|path| Some(Self::line(path, self.0.get(path)?) + "\n"));
        lines.collect()
    }
}

/// How a release is put together on an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The release that is begun from; none: an empty folder.
    pub base: Option<Digest>,
    /// What the base holds there is not the release's.
    pub removed: Vec<String>,
    /// What the base does not hold so.
    pub added: Vec<String>,
    /// Of what is added: what lies elsewhere on the instance.
    pub shared: Vec<Shared>,
    /// Of what is added: what travels.
    pub sent: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// None: the release itself.
    pub release: Option<Digest>,
    pub from: String,
    pub to: String,
}

/// How a stream is compressed: as its reader can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    Gzip,
    Zstd,
}

/// What an instance says before a release is put in place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// The release lies there already, and every byte of it is as it should be.
    pub whole: bool,
    pub compression: Compression,
    /// Bytes that are free where releases lie.
    pub free: u64,
    /// Files that can be made there; None: as many as one likes.
    pub free_inodes: Option<u64>,
    /// What is held of other releases.
    pub listings: BTreeMap<Digest, Listing>,
}

/// How putting a release in place ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    Done,
    /// These paths did not become what they should be, through what was shared: nothing was put in place.
    Damaged(Vec<String>),
}

/// A release that lies on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRelease {
    pub digest: Digest,
    /// Whether something that is declared there runs from it, or serves it.
    pub in_use: bool,
    /// When it was in use last, or came there: seconds since 1970, by the host's clock.
    pub since: i64,
    pub bytes: u64,
    /// None where it is not known: it was put there by an evenkeel that kept none.
    pub listing: Option<Listing>,
}
