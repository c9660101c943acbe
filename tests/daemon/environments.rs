//! Several environments in one repository: what goes wrong in one is told there, and nowhere else.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use chrono::Utc;
use evenkeel::git::commit_to_bare;
use serde_json::{Value, json};

use crate::{
    daemon::{Config, Daemon, assert_is, wait_for},
    git_program::git,
};

/// The history branch of staging.
pub const HISTORY: &str = "evenkeel/history/staging";

/// production follows `main` and staging a branch of its name, with nobody's hosts.
pub fn both() -> Config {
    let config = Config::new();
    commits(&config, "main", "fleet/environments/staging.yaml", b"branch: staging\n");
    git(&config.repository(), &["branch", "staging", "main"]);
    config
}

/// Commits a file of the repository, and answers the commit.
pub fn commits(config: &Config, branch: &str, path: &str, content: &[u8]) -> String {
    let change = [(path.to_owned(), Some(content.to_vec()))].into();
    commit_to_bare(&config.repository(), branch, &change, "A change", Utc::now()).expect("it commits")
}

/// Commits to `staging` a file whose name is in Latin-1, and answers the commit.
fn commits_in_latin_1(config: &Config) -> String {
    let repository = config.repository();
    let import = "cat <<'END' | sed 's/LATIN/\\xe9/' | git fast-import --quiet\n\
                  commit refs/heads/staging\ncommitter t <t@localhost> 1700000000 +0000\ndata 4\nname\n\
                  from refs/heads/staging^0\nM 644 inline fleet/hello/caf\"LATIN\ndata 1\nx\nEND"
        .replace('"', "");
    git(&repository, &["-c", &format!("alias.import=!{import}"), "import"]);
    git(&repository, &["rev-parse", "staging"])
}

/// What the daemon says of an environment.
pub fn status(config: &Config, environment: &str) -> Option<Value> {
    let mut stream = UnixStream::connect(config.path("state/socket")).ok()?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: evenkeel\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let views: Vec<Value> = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    views.into_iter().find(|view| view["environment"] == environment)
}

#[track_caller]
pub fn is_at(config: &Config, environment: &str, commit: &str) {
    wait_for(&format!("{environment} at {commit}"), || {
        status(config, environment).filter(|view| view["commit"] == commit && !view["observed_at"].is_null())
    });
}

/// Waits until the environment's last error says all of this, and answers the view.
#[track_caller]
pub fn says(config: &Config, environment: &str, words: &[&str]) -> Value {
    wait_for(&format!("{words:?} of {environment}"), || {
        let view = status(config, environment)?;
        let error = view["last_error"].as_str()?;
        words.iter().all(|word| error.contains(word)).then(|| view.clone())
    })
}

#[track_caller]
fn is_silent(config: &Config, environment: &str) {
    let error = status(config, environment).expect("it runs")["last_error"].to_string();
    assert!(!error.contains("the repository: "), "{environment} has another's trouble: {error}");
}

pub fn follow(config: &Config) -> Daemon {
    config.run(&[])
}

#[test]
fn a_branch_that_cannot_be_read_or_is_gone_stops_its_own_environment_alone() {
    let config = both();
    let good = git(&config.repository(), &["rev-parse", "staging"]);
    let _daemon = follow(&config);
    is_at(&config, "staging", &good);

    let unreadable = commits_in_latin_1(&config);
    let name = ["the repository: staging, branch staging: `fleet/hello/caf", "rename the file"];
    says(&config, "staging", &name);
    let next = commits(&config, "main", "fleet/hello/more.txt", b"more\n");
    is_at(&config, "production", &next);
    is_silent(&config, "production");

    git(&config.repository(), &["update-ref", "refs/heads/staging", &good, &unreadable]);
    let mended = commits(&config, "staging", "fleet/hello/more.txt", b"more\n");
    is_at(&config, "staging", &mended);
    is_silent(&config, "staging");

    git(&config.repository(), &["branch", "-D", "staging"]);
    let gone = ["staging, branch staging: the repository has no such branch", "push it again, or name another one"];
    let view = says(&config, "staging", &gone);
    // Nothing was ever deployed that could be kept up, so nobody looks any more.
    assert_is("what is known of it", (&view["sync"], &view["health"]), (&json!("unknown"), &json!("unknown")));
    assert!(view["last_error"].as_str().is_some_and(|error| error.ends_with("it is not looked after")), "{view:#}");
    let next = commits(&config, "main", "fleet/hello/more.txt", b"and more\n");
    is_at(&config, "production", &next);
}

#[test]
fn a_history_that_somebody_broke_by_hand_stops_its_own_environment_alone() {
    let config = both();
    commits(&config, HISTORY, "standing.json", b"{ by hand");
    let _daemon = follow(&config);
    says(&config, "staging", &["the repository: staging, ", "standing.json", "mend it there, or remove it"]);
    let next = commits(&config, "main", "fleet/hello/more.txt", b"more\n");
    is_at(&config, "production", &next);
    is_silent(&config, "production");
}

#[test]
fn what_was_good_last_is_looked_after_while_its_branch_is_gone() {
    let config = both();
    let good = git(&config.repository(), &["rev-parse", "staging"]);
    let commits_of = json!({"default": good, "environment": good});
    let state = json!({"good": {"commits": commits_of, "generation": 1, "desired": null}});
    commits(&config, HISTORY, "standing.json", state.to_string().as_bytes());
    let branch = commits(&config, "staging", "fleet/hello/more.txt", b"more\n");
    let _daemon = follow(&config);
    is_at(&config, "staging", &branch);
    git(&config.repository(), &["branch", "-D", "staging"]);
    says(&config, "staging", &["the repository has no such branch", "its last good commits are kept up"]);
    is_at(&config, "staging", &good);
    // It stands there as long as it is so.
    says(&config, "staging", &["the repository has no such branch"]);
}
