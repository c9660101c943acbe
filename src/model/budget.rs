//! How much is read of what others wrote: one [`Budget`], handed to everything that reads outside data.
//!
//! Owns the limits and their names. Keeps true: every limit has one value, here, so a reader and its test mean the
//! same one; what exceeds a limit is a finding or an error that names it. Never does: opening anything.
//!
//! One `Budget` bounds it: a tree's folders inside one another, entries and bytes are
//! counted by one `Tally` before they are read, whether the tree comes from git, an archive, a build or the work
//! tree; what is over a limit is an error that names it and the path. Nothing calls itself over such data: walks keep
//! a stack of their own. Of a download the pack that libgit2 has written is read in pieces before libgit2 puts
//! objects together in memory, so no object of a mirror inflates to more than the budget has. For a repository on
//! this machine libgit2 makes the pack in this process, so headers of objects are counted before. A file that is read
//! whole goes through `read_within`, and the writer of the history writes no file that its reader refuses. The files
//! of a source and its `exclude` are counted in steps before they are compared, those of the config repository while
//! declaring, all others in `release::gather`. Outside data is parsed on threads where blocking is allowed.

use std::{
    fmt,
    io::{self, Read},
};

/// The limits of one reading. [`Budget::STANDARD`] is what the program uses; tests hand in smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of one file of the fleet folder, as it is stored.
    pub file_bytes: usize,
    /// Bytes of one YAML file's text after every alias is replaced by what it names.
    pub expanded_bytes: usize,
    /// Nodes of one YAML file after every alias is replaced.
    pub nodes: usize,
    /// Folders inside folders, files that include files, lists inside lists.
    pub depth: usize,
    /// Findings that are kept of one reading; of the others only the number is.
    pub findings: usize,
    /// Characters of a file's line that a finding shows.
    pub line_text: usize,
    /// Characters of a name that somebody wrote, in a message.
    pub name_text: usize,
    /// Characters of a message, and of a hint.
    pub message_text: usize,
    /// Characters of one text in an event.
    pub event_text: usize,
    /// Events that a slow subscriber may be behind.
    pub events: usize,
    /// Bytes of a key in a YAML file.
    pub key_bytes: usize,
    /// Files of the fleet folder.
    pub fleet_files: usize,
    /// Bytes of all files of the fleet folder, as they are stored, and again after aliases.
    pub fleet_bytes: usize,
    /// Nodes of all files of the fleet folder.
    pub fleet_nodes: usize,
    /// What the checks of a fleet may do of what its files multiply: bytes that are copied for an instance, files that
    /// are held against patterns, instances that are looked at for a service.
    pub steps: usize,
    /// Patterns of one list, such as `exclude`.
    pub patterns: usize,
    /// Bytes of all patterns of one list.
    pub pattern_bytes: usize,
    /// Names that are compared with an unknown one to find what was meant.
    pub compared_names: usize,
    /// Bytes of a file of requirements and of all that it includes.
    pub included_bytes: usize,
    /// Entries (files, folders, links) of one tree: a git source, an archive, what a build made, a work tree.
    pub entries: usize,
    /// Bytes of all files of one such tree.
    pub tree_bytes: u64,
    /// Characters of one text that a host answers (a message, an error's output, a line of a log).
    pub host_text: usize,
    /// Bytes that a host may print at a login before its root shell answers.
    pub greeting_bytes: usize,
    /// Lines that are kept of one log of a host.
    pub host_lines: usize,
    /// Bytes of the manifest on a host.
    pub manifest_bytes: usize,
    /// Drop-ins of units that one look reads on a host.
    pub drop_ins: usize,
    /// Bytes that are read of each.
    pub drop_in_bytes: usize,
    /// Settings of one drop-in that are told.
    pub drop_in_settings: usize,
    /// Phases that one deployment may have on a host.
    pub phases: u32,
    /// Bytes and entries of a build's folders while it runs.
    pub build_bytes: u64,
    pub build_entries: u64,
    /// Bytes that a build leaves free on its disk, for all else that this machine does.
    pub disk_reserve: u64,
    /// Bytes of one file that the operator names, or that programs keep for all: keys, tokens, certificates, netrc files,
    /// `known_hosts`.
    pub named_bytes: u64,
    /// Bytes of one JSON file of a history commit.
    pub record_bytes: u64,
    /// Bytes of all JSON files that one reading of a history keeps.
    pub records_bytes: u64,
    /// Bytes of text that a git server sends in one conversation: its references, and what it says of a push.
    pub spoken_bytes: u64,
    /// Objects of git that one fetch may bring.
    pub objects: usize,
    /// Bytes that one git object, or one file of a work tree, may have when it is inflated.
    pub object_bytes: u64,
    /// The largest generation: 15 digits are exact in a shell's arithmetic (dash's `[ -gt ]` fails beyond 2^63, which
    /// would switch a comparison off) and in JSON's (2^53).
    pub generation: u64,
    /// How far the history's newest generation may lie beyond the newest one that this controller believed.
    pub generation_jump: u64,
    /// How far an instance may be ahead of the history. Another controller's deployments, and those of a history that was
    /// set back, are a few; so many more than the history tells of are nobody's.
    pub generation_ahead: u64,
    /// How far generations may be where there is nothing to compare them with: one deployment a minute for two years.
    pub generation_alone: u64,
    /// Heads of one branch that are remembered after forced pushes.
    pub seen_heads: usize,
    /// Bytes that one download may bring, packed as they travel.
    pub download_bytes: u64,
    /// Bytes of all objects of one download together when they are inflated: bounds the time that reading them takes.
    pub inflated_bytes: u64,
    /// Bytes of one answer of a process that reads what nobody trusts.
    pub answer_bytes: u64,
}

