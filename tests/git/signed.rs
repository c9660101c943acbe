//! Signatures of history commits: git itself reads ours, we read git's, and only a listed key vouches for a commit.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use evenkeel::{
    git::{Repository, Signer, commit_to_bare},
    model::{
        belief::Held,
        commit::CommitId,
        name::EnvironmentName,
        writer::{Unvouched, Writer},
    },
};
use tempfile::TempDir;

use crate::{
    git_program::{git, try_git},
    helpers::{bare, both, changes, local, must, noon, open, production, record, temporary},
};

const MESSAGE: &str = "Something happened\n\nEnvironment: production\n";

struct Scene {
    folder: TempDir,
    repository: Repository,
}

impl Scene {
    fn new() -> Self {
        let folder = temporary();
        let repository = open(folder.path(), "mirror", &local(&bare(folder.path())));
        must(repository.fetch());
        Self { folder, repository }
    }

    fn remote(&self) -> std::path::PathBuf {
        self.folder.path().join("config.git")
    }

    fn key(&self, name: &str) -> Signer {
        Signer::read_or_make(&self.folder.path().join(name), name).expect("a key")
    }

    fn appends(&self, generation: u64, message: &str, signer: Option<&Signer>) -> CommitId {
        let seen = must(self.repository.tip(&production())).map(|tip| tip.commit);
        let files = record(generation);
        must(self.repository.append_signed(&production(), seen.as_ref(), &files, message, noon(), signer))
    }

    /// The commit that nobody vouches for, and why.
    fn unlisted(&self, commit: &str, writers: &[&Signer]) -> Option<(CommitId, Unvouched)> {
        let unlisted = must(self.repository.unlisted(&production(), &commit.into(), &listed(writers)));
        unlisted.map(|unlisted| (unlisted.commit, unlisted.why))
    }
}

fn listed(writers: &[&Signer]) -> Vec<Writer> {
    writers.iter().map(|signer| Writer { name: None, key: signer.line() }).collect()
}

/// What git says of the newest commit's signature, with this key as the one that `evenkeel@localhost` may sign with.
fn as_git_sees_it(repository: &Path, branch: &str, line: &str) -> String {
    let allowed = repository.join("allowed");
    fs::write(&allowed, format!("evenkeel@localhost {line}\n")).expect("it can be written");
    let file = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    git(repository, &["-c", &file, "log", "-1", "--format=%G? %GF", branch])
}

#[test]
fn git_itself_verifies_what_is_signed_here() {
    let scene = Scene::new();
    let key = scene.key("key");
    scene.appends(1, MESSAGE, Some(&key));
    let branch = "evenkeel/history/production";
    let told = as_git_sees_it(&scene.remote(), branch, &key.line());
    assert!(told.starts_with("G SHA256:"), "{told}");
    let stranger = as_git_sees_it(&scene.remote(), branch, &scene.key("other").line());
    assert!(!stranger.starts_with('G'), "{stranger}");
}

#[test]
fn what_git_itself_signs_is_verified_here() {
    let scene = Scene::new();
    let key = scene.key("key");
    let path = scene.folder.path().join("key");
    let signs = format!("user.signingKey={}", path.display());
    let tree = git(&scene.remote(), &["rev-parse", "main^{tree}"]);
    let arguments = ["-c", "gpg.format=ssh", "-c", &signs, "commit-tree", "-S", &tree, "-m", MESSAGE];
    let commit = git(&scene.remote(), &arguments);
    git(&scene.remote(), &["update-ref", "refs/heads/evenkeel/history/production", &commit]);
    must(scene.repository.fetch());
    assert_eq!(scene.unlisted(&commit, &[&key]), None);
}

