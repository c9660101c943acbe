//! Who may write the history: the public keys that `history_writers` of `fleet.yaml` lists.

use super::commit::CommitId;

/// A public key that is heeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The comment of the key's line, for people.
    pub name: Option<String>,
    /// `ALGORITHM BASE64`.
    pub key: String,
}

/// A commit of a history that no listed key vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    pub commit: CommitId,
    pub why: Unvouched,
    /// The commit before it, where that one is believed.
    pub believed: Option<CommitId>,
}

/// Why a commit's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unvouched {
    Unsigned,
    /// By its fingerprint.
    Key(String),
    /// It does not fit the commit, or cannot be read.
    Broken,
    /// The commit was signed for another history, or for none: its message names no such environment.
    OtherHistory,
}
