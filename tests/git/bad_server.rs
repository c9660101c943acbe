//! Servers that take a connection and do not know what to say.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// What is done with each connection.
#[derive(Clone)]
pub enum Manner {
    Hangup,
    /// Says this, and then listens until the other side hangs up.
    Says(Vec<u8>),
    /// Says this again and again, with a pause.
    Repeats(&'static [u8], Duration),
}

pub struct BadServer {
    pub port: u16,
    hung_up: Receiver<()>,
}

impl BadServer {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (tell, hung_up) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (manner, tell) = (manner.clone(), tell.clone());
                std::thread::spawn(move || {
                    serve(stream, &manner);
                    // Nobody may be left who wants to know.
                    let _ = tell.send(());
                });
            }
        });
        Self { port, hung_up }
    }

    /// Whether the other side has let go of a connection.
    pub fn was_let_go(&self) -> bool {
        self.hung_up.recv_timeout(Duration::from_secs(10)).is_ok()
    }
}

/// Returns when the connection is over: a broken one ends each of these.
fn serve(mut stream: TcpStream, manner: &Manner) {
    match manner {
        Manner::Hangup => {}
        Manner::Says(text) => {
            let said = stream.write_all(text);
            let mut ignored = [0; 1024];
            while said.is_ok() && matches!(stream.read(&mut ignored), Ok(1..)) {}
        }
        Manner::Repeats(text, pause) => {
            while stream.write_all(text).is_ok() {
                std::thread::sleep(*pause);
            }
        }
    }
}
