//! Histories of earlier versions, which `tests/fixtures/history` keeps: the program of today reads them. No instance has
//! a host key, so nothing connects.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{daemon::EVENKEEL, git_program::git};

const HISTORY: &str = "evenkeel/history/production";

/// A config repository as a controller of an earlier version left it.
struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    fn new(bundle: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/history").join(bundle);
        let bundle = bundle.to_str().expect("UTF-8");
        git(folder.path(), &["clone", "--quiet", "--mirror", bundle, "config.git"]);
        Self { folder }
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("config.git")
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository(), arguments)
    }

    fn asks(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(EVENKEEL);
        command
            .args(arguments)
            .arg("--repo")
            .arg(self.repository())
            .arg("--state")
            .arg(self.folder.path().join("state"));
        command.env("NO_COLOR", "1").env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.output().expect("evenkeel runs")
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.asks(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn tells(&self, arguments: &[&str]) -> Value {
        let output = self.asks(&[arguments, &["--format", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// The newest change of `subject`, on the one instance that has it.
    fn last_change(&self, subject: &str) -> Value {
        let mut why = self.tells(&["why", subject]);
        why["instances"][0]["last_change"].take()
    }
}

/// The history, and each of the nine generations.
fn told(bundle: &str) -> String {
    let kept = Kept::new(bundle);
    let mut told = String::new();
    let generations: Vec<String> = (1..=9).map(|generation: u64| generation.to_string()).collect();
    let shown = generations.iter().map(|generation| vec!["show", generation]);
    for arguments in [vec!["history"]].into_iter().chain(shown) {
        writeln!(told, "$ evenkeel {}\n{}", arguments.join(" "), kept.says(&arguments).trim_end()).expect("a String");
    }
    told
}

#[test]
fn a_history_of_version_1_is_told_in_full() {
    insta::assert_snapshot!(told("version-1.bundle"));
}

#[test]
fn a_history_of_version_2_is_told_in_full() {
    insta::assert_snapshot!(told("version-2.bundle"));
}

#[test]
fn status_why_and_rollback_read_a_history_of_version_1() {
    let kept = Kept::new("version-1.bundle");
    let status = kept.tells(&["status"]);
    let deployed = json!({
        "commit": "bd37a16d025a07e3df5798da8d8abafa0dbe96b4", "generation": 9, "when": "2026-11-30T16:39:54Z",
        "outcome": "partial",
    });
    assert_eq!((&status["deployed"], status["notes"].as_array().map(Vec::len)), (&deployed, Some(2)), "{status:#}");

    // By generation: a deployment in part, one that was applied, one that made a release.
    for (subject, generation, says) in [
        ("service/chart", 9, "restart harbor-chart@8001.service"),
        ("service/pilot", 7, "restart harbor-pilot@8002.service"),
        ("site/quay", 5, "release 13b11f5d0ee9 from fleet/frontend"),
    ] {
        let change = kept.last_change(subject);
        assert_eq!(change["generation"], generation, "{subject}: {change:#}");
        assert!(change["reason"].as_str().is_some_and(|reason| reason.contains(says)), "{subject}: {change:#}");
    }

    // Generation 8 is the last good one, 7 the one before it.
    kept.says(&["rollback"]);
    let restored = kept.git(&["rev-parse", "evenkeel/rollback/production-7:fleet"]);
    assert_eq!(restored, kept.git(&["rev-parse", "5671302ce83b73d918f41c37bb15394140f49277:fleet"]));
    kept.says(&["rollback", "4"]);
    let restored = kept.git(&["rev-parse", "evenkeel/rollback/production-4:fleet"]);
    assert_eq!(restored, kept.git(&["rev-parse", "6ac640b156c15b86a4a6f0f31f14ee814d8b1d19:fleet"]));
}

#[test]
fn status_why_and_rollback_read_a_history_of_version_2() {
    let kept = Kept::new("version-2.bundle");
    let status = kept.tells(&["status"]);
    let deployed = json!({
        "commit": "8d4ac151d4e4dcc353173c2fbe379179f1632857", "generation": 9, "when": "2026-12-01T00:30:45Z",
        "outcome": "applied",
    });
    assert_eq!(status["deployed"], deployed, "{status:#}");

    // By generation: the newest one, and one that was tried again after it had failed on an instance.
    for (subject, generation, restarts) in
        [("service/chart", 9, "harbor-chart@8001.service"), ("service/pilot", 6, "harbor-pilot@8002.service")]
    {
        let change = kept.last_change(subject);
        assert_eq!(change["generation"], generation, "{subject}: {change:#}");
        assert!(change["reason"].as_str().is_some_and(|reason| reason.contains(restarts)), "{subject}: {change:#}");
    }

    kept.says(&["rollback"]);
    let restored = kept.git(&["rev-parse", "evenkeel/rollback/production-8:fleet"]);
    assert_eq!(restored, kept.git(&["rev-parse", "41f2ea360e1fc5f624150f43e6f394960ec71d73:fleet"]));
}

#[test]
fn a_record_of_version_1_stays_as_it_is_and_blames_no_instance_for_a_refusal() {
    let kept = Kept::new("version-1.bundle");
    assert_eq!(records_told_as_written(&kept), 20, "each intent and each outcome");
    leaves_its_record(&kept, &["resume", "--instance", "h2"], 26);
}

#[test]
fn a_record_of_version_2_stays_as_it_is_and_blames_no_instance_for_a_refusal() {
    let kept = Kept::new("version-2.bundle");
    assert_eq!(records_told_as_written(&kept), 22, "each intent and each outcome");
    leaves_its_record(&kept, &["hold", "--reason", "a storm"], 26);
}

/// How many records JSON tells, each as it was written.
fn records_told_as_written(kept: &Kept) -> u32 {
    let told = kept.says(&["history", "--number", "100", "--format", "json"]);
    let mut records = 0;
    for line in told.lines() {
        let mut told: Value = serde_json::from_str(line).expect("JSON");
        let commit = told["commit"].take();
        let commit = commit.as_str().expect("a commit");
        if told["control"].is_null() {
            let mut record: Value =
                serde_json::from_str(&kept.git(&["show", &format!("{commit}:deployment.json")])).expect("JSON");
            // Where no step failed it had an empty one, and a refusal the first instance in the alphabet.
            if let Some(failure) = record["failure"].as_object_mut().filter(|failure| failure["step"] == "") {
                failure.remove("step");
                if failure["cause"] == "refused" {
                    failure.remove("instance");
                }
            }
            told.as_object_mut().expect("a record").remove("commit");
            assert_eq!(told, record, "{commit}");
            records += 1;
        }
    }
    records
}

/// What is appended leaves the newest record as it was.
fn leaves_its_record(kept: &Kept, control: &[&str], commits: u32) {
    let record = || kept.git(&["show", &format!("{HISTORY}:deployment.json")]);
    let before = record();
    kept.says(control);
    assert_eq!(kept.git(&["rev-list", "--count", HISTORY]), commits.to_string());
    assert_eq!(record(), before);
}

#[test]
fn a_record_of_a_later_version_is_refused() {
    let kept = Kept::new("version-1.bundle");
    let clone = kept.folder.path().join("clone");
    git(kept.folder.path(), &["clone", "--quiet", "--branch", HISTORY, "config.git", "clone"]);
    let record = clone.join("deployment.json");
    let text = std::fs::read_to_string(&record).expect("a record").replace("\"version\": 1", "\"version\": 4");
    std::fs::write(&record, text).expect("it is written");
    git(&clone, &["commit", "--quiet", "--all", "--message", "Of the future"]);
    git(&clone, &["push", "--quiet", "origin", HISTORY]);
    let refused = kept.asks(&["history"]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("version 4") && why.contains("3 at most"), "{why}");
}
