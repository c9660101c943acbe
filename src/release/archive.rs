//! Archives: downloaded once, kept by their digest, unpacked in memory.
//!
//! Keeps true: a file is unpacked only when it is what its digest says, also one that was kept; a download
//! that breaks leaves nothing that could be taken for an archive; every wait ends; a token goes to the
//! address that is declared and to no other host; no text holds what stands in an address behind `?`.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reqwest::{Client, StatusCode, Url, header, redirect};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{FetchError, UnpackError, unpack};
use crate::model::{
    budget::Budget,
    digest::Digest,
    source::{ArchiveSource, SourceCredentials},
    tree::Tree,
};

/// How much of a file is read at once.
const CHUNK: usize = 1 << 16;

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
    #[error("it cannot be used")]
    Unpack { source: UnpackError },
}

impl ArchiveError {
    /// The next move, where there is one to name.
    fn next(&self) -> Option<&'static str> {
        Some(match self {
            ArchiveError::File { .. } | ArchiveError::NoFile { .. } => "check that it is there, and may be read",
            ArchiveError::Token { .. } => "write the token into it, and nothing else",
            ArchiveError::Http { .. } => {
                "check the address, and that the way there is free: name, port, proxy, firewall"
            }
            ArchiveError::Status { status, .. } if matches!(status.as_u16(), 401 | 403 | 404) => {
                "check the address; where it asks for a token, name its file in source.credentials.token_file"
            }
            ArchiveError::Status { .. } => "try again when the server is well",
            ArchiveError::TooLarge { .. } => "publish a smaller one, or split it",
            ArchiveError::Digest { .. } => {
                "compare with what its publisher says; correct source.sha256 only when that is meant"
            }
            ArchiveError::Unpack { .. } => "publish it anew, without that",
            ArchiveError::Runtime { .. } => return None,
        })
    }
}

impl From<ArchiveError> for FetchError {
    fn from(error: ArchiveError) -> Self {
        let next = error.next().map(str::to_owned);
        Self::new(error, next)
    }
}

/// The files of an archive. `cache` is a folder of our own, where it is kept.
pub fn fetch(source: &ArchiveSource, cache: &Path, limits: Limits) -> Result<Tree, ArchiveError> {
    let kept = cache.join(source.sha256.to_string());
    let file = match open(&kept, source.sha256)? {
        Some(file) => file,
        None => {
            download(source, cache, &kept, limits)?;
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
    let Some(file) = open(&cache.join(source.sha256.to_string()), source.sha256)? else { return Ok(None) };
    let tree = unpack(BufReader::new(file), budget).map_err(|source| ArchiveError::Unpack { source })?;
    Ok(Some(tree))
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
fn download(source: &ArchiveSource, cache: &Path, kept: &Path, limits: Limits) -> Result<(), ArchiveError> {
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
        Some(_) => copy(&source.url, &mut sink),
        None => get(source, limits, &mut sink),
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

fn copy(url: &str, sink: &mut Sink<'_>) -> Result<(), ArchiveError> {
    let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| url.into());
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

fn get(source: &ArchiveSource, limits: Limits, sink: &mut Sink<'_>) -> Result<(), ArchiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ArchiveError::Runtime { source })?;
    let request = request(source, limits)?;
    runtime.block_on(async {
        let mut answer = request.send().await.map_err(http)?;
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

fn request(source: &ArchiveSource, limits: Limits) -> Result<reqwest::RequestBuilder, ArchiveError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Someone else being faster is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut client = Client::builder()
        .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.silence)
        .read_timeout(limits.silence)
        .timeout(limits.total)
        // Elsewhere reqwest takes the token off; the digest says that what comes from there is right.
        .redirect(redirect::Policy::custom(|attempt| {
            let first = attempt.previous().first();
            let weaker = first.is_some_and(|first| first.scheme() == "https") && attempt.url().scheme() != "https";
            if attempt.previous().len() > 5 || weaker { attempt.stop() } else { attempt.follow() }
        }));
    let url = Url::parse(&source.url).map_err(|_| ArchiveError::NoFile { path: (&source.url).into() })?;
    if url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]")) {
        client = client.no_proxy();
    }
    let request = client.build().map_err(http)?.get(url).header(header::ACCEPT, "application/octet-stream, */*");
    Ok(match &source.credentials {
        Some(SourceCredentials::TokenFile(path)) => request.bearer_auth(token(path)?),
        Some(SourceCredentials::SshKey(_)) | None => request,
    })
}

/// The token in a file. A file of several lines is something else, a private key say, and goes nowhere.
pub fn token(path: &Path) -> Result<String, ArchiveError> {
    const MOST: u64 = 8192;
    let told = |source| ArchiveError::File { doing: "read", path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(told)?.take(MOST + 1).read_to_end(&mut text).map_err(told)?;
    let token = text.trim_ascii();
    if token.is_empty() || text.len() as u64 > MOST || !token.iter().all(u8::is_ascii_graphic) {
        return Err(ArchiveError::Token { path: path.to_owned() });
    }
    Ok(String::from_utf8_lossy(token).into_owned())
}

/// reqwest's text shows the address, with what an address behind a redirect lets in by.
fn http(error: reqwest::Error) -> ArchiveError {
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
