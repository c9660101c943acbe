//! The way out of a sandbox: an HTTP proxy on this side of its wall, for builds with `network: true`.
//!
//! Keeps true: a build reaches other machines alone, over what an HTTP proxy carries (`CONNECT`, and plain http); what
//! is judged is the IP address that is connected to (`net/`). Where the operator's own proxy
//! (`HTTPS_PROXY`) stands before everything, that one resolves names, and the name is judged.
//! Never does: reading what goes through a tunnel.
//! Source: RFC 9110, sections 7.6.1 (hop-by-hop fields) and 9.3.6 (CONNECT).

use std::{collections::BTreeSet, convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client, header,
    header::HeaderValue,
    server,
    service::service_fn,
    upgrade,
};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tower_service::Service as _;

use crate::{
    model::reach::{OutOfReach, Way},
    net::{self, NotConnected},
};

/// At once, of one build. A package manager opens some tens.
const CONNECTIONS: usize = 256;
const CONNECT: Duration = Duration::from_secs(30);
/// How many of the addresses that were refused are told with a build's log.
const REFUSALS: usize = 20;

type Body = BoxBody<Bytes, hyper::Error>;

/// What one build did not reach.
#[derive(Debug, Clone, Default)]
pub struct Unreached(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    lines: BTreeSet<String>,
    unanswered: bool,
}

impl Unreached {
    fn note(&self, target: &ProxyTarget, why: &NotReached) {
        let mut noted = self.0.lock();
        noted.unanswered |= !matches!(why, NotReached::OutOfReach(_));
        if noted.lines.len() < REFUSALS {
            noted.lines.insert(format!("evenkeel: {}:{} is not reached: {why}", target.host, target.port));
        }
    }

    /// Lines for the build's log.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().lines.iter().cloned().collect()
    }

    /// Whether something did not answer that a build may reach.
    pub fn unanswered(&self) -> bool {
        self.0.lock().unanswered
    }
}

/// The proxy of one build.
#[derive(Clone)]
pub struct Proxy {
    /// The operator's proxy, for what it stands before.
    outer: Arc<Matcher>,
    way: Way,
    pub unreached: Unreached,
}

/// Why a connection is not made.
#[derive(Debug, Error)]
enum NotReached {
    #[error("{0}; a build reaches other machines only")]
    OutOfReach(#[from] OutOfReach),
    #[error("{0}")]
    Connect(#[from] std::io::Error),
    #[error("no answer within {} s", CONNECT.as_secs())]
    Silent,
    #[error("the proxy of this machine makes no way: {0}")]
    Outer(Box<dyn std::error::Error + Send + Sync>),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// Where a request wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProxyTarget {
    host: String,
    port: u16,
}

impl ProxyTarget {
    /// None: nothing that a proxy is asked for.
    fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let port = match (method == Method::CONNECT, uri.scheme_str()) {
            (true, _) => uri.port_u16()?,
            (false, Some("http")) => uri.port_u16().unwrap_or(80),
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port })
    }

    /// As an address that the operator's variables are held against.
    fn uri(&self, scheme: &str) -> Option<Uri> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        Uri::builder().scheme(scheme).authority(format!("{host}:{}", self.port)).path_and_query("/").build().ok()
    }
}

impl Proxy {
    pub fn new(outer: Matcher) -> Self {
        Self { outer: Arc::new(outer), way: Way::OtherMachines, unreached: Unreached::default() }
    }

