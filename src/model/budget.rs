//! How much is read of what others wrote: one [`Budget`], handed to everything that reads outside data.
//!
//! Owns the limits and their names. Keeps true: every limit has one value, here, so a reader and its test mean the
//! same one; what exceeds a limit is a finding or an error that names it. Never does: reading anything.

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
    /// Patterns of one list, such as `exclude`.
    pub patterns: usize,
    /// Names that are compared with an unknown one to find what was meant.
    pub compared_names: usize,
    /// Entries (files, folders, links) of one tree: a git source, an archive, what a build made, a work tree.
    pub entries: usize,
    /// Bytes of all files of one such tree.
    pub tree_bytes: u64,
    /// Characters of one text that a host answers (a message, an error's output, a line of a log).
    pub host_text: usize,
    /// Lines that are kept of one log of a host.
    pub host_lines: usize,
    /// Bytes of the manifest on a host.
    pub manifest_bytes: usize,
    /// Phases that one deployment may have on a host.
    pub phases: u32,
    /// Bytes and entries of a build's folders while it runs.
    pub build_bytes: u64,
    pub build_entries: u64,
    /// Bytes that a build leaves free on its disk, for all else that this machine does.
    pub disk_reserve: u64,
    /// Objects of git that one fetch may bring.
    pub objects: usize,
    /// Bytes that one git object may have when it is inflated.
    pub object_bytes: u64,
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
        patterns: 1_000,
        compared_names: 1_000,
        entries: 100_000,
        tree_bytes: 2 << 30,
        host_text: 4_000,
        host_lines: 100,
        manifest_bytes: 4 << 20,
        phases: 1_000,
        build_bytes: 16 << 30,
        build_entries: 2_000_000,
        disk_reserve: 512 << 20,
        objects: 1_000_000,
        object_bytes: 256 << 20,
    };
}

impl Default for Budget {
    fn default() -> Self {
        Self::STANDARD
    }
}
