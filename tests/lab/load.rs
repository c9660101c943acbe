//! Browsers at full speed: what is asked for is a page, then what that page needs.
//!
//! A request is *lost* when its answer is none of 2xx, when a fresh connection is refused or reset, or when an
//! answer breaks off. A connection that is closed before the answer to a later request has begun is not: a
//! client asks again (RFC 9112, 9.3.1). `wrk` cannot tell these apart: to it every closed connection is an error,
//! and it reads no page to find out what to ask for next. It is used where not even a connection is closed.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Host, World};

/// What is asked for once a page has come, told by the page.
pub type Follow = fn(&str) -> Vec<String>;

/// So many browsers ask at once.
pub const BROWSERS: usize = 6;

/// So many requests are made on a connection that stays open.
const ON_ONE: usize = 40;

pub struct Load {
    stop: Arc<AtomicBool>,
    browsers: Vec<JoinHandle<Count>>,
}

#[derive(Debug, Default)]
pub struct Count {
    pub answers: u64,
    pub fresh: u64,
    /// Connections that were closed while they were idle.
    pub closed: u64,
    /// Of these, those that a POST met, which nobody repeats.
    pub broken: u64,
    pub lost: Vec<String>,
    /// When the first and when the last request was lost.
    lost_between: Option<(Instant, Instant)>,
}

impl Count {
    /// How long requests were lost.
    pub fn lost_for(&self) -> Duration {
        self.lost_between.map_or(Duration::ZERO, |(first, last)| last - first)
    }
}

impl Load {
    /// Half of the browsers open a connection for each request, the others keep theirs.
    pub fn start(world: &World, host: &Host, domain: &'static str, page: &'static str, follow: Follow) -> Self {
        Self::begin(world, host, 80, domain, page, follow, |_| "GET")
    }

    /// As [`Self::start`], and of each kind of browser some post.
    pub fn with_posts(world: &World, host: &Host, domain: &'static str, page: &'static str) -> Self {
        Self::at_port(world, host, 80, domain, page)
    }

    /// The same at another port than a browser's.
    pub fn at_port(world: &World, host: &Host, port: u16, domain: &'static str, page: &'static str) -> Self {
        let method = |number: usize| if number < BROWSERS / 2 { "GET" } else { "POST" };
        // Between two that take long, some that do not.
        Self::begin(world, host, port, domain, page, |_| vec!["/x".to_owned(); 4], method)
    }

    fn begin(
        world: &World,
        host: &Host,
        port: u16,
        domain: &'static str,
        page: &'static str,
        follow: Follow,
        method: fn(usize) -> &'static str,
    ) -> Self {
        let address: Ipv4Addr = host.address.parse().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let browsers = (0..BROWSERS).map(|number| {
            let (lab, stop) = (world.lab.clone(), stop.clone());
            thread::spawn(move || {
                lab.enter().expect("the lab is up");
                let mut browser = Browser {
                    address: (address, port).into(),
                    domain,
                    method: method(number),
                    on_one: if number % 2 == 0 { 1 } else { ON_ONE },
                    connection: None,
                    count: Count::default(),
                };
                while !stop.load(Ordering::Relaxed) {
                    let Some(text) = browser.get(page) else { continue };
                    for path in follow(&text) {
                        browser.get(&path);
                    }
                }
                browser.count
            })
        });
        Self { browsers: browsers.collect(), stop }
    }

    pub fn end(self) -> Count {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Count::default();
        for browser in self.browsers {
            let count = browser.join().expect("a browser does not panic");
            all.answers += count.answers;
            all.fresh += count.fresh;
            all.closed += count.closed;
            all.broken += count.broken;
            all.lost.extend(count.lost);
            let both = all.lost_between.into_iter().chain(count.lost_between);
            all.lost_between = both.reduce(|(first, last), (other, later)| (first.min(other), last.max(later)));
        }
        all
    }
}

struct Browser {
    address: SocketAddr,
    domain: &'static str,
    method: &'static str,
    on_one: usize,
    /// With how many requests were made on it.
    connection: Option<(TcpStream, usize)>,
    count: Count,
}

/// How a request ended that has no answer.
enum Failed {
    /// Nothing of an answer had come.
    Closed,
    Lost(String),
}

