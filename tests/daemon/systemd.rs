//! What a running daemon tells systemd.

use std::{os::unix::net::UnixDatagram, time::Duration};

use evenkeel::model::event::EventName;
use rustix::process::Signal;

use crate::daemon::{Config, PATIENCE, assert_is};

/// The end of `$NOTIFY_SOCKET` that systemd has.
struct Manager(UnixDatagram);

impl Manager {
    /// The next message's lines, but for the state in words.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("the daemon tells something in time");
        let text = std::str::from_utf8(&buffer[..length]).expect("it is UTF-8");
        text.lines().filter(|line| !line.starts_with("STATUS=")).map(str::to_owned).collect()
    }

    /// The next message that is no sign of life.
    fn told_besides(&self) -> Vec<String> {
        loop {
            let told = self.told();
            if told != ["WATCHDOG=1"] {
                return told;
            }
        }
    }
}

#[test]
fn systemd_is_told_of_readiness_life_reloads_and_the_end() {
    let config = Config::new();
    let path = config.path("notify");
    let manager = Manager(UnixDatagram::bind(&path).expect("a socket can be made"));
    manager.0.set_read_timeout(Some(PATIENCE)).expect("it is a time");
    let mut command = config.command(&["--log-format", "json"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", Duration::from_secs(10).as_micros().to_string());
    let mut daemon = config.start(command);

    assert_is("the first message", manager.told(), vec!["READY=1"]);
    assert!(config.path("state/socket").exists(), "it is ready without its socket");
    assert_is("the second message", manager.told(), vec!["WATCHDOG=1"]);

    daemon.signal(Signal::HUP);
    let told = manager.told_besides();
    let time = told.get(1).and_then(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
    assert!(told.len() == 2 && told[0] == "RELOADING=1" && time.is_some(), "{told:?}");
    assert_is("the end of the reload", manager.told_besides(), vec!["READY=1"]);
    daemon.tells(EventName::CredentialsReread);
    assert_is("a sign of life after it", manager.told(), vec!["WATCHDOG=1"]);

    daemon.signal(Signal::TERM);
    assert_is("the last message", manager.told_besides(), vec!["STOPPING=1"]);
    assert_is("the exit code", daemon.ends().code(), Some(0));
}

#[test]
fn without_systemd_a_daemon_runs_all_the_same() {
    let config = Config::new();
    let mut command = config.command(&["--log-format", "json"]);
    command.env("NOTIFY_SOCKET", config.path("nobody")).env("WATCHDOG_USEC", "no number");
    let mut daemon = config.start(command);
    daemon.tells(EventName::SystemdNotifyFailed);
    daemon.signal(Signal::TERM);
    assert_is("the exit code", daemon.ends().code(), Some(0));
}