impl Budget {
    /// What a large fleet needs many times over, and what a machine with 1 GiB of memory bears.
    pub const STANDARD: Self = Self {
        file_bytes: 1 << 20,
        expanded_bytes: 4 << 20,
        nodes: 100_000,
        depth: 64,
        findings: 100,
        line_text: 200,
        name_text: 60,
        message_text: 1_000,
        event_text: 4_000,
        events: 1_024,
        key_bytes: 1 << 10,
        fleet_files: 20_000,
        fleet_bytes: 16 << 20,
        fleet_nodes: 1_000_000,
        steps: 128 << 20,
        patterns: 1_000,
        pattern_bytes: 64 << 10,
        compared_names: 1_000,
        included_bytes: 4 << 20,
        entries: 100_000,
        tree_bytes: 2 << 30,
        host_text: 4_000,
        greeting_bytes: 1 << 20,
        host_lines: 100,
        manifest_bytes: 4 << 20,
        drop_ins: 32,
        drop_in_bytes: 4 << 10,
        drop_in_settings: 8,
        phases: 1_000,
        build_bytes: 16 << 30,
        build_entries: 2_000_000,
        disk_reserve: 512 << 20,
        named_bytes: 4 << 20,
        record_bytes: 16 << 20,
        records_bytes: 256 << 20,
        spoken_bytes: 64 << 20,
        objects: 1_000_000,
        object_bytes: 256 << 20,
        generation: 999_999_999_999_999,
        generation_jump: 100_000,
        generation_ahead: 1_000,
        generation_alone: 1_000_000,
        seen_heads: 64,
        download_bytes: 1 << 30,
        inflated_bytes: 32 << 30,
        answer_bytes: 256 << 20,
    };
}

impl Default for Budget {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// A limit of trees and downloads that was exceeded, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    Depth(usize),
    Entries(usize),
    TreeBytes(u64),
    Objects(usize),
    ObjectBytes(u64),
    DownloadBytes(u64),
    InflatedBytes(u64),
    /// Of one file that is read whole.
    FileBytes(u64),
    RecordsBytes(u64),
    SpokenBytes(u64),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Exceeded::Depth(most) => write!(f, "more than {most} folders inside one another"),
            Exceeded::Entries(most) => write!(f, "more than {most} files, folders and links"),
            Exceeded::TreeBytes(most) => write!(f, "more than {} in all files together", bytes(most)),
            Exceeded::Objects(most) => write!(f, "more than {most} objects in one download"),
            Exceeded::ObjectBytes(most) => write!(f, "more than {} in one file", bytes(most)),
            Exceeded::DownloadBytes(most) => write!(f, "more than {} in one download", bytes(most)),
            Exceeded::FileBytes(most) => write!(f, "more than {} in one file", bytes(most)),
            Exceeded::RecordsBytes(most) => write!(f, "more than {} in the records to be read", bytes(most)),
            Exceeded::SpokenBytes(most) => write!(f, "more than {} of references and messages", bytes(most)),
            Exceeded::InflatedBytes(most) => write!(f, "more than {} in one download, unpacked", bytes(most)),
        }
    }
}

