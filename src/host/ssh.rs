//! SSH connections to instances.
//!
//! Keeps true: the host's key is the pinned one or there is no connection; everything has a time limit.
//! Source of the facts on russh: its documentation; SHA-1 RSA is not offered.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use russh::{
    client::{self, AuthResult, Handle},
    keys::{
        Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, agent::client::AgentClient,
        load_secret_key,
    },
};
use thiserror::Error;
use tokio::time::timeout;

use crate::model::fleet::Instance;

/// A TCP connect to a host that is off hangs for minutes otherwise.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LOGIN_LIMIT: Duration = Duration::from_secs(15);
/// A connection on which nothing comes back for three of these is dead.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Whom to connect to, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    pub instance: String,
    pub address: SocketAddr,
    pub user: String,
    pub host_key: Option<String>,
    /// Private key files to try, in order.
    pub keys: Vec<PathBuf>,
    /// Whether a running ssh-agent is asked first.
    pub agent: bool,
}

impl Target {
    /// `ssh_key` is what the command line names; without one the agent and then `~/.ssh/id_ed25519` are tried.
    pub fn new(instance: &Instance, ssh_key: Option<PathBuf>, home: Option<PathBuf>) -> Self {
        let named = instance.ssh.key.clone().or(ssh_key);
        let agent = named.is_none();
        let keys = named.or_else(|| home.map(|home| home.join(".ssh/id_ed25519"))).into_iter().collect();
        Self {
            instance: instance.name.to_string(),
            address: SocketAddr::new(instance.address, instance.ssh.port),
            user: instance.ssh.user.clone(),
            host_key: instance.ssh.host_key.clone(),
            keys,
            agent,
        }
    }
}

#[derive(Debug, Error)]
pub enum ConnectError {
    #[error(
        "no host_key is pinned, so nothing connects to it; print the key with \
         `ssh-keyscan -t ed25519 {address}`, compare it with /etc/ssh/ssh_host_ed25519_key.pub on the host, \
         and put it into instances/{instance}.yaml"
    )]
    NotPinned { instance: String, address: String },
    #[error("its host_key is not a public key: {why}")]
    BadPin { why: String },
    #[error("{address} does not answer: {why}")]
    Unreachable { address: SocketAddr, why: String },
    #[error(
        "{address} shows another host key than the pinned one ({shown}); someone may be in between. \
         If the host was rebuilt, compare the new key on its console and pin it"
    )]
    WrongKey { address: SocketAddr, shown: String },
    #[error("{user}@{address} refuses the login; tried {tried}")]
    Refused { address: SocketAddr, user: String, tried: String },
    #[error("the connection to {address} ended while logging in")]
    Protocol { address: SocketAddr, source: russh::Error },
}

impl ConnectError {
    /// Whether trying again can end better without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            ConnectError::Unreachable { .. } | ConnectError::Protocol { .. } => true,
            ConnectError::NotPinned { .. }
            | ConnectError::BadPin { .. }
            | ConnectError::WrongKey { .. }
            | ConnectError::Refused { .. } => false,
        }
    }
}

/// Holds the pin against what the host shows.
pub(super) struct Pinned {
    key: PublicKey,
    shown: Arc<std::sync::Mutex<Option<String>>>,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        // Host certificates are not asked for, so one that is shown is nothing we pinned.
        let PublicKeyOrCertificate::PublicKey { key: shown, .. } = shown else { return Ok(false) };
        // `==` on keys compares comments too; only the key itself counts.
        let same = shown.key_data() == self.key.key_data();
        if !same && let Ok(mut slot) = self.shown.lock() {
            *slot = Some(shown.fingerprint(HashAlg::Sha256).to_string());
        }
        Ok(same)
    }
}

pub(super) type Session = Handle<Pinned>;

