//! Archives: downloaded once, kept by their digest, unpacked in memory.
//!
//! Keeps true: a file is unpacked only when it is what its digest says, also one that was kept; a download
//! that breaks leaves nothing that could be taken for an archive; every wait ends; a credential goes to addresses that
//! it is for, and each address that a redirect leads to is judged anew; who names another address or credential gets
//! nothing of what was kept for these; no text holds what stands in an address behind `?`.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, Url, header};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{FetchError, UnpackError, unpack};
use crate::model::{
    address::Address,
    budget::Budget,
    digest::Digest,
    netrc,
    reach::{OutOfReach, Scope, Secret},
    source::ArchiveSource,
    tree::Tree,
};

/// How much of a file is read at once.
const CHUNK: usize = 1 << 16;

/// How often one is sent on.
const REDIRECTS: usize = 5;

/// The longest file with a token or logins.
const LONGEST_SECRET: u64 = 8192;

/// How much a download may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest that nothing may come.
    pub silence: Duration,
    /// All of it.
    pub total: Duration,
    /// As it travels, and as it comes out.
    pub budget: Budget,
}

impl Default for Limits {
    fn default() -> Self {
        let (silence, total) = (Duration::from_secs(30), Duration::from_secs(600));
        Self { silence, total, budget: Budget::STANDARD }
    }
}

/// How one gets to an archive.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// What may be reached.
    pub scope: &'a Scope,
    /// What lets us in, where the scope says.
    pub secret: Option<&'a Secret>,
    /// Makes what asks for an address: it connects to what the scope admits, and follows no redirect.
    pub client: fn(Option<&Scope>, &Url) -> Result<ClientBuilder, OutOfReach>,
}

#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is no file")]
    NoFile { path: PathBuf },
    #[error("the HTTP request failed")]
    Http { source: reqwest::Error },
    #[error("cannot start the network's runtime")]
    Runtime { source: io::Error },
    #[error("{host} answered {status}")]
    Status { host: String, status: StatusCode },
    #[error("it is larger than {most} bytes")]
    TooLarge { most: u64 },
    #[error("its sha256 is {found}, not {declared}")]
    Digest { declared: Digest, found: Digest },
    #[error("{path} does not hold one line with a token")]
    Token { path: PathBuf },
    #[error("the source is out of reach")]
    OutOfReach(#[from] OutOfReach),
    #[error("{path} has no login for {host}")]
    NoLogin { path: PathBuf, host: String },
    #[error("it cannot be used")]
    Unpack { source: UnpackError },
}

impl ArchiveError {
    /// The next move, where there is one to name.
    fn next(&self) -> Option<Cow<'static, str>> {
        let next = match self {
            ArchiveError::Unpack { source } => return Some(source.next().into()),
            ArchiveError::OutOfReach(_) => {
                "where that is meant, list the address under `reach` in the file given with --credentials"
            }
            ArchiveError::NoLogin { .. } => "write `machine HOST login … password …` into it",
            ArchiveError::File { .. } | ArchiveError::NoFile { .. } => "check that it is there, and may be read",
            ArchiveError::Token { .. } => "write the token into it, and nothing else",
            ArchiveError::Http { .. } => {
                "check the address, and that the way there is free: name, port, proxy, firewall"
            }
            ArchiveError::Status { status, .. } if matches!(status.as_u16(), 401 | 403 | 404) => {
                "check the address; where it asks for a token, name a credential in source.credentials"
            }
            ArchiveError::Status { .. } => "try again when the server is well",
            ArchiveError::TooLarge { .. } => "publish a smaller one, or split it",
            ArchiveError::Digest { .. } => {
                "compare with what its publisher says; correct source.sha256 only when that is meant"
            }
            ArchiveError::Runtime { .. } => return None,
        };
        Some(next.into())
    }
}

impl From<ArchiveError> for FetchError {
    fn from(error: ArchiveError) -> Self {
        let next = error.next().map(Cow::into_owned);
        Self::new(error, next)
    }
}

