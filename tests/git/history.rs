//! The history branch: what it is read as, and who may write the next commit of it.

use std::collections::BTreeMap;

use evenkeel::{
    git::{Credentials, GitError, Repository, Tip, commit_to_bare},
    model::environment_state::{Control, HistoryEntry, StateEvent},
    model::{
        budget::{Budget, Exceeded},
        commit::CommitId,
    },
};
use tempfile::TempDir;

use crate::helpers::{
    append, append_files, bare, changes, git, local, must, noon, open, production, record, references, seen, temporary,
    told,
};

fn remote_and_mirror() -> (TempDir, Repository) {
    let folder = temporary();
    let repository = open(folder.path(), "mirror", &local(&bare(folder.path())));
    must(repository.fetch());
    (folder, repository)
}

fn resumed() -> StateEvent {
    let when = "2023-11-14T22:13:20Z".to_owned();
    StateEvent { control: Control::Resume { instance: None }, by: "mia".to_owned(), reason: None, when }
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
    let second = must(append_files(&repository, &production(), Some(&first), &files, "Resume"));
    assert_eq!(must(repository.tip(&production())), Some(Tip { commit: second, files }));
}

#[test]
fn controls_and_deployments_are_told_apart() {
    let (_folder, repository) = remote_and_mirror();
    let first = must(append(&repository, 1));
    let event = serde_json::to_string(&resumed()).expect("it is a value");
    let control = must(append_files(&repository, &production(), Some(&first), &with_event(1, &event), "Resume"));
    let note = changes(&[("note", Some("by hand"))]).into_iter().filter_map(|(path, text)| Some((path, text?)));
    let note = must(append_files(&repository, &production(), Some(&control), &note.collect(), "A note"));
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
    let commit = must(append_files(&repository, &production(), None, &with_event(1, "{"), "Broken"));
    let error = told(&repository.history(&production(), 9).expect_err("it is broken"));
    let place = format!("event.json of commit {commit} on refs/heads/evenkeel/history/production cannot be read: ");
    assert!(error.starts_with(&place) && error.contains(&format!("git show {commit}:event.json")), "{error}");
}

#[test]
fn a_file_of_the_history_is_read_no_further_than_the_budget_allows() {
    let (folder, repository) = remote_and_mirror();
    // Somebody else pushes it, so nothing of ours refused to write it. It travels as a few kilobytes.
    let most = 16 << 20;
    let blank = [("deployment.json".to_owned(), Some(vec![b' '; most + 1]))].into();
    let branch = "evenkeel/history/production";
    let commit = commit_to_bare(&folder.path().join("config.git"), branch, &blank, "Large", noon()).expect("pushed");
    must(repository.fetch());
    let limit = "has more than 16 MiB in one file, which is more than evenkeel reads";
    let named =
        |error: GitError, place: &str| assert!(told(&error).starts_with(&format!("{place} {limit}")), "{error}");
    let head = repository.head(&production(), &["deployment.json"]).expect_err("too large");
    named(head, &format!("history commit {commit}: deployment.json"));
    let place = format!("commit {commit} on refs/heads/{branch}: deployment.json");
    named(repository.records(&production(), 9).expect_err("too large"), &place);
    named(repository.history(&production(), 9).expect_err("too large"), &place);
}

#[test]
fn no_file_is_written_to_the_history_that_could_not_be_read_again() {
    let (_folder, repository) = remote_and_mirror();
    let mut files = record(1);
    files.insert("standing.json".to_owned(), vec![b' '; (16 << 20) + 1]);
    let error = append_files(&repository, &production(), None, &files, "Large").expect_err("too large");
    assert!(told(&error).contains("standing.json has more than 16 MiB in one file"), "{error}");
    assert_eq!(seen(&repository), None);
}

#[test]
fn what_is_kept_of_a_history_is_bounded_and_what_is_looked_for_in_it_is_not() {
    let (folder, repository) = remote_and_mirror();
    (1..=9).for_each(|generation| drop(must(append(&repository, generation))));
    let size = record(1)["deployment.json"].len() as u64;
    let budget = Budget { records_bytes: 4 * size, ..Budget::STANDARD };
    let mirror = folder.path().join("small");
    let url = local(&folder.path().join("config.git"));
    let small = Repository::open(&mirror, &url, Credentials::default()).expect("it opens").with_budget(budget);
    must(small.fetch());
    assert_eq!(must(small.records(&production(), 4)).len(), 4);
    for refused in [small.records(&production(), 5).map(drop), small.history(&production(), 5).map(drop)] {
        assert!(matches!(refused, Err(GitError::OverBudget { limit: Exceeded::RecordsBytes(_), .. })), "{refused:?}");
    }
    let first = must(small.find_record(&production(), |record| record.deployment.generation == 1));
    assert_eq!(first.map(|record| record.deployment.generation), Some(1));
    assert_eq!(must(small.pick_history(&production(), |_| Some(()))).len(), 9);
}

