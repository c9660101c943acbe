//! Logging in to an sshd with keys.
//!
//! Keeps true: what the host says meanwhile is kept within a bound; an error names the keys that were tried. Never does:
//! signing with an RSA key that lies in a file.

use std::{fs::File, io, path::Path, sync::Arc};

use parking_lot::Mutex;
use russh::{
    MethodKind,
    client::AuthResult,
    keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, agent::client::AgentClient, decode_secret_key},
};

use super::{
    connect_error::ConnectError,
    ssh::{Login, Session},
};
use crate::model::budget::{Budget, read_text_within};

/// What a host says besides how the login went.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Another key than the pinned one.
    pub shown: Option<String>,
    /// Banners, and why it disconnects.
    said: String,
}

impl Heard {
    pub fn hear(&mut self, said: &str) {
        let room = Budget::STANDARD.host_text.saturating_sub(self.said.chars().count());
        self.said.extend(said.chars().chain(['\n']).take(room));
    }

    /// In one line.
    fn words(&self) -> String {
        self.said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
    }
}

pub(super) async fn authenticate(
    session: &mut Session,
    login: &Login,
    heard: &Mutex<Heard>,
) -> Result<(), ConnectError> {
    let protocol = |error: russh::Error| ConnectError::Protocol { address: login.address, why: error.to_string() };
    let mut tried = Vec::new();
    let mut takes = String::new();
    if login.agent {
        match AgentClient::connect_env().await {
            Ok(mut agent) => match agent.request_identities().await {
                Ok(identities) => {
                    for identity in identities {
                        let key = identity.public_key().into_owned();
                        let shown = format!("{} of the agent", key.fingerprint(HashAlg::Sha256));
                        let hash = rsa_hash(session, &key.algorithm()).await.map_err(protocol)?;
                        let result =
                            session.authenticate_publickey_with(login.user.clone(), key, hash, &mut agent).await;
                        // An agent that does not sign is none of the host's doing.
                        if let Ok(result) = result
                            && judge(result, session, login, &shown, heard, &mut takes)?
                        {
                            return Ok(());
                        }
                        tried.push(shown);
                    }
                }
                Err(error) => tried.push(format!("the ssh-agent, which does not list its keys ({error})")),
            },
            Err(_) => tried.push("no ssh-agent (SSH_AUTH_SOCK)".to_owned()),
        }
    }
    for path in &login.keys {
        let text = read_key(path).map_err(russh::keys::Error::IO);
        let key = match text.and_then(|text| decode_secret_key(&text, None)) {
            Ok(key) => key,
            Err(error) => {
                tried.push(format!("{} (not readable as a key: {error})", path.display()));
                continue;
            }
        };
        if key.algorithm().is_rsa() {
            // RUSTSEC-2023-0071: what signs with it here could be timed from afar.
            tried.push(format!("{} (an RSA key: load it into ssh-agent, or use an ed25519 key)", path.display()));
            continue;
        }
        let shown = path.display().to_string();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let result = session.authenticate_publickey(login.user.clone(), key).await.map_err(protocol)?;
        if judge(result, session, login, &shown, heard, &mut takes)? {
            return Ok(());
        }
        tried.push(shown);
    }
    let (address, user) = (login.address, login.user.clone());
    Err(ConnectError::Refused { address, user, tried: tried.join(", "), takes })
}

/// Whether the key lets in; an error where no other key would. `takes` is told what sshd asks for, where that is no key.
fn judge(
    result: AuthResult,
    session: &Session,
    login: &Login,
    key: &str,
    heard: &Mutex<Heard>,
    takes: &mut String,
) -> Result<bool, ConnectError> {
    let (remaining, partial) = match result {
        AuthResult::Success => return Ok(true),
        AuthResult::Failure { remaining_methods, partial_success } => (remaining_methods, partial_success),
    };
    let (address, user, key) = (login.address, login.user.clone(), key.to_owned());
    let methods = remaining.iter().map(Into::into).collect::<Vec<&str>>().join(", ");
    if partial {
        return Err(ConnectError::SecondFactor { address, user, key, more: methods });
    }
    // russh answers so where the connection is gone, too.
    if session.is_closed() {
        let said = heard.lock().words();
        let next = after_denial(&said, &user);
        let said = if said.is_empty() { "it says nothing" } else { &said };
        let why = format!("{said}; {next}");
        return Err(ConnectError::Denied { address, user, key, why });
    }
    if !remaining.contains(&MethodKind::PublicKey) {
        *takes =
            format!("; it takes no keys, only {methods}: let it, with `PubkeyAuthentication yes` in its sshd_config");
    }
    Ok(false)
}

/// What to do about a login that the host ends. PAM's and sshd's own sentences; /etc/nologin may hold any.
fn after_denial(said: &str, user: &str) -> String {
    let said = said.to_lowercase();
    if said.contains("too many authentication failures") {
        "name the key that it takes (`ssh.key`, or --ssh-key): the agent has too many".to_owned()
    } else if said.contains("expired") {
        format!("let the account live on there: `usermod -e '' {user}`, and see `chage -l {user}`")
    } else {
        "while /etc/nologin or /run/nologin is there, only root is let in; `journalctl -u ssh` there says who refused"
            .to_owned()
    }
}

fn read_key(path: &Path) -> io::Result<String> {
    read_text_within(File::open(path)?, Budget::STANDARD.named_bytes)
}

/// Which hash an RSA key signs with. Not asked for other keys: the answer can be slow to come.
async fn rsa_hash(session: &Session, algorithm: &Algorithm) -> Result<Option<HashAlg>, russh::Error> {
    match algorithm {
        Algorithm::Rsa { .. } => Ok(session.best_supported_rsa_hash().await?.flatten()),
        _ => Ok(None),
    }
}
