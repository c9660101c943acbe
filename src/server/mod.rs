//! The daemon's Unix socket, and the client that the command line is.
//!
//! Keeps true: the socket has mode 0600; it carries JSON over HTTP. A file left by a daemon that died
//! is not a daemon.
//!
//! The socket answers `status`, once or whenever it changes (`follow.rs`), and takes what people ask for (`hold`, `retry`, …). `history`, `show`, `why` and
//! `release` read the repository and the hosts themselves, with a daemon or without one.

pub mod door;
pub mod follow;
mod room;
pub mod systemd;
pub mod webhook;

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{controller::Handle, history::store::Store, requests::control::Request},
    host::HostRead,
    model::status::StatusView,
    report,
};

/// Pushing to a slow repository takes its time.
const CONTROL_LIMIT: Duration = Duration::from_secs(60);

/// What comes of a control.
#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    pub said: String,
}

#[derive(Debug, Error)]
pub enum ServerError {
    #[error("a controller is running already: it answers on {path}")]
    Running { path: String },
    #[error("cannot listen on {path}")]
    Listen { path: String, source: io::Error },
    #[error("the controller on {path} does not answer")]
    Ask { path: String, source: reqwest::Error },
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
}

/// Whether a daemon answers on the socket.
pub async fn is_running(socket: &Path) -> bool {
    UnixStream::connect(socket).await.is_ok()
}

/// Takes the socket. Its holder is the one daemon of this state directory.
pub async fn bind(socket: &Path) -> Result<UnixListener, ServerError> {
    let path = || socket.display().to_string();
    if is_running(socket).await {
        return Err(ServerError::Running { path: path() });
    }
    let listen = || {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    listen().map_err(|source| ServerError::Listen { path: path(), source })
}

/// Answers until `stop`.
pub async fn serve<H: HostRead, S: Store>(
    listener: UnixListener,
    controller: Handle<H, S>,
    stop: CancellationToken,
) -> io::Result<()> {
    let following = (controller.clone(), stop.clone());
    let router = Router::new()
        .route("/status", get(get_status::<H, S>))
        .route("/status/watch", get(async || follow::answer(following.0, following.1)))
        .route("/control", post(control::<H, S>))
        .with_state(controller);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn get_status<H: HostRead, S: Store>(State(controller): State<Handle<H, S>>) -> Json<Vec<StatusView>> {
    Json(views(&controller))
}

/// The status of each environment, as far as it is known now.
fn views<H, S>(controller: &Handle<H, S>) -> Vec<StatusView> {
    let shut_out = controller.shut_out.borrow().clone();
    let with_it = |view: &StatusView| {
        let mut view = view.clone();
        view.notes.extend(shut_out.clone());
        view
    };
    controller.statuses().values().map(with_it).collect()
}

async fn control<H: HostRead, S: Store>(
    State(controller): State<Handle<H, S>>,
    Json(request): Json<Request>,
) -> (StatusCode, Json<Said>) {
    match controller.asked(&request).await {
        Ok(said) => (StatusCode::OK, Json(Said { said })),
        Err(error) => {
            let status = if error.is_refusal() { StatusCode::CONFLICT } else { StatusCode::INTERNAL_SERVER_ERROR };
            (status, Json(Said { said: report::chain(&error) }))
        }
    }
}

/// Asks a running daemon to do something, and answers what it says.
pub async fn ask_control(socket: &Path, request: &Request) -> Result<String, ServerError> {
    let ask = async {
        let client = reqwest::Client::builder().unix_socket(socket).timeout(CONTROL_LIMIT).build()?;
        let answer = client.post("http://evenkeel/control").json(request).send().await?;
        let status = answer.status();
        let told = [StatusCode::CONFLICT, StatusCode::INTERNAL_SERVER_ERROR].contains(&status);
        let answer = if told { answer } else { answer.error_for_status()? };
        Ok((status, answer.json::<Said>().await?.said))
    };
    match ask.await {
        Ok((StatusCode::CONFLICT, why)) => Err(ServerError::Refused(why)),
        Ok((StatusCode::INTERNAL_SERVER_ERROR, why)) => Err(ServerError::Failed(why)),
        Ok((_, said)) => Ok(said),
        Err(source) => Err(ServerError::Ask { path: socket.display().to_string(), source }),
    }
}

/// Asks a running daemon.
pub async fn ask_status(socket: &Path) -> Result<Vec<StatusView>, ServerError> {
    let ask = async {
        let client = reqwest::Client::builder().unix_socket(socket).timeout(Duration::from_secs(5)).build()?;
        client.get("http://evenkeel/status").send().await?.error_for_status()?.json().await
    };
    ask.await.map_err(|source| ServerError::Ask { path: socket.display().to_string(), source })
}
