//! The one place from which anything is sent to GitHub.
//!
//! Keeps true: a token goes to the API's own scheme, host and port and to no other; an answer is bounded, in bytes, in
//! time and in pages; what may have been carried out is not sent twice, unless it was said that this does no harm.

use std::{fs::File, sync::Arc, time::Duration};

use chrono::TimeDelta;
use reqwest::{Certificate, Client, Method, StatusCode, Url, header, header::HeaderMap, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
    time::sleep,
};

use super::{
    Clock, GitHubError, Settings,
    error::Call,
    limits::{self, Gate, Pace},
    secret::Secret,
    settings::is_this_machine,
    sign_in::Session,
};
use crate::model::{
    backoff,
    budget::{Budget, read_within},
};

/// <https://docs.github.com/en/rest/about-the-rest-api/api-versions>
const VERSION: &str = "2022-11-28";
const LARGEST_ANSWER: usize = 25 << 20;
/// An answer that takes longer to parse than a task may keep a thread.
const LARGE: usize = 64 << 10;
const MOST_PAGES: usize = 100;
const MOST_REDIRECTS: usize = 3;
/// How often one request is sent anew after GitHub refused it for a limit.
const MOST_REFUSALS: usize = 3;
const MOST_RETRIES: u32 = 3;
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// What is asked of GitHub.
pub(super) struct Ask {
    method: Method,
    url: Url,
    body: Option<Value>,
    /// What we have already.
    etag: Option<String>,
    /// That it is carried out twice does no harm.
    safe_to_repeat: bool,
    /// Takes its turn among the writes.
    in_turn: bool,
}

/// What GitHub answers when it does as asked, or has nothing new.
pub(super) struct Answer {
    call: Call,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Something that has changed since it was last asked for, and what to ask with for the next change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    pub now: T,
    pub etag: Option<String>,
}

impl Ask {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None, etag: None, safe_to_repeat: true, in_turn: false }
    }

    pub(super) fn post(url: Url, body: Value) -> Self {
        Self { method: Method::POST, url, body: Some(body), etag: None, safe_to_repeat: false, in_turn: true }
    }

    pub(super) fn patch(url: Url, body: Value) -> Self {
        Self { method: Method::PATCH, safe_to_repeat: true, ..Self::post(url, body) }
    }

    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Only what is other than what had this tag.
    pub(super) fn unless(mut self, etag: Option<&str>) -> Self {
        self.etag = etag.map(str::to_owned);
        self
    }

    pub(super) fn safe_to_repeat(mut self) -> Self {
        self.safe_to_repeat = true;
        self
    }

    /// For what is a POST and writes nothing that people see.
    pub(super) fn at_once(mut self) -> Self {
        self.in_turn = false;
        self
    }

    fn call(&self) -> Call {
        Call::new(&self.method, &self.url)
    }

    /// Whether it is worth sending again what went wrong so.
    fn may_repeat(&self, error: &GitHubError) -> bool {
        match error {
            // Nothing has arrived.
            GitHubError::Http { source, .. } if source.is_connect() => true,
            GitHubError::Http { .. } => self.safe_to_repeat,
            GitHubError::Status { status, .. } if self.method == Method::POST => {
                self.safe_to_repeat && matches!(status.as_u16(), 502..=504)
            }
            GitHubError::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }
}

impl Answer {
    #[expect(clippy::disallowed_methods, reason = "in a runtime of one thread it is not called")]
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, GitHubError> {
        let parse = || serde_json::from_slice(&self.body);
        // Much of it may be what strangers wrote.
        let parsed = match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread if self.body.len() > LARGE => block_in_place(parse),
            _ => parse(),
        };
        parsed.map_err(|source| GitHubError::Unreadable { call: self.call, source })
    }

    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next page, as the `Link` header says.
    /// <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>
    fn next(&self) -> Option<Url> {
        self.header(header::LINK)?.split(',').find_map(|link| {
            let (url, relation) = link.split_once(';')?;
            let is_next = relation.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
            let url = url.trim().strip_prefix('<')?.strip_suffix('>')?;
            is_next.then(|| Url::parse(url).ok()).flatten()
        })
    }
}

