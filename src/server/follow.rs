//! The status of a running daemon, followed: one line of JSON now, and one whenever it changes.
//!
//! Keeps true: whoever follows asks nothing twice, and is told as soon as the loop publishes; one that reads slowly gets the
//! newest status next, and nothing is kept for it meanwhile; it ends with the daemon.

use std::{convert::Infallible, path::Path};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ServerError, views};
use crate::{
    engine::controller::{Handle, Published},
    model::status::StatusView,
};

/// Answers until `stop`, or until nobody reads any more.
pub(super) fn answer<H: Send + Sync + 'static, S: Send + Sync + 'static>(
    controller: Handle<H, S>,
    stop: CancellationToken,
) -> Body {
    let (published, shut_out) = (controller.published(), controller.shut_out.subscribe());
    let following = Following { controller, published, shut_out, stop, told: None };
    Body::from_stream(stream::unfold(following, |mut following| async {
        following.next().await.map(|line| (Ok::<_, Infallible>(line), following))
    }))
}

struct Following<H, S> {
    controller: Handle<H, S>,
    published: watch::Receiver<Published>,
    shut_out: watch::Receiver<Option<String>>,
    stop: CancellationToken,
    /// What was told last.
    told: Option<Vec<StatusView>>,
}

impl<H, S> Following<H, S> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // Seen before it is read: what changes meanwhile counts as not seen.
            self.published.mark_unchanged();
            self.shut_out.mark_unchanged();
            let views = views(&self.controller);
            if self.told.as_ref().is_none_or(|told| !say_the_same(told, &views)) {
                let mut line = serde_json::to_vec(&views).ok()?;
                line.push(b'\n');
                self.told = Some(views);
                return Some(line.into());
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                // A loop that has ended publishes nothing more, and then `stop` comes.
                Ok(()) = self.published.changed() => {}
                Ok(()) = self.shut_out.changed() => {}
            }
        }
    }
}

/// Whether only the times of the looks are others.
pub fn say_the_same(one: &[StatusView], other: &[StatusView]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says_the_same(other))
}

/// What a running daemon answers to whoever follows it.
pub struct Answers {
    response: reqwest::Response,
    /// What has come of the next line.
    begun: Vec<u8>,
}

impl Answers {
    pub async fn of(socket: &Path) -> Result<Self, ServerError> {
        let ask = async {
            let client = reqwest::Client::builder().unix_socket(socket).build()?;
            client.get("http://evenkeel/status/watch").send().await?.error_for_status()
        };
        let response = ask.await.map_err(|source| ServerError::Ask { path: socket.display().to_string(), source })?;
        Ok(Self { response, begun: Vec::new() })
    }

    /// The status, whenever it is another one. None once the daemon has ended.
    pub async fn next(&mut self) -> Option<Vec<StatusView>> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            // A daemon that was killed breaks off.
            self.begun.extend(self.response.chunk().await.ok().flatten()?);
        }
    }
}
