//! The daemon's Unix socket, and the client that the command line is.
//!
//! Keeps true: the socket has mode 0600; it carries JSON over HTTP. A file left by a daemon that died
//! is not a daemon.

pub mod door;
pub mod systemd;
pub mod webhook;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::get};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::{model::name::EnvironmentName, report::status::StatusView};

/// What `status` answers, by environment. Written by the loop.
pub type Status = Arc<Mutex<BTreeMap<EnvironmentName, StatusView>>>;

#[derive(Debug, Error)]
pub enum ServerError {
    #[error("a reconciler is running already: it answers on {path}")]
    Running { path: String },
    #[error("cannot listen on {path}")]
    Listen { path: String, source: io::Error },
    #[error("the reconciler on {path} does not answer")]
    Ask { path: String, source: reqwest::Error },
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
pub async fn serve(listener: UnixListener, status: Status, stop: CancellationToken) -> io::Result<()> {
    let router = Router::new().route("/status", get(get_status)).with_state(status);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn get_status(State(status): State<Status>) -> Json<Vec<StatusView>> {
    let status = status.lock().unwrap_or_else(PoisonError::into_inner);
    Json(status.values().cloned().collect())
}

/// Asks a running daemon.
pub async fn ask_status(socket: &Path) -> Result<Vec<StatusView>, ServerError> {
    let ask = async {
        let client = reqwest::Client::builder().unix_socket(socket).timeout(Duration::from_secs(5)).build()?;
        client.get("http://evenkeel/status").send().await?.error_for_status()?.json().await
    };
    ask.await.map_err(|source| ServerError::Ask { path: socket.display().to_string(), source })
}
