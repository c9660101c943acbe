//! git's smart protocol over HTTP: one request for each turn of the conversation.
//!
//! Keeps true: the token goes to the host of the repository's address and to no other, a source's to what its scope
//! lists; a redirect is followed within that host, each time judged anew; a token that was handed
//! out is asked for anew once when it is refused; errors show at most the first 200 characters of an answer.

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use parking_lot::Mutex;
use reqwest::{Certificate, Client, Method, Request, RequestBuilder, Response, StatusCode, Url, header};

use super::{
    Endpoint, TransportError, dial, named_file, named_text,
    text::{KEPT, Readable, shown},
    token::{Token, TokenError, TokenSource, USER},
};
use crate::{
    git::url::HttpUrl,
    model::{address::Address, netrc, reach::OutOfReach},
};

/// User and password.
type Login = (String, String);

const AGENT: &str = concat!("git/2.0 (evenkeel ", env!("CARGO_PKG_VERSION"), ")");

/// How often one is sent on.
const REDIRECTS: usize = 5;
/// What is asked of a repository, below its address.
const ENDS: [&str; 3] = ["/info/refs", "/git-upload-pack", "/git-receive-pack"];

/// Where the repository is, and what asks there.
#[derive(Clone)]
struct BaseUrl {
    url: Url,
    client: Client,
}

pub(super) struct Http {
    /// Where the first answer came from: a repository that was renamed sends us on.
    base: Arc<Mutex<BaseUrl>>,
    login: Option<Login>,
    endpoint: Arc<Endpoint>,
}

impl Http {
    pub(super) fn new(url: HttpUrl, endpoint: Arc<Endpoint>) -> Result<Self, TransportError> {
        let client = client(&url.url, &endpoint)?;
        let base = BaseUrl { url: url.url, client };
        Ok(Self { base: Arc::new(Mutex::new(base)), login: url.login, endpoint })
    }
}

/// What asks for `url`, which is or lies below a repository's.
fn client(url: &Url, endpoint: &Endpoint) -> Result<Client, TransportError> {
    let scope = endpoint.credentials.scope.as_deref();
    let mut client = dial::client(scope, &repository(url))?.user_agent(AGENT).connect_timeout(endpoint.silence);
    if let Some(path) = &endpoint.credentials.ca_file {
        client = client.tls_certs_merge(certificates(path)?);
    }
    client.build().map_err(http_error)
}

/// The address of the repository that `url` asks something of.
fn repository(url: &Url) -> Url {
    let mut repository = url.clone();
    if let Some(path) = ENDS.iter().find_map(|end| url.path().strip_suffix(end)) {
        repository.set_path(path);
    }
    repository.set_query(None);
    repository
}

