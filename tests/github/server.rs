//! A GitHub that answers as it is told to, and remembers what it was asked.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use evenkeel::{
    github::{Clock, GitHub, GitHubError, Pace, Settings, SignIn, settings},
    report,
};
use serde_json::Value;
use tempfile::TempDir;

pub const TOKEN: &str = "github_pat_t0ps3cret";

/// Nothing is waited for that a statement is not about.
pub const QUICK: Pace = Pace {
    between_writes: Duration::ZERO,
    loss_timer: Duration::from_secs(60),
    first_retry: Duration::from_millis(1),
    timeout: Duration::from_secs(20),
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /repos/o/r/pulls?state=open`
    pub line: String,
    pub headers: HeaderMap,
    pub body: Value,
    pub at: Instant,
}

pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    after: Duration,
}

pub fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_string().into(), after: Duration::ZERO }
}

impl Answer {
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    folder: TempDir,
    now: Arc<Mutex<DateTime<Utc>>>,
}

impl Server {
    /// `answers` is given what was asked, and how many requests came before.
    pub async fn start(answers: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (remembered, answers) = (Arc::clone(&asked), Arc::new(answers));
        let handler = move |request: Request| {
            let (remembered, answers) = (Arc::clone(&remembered), Arc::clone(&answers));
            async move {
                let asked = read(request).await;
                let count = remembered.lock().map(|mut all| {
                    all.push(asked.clone());
                    all.len() - 1
                });
                let answer = answers(&asked, count.expect("nobody panicked"));
                tokio::time::sleep(answer.after).await;
                let mut response = Response::builder().status(answer.status);
                for (name, value) in answer.headers {
                    response = response.header(name, value);
                }
                response.body(answer.body).expect("it is an answer")
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("token"), format!("{TOKEN}\n")).expect("it can be written");
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("it is a time");
        Self { url, asked, folder, now: Arc::new(Mutex::new(now)) }
    }

    /// One answer after the other. The last one is that to all further requests.
    pub async fn with(answers: Vec<Box<dyn Fn() -> Answer + Send + Sync>>) -> Self {
        Self::start(move |_, count| answers[count.min(answers.len() - 1)]()).await
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn settings(&self, sign_in: SignIn) -> Settings {
        let api = settings::api_at(&self.url).expect("it is an address");
        Settings { repository: "o/r".parse().expect("it is a name"), api, sign_in, ca_file: None }
    }

    /// A client that signs in with a token.
    pub fn github(&self, pace: Pace) -> GitHub {
        self.sign_in(SignIn::Token { file: self.path("token") }, pace)
    }

    pub fn sign_in(&self, sign_in: SignIn, pace: Pace) -> GitHub {
        GitHub::with(&self.settings(sign_in), pace, self.clock()).expect("it is a client")
    }

    /// A clock that stands until it is set.
    pub fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Arc::new(move || *now.lock().expect("nobody panicked"))
    }

    pub fn later(&self, time: TimeDelta) {
        *self.now.lock().expect("nobody panicked") += time;
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn read(request: Request) -> Asked {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("it is short");
    Asked {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at,
    }
}

/// All that an error says to a person.
pub fn said(error: &GitHubError) -> String {
    format!("{}\n  next: {}", report::chain(error), error.hint().unwrap_or_default())
}
