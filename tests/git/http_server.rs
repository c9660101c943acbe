//! git's own server program behind a small HTTP server that asks for a token, and that can go wrong.

use std::{convert::Infallible, fs, io, path::Path, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Response, StatusCode, header, request::Parts},
};
use evenkeel::git::{Credentials, RemoteUrl, Token};
use futures_util::{StreamExt, stream};

use crate::{git_program::http_backend, helpers::url};

pub const TOKEN: &str = "t0ps3cret";

pub struct HttpServer {
    pub address: String,
    _runtime: tokio::runtime::Runtime,
}

impl HttpServer {
    pub fn start(root: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("it starts");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let root = root.to_owned();
        let answer = move |request: Request| {
            let root = root.clone();
            async move { backend(&root, request).await }
        };
        runtime.spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        Self { address, _runtime: runtime }
    }

    /// `path` is that of a repository, with what is to go wrong before it.
    pub fn url(&self, path: &str) -> RemoteUrl {
        url(format!("http://{}{path}", self.address))
    }
}

fn plain(status: StatusCode, headers: &[(header::HeaderName, &str)], text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("it is a header"));
    }
    response
}

/// `x-access-token:t0ps3cret`
fn let_in(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Basic eC1hY2Nlc3MtdG9rZW46dDBwczNjcmV0")
}

async fn backend(root: &Path, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path.starts_with("/echo") {
        let repeated =
            format!("you sent {:?} and {TOKEN}\n{}", parts.headers.get(header::AUTHORIZATION), "x".repeat(5000));
        return plain(StatusCode::INTERNAL_SERVER_ERROR, &[], repeated);
    }
    if path.starts_with("/page") {
        return plain(StatusCode::OK, &[(header::CONTENT_TYPE, "text/html")], format!("<p>Log in, {TOKEN}"));
    }
    if path.starts_with("/forbidden") {
        return plain(StatusCode::FORBIDDEN, &[], "read only".to_owned());
    }
    if let Some(rest) = path.strip_prefix("/old") {
        let to = format!("{rest}?{}", parts.uri.query().unwrap_or_default());
        return plain(StatusCode::MOVED_PERMANENTLY, &[(header::LOCATION, &to)], String::new());
    }
    if path.starts_with("/elsewhere") {
        let to = "http://user:pass@192.0.2.1/config.git/info/refs?key=1";
        return plain(StatusCode::MOVED_PERMANENTLY, &[(header::LOCATION, to)], String::new());
    }
    if !let_in(&parts.headers) {
        return plain(StatusCode::UNAUTHORIZED, &[(header::WWW_AUTHENTICATE, "Basic")], "who are you?".to_owned());
    }
    if let Some(path) = path.strip_prefix("/readonly") {
        let pushes = path.ends_with("git-receive-pack") || parts.uri.query() == Some("service=git-receive-pack");
        if pushes {
            return plain(StatusCode::FORBIDDEN, &[], "Write access to repository not granted.".to_owned());
        }
        return http_backend(root, path, &parts, body).await;
    }
    if let Some((fault, path)) = path.strip_prefix("/bad-").and_then(|rest| rest.split_once('/')) {
        return go_wrong(fault, root, &format!("/{path}"), &parts, body).await;
    }
    http_backend(root, &path, &parts, body).await
}

/// In the listing of references, or with `-later` in the answer after it.
async fn go_wrong(fault: &str, root: &Path, path: &str, parts: &Parts, body: Body) -> Response<Body> {
    let (fault, later) = fault.strip_suffix("-later").map_or((fault, false), |fault| (fault, true));
    let mut answer = http_backend(root, path, parts, body).await;
    if later != path.ends_with("-pack") {
        return answer;
    }
    let right = to_bytes(std::mem::take(answer.body_mut()), 1 << 24).await.expect("it is small");
    let half = right.slice(..right.len() / 2);
    *answer.body_mut() = match fault {
        "silent" => {
            std::future::pending::<()>().await;
            Body::empty()
        }
        "dribble" => Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"1")), ()))
        })),
        "empty" => Body::empty(),
        "garbage" => Body::from(garbage()),
        "endless" => Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(garbage())))),
        "nothing" => Body::from([b"0008NAK\n0025\x01".as_slice(), &EMPTY_PACK, b"0000"].concat()),
        "cut" => Body::from(half),
        "broken" => Body::from_stream(stream::once(async { Ok(half) }).chain(stream::once(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(io::Error::other("the line broke"))
        }))),
        _ => panic!("no fault is called {fault}"),
    };
    answer
}

/// No objects, and the digest of that.
const EMPTY_PACK: [u8; 32] =
    *b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

/// Bytes that mean nothing, the same each time.
pub fn garbage() -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(7), next).map(|state| (state >> 24) as u8).take(5000).collect()
}

pub fn token(folder: &Path, text: &str) -> Credentials {
    let path = folder.join("token");
    fs::write(&path, text).expect("it can be written");
    Credentials { token: Token::File(path), ..Credentials::default() }
}
