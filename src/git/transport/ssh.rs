//! git's smart protocol over SSH: `git-upload-pack` or `git-receive-pack` run on the server, one stream
//! to and from it.
//!
//! Keeps true: nothing is said to a server whose key `known_hosts` does not have; what the server's
//! shell gets is one quoted word. Reads no `~/.ssh/config`.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use parking_lot::Mutex;
use russh::{
    Channel, ChannelMsg, Disconnect, Preferred,
    client::{self, Handle},
    keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, agent::client::AgentClient},
};

use super::{
    Endpoint, TransportError, dial,
    known_hosts::{KnownHost, Verdict},
    libgit2, named_file, named_text,
    text::{Readable, shown},
};
use crate::{
    git::url::{RemoteUrl, SshUrl},
    model::reach::{OutOfReach, Way},
};

/// As much of what the server's command complains of is kept.
const COMPLAINT: usize = 1000;
/// A server that does not listen any more is not waited for.
const FAREWELL: Duration = Duration::from_secs(1);
/// What libgit2 says before it hangs up, also after an error: there is no answer to it.
const GOODBYE: &[u8] = b"0000";
const UPLOAD: &str = "git-upload-pack";

pub(super) struct Ssh {
    url: SshUrl,
    endpoint: Arc<Endpoint>,
}

impl Ssh {
    pub(super) fn new(url: SshUrl, endpoint: Arc<Endpoint>) -> Self {
        Self { url, endpoint }
    }
}