/// Sends, and knows nothing of who asks.
pub(super) struct Wire {
    client: Client,
    api: Url,
    gate: Gate,
    pace: Pace,
    clock: Clock,
}

impl Wire {
    pub(super) fn new(settings: &Settings, pace: Pace, clock: Clock) -> Result<Self, GitHubError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Someone else being faster is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut client = Client::builder()
            .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(LONGEST_CONNECT.min(pace.timeout))
            .timeout(pace.timeout)
            // A server drops an idle connection some time; what is not safe to repeat must not be caught by that.
            .pool_idle_timeout(LONGEST_IDLE)
            // Followed below: reqwest would make a GET of a POST.
            .redirect(redirect::Policy::none());
        if settings.api.host_str().is_some_and(is_this_machine) {
            client = client.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            let read = File::open(path).and_then(|file| read_within(file, Budget::STANDARD.named_bytes));
            let pem = read.map_err(|source| GitHubError::File { path: path.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|certificates| !certificates.is_empty());
            client = client.tls_certs_merge(
                certificates
                    .ok_or(GitHubError::Unusable { path: path.clone(), why: "it holds no certificate in PEM" })?,
            );
        }
        let client = client.build().map_err(|source| GitHubError::Client { source })?;
        Ok(Self { client, api: settings.api.clone(), gate: Gate::new(pace), pace, clock })
    }

    /// What every address begins with.
    pub(super) fn api(&self) -> &Url {
        &self.api
    }

