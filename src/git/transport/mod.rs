//! How bytes travel to a remote that is not on this machine: HTTPS and SSH for libgit2, which is
//! built without either.
//!
//! libgit2 finds a transport by the scheme of the remote's address, for the whole process. So one
//! scheme of our own is registered, once, and a remote's address in it is the number of a [`Session`]:
//! neither address nor credentials ever pass through libgit2, and no scheme that others use is touched.
//!
//! Keeps true: no text here holds a credential. Never runs on a thread that drives async tasks.

mod http;
mod known_hosts;
mod ssh;

use std::{
    collections::HashMap,
    future::Future,
    io,
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use git2::transport::Transport;
use thiserror::Error;
use tokio::runtime::Runtime;

use super::url::{HttpUrl, RemoteUrl, SshUrl};

/// What a remote may be told to let us in. Files are read anew at each use, so they can be rotated.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// For HTTPS: a file that holds a token.
    pub token_file: Option<PathBuf>,
    /// For SSH: a private key, tried before the agent's keys and `~/.ssh/id_ed25519`.
    pub ssh_key: Option<PathBuf>,
    /// For SSH: the servers' public keys; `~/.ssh/known_hosts` when none.
    pub known_hosts: Option<PathBuf>,
}

/// Long enough for a slow line; git servers send something every few seconds while they work.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
pub enum TransportError {
    #[error("cannot read {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start the network's runtime")]
    Runtime { source: io::Error },
    #[error("{0}")]
    Register(String),
    #[error("nothing was heard from {host} for {seconds} s while {doing}")]
    Silence { host: String, seconds: u64, doing: &'static str },
    #[error("cannot connect to {host}")]
    Connect { host: String, source: io::Error },

    #[error("the HTTP request failed")]
    Http { source: reqwest::Error },
    #[error("{host} answered {status}: {text}")]
    Status { host: String, status: u16, text: String },
    #[error("{host} {}", if *.tried { "refused the token" } else { "asks for a token, and there is none" })]
    Unauthorized { host: String, tried: bool },
    #[error("{host} sends us elsewhere, to {to}")]
    Redirect { host: String, to: String },
    #[error("{host} does not speak git's smart protocol there (it answered with {content_type})")]
    NotGit { host: String, content_type: String },

    #[error("the SSH connection failed")]
    Ssh { source: russh::Error },
    #[error("{host} is unknown: {known_hosts} has no key for it (it offers {algorithm} {fingerprint})")]
    UnknownHost { host: String, port: u16, known_hosts: PathBuf, algorithm: String, fingerprint: String },
    #[error("{host} offers another key than line {line} of {known_hosts} has for it: {algorithm} {fingerprint}")]
    ChangedHost { host: String, known_hosts: PathBuf, line: usize, algorithm: String, fingerprint: String },
    #[error("{host} offers a key that line {line} of {known_hosts} revokes: {fingerprint}")]
    RevokedHost { host: String, known_hosts: PathBuf, line: usize, fingerprint: String },
    #[error("{host} lets user {user} in with none of these: {tried}")]
    Login { host: String, user: String, tried: String },
    #[error("{host}: {service} ended with status {status}: {text}")]
    Command { host: String, service: &'static str, status: u32, text: String },
    #[error("{host} refuses to run {service}")]
    NoCommand { host: String, service: &'static str },
}

impl TransportError {
    /// The next move, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            TransportError::Unauthorized { tried: true, .. } => {
                Some("renew the token; it needs to read and write the repository's contents".to_owned())
            }
            TransportError::Unauthorized { tried: false, .. } => Some("name a file that holds a token".to_owned()),
            TransportError::Status { status: 404, .. } => {
                Some("check the address; a private repository hides itself from who may not read it".to_owned())
            }
            TransportError::Redirect { to, .. } => Some(format!("use {to} if it is yours")),
            TransportError::UnknownHost { host, port, known_hosts, .. } => Some(format!(
                "ssh-keyscan -p {port} {host} >> {}, after comparing the fingerprint with what its operator publishes",
                known_hosts.display()
            )),
            TransportError::ChangedHost { .. } => Some(
                "somebody may be in between; if the operator did change the key, compare the fingerprint and replace the line"
                    .to_owned(),
            ),
            TransportError::Login { .. } => Some("add the public key to the account, or name a private key".to_owned()),
            _ => None,
        }
    }
}