impl Browser {
    /// The body of a good answer.
    fn get(&mut self, path: &str) -> Option<String> {
        loop {
            let kept = self.connection.take().filter(|(stream, _)| !is_closed(stream));
            let is_fresh = kept.is_none();
            let answer = match kept {
                Some((stream, used)) => self.ask(stream, used, path),
                None => match TcpStream::connect_timeout(&self.address, Duration::from_secs(5)) {
                    Ok(stream) => self.ask(stream, 0, path),
                    Err(error) => Err(Failed::Lost(format!("no connection: {error}"))),
                },
            };
            self.count.fresh += u64::from(is_fresh);
            match answer {
                Ok(body) => {
                    self.count.answers += 1;
                    return Some(body);
                }
                Err(Failed::Closed) if !is_fresh => {
                    self.count.closed += 1;
                    if self.method == "POST" {
                        self.count.broken += 1;
                        return None;
                    }
                }
                Err(Failed::Closed) => return self.lost(path, "a fresh connection was closed without an answer"),
                Err(Failed::Lost(why)) => return self.lost(path, &why),
            }
        }
    }

    fn lost(&mut self, path: &str, why: &str) -> Option<String> {
        self.count.lost.push(format!("{path}: {why}"));
        let now = Instant::now();
        self.count.lost_between = Some((self.count.lost_between.map_or(now, |(first, _)| first), now));
        None
    }

    fn ask(&mut self, mut stream: TcpStream, used: usize, path: &str) -> Result<String, Failed> {
        let last = used + 1 >= self.on_one;
        let connection = if last { "close" } else { "keep-alive" };
        let Self { domain, method, .. } = self;
        let body = if *method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: {connection}\r\n{body}");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is not nothing");
        stream.set_nodelay(true).expect("it is TCP");
        stream.write_all(request.as_bytes()).map_err(|_| Failed::Closed)?;
        let mut read = Vec::new();
        let mut chunk = [0; 16384];
        let (head, begins) = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break (String::from_utf8_lossy(&read[..end]).into_owned(), end + 4);
            }
            match some_of(&mut stream, &mut chunk) {
                Ok(0) if read.is_empty() => return Err(Failed::Closed),
                Err(error) if read.is_empty() && error.kind() == ErrorKind::ConnectionReset => {
                    return Err(Failed::Closed);
                }
                Ok(0) => return Err(Failed::Lost("the answer breaks off in its head".to_owned())),
                Ok(some) => read.extend_from_slice(&chunk[..some]),
                Err(error) => return Err(Failed::Lost(format!("no answer: {error}"))),
            }
        };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let length: usize = header("Content-Length").and_then(|text| text.parse().ok()).expect("answers have a length");
        while read.len() < begins + length {
            match some_of(&mut stream, &mut chunk) {
                Ok(some) if some > 0 => read.extend_from_slice(&chunk[..some]),
                other => return Err(Failed::Lost(format!("the answer breaks off: {other:?}"))),
            }
        }
        if !head.starts_with("HTTP/1.1 2") {
            return Err(Failed::Lost(head.lines().next().unwrap_or_default().to_owned()));
        }
        if !last && header("Connection").as_deref() != Some("close") {
            self.connection = Some((stream, used + 1));
        }
        Ok(String::from_utf8_lossy(&read[begins..begins + length]).into_owned())
    }
}

/// Whether the server has closed a connection that nothing is asked on, as far as it has been heard of.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("it is TCP");
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("it is TCP");
    !matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// A signal to this process says nothing of the server.
fn some_of(stream: &mut TcpStream, chunk: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// `wrk` on one page, as fast as it can.
pub struct Wrk(Child);

impl Wrk {
    pub fn start(world: &World, host: &Host, domain: &str) -> Self {
        let (lab, address) = (world.lab.clone(), host.address.clone());
        let host = format!("Host: {domain}");
        // A command is run in the network of the thread that starts it.
        let started = thread::spawn(move || {
            lab.enter().expect("the lab is up");
            let mut wrk = Command::new("wrk");
            wrk.args(["--threads", "2", "--connections", "32", "--duration", "10m", "--header", &host]);
            // The port in figures: a name needs /etc/services, which a minimal Debian has not.
            wrk.arg(format!("http://{address}:80/")).stdin(Stdio::null()).stdout(Stdio::piped());
            Self(wrk.spawn().expect("wrk is installed"))
        });
        started.join().expect("it does not panic")
    }

    /// What it says at the end.
    pub fn end(mut self) -> String {
        kill_process(Pid::from_child(&self.0), Signal::INT).expect("wrk runs");
        let mut said = String::new();
        self.0.stdout.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
        said
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        // It has ended, unless the statement failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