/// Reads a file that somebody opened: whole, or no further than the limit. What is larger is an error of the kind
/// [`io::ErrorKind::FileTooLarge`] that names the limit; whoever opened the file names it.
pub fn read_within(from: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let why = format!("it has {}, which is more than evenkeel reads", Exceeded::FileBytes(most));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(content)
}

/// As [`read_within`], of a file that holds UTF-8.
pub fn read_text_within(from: impl Read, most: u64) -> io::Result<String> {
    String::from_utf8(read_within(from, most)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A limit as people write it.
fn bytes(most: u64) -> String {
    let (mut number, mut units) = (most, ["bytes", "KiB", "MiB", "GiB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    while let (true, Some(next)) = (number >= 1024 && number.is_multiple_of(1024), units.clone().next()) {
        (number, unit) = (number / 1024, next);
        units.next();
    }
    format!("{number} {unit}")
}

/// Counts what is read of one tree. Every reader of a tree asks it before it reads the next entry.
#[derive(Debug, Clone)]
pub struct Tally {
    budget: Budget,
    entries: usize,
    bytes: u64,
}

impl Tally {
    pub fn new(budget: &Budget) -> Self {
        Self { budget: *budget, entries: 0, bytes: 0 }
    }

    /// One more file, folder or link, at its path from the tree's root.
    pub fn entry(&mut self, path: &str) -> Result<(), Exceeded> {
        if path.bytes().filter(|byte| *byte == b'/').count() > self.budget.depth {
            return Err(Exceeded::Depth(self.budget.depth));
        }
        if self.entries >= self.budget.entries {
            return Err(Exceeded::Entries(self.budget.entries));
        }
        self.entries += 1;
        Ok(())
    }

    /// The content of one more file.
    pub fn content(&mut self, bytes: u64) -> Result<(), Exceeded> {
        if bytes > self.budget.object_bytes {
            return Err(Exceeded::ObjectBytes(self.budget.object_bytes));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.budget.tree_bytes { Err(Exceeded::TreeBytes(self.budget.tree_bytes)) } else { Ok(()) }
    }

    /// How many bytes the files that are still to come may have together.
    pub fn bytes_left(&self) -> u64 {
        self.budget.tree_bytes.saturating_sub(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_which_limit_of_a_tree_is_exceeded() {
        let budget = Budget { depth: 2, entries: 3, object_bytes: 2048, tree_bytes: 3 << 10, ..Budget::STANDARD };
        let mut tally = Tally::new(&budget);
        assert_eq!((tally.entry("a/b/c"), tally.entry("a/b/c/d")), (Ok(()), Err(Exceeded::Depth(2))));
        assert_eq!((tally.content(2048), tally.content(2049)), (Ok(()), Err(Exceeded::ObjectBytes(2048))));
        assert_eq!((tally.content(1024), tally.content(1)), (Ok(()), Err(Exceeded::TreeBytes(3072))));
        assert_eq!((tally.entry("b"), tally.entry("c"), tally.entry("d")), (Ok(()), Ok(()), Err(Exceeded::Entries(3))));
        assert_eq!(Exceeded::TreeBytes(3072).to_string(), "more than 3 KiB in all files together");
        assert_eq!(Exceeded::ObjectBytes(256 << 20).to_string(), "more than 256 MiB in one file");
        assert_eq!(Exceeded::ObjectBytes(1000).to_string(), "more than 1000 bytes in one file");
    }

    #[test]
    fn a_file_is_read_whole_or_no_further_than_its_limit() {
        let text = &b"12345678"[..];
        assert_eq!(read_within(text, 8).expect("it is small enough"), text);
        // An endless one is not read to its end.
        let error = read_within(io::repeat(b'x'), 8).expect_err("it is too large");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it has more than 8 bytes in one file, which is more than evenkeel reads");
        assert_eq!(read_text_within(&b"\xff"[..], 8).expect_err("no text").kind(), io::ErrorKind::InvalidData);
    }
}
