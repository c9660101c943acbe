//! An archive made elsewhere, as a tree of files.
//!
//! Keeps true: nothing is written anywhere; what could lead out of the tree, or is no plain file, is
//! refused by its name; however small the archive, what comes out of it is bounded, and counted as it comes.
//! Source: tar(5), and what `tar` and GNU tar make of it.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
};

use tar::EntryType;
use thiserror::Error;

use crate::model::{
    archive::ArchiveKind,
    budget::{Budget, Exceeded, Tally},
    tree::{Entry, Tree},
};

/// How much a tar has for one header.
const BLOCK: usize = 512;

/// What the headers of one entry may take, with its name and what it links to.
const HEADERS: u64 = 64 << 10;

#[derive(Debug, Error)]
pub enum UnpackError {
    #[error("it is neither tar.gz nor tar.zst")]
    Format(ArchiveKind),
    #[error("what is compressed in it is no tar")]
    NoTar(ArchiveKind),
    #[error("it cannot be unpacked")]
    Broken(#[source] io::Error),
    #[error("it has {limit}, which is more than evenkeel reads{}", if place.is_empty() { String::new() } else { format!(": {place}") })]
    Over { place: String, limit: Exceeded },
    #[error("the name of an entry in it is longer than {HEADERS} bytes")]
    Headers,
    #[error("a name in it is not UTF-8: {0}")]
    Name(String),
    #[error("{0:?} in it has a line break or tab in its name")]
    HostileName(String),
    #[error("{0} in it has an absolute path")]
    Absolute(String),
    #[error("{0} in it leads out of it")]
    Leaves(String),
    #[error("{path} in it is a {kind}")]
    Kind { path: String, kind: &'static str },
    #[error("{path} in it is a hard link to {target}, which is no file before it")]
    HardLink { path: String, target: String },
    #[error("{0} in it ends too early")]
    Short(String),
}

impl UnpackError {
    /// The next move.
    pub fn next(&self) -> String {
        match self {
            UnpackError::Format(kind) | UnpackError::NoTar(kind) => format!("it is {kind}: {}", kind.way_out()),
            _ => "publish it anew, without that".to_owned(),
        }
    }
}

/// Reads all of it. Which compression it is, its first bytes say.
pub fn unpack(mut from: impl BufRead, budget: &Budget) -> Result<Tree, UnpackError> {
    let first = from.fill_buf().map_err(UnpackError::Broken)?;
    match first {
        [0x1f, 0x8b, ..] => entries(flate2::bufread::MultiGzDecoder::new(from), budget),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            entries(zstd::stream::read::Decoder::with_buffer(from).map_err(UnpackError::Broken)?, budget)
        }
        _ => Err(UnpackError::Format(ArchiveKind::of_bytes(first))),
    }
}

fn entries(from: impl Read, budget: &Budget) -> Result<Tree, UnpackError> {
    let mut from = io::BufReader::with_capacity(BLOCK, from);
    let first = from.fill_buf().map_err(UnpackError::Broken)?;
    // The first bytes of a tar are a name: those of a program are none. So one that was compressed alone is told.
    let kind = ArchiveKind::of_bytes(first);
    if matches!(kind, ArchiveKind::Program | ArchiveKind::Zip | ArchiveKind::DebianPackage | ArchiveKind::WebPage) {
        return Err(UnpackError::NoTar(kind));
    }
    // A name may be as long as the archive says; only what is counted comes out.
    let (allowed, spent) = (Cell::new(HEADERS), Cell::new(false));
    let from = Bounded { from, left: &allowed, spent: &spent };
    let broken = |error| if spent.get() { UnpackError::Headers } else { UnpackError::Broken(error) };
    let mut archive = tar::Archive::new(from);
    let (mut tree, mut tally) = (Tree::default(), Tally::new(budget));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        let written = name(&entry.path_bytes())?;
        let path = inside(&written)?.unwrap_or_default();
        let over = |limit| UnpackError::Over { place: beginning(&path), limit };
        tally.entry(&path).map_err(over)?;
        // What it says that it has is counted before it is read, or passed over.
        let stored = entry.header().entry_size().map_err(broken)?.max(entry.size());
        tally.content(stored).map_err(over)?;
        allowed.set(HEADERS.saturating_add(stored).saturating_add(512));
        // What git-archive and others say of the archive as a whole; the folder that it is of.
        if kind == EntryType::XGlobalHeader || path.is_empty() {
            continue;
        }
        let found = match kind {
            EntryType::Directory => continue,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                let mut content = Vec::new();
                (&mut entry).take(stored).read_to_end(&mut content).map_err(broken)?;
                if content.len() as u64 != size {
                    return Err(UnpackError::Short(path));
                }
                let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
                Entry::File { content: content.into(), executable }
            }
            EntryType::Symlink => Entry::Symlink { target: name(&entry.link_name_bytes().unwrap_or_default())? },
            EntryType::Link => {
                let target = name(&entry.link_name_bytes().unwrap_or_default())?;
                let file = inside(&target).ok().flatten().and_then(|target| tree.get(&target)).cloned();
                match file {
                    Some(Entry::File { content, executable }) => {
                        tally.content(content.len() as u64).map_err(over)?;
                        Entry::File { content, executable }
                    }
                    _ => return Err(UnpackError::HardLink { path, target }),
                }
            }
            other => return Err(UnpackError::Kind { path, kind: called(other) }),
        };
        // A name that comes twice: the later one counts, as for every tar.
        tree.insert(&path, found).map_err(UnpackError::Leaves)?;
    }
    Ok(tree)
}

/// Enough of a path to find it by.
fn beginning(path: &str) -> String {
    path.chars().take(Budget::STANDARD.line_text).collect()
}

fn name(bytes: &[u8]) -> Result<String, UnpackError> {
    let text = std::str::from_utf8(bytes).map_err(|_| UnpackError::Name(bytes.escape_ascii().to_string()))?;
    if text.contains(['\n', '\t', '\r', '\0']) {
        return Err(UnpackError::HostileName(text.to_owned()));
    }
    Ok(text.to_owned())
}

/// The path without `./` and a slash at its end; none for the root itself.
fn inside(path: &str) -> Result<Option<String>, UnpackError> {
    if path.starts_with('/') {
        return Err(UnpackError::Absolute(path.to_owned()));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(UnpackError::Leaves(path.to_owned()));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn called(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Char | EntryType::Block => "device",
        EntryType::Fifo => "named pipe",
        _ => "thing that is neither file, folder nor link",
    }
}

/// Ends with an error instead of going on without end.
struct Bounded<'a, R> {
    from: R,
    left: &'a Cell<u64>,
    spent: &'a Cell<bool>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            self.spent.set(true);
            return Err(io::Error::other("too much comes out of it"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut buffer[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}
