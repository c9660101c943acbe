//! `status --watch` beside a running daemon: it is told of each change, and asks for none.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use evenkeel::model::event::EventName;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    daemon::{Config, EVENKEEL, PATIENCE, assert_is},
    environments::{both, follow},
};

/// The notes of staging in one line of the answer; none where the line is of HTTP.
fn notes(line: &str) -> Option<String> {
    let views: Vec<Value> = serde_json::from_str(line).ok()?;
    let staging = views.iter().find(|view| view["environment"] == "staging")?;
    Some(staging["notes"].to_string())
}

fn evenkeel(config: &Config, arguments: &[&str]) -> Command {
    let mut command = Command::new(EVENKEEL);
    command.args(arguments).arg("--repo").arg(config.repository()).arg("--state").arg(config.path("state"));
    command.env("HOME", config.folder.path()).env_remove("SSH_AUTH_SOCK");
    command
}

fn holds(config: &Config) {
    let held = evenkeel(config, &["hold", "-e", "staging", "--reason", "an audit"]).output();
    assert!(held.expect("evenkeel runs").status.success());
}

/// Lines as they come, without the others waiting for a reader.
fn lines(read: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(read).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

#[test]
fn one_request_is_answered_with_the_status_now_and_with_each_change_until_the_daemon_ends() {
    let config = both();
    let mut daemon = follow(&config);
    daemon.tells(EventName::HostUnreachable);
    let mut socket = UnixStream::connect(config.path("state/socket")).expect("the daemon listens");
    socket.write_all(b"GET /status/watch HTTP/1.1\r\nHost: evenkeel\r\n\r\n").expect("it reads");
    let answers = lines(socket);
    let next = || loop {
        let line = answers.recv_timeout(PATIENCE).expect("there is more to tell");
        if let Some(notes) = notes(&line) {
            return notes;
        }
    };
    let first = next();
    assert!(!first.contains("an audit"), "{first}");
    holds(&config);
    while !next().contains("an audit") {}
    daemon.signal(Signal::TERM);
    assert_is("the exit code", daemon.ends().code(), Some(0));
    while answers.recv_timeout(PATIENCE).is_ok() {}
    assert_is("the answer's end", answers.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn status_watch_shows_what_changes() {
    let config = both();
    let daemon = follow(&config);
    daemon.tells(EventName::HostUnreachable);
    let mut command = evenkeel(&config, &["status", "--watch", "-e", "staging"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().expect("evenkeel runs");
    let shown = lines(watching.stdout.take().expect("it is piped"));
    let shows = |part: &str| while !shown.recv_timeout(PATIENCE).expect(part).contains(part) {};
    shows("staging");
    holds(&config);
    shows("an audit");
    // Ended already is as good.
    let _ = watching.kill();
    let _ = watching.wait();
}
