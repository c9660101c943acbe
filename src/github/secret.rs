//! A text that nobody may read: a token, a key.
//!
//! Keeps true: it is never shown, also not by `Debug`; what is sent of it goes into one header, marked as sensitive.

use std::{fmt, io, path::Path};

use tokio::io::AsyncReadExt as _;

use super::GitHubError;

/// No key or token is as long.
const LONGEST: u64 = 64 << 10;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// What the file holds now. It is read at each use, so a secret is rotated by writing the file.
    pub(super) async fn read(path: &Path) -> Result<Self, GitHubError> {
        let told = |source: io::Error| GitHubError::File { path: path.to_owned(), source };
        let mut text = String::new();
        let file = tokio::fs::File::open(path).await.map_err(told)?;
        file.take(LONGEST).read_to_string(&mut text).await.map_err(told)?;
        text.truncate(text.trim_end().len());
        if text.is_empty() {
            return Err(GitHubError::Unusable { path: path.to_owned(), why: "it is empty" });
        }
        Ok(Self(text))
    }

    /// The same, of a file with a token. One of several lines is something else, a private key say, and goes nowhere.
    pub(super) async fn read_line(path: &Path) -> Result<Self, GitHubError> {
        let secret = Self::read(path).await?;
        if secret.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(secret);
        }
        Err(GitHubError::Unusable { path: path.to_owned(), why: "it does not hold one line with a token" })
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` without this secret, for a server may repeat what it was sent.
    pub(super) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
