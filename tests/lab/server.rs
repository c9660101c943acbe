//! Servers that a config repository is reached through: git's own, and one that makes no sense.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

/// Serves until the tests end.
pub struct Server {
    pub address: SocketAddr,
}

impl Server {
    /// git's server program behind HTTP.
    pub fn git(root: PathBuf) -> Self {
        Self::start(loopback(), move |stream| _ = backend(&root, stream))
    }

    /// Answers every request with the bytes.
    pub fn nonsense(bytes: &'static [u8]) -> Self {
        Self::start(loopback(), babble(bytes))
    }

    /// As [`Self::nonsense`], at an address that others than this machine use. None where it has no network.
    pub fn outward(bytes: &'static [u8]) -> Option<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        // Nothing is sent: the kernel says which address it would send from.
        socket.connect("198.51.100.1:9").ok()?;
        let address = socket.local_addr().ok()?.ip();
        Some(Self::start(TcpListener::bind((address, 0)).ok()?, babble(bytes)))
    }

    fn start(listener: TcpListener, answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.clone();
                thread::spawn(move || answer(stream));
            }
        });
        Self { address }
    }

    /// The address of the repository `config.git` there.
    pub fn repository(&self) -> String {
        format!("http://{}/config.git", self.address)
    }
}

fn babble(bytes: &'static [u8]) -> impl Fn(TcpStream) + Send + Sync + 'static {
    move |mut stream| {
        let mut request = [0; 4096];
        // Whoever has gone by now is told nothing.
        let _ = stream.read(&mut request).and_then(|_| stream.write_all(bytes));
    }
}

/// One request, as a CGI program gets it.
fn backend(root: &std::path::Path, mut stream: TcpStream) -> Option<()> {
    let (head, body) = request(&mut stream)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut git = Command::new("git");
    git.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    git.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", method).env("REMOTE_USER", "evenkeel");
    git.env("CONTENT_LENGTH", body.len().to_string()).env("CONTENT_TYPE", header("content-type").unwrap_or_default());
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut input = child.stdin.take()?;
    // Both at once: each pipe is small.
    let fed = thread::spawn(move || input.write_all(&body));
    let answer = child.wait_with_output().ok()?.stdout;
    let _ = fed.join();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = headers.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let body = &answer[end + 4..];
    let head = format!("HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok()
}

/// A request's first line with its headers, and its body.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut chunk = [0; 65536];
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let length = length.unwrap_or(0);
            if read.len() >= end + 4 + length {
                return Some((head, read[end + 4..end + 4 + length].to_vec()));
            }
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            some => read.extend_from_slice(&chunk[..some]),
        }
    }
}

fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("loopback has a port")
}
