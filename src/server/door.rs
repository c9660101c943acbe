//! The daemon's TCP listener, for those who come from elsewhere.
//!
//! Keeps true: one connection is one request; the number of connections and the time of each are
//! bounded, so strangers cannot take the file descriptors that the hosts' connections need; and no slow stranger
//! keeps out whoever comes after.
//!
//! The webhook has an accept loop of its own. axum's bounds neither connections nor the time a request's head may
//! take, and the daemon needs its file descriptors for hosts.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::room::{Room, Sender};
use crate::{
    engine::events::Events,
    model::event::{Detail, EventKind},
};

/// What strangers may hold.
#[derive(Debug, Clone, Copy)]
struct DoorLimits {
    connections: usize,
    /// Until a request's head is there.
    head: Duration,
    connection: Duration,
    /// As long those who are being answered are waited for at the end.
    grace: Duration,
}

const LIMITS: DoorLimits = DoorLimits {
    connections: 64,
    head: Duration::from_secs(5),
    connection: Duration::from_secs(30),
    grace: Duration::from_secs(2),
};

/// Answers until `stop`. Whoever comes when all places are taken gets the place of a slow one. Handlers find the
/// [`Sender`] among the extensions of a request.
pub async fn serve(events: Events, listener: TcpListener, router: Router, stop: CancellationToken) {
    serve_within(LIMITS, events, listener, router, stop).await;
}

async fn serve_within(
    limits: DoorLimits,
    events: Events,
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) {
    let room = Room::of(limits.connections);
    // Whoever loses a place holds its connection until its task has ended: that is waited for.
    let open = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, sender) = match accepted {
            Ok((stream, peer)) => (stream, Sender::at(peer.ip())),
            Err(error) => {
                events.emit(EventKind::WebhookUnreachable { why: Detail::of(error) });
                // Without file descriptors the next try fails at once.
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let place = room.enter(Some(sender));
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { break };
        let service = TowerToHyperService::new(router.clone().layer(Extension(sender)));
        connections.spawn(async move {
            let _permit = permit;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // How a stranger's connection ends is nobody's business.
            tokio::select! {
                _ = timeout(limits.connection, connection) => {}
                () = place.is_taken() => {}
            }
        });
    }
    connections.close();
    let _ = timeout(limits.grace, connections.wait()).await;
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Instant};

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        task::JoinHandle,
    };

    use super::*;

    const SOON: Duration = Duration::from_millis(200);
    const LATE: Duration = Duration::from_secs(20);
    const PATIENT: DoorLimits = DoorLimits { connections: 2, head: LATE, connection: LATE, grace: SOON };

    async fn open(limits: DoorLimits) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let router =
            Router::new().route("/", get(async || "answer")).route("/slow", get(async || sleep(2 * LATE).await));
        let stop = CancellationToken::new();
        (address, stop.clone(), tokio::spawn(serve_within(limits, Events::new(|_| {}), listener, router, stop)))
    }

    async fn says(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("the door is open");
        stream.write_all(text.as_bytes()).await.expect("it is taken");
        stream
    }

    /// All that comes until the other side closes.
    async fn hears(mut stream: TcpStream) -> String {
        let mut heard = String::new();
        // A reset is an end too.
        let _ = stream.read_to_string(&mut heard).await;
        heard
    }

    #[tokio::test]
    async fn a_connection_is_one_request() {
        let (address, ..) = open(PATIENT).await;
        let heard =
            hears(says(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
        assert_eq!(heard.matches("answer").count(), 1, "{heard}");
    }

    #[tokio::test]
    async fn a_request_that_is_never_made_or_never_answered_is_cut() {
        let began = Instant::now();
        let (address, ..) = open(DoorLimits { head: SOON, ..PATIENT }).await;
        hears(says(address, "GET / HTTP/1.1\r\nHo").await).await;
        let (address, ..) = open(DoorLimits { connection: SOON, ..PATIENT }).await;
        assert_eq!(hears(says(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await).await, "");
        assert!(began.elapsed() < LATE);
    }

    #[tokio::test]
    async fn whoever_comes_is_answered_at_once_and_the_slowest_makes_room() {
        let (address, ..) = open(PATIENT).await;
        let (first, second) = (says(address, "").await, says(address, "GET / HTTP/1.1\r\nHo").await);
        let third = says(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(timeout(LATE / 2, hears(third)).await.is_ok_and(|heard| heard.ends_with("answer")));
        assert!(timeout(LATE / 2, hears(first)).await.is_ok_and(|heard| heard.is_empty()), "the oldest is there still");
        let mut second = second;
        second.write_all(b"st: x\r\n\r\n").await.expect("it is there still");
        assert!(timeout(LATE / 2, hears(second)).await.is_ok_and(|heard| heard.ends_with("answer")));
    }

    #[tokio::test]
    async fn nobody_who_is_there_keeps_the_door_open() {
        let (address, stop, serving) = open(PATIENT).await;
        let _stranger = says(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        stop.cancel();
        assert!(timeout(LATE, serving).await.is_ok_and(|ended| ended.is_ok()));
    }
}