    /// Serves until it is dropped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<Infallible> {
        let (room, mut open) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
        loop {
            let (stream, _) = listener.accept().await?;
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { continue };
            while open.try_join_next().is_some() {}
            let proxy = self.clone();
            open.spawn(async move {
                let _permit = permit;
                let service = service_fn(move |request| {
                    let proxy = proxy.clone();
                    async move { Ok::<_, Infallible>(proxy.answer(request).await) }
                });
                // How a build's connection ends is the build's business.
                let connection = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ = connection.with_upgrades().await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(target) = ProxyTarget::of(request.method(), request.uri()) else {
            return told(StatusCode::BAD_REQUEST, "this proxy takes CONNECT, and plain http by its whole address");
        };
        let answer = match *request.method() {
            Method::CONNECT => self.tunnel(&target, request).await,
            _ => self.forward(&target, request).await,
        };
        answer.unwrap_or_else(|why| {
            self.unreached.note(&target, &why);
            let status = match why {
                NotReached::OutOfReach(_) => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_GATEWAY,
            };
            told(status, &why.to_string())
        })
    }

    async fn tunnel(&self, target: &ProxyTarget, request: Request<Incoming>) -> Result<Response<Body>, NotReached> {
        let outer = target.uri("https").and_then(|uri| self.outer.intercept(&uri));
        let mut there = match outer {
            None => self.connect(target).await?,
            Some(outer) => {
                self.admit_for_another(target)?;
                let mut tunnel = Tunnel::new(outer.uri().clone(), HttpConnector::new());
                if let Some(login) = outer.basic_auth() {
                    tunnel = tunnel.with_auth(login.clone());
                }
                let to = target.uri("https").ok_or(OutOfReach::NoAddress)?;
                let made = timeout(CONNECT, tunnel.call(to)).await.map_err(|_| NotReached::Silent)?;
                made.map_err(|error| NotReached::Outer(error.into()))?.into_inner()
            }
        };
        tokio::spawn(async move {
            if let Ok(here) = upgrade::on(request).await {
                // Either end may go at any time.
                let _ = copy_bidirectional(&mut TokioIo::new(here), &mut there).await;
            }
        });
        Ok(Response::new(Full::default().map_err(|never| match never {}).boxed()))
    }

    async fn forward(
        &self,
        target: &ProxyTarget,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, NotReached> {
        let outer = self.outer.intercept(request.uri());
        let headers = request.headers_mut();
        headers.remove(header::PROXY_AUTHORIZATION);
        headers.remove("proxy-connection");
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let there = match outer {
            None => {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                let path = path.parse().map_err(|_| OutOfReach::NoAddress)?;
                *request.uri_mut() = path;
                self.connect(target).await?
            }
            Some(outer) => {
                self.admit_for_another(target)?;
                if let Some(login) = outer.basic_auth() {
                    request.headers_mut().insert(header::PROXY_AUTHORIZATION, login.clone());
                }
                let made = timeout(CONNECT, HttpConnector::new().call(outer.uri().clone())).await;
                made.map_err(|_| NotReached::Silent)?.map_err(|error| NotReached::Outer(error.into()))?.into_inner()
            }
        };
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(there)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?.map(BodyExt::boxed))
    }

    /// At one of the addresses that its name leads to, and that are admitted.
    async fn connect(&self, target: &ProxyTarget) -> Result<TcpStream, NotReached> {
        let connected = timeout(CONNECT, net::connect(self.way, &target.host, target.port)).await;
        connected.map_err(|_| NotReached::Silent)?.map_err(|why| match why {
            NotConnected::OutOfReach(why) => NotReached::OutOfReach(why),
            NotConnected::Io(error) => NotReached::Connect(error),
        })
    }

    /// What the operator's proxy is asked for: it resolves the name.
    fn admit_for_another(&self, target: &ProxyTarget) -> Result<(), OutOfReach> {
        match target.host.parse::<IpAddr>() {
            Ok(ip) => self.way.admit(&target.host, ip),
            Err(_) => self.way.admit_name(&target.host),
        }
    }
}

fn told(status: StatusCode, why: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("evenkeel: {why}\n"))).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends `head` to a proxy behind an outer one, and gives what the outer one was sent and what came back.
    async fn behind_another(head: &str) -> (String, String) {
        let outer = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://ada:secret@{}", outer.local_addr().expect("it has one"));
        let matcher = Matcher::builder().all(address).build();
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = door.local_addr().expect("it has one");
        let proxy = tokio::spawn(Proxy::new(matcher).serve(door));
        let asked = tokio::spawn(async move {
            let Ok((mut stream, _)) = outer.accept().await else { return String::new() };
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let said = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(said).await.expect("it takes an answer");
            String::from_utf8_lossy(&head[..read]).to_lowercase()
        });
        let mut stream = TcpStream::connect(at).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it takes a request");
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.expect("it answers");
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        // Of what is refused the outer one hears nothing.
        let asked = if answer.contains(" 200 ") { asked.await.expect("it ends") } else { String::new() };
        proxy.abort();
        (asked, answer)
    }

    #[tokio::test]
    async fn a_proxy_of_the_operator_is_gone_through() {
        let (asked, answer) = behind_another("CONNECT registry.example:443 HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(asked.starts_with("connect registry.example:443 http/1.1\r\n"), "{asked}");
        assert!(asked.contains("proxy-authorization: basic ywrhonnly3jlda=="), "{asked}");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (asked, answer) =
            behind_another("GET http://registry.example/a HTTP/1.1\r\nHost: registry.example\r\n\r\n").await;
        assert!(asked.starts_with("get http://registry.example/a http/1.1\r\n"), "{asked}");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn a_proxy_of_the_operator_is_not_asked_for_this_machine() {
        for target in ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "metadata.google.internal"] {
            let (asked, answer) = behind_another(&format!("CONNECT {target}:80 HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            assert_eq!(asked, "", "{target}");
            assert!(answer.starts_with("HTTP/1.1 403 "), "{target}: {answer}");
        }
    }
}
