//! The history branch: what it is read as, and who may write the next commit of it.

use std::collections::BTreeMap;

use evenkeel::{
    git::{GitError, Repository, Tip, commit_to_bare},
    model::standing::{Control, HistoryEntry, StandingEvent},
};
use tempfile::TempDir;

use crate::helpers::{
    append, bare, changes, git, local, must, noon, open, production, record, references, seen, temporary, told,
};

fn remote_and_mirror() -> (TempDir, Repository) {
    let folder = temporary();
    let repository = open(folder.path(), "mirror", &local(&bare(folder.path())));
    must(repository.fetch());
    (folder, repository)
}

fn resumed() -> StandingEvent {
    let when = "2023-11-14T22:13:20Z".to_owned();
    StandingEvent { control: Control::Resume { instance: None }, by: "mia".to_owned(), when }
}

/// A control keeps the files of the record that it follows.
fn with_event(generation: u64, event: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = record(generation);
    files.insert("event.json".to_owned(), event.as_bytes().to_vec());
    files
}

#[test]
fn the_tip_is_the_newest_commit_with_all_its_files() {
    let (_folder, repository) = remote_and_mirror();
    assert_eq!(must(repository.tip(&production())), None);
    let first = must(append(&repository, 1));
    assert_eq!(must(repository.tip(&production())), Some(Tip { commit: first.clone(), files: record(1) }));
    let event = serde_json::to_string(&resumed()).expect("it is a value");
    let files = with_event(1, &event);
    let second = must(repository.append(&production(), Some(&first), &files, "Resume", noon()));
    assert_eq!(must(repository.tip(&production())), Some(Tip { commit: second, files }));
}

#[test]
fn controls_and_deployments_are_told_apart() {
    let (_folder, repository) = remote_and_mirror();
    let first = must(append(&repository, 1));
    let event = serde_json::to_string(&resumed()).expect("it is a value");
    let control = must(repository.append(&production(), Some(&first), &with_event(1, &event), "Resume", noon()));
    let note = changes(&[("note", Some("by hand"))]).into_iter().filter_map(|(path, text)| Some((path, text?)));
    let note = must(repository.append(&production(), Some(&control), &note.collect(), "A note", noon()));
    let second = must(append(&repository, 2));

    let shown: Vec<_> = must(repository.history(&production(), 9))
        .into_iter()
        .map(|entry| match entry {
            HistoryEntry::Deployment(record) => (record.commit, record.deployment.generation.to_string()),
            HistoryEntry::Control { commit, event } => (commit, event.by),
        })
        .collect();
    let expected = [(&second, "2"), (&control, "mia"), (&first, "1")];
    assert_eq!(shown, expected.map(|(commit, what)| (commit.clone(), what.to_owned())), "and not {note}");
    assert_eq!(must(repository.history(&production(), 2)).len(), 2);
    let records: Vec<_> = must(repository.records(&production(), 9)).into_iter().map(|record| record.commit).collect();
    assert_eq!(records, [second, first], "a control's copy of a record is not a record");
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let (_folder, repository) = remote_and_mirror();
    let commit = must(repository.append(&production(), None, &with_event(1, "{"), "Broken", noon()));
    let error = told(&repository.history(&production(), 9).expect_err("it is broken"));
    let place = format!("event.json of commit {commit} on refs/heads/evenkeel/history/production cannot be read: ");
    assert!(error.starts_with(&place) && error.contains(&format!("git show {commit}:event.json")), "{error}");
}

#[test]
fn only_who_built_on_the_newest_commit_writes_the_next() {
    let (folder, repository) = remote_and_mirror();
    let remote = folder.path().join("config.git");
    let write = |seen: Option<&str>| repository.append(&production(), seen, &record(9), "Intent", noon());
    let first = must(append(&repository, 1));
    let second = must(append(&repository, 2));
    let before = references(&remote);
    // Here somebody was faster: the mirror knows, and the remote need not be asked.
    for old in [None, Some(first.as_str())] {
        let lost = write(old);
        assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == second), "{lost:?}");
    }
    let unknown = write(Some(&"1".repeat(40)));
    assert!(matches!(&unknown, Err(GitError::Diverged { .. })), "{unknown:?}");
    // There somebody was faster: only the remote knows.
    let other = open(folder.path(), "other", &local(&remote));
    must(other.fetch());
    let third = must(append(&other, 3));
    let lost = write(Some(&second));
    assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == third), "{lost:?}");
    assert_eq!(references(&remote), before.replace(&second, &third), "nothing was written");
    assert_eq!(seen(&repository), Some(second));
}

#[test]
fn a_commit_is_an_ancestor_or_it_is_not() {
    let (folder, repository) = remote_and_mirror();
    let remote = folder.path().join("config.git");
    let commit = |branch: &str, text: &str| {
        commit_to_bare(&remote, branch, &changes(&[("x", Some(text))]), text, noon()).expect("it commits")
    };
    let first = git(&remote, &["rev-parse", "main"]);
    let (side, main) = (commit("side", "side"), commit("main", "main"));
    // A force push drops it before it is ever fetched.
    let dropped = commit("side", "dropped");
    git(&remote, &["branch", "-f", "side", &side]);
    must(repository.fetch());
    let is = |commit: &str, of: &str| must(repository.is_ancestor(commit, of));
    assert!(is(&first, &first) && is(&first, &main) && is(&first, &side));
    assert!(!is(&main, &first) && !is(&side, &main));
    assert!(!is(&dropped, &main) && !is(&"0".repeat(40), &main));
    assert!(repository.is_ancestor(&first, &dropped).is_err(), "what is asked about must be there");
}