#[test]
fn a_listed_key_alone_vouches_for_a_commit_and_only_for_the_history_that_it_names() {
    let scene = Scene::new();
    let (key, other) = (scene.key("key"), scene.key("other"));
    let signed = scene.appends(1, MESSAGE, Some(&key));
    assert_eq!(scene.unlisted(&signed, &[&other, &key]), None);
    let by_another = scene.unlisted(&signed, &[&other]);
    assert!(matches!(by_another, Some((_, Unvouched::Key(ref key))) if key.starts_with("SHA256:")), "{by_another:?}");
    assert!(scene.unlisted(&signed, &[]).is_some());

    let staging: EnvironmentName = "staging".parse().expect("a name");
    let elsewhere = must(scene.repository.unlisted(&staging, &signed.as_str().into(), &listed(&[&key])));
    assert_eq!(elsewhere.map(|unlisted| unlisted.why), Some(Unvouched::OtherHistory));
    for message in ["A feature", "Two\n\nEnvironment: production\nEnvironment: staging\n"] {
        let unbound = scene.appends(2, message, Some(&key));
        assert_eq!(scene.unlisted(&unbound, &[&key]), Some((unbound.clone(), Unvouched::OtherHistory)), "{message}");
    }
    let unsigned = scene.appends(3, MESSAGE, None);
    assert_eq!(scene.unlisted(&unsigned, &[&key]), Some((unsigned.clone(), Unvouched::Unsigned)));
}

/// Somebody puts the signature of one commit on another.
#[test]
fn a_signature_fits_its_own_commit_alone() {
    let scene = Scene::new();
    let key = scene.key("key");
    let signed = scene.appends(1, MESSAGE, Some(&key));
    let text = git(&scene.remote(), &["cat-file", "commit", &signed]);
    let moved = text.replace("1700000000", "1700000001") + "\n";
    fs::write(scene.remote().join("moved"), moved).expect("it can be written");
    let moved = git(&scene.remote(), &["hash-object", "-t", "commit", "-w", "moved"]);
    git(&scene.remote(), &["update-ref", "refs/heads/evenkeel/history/production", &moved]);
    must(scene.repository.fetch());
    assert_eq!(scene.unlisted(&moved, &[&key]), Some((moved.as_str().into(), Unvouched::Broken)));
}

#[test]
fn what_was_believed_stays_so_when_its_key_is_listed_no_longer_and_every_later_commit_is_looked_at() {
    let scene = Scene::new();
    let (old, new) = (scene.key("old"), scene.key("new"));
    scene.appends(1, MESSAGE, None);
    let before = scene.appends(2, MESSAGE, Some(&old));
    must(scene.repository.believe(&production(), &before.as_str().into()));
    assert_eq!(scene.unlisted(&before, &[&new]), None);
    let after = scene.appends(3, MESSAGE, Some(&new));
    assert_eq!(scene.unlisted(&after, &[&new]), None);

    let between = scene.appends(4, MESSAGE, None);
    let later = scene.appends(5, MESSAGE, Some(&new));
    assert_eq!(scene.unlisted(&later, &[&new]), Some((between, Unvouched::Unsigned)));
}

