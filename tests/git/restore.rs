//! A branch that puts files back to what an earlier commit holds.

use std::path::PathBuf;

use evenkeel::git::{GitError, Repository, commit_to_bare};
use tempfile::TempDir;

use crate::{
    helpers::{bare, changes, git, hook, local, must, noon, open, temporary, told},
    http_server::{HttpServer, TOKEN, token},
};

const BRANCH: &str = "evenkeel/rollback/production-7";

struct World {
    folder: TempDir,
    remote: PathBuf,
    repository: Repository,
    old: String,
    new: String,
}

/// An older commit, and a newer one in which everything is different but `README`.
fn world() -> World {
    let folder = temporary();
    let remote = bare(folder.path());
    let commit = |list: &[(&str, Option<&str>)]| {
        commit_to_bare(&remote, "main", &changes(list), "Change", noon()).expect("it commits")
    };
    commit(&[
        ("fleet/services/gone.yaml", Some("port: 9\n")),
        ("code/gone/run.sh", Some("old")),
        ("README", Some("r")),
    ]);
    let old = commit(&[("code/run.sh", Some("old")), ("turned", Some("a file")), ("folder/x", Some("a folder"))]);
    commit(&[("turned", None), ("folder/x", None), ("fleet/services/gone.yaml", None), ("code/gone/run.sh", None)]);
    let new = commit(&[
        ("turned/x", Some("a folder")),
        ("folder", Some("a file")),
        ("fleet/fleet.yaml", Some("name: changed\n")),
        ("fleet/services/new.yaml", Some("port: 3\n")),
        ("code/run.sh", Some("new")),
        ("code/new/run.sh", Some("new")),
    ]);
    let repository = open(folder.path(), "mirror", &local(&remote));
    must(repository.fetch());
    World { folder, remote, repository, old, new }
}

impl World {
    fn restore(&self, branch: &str, paths: &[&str]) -> Result<String, GitError> {
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        self.repository.restore(branch, &self.new, &self.old, &paths, "Roll back", noon())
    }

    /// What a commit holds at these paths.
    fn listed(&self, commit: &str, paths: &[&str]) -> String {
        git(&self.remote, &[&["ls-tree", "-r", commit, "--"], paths].concat())
    }
}

#[test]
fn the_named_paths_are_as_they_were_and_all_else_as_it_is() {
    let world = world();
    let commit = must(world.restore(BRANCH, &["fleet", "code/gone", "turned", "folder/", "nowhere/x", "README/x"]));
    let tip = git(&world.remote, &["log", "-1", "--format=%H %P %an %at %s", BRANCH]);
    assert_eq!(tip, format!("{commit} {} evenkeel 1700000000 Roll back", world.new));
    for restored in ["fleet", "code/gone", "turned", "folder"] {
        assert_eq!(world.listed(&commit, &[restored]), world.listed(&world.old, &[restored]), "{restored}");
    }
    for kept in ["code/run.sh", "code/new", "README", "nowhere"] {
        assert_eq!(world.listed(&commit, &[kept]), world.listed(&world.new, &[kept]), "{kept}");
    }
    git(&world.remote, &["fsck", "--strict"]);
    assert_eq!(must(world.repository.fetch()).branches[BRANCH], commit);
}

#[test]
fn what_the_earlier_commit_does_not_hold_is_removed() {
    let world = world();
    let commit = must(world.restore(BRANCH, &["code/new/run.sh", "fleet/services/new.yaml"]));
    let removed = git(&world.remote, &["diff", "--name-status", &world.new, &commit]);
    assert_eq!(removed, "D\tcode/new/run.sh\nD\tfleet/services/new.yaml");
}

#[test]
fn everything_can_be_restored() {
    let world = world();
    for (branch, root) in [("one", ""), ("two", "/"), ("three", ".")] {
        let commit = must(world.restore(branch, &[root]));
        assert_eq!(world.listed(&commit, &[]), world.listed(&world.old, &[]), "{root}");
    }
}

#[test]
fn a_restoring_that_changes_nothing_is_an_error() {
    let world = world();
    let error = world.restore(BRANCH, &["README", "nowhere"]).expect_err("nothing changes");
    assert!(matches!(&error, GitError::NothingToRestore { .. }), "{error:?}");
    assert!(told(&error).ends_with("at README, nowhere; choose an earlier deployment"), "{}", told(&error));
    assert!(!git(&world.remote, &["branch", "--list"]).contains(BRANCH));
}

#[test]
fn a_branch_that_is_there_already_is_used_when_it_holds_the_same() {
    let world = world();
    let commit = must(world.restore(BRANCH, &["fleet"]));
    assert_eq!(must(world.restore(BRANCH, &["fleet"])), commit);
    // Somebody else made it, with other words and since our last fetch.
    let parent = git(&world.remote, &["rev-parse", &format!("{commit}^")]);
    let same = git(&world.remote, &["commit-tree", "-p", &parent, "-m", "By hand", &format!("{commit}^{{tree}}")]);
    git(&world.remote, &["update-ref", &format!("refs/heads/{BRANCH}"), &same]);
    assert_eq!(must(world.restore(BRANCH, &["fleet"])), same);

    let other = world.restore(BRANCH, &["code"]).expect_err("it holds something else");
    assert!(matches!(&other, GitError::BranchTaken { found, .. } if *found == same), "{other:?}");
    assert!(told(&other).contains(BRANCH), "{}", told(&other));
    assert_eq!(git(&world.remote, &["rev-parse", BRANCH]), same);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let world = world();
    for branch in ["", "a..b", "a b", "x.lock"] {
        assert!(matches!(world.restore(branch, &["fleet"]), Err(GitError::Branch { .. })), "{branch}");
    }
    assert!(matches!(world.restore(BRANCH, &["fleet/../../x"]), Err(GitError::Path { .. })));
    let nobody = "1".repeat(40);
    let lost = world.repository.restore(BRANCH, &world.new, &nobody, &["fleet".to_owned()], "Roll back", noon());
    assert!(told(&lost.expect_err("there is none")).contains(&nobody));
}

#[test]
fn it_is_pushed_over_http_too() {
    let world = world();
    let folder = world.folder.path();
    let server = HttpServer::start(folder);
    let url = server.url("/config.git");
    let repository = Repository::open(&folder.join("http"), &url, token(folder, TOKEN)).expect("the mirror opens");
    must(repository.fetch());
    let restore = |paths: &[String]| repository.restore(BRANCH, &world.new, &world.old, paths, "Roll back", noon());
    hook(&world.remote, "pre-receive", "echo not here\nexit 1");
    let refused = restore(&["fleet".to_owned()]);
    assert!(matches!(&refused, Err(GitError::Refused { why, .. }) if why.contains("not here")), "{refused:?}");
    std::fs::remove_file(world.remote.join("hooks/pre-receive")).expect("it is ours");
    let commit = must(restore(&["fleet".to_owned()]));
    assert_eq!(must(restore(&["fleet".to_owned()])), commit);
    assert!(matches!(restore(&["code".to_owned()]), Err(GitError::BranchTaken { .. })));
    assert_eq!(must(repository.fetch()).branches[BRANCH], commit);
    // The local one comes to the same: what is written depends on nothing else.
    assert_eq!(must(world.restore(BRANCH, &["fleet"])), commit);
}
