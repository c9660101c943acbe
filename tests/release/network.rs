//! Builds with `network: true`: they reach other machines through evenkeel's proxy, and nothing else.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use evenkeel::model::build::Build;

use crate::{
    builds::{build, build_cache, make_in, text},
    needs::lacks,
    world::World,
};

/// Says in bash what the proxy answers: the status, and the last line of the body.
const ASK: &str = r#"
ask() {
    exec 3<>/dev/tcp/127.0.0.1/3128 && printf '%s\r\nHost: x\r\nConnection: close\r\n\r\n' "$1" >&3 &&
        read -r _ status _ <&3 && echo "$status $(tail -n 1 <&3)"
}
tunnel() {
    exec 3<>/dev/tcp/127.0.0.1/3128 && printf 'CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n' "$1" >&3 &&
        read -r _ status _ <&3 && while read -r line && [ "$line" != $'\r' ]; do :; done <&3 &&
        case $status in 200) printf 'GET / HTTP/1.0\r\n\r\n' >&3 ;; esac && echo "$status $(tail -n 1 <&3)"
}
"#;

fn in_bash(script: &str) -> String {
    format!("bash -c '{}'", format!("{ASK}\n{script}").replace('\'', r"'\''"))
}

/// What a build with a network says, and its log.
fn says(world: &World, script: &str) -> (String, String) {
    let run = format!("mkdir out && {} >out/said", in_bash(script));
    let made =
        make_in(&build_cache(world), &Build { network: true, ..build(&run) }).unwrap_or_else(|error| panic!("{error}"));
    (text(&made, "said"), made.log.to_string())
}

/// A web server at an address of this machine, which counts who comes.
struct Server {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Server {
    fn at(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port is free");
        let (port, visits) = (listener.local_addr().expect("it has one").port(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&visits);
        // Ends with the test's process.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                seen.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 1024];
                let read = stream.read(&mut head).unwrap_or(0);
                let asked = String::from_utf8_lossy(&head[..read]).into_owned();
                let line = asked.lines().next().unwrap_or_default();
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nit was asked {line}\n");
            }
        });
        Self { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// An address of this machine that other machines would use. None where it has no network.
fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel says which address it would send from.
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn a_build_with_a_network_reaches_other_machines() {
    if lacks(&["bwrap"]) {
        return;
    }
    let Some(address) = outward() else { return };
    let (world, server) = (World::new(), Server::at(address));
    let there = format!("{address}:{}", server.port);
    let (said, log) = says(&world, &format!("ask 'GET http://{there}/a?b=c HTTP/1.1'; tunnel {there}"));
    assert_eq!(said, "200 it was asked GET /a?b=c HTTP/1.1\n200 it was asked GET / HTTP/1.0\n", "{log}");
    assert_eq!(server.visits(), 2);
}

#[test]
fn a_build_that_another_machine_does_not_answer_says_nothing_of_the_commit() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    // A name that no resolver knows (RFC 6761), and an address that no build may reach.
    for (host, is_of_the_build) in [("registry.invalid", false), ("127.0.0.1", true)] {
        let run = in_bash(&format!("ask 'GET http://{host}:9/ HTTP/1.1'; false"));
        let error = make_in(&build_cache(&world), &Build { network: true, ..build(&run) }).expect_err("it fails");
        assert_eq!(error.is_of_the_build(), is_of_the_build, "{host}: {error}");
    }
}

#[test]
fn programs_find_the_way_out_in_their_environment_whatever_the_build_sets() {
    if lacks(&["bwrap"]) {
        return;
    }
    let world = World::new();
    let names = "HTTPS_PROXY https_proxy HTTP_PROXY http_proxy YARN_HTTPS_PROXY";
    let elsewhere = Build {
        network: true,
        env: [("HTTPS_PROXY".to_owned(), "http://10.0.0.1:1".to_owned())].into(),
        ..build(&format!("mkdir out && for name in {names}; do eval \"echo \\$$name\"; done | uniq >out/said"))
    };
    let made = make_in(&build_cache(&world), &elsewhere).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(text(&made, "said"), "http://127.0.0.1:3128\n");
}

#[test]
fn a_build_with_a_network_reaches_neither_this_machine_nor_its_link() {
    if lacks(&["bwrap"]) {
        return;
    }
    let (world, server) = (World::new(), Server::at([127, 0, 0, 1].into()));
    let port = server.port;
    let targets = [
        format!("127.0.0.1:{port}"),
        format!("127.1.2.3:{port}"),
        format!("localhost:{port}"),
        format!("0.0.0.0:{port}"),
        format!("2130706433:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[64:ff9b::7f00:1]:{port}"),
        "169.254.169.254:80".to_owned(),
        "[::ffff:169.254.169.254]:80".to_owned(),
    ];
    let asks = targets.iter().map(|to| format!("ask 'GET http://{to}/ HTTP/1.1'; tunnel {to}\n"));
    let straight = format!("(: </dev/tcp/127.0.0.1/{port}) 2>/dev/null || echo straight: no\n");
    let devices = "grep -o '^ *[a-z0-9]*:' /proc/net/dev | tr -d ' :'\n".to_owned();
    let (said, log) = says(&world, &asks.chain([straight, devices]).collect::<String>());
    let lines: Vec<&str> = said.lines().collect();
    let (asked, rest) = lines.split_at(2 * targets.len());
    for (line, to) in asked.iter().zip(targets.iter().flat_map(|to| [to, to])) {
        assert!(
            line.starts_with("403 evenkeel: ") && line.ends_with("a build reaches other machines only"),
            "{to}: {line}"
        );
    }
    assert_eq!(rest, ["straight: no", "lo"]);
    assert_eq!(server.visits(), 0);
    assert!(log.contains("evenkeel: 169.254.169.254:80 is not reached: "), "{log}");
}