    /// The address of a thing. No segment can lead to another one.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, GitHubError> {
        if let Some(bad) = segments.iter().find(|segment| matches!(**segment, "" | "." | "..")) {
            return Err(GitHubError::Segment { text: (*bad).to_owned() });
        }
        let mut url = self.api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Ok(url)
    }

    /// The answer to a request, however often it has to be sent.
    pub(super) async fn exchange(&self, ask: &Ask, bearer: &Secret) -> Result<Answer, GitHubError> {
        let _turn = if ask.in_turn { Some(self.gate.turn().await) } else { None };
        let mut failures = 0;
        loop {
            match self.allowed(ask, bearer).await {
                Err(error) if failures < MOST_RETRIES && ask.may_repeat(&error) => {
                    failures += 1;
                    // Later by chance, never sooner.
                    let jitter = 0.5 + rand::random::<f64>() / 2.0;
                    sleep(backoff::spread(self.pace.backoff().pause(failures), jitter)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Keeps to the limits. What GitHub refuses for one was not carried out, so it may be sent again.
    async fn allowed(&self, ask: &Ask, bearer: &Secret) -> Result<Answer, GitHubError> {
        let limited = |left: Duration| {
            let left = TimeDelta::from_std(left).unwrap_or(TimeDelta::MAX);
            let until = (self.clock)().checked_add_signed(left).unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC);
            GitHubError::Limited { call: ask.call(), until }
        };
        let mut last = Duration::ZERO;
        for _ in 0..MOST_REFUSALS {
            self.gate.open().await.map_err(limited)?;
            let answer = self.once(ask, bearer).await?;
            let pause = limits::pause(answer.status, &answer.headers, &answer.body, (self.clock)());
            if let Some(pause) = pause {
                self.gate.close(pause);
                last = pause;
            }
            if pause.is_none() || !limits::is_refusal(answer.status) {
                return judged(answer, bearer);
            }
        }
        Err(limited(last))
    }

    /// Follows GitHub where it leads on, on its own host, with the same request.
    /// <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>
    async fn once(&self, ask: &Ask, bearer: &Secret) -> Result<Answer, GitHubError> {
        let mut url = ask.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.send(ask, url.clone(), bearer).await?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let to = answer.header(header::LOCATION).and_then(|to| url.join(to).ok());
            match to {
                Some(to) if to.origin() == self.api.origin() => url = to,
                to => return Err(self.elsewhere(ask, to)),
            }
        }
        Err(self.elsewhere(ask, Some(url)))
    }

    /// Where, and nothing of the rights that stand in an address.
    fn elsewhere(&self, ask: &Ask, to: Option<Url>) -> GitHubError {
        let to = to.map_or("an address that is none".to_owned(), |to| {
            format!("{}{}", to.origin().ascii_serialization(), to.path())
        });
        GitHubError::Elsewhere { call: ask.call(), to }
    }

    async fn send(&self, ask: &Ask, url: Url, bearer: &Secret) -> Result<Answer, GitHubError> {
        let http = |source: reqwest::Error| GitHubError::Http { call: ask.call(), source: source.without_url() };
        let mut request = self
            .client
            .request(ask.method.clone(), url)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", VERSION)
            .bearer_auth(bearer.reveal());
        if let Some(etag) = &ask.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(http)?;
        let (status, headers, mut body) = (answer.status(), answer.headers().clone(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(GitHubError::TooLarge { call: ask.call(), most: LARGEST_ANSWER });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { call: ask.call(), status, headers, body })
    }
}

fn judged(answer: Answer, bearer: &Secret) -> Result<Answer, GitHubError> {
    if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
    // What would have been enough: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>
    let accepted = answer.header("x-accepted-github-permissions").map(str::to_owned);
    Err(GitHubError::answered(answer.call, answer.status, &answer.body, accepted.as_deref(), bearer))
}

/// Sends, signed in.
pub(super) struct Rest {
    pub(super) wire: Wire,
    pub(super) session: Session,
}

impl Rest {
    pub(super) fn new(settings: &Settings, pace: Pace, clock: Clock) -> Result<Self, GitHubError> {
        let session = Session::new(settings.sign_in.clone(), settings.repository.clone(), Arc::clone(&clock));
        Ok(Self { wire: Wire::new(settings, pace, clock)?, session })
    }

    pub(super) async fn send(&self, ask: &Ask) -> Result<Answer, GitHubError> {
        let bearer = self.session.bearer(&self.wire).await?;
        match self.wire.exchange(ask, &bearer).await {
            // It may have been revoked. A new one is tried once.
            Err(GitHubError::Status { status: StatusCode::UNAUTHORIZED, .. })
                if self.session.refused(&bearer).await =>
            {
                self.wire.exchange(ask, &self.session.bearer(&self.wire).await?).await
            }
            answer => answer,
        }
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, GitHubError> {
        self.send(ask).await?.read()
    }

    /// All that a list holds, page after page.
    pub(super) async fn list<P, T>(&self, ask: Ask) -> Result<Vec<T>, GitHubError>
    where
        P: DeserializeOwned + Into<Vec<T>>,
    {
        let changed = self.list_changed::<P, T>(ask).await?;
        Ok(changed.map(|changed| changed.now).unwrap_or_default())
    }

    /// The same, if its first page has changed.
    pub(super) async fn list_changed<P, T>(&self, ask: Ask) -> Result<Option<Changed<Vec<T>>>, GitHubError>
    where
        P: DeserializeOwned + Into<Vec<T>>,
    {
        let mut ask = ask.query("per_page", "100");
        let (mut etag, mut items) = (None, Vec::new());
        for page in 0..MOST_PAGES {
            let answer = self.send(&ask).await?;
            if answer.status == StatusCode::NOT_MODIFIED {
                return Ok(None);
            }
            if page == 0 {
                etag = answer.header(header::ETAG).map(str::to_owned);
            }
            let next = answer.next();
            items.extend(answer.read::<P>()?.into());
            match next {
                None => return Ok(Some(Changed { now: items, etag })),
                Some(next) if next.origin() == self.wire.api.origin() => ask = Ask::get(next),
                Some(next) => return Err(self.wire.elsewhere(&ask, Some(next))),
            }
        }
        Err(GitHubError::TooManyPages { call: ask.call(), most: MOST_PAGES })
    }
}
