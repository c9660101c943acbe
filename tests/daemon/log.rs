//! What a running daemon logs.

use std::{fs, os::unix::fs::MetadataExt as _};

use chrono::DateTime;
use evenkeel::model::event::EventName;

use crate::daemon::{Config, assert_is, wait_for};

#[test]
fn each_line_of_a_json_log_is_a_record_that_says_what_it_is_about() {
    let config = Config::new();
    let daemon = config.run(&[]);
    let about = wait_for("a record about the environment", || {
        daemon.records().into_iter().find(|record| record.get("environment").is_some())
    });
    assert_is("its environment", &about["environment"], "production");
    for record in daemon.records() {
        let time = record["timestamp"].as_str().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        assert!(time.is_some_and(|time| time.offset().local_minus_utc() == 0), "{record}");
        assert!(record["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{record}");
        assert!(["ERROR", "WARN", "INFO"].iter().any(|level| record["level"] == *level), "{record}");
        assert!(record["message"].is_string(), "{record}");
    }
}

#[test]
fn at_the_start_the_log_says_whether_builds_get_a_cgroup() {
    let config = Config::new();
    let daemon = config.run(&[]);
    let record = daemon.tells(EventName::BuildsConfined);
    // Where the test's process has a cgroup that is delegated, that is the test's and not the daemon's alone.
    assert_eq!(record["build_cgroups"], false, "{record}");
    assert!(record["why"].is_string(), "{record}");
}

#[test]
fn a_line_of_a_text_log_begins_with_the_time() {
    let config = Config::new();
    let daemon = config.start(config.command(&[]));
    let line = daemon.wait_for_line("event=controller.started");
    let (time, rest) = line.split_once(' ').expect("there is more than one word");
    assert!(time.ends_with('Z') && DateTime::parse_from_rfc3339(time).is_ok(), "{line}");
    assert!(rest.starts_with(" INFO "), "{line}");
}

#[test]
fn journald_is_told_how_grave_a_line_is() {
    let config = Config::new();
    fs::write(config.path("log"), "").expect("it can be written");
    let log = fs::metadata(config.path("log")).expect("it is there");
    let mut command = config.command(&[]);
    command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    let daemon = config.start(command);
    assert!(daemon.wait_for_line("event=controller.started").starts_with("<6> INFO "));

    // One who has redirected stderr reads it without journald.
    let elsewhere = Config::new();
    let mut command = elsewhere.command(&[]);
    command.env("JOURNAL_STREAM", "1:2");
    let daemon = elsewhere.start(command);
    assert!(!daemon.wait_for_line("event=controller.started").starts_with('<'));
}
