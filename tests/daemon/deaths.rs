//! Commits that end the process while it prepares them.

use std::{fs, path::Path};

use chrono::Utc;
use evenkeel::git::commit_to_bare;
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Config, EVENKEEL, wait_for};

/// The commits that are being prepared for an environment, and how often a start found them so.
fn preparing(state: &Path) -> Vec<Value> {
    let text = fs::read_to_string(state.join("preparing.json")).unwrap_or_else(|_| "[]".to_owned());
    let all: Vec<Value> = serde_json::from_str(&text).expect("it is JSON");
    all.into_iter().filter(|entry| !entry["environment"].is_null()).collect()
}

fn in_progress(state: &Path) -> Option<()> {
    preparing(state).iter().any(|entry| entry["in_progress"] == true).then_some(())
}

/// What the newest commit of the history says that somebody or something asked for.
fn event(config: &Config) -> Option<Value> {
    let history = git2::Repository::open_bare(config.repository()).expect("it is there");
    let tree = history.find_reference("refs/heads/evenkeel/history/production").ok()?.peel_to_tree().ok()?;
    let blob = history.find_blob(tree.get_name("event.json")?.id()).ok()?;
    serde_json::from_slice(blob.content()).ok()
}

#[test]
fn commits_of_whose_preparation_the_process_died_twice_are_quarantined() {
    let config = Config::new();
    let state = config.path("state");
    // So many that reading them takes long enough to be killed in the middle.
    let file = |number: u32| (format!("code/{}/{number}", number % 100), Some(b"x".to_vec()));
    let many = (0..60_000).map(file).collect();
    let commit = commit_to_bare(&config.repository(), "main", &many, "Many", Utc::now()).expect("committed");
    for deaths in 0..2 {
        let mut daemon = config.run(&[]);
        wait_for("the commit being prepared", || {
            // What was begun by the process before is counted first.
            preparing(&state).iter().any(|it| it["in_progress"] == true && it["deaths"] == deaths).then_some(())
        });
        daemon.signal(Signal::KILL);
        daemon.ends();
    }
    assert!(event(&config).is_none(), "it was quarantined before it ended the process twice");

    let mut daemon = config.run(&[]);
    let event = wait_for("the quarantine", || event(&config));
    assert_eq!(event["control"]["kind"], "quarantine", "{event}");
    assert_eq!(event["control"]["commits"]["environment"], commit.as_str(), "{event}");
    let status = wait_for("the status", || {
        let mut status = std::process::Command::new(EVENKEEL);
        status.args(["status", "--format", "json", "--repo"]).arg(config.repository()).arg("--state").arg(&state);
        let said = status.env("HOME", config.folder.path()).output().expect("evenkeel runs").stdout;
        let view: Value = serde_json::from_slice(&said).ok()?;
        view["last_error"].as_str().map(str::to_owned)
    });
    assert!(status.contains("died 2 times"), "{status}");
    assert_eq!(in_progress(&state), None, "it is prepared again");

    // What comes after it is prepared, and a normal end leaves nothing behind.
    let mended = many_removed();
    let next = commit_to_bare(&config.repository(), "main", &mended, "Mended", Utc::now()).expect("committed");
    wait_for("the next commit", || (config.fetched().as_deref() == Some(&next)).then_some(()));
    daemon.signal(Signal::TERM);
    assert!(daemon.ends().success());
    assert_eq!(in_progress(&state), None);
}

fn many_removed() -> std::collections::BTreeMap<String, Option<Vec<u8>>> {
    (0..60_000).map(|number: u32| (format!("code/{}/{number}", number % 100), None)).collect()
}
