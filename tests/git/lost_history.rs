//! Nothing of the history is lost, whatever is done to it at the remote.

use std::{fs, path::PathBuf};

use evenkeel::{
    git::{Credentials, HistoryChange, Repository, commit_to_bare},
    model::plan::Commits,
};
use tempfile::TempDir;

use crate::{
    helpers::{
        append, append_files, bare, both, changes, git, hook, local, must, noon, open, production, record, references,
        seen, temporary,
    },
    http_server::{HttpServer, TOKEN, token},
    sshd::Sshd,
};

const BRANCH: &str = "refs/heads/evenkeel/history/production";

struct World {
    folder: TempDir,
    remote: PathBuf,
    repository: Repository,
}

/// Two records, and a mark at the newest commit of `main`.
fn world() -> World {
    let folder = temporary();
    let remote = bare(folder.path());
    let repository = open(folder.path(), "mirror", &local(&remote));
    let main = must(repository.fetch()).branches["main"].clone();
    must(append(&repository, 1));
    must(append(&repository, 2));
    must(repository.mark_good(&production(), &both(&main)));
    World { folder, remote, repository }
}

impl World {
    fn delete(&self, reference: &str) {
        git(&self.remote, &["update-ref", "-d", reference]);
    }

    fn change(&self) -> Option<HistoryChange> {
        let mut history = must(self.repository.fetch()).history;
        let change = history.remove("production");
        assert!(history.is_empty(), "{history:?}");
        change
    }

    fn mirrored(&self) -> String {
        references(&self.folder.path().join("mirror"))
    }
}

#[test]
fn a_history_that_vanished_is_pushed_back() {
    let world = world();
    let (before, mirrored) = (references(&world.remote), world.mirrored());
    assert_eq!(world.change(), None);
    world.delete(BRANCH);
    let at = seen(&world.repository).expect("it is kept");
    assert_eq!(world.change(), Some(HistoryChange::Restored { at: at.into() }));
    assert_eq!((references(&world.remote), world.mirrored()), (before, mirrored));
    assert_eq!(world.change(), None, "it is told once");
    assert_eq!(must(world.repository.records(&production(), 9)).len(), 2);
    must(append(&world.repository, 3));
}

#[test]
fn a_history_that_vanished_is_pushed_back_over_http_and_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = sshd.folder.path();
    let remote = bare(folder);
    let server = HttpServer::start(folder);
    let over_http = (server.url("/config.git"), token(folder, TOKEN));
    let over_ssh = (sshd.url(&remote), sshd.credentials(&sshd.known()));
    for (name, (url, credentials)) in [("http", over_http), ("ssh", over_ssh)] {
        let repository = Repository::open(&folder.join(name), &url, credentials).expect("the mirror opens");
        must(repository.fetch());
        let at = must(append(&repository, 1));
        git(&remote, &["update-ref", "-d", BRANCH]);
        let history = must(repository.fetch()).history;
        assert_eq!(history, [("production".to_owned(), HistoryChange::Restored { at: at.clone().into() })].into());
        assert_eq!(git(&remote, &["rev-parse", BRANCH]), at);

        git(&remote, &["update-ref", "-d", BRANCH]);
        hook(&remote, "pre-receive", "echo not here\nexit 1");
        let history = must(repository.fetch()).history;
        let Some(HistoryChange::NotRestored { why }) = history.get("production") else { panic!("{history:?}") };
        assert!(why.contains("hook declined (not here)") && why.contains(&url.to_string()), "{why}");
        fs::remove_file(remote.join("hooks/pre-receive")).expect("it is ours");
        must(repository.fetch());
        git(&remote, &["update-ref", "-d", BRANCH]);
    }
}

#[test]
fn a_history_that_cannot_be_pushed_back_is_kept_here() {
    let world = world();
    let kept = seen(&world.repository);
    world.delete(BRANCH);
    // Nothing can lie below a branch of this name.
    let way = "refs/heads/evenkeel/history";
    git(&world.remote, &["update-ref", way, "refs/heads/main"]);
    for _ in 0..2 {
        let change = world.change();
        let Some(HistoryChange::NotRestored { why }) = &change else { panic!("{change:?}") };
        assert!(why.contains(BRANCH), "{why}");
        assert_eq!(seen(&world.repository), kept);
        assert_eq!(must(world.repository.records(&production(), 9)).len(), 2);
    }
    world.delete(way);
    assert_eq!(world.change(), Some(HistoryChange::Restored { at: kept.expect("it is kept").into() }));
}

