//! The flags of `evenkeel run` with which it takes GitHub's webhook.

use std::{net::SocketAddr, path::PathBuf};

use axum::Router;
use tokio::{net::TcpListener, sync::mpsc};

use super::{ERROR, Failure};
use crate::{
    engine::events::Events,
    github::event::Event,
    model::event::EventKind,
    server::webhook::{Secrets, Webhook},
};

#[derive(Debug, Clone, clap::Args)]
pub struct WebhookArgs {
    /// Take GitHub's webhook at this address: POST /webhook/github wakes the loop, GET /healthz answers 200.
    #[arg(long, value_name = "ADDR:PORT", requires = "webhook_secret_file")]
    listen: Option<SocketAddr>,
    /// A file with the webhook's secret, read at each delivery; two are accepted while one replaces the other.
    #[arg(long, value_name = "FILE", requires = "listen")]
    webhook_secret_file: Vec<PathBuf>,
}

impl WebhookArgs {
    /// Takes the address. `poke` wakes the loop.
    pub async fn open(
        &self,
        poke: mpsc::Sender<()>,
        deliveries: Option<mpsc::Sender<Event>>,
        events: &Events,
    ) -> Result<Option<(TcpListener, Router)>, Failure> {
        let Some(address) = self.listen else { return Ok(None) };
        let secrets = Secrets::open(self.webhook_secret_file.clone()).map_err(|error| {
            Failure::of(&error).hint(
                "name a file that holds the secret of GitHub's webhook with --webhook-secret-file FILE; \
                 `openssl rand -hex 32` makes one",
            )
        })?;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::new(ERROR, format!("cannot listen on {address}: {error}"))
                .hint("name another address and port with --listen ADDR:PORT")
        })?;
        events.emit(EventKind::WebhookListening { address: listener.local_addr()?.to_string() });
        Ok(Some((listener, Webhook::new(secrets, poke, deliveries, events.clone()).router())))
    }
}
