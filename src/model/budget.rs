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
    /// Characters of a message, and of a hint.
    pub message_text: usize,
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
        message_text: 1_000,
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
        objects: 1_000_000,
        object_bytes: 256 << 20,
    };
}

impl Default for Budget {
    fn default() -> Self {
        Self::STANDARD
    }
}