/// The files of an archive. `cache` is a folder of our own, where it is kept.
pub fn fetch(source: &ArchiveSource, cache: &Path, limits: Limits, access: Access<'_>) -> Result<Tree, ArchiveError> {
    let kept = cache.join(kept_as(source));
    let file = match open(&kept, source.sha256)? {
        Some(file) => file,
        None => {
            download(source, cache, &kept, limits, access)?;
            open(&kept, source.sha256)?.ok_or_else(|| {
                let path = kept.clone();
                ArchiveError::File { doing: "read", path, source: io::ErrorKind::InvalidData.into() }
            })?
        }
    };
    unpack(BufReader::new(file), &limits.budget).map_err(|source| ArchiveError::Unpack { source })
}

/// The files of an archive that was fetched before; None where it is not kept.
pub fn kept(source: &ArchiveSource, cache: &Path, budget: &Budget) -> Result<Option<Tree>, ArchiveError> {
    let Some(file) = open(&cache.join(kept_as(source)), source.sha256)? else { return Ok(None) };
    let tree = unpack(BufReader::new(file), budget).map_err(|source| ArchiveError::Unpack { source })?;
    Ok(Some(tree))
}

/// Its digest is no secret, so knowing it brings nobody what was had from elsewhere, or with a credential.
fn kept_as(source: &ArchiveSource) -> String {
    let credential = source.credentials.as_ref().map_or("", |name| name.as_str());
    format!("{}-{}", source.sha256, Digest::of(format!("{}\n{credential}", source.url)))
}

/// What is kept, when it is there and what it should be. A disk may forget in the middle.
fn open(kept: &Path, declared: Digest) -> Result<Option<File>, ArchiveError> {
    let told = |source| ArchiveError::File { doing: "read", path: kept.to_owned(), source };
    let mut file = match File::open(kept) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(told)?,
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).map_err(told)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    if Digest::from_bytes(hasher.finalize().into()) != declared {
        fs::remove_file(kept).map_err(told)?;
        return Ok(None);
    }
    io::Seek::rewind(&mut file).map_err(told)?;
    Ok(Some(file))
}

/// Downloads beside its place, and renames when it is what it should be.
fn download(
    source: &ArchiveSource,
    cache: &Path,
    kept: &Path,
    limits: Limits,
    access: Access<'_>,
) -> Result<(), ArchiveError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let part = cache.join(format!("{}.{}-{number}.part", source.sha256.short(), std::process::id()));
    let told = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| ArchiveError::File { doing, path, source }
    };
    fs::create_dir_all(cache).map_err(told("make", cache))?;
    let file = File::create(&part).map_err(told("write", &part))?;
    let mut sink = Sink {
        file,
        path: &part,
        hasher: Sha256::new(),
        left: limits.budget.download_bytes,
        most: limits.budget.download_bytes,
    };
    let written = match source.url.strip_prefix("file://") {
        Some(_) => copy(&source.url, access.scope, &mut sink),
        None => get(source, limits, access, &mut sink),
    };
    let ended = written
        .and_then(|()| sink.end(source.sha256))
        .and_then(|()| fs::rename(&part, kept).map_err(told("write", kept)));
    if ended.is_err() {
        // The next start of a download does not look at it; it only takes up room.
        let _ = fs::remove_file(&part);
    }
    ended
}

fn copy(url: &str, scope: &Scope, sink: &mut Sink<'_>) -> Result<(), ArchiveError> {
    let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| url.into());
    scope.way(&Address::of_path(&path).map_err(|_| OutOfReach::NoAddress)?)?;
    let told = |source| ArchiveError::File { doing: "read", path: path.clone(), source };
    if !fs::metadata(&path).map_err(told)?.is_file() {
        return Err(ArchiveError::NoFile { path });
    }
    let mut file = File::open(&path).map_err(told)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).map_err(told)? {
            0 => return Ok(()),
            read => sink.take(&buffer[..read])?,
        }
    }
}

fn get(source: &ArchiveSource, limits: Limits, access: Access<'_>, sink: &mut Sink<'_>) -> Result<(), ArchiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ArchiveError::Runtime { source })?;
    let url = Url::parse(&source.url).map_err(|_| ArchiveError::NoFile { path: (&source.url).into() })?;
    runtime.block_on(async {
        let mut answer = follow(url, limits, access).await?;
        if !answer.status().is_success() {
            let host = answer.url().host_str().unwrap_or_default().to_owned();
            return Err(ArchiveError::Status { host, status: answer.status() });
        }
        while let Some(chunk) = answer.chunk().await.map_err(http)? {
            sink.take(&chunk)?;
        }
        Ok(())
    })
}