#[test]
fn a_key_is_made_once_and_read_by_its_owner_alone() {
    let scene = Scene::new();
    let line = scene.key("key").line();
    assert_eq!(scene.key("key").line(), line);
    assert!(line.starts_with("ssh-ed25519 AAAA") && line.ends_with(" key"), "{line}");
    let mode = fs::metadata(scene.folder.path().join("key")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let read = try_git(scene.folder.path(), &["-c", "alias.k=!ssh-keygen -y -f key", "k"]).expect("OpenSSH reads it");
    assert_eq!(
        read.split_whitespace().take(2).collect::<Vec<_>>(),
        line.split_whitespace().take(2).collect::<Vec<_>>()
    );
    fs::write(scene.folder.path().join("broken"), "no key").expect("it can be written");
    assert!(Signer::read_or_make(&scene.folder.path().join("broken"), "x").is_err(), "it is not written over");
}

#[test]
fn a_history_that_a_person_sets_back_behind_what_others_appended_stays_there() {
    let scene = Scene::new();
    let branch = "refs/heads/evenkeel/history/production";
    let ours = scene.appends(1, MESSAGE, None);
    let tree = git(&scene.remote(), &["rev-parse", &format!("{ours}^{{tree}}")]);
    let theirs = git(&scene.remote(), &["commit-tree", "-p", &ours, "-m", "Forged", &tree]);
    git(&scene.remote(), &["update-ref", branch, &theirs]);
    must(scene.repository.fetch());
    assert_eq!(must(scene.repository.tip(&production())).map(|tip| tip.commit), Some(theirs.into()));
    git(&scene.remote(), &["update-ref", branch, &ours]);
    must(scene.repository.fetch());
    assert_eq!(must(scene.repository.tip(&production())).map(|tip| tip.commit), Some(ours.clone()));
    assert_eq!(git(&scene.remote(), &["rev-parse", branch]), ours);
}

/// What a mirror remembers is its own: nobody else can write it there, and it is pushed nowhere.
#[test]
fn what_was_seen_and_believed_is_neither_fetched_nor_pushed() {
    let scene = Scene::new();
    let head = git(&scene.remote(), &["rev-parse", "main"]);
    for name in ["evenkeel-seen/default", "evenkeel-seen/environments/production", "evenkeel-believed"] {
        let forged = format!("refs/{name}/{head}");
        git(&scene.remote(), &["update-ref", &forged, &head]);
    }
    let signed = scene.appends(1, MESSAGE, None);
    must(scene.repository.believe(&production(), &signed.as_str().into()));
    must(scene.repository.vouch(&production(), &both(&head)));
    must(scene.repository.fetch());
    let mirror = scene.folder.path().join("mirror");
    let below = |repository: &Path, pattern: &str| git(repository, &["for-each-ref", "--format=%(refname)", pattern]);
    assert_eq!(below(&mirror, "refs/evenkeel-believed/"), "refs/evenkeel-believed/production");
    assert_eq!(below(&scene.remote(), "refs/evenkeel-believed/"), format!("refs/evenkeel-believed/{head}"));
    assert_eq!(below(&scene.remote(), "refs/evenkeel-written/"), "");
}

#[test]
fn one_head_is_remembered_of_a_branch_and_one_more_for_each_forced_push() {
    let scene = Scene::new();
    let commit = |text: &str| {
        let change = changes(&[("fleet/more", Some(text))]);
        let commit = commit_to_bare(&scene.remote(), "main", &change, "A change", noon()).expect("it commits");
        must(scene.repository.fetch());
        commit
    };
    let held = |asked: &[&String]| {
        let asked: BTreeSet<CommitId> = asked.iter().map(|commit| commit.as_str().into()).collect();
        let asked = Held { default: asked.clone(), environment: asked };
        must(scene.repository.held(&production(), &asked, |_| Ok(Some("main".to_owned()))))
    };
    let mirror = scene.folder.path().join("mirror");
    let heads = || git(&mirror, &["for-each-ref", "--format=%(objectname)", "refs/evenkeel-seen/default/"]);
    let first = git(&scene.remote(), &["rev-parse", "main"]);
    held(&[]);
    let second = commit("2");
    let unmerged = git(&scene.remote(), &["commit-tree", "-m", "x", "main^{tree}"]);
    git(&scene.remote(), &["update-ref", "refs/heads/unmerged", &unmerged]);
    let third = commit("3");
    let answer = held(&[&first, &second, &third, &unmerged, &"0".repeat(40), &"HEAD".to_owned(), &String::new()]);
    let all: BTreeSet<CommitId> = [&first, &second, &third].map(|commit| commit.as_str().into()).into();
    assert_eq!((&answer.default, &answer.environment), (&all, &all));
    assert_eq!(heads(), third, "one head");

    git(&scene.remote(), &["update-ref", "refs/heads/main", &first]);
    let other = commit("4");
    let answer = held(&[&third, &other, &unmerged]);
    assert_eq!(answer.environment, [&third, &other].map(|commit| commit.as_str().into()).into());
    assert_eq!(heads().lines().count(), 2, "two heads");
    // Also by another process on the same state, and when the branch is gone.
    let again = open(scene.folder.path(), "mirror", &local(&scene.remote()));
    let asked = Held { default: BTreeSet::new(), environment: [third.as_str().into(), unmerged.into()].into() };
    assert_eq!(must(again.held(&production(), &asked, |_| Ok(None))).environment, [third.into()].into());
}
