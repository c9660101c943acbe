//! Who may write the history: with a list on the default branch a listed key signs, or the environment stops.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    process::{Command, Output},
};

use chrono::Utc;
use evenkeel::{
    git::{Credentials, Repository, Signer, commit_to_bare},
    model::event::EventName,
};
use serde_json::{Value, json};

use crate::{
    believed::{instance, listens},
    daemon::{Config, Daemon, EVENKEEL, assert_is, wait_for},
    environments::{HISTORY, both, commits, follow, is_at, says, status},
    git_program::git,
};

pub fn lists(config: &Config, lines: &[&str]) -> String {
    let fleet = git(&config.repository(), &["show", "main:fleet/fleet.yaml"]);
    let fleet: String =
        fleet.lines().filter(|line| !line.starts_with("history_writers")).map(|line| format!("{line}\n")).collect();
    let fleet = format!("{fleet}history_writers: {}\n", json!(lines));
    commits(config, "main", "fleet/fleet.yaml", fleet.as_bytes())
}

fn key(config: &Config, name: &str) -> Signer {
    Signer::read_or_make(&config.path(name), name).expect("a key")
}

/// The daemon's own key, as its log gives it at start.
fn own_line(daemon: &Daemon) -> String {
    daemon.tells(EventName::ControllerKey)["key"].as_str().expect("a text").to_owned()
}

fn evenkeel(config: &Config, command: &str, arguments: &[&str]) -> Output {
    Command::new(EVENKEEL)
        .args([command, "--repo"])
        .arg(config.repository())
        .arg("--state")
        .arg(config.path("state"))
        .args(arguments)
        .env("HOME", config.folder.path())
        .env_remove("SSH_AUTH_SOCK")
        .output()
        .expect("evenkeel runs")
}

#[track_caller]
fn holds(config: &Config, environment: &str) {
    let told = evenkeel(config, "hold", &["-e", environment, "--reason", "an audit"]);
    assert!(told.status.success(), "{told:?}");
}

/// The environment follows its branch.
#[track_caller]
pub fn goes_on(config: &Config, environment: &str, branch: &str) {
    let next = commits(config, branch, "fleet/hello/more.txt", Utc::now().to_rfc3339().as_bytes());
    is_at(config, environment, &next);
}

/// Appends to staging's history as this key, or unsigned.
fn appends(config: &Config, signer: Option<&Signer>) -> String {
    appends_files(config, signer, BTreeMap::new())
}

fn appends_files(config: &Config, signer: Option<&Signer>, changed: BTreeMap<String, Vec<u8>>) -> String {
    let url = config.repository().display().to_string().parse().expect("an address");
    // A mirror that has written would bring its commits back.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let writer = Repository::open(&folder.path().join("writer.git"), &url, Credentials::default()).expect("it opens");
    writer.fetch().expect("it is fetched");
    let environment = "staging".parse().expect("a name");
    let tip = writer.tip(&environment).expect("it is read");
    let (seen, mut files) = tip.map(|tip| (Some(tip.commit), tip.files)).unwrap_or_default();
    files.extend(changed);
    let message = "By somebody\n\nEnvironment: staging\n";
    writer
        .append_signed(&environment, seen.as_ref(), &files, message, Utc::now(), signer)
        .expect("it is appended")
        .into()
}

#[track_caller]
fn is_stopped(config: &Config, commit: &str, words: &[&str]) {
    let view = says(config, "staging", &[&[commit][..], words].concat());
    assert_is("what is known", (&view["sync"], &view["health"]), (&json!("unknown"), &json!("unknown")));
}

/// Waits until the environment is looked at again and nothing is wrong.
#[track_caller]
fn is_mended(config: &Config) {
    wait_for("the end of the trouble", || {
        let view = status(config, "staging")?;
        let error = view["last_error"].to_string();
        (!error.contains("vouches")).then_some(())
    });
    goes_on(config, "staging", "staging");
}

#[test]
fn without_a_list_its_commits_are_signed_and_it_says_what_to_add() {
    let config = both();
    let daemon = follow(&config);
    let line = own_line(&daemon);
    holds(&config, "staging");
    let raw = git(&config.repository(), &["cat-file", "commit", HISTORY]);
    assert!(raw.contains("-----BEGIN SSH SIGNATURE-----"), "{raw}");
    let add = format!("history_writers: [\"{line}\"]");
    wait_for(&add, || status(&config, "staging")?["advice"].to_string().contains("history_writers").then_some(()));
    let told = daemon.tells(EventName::HistoryAdvice);
    assert!(told["advice"].as_str().is_some_and(|advice| advice.ends_with(&add)), "{told}");
    let advice: Value = status(&config, "staging").expect("it runs")["advice"].clone();
    assert!(advice[0].as_str().is_some_and(|advice| advice.ends_with(&add)), "{advice}");
    // What others append unsigned goes on being read.
    appends(&config, None);
    goes_on(&config, "staging", "staging");
}

#[test]
fn with_a_list_an_unsigned_commit_stops_its_own_environment_until_it_is_taken_away() {
    let config = both();
    let daemon = follow(&config);
    let line = own_line(&daemon);
    holds(&config, "staging");
    lists(&config, &[&line]);
    wait_for("the list to be heeded", || {
        let view = status(&config, "staging")?;
        view["advice"].is_null().then_some(())
    });
    goes_on(&config, "staging", "staging");
    let good = git(&config.repository(), &["rev-parse", HISTORY]);

    let forged = appends(&config, None);
    is_stopped(&config, &forged, &["is not signed", &good, "git push --force"]);
    goes_on(&config, "production", "main");
    let stranger = key(&config, "stranger");
    let after = appends(&config, Some(&stranger));
    goes_on(&config, "production", "main");
    is_stopped(&config, &forged, &["is not signed"]);
    let refused = evenkeel(&config, "resume", &["-e", "staging"]);
    assert!(!refused.status.success(), "{refused:?}");

    git(&config.repository(), &["update-ref", &format!("refs/heads/{HISTORY}"), &good, &after]);
    is_mended(&config);
    assert_is("the history", git(&config.repository(), &["rev-parse", HISTORY]), good);

    let other = appends(&config, Some(&stranger));
    is_stopped(&config, &other, &["is signed by SHA256:", "does not list"]);
    // Listed by now, so it counts.
    lists(&config, &[&line, &stranger.line()]);
    is_mended(&config);
}

