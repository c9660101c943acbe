//! A proxy, as it stands between a company and the world: whoever asks it to connect is led through it.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use super::tls::NAME;

/// Behind it a server is called [`NAME`], and there is nothing else. `to`: where that is, as `https://HOST:PORT`.
/// Answers the proxy's address, and what it is asked for.
pub fn leads(to: &str) -> (String, Receiver<String>) {
    let to = to.strip_prefix("https://").expect("it is HTTPS").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (to, tell) = (to.clone(), tell.clone());
            // A connection that breaks off is the client's to tell.
            thread::spawn(move || drop(leads_on(stream, &to, &tell)));
        }
    });
    (address, told)
}

fn leads_on(mut stream: TcpStream, to: &str, tell: &Sender<String>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let asked = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let is_there = asked == format!("CONNECT {NAME}:443 HTTP/1.1");
    tell.send(asked).map_err(io::Error::other)?;
    if !is_there {
        return stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    }
    let mut there = TcpStream::connect(to)?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut back, mut here) = (there.try_clone()?, stream.try_clone()?);
    thread::spawn(move || io::copy(&mut back, &mut here));
    io::copy(&mut stream, &mut there).map(|_| ())
}