/// Where one operation goes to, and why it failed.
struct Endpoint {
    to: To,
    credentials: Credentials,
    /// libgit2 passes on only text: what really happened waits here.
    failure: Mutex<Option<TransportError>>,
}

enum To {
    Http(HttpUrl),
    Ssh(SshUrl),
}

impl Endpoint {
    /// Keeps the error for [`Session::failure`] and gives libgit2 and `io` something to stop at.
    fn fail(&self, error: TransportError) -> io::Error {
        // A NUL would make libgit2's binding abort.
        let text = error.to_string().replace('\0', "");
        lock(&self.failure).get_or_insert(error);
        io::Error::other(text)
    }
}

static ENDPOINTS: LazyLock<Mutex<HashMap<u64, Arc<Endpoint>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(1);
const SCHEME: &str = "evenkeel";

/// One operation against a remote; the transports know of it until it is dropped.
pub(super) struct Session {
    number: u64,
    endpoint: Arc<Endpoint>,
}

impl Session {
    /// None for a repository on this machine: libgit2 needs no help with those.
    pub(super) fn open(url: &RemoteUrl, credentials: &Credentials) -> Result<Option<Self>, TransportError> {
        register()?;
        let to = match url {
            RemoteUrl::Http(http) => To::Http(http.clone()),
            RemoteUrl::Ssh(ssh) => To::Ssh(ssh.clone()),
            RemoteUrl::Local(_) => return Ok(None),
        };
        runtime()?;
        let endpoint = Arc::new(Endpoint { to, credentials: credentials.clone(), failure: Mutex::default() });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        lock(&ENDPOINTS).insert(number, Arc::clone(&endpoint));
        Ok(Some(Self { number, endpoint }))
    }

    /// The address to give to libgit2.
    pub(super) fn address(&self) -> String {
        format!("{SCHEME}://{}", self.number)
    }

    /// Why the transport failed, if it did.
    pub(super) fn failure(&self) -> Option<TransportError> {
        lock(&self.endpoint.failure).take()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&ENDPOINTS).remove(&self.number);
    }
}

fn register() -> Result<(), TransportError> {
    static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
    REGISTERED
        .get_or_init(|| {
            // SAFETY: libgit2's list of transports must not change while a remote looks for its own.
            // Every remote of this process connects through a session, which waits here first.
            unsafe { git2::transport::register(SCHEME, open_transport) }.map_err(|error| error.message().to_owned())
        })
        .clone()
        .map_err(TransportError::Register)
}

fn open_transport(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    let number = remote.url()?.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix("://")?.parse().ok());
    let endpoint = number
        .and_then(|number: u64| lock(&ENDPOINTS).get(&number).cloned())
        .ok_or_else(|| git2::Error::from_str("no session has this number"))?;
    match &endpoint.to {
        // HTTP asks anew for each turn of the conversation, SSH keeps one stream.
        To::Http(url) => {
            let http = http::Http::new(url.clone(), Arc::clone(&endpoint)).map_err(|e| libgit2(&endpoint.fail(e)))?;
            Transport::smart(remote, true, http)
        }
        To::Ssh(url) => Transport::smart(remote, false, ssh::Ssh::new(url.clone(), Arc::clone(&endpoint))),
    }
}

fn libgit2(error: &io::Error) -> git2::Error {
    git2::Error::new(git2::ErrorCode::GenericError, git2::ErrorClass::Net, error.to_string())
}

/// The runtime that network traffic for libgit2 runs on. Its own, so that a blocked caller never
/// waits for itself.
fn runtime() -> Result<&'static Runtime, TransportError> {
    static RUNTIME: OnceLock<Result<Runtime, io::ErrorKind>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("evenkeel-git")
                .enable_all()
                .build()
                .map_err(|error| error.kind())
        })
        .as_ref()
        .map_err(|kind| TransportError::Runtime { source: (*kind).into() })
}

/// Waits for `future`, not longer than silence is borne.
fn wait<T>(
    host: &str,
    doing: &'static str,
    future: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    runtime()?.block_on(async {
        tokio::time::timeout(SILENCE, future).await.unwrap_or_else(|_| {
            Err(TransportError::Silence { host: host.to_owned(), seconds: SILENCE.as_secs(), doing })
        })
    })
}

/// A panic elsewhere leaves these values whole: each is written in one go.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
