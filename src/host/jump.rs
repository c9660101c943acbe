//! Jump hosts: the way to instances that are reached through another host alone.
//!
//! Owns: one session to each jump host, which all instances behind it share. Keeps true: a session lasts as long as
//! something goes through it; hundreds that want one at once make one attempt; an instance that sends what nobody reads
//! does not hold up the others. Never does: looking into what it carries. That is a whole SSH session with the
//! instance's own pinned key, so a jump host can cut it off and no more.
//!
//! What goes through one is a whole SSH session with the instance's own pinned key. Its own session is
//! shared by all behind it, made by the first who wants it (the others wait, and hear the same error), and ends with
//! the last. What comes through one session comes in order, and russh reads no further while a channel's bytes lie
//! unread; so each instance's bytes are taken off at once, and an instance whose bytes nobody reads is cut off.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use russh::{ChannelOpenFailure, Error};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, copy, duplex, split},
    sync::oneshot,
    time::{Instant, timeout},
};

use super::{
    connect_error::ConnectError,
    ssh::{self, Login, Session},
};
use crate::model::event::logged;

/// For the jump host to connect to an instance. Shorter than a sync waits for the slow, so that the reason is told.
const FORWARD_LIMIT: Duration = Duration::from_secs(4);
/// How much of an instance's answers may lie here unread.
const UNREAD: usize = 64 << 10;
/// How long they may lie here. What comes through one session comes in order: until it is read, or let go, the others
/// behind the jump host wait.
const UNREAD_LIMIT: Duration = Duration::from_secs(3);

/// The sessions to jump hosts, by login. Clones are the same sessions.
#[derive(Clone, Default)]
pub struct Jumps {
    gates: Arc<Mutex<HashMap<Login, Arc<JumpGate>>>>,
}

/// One jump host. Whoever waits for it holds the lock.
#[derive(Default)]
struct JumpGate(tokio::sync::Mutex<Latest>);

/// What came of the latest attempt.
#[derive(Default)]
struct Latest {
    session: Weak<Session>,
    failed: Option<(Instant, ConnectError)>,
}

impl Jumps {
    /// Bytes to and from `to`, through `jump`.
    pub(super) async fn forward(&self, jump: &Login, to: SocketAddr) -> Result<DuplexStream, ConnectError> {
        let of_jump = |error| ConnectError::Jump(Box::new(error));
        let session = self.session(jump).await.map_err(of_jump)?;
        let (near, far) = duplex(UNREAD);
        let (tell, told) = oneshot::channel();
        // A task of its own: what opens when nobody waits any more is closed, and not left open there.
        tokio::spawn(async move {
            let (host, port) = (to.ip().to_string(), u32::from(to.port()));
            match session.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await {
                Ok(channel) => {
                    // Nobody waits: `near` is gone too, and nothing is carried.
                    _ = tell.send(Ok(()));
                    carry(channel.into_stream(), far, to).await;
                }
                Err(error) => _ = tell.send(Err(error)),
            }
            drop(session);
        });
        let unreachable = |address, why| ConnectError::Unreachable { address, why };
        match timeout(FORWARD_LIMIT, told).await {
            Ok(Ok(Ok(()))) => Ok(near),
            Ok(Ok(Err(Error::ChannelOpenFailure(failure)))) => Err(match failure {
                ChannelOpenFailure::AdministrativelyProhibited => {
                    of_jump(ConnectError::NotForwarded { address: jump.address, to })
                }
                _ => unreachable(to, format!("the jump host {} cannot connect to it", jump.address)),
            }),
            Ok(Ok(Err(error))) => Err(of_jump(unreachable(jump.address, error.to_string()))),
            Ok(Err(_)) => Err(of_jump(unreachable(jump.address, "the session to it has ended".to_owned()))),
            Err(_) => {
                let (limit, jump) = (FORWARD_LIMIT.as_secs(), jump.address);
                Err(unreachable(to, format!("no answer through the jump host {jump} within {limit} s")))
            }
        }
    }

