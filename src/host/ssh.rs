//! SSH connections to instances.
//!
//! Keeps true: the host's key is the pinned one or there is no connection, to a jump host too and through it; everything
//! has a time limit.
//! Source of the facts on russh: its documentation; SHA-1 RSA is not offered.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use russh::{
    MethodKind,
    client::{self, AuthResult, Handle},
    keys::{
        Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, agent::client::AgentClient,
        decode_secret_key,
    },
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    dial::{Namespace, dial},
    jump::Jumps,
};
use crate::model::{
    budget::{Budget, read_text_within},
    fleet::Instance,
};

/// A TCP connect to a host that is off hangs for minutes otherwise.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
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
    /// Where its address is; none: where this process is.
    pub namespace: Option<Namespace>,
}

/// An instance to connect to, and through which jump host.
#[derive(Debug, Clone)]
pub struct Target {
    instance: Instance,
    login: Login,
    jump: Option<Login>,
}

impl Target {
    /// `ssh_key` is what the command line names; without one the agent and then `~/.ssh/id_ed25519` are tried.
    pub fn new(instance: &Instance, ssh_key: Option<PathBuf>, home: Option<PathBuf>) -> Self {
        let named = instance.ssh.key.clone().or(ssh_key);
        let agent = named.is_none();
        let keys: Vec<PathBuf> = named.or_else(|| home.map(|home| home.join(".ssh/id_ed25519"))).into_iter().collect();
        let login = |address, user: &str, host_key: &Option<String>| Login {
            address,
            user: user.to_owned(),
            host_key: host_key.clone(),
            keys: keys.clone(),
            agent,
            namespace: None,
        };
        Self {
            login: login(instance.end(), &instance.ssh.user, &instance.ssh.host_key),
            jump: instance.ssh.jump.as_ref().map(|jump| login(jump.end(), &jump.user, &jump.host_key)),
            instance: instance.clone(),
        }
    }

    /// The same in another network than this process's.
    pub fn in_namespace(mut self, namespace: Option<Namespace>) -> Self {
        self.login.namespace.clone_from(&namespace);
        self.jump.iter_mut().for_each(|jump| jump.namespace.clone_from(&namespace));
        self
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
        match (&self.jump, &self.instance.ssh.jump) {
            (Some(login), Some(jump)) if login.host_key.is_none() => {
                Err(ConnectError::Jump(Box::new(not_pinned(login, jump.prints_key()))))
            }
            _ => Ok(()),
        }
    }
}

/// Why one is not logged in. Each text begins with the address that it is about.
#[derive(Debug, Clone, Error)]
pub enum ConnectError {
    #[error(
        "{address} has no host_key that is pinned, so nothing connects to it; print the key with `{printed_by}`, \
         compare it with /etc/ssh/ssh_host_ed25519_key.pub on its console, and put it into instances/{instance}.yaml"
    )]
    NotPinned { address: SocketAddr, printed_by: String, instance: String },
    #[error("{address} has a host_key that is not a public key: {why}")]
    BadPin { address: SocketAddr, why: String },
    #[error("{address} does not answer: {why}")]
    Unreachable { address: SocketAddr, why: String },
    #[error(
        "{address} shows another host key than the pinned one ({shown}); someone may be in between. \
         If the host was rebuilt, compare the new key on its console and pin it"
    )]
    WrongKey { address: SocketAddr, shown: String },
    #[error("{user}@{address} refuses the login; tried {tried}{takes}; `journalctl -u ssh` there says why")]
    Refused { address: SocketAddr, user: String, tried: String, takes: String },
    #[error(
        "{user}@{address} takes {key} and asks for more than a key: {more}. A second factor cannot be given from here; \
         have its sshd_config ask {user} for a key alone: `Match User {user}` with `AuthenticationMethods publickey`"
    )]
    SecondFactor { address: SocketAddr, user: String, key: String, more: String },
    #[error("{user}@{address} ends the login, having been shown {key}: {why}")]
    Denied { address: SocketAddr, user: String, key: String, why: String },
    #[error("{address} ended the connection while logging in: {why}")]
    Protocol { address: SocketAddr, why: String },
    #[error(
        "{address} does not forward to {to}; have its sshd_config say `AllowTcpForwarding yes`, and neither \
         `PermitOpen` there nor `restrict` before the key in authorized_keys forbid it"
    )]
    NotForwarded { address: SocketAddr, to: SocketAddr },
    /// The same of the jump host.
    #[error("the jump host {}{}", .0, .0.beyond())]
    Jump(Box<ConnectError>),
}

