//! Connections for a source: to the addresses that its scope admits, and to no other.
//!
//! Keeps true: what is judged is the IP address that is connected to (`net/`). Where a proxy of the operator's
//! (`HTTPS_PROXY`) resolves names, the name is all that can be judged here. Without a scope the operator named the
//! address, and nothing is judged.

use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{
    Client, ClientBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use tokio::net::TcpStream;

use super::TransportError;
use crate::{
    model::{
        address::Address,
        reach::{OutOfReach, Scope, Way},
    },
    net::{self, NotConnected},
};

/// A client for `url`, which follows no redirect: each address that one leads to is judged and gets its own client.
pub fn client(scope: Option<&Scope>, url: &Url) -> Result<ClientBuilder, OutOfReach> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Someone else being faster is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = Client::builder().redirect(redirect::Policy::none());
    let builder = if is_proxied(url) { builder } else { builder.no_proxy() };
    let Some(scope) = scope else { return Ok(builder) };
    let address = Address::of_url(url).map_err(|_| OutOfReach::NoAddress)?;
    let way = scope.way(&address)?;
    if is_proxied(url) {
        way.admit_name(address.host())?;
        return Ok(builder);
    }
    Ok(builder.dns_resolver(Arc::new(Admitted(way))))
}

/// Connects to `host` at one of the addresses that it leads to.
pub(super) async fn connect(way: Way, host: &str, port: u16) -> Result<TcpStream, TransportError> {
    net::connect(way, host, port).await.map_err(|why| match why {
        NotConnected::OutOfReach(why) => why.into(),
        NotConnected::Io(source) => TransportError::Connect { host: host.to_owned(), source },
    })
}

/// Whether a proxy stands before it, by the variables that the operator set.
fn is_proxied(url: &Url) -> bool {
    let is_here = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    !is_here && url.as_str().parse().is_ok_and(|uri| Matcher::from_system().intercept(&uri).is_some())
}

/// Resolves to what may be connected to.
struct Admitted(Way);

impl Resolve for Admitted {
    fn resolve(&self, name: Name) -> Resolving {
        let way = self.0;
        Box::pin(async move {
            match net::lookup(way, name.as_str(), 0).await {
                Ok(admitted) => Ok(Box::new(admitted.into_iter()) as Addrs),
                // As it is: who asks finds it among the causes.
                Err(NotConnected::OutOfReach(why)) => Err(why.into()),
                Err(NotConnected::Io(error)) => Err(error.into()),
            }
        })
    }
}
