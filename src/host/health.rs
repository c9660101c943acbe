//! Health checks: their own channel, beside the root shell.
//!
//! HTTP and TCP go to 127.0.0.1 on the instance by SSH direct-tcpip, which works with sshd's defaults
//! and needs nothing on the host. Where sshd forbids forwarding, the probe falls to the root shell.
//!
//! Health goes beside the shell: HTTP or TCP to 127.0.0.1 on the host, by SSH direct-tcpip. That needs nothing on the
//! host and works with sshd's defaults. Where sshd forbids it, the root shell asks. A tunnel that fails is Unknown,
//! never unhealthy. A check that passes is proven (`host/proof.rs`): systemd calls the unit active, and the
//! listener's control group is the unit's. Who else answers makes nobody healthy. How long a process has to stay up,
//! and how many failed starts are an answer, is `model/run.rs`; the wait (`engine/observe/health.rs`), `status` and
//! the planner (`plan/ports.rs`, for a unit that keeps failing) judge by it. Just before a unit starts, the host
//! looks at its port once more.
//!
//! hyper for health. A health check is one request on a stream that is an SSH channel. reqwest wants to dial for
//! itself.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use russh::{ChannelOpenFailure, Error};
use tokio::time::timeout;

use super::{
    Health, HealthCheck,
    proof::Asked,
    quote::{assign, word},
    scripts::script,
    ssh::Session,
};
use crate::model::{budget::Budget, fleet::Check, text};

/// A round trip to the host must not count as the service's slowness.
const TUNNEL_LIMIT: Duration = Duration::from_secs(5);

/// What came of dialling through the tunnel.
pub(super) enum Dialled {
    Asked(Asked),
    /// sshd does not forward: ask on the host.
    Forbidden,
}

fn answered(health: Health) -> Dialled {
    Dialled::Asked(Asked::Answer(health))
}

