//! Signatures of history commits, as `git log --show-signature` reads them: `gpgsig` with an SSH signature of the
//! namespace `git`.
//!
//! Keeps true: a private key is never shown and leaves no file; a commit is vouched for by a listed key only, and only
//! for the environment that its signed message names, so a commit that somebody signed for something else is worth
//! nothing here.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use git2::Oid;
use russh::keys::{
    HashAlg, PrivateKey, PublicKey,
    agent::{AgentIdentity, client::AgentClient},
    ssh_key::{
        LineEnding, SshSig,
        private::{Ed25519Keypair, KeypairData},
    },
};
use thiserror::Error;
use tokio::time::timeout;

use super::{
    error::{Context, GitError},
    repository::{Repository, descends, find_commit},
};
use crate::model::{
    budget::{Budget, read_text_within},
    commit::CommitId,
    name::EnvironmentName,
    writer::{Unlisted, Unvouched, Writer},
};

/// What SSH signatures of git are about.
const NAMESPACE: &str = "git";
const FIELD: &str = "gpgsig";
/// The line of a message that says which history the commit belongs to.
const TRAILER: &str = "Environment: ";
/// An agent lists its keys without asking anybody.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// It may ask a person whether it is to sign, and wait for a finger on a key.
const SIGN_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Error)]
pub enum KeyError {
    #[error("cannot read the history key {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is no private key in OpenSSH's format that is used without a passphrase")]
    NoKey { path: PathBuf, source: russh::keys::Error },
    #[error("the key {key} cannot sign")]
    Sign { key: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// A key that signs history commits.
#[derive(Debug, Clone)]
pub struct Signer {
    key: PublicKey,
    /// None: the ssh-agent has it.
    private: Option<Arc<PrivateKey>>,
}

impl Signer {
    /// From a file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let told = |source| KeyError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(told)?;
        let text = read_text_within(file, Budget::STANDARD.named_bytes).map_err(told)?;
        let no_key = |source: russh::keys::Error| KeyError::NoKey { path: path.to_owned(), source };
        let private = russh::keys::decode_secret_key(&text, None).map_err(no_key)?;
        Ok(Self { key: private.public_key().clone(), private: Some(Arc::new(private)) })
    }

    /// From a file, which is made where there is none. `comment` says whose it is.
    pub fn read_or_make(path: &Path, comment: &str) -> Result<Self, KeyError> {
        match Self::read(path) {
            Err(KeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                make(path, comment)?;
                Self::read(path)
            }
            read => read,
        }
    }

    /// Every key of the ssh-agent; none where there is no agent, or it does not answer.
    pub async fn of_agent() -> Vec<Self> {
        let list = async { AgentClient::connect_env().await?.request_identities().await };
        let Ok(Ok(identities)) = timeout(LIST_LIMIT, list).await else { return Vec::new() };
        let signer = |identity: &AgentIdentity| {
            let mut key = identity.public_key().into_owned();
            // It says whose key it is in the line for `history_writers`.
            key.set_comment(identity.comment());
            Self { key, private: None }
        };
        identities.iter().map(signer).collect()
    }

    /// The line for `history_writers`.
    pub fn line(&self) -> String {
        self.key.to_openssh().unwrap_or_default()
    }

    pub fn is_listed(&self, writers: &[Writer]) -> bool {
        lists(writers, self.key.key_data())
    }

    /// Whether it signs without asking anybody.
    pub fn is_at_hand(&self) -> bool {
        self.private.is_some()
    }

    fn sign(&self, content: &[u8]) -> Result<String, KeyError> {
        let told =
            |source: Box<dyn std::error::Error + Send + Sync>| KeyError::Sign { key: fingerprint(&self.key), source };
        let signed = match &self.private {
            Some(private) => private.sign(NAMESPACE, HashAlg::Sha512, content).map_err(|error| told(error.into()))?,
            None => self.sign_by_agent(content).map_err(told)?,
        };
        Ok(signed.to_pem(LineEnding::LF).map_err(|error| told(error.into()))?.trim_end().to_owned())
    }

    fn sign_by_agent(&self, content: &[u8]) -> Result<SshSig, Box<dyn std::error::Error + Send + Sync>> {
        let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, content)?;
        let hash = self.key.algorithm().is_rsa().then_some(HashAlg::Sha512);
        // Git's calls are made on threads where waiting is allowed.
        let runtime = tokio::runtime::Handle::try_current()?;
        let sign = async {
            let mut agent = AgentClient::connect_env().await?;
            agent.sign_request_signature(&self.key, hash, &data).await
        };
        // Its clock begins to run where it is waited for.
        let signature = runtime.block_on(async { timeout(SIGN_LIMIT, sign).await })??;
        Ok(SshSig::new(self.key.key_data().clone(), NAMESPACE, HashAlg::Sha512, signature)?)
    }
}