impl SmartSubtransport for Ssh {
    fn action(&self, _: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let service = match service {
            Service::UploadPackLs | Service::UploadPack => UPLOAD,
            Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
        };
        match SshStream::open(&self.url, Arc::clone(&self.endpoint), service) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(libgit2(&self.endpoint.fail(error))),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// The running command's two ends.
struct SshStream {
    handle: Handle<Verifier>,
    channel: Channel<client::Msg>,
    /// Dropped last: after the farewell.
    _line: SshLine,
    service: &'static str,
    endpoint: Arc<Endpoint>,
    received: Vec<u8>,
    read: usize,
    complaint: Vec<u8>,
    status: Option<u32>,
    ended: bool,
    /// Whether we have said something: before that, the server lists its references.
    spoken: bool,
    readable: Readable,
}

/// The connection itself. Without this, russh would keep one that hangs in its handshake for ever.
struct SshLine(std::net::TcpStream);

impl Drop for SshLine {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

impl SshStream {
    fn open(url: &SshUrl, endpoint: Arc<Endpoint>, service: &'static str) -> Result<Self, TransportError> {
        let (handle, line) = connect(url, &endpoint)?;
        // Single quotes keep all but themselves: as git does it.
        let command = format!("{service} '{}'", url.path.replace('\'', r"'\''"));
        let channel = endpoint.wait("starting git there", async {
            let channel = handle.channel_open_session().await.map_err(ssh_error)?;
            channel.exec(true, command).await.map_err(ssh_error)?;
            Ok(channel)
        })?;
        Ok(Self {
            handle,
            channel,
            _line: line,
            service,
            endpoint,
            received: Vec::new(),
            read: 0,
            complaint: Vec::new(),
            status: None,
            ended: false,
            spoken: false,
            readable: Readable::default(),
        })
    }

    /// Waits for more bytes. Without any, the command has ended well.
    fn receive(&mut self) -> Result<(), TransportError> {
        while !self.ended {
            let message = self.endpoint.wait("reading", async { Ok(self.channel.wait().await) })?;
            match message {
                Some(ChannelMsg::Data { data }) if !data.is_empty() => {
                    self.endpoint.heard.lock().hear(&data);
                    // All but packs is text.
                    let pack = self.spoken && self.service == UPLOAD;
                    self.received = match pack {
                        true => data.to_vec(),
                        false => self.readable.next(&data).map_err(|limit| self.endpoint.over(limit))?,
                    };
                    self.read = 0;
                    if !self.received.is_empty() {
                        return Ok(());
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = COMPLAINT.saturating_sub(self.complaint.len());
                    self.complaint.extend_from_slice(&data[..data.len().min(room)]);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
                Some(ChannelMsg::Failure) => {
                    return Err(TransportError::NoCommand { host: self.host(), service: self.service });
                }
                // The exit status comes after the end of the output and before the channel closes.
                Some(ChannelMsg::Close) | None => self.ended = true,
                Some(_) => {}
            }
        }
        match self.status {
            None | Some(0) => Ok(()),
            Some(status) => Err(self.ended_badly(status)),
        }
    }

    fn ended_badly(&self, status: u32) -> TransportError {
        let text = shown(&self.complaint, &[]);
        TransportError::Command { host: self.host(), service: self.service, status, text }
    }

    fn host(&self) -> String {
        self.endpoint.host.clone()
    }
}

impl Read for SshStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.received.len() {
            self.received.clear();
            self.read = 0;
            self.receive().map_err(|error| self.endpoint.fail(error))?;
        }
        let rest = &self.received[self.read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}

impl Write for SshStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.spoken = true;
        if bytes != GOODBYE {
            self.endpoint.heard.lock().start(Vec::new());
        }
        self.endpoint
            .wait("writing", async { self.channel.data_bytes(bytes.to_vec()).await.map_err(ssh_error) })
            .map_err(|error| self.endpoint.fail(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SshStream {
    fn drop(&mut self) {
        // A farewell for politeness: the connection closes with or without it.
        let _ = self.endpoint.wait("parting", async {
            let farewell = self.handle.disconnect(Disconnect::ByApplication, "", "");
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
            Ok(())
        });
    }
}

fn connect(url: &SshUrl, endpoint: &Endpoint) -> Result<(Handle<Verifier>, SshLine), TransportError> {
    let path = endpoint.credentials.known_hosts.clone().or_else(|| in_ssh_folder("known_hosts")).unwrap_or_default();
    let text = match named_file(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // It is made when the first host is pinned.
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(TransportError::File { path, source }),
    };
    let known = KnownHost::find(&text, &url.host, url.port);
    let config = client::Config {
        preferred: Preferred { key: host_key_algorithms(&known).into(), ..Preferred::DEFAULT },
        ..client::Config::default()
    };
    let way = match &endpoint.credentials.scope {
        Some(scope) => scope.way(&RemoteUrl::Ssh(url.clone()).address().map_err(|_| OutOfReach::NoAddress)?)?,
        None => Way::Anywhere,
    };
    let refusal = Arc::default();
    let verifier = Verifier { known, path, host: url.host.clone(), port: url.port, refusal: Arc::clone(&refusal) };
    let (mut handle, line) = endpoint.wait("connecting", async {
        let connect_error = |source| TransportError::Connect { host: url.host.clone(), source };
        let socket = dial::connect(way, &url.host, url.port).await?;
        // Small messages go back and forth; slower is the worst that comes of its failing.
        let _ = socket.set_nodelay(true);
        let socket = socket.into_std().map_err(connect_error)?;
        let line = SshLine(socket.try_clone().map_err(connect_error)?);
        let socket = tokio::net::TcpStream::from_std(socket).map_err(connect_error)?;
        let handle = client::connect_stream(Arc::new(config), socket, verifier)
            .await
            .map_err(|error| refusal.lock().take().unwrap_or_else(|| ssh_error(error)))?;
        Ok((handle, line))
    })?;
    endpoint.wait("logging in", log_in(&mut handle, url, endpoint))?;
    Ok((handle, line))
}

/// Kinds of keys that the host is known by come first; SHA-1 signatures are not among them.
fn host_key_algorithms(known: &KnownHost) -> Vec<Algorithm> {
    let mut algorithms: Vec<_> = Preferred::DEFAULT.key.to_vec();
    algorithms.retain(|algorithm| *algorithm != Algorithm::Rsa { hash: None });
    algorithms.sort_by_key(|algorithm| !known.pins(algorithm));
    algorithms
}

/// Judges the server's key.
struct Verifier {
    known: KnownHost,
    path: PathBuf,
    host: String,
    port: u16,
    refusal: Arc<Mutex<Option<TransportError>>>,
}

impl Verifier {
    fn refusal(&self, key: &PublicKey) -> Option<TransportError> {
        let (host, known_hosts) = (self.host.clone(), self.path.clone());
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let algorithm = key.algorithm().to_string();
        match self.known.judge(key) {
            Verdict::Trusted => None,
            Verdict::Unknown => {
                Some(TransportError::UnknownHost { host, port: self.port, known_hosts, algorithm, fingerprint })
            }
            Verdict::Changed { line } => {
                Some(TransportError::ChangedHost { host, known_hosts, line, algorithm, fingerprint })
            }
            Verdict::Revoked { line } => Some(TransportError::RevokedHost { host, known_hosts, line, fingerprint }),
        }
    }
}

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = offered else {
            // Never asked for: authorities are not trusted.
            return Ok(false);
        };
        let refusal = self.refusal(key);
        let trusted = refusal.is_none();
        *self.refusal.lock() = refusal;
        Ok(trusted)
    }
}

/// The named key; where the operator named the address, then the agent's and the usual one.
async fn log_in(handle: &mut Handle<Verifier>, url: &SshUrl, endpoint: &Endpoint) -> Result<(), TransportError> {
    let user = url.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "git".to_owned());
    let hash = handle.best_supported_rsa_hash().await.map_err(ssh_error)?.flatten().or(Some(HashAlg::Sha256));
    let mut tried = Vec::new();
    if let Some(path) = &endpoint.credentials.ssh_key
        && log_in_with_file(handle, &user, path.clone(), hash, &mut tried).await?
    {
        return Ok(());
    }
    // The others may be root on every host: what a service's file names gets none of them.
    let others = endpoint.credentials.scope.is_none();
    if others && log_in_with_agent(handle, &user, hash, &mut tried).await? {
        return Ok(());
    }
    if others
        && let Some(path) = in_ssh_folder("id_ed25519").filter(|path| path.exists())
        && log_in_with_file(handle, &user, path, hash, &mut tried).await?
    {
        return Ok(());
    }
    let tried = if tried.is_empty() { "no key was found".to_owned() } else { tried.join(", ") };
    Err(TransportError::Login { host: url.host.clone(), user, tried })
}

async fn log_in_with_file(
    handle: &mut Handle<Verifier>,
    user: &str,
    path: PathBuf,
    hash: Option<HashAlg>,
    tried: &mut Vec<String>,
) -> Result<bool, TransportError> {
    let text = named_text(&path).map_err(|source| TransportError::File { path: path.clone(), source })?;
    let key = match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => key,
        // Its clear half may well be in the agent.
        Err(russh::keys::Error::KeyIsEncrypted) => {
            tried.push(format!("{} (it has a passphrase: use ssh-agent)", path.display()));
            return Ok(false);
        }
        Err(error) => return Err(TransportError::File { path, source: io::Error::other(error) }),
    };
    if key.algorithm().is_rsa() {
        // RUSTSEC-2023-0071: what signs with it here could be timed from afar.
        tried.push(format!("{} (an RSA key: load it into ssh-agent, or use an ed25519 key)", path.display()));
        return Ok(false);
    }
    tried.push(path.display().to_string());
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    Ok(handle.authenticate_publickey(user, key).await.map_err(ssh_error)?.success())
}

async fn log_in_with_agent(
    handle: &mut Handle<Verifier>,
    user: &str,
    hash: Option<HashAlg>,
    tried: &mut Vec<String>,
) -> Result<bool, TransportError> {
    // No agent, or one that does not answer, is no error: other keys may do.
    let Ok(mut agent) = AgentClient::connect_env().await else { return Ok(false) };
    let Ok(identities) = agent.request_identities().await else { return Ok(false) };
    for identity in identities {
        let key = identity.public_key().into_owned();
        tried.push(format!("{} from the agent", key.fingerprint(HashAlg::Sha256)));
        let hash = if key.algorithm().is_rsa() { hash } else { None };
        match handle.authenticate_publickey_with(user, key, hash, &mut agent).await {
            Ok(result) if result.success() => return Ok(true),
            // The agent may hold keys that it cannot or will not use.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(false)
}

fn in_ssh_folder(name: &str) -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".ssh").join(name))
}

fn ssh_error(source: russh::Error) -> TransportError {
    TransportError::Ssh { source }
}
