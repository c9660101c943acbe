//! SSH connections to instances.
//!
//! Keeps true: the host's key is the pinned one or there is no connection, to a jump host too and through it; everything
//! has a time limit.
//! Source of the facts on russh: its documentation; SHA-1 RSA is not offered.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use russh::{
    client::{self, Handle},
    keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate},
};
use tokio::time::timeout;

use super::{
    connect_error::ConnectError,
    dial::{Dial, Namespace, Stream},
    jump::Jumps,
    login::{Heard, authenticate},
};
use crate::model::fleet::Instance;

/// sshd may ask name servers and PAM may ask a directory first.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);
/// A connection on which nothing comes back is asked for a sign of life each time after so long,
const KEEPALIVE: Duration = Duration::from_secs(5);
/// so often; then it is dead.
const KEEPALIVES: u32 = 3;
/// A connection that is there for longer is alive, or was until just now.
pub(super) const SILENCE: Duration = KEEPALIVE.saturating_mul(KEEPALIVES + 2);

/// An sshd, and as whom one logs in there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
    pub address: SocketAddr,
    pub user: String,
    /// The pinned key, parsed when it is needed: `ALGORITHM BASE64`.
    pub host_key: Option<String>,
    /// Private key files to try, in order.
    pub keys: Vec<PathBuf>,
    /// Whether a running ssh-agent is asked first.
    pub agent: bool,
    pub dial: Dial,
}

/// An instance to connect to, and through which jump host.
#[derive(Debug, Clone)]
pub struct Target {
    instance: Instance,
    login: Login,
}

impl Target {
    /// `ssh_key` is what the command line names; without one the agent and then `~/.ssh/id_ed25519` are tried.
    pub fn new(instance: &Instance, ssh_key: Option<PathBuf>, home: Option<PathBuf>) -> Self {
        let named = instance.ssh.key.clone().or(ssh_key);
        let agent = named.is_none();
        let keys: Vec<PathBuf> = named.or_else(|| home.map(|home| home.join(".ssh/id_ed25519"))).into_iter().collect();
        let login = |address, user: &str, host_key: &Option<String>, dial| Login {
            address,
            user: user.to_owned(),
            host_key: host_key.clone(),
            keys: keys.clone(),
            agent,
            dial,
        };
        let ssh = &instance.ssh;
        let from_here = ssh.namespace.as_deref().map_or(Dial::Direct, |name| Dial::Namespace(Namespace::named(name)));
        let dial = match &ssh.jump {
            Some(jump) => Dial::Jump(Box::new(login(jump.end(), &jump.user, &jump.host_key, from_here))),
            None => from_here,
        };
        Self { login: login(instance.end(), &ssh.user, &ssh.host_key, dial), instance: instance.clone() }
    }

    /// The instance's name.
    pub(super) fn name(&self) -> &str {
        self.instance.name.as_str()
    }

    /// Who logs in.
    pub(super) fn user(&self) -> &str {
        &self.login.user
    }

    /// Both have their keys pinned, or there is nothing to connect to.
    fn are_pinned(&self) -> Result<(), ConnectError> {
        let not_pinned = |login: &Login, printed_by| ConnectError::NotPinned {
            address: login.address,
            printed_by,
            instance: self.instance.name.to_string(),
        };
        if self.login.host_key.is_none() {
            return Err(not_pinned(&self.login, self.instance.prints_key()));
        }
        match (&self.login.dial, &self.instance.ssh.jump) {
            (Dial::Jump(login), Some(jump)) if login.host_key.is_none() => {
                Err(ConnectError::Jump(Box::new(not_pinned(login, jump.prints_key()))))
            }
            _ => Ok(()),
        }
    }
}

/// Holds the pin against what the host shows, and hears what it says.
pub(super) struct Pinned {
    key: PublicKey,
    heard: Arc<Mutex<Heard>>,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        // Host certificates are not asked for, so one that is shown is nothing we pinned.
        let PublicKeyOrCertificate::PublicKey { key: shown, .. } = shown else { return Ok(false) };
        // `==` on keys compares comments too; only the key itself counts.
        let same = shown.key_data() == self.key.key_data();
        if !same {
            self.heard.lock().shown = Some(shown.fingerprint(HashAlg::Sha256).to_string());
        }
        Ok(same)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Self::Error> {
        self.heard.lock().hear(banner);
        Ok(())
    }

    async fn disconnected(&mut self, reason: client::DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            client::DisconnectReason::ReceivedDisconnect(info) => {
                self.heard.lock().hear(&info.message);
                Ok(())
            }
            client::DisconnectReason::Error(error) => Err(error),
        }
    }
}

pub(super) type Session = Handle<Pinned>;

/// Connects and logs in, through the jump host where there is one.
pub(super) async fn connect(target: &Target, jumps: &Jumps) -> Result<Session, ConnectError> {
    target.are_pinned()?;
    reach(&target.login, jumps).await
}

/// As [`connect`]. Boxed, for a jump host is reached in the same way.
pub(super) fn reach<'a>(login: &'a Login, jumps: &'a Jumps) -> BoxFuture<'a, Result<Session, ConnectError>> {
    async move { log_in(login, login.dial.connect(login.address, jumps).await?).await }.boxed()
}

/// Holds the host at the other end of `stream` against its pin, and logs in.
async fn log_in(login: &Login, stream: Box<dyn Stream>) -> Result<Session, ConnectError> {
    let address = login.address;
    let pin = login.host_key.as_deref().unwrap_or_default();
    let key: PublicKey = pin.parse().map_err(|error| ConnectError::BadPin { address, why: format!("{error}") })?;
    let heard = Arc::new(Mutex::new(Heard::default()));
    let config = Arc::new(config(key.algorithm()));
    let handler = Pinned { key, heard: heard.clone() };
    let session = async {
        let mut session =
            client::connect_stream(config, stream, handler).await.map_err(|error| match heard.lock().shown.take() {
                Some(shown) => ConnectError::WrongKey { address, shown },
                None => ConnectError::Protocol { address, why: error.to_string() },
            })?;
        authenticate(&mut session, login, &heard).await?;
        Ok(session)
    };
    match timeout(LOGIN_LIMIT, session).await {
        Ok(session) => session,
        Err(_) => {
            Err(ConnectError::Unreachable { address, why: format!("no login within {} s", LOGIN_LIMIT.as_secs()) })
        }
    }
}

fn config(pinned: Algorithm) -> client::Config {
    let mut config = client::Config {
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES as usize,
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
