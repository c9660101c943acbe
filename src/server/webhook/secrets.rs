//! The webhook's secrets, and whether one of them vouches for a body.
//!
//! Keeps true: files are read at each use, so a secret is rotated without a restart; an empty secret
//! vouches for nothing; comparing takes the same time however much is right.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

use crate::model::budget::{Budget, read_within};

#[derive(Debug, Error)]
pub enum SecretError {
    #[error("cannot read the webhook's secret in {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the webhook's secret in {} is empty", path.display())]
    Empty { path: PathBuf },
    #[error("there is no file with the webhook's secret")]
    None,
}

/// The files that hold secrets: one, or two while the old one makes room for the new one.
#[derive(Debug, Clone)]
pub struct Secrets {
    files: Arc<[PathBuf]>,
}

/// `X-Hub-Signature-256`: HMAC-SHA256 of the body.
/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature([u8; 32]);

impl Secrets {
    /// Each file must hold a secret now.
    pub fn open(files: Vec<PathBuf>) -> Result<Self, SecretError> {
        if files.is_empty() {
            return Err(SecretError::None);
        }
        files.iter().try_for_each(|file| read(file).map(drop))?;
        Ok(Self { files: files.into() })
    }

    /// Whether one of the secrets made the signature. A file that holds none is passed over, and told of, while another
    /// one does.
    pub(super) fn vouch_for(
        &self,
        signature: &Signature,
        body: &[u8],
        unread: impl Fn(&SecretError),
    ) -> Result<bool, SecretError> {
        let (mut vouched, mut usable, mut failure) = (false, false, SecretError::None);
        for file in self.files.iter() {
            match read(file) {
                Ok(secret) => {
                    usable = true;
                    vouched |= signature.is_by(&secret, body);
                }
                Err(error) => {
                    unread(&error);
                    failure = error;
                }
            }
        }
        if usable { Ok(vouched) } else { Err(failure) }
    }
}

impl Signature {
    /// `sha256=` and 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256=")?.as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    fn is_by(&self, secret: &[u8], body: &[u8]) -> bool {
        // A key of any length is taken.
        Hmac::<Sha256>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(body).verify_slice(&self.0).is_ok())
    }
}

/// Without the line's end that an editor adds.
fn read(path: &PathBuf) -> Result<Vec<u8>, SecretError> {
    let read = File::open(path).and_then(|file| read_within(file, Budget::STANDARD.named_bytes));
    let mut secret = read.map_err(|source| SecretError::Read { path: path.clone(), source })?;
    if secret.ends_with(b"\n") {
        secret.pop();
        if secret.ends_with(b"\r") {
            secret.pop();
        }
    }
    if secret.is_empty() { Err(SecretError::Empty { path: path.clone() }) } else { Ok(secret) }
}
