//! The ways to an sshd: from this process's own network, from a network namespace of this machine (a lab's), or
//! through a jump host.
//!
//! Keeps true: nothing but a connection is made in a namespace. A socket stays in the network that it was made in, so
//! one thread enters, connects, and is gone; hosts in a namespace and hosts outside of it are reached side by side.
//! Source: network_namespaces(7), setns(2).

use std::{fs::File, io, net::SocketAddr, os::fd::AsFd as _, path::Path, thread, time::Duration};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};

use super::{connect_error::ConnectError, jump::Jumps, ssh::Login};

/// A TCP connect to a host that is off hangs for minutes otherwise.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Bytes to and from an sshd.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The way to an sshd.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Dial {
    /// From this process's own network.
    Direct,
    Namespace(Namespace),
    /// Through a jump host, which has a way of its own.
    Jump(Box<Login>),
}

impl Dial {
    /// Connects to `address`, as it is seen from the way's end.
    pub async fn connect(&self, address: SocketAddr, jumps: &Jumps) -> Result<Box<dyn Stream>, ConnectError> {
        let dialled = match self {
            Dial::Direct => timeout(CONNECT_LIMIT, TcpStream::connect(address)).await.ok().transpose(),
            Dial::Namespace(namespace) => namespace.connect(address).await,
            Dial::Jump(jump) => return Ok(Box::new(jumps.forward(jump, address).await?)),
        };
        let unreachable = |why: String| ConnectError::Unreachable { address, why };
        let Some(stream) = dialled.map_err(|error| unreachable(error.to_string()))? else {
            return Err(unreachable(format!("no answer within {} s", CONNECT_LIMIT.as_secs())));
        };
        // Small requests and answers alternate: waiting to fill packets only costs time.
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        Ok(Box::new(stream))
    }
}

/// A network namespace by its name, as `ip netns` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(String);

impl Namespace {
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Whether a thread of this process can enter the namespace now.
    pub fn try_enter(&self) -> io::Result<()> {
        thread::scope(|scope| scope.spawn(|| self.enter()).join()).unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    /// Takes this thread in, for good.
    #[expect(clippy::disallowed_methods, reason = "each caller is a thread of its own, gone once it has connected")]
    fn enter(&self) -> io::Result<()> {
        let entered = File::open(Path::new("/run/netns").join(&self.0))
            .and_then(|file| Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?));
        entered.map_err(|error| {
            let what = format!(
                "cannot enter the network namespace {}: {error}; where a lab made it, boot the lab again with \
                 `evenkeel lab up`, and run as root",
                self.0
            );
            io::Error::new(error.kind(), what)
        })
    }

    /// Connects from within. None: nobody answered in time.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Option<TcpStream>> {
        let (namespace, (done, answer)) = (self.clone(), oneshot::channel());
        thread::Builder::new().name("dial".to_owned()).spawn(move || {
            let entered = namespace.enter();
            let connected = entered.and_then(|()| std::net::TcpStream::connect_timeout(&address, CONNECT_LIMIT));
            // Whoever asked may have given up.
            let _ = done.send(connected.and_then(|stream| stream.set_nonblocking(true).map(|()| stream)));
        })?;
        match answer.await.map_err(|_| io::Error::from(io::ErrorKind::Interrupted)).flatten() {
            Ok(stream) => TcpStream::from_std(stream).map(Some),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(error),
        }
    }
}
