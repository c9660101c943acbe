//! The webhook of a running daemon.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    thread,
    time::Duration,
};

use evenkeel::model::event::EventName;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::process::Signal;
use sha2::Sha256;

use crate::daemon::{Config, Daemon, EVENKEEL, PATIENCE, assert_is, wait_for};

/// The status of an HTTP answer, asked with bytes as they come over the wire.
fn ask(address: &str, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is a time");
    stream.write_all(request.as_bytes()).expect("the daemon reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the daemon answers and closes");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer}"))
}

fn deliver(address: &str, id: &str, secret: &str, body: &str) -> u16 {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is taken");
    let bytes = mac.chain_update(body.as_bytes()).finalize().into_bytes();
    let signature: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = format!(
        "POST /webhook/github HTTP/1.1\r\nHost: {address}\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {id}\r\n\
         X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(address, &request)
}

fn listening(daemon: &Daemon) -> String {
    daemon.tells(EventName::WebhookListening)["address"].as_str().expect("a text").to_owned()
}

#[test]
fn a_signed_push_makes_the_daemon_fetch_and_a_strangers_does_not() {
    let config = Config::new();
    fs::write(config.path("secret"), "s3cret\n").expect("it can be written");
    let secret_file = config.path("secret").display().to_string();
    let mut daemon = config.run(&["--listen", "127.0.0.1:0", "--webhook-secret-file", &secret_file]);
    let address = listening(&daemon);
    assert_is("the answer of /healthz", ask(&address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
    let first = wait_for("the first fetch", || config.fetched());

    let commit = config.commit_unseen();
    assert_is(
        "the answer to a stranger",
        deliver(&address, "1", "a guess", r#"{"ref":"refs/heads/main","before":"1","after":"2","deleted":false}"#),
        401,
    );
    daemon.tells(EventName::WebhookRefused);
    thread::sleep(Duration::from_secs(1));
    assert_is("what is fetched, with nothing to wake the loop,", config.fetched(), Some(first));

    assert_is(
        "the answer",
        deliver(
            &address,
            "1",
            "s3cret",
            r#"{"ref":"refs/heads/m\u001b[31main","before":"1","after":"2","deleted":false}"#,
        ),
        202,
    );
    wait_for("the commit being fetched", || (config.fetched().as_ref() == Some(&commit)).then_some(()));
    let told = daemon.tells(EventName::WebhookPushed);
    assert_is("the delivery", told["delivery"].as_str(), Some("1"));
    assert_is("the branch", told["reference"].as_str(), Some("refs/heads/m\u{1b}[31main"));

    daemon.signal(Signal::TERM);
    assert_is("the exit code", daemon.ends().code(), Some(0));
    assert!(TcpStream::connect(&address).is_err(), "somebody still listens");
    assert!(!daemon.lines().concat().contains("s3cret"), "the secret is in the log");
}

#[test]
fn a_webhook_without_a_usable_secret_is_refused() {
    let config = Config::new();
    fs::write(config.path("empty"), "\n").expect("it can be written");
    for name in ["empty", "missing"] {
        let file = config.path(name).display().to_string();
        let mut daemon = config.run(&["--listen", "127.0.0.1:0", "--webhook-secret-file", &file]);
        assert_is("the exit code", daemon.ends().code(), Some(1));
        daemon.wait_for_line(&file);
        daemon.wait_for_line("--webhook-secret-file");
    }
    for half in [["--listen", "127.0.0.1:0"], ["--webhook-secret-file", "secret"]] {
        let output = Command::new(EVENKEEL).arg("run").args(half).output().expect("evenkeel runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_is("the exit code", output.status.code(), Some(1));
        assert!(said.contains("--listen <ADDR:PORT>") && said.contains("--webhook-secret-file <FILE>"), "{said}");
    }
}