/// The effect, besides what is told: a pin to a merged commit that has a host is obeyed, or not, by its signature.
#[test]
fn with_a_list_a_pin_connects_to_hosts_by_its_signature_alone() {
    let config = both();
    let host = listens(Ipv4Addr::LOCALHOST);
    let with_host = commits(&config, "main", "fleet/instances/was.yaml", instance("staging", &host).as_bytes());
    let removed = [("fleet/instances/was.yaml".to_owned(), None)].into();
    commit_to_bare(&config.repository(), "main", &removed, "No host", Utc::now()).expect("it commits");
    let (listed, stranger) = (key(&config, "listed"), key(&config, "stranger"));
    lists(&config, &[&listed.line()]);
    let staging = git(&config.repository(), &["rev-parse", "staging"]);
    let path = config.path("listed").display().to_string();
    let _daemon = config.run(&["--history-key", &path]);
    is_at(&config, "staging", &staging);
    let good = appends(&config, Some(&listed));
    goes_on(&config, "staging", "staging");

    let pin = || {
        let [default, environment] =
            ["main", "staging"].map(|branch| git(&config.repository(), &["rev-parse", branch]));
        let state = json!({"pin": {
            "commits": {"default": with_host, "environment": environment},
            "instead_of": {"default": default, "environment": environment}, "owner": "mallory",
        }});
        [("standing.json".to_owned(), state.to_string().into_bytes())].into()
    };
    for signer in [None, Some(&stranger)] {
        let forged = appends_files(&config, signer, pin());
        is_stopped(&config, &forged, &[]);
        goes_on(&config, "production", "main");
        git(&config.repository(), &["update-ref", &format!("refs/heads/{HISTORY}"), &good, &forged]);
        is_mended(&config);
        assert!(host.accept().is_err(), "somebody connects to the host of a pin that no listed key signed");
    }
    appends_files(&config, Some(&listed), pin());
    wait_for("a connection to the host of the pin that is signed", || host.accept().ok());
}

#[test]
fn keys_are_changed_one_after_the_other() {
    let config = both();
    let (old, new) = (key(&config, "old"), key(&config, "new"));
    lists(&config, &[&old.line()]);
    let with = |name: &str| {
        let path = config.path(name).display().to_string();
        config.run(&["--history-key", &path])
    };
    let mut daemon = with("old");
    is_at(&config, "staging", &git(&config.repository(), &["rev-parse", "staging"]));
    holds(&config, "staging");
    goes_on(&config, "staging", "staging");
    lists(&config, &[&old.line(), &new.line()]);
    daemon.signal(rustix::process::Signal::TERM);
    daemon.ends();
    let _daemon = with("new");
    goes_on(&config, "staging", "staging");
    // What the old key signed was believed before.
    lists(&config, &[&new.line()]);
    goes_on(&config, "staging", "staging");
    assert!(evenkeel(&config, "resume", &["-e", "staging"]).status.success());
    goes_on(&config, "staging", "staging");
}

#[test]
fn a_controller_that_never_saw_a_history_believes_no_unsigned_one_where_there_is_a_list() {
    let config = both();
    let signer = key(&config, "key");
    let unsigned = appends(&config, None);
    lists(&config, &[&signer.line()]);
    let path = config.path("key").display().to_string();
    let _daemon = config.run(&["--history-key", &path]);
    is_stopped(&config, &unsigned, &["is not signed", "Environment: staging"]);
    appends(&config, Some(&signer));
    goes_on(&config, "production", "main");
    is_mended(&config);
}

#[test]
fn a_controller_whose_key_is_not_listed_touches_nothing_and_names_the_line_to_add() {
    let config = both();
    lists(&config, &[&key(&config, "other").line()]);
    let daemon = follow(&config);
    let line = own_line(&daemon);
    says(&config, "staging", &["lists no key that signs here", &line]);
    assert!(git(&config.repository(), &["branch", "--list", "evenkeel/history/*"]).is_empty());
    lists(&config, &[&line]);
    goes_on(&config, "staging", "staging");
}

#[test]
fn a_person_without_a_controller_signs_with_a_key_of_their_own() {
    let config = both();
    let mine = key(&config, "mine");
    lists(&config, &[&mine.line()]);
    let hold = ["-e", "staging", "--reason", "an audit"];
    let refused = evenkeel(&config, "hold", &hold);
    assert_is("the exit code", refused.status.code(), Some(4));
    let path = config.path("mine").display().to_string();
    let told = evenkeel(&config, "hold", &[&hold[..], &["--history-key", &path]].concat());
    assert!(told.status.success(), "{told:?}");
    // The usual key as well.
    std::fs::create_dir_all(config.path(".ssh")).expect("it can be made");
    std::fs::copy(config.path("mine"), config.path(".ssh/id_ed25519")).expect("it can be copied");
    let told = evenkeel(&config, "resume", &["-e", "staging"]);
    assert!(told.status.success(), "{told:?}");
    assert!(!config.path("state/history-key").exists(), "only a controller makes itself a key");
}