pub(super) async fn dial(session: &Session, check: &HealthCheck) -> Dialled {
    let open = session.channel_open_direct_tcpip("127.0.0.1", u32::from(check.port), "127.0.0.1", 0);
    let channel = match timeout(TUNNEL_LIMIT, open).await {
        Err(_) => return answered(Health::Unknown("the tunnel does not open".to_owned())),
        Ok(Err(Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))) => {
            return Dialled::Asked(Asked::Deaf);
        }
        Ok(Err(Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => {
            return Dialled::Forbidden;
        }
        Ok(Err(error)) => return answered(Health::Unknown(format!("the tunnel does not open: {error}"))),
        Ok(Ok(channel)) => channel,
    };
    let Check::Http(path) = &check.check else { return answered(Health::Healthy) };
    let text = check.body.as_deref();
    let why = match timeout(check.timeout, get(channel.into_stream(), path, text)).await {
        Ok(Ok(answer)) => return answered(verdict(path, text, answer)),
        Ok(Err(why)) => format!("GET {path}: {why}"),
        Err(_) => format!("GET {path} did not answer within {} ms", check.timeout.as_millis()),
    };
    // What broke on the way there says nothing of the service.
    answered(if is_alive(session).await {
        Health::Unhealthy(why)
    } else {
        Health::Unknown(format!("{why}, and the connection to the host is broken"))
    })
}

async fn is_alive(session: &Session) -> bool {
    // A ping is also over when the connection is.
    matches!(timeout(TUNNEL_LIMIT, session.send_ping()).await, Ok(Ok(()))) && !session.is_closed()
}

/// The answer to a check.
struct Answer {
    status: u16,
    /// Whether its body has the text that is looked for; true where none is.
    has_text: bool,
}

fn verdict(path: &str, text: Option<&str>, answer: Answer) -> Health {
    let Answer { status, has_text } = answer;
    match text {
        _ if !(200..400).contains(&status) => Health::Unhealthy(format!("GET {path} answered {status}")),
        Some(text) if !has_text => {
            Health::Unhealthy(format!("GET {path} answered {status} without `{text}` in its body"))
        }
        _ => Health::Healthy,
    }
}

async fn get<S>(stream: S, path: &str, text: Option<&str>) -> Result<Answer, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let told = |error: hyper::Error| format!("{error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let request = Request::get(path)
        .header("host", "127.0.0.1")
        .header("user-agent", "evenkeel")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // The connection drives itself; it ends with the answer, or with the task when we stop waiting.
    let driver = tokio::spawn(connection);
    let answer = async {
        let answer = sender.send_request(request).await.map_err(told)?;
        let status = answer.status().as_u16();
        let has_text = match text {
            Some(text) => contains(answer.into_body(), text.as_bytes()).await.map_err(told)?,
            None => true,
        };
        Ok(Answer { status, has_text })
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// Whether a text stands in a body, as far as one is read. An answer that goes on after the text is not waited for.
async fn contains(mut body: Incoming, text: &[u8]) -> Result<bool, hyper::Error> {
    let limit = Budget::STANDARD.health_bytes;
    let mut read: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        // What was read before is searched again only where the text may have begun.
        let from = read.len().saturating_sub(text.len());
        read.extend(data.iter().take(limit - read.len()));
        if read[from..].windows(text.len()).any(|window| window == text) {
            return Ok(true);
        }
        if read.len() == limit {
            break;
        }
    }
    Ok(false)
}

/// That nothing listens on the loopback address, and who does elsewhere as far as is known.
pub(super) fn deaf(port: u16, listeners: Option<&str>) -> Health {
    let told = |line: &str| {
        let address = line.split_whitespace().nth(3)?;
        let process = line.split("((\"").nth(1)?.split('"').next()?;
        let pid = line.split("pid=").nth(1)?.split([',', ')']).next()?;
        address
            .ends_with(&format!(":{port}"))
            .then(|| text::of_host(&format!("; {address} is listened on by {process} (pid {pid})")))
    };
    let listening = listeners.unwrap_or_default().lines().filter(|line| line.starts_with("LISTEN"));
    let elsewhere: String = listening.filter_map(told).take(3).collect();
    let bind = if elsewhere.is_empty() { "" } else { "; have the service listen on 127.0.0.1, too" };
    Health::Unhealthy(format!("nothing listens on 127.0.0.1:{port}{elsewhere}{bind}"))
}

/// The check as a script for the root shell: commands, and what sshd forbids to forward.
pub(super) fn script(check: &HealthCheck) -> String {
    let seconds = check.timeout.as_secs_f64().max(0.1);
    let limits = assign("seconds", &seconds.to_string()) + &assign("port", &check.port.to_string());
    match &check.check {
        Check::Exec(words) => {
            let command = words.iter().enumerate().map(|(index, text)| {
                let text = match text.strip_prefix("./") {
                    // systemd wants the program by its absolute path.
                    Some(rest) if index == 0 => format!("{}/{rest}", check.directory),
                    _ => text.clone(),
                };
                // systemd expands variables in a command, and takes two `$` for one that is meant.
                word(&text.replace('$', "$$"))
            });
            let property = |property: String| ["-p".to_owned(), word(&property)];
            let runs_as = [format!("User={}", check.user), format!("WorkingDirectory={}", check.directory)];
            // systemd reads the environment files as it does for the service, and drops root.
            let env_files = check.env_files.iter().map(|path| format!("EnvironmentFile={path}"));
            // Its `/tmp` is the service's, where that has one of its own.
            let joins = format!("JoinsNamespaceOf={}", check.unit);
            let confined = check.confined_by.iter().map(|confinement| confinement.line().to_string());
            let properties = runs_as.into_iter().chain(env_files).chain([joins]).chain(confined);
            let properties = properties.chain([format!("RuntimeMaxSec={seconds}")]).flat_map(property);
            let words: Vec<String> = properties.chain(["--".to_owned()]).chain(command).collect();
            format!("set -- {}\n", words.join(" ")) + &script!("ask_command.sh")
        }
        Check::Http(path) => {
            let url = format!("http://127.0.0.1:{}{path}", check.port);
            limits
                + &assign("url", &url)
                + &assign("path", path)
                + &assign("text", check.body.as_deref().unwrap_or_default())
                + &assign("limit", &Budget::STANDARD.health_bytes.to_string())
                + &assign("get", &script!("get.bash"))
                + &script!("ask_http.sh")
        }
        Check::Tcp => limits + &script!("ask_tcp.sh"),
    }
}

/// What the script's end means. 127: the program needed for asking is not there.
pub(super) fn script_verdict(check: &HealthCheck, status: i32, output: &str) -> Health {
    let output = output.trim();
    match (&check.check, status) {
        (_, 0) => Health::Healthy,
        (Check::Http(_) | Check::Tcp, 127) => Health::Unknown(format!("sshd forbids forwarding, and {output}")),
        (Check::Exec(words), status) => {
            Health::Unhealthy(format!("`{}` ended with status {status}: {output:.300}", words.join(" ")))
        }
        (_, status) => Health::Unhealthy(format!("the check ended with status {status}: {output:.300}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use proptest::prelude::*;

    use super::*;

    fn check_of(check: Check) -> HealthCheck {
        HealthCheck {
            check,
            body: None,
            port: 80,
            timeout: Duration::from_secs(1),
            user: "nobody".to_owned(),
            directory: "/srv".to_owned(),
            env_files: Vec::new(),
            unit: "a@1.service".to_owned(),
            confined_by: BTreeSet::new(),
            held_by: None,
        }
    }

    /// What a program of this name is called with when a shell runs the check's script.
    fn called(program: &str, check: Check) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(program);
        // By a process of its own: what another test starts meanwhile would have the file open for writing, too, and
        // such a file cannot be run.
        let write = r#"printf '%s\n' '#!/bin/sh' 'printf "%s\\0" "$@"' >"$0" && chmod 755 "$0""#;
        assert!(Command::new("/bin/sh").args(["-c", write]).arg(&path).status().unwrap().success());
        let check = check_of(check);
        let script = script(&check);
        let output = Command::new("/bin/sh").args(["-c", &script]).env("PATH", folder.path()).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        words.split_terminator('\0').map(str::to_owned).collect()
    }

    /// A word as systemd.service(5) reads it: `$$` is a `$`, and one alone begins a variable.
    fn expanded(word: &str) -> Option<String> {
        let pairs = word.split("$$").map(|part| (!part.contains('$')).then_some(part));
        Some(pairs.collect::<Option<Vec<_>>>()?.join("$"))
    }

    /// Answers one request with this status line; what the check ends with, and what was asked.
    fn asked_without_curl(answer: &'static str, text: &str) -> (Option<i32>, String) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // bash sends line by line.
            let (mut request, mut piece) = (Vec::new(), [0; 500]);
            while !request.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request).into_owned()
        });
        let status = Command::new("bash")
            .args(["-c", &script!("get.bash"), &port, "/a%2Fb?c=d", text, "12"])
            .output()
            .unwrap()
            .status;
        (status.code(), server.join().unwrap())
    }

    #[test]
    fn where_there_is_no_curl_bash_asks() {
        let (status, request) = asked_without_curl("HTTP/1.1 204 No Content\r\n\r\n", "");
        assert_eq!(status, Some(0));
        assert!(request.starts_with("GET /a%2Fb?c=d HTTP/1.1\r\nHost: 127.0.0.1\r\n"), "{request}");
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.0 500 x\r\n\r\n", "SSH-2.0-x\r\n", ""] {
            assert_eq!(asked_without_curl(answer, "").0, Some(22), "{answer}");
        }
    }

    #[test]
    fn where_there_is_no_curl_a_text_is_looked_for_in_the_body_alone() {
        let (status, request) = asked_without_curl("HTTP/1.0 200 OK\r\nx: y\r\n\r\nall is well", "is well");
        assert_eq!(status, Some(0));
        assert!(request.starts_with("GET /a%2Fb?c=d HTTP/1.0\r\n"), "{request}");
        for text in ["x: y", "OK", "is.well", "well!"] {
            let answer = "HTTP/1.0 200 OK\r\nx: y\r\n\r\nall is well";
            assert_eq!(asked_without_curl(answer, text).0, Some(22), "{text}");
        }
        let late = "HTTP/1.0 200 OK\r\n\r\nafter twelve bytes";
        assert_eq!(asked_without_curl(late, "bytes").0, Some(22), "it is searched no further than it may be");
    }

    /// What the script for the root shell makes of an answer with this body.
    fn asked_by_script(body: &'static str, text: &str) -> (Option<i32>, String) {
        use std::io::{BufRead as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut check = check_of(Check::Http("/x".to_owned()));
        (check.port, check.body) = (listener.local_addr().unwrap().port(), Some(text.to_owned()));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}");
            }
        });
        let output = Command::new("/bin/sh").args(["-c", &script(&check)]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn where_sshd_forbids_forwarding_the_host_looks_for_the_text() {
        assert_eq!(asked_by_script("all is `well` 'now'", "`well` 'now'"), (Some(0), String::new()));
        let (status, said) = asked_by_script("all is well", "-e all");
        assert_eq!((status, said.trim()), (Some(22), "GET /x answered without `-e all` in its body"));
    }

    /// Whether the text is found in an answer that comes in these pieces.
    async fn found(pieces: &[&[u8]], text: &str) -> Result<bool, String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let server = async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(theirs.read_u8().await.unwrap());
            }
            theirs.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            for piece in pieces {
                theirs.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
                theirs.write_all(piece).await.unwrap();
                theirs.write_all(b"\r\n").await.unwrap();
            }
            // It never ends.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = get(ours, "/", Some(text)) => answer.map(|answer| answer.has_text),
            () = server => unreachable!(),
            () = tokio::time::sleep(Duration::from_secs(5)) => Err("it waits".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_text_is_found_across_pieces_and_no_answer_is_read_for_ever() {
        assert_eq!(found(&[b"all i", b"s w", b"ell"], "is well").await, Ok(true));
        static LONG: [u8; 200_000] = [b'x'; 200_000];
        assert_eq!(found(&[&LONG, b"is well"], "is well").await, Ok(false));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_command_arrives_as_it_is_declared(odd in "[^\0]{0,12}|[-$`'\"\\\\%\n ;{}a]{0,12}") {
            let words = called("systemd-run", Check::Exec(vec!["./check".to_owned(), odd.clone(), "-x".to_owned()]));
            let from = words.iter().position(|word| word == "--").unwrap() + 1;
            let command: Option<Vec<String>> = words[from..].iter().map(|word| expanded(word)).collect();
            prop_assert_eq!(command, Some(vec!["/srv/check".to_owned(), odd, "-x".to_owned()]));
        }

        #[test]
        fn a_path_is_asked_for_as_it_is_declared(path in "/[A-Za-z0-9/._~!$&'()*+,;=:@%?-]{0,12}") {
            let words = called("curl", Check::Http(path.clone()));
            prop_assert!(words.contains(&"--path-as-is".to_owned()));
            prop_assert_eq!(words.last(), Some(&format!("http://127.0.0.1:80{path}")));
        }
    }
}
