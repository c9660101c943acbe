//! A GitHub for tests: one repository's pull requests, comments, checks and deployments, kept in memory over a real
//! bare repository; spoken to over HTTPS, and told what people do there by methods that read like a story.
//!
//! Keeps true: it refuses what GitHub refuses, and says why, so that a client that works here has sent what GitHub
//! takes; every request is remembered with who sent it; what went wrong on demand carried nothing out.

mod deliveries;
mod forge;
mod installation;
mod people;
mod rest;
mod sign_in;
mod wire;

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use forge::{Request, Trouble, Who};

use super::tls::Certificates;
use forge::Forge;

/// The App's number and its name in addresses, as which it signs in.
pub const APP: u64 = 4711;
pub const SLUG: &str = "evenkeel-of-tests";
/// Who the token belongs to.
pub const TOKEN_OWNER: &str = "evenkeel-robot";
pub const REPOSITORY: &str = "acme/config";
const OWNER: &str = "acme";
const NAME: &str = "config";
const TOKEN: &str = "github_pat_0fTests";
const SECRET: &str = "what only the webhook knows";

pub struct GitHub {
    forge: Arc<Forge>,
    runtime: Handle,
    _stop: DropGuard,
    /// The clone in which people make what they propose.
    clone: PathBuf,
    /// Delivers.
    client: reqwest::Client,
    /// Keys, the token, and the certificate's authority.
    files: TempDir,
    pub address: String,
}

impl GitHub {
    pub fn start(bare: &Path, clone: &Path) -> Self {
        let files = tempfile::tempdir().expect("a temporary folder can be made");
        let certificates = Certificates::make(files.path());
        let app = sign_in::App::make(files.path());
        std::fs::write(files.path().join("token"), TOKEN).expect("it can be written");
        std::fs::write(files.path().join("secret"), SECRET).expect("it can be written");
        let client = reqwest::Client::builder().no_proxy().timeout(deliveries::PATIENCE).build().expect("it is made");
        let stop = CancellationToken::new();
        let runtime = in_a_thread_of_its_own(stop.clone());
        let listener = done(&runtime, tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has a port");
        let address = format!("https://{}", listener.local_addr().expect("it is bound"));
        let forge = Arc::new(Forge::new(bare, &address, app));
        runtime.spawn(wire::serve(certificates.listen(listener), forge.clone()));
        Self { forge, runtime, _stop: stop.drop_guard(), clone: clone.to_owned(), client, files, address }
    }

    /// The address that `git clone` takes.
    pub fn repository(&self) -> String {
        format!("{}/{REPOSITORY}.git", self.address)
    }

    /// The address that every path of the REST API begins with.
    pub fn api(&self) -> String {
        format!("{}{}", self.address, wire::API)
    }

    /// A file with the fine-grained token, also for git.
    pub fn token_file(&self) -> PathBuf {
        self.files.path().join("token")
    }

    /// The App's private key.
    pub fn key_file(&self) -> PathBuf {
        self.files.path().join(sign_in::KEY)
    }

    /// Who vouches for this server, in PEM.
    pub fn authority(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// The webhook's secret.
    pub fn secret_file(&self) -> PathBuf {
        self.files.path().join("secret")
    }

    /// Every request to the REST API, in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        self.forge.state().log.clone()
    }

    /// Those that changed something.
    pub fn writes(&self) -> Vec<Request> {
        let all = self.requests().into_iter();
        all.filter(|request| request.method != "GET" && request.who != Who::App && request.status < 300).collect()
    }

    /// From now on every answer of the API is this one, until [`Self::is_back`].
    pub fn is_in_trouble(&self, trouble: Trouble) {
        self.forge.state().trouble = Some((trouble, usize::MAX));
    }

    /// The next answers of the API are this one.
    pub fn answers_next(&self, number: usize, trouble: Trouble) {
        self.forge.state().trouble = Some((trouble, number));
    }

    /// From now on every write is answered so, until [`Self::is_back`]: GitHub limits those first.
    pub fn takes_no_writes(&self, trouble: Trouble) {
        self.forge.state().no_writes = Some(trouble);
    }

    pub fn is_back(&self) {
        let mut state = self.forge.state();
        (state.trouble, state.no_writes) = (None, None);
        drop(state);
        self.forge.back.notify_waiters();
    }

    /// What the API does when it is asked so by somebody who is let in, without a way through HTTP. `path` is below
    /// `/api/v3`. Answers the status.
    pub fn does(&self, who: Who, method: &str, path: &str, query: &str, body: Value) -> u16 {
        let asked = rest::Asked::new(who, method, path, query, body);
        rest::answer(&self.forge, &mut self.forge.state(), &asked).status
    }

    /// The writes that were refused for a limit.
    pub fn writes_in_vain(&self) -> usize {
        let is_vain = |request: &Request| request.method != "GET" && matches!(request.status, 403 | 429);
        self.requests().iter().filter(|request| is_vain(request)).count()
    }

    /// What the API says of one thing, by its path below the repository's.
    pub fn sees(&self, path: &str) -> Value {
        let asked = rest::Asked::by_a_reader(path);
        rest::answer(&self.forge, &mut self.forge.state(), &asked).body
    }
}

/// A runtime beside the one that whoever calls may have.
fn in_a_thread_of_its_own(stop: CancellationToken) -> Handle {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("it starts");
        tell.send(runtime.handle().clone()).expect("it is waited for");
        runtime.block_on(stop.cancelled());
    });
    told.recv().expect("it starts")
}

/// What comes of a future in there. Waits for it.
fn done<T: Send + 'static>(runtime: &Handle, future: impl Future<Output = T> + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        // Whoever has gone does not want to know.
        let _ = tell.send(future.await);
    });
    told.recv().expect("it runs")
}
