//! A small HTTP server on this machine that answers as a statement says, and keeps what it heard.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{body::Body, extract::Request, http::Response};
use futures_util::stream;

pub struct Server {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
pub struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
    /// After the body nothing comes, and the connection stays.
    silent: bool,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, location: None, body: Vec::new(), silent: false }
    }

    pub fn body(body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..Self::status(200) }
    }

    pub fn redirect(to: &str) -> Self {
        Self { location: Some(to.to_owned()), ..Self::status(302) }
    }

    pub fn silent(body: &[u8]) -> Self {
        Self { silent: true, ..Self::body(body) }
    }
}

impl Server {
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::asking(move |path, _| answer(path))
    }

    /// The answer also goes by the header `Authorization`.
    pub fn asking(answer: impl Fn(&str, Option<&str>) -> Answer + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("it starts");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (answer, hears) = (Arc::new(answer), heard.clone());
        let answer = move |request: Request| {
            let (answer, hears) = (answer.clone(), hears.clone());
            async move {
                let headers = request.headers().iter();
                let headers = headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or("?")));
                let heard = format!("{}\n{}", request.uri(), headers.collect::<String>());
                hears.lock().expect("nobody panicked").push(heard);
                let login = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                respond(answer(request.uri().path(), login))
            }
        };
        runtime.spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        Self { address, heard, _runtime: runtime }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Each request: its path, and its headers.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("nobody panicked").clone()
    }
}

fn respond(answer: Answer) -> Response<Body> {
    let body = match answer.silent {
        false => Body::from(answer.body),
        true => Body::from_stream(stream::unfold(Some(answer.body), |body| async {
            match body {
                Some(body) => Some((Ok::<_, std::io::Error>(axum::body::Bytes::from(body)), None)),
                None => {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                    None
                }
            }
        })),
    };
    let mut response = Response::builder().status(answer.status);
    if let Some(location) = answer.location {
        response = response.header("location", location);
    }
    response.body(body).expect("an answer")
}