fn make(path: &Path, comment: &str) -> Result<(), KeyError> {
    let told = |source| KeyError::File { path: path.to_owned(), source };
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&rand::random()));
    let no_key = |source: russh::keys::ssh_key::Error| KeyError::NoKey { path: path.to_owned(), source: source.into() };
    let key = PrivateKey::new(pair, comment).map_err(no_key)?;
    let text = key.to_openssh(LineEnding::LF).map_err(no_key)?;
    // Under another name first: half a key would be a key that cannot be read.
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(told(error)),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new).map_err(told)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(told)?;
    fs::rename(&new, path).map_err(told)
}

fn lists(writers: &[Writer], key: &russh::keys::ssh_key::public::KeyData) -> bool {
    let is_same = |writer: &Writer| PublicKey::from_openssh(&writer.key).is_ok_and(|listed| listed.key_data() == key);
    writers.iter().any(is_same)
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

impl Repository {
    /// Writes a commit that no reference names yet, with a signature where `signer` is one.
    pub(super) fn signed_commit(
        &self,
        mirror: &git2::Repository,
        unsigned: Oid,
        signer: Option<&Signer>,
    ) -> Result<Oid, GitError> {
        let Some(signer) = signer else { return Ok(unsigned) };
        let write = |signature: &str, content: &str| mirror.commit_signed(content, signature, Some(FIELD));
        let object = mirror.odb().and_then(|odb| Ok(odb.read(unsigned)?.data().to_vec())).context("read", unsigned)?;
        let content = String::from_utf8_lossy(&object);
        let signature = signer.sign(content.as_bytes()).map_err(|source| GitError::Key { source: Box::new(source) })?;
        write(&signature, &content).context("sign", unsigned)
    }

    /// The first commit after the last believed one that no listed key vouches for; where nothing was believed yet, or
    /// the history was written anew, the newest one, for whoever signs it vouches for what it was built on.
    pub fn unlisted(
        &self,
        environment: &EnvironmentName,
        commit: &CommitId,
        writers: &[Writer],
    ) -> Result<Option<Unlisted>, GitError> {
        let mirror = self.mirror()?;
        let newest = find_commit(&mirror, commit)?.id();
        let believed = match self.believed_commit(&mirror, environment)? {
            Some(believed) if descends(&mirror, newest, believed)? => Some(believed),
            _ => None,
        };
        let mut found = None;
        let mut next = Some(newest);
        while let Some(id) = next.filter(|id| Some(*id) != believed) {
            let commit = find_commit(&mirror, &id.to_string())?;
            next = commit.parent_ids().next();
            if let Some(why) = unvouched(&mirror, &commit, environment, writers) {
                let before = next.filter(|parent| Some(*parent) == believed).map(|parent| parent.to_string().into());
                found = Some(Unlisted { commit: id.to_string().into(), why, believed: before });
            }
            if believed.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// Why no listed key vouches for the commit; none when one does.
fn unvouched(
    mirror: &git2::Repository,
    commit: &git2::Commit<'_>,
    environment: &EnvironmentName,
    writers: &[Writer],
) -> Option<Unvouched> {
    let Ok((signature, content)) = mirror.extract_signature(&commit.id(), Some(FIELD)) else {
        return Some(Unvouched::Unsigned);
    };
    let Ok(signature) = SshSig::from_pem(&*signature) else { return Some(Unvouched::Broken) };
    let key = PublicKey::from(signature.public_key().clone());
    if key.verify(NAMESPACE, &content, &signature).is_err() {
        return Some(Unvouched::Broken);
    }
    if !lists(writers, key.key_data()) {
        return Some(Unvouched::Key(fingerprint(&key)));
    }
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    let mut named = message.lines().filter_map(|line| line.strip_prefix(TRAILER)).map(str::trim).peekable();
    let is_ours = named.peek().is_some() && named.all(|named| named == environment.as_str());
    (!is_ours).then_some(Unvouched::OtherHistory)
}