impl SmartSubtransport for Http {
    fn action(&self, _: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        Ok(Box::new(HttpTurn {
            service,
            base: Arc::clone(&self.base),
            login: self.login.clone(),
            endpoint: Arc::clone(&self.endpoint),
            body: Vec::new(),
            answer: None,
            chunk: Vec::new(),
            read: 0,
            readable: Readable::default(),
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request, sent when its answer is first asked for, and that answer.
struct HttpTurn {
    service: Service,
    base: Arc<Mutex<BaseUrl>>,
    login: Option<Login>,
    endpoint: Arc<Endpoint>,
    body: Vec<u8>,
    answer: Option<Response>,
    chunk: Vec<u8>,
    read: usize,
    readable: Readable,
}

impl HttpTurn {
    fn send(&mut self) -> Result<Response, TransportError> {
        let request = self.request();
        let again = request.try_clone();
        let login = self.login()?;
        match (self.exchange(request, login.as_ref()), login, again) {
            // It may have been revoked. A new one is tried once.
            (Err(TransportError::Unauthorized { .. }), Some((_, refused)), Some(again))
                if self.may_have_another(&refused)? =>
            {
                self.exchange(again, self.login()?.as_ref())
            }
            (answer, ..) => answer,
        }
    }

    /// The service as it is called, and whether its references are asked for.
    fn name(&self) -> (&'static str, bool) {
        match self.service {
            Service::UploadPackLs => ("git-upload-pack", true),
            Service::UploadPack => ("git-upload-pack", false),
            Service::ReceivePackLs => ("git-receive-pack", true),
            Service::ReceivePack => ("git-receive-pack", false),
        }
    }

    /// All but what lets us in.
    fn request(&mut self) -> RequestBuilder {
        let BaseUrl { url: base, client } = self.base.lock().clone();
        let (name, listing) = self.name();
        let place = |path: &str| {
            let mut url = base.clone();
            url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
            url
        };
        if listing {
            let mut url = place("info/refs");
            url.set_query(Some(&format!("service={name}")));
            client.get(url)
        } else {
            client
                .post(place(name))
                .header(header::CONTENT_TYPE, format!("application/x-{name}-request"))
                .header(header::ACCEPT, format!("application/x-{name}-result"))
                .body(std::mem::take(&mut self.body))
        }
    }

    fn exchange(&self, request: RequestBuilder, login: Option<&Login>) -> Result<Response, TransportError> {
        let (name, listing) = self.name();
        let mut client = self.base.lock().client.clone();
        let mut request = request.build().map_err(http_error)?;
        // As git: only the first question may be sent on.
        let mut redirects = if listing { REDIRECTS } else { 0 };
        let expected = format!("application/x-{name}-{}", if listing { "advertisement" } else { "result" });
        loop {
            let at = request.url().clone();
            let login = login.filter(|_| self.carries(&at));
            request = with_login(&client, request, login)?;
            let secrets = secrets(&request, login);
            self.endpoint.heard.lock().start(secrets.clone());
            let asking = client.execute(request);
            let answer = self.endpoint.wait("waiting for an answer", async { asking.await.map_err(http_error) })?;
            match sent_on(&answer).filter(|to| redirects > 0 && to.origin() == at.origin()) {
                Some(to) => {
                    redirects -= 1;
                    client = self::client(&to, &self.endpoint)?;
                    request = Request::new(Method::GET, to);
                }
                None => {
                    let checked = check(answer, &self.endpoint.host, &expected, &secrets);
                    let answer = self.endpoint.wait("waiting for an answer", checked)?;
                    if listing && let Some(path) = at.path().strip_suffix(ENDS[0]) {
                        let mut base = self.base.lock();
                        base.url.set_path(path);
                        base.client = client;
                    }
                    return Ok(answer);
                }
            }
        }
    }

    /// Whether what lets us in goes there.
    fn carries(&self, url: &Url) -> bool {
        let Some(scope) = &self.endpoint.credentials.scope else { return true };
        Address::of_url(&repository(url)).is_ok_and(|address| scope.carries(&address))
    }

    /// What lets us in now.
    fn login(&self) -> Result<Option<Login>, TransportError> {
        let token = match (self.source(), &self.endpoint.credentials.token) {
            (Some(source), _) => {
                let host = self.endpoint.host.clone();
                let told = |error: TokenError| TransportError::SignIn { host, source: error.why, next: error.next };
                self.endpoint.wait("signing in", async { source.token().await.map_err(told) })?
            }
            (None, Token::File(path)) => {
                let told = |source| TransportError::File { path: path.clone(), source };
                named_text(path).map_err(told)?.trim().to_owned()
            }
            (None, Token::Netrc(path)) => {
                let told = |source| TransportError::File { path: path.clone(), source };
                let text = named_text(path).map_err(told)?;
                let host = self.base.lock().url.host_str().unwrap_or_default().to_owned();
                let found = netrc::login(&text, &host);
                return found.map(Some).ok_or(TransportError::NoLogin { path: path.clone(), host });
            }
            (None, _) => return Ok(self.login.clone()),
        };
        Ok(Some((USER.to_owned(), token)))
    }

    /// Who signs in for us, where nothing that was named goes before that.
    fn source(&self) -> Option<&dyn TokenSource> {
        match &self.endpoint.credentials.token {
            Token::Source(source) if self.login.is_none() => Some(source.as_ref()),
            _ => None,
        }
    }

    fn may_have_another(&self, refused: &str) -> Result<bool, TransportError> {
        let Some(source) = self.source() else { return Ok(false) };
        self.endpoint.wait("signing in", async { Ok(source.refused(refused).await) })
    }

    fn next_chunk(&mut self) -> Result<bool, TransportError> {
        let mut answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.send()?,
        };
        let chunk = self.endpoint.wait("reading its answer", async { answer.chunk().await.map_err(http_error) })?;
        self.answer = Some(answer);
        self.read = 0;
        self.chunk = match &chunk {
            Some(chunk) => {
                self.endpoint.heard.lock().hear(chunk);
                // All but packs is text.
                match self.service {
                    Service::UploadPack => chunk.to_vec(),
                    _ => self.readable.next(chunk).map_err(|limit| self.endpoint.over(limit))?,
                }
            }
            None => self.readable.rest(),
        };
        Ok(chunk.is_some() || !self.chunk.is_empty())
    }
}

impl Read for HttpTurn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.chunk.len() {
            match self.next_chunk() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => return Err(self.endpoint.fail(error)),
            }
        }
        let rest = &self.chunk[self.read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}

impl Write for HttpTurn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The request with what lets us in.
fn with_login(client: &Client, request: Request, login: Option<&Login>) -> Result<Request, TransportError> {
    let Some((user, password)) = login else { return Ok(request) };
    RequestBuilder::from_parts(client.clone(), request).basic_auth(user, Some(password)).build().map_err(http_error)
}

/// Where an answer sends us.
fn sent_on(answer: &Response) -> Option<Url> {
    let location = answer.headers().get(header::LOCATION).filter(|_| answer.status().is_redirection())?;
    answer.url().join(location.to_str().ok()?).ok()
}

/// Hands back only an answer of git's.
async fn check(answer: Response, host: &str, expected: &str, secrets: &[String]) -> Result<Response, TransportError> {
    let status = answer.status();
    let host = host.to_owned();
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if status == StatusCode::UNAUTHORIZED {
        return Err(TransportError::Unauthorized { host, tried: !secrets.is_empty() });
    }
    if status.is_redirection() {
        let to = answer.url().join(header(header::LOCATION)).map_or("an address that is none".to_owned(), |mut to| {
            // What is shown is where, never with what rights.
            let _ = to.set_password(None);
            let _ = to.set_username("");
            to.set_query(None);
            to.as_str().trim_end_matches("/info/refs").to_owned()
        });
        return Err(TransportError::Redirect { host, to });
    }
    if !status.is_success() {
        let text = first_text(answer, secrets).await;
        return Err(TransportError::Status { host, status: status.as_u16(), text });
    }
    let content_type = header(header::CONTENT_TYPE);
    if content_type != expected {
        let content_type = match shown(content_type.as_bytes(), secrets) {
            none if none.is_empty() => "no content type".to_owned(),
            content_type => content_type,
        };
        let text = first_text(answer, secrets).await;
        return Err(TransportError::NotGit { host, content_type, text });
    }
    Ok(answer)
}

/// What is trusted besides what the system trusts. Read at each use, as all credentials are.
fn certificates(path: &Path) -> Result<Vec<Certificate>, TransportError> {
    let pem = named_file(path).map_err(|source| TransportError::File { path: path.to_owned(), source })?;
    let certificates = Certificate::from_pem_bundle(&pem).ok().filter(|certificates| !certificates.is_empty());
    certificates.ok_or(TransportError::NoCertificate { path: path.to_owned() })
}

/// What a server might repeat to us and must not be shown: the token, and the header it went in.
fn secrets(request: &Request, login: Option<&Login>) -> Vec<String> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = header.and_then(|value| value.strip_prefix("Basic ")).map(str::to_owned);
    login.map(|(_, password)| password.clone()).into_iter().chain(basic).filter(|secret| !secret.is_empty()).collect()
}

/// The beginning of an answer, on one line.
async fn first_text(mut answer: Response, secrets: &[String]) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < KEPT
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    shown(&bytes, secrets)
}

/// reqwest's text shows the address: we say it ourselves, without a login.
fn http_error(error: reqwest::Error) -> TransportError {
    if let Some(why) = OutOfReach::within(&error) {
        return why.into();
    }
    TransportError::Http { source: error.without_url() }
}