    /// The session to `jump` that there is, or a new one.
    async fn session(&self, jump: &Login) -> Result<Arc<Session>, ConnectError> {
        let asked = Instant::now();
        let gate = self.gate(jump);
        let mut latest = gate.0.lock().await;
        if let Some(session) = latest.session.upgrade().filter(|session| !session.is_closed()) {
            return Ok(session);
        }
        // What another found out while this one waited is true for this one too.
        if let Some((at, error)) = &latest.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        match ssh::reach(jump, self).await {
            Ok(session) => {
                let session = Arc::new(session);
                *latest = Latest { session: Arc::downgrade(&session), failed: None };
                Ok(session)
            }
            Err(error) => {
                latest.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn gate(&self, jump: &Login) -> Arc<JumpGate> {
        let mut gates = self.gates.lock();
        gates.entry(jump.clone()).or_default().clone()
    }
}

/// Carries bytes both ways until either side ends, or what comes from the far one is not read.
async fn carry<S: AsyncRead + AsyncWrite>(far: S, near: DuplexStream, to: SocketAddr) {
    let (mut from_far, mut to_far) = split(far);
    let (mut from_near, mut to_near) = split(near);
    let down = async {
        let mut bytes = vec![0; 32 << 10];
        while let Ok(length @ 1..) = from_far.read(&mut bytes).await {
            match timeout(UNREAD_LIMIT, to_near.write_all(&bytes[..length])).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    tracing::warn!(
                        event = logged::JUMP_CUT,
                        "{to} sends what nobody asked for; its connection through the jump host is cut"
                    );
                    return;
                }
            }
        }
    };
    // Either way that ends ends the connection: whichever is left is dropped, and both streams with it.
    tokio::select! {
        () = down => {}
        _ = copy(&mut from_near, &mut to_far) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::dial::Dial;

    const FAR: &str = "10.0.0.1:22";

    fn carried() -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<()>) {
        let (instance, far) = duplex(64);
        let (here, near) = duplex(64);
        let to = FAR.parse().expect("an address");
        (instance, here, tokio::spawn(carry(far, near, to)))
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_both_ways_until_one_side_ends() {
        let (mut instance, mut here, carrying) = carried();
        let mut bytes = [0; 5];
        here.write_all(b"hello").await.expect("it is carried");
        instance.read_exact(&mut bytes).await.expect("it arrives");
        instance.write_all(b"world").await.expect("it is carried");
        here.read_exact(&mut bytes).await.expect("it arrives");
        assert_eq!(&bytes, b"world");
        drop(here);
        carrying.await.expect("it ends");
        assert_eq!(instance.read(&mut bytes).await.expect("it is told"), 0, "the instance is still connected");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_the_end_arrives() {
        let (mut instance, mut here, carrying) = carried();
        instance.write_all(b"goodbye").await.expect("it is carried");
        drop(instance);
        carrying.await.expect("it ends");
        let mut said = String::new();
        here.read_to_string(&mut said).await.expect("it is there");
        assert_eq!(said, "goodbye");
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_sends_what_nobody_reads_is_cut_off() {
        let (mut instance, here, carrying) = carried();
        let began = Instant::now();
        let babbling = async { while instance.write_all(&[0; 64]).await.is_ok() {} };
        tokio::join!(babbling, async { carrying.await.expect("it ends") });
        assert_eq!(began.elapsed().as_secs(), UNREAD_LIMIT.as_secs());
        drop(here);
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_is_silent_is_not_cut_off() {
        let (mut instance, mut here, carrying) = carried();
        tokio::time::sleep(UNREAD_LIMIT * 100).await;
        instance.write_all(b"x").await.expect("it is carried");
        let mut byte = [0; 1];
        here.read_exact(&mut byte).await.expect("it arrives");
        assert!(!carrying.is_finished());
    }

    /// Hundreds that want one jump host, which takes connections and says nothing.
    #[tokio::test]
    async fn many_that_wait_for_one_jump_host_make_one_attempt() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = silent.local_addr().expect("it is bound");
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".to_owned();
        let jump = Login {
            address,
            user: "ubuntu".to_owned(),
            host_key: Some(key),
            keys: Vec::new(),
            agent: false,
            dial: Dial::Direct,
        };
        let jumps = Jumps::default();
        let to = FAR.parse().expect("an address");
        let all = futures_util::future::join_all((0..300).map(|_| jumps.forward(&jump, to)));
        let counting = async {
            let mut connections = 0;
            loop {
                let (stream, _) = silent.accept().await.expect("it accepts");
                connections += 1;
                // Long enough for all the others to wait.
                tokio::time::sleep(Duration::from_millis(100)).await;
                drop(stream);
                if connections > 1 {
                    return connections;
                }
            }
        };
        tokio::select! {
            answers = all => {
                let told: Vec<String> =
                    answers.into_iter().map(|answer| answer.expect_err("nobody answers").to_string()).collect();
                assert_eq!(told.len(), 300);
                let expected = format!("the jump host {address} ended the connection while logging in");
                assert!(told.iter().all(|told| told.starts_with(&expected)), "{}", told[0]);
            }
            connections = counting => panic!("{connections} connections for what one would tell"),
        }
    }
}
