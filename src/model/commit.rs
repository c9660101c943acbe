//! The name of a commit: what tells it from a branch, an address or a release's digest.
//!
//! Keeps true: whatever reads a commit's name from a stranger takes all of its digits (`named`). What git or a history writes
//! is taken as it is written; whether there is such a commit, and whether it counts, is told elsewhere (`belief.rs`).

use std::{
    borrow::{Borrow, Cow},
    fmt,
    ops::Deref,
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A commit by its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitId(String);

impl CommitId {
    /// The commit that a text names with all of its digits. The beginning of a name would stand for whatever commit a
    /// stranger makes with the same beginning.
    pub fn named(text: &str) -> Option<Self> {
        let is_whole = matches!(text.len(), 40 | 64);
        let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_whole && is_hexadecimal).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As the text that it is, without a name of its own.
impl JsonSchema for CommitId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

impl Deref for CommitId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CommitId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for CommitId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<String> for CommitId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> String {
        commit.0
    }
}

impl From<&str> for CommitId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl PartialEq<str> for CommitId {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<String> for CommitId {
    fn eq(&self, text: &String) -> bool {
        self.0 == *text
    }
}

impl PartialEq<CommitId> for String {
    fn eq(&self, commit: &CommitId) -> bool {
        *self == commit.0
    }
}

impl PartialEq<&str> for CommitId {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// As the text that it is.
impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_names_a_commit_with_all_of_its_digits() {
        assert!(CommitId::named(&"0a".repeat(20)).is_some() && CommitId::named(&"0a".repeat(32)).is_some());
        for text in ["", "0a0a0a0", &"0A".repeat(20), &"0g".repeat(20), &"0a".repeat(21), "main"] {
            assert_eq!(CommitId::named(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_holds_it_as_the_text_that_it_is() {
        let commit: CommitId = serde_json::from_str("\"4f3a2b1\"").expect("it is read");
        assert_eq!(serde_json::to_string(&commit).expect("it is written"), "\"4f3a2b1\"");
    }
}
