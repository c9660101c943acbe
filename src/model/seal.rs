//! How a manifest keeps what it knows of others' files: digests are keyed, and only root reads it.
//!
//! A digest of a secret that is short, or one of a few, tells the secret to whoever tries them all. So the manifest
//! has HMAC-SHA-256 over the digest, with a key that each host has for itself. Keeps true: what is shown of a key is
//! never the key.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

use super::digest::Digest;

/// A host's key. Written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is no key of 64 lower-case hexadecimal digits")]
pub struct InvalidKey;

/// What is to be done about a host's manifest besides what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// With which digests are keyed, where the host has no key yet: it is put there before the manifest.
    /// It stays in this process: who plans a proposal needs none.
    #[serde(skip)]
    pub new_key: Option<Key>,
    /// What others can learn from it as it lies there.
    pub broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broken {
    /// Its digests are not keyed, as evenkeel wrote them before.
    Plain,
    /// Others than root can read or write it, or its key.
    Open,
}

impl Key {
    /// Of random bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a secret as it may be written down.
    pub fn seal(&self, digest: &Digest) -> Digest {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length");
        };
        mac.update(digest.to_string().as_bytes());
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }

    /// The text of its file.
    pub fn write(&self) -> String {
        format!("{}\n", Digest::from_bytes(self.0))
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let digits: Digest = text.trim_end().parse().map_err(|_| InvalidKey)?;
        Ok(Self(digits.to_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_never_shown() {
        let key = Key::from_bytes([7; 32]);
        assert_eq!(key.write().parse(), Ok(key.clone()));
        assert!(!format!("{key:?}").contains('7'));
        assert_eq!("short".parse::<Key>(), Err(InvalidKey));
    }

    /// Worked out by `printf %s DIGEST | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…`.
    #[test]
    fn a_sealed_digest_is_the_hmac_of_the_digest() {
        let digest = Digest::of("PASSWORD=1234\n");
        let sealed = Key::from_bytes([7; 32]).seal(&digest);
        assert_eq!(sealed.to_string(), "ae5f0558320954f8d6dd013148aa72578bac744e105eed1b54904f482b85e6d9");
        assert_ne!(Key::from_bytes([8; 32]).seal(&digest), sealed, "another host's");
    }
}