#[test]
fn a_history_that_was_rewritten_is_taken_and_appended_to() {
    let world = world();
    let ours = seen(&world.repository).expect("it is there");
    let theirs = git(&world.remote, &["commit-tree", "-m", "By hand", &format!("{ours}^{{tree}}")]);
    git(&world.remote, &["update-ref", BRANCH, &theirs]);
    let change = world.change();
    assert_eq!(change, Some(HistoryChange::Rewritten { ours: ours.into(), theirs: theirs.clone() }));
    assert_eq!(seen(&world.repository), Some(theirs.clone().into()));
    let next = must(append(&world.repository, 3));
    assert_eq!(git(&world.remote, &["rev-parse", &format!("{next}^")]), theirs);
}

#[test]
fn a_history_that_was_set_back_is_pushed_forward_again() {
    let world = world();
    let ours = seen(&world.repository).expect("it is there");
    let older = git(&world.remote, &["rev-parse", &format!("{ours}^")]);
    git(&world.remote, &["update-ref", BRANCH, &older]);
    assert_eq!(world.change(), Some(HistoryChange::Restored { at: ours.clone().into() }));
    assert_eq!(git(&world.remote, &["rev-parse", BRANCH]), ours);
    assert_eq!(seen(&world.repository), Some(ours));
    assert_eq!(world.change(), None);
}

#[test]
fn another_controllers_commits_are_no_rewriting() {
    let world = world();
    let other = open(world.folder.path(), "other", &local(&world.remote));
    assert_eq!(must(other.fetch()).history, [].into(), "nor is a history that is new here");
    must(append(&other, 3));
    must(append(&other, 4));
    assert_eq!(world.change(), None);
    assert_eq!(seen(&world.repository), seen(&other));
}

#[test]
fn the_mark_of_the_last_good_commit_is_kept_here() {
    let world = world();
    let mark = "refs/evenkeel/production/good";
    world.delete(mark);
    git(&world.remote, &["update-ref", "refs/evenkeel/other", "refs/heads/main"]);
    assert_eq!(world.change(), None);
    world.delete("refs/evenkeel/other");
    assert_eq!(world.change(), None);
    assert!(world.mirrored().contains(mark) && !world.mirrored().contains("refs/evenkeel/other"));
    let main = must(world.repository.fetch()).branches["main"].clone();
    must(world.repository.mark_good(&production(), &both(&main)));
    assert!(references(&world.remote).contains(mark), "and the next deployment writes it again");
}

#[test]
fn of_an_environment_with_a_branch_of_its_own_both_commits_are_marked_and_kept_here() {
    let world = world();
    let default = must(world.repository.fetch()).branches["main"].clone();
    let own = must(append(&world.repository, 3));
    let commits = Commits::of_config(Some(default.clone()), Some(own.clone()));
    must(world.repository.mark_good(&production(), &commits));
    let marks = [("refs/evenkeel/production/good", own), ("refs/evenkeel/production/good-default", default)];
    for (mark, commit) in marks {
        assert_eq!(git(&world.remote, &["rev-parse", mark]), commit);
        world.delete(mark);
        assert_eq!(world.change(), None);
        assert!(world.mirrored().contains(&format!("{mark} ")), "{mark} is gone here, too");
    }
}

#[test]
fn each_environments_history_is_looked_after() {
    let world = world();
    let staging = "staging".parse().expect("it is a name");
    let at = must(append_files(&world.repository, &staging, None, &record(1), "Intent 1"));
    world.delete(BRANCH);
    world.delete("refs/heads/evenkeel/history/staging");
    let production = seen(&world.repository).expect("it is kept");
    let history = must(world.repository.fetch()).history;
    let restored = |environment: &str, at: String| (environment.to_owned(), HistoryChange::Restored { at });
    assert_eq!(history, [restored("production", production.into()), restored("staging", at.into())].into());
}

#[test]
fn nothing_is_pushed_to_a_remote_that_was_emptied() {
    let world = world();
    let mirrored = world.mirrored();
    // A forge would make the first branch that comes the default one.
    fs::remove_dir_all(&world.remote).expect("it is ours");
    git(world.folder.path(), &["init", "-q", "--bare", "config.git"]);
    assert!(world.repository.fetch().is_err());
    assert_eq!((references(&world.remote), world.mirrored()), (String::new(), mirrored));
    let main = changes(&[("x", Some("1"))]);
    commit_to_bare(&world.remote, "main", &main, "Begun anew", noon()).expect("it commits");
    assert!(matches!(world.change(), Some(HistoryChange::Restored { .. })));
    let mirror = Repository::open(&world.folder.path().join("new"), &local(&world.remote), Credentials::default());
    let mirror = mirror.expect("the mirror opens");
    must(mirror.fetch());
    assert_eq!(must(mirror.records(&production(), 9)).len(), 2);
}
