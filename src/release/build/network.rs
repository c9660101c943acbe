//! A build's network: a sandbox without one, in which a port leads to evenkeel's proxy out here.
//!
//! Owns both ends. The sandbox's first program is this very one, with a hidden command: it opens the port in there, hands
//! the listener out over a socket, and becomes the build's command. A socket stays in the network that it was made in,
//! so whoever connects to it in there is answered out here.
//! Source: unix(7) `SCM_RIGHTS`, network_namespaces(7).

use std::{
    fs, io,
    net::{Ipv4Addr, Shutdown, TcpListener},
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
};

use hyper_util::client::proxy::matcher::Matcher;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio_util::sync::CancellationToken;

use super::proxy::{Proxy, Unreached};
use crate::model::event::logged;

/// The hidden command, for the sandbox's first program.
pub const ENTER_BUILD: &str = "internal-enter-build";
/// Where this program lies in the sandbox.
pub const PROGRAM: &str = "/run/evenkeel";
/// Nobody else is in a network that was made for one build.
const PORT: u16 = 3128;

/// What package managers and their like read. Node's own `fetch` reads them where it is told to (v22.21, v24); Yarn 2
/// and later has names of its own.
pub fn variables() -> Vec<(&'static str, String)> {
    let proxy = format!("http://127.0.0.1:{PORT}");
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "YARN_HTTP_PROXY", "YARN_HTTPS_PROXY"];
    let here = ["NO_PROXY", "no_proxy"].map(|name| (name, "localhost,127.0.0.1,::1".to_owned()));
    let mut variables: Vec<(&str, String)> = names.map(|name| (name, proxy.clone())).into();
    variables.extend(here);
    variables.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
    variables
}

/// The way out of one build, open for as long as this lives.
pub struct Network {
    ours: UnixStream,
    theirs: Option<UnixStream>,
    program: PathBuf,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
    unreached: Unreached,
}

impl Network {
    /// Puts `program` into `folder`, from where the sandbox takes it: where it lies itself the build's user may not get to.
    pub fn open(program: &Path, folder: &Path) -> io::Result<Self> {
        let copy = folder.join("evenkeel");
        fs::copy(program, &copy)?;
        fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o555))?;
        let (ours, theirs) = UnixStream::pair()?;
        let (stop, proxy) = (CancellationToken::new(), Proxy::new(Matcher::from_system()));
        let (unreached, socket, stopped) = (proxy.unreached.clone(), ours.try_clone()?, stop.clone());
        let serving = thread::Builder::new().name("build-proxy".to_owned()).spawn(move || {
            // Without one the sandbox never began, which its own words tell.
            let Ok(Some(listener)) = receive(&socket) else { return };
            if let Err(error) = serve(proxy, listener, &stopped) {
                tracing::warn!(event = logged::BUILD_OFFLINE, "a build has no network any more: {error}");
            }
        })?;
        Ok(Self { ours, theirs: Some(theirs), program: copy, stop, serving: Some(serving), unreached })
    }

    /// This program, as the sandbox is to have it.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The socket that the sandbox's first program is to have.
    pub fn socket(&self) -> Option<RawFd> {
        self.theirs.as_ref().map(|socket| socket.as_raw_fd())
    }

    /// Closes our copy, once the sandbox has its own: `receive` ends when the last copy is closed.
    pub fn handed_over(&mut self) {
        self.theirs = None;
    }

    pub fn unreached(&self) -> &Unreached {
        &self.unreached
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop.cancel();
        // Fails where the sandbox has closed its end already; `receive` has ended then.
        let _ = self.ours.shutdown(Shutdown::Both);
        if let Some(serving) = self.serving.take() {
            // A panic of that thread is printed by itself.
            let _ = serving.join();
        }
    }
}

fn serve(proxy: Proxy, listener: TcpListener, stop: &CancellationToken) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = proxy.serve(listener) => ended.map(|never| match never {}),
        }
    })
}

/// The listener that the sandbox hands out. None: it ended before.
fn receive(socket: &UnixStream) -> io::Result<Option<TcpListener>> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [io::IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let files = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok(files.into_iter().flatten().next().map(TcpListener::from))
}

/// In the sandbox: opens the port, hands it out on descriptor `socket`, and becomes `command`. Comes back with an error only.
pub fn enter(socket: RawFd, command: &[String]) -> io::Error {
    // SAFETY: whoever started this process left the descriptor open for it, and nothing else here has it.
    let socket = UnixStream::from(unsafe { OwnedFd::from_raw_fd(socket) });
    if let Err(error) = hand_out(&socket) {
        return error;
    }
    drop(socket);
    match command {
        [program, arguments @ ..] => Command::new(program).args(arguments).exec(),
        [] => io::ErrorKind::InvalidInput.into(),
    }
}

fn hand_out(socket: &UnixStream) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [listener.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[io::IoSlice::new(b"1")], &mut control, SendFlags::empty())?;
    Ok(())
}
