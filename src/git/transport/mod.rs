//! How bytes travel to a remote that is not on this machine: HTTPS and SSH for libgit2, which is
//! built without either.
//!
//! libgit2 finds a transport by the scheme of the remote's address, for the whole process. So one
//! scheme of our own is registered, once, and a remote's address in it is the number of a [`Session`]:
//! neither address nor credentials ever pass through libgit2, and no scheme that others use is touched.
//!
//! Keeps true: no text here holds a credential; every wait for a remote ends, by [`Limits`]. Never runs
//! on a thread that drives async tasks.
//!
//! All is downloaded before a reference of the mirror moves, so a fetch that fails leaves it as it was. What
//! is written, here or to a repository on this machine, is synced before anything is built on it (`git/durable.rs`).
//! Every wait ends: after 30 s of silence, and a fetch after 10 minutes, a push after 2, however busy the remote is.

mod dial;
mod error;
mod http;
mod known_hosts;
mod ssh;
mod text;
mod token;

use std::{
    collections::HashMap,
    fs::File,
    future::Future,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use git2::transport::Transport;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

pub use dial::client;
pub use error::TransportError;
pub use token::{Token, TokenError, TokenSource};

use super::url::{HttpUrl, RemoteUrl, SshUrl};
use crate::model::{
    budget::{Budget, Exceeded, read_text_within, read_within},
    reach::Scope,
};

/// What a remote may be told to let us in. Files are read anew at each use, so they can be rotated.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// For HTTPS.
    pub token: Token,
    /// For HTTPS: certificates in PEM that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// For SSH: a private key. Without a scope it is tried before the agent's keys and `~/.ssh/id_ed25519`; with one
    /// it is the only one, for those may be root on every host.
    pub ssh_key: Option<PathBuf>,
    /// For SSH: the servers' public keys; `~/.ssh/known_hosts` when none.
    pub known_hosts: Option<PathBuf>,
    /// What may be reached, and where what lets us in goes. None: the operator named the address.
    pub scope: Option<Arc<Scope>>,
}

/// How long a remote that is not on this machine may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest that nothing may come.
    pub silence: Duration,
    /// All of a fetch. A remote that sends a byte a second is never silent.
    pub fetch: Duration,
    /// All of a push, or of asking where a reference is.
    pub push: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Long enough for a slow line; git servers send something every few seconds while they work.
            silence: Duration::from_secs(30),
            fetch: Duration::from_secs(600),
            push: Duration::from_secs(120),
        }
    }
}

/// The content of a key, a token, a list of servers' keys: of what the operator names.
fn named_file(path: &Path) -> io::Result<Vec<u8>> {
    read_within(File::open(path)?, Budget::STANDARD.named_bytes)
}

fn named_text(path: &Path) -> io::Result<String> {
    read_text_within(File::open(path)?, Budget::STANDARD.named_bytes)
}

/// Where one operation goes to, until when, and why it failed.
struct Endpoint {
    to: To,
    host: String,
    credentials: Credentials,
    silence: Duration,
    total: Duration,
    until: Instant,
    /// How the newest answer began.
    heard: Mutex<text::Beginning>,
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
        self.failure.lock().get_or_insert(error);
        io::Error::other(text)
    }

    fn over(&self, limit: Exceeded) -> TransportError {
        TransportError::OverBudget { host: self.host.clone(), limit }
    }

    /// Waits for `future`: not longer than silence is borne, and than is left of the whole.
    fn wait<T>(
        &self,
        doing: &'static str,
        future: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        let host = || self.host.clone();
        let too_long = || TransportError::TooLong { host: host(), seconds: self.total.as_secs(), doing };
        let left = self.until.saturating_duration_since(Instant::now());
        // A future that is ready at once would never be timed out.
        if left.is_zero() {
            return Err(too_long());
        }
        runtime()?.block_on(async {
            tokio::time::timeout(left.min(self.silence), future).await.unwrap_or_else(|_| {
                let silent = || TransportError::Silence { host: host(), seconds: self.silence.as_secs(), doing };
                Err(if left <= self.silence { too_long() } else { silent() })
            })
        })
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
    /// `total` is the longest that all of it may take.
    pub(super) fn open(
        url: &RemoteUrl,
        credentials: &Credentials,
        limits: Limits,
        total: Duration,
    ) -> Result<Option<Self>, TransportError> {
        register()?;
        let (to, host) = match url {
            RemoteUrl::Http(http) => (To::Http(http.clone()), http.url.authority().to_owned()),
            RemoteUrl::Ssh(ssh) => (To::Ssh(ssh.clone()), ssh.host.clone()),
            RemoteUrl::Local(_) => return Ok(None),
        };
        runtime()?;
        let endpoint = Arc::new(Endpoint {
            to,
            host,
            credentials: credentials.clone(),
            silence: limits.silence,
            total,
            until: Instant::now() + total,
            heard: Mutex::default(),
            failure: Mutex::default(),
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        ENDPOINTS.lock().insert(number, Arc::clone(&endpoint));
        Ok(Some(Self { number, endpoint }))
    }

    /// The address to give to libgit2.
    pub(super) fn address(&self) -> String {
        format!("{SCHEME}://{}", self.number)
    }

    /// Why the transport failed, if it did.
    pub(super) fn failure(&self) -> Option<TransportError> {
        self.endpoint.failure.lock().take()
    }

    /// What the newest answer was, where libgit2 could not use it.
    pub(super) fn heard(&self) -> String {
        self.endpoint.heard.lock().told()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        ENDPOINTS.lock().remove(&self.number);
    }
}

/// Whether `known_hosts` trusts a key for a host: for those who try what it makes of any text.
#[doc(hidden)]
pub fn is_known_host(text: &str, host: &str, port: u16, key: &str) -> bool {
    let known = known_hosts::KnownHost::find(text, host, port);
    russh::keys::PublicKey::from_openssh(key).is_ok_and(|key| known.judge(&key) == known_hosts::Verdict::Trusted)
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
        .and_then(|number: u64| ENDPOINTS.lock().get(&number).cloned())
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
