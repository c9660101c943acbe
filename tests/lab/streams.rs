//! Clients that take long: event streams, uploads, WebSockets, and connections that say nothing for a while.
//!
//! Each goes on for about two seconds, again and again, and tells of whatever does not end as it should.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::world::{Host, World};

/// So large is an upload.
const UPLOAD: usize = 20 << 20;

/// Clients of one port.
pub struct Streams {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Ended>>,
}

/// How often what clients did ended well, and what did not.
#[derive(Debug, Default)]
pub struct Ended {
    pub well: u64,
    pub lost: Vec<String>,
}

type Client = fn(SocketAddr, &str) -> Result<(), String>;

impl Streams {
    pub fn start(world: &World, host: &Host, port: u16, domain: &'static str) -> Self {
        let address = address(host, port);
        let stop = Arc::new(AtomicBool::new(false));
        let clients: [Client; 3] = [events, upload, socket];
        let clients = clients.map(|client| {
            let (lab, stop) = (world.lab.clone(), stop.clone());
            thread::spawn(move || {
                lab.enter().expect("the lab is up");
                let mut ended = Ended::default();
                while !stop.load(Ordering::Relaxed) {
                    match client(address, domain) {
                        Ok(()) => ended.well += 1,
                        Err(why) => ended.lost.push(why),
                    }
                }
                ended
            })
        });
        Self { stop, clients: clients.into() }
    }

    pub fn end(self) -> Ended {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Ended::default();
        for client in self.clients {
            let ended = client.join().expect("a client does not panic");
            all.well += ended.well;
            all.lost.extend(ended.lost);
        }
        all
    }
}

/// Connections that are open, and on which nothing was said yet.
pub struct Silent(Vec<TcpStream>, &'static str);

impl Silent {
    pub fn open(world: &World, host: &Host, port: u16, domain: &'static str, number: usize) -> Self {
        let (lab, address) = (world.lab.clone(), address(host, port));
        let opened = thread::spawn(move || {
            lab.enter().expect("the lab is up");
            (0..number).map(|_| connected(address).expect("a connection")).collect()
        });
        Self(opened.join().expect("it does not panic"), domain)
    }

    /// Asks on each for the first time. What is not answered well.
    pub fn ask(self) -> Vec<String> {
        let Self(connections, domain) = self;
        let ask = |mut stream: TcpStream| {
            let method = "POST /x HTTP/1.1";
            let said = format!("{method}\r\nHost: {domain}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody");
            stream.write_all(said.as_bytes()).map_err(|error| error.to_string())?;
            let answer = all_of(&mut stream)?;
            if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(first_line(&answer)) }
        };
        connections.into_iter().filter_map(|stream| ask(stream).err()).collect()
    }
}

fn address(host: &Host, port: u16) -> SocketAddr {
    (host.address.parse::<Ipv4Addr>().expect("an address"), port).into()
}

fn connected(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is not nothing");
    Ok(stream)
}

fn all_of(stream: &mut TcpStream) -> Result<String, String> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).map_err(|error| format!("it breaks off: {error}"))?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn first_line(answer: &str) -> String {
    answer.lines().next().unwrap_or("nothing was answered").to_owned()
}

fn events(address: SocketAddr, domain: &str) -> Result<(), String> {
    let mut stream = connected(address)?;
    let asked = format!("GET /events HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).map_err(|error| format!("events: {error}"))?;
    let answer = all_of(&mut stream)?;
    if answer.contains("event 9") && answer.ends_with("0\r\n\r\n") {
        return Ok(());
    }
    let came = answer.matches("event ").count();
    Err(format!("events: {came} of 10 came, after {}", first_line(&answer)))
}

fn upload(address: SocketAddr, domain: &str) -> Result<(), String> {
    let mut stream = connected(address)?;
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\nContent-Length: {UPLOAD}\r\n\r\n");
    let failed = |error: std::io::Error| format!("upload: {error}");
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let chunk = vec![b'x'; UPLOAD / 20];
    for _ in 0..20 {
        stream.write_all(&chunk).map_err(failed)?;
        thread::sleep(Duration::from_millis(100));
    }
    let answer = all_of(&mut stream)?;
    if answer.contains(&format!("{UPLOAD} bytes")) { Ok(()) } else { Err(format!("upload: {}", first_line(&answer))) }
}

fn socket(address: SocketAddr, domain: &str) -> Result<(), String> {
    let mut stream = connected(address)?;
    let failed = |error: std::io::Error| format!("WebSocket: {error}");
    let head = format!(
        "GET /socket HTTP/1.1\r\nHost: {domain}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(failed)?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if !answer.starts_with("HTTP/1.1 101") {
        return Err(format!("WebSocket: {}", first_line(&answer)));
    }
    for number in 0..20_u8 {
        // A text of one byte, masked with zeros.
        stream.write_all(&[129, 129, 0, 0, 0, 0, number]).map_err(failed)?;
        let mut back = [0; 3];
        stream.read_exact(&mut back).map_err(failed)?;
        if back != [129, 1, number] {
            return Err(format!("WebSocket: {back:?} came back"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    stream.write_all(&[136, 128, 0, 0, 0, 0]).map_err(failed)
}