#[test]
fn many_that_believe_a_history_at_the_same_time_do_not_stand_in_each_others_way() {
    let (folder, repository) = remote_and_mirror();
    let commits: Vec<CommitId> = (1..=2).map(|generation| must(append(&repository, generation))).collect();
    let mirror = folder.path().join("mirror");
    let url = local(&folder.path().join("config.git"));
    std::thread::scope(|scope| {
        for at in 0..4 {
            let (mirror, url, commits) = (&mirror, &url, &commits);
            scope.spawn(move || {
                let repository = Repository::open(mirror, url, Credentials::default()).expect("it opens");
                for turn in 0..50 {
                    must(repository.believe(&production(), &commits[(at + turn) % 2]));
                }
            });
        }
    });
    let believed = must(repository.believed(&production(), &[])).expect("one is believed");
    assert!(commits.contains(&believed.commit));
}

#[test]
fn only_who_built_on_the_newest_commit_writes_the_next() {
    let (folder, repository) = remote_and_mirror();
    let remote = folder.path().join("config.git");
    let write = |seen: Option<&CommitId>| append_files(&repository, &production(), seen, &record(9), "Intent");
    let first = must(append(&repository, 1));
    let second = must(append(&repository, 2));
    let before = references(&remote);
    // Here somebody was faster: the mirror knows, and the remote need not be asked.
    for old in [None, Some(&first)] {
        let lost = write(old);
        assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == second), "{lost:?}");
    }
    let unknown = write(Some(&"1".repeat(40).into()));
    assert!(matches!(&unknown, Err(GitError::Diverged { .. })), "{unknown:?}");
    // There somebody was faster: only the remote knows.
    let other = open(folder.path(), "other", &local(&remote));
    must(other.fetch());
    let third = must(append(&other, 3));
    let lost = write(Some(&second));
    assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == third), "{lost:?}");
    assert_eq!(references(&remote), before.replace(second.as_str(), &third), "nothing was written");
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
    let is = |commit: &str, of: &str| must(repository.is_ancestor(&commit.into(), &of.into()));
    assert!(is(&first, &first) && is(&first, &main) && is(&first, &side));
    assert!(!is(&main, &first) && !is(&side, &main));
    assert!(!is(&dropped, &main) && !is(&"0".repeat(40), &main));
    assert!(repository.is_ancestor(&first.into(), &dropped.into()).is_err(), "what is asked about must be there");
}

/// How many objects lie there by themselves, and how many packs.
fn lying(repository: &std::path::Path) -> (usize, usize) {
    let told = git(repository, &["count-objects", "-v"]);
    let number = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{told}"))
    };
    (number("count"), number("packs"))
}

#[test]
fn a_record_of_many_files_is_written_as_one_pack() {
    let (folder, repository) = remote_and_mirror();
    let (theirs, ours) = (folder.path().join("config.git"), folder.path().join("mirror"));
    let before = [lying(&theirs), lying(&ours)];
    let mut files = record(1);
    files.extend((0..50).map(|number| (format!("instances/h1/{number}.env"), format!("A={number}\n").into_bytes())));
    let first = must(append_files(&repository, &production(), None, &files, "Many"));
    let packed = [lying(&theirs), lying(&ours)];
    assert_eq!(packed, before.map(|(alone, packs)| (alone, packs + 1)));
    assert_eq!(must(repository.tip(&production())), Some(Tip { commit: first.clone(), files: files.clone() }));
    // Packs are looked through: what is little is written by itself, and only what is not there yet.
    files.insert("instances/h1/7.env".to_owned(), b"A=8\n".to_vec());
    files.insert("instances/h1/8.env".to_owned(), b"A=new\n".to_vec());
    let second = must(append_files(&repository, &production(), Some(&first), &files, "Few"));
    // A file, the folders that it is in, and the commit.
    assert_eq!([lying(&theirs), lying(&ours)], packed.map(|(alone, packs)| (alone + 5, packs)));
    assert_eq!(must(repository.tip(&production())), Some(Tip { commit: second, files }));
    for repository in [theirs, ours] {
        git(&repository, &["fsck", "--strict", "--full"]);
    }
}