/// Connects and logs in.
pub(super) async fn connect(target: &Target) -> Result<Session, ConnectError> {
    let address = target.address;
    let pin = target.host_key.as_deref().ok_or_else(|| ConnectError::NotPinned {
        instance: target.instance.clone(),
        address: address.ip().to_string(),
    })?;
    let key: PublicKey = pin.parse().map_err(|error| ConnectError::BadPin { why: format!("{error}") })?;
    let shown = Arc::new(std::sync::Mutex::new(None));
    let config = Arc::new(config(key.algorithm()));
    let handler = Pinned { key, shown: shown.clone() };

    let unreachable = |why: String| ConnectError::Unreachable { address, why };
    let stream = match timeout(CONNECT_LIMIT, tokio::net::TcpStream::connect(address)).await {
        Ok(stream) => stream.map_err(|error| unreachable(error.to_string()))?,
        Err(_) => return Err(unreachable(format!("no answer within {} s", CONNECT_LIMIT.as_secs()))),
    };
    // Small requests and answers alternate: waiting to fill packets only costs time.
    stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    let login = async {
        let mut session = client::connect_stream(config, stream, handler).await.map_err(|source| {
            match shown.lock().ok().and_then(|mut slot| slot.take()) {
                Some(shown) => ConnectError::WrongKey { address, shown },
                None => ConnectError::Protocol { address, source },
            }
        })?;
        authenticate(&mut session, target).await?;
        Ok(session)
    };
    match timeout(LOGIN_LIMIT, login).await {
        Ok(session) => session,
        Err(_) => Err(unreachable(format!("no login within {} s", LOGIN_LIMIT.as_secs()))),
    }
}

fn config(pinned: Algorithm) -> client::Config {
    let mut config = client::Config {
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 3,
        nodelay: true,
        ..client::Config::default()
    };
    // Ask for the kind of key that is pinned, else a host with several kinds may show another one.
    let kinds = match pinned {
        Algorithm::Rsa { .. } => {
            vec![Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }]
        }
        other => vec![other],
    };
    config.preferred.key = kinds.into();
    config
}

async fn authenticate(session: &mut Session, target: &Target) -> Result<(), ConnectError> {
    let protocol = |source| ConnectError::Protocol { address: target.address, source };
    let mut tried = Vec::new();
    if target.agent {
        match AgentClient::connect_env().await {
            Ok(mut agent) => match agent.request_identities().await {
                Ok(identities) => {
                    for identity in identities {
                        let key = identity.public_key().into_owned();
                        tried.push(format!("{} of the agent", key.fingerprint(HashAlg::Sha256)));
                        let hash = rsa_hash(session, &key.algorithm()).await.map_err(protocol)?;
                        let result =
                            session.authenticate_publickey_with(target.user.clone(), key, hash, &mut agent).await;
                        if matches!(result, Ok(AuthResult::Success)) {
                            return Ok(());
                        }
                    }
                }
                Err(error) => tried.push(format!("the ssh-agent, which does not list its keys ({error})")),
            },
            Err(_) => tried.push("no ssh-agent (SSH_AUTH_SOCK)".to_owned()),
        }
    }
    for path in &target.keys {
        let key = match load_secret_key(path, None) {
            Ok(key) => key,
            Err(error) => {
                tried.push(format!("{} (not readable as a key: {error})", path.display()));
                continue;
            }
        };
        tried.push(path.display().to_string());
        let hash = rsa_hash(session, &key.algorithm()).await.map_err(protocol)?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        if session.authenticate_publickey(target.user.clone(), key).await.map_err(protocol)?.success() {
            return Ok(());
        }
    }
    Err(ConnectError::Refused { address: target.address, user: target.user.clone(), tried: tried.join(", ") })
}

/// Which hash an RSA key signs with. Not asked for other keys: the answer can be slow to come.
async fn rsa_hash(session: &Session, algorithm: &Algorithm) -> Result<Option<HashAlg>, russh::Error> {
    match algorithm {
        Algorithm::Rsa { .. } => Ok(session.best_supported_rsa_hash().await?.flatten()),
        _ => Ok(None),
    }
}
