//! Connections that somebody else's words lead to: for a source, and for what a build asks for.
//!
//! Keeps true: a name is resolved, each IP address that it leads to is judged, and one of the admitted is connected to, so a
//! name that leads elsewhere the next time gains nothing. Never does: deciding what is admitted.

use std::{io, net::SocketAddr};

use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};

use crate::model::reach::{OutOfReach, Way};

/// Why a host is not connected to.
#[derive(Debug, Error)]
pub enum NotConnected {
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The addresses that `host` leads to and that are admitted.
#[expect(clippy::disallowed_methods, reason = "what is found is judged here")]
pub async fn lookup(way: Way, host: &str, port: u16) -> Result<Vec<SocketAddr>, NotConnected> {
    let all: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    Ok(way.admitted(host, &all, |address| address.ip())?)
}

/// Connects to `host` at one of the addresses that are admitted.
pub async fn connect(way: Way, host: &str, port: u16) -> Result<TcpStream, NotConnected> {
    let admitted = lookup(way, host, port).await?;
    Ok(TcpStream::connect(&admitted[..]).await?)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// `localhost` is a name that leads to this machine.
    #[tokio::test]
    async fn where_a_name_leads_is_judged_before_anything_connects() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        for way in [Way::Public, Way::OtherMachines] {
            let refused = connect(way, "localhost", port).await.expect_err("it is this machine");
            assert!(matches!(refused, NotConnected::OutOfReach(OutOfReach::Range { .. })), "{refused}");
        }
        connect(Way::Anywhere, "localhost", port).await.expect("it is admitted");
        // What was refused never came here: the first that comes is the one that was admitted, and no other is in the queue.
        listener.accept().await.expect("it came");
        let other = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
        assert!(other.is_err(), "another one came");
    }
}
