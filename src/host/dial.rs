//! TCP connections to hosts, in the network where the hosts are: this process's own, or a namespace of a lab.
//!
//! Keeps true: nothing but these connections is made in there. A socket stays in the network that it was made in, so
//! one thread enters, connects, and is gone.
//! Source: network_namespaces(7), setns(2).

use std::{fs::File, io, net::SocketAddr, os::fd::AsFd as _, path::PathBuf, thread, time::Duration};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpStream, sync::oneshot, time::timeout};

/// A network namespace by its name, as `ip netns` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(PathBuf);

impl Namespace {
    /// One that can be entered now.
    pub fn open(name: &str) -> io::Result<Self> {
        let namespace = Self(PathBuf::from("/run/netns").join(name));
        let tried = namespace.clone();
        thread::spawn(move || tried.enter()).join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(namespace)
    }

    /// Takes this thread in, for good.
    fn enter(&self) -> io::Result<()> {
        let file = File::open(&self.0)?;
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

/// Connects within `limit`. None: the host did not answer in that time.
pub(super) async fn dial(
    address: SocketAddr,
    namespace: Option<&Namespace>,
    limit: Duration,
) -> io::Result<Option<TcpStream>> {
    let Some(namespace) = namespace else {
        return timeout(limit, TcpStream::connect(address)).await.ok().transpose();
    };
    let (namespace, (done, answer)) = (namespace.clone(), oneshot::channel());
    thread::Builder::new().name("dial".to_owned()).spawn(move || {
        let connected = namespace.enter().and_then(|()| std::net::TcpStream::connect_timeout(&address, limit));
        // Whoever asked may have given up.
        let _ = done.send(connected.and_then(|stream| stream.set_nonblocking(true).map(|()| stream)));
    })?;
    match answer.await.map_err(|_| io::Error::from(io::ErrorKind::Interrupted)).flatten() {
        Ok(stream) => TcpStream::from_std(stream).map(Some),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
        Err(error) => Err(error),
    }
}