impl ConnectError {
    /// Whether trying again can end better without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            // A host that boots lets nobody in yet.
            ConnectError::Unreachable { .. } | ConnectError::Protocol { .. } | ConnectError::Denied { .. } => true,
            ConnectError::Jump(error) => error.may_pass(),
            ConnectError::NotPinned { .. }
            | ConnectError::BadPin { .. }
            | ConnectError::WrongKey { .. }
            | ConnectError::Refused { .. }
            | ConnectError::SecondFactor { .. }
            | ConnectError::NotForwarded { .. } => false,
        }
    }

    /// What else is to be said when it is a jump host's.
    fn beyond(&self) -> &'static str {
        match self {
            ConnectError::Unreachable { .. } | ConnectError::Protocol { .. } => {
                "; nothing behind it is reached until it is back. See that it runs, and that `ssh.jump` has its address"
            }
            ConnectError::Refused { .. } => "; let one of these keys in there, if only to forward",
            _ => "",
        }
    }
}

/// What a host says besides how the login went.
#[derive(Debug, Default)]
struct Heard {
    /// Another key than the pinned one.
    shown: Option<String>,
    /// Banners, and why it disconnects.
    said: String,
}

impl Heard {
    fn hear(&mut self, said: &str) {
        let room = Budget::STANDARD.host_text.saturating_sub(self.said.chars().count());
        self.said.extend(said.chars().chain(['\n']).take(room));
    }

    /// In one line.
    fn words(&self) -> String {
        self.said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
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
    match &target.jump {
        None => reach(&target.login).await,
        Some(jump) => log_in(&target.login, jumps.forward(jump, target.login.address).await?).await,
    }
}

/// Connects directly and logs in.
pub(super) async fn reach(login: &Login) -> Result<Session, ConnectError> {
    let address = login.address;
    let unreachable = |why: String| ConnectError::Unreachable { address, why };
    let dialled = dial(address, login.namespace.as_ref(), CONNECT_LIMIT).await;
    let Some(stream) = dialled.map_err(|error| unreachable(error.to_string()))? else {
        return Err(unreachable(format!("no answer within {} s", CONNECT_LIMIT.as_secs())));
    };
    // Small requests and answers alternate: waiting to fill packets only costs time.
    stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    log_in(login, stream).await
}

/// Holds the host at the other end of `stream` against its pin, and logs in.
async fn log_in<S>(login: &Login, stream: S) -> Result<Session, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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

async fn authenticate(session: &mut Session, login: &Login, heard: &Mutex<Heard>) -> Result<(), ConnectError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_jump_host_names_it_and_the_next_move() {
        let address: SocketAddr = "192.0.2.1:2222".parse().expect("an address");
        let to = "10.0.0.1:22".parse().expect("an address");
        let text = ToString::to_string;
        let user = text("gate");
        let cases = [
            (
                ConnectError::NotPinned { address, printed_by: text("ssh-keyscan x"), instance: text("h1") },
                false,
                "instances/h1.yaml",
            ),
            (ConnectError::BadPin { address, why: text("no") }, false, "not a public key"),
            (ConnectError::Unreachable { address, why: text("no route") }, true, "See that it runs"),
            (ConnectError::Protocol { address, why: text("early eof") }, true, "See that it runs"),
            (ConnectError::WrongKey { address, shown: text("SHA256:x") }, false, "pin it"),
            (
                ConnectError::Refused { address, user, tried: text("the agent"), takes: String::new() },
                false,
                "let one of these keys in",
            ),
            (ConnectError::NotForwarded { address, to }, false, "AllowTcpForwarding yes"),
        ];
        for (error, may_pass, next_move) in cases {
            let error = ConnectError::Jump(Box::new(error));
            let told = error.to_string();
            assert_eq!(error.may_pass(), may_pass, "{told}");
            for words in ["the jump host ", "192.0.2.1:2222", next_move] {
                assert!(told.contains(words), "`{words}` is not said in: {told}");
            }
        }
    }
}