/// The answer, from wherever one is sent. The digest says that what comes from there is right.
async fn follow(mut url: Url, limits: Limits, access: Access<'_>) -> Result<Response, ArchiveError> {
    let until = Instant::now() + limits.total;
    let mut redirects = REDIRECTS;
    loop {
        let total = until.saturating_duration_since(Instant::now());
        let answer = request(&url, Limits { total, ..limits }, access)?.send().await.map_err(http)?;
        let Some(to) = sent_on(&answer).filter(|_| redirects > 0) else { return Ok(answer) };
        (url, redirects) = (to, redirects - 1);
    }
}

/// Where an answer sends us; never from https to what anybody could have changed on the way.
fn sent_on(answer: &Response) -> Option<Url> {
    let location = answer.headers().get(header::LOCATION).filter(|_| answer.status().is_redirection())?;
    let to = answer.url().join(location.to_str().ok()?).ok()?;
    (answer.url().scheme() != "https" || to.scheme() == "https").then_some(to)
}

fn request(url: &Url, limits: Limits, access: Access<'_>) -> Result<RequestBuilder, ArchiveError> {
    let client = (access.client)(Some(access.scope), url)?
        .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.silence)
        .read_timeout(limits.silence)
        .timeout(limits.total);
    let request =
        client.build().map_err(http)?.get(url.clone()).header(header::ACCEPT, "application/octet-stream, */*");
    let carries = Address::of_url(url).is_ok_and(|address| access.scope.carries(&address));
    Ok(match access.secret.filter(|_| carries) {
        Some(Secret::Token(path)) => request.bearer_auth(token(path)?),
        Some(Secret::Netrc(path)) => {
            let host = url.host_str().unwrap_or_default();
            let told = || ArchiveError::NoLogin { path: path.clone(), host: host.to_owned() };
            let (user, password) = netrc::login(&secret(path)?, host).ok_or_else(told)?;
            request.basic_auth(user, Some(password))
        }
        Some(Secret::SshKey(_)) | None => request,
    })
}

/// The token in a file. A file of several lines is something else, a private key say, and goes nowhere.
pub fn token(path: &Path) -> Result<String, ArchiveError> {
    let text = secret(path)?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ArchiveError::Token { path: path.to_owned() });
    }
    Ok(token.to_owned())
}

fn secret(path: &Path) -> Result<String, ArchiveError> {
    let told = |source| ArchiveError::File { doing: "read", path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(told)?.take(LONGEST_SECRET + 1).read_to_end(&mut text).map_err(told)?;
    if text.len() as u64 > LONGEST_SECRET {
        return Err(told(io::ErrorKind::FileTooLarge.into()));
    }
    String::from_utf8(text).map_err(|_| told(io::ErrorKind::InvalidData.into()))
}

/// reqwest's text shows the address, with what an address behind a redirect lets in by.
fn http(error: reqwest::Error) -> ArchiveError {
    if let Some(why) = OutOfReach::within(&error) {
        return why.into();
    }
    ArchiveError::Http { source: error.without_url() }
}

/// Where a download goes, counted and digested as it comes.
struct Sink<'a> {
    file: File,
    path: &'a Path,
    hasher: Sha256,
    left: u64,
    most: u64,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(ArchiveError::TooLarge { most: self.most })?;
        self.hasher.update(bytes);
        let told = |source| ArchiveError::File { doing: "write", path: self.path.to_owned(), source };
        self.file.write_all(bytes).map_err(told)
    }

    fn end(self, declared: Digest) -> Result<(), ArchiveError> {
        let found = Digest::from_bytes(self.hasher.finalize().into());
        if found != declared {
            return Err(ArchiveError::Digest { declared, found });
        }
        let told = |source| ArchiveError::File { doing: "write", path: self.path.to_owned(), source };
        self.file.sync_all().map_err(told)
    }
}
