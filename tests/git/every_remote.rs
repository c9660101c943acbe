//! What holds of every remote, however it is reached.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path};

use evenkeel::git::{Credentials, GitError, RemoteUrl, Repository};

use crate::helpers::{append, append_files, both, git, hook, must, production, record, seen, text, told};

/// What every remote must be good for: fetched, appended to, marked, and appended to by one only.
pub fn reads_and_writes(folder: &Path, url: &RemoteUrl, credentials: &Credentials, bare: &Path) {
    let open = |name: &str| Repository::open(&folder.join(name), url, credentials.clone()).expect("the mirror opens");
    let (one, two) = (open("one"), open("two"));
    for repository in [&one, &two] {
        let fetched = must(repository.fetch());
        assert_eq!(fetched.default_branch, "main");
        assert!(fetched.changed);
        let tree = repository.tree(&fetched.branches["main"]).expect("it is there");
        assert_eq!(text(&tree, "fleet/fleet.yaml").as_deref(), Some("name: demo\n"));
        assert!(!repository.fetch().expect("it fetches again").changed);
    }

    let first = must(append(&one, 1));
    let lost = append_files(&two, &production(), None, &record(1), "Intent 1, of another");
    assert!(matches!(&lost, Err(GitError::Diverged { found, .. }) if *found == first), "{lost:?}");
    // The same bytes, written by two: still only one has written them.
    let same = append(&two, 1);
    assert!(matches!(&same, Err(GitError::Diverged { .. })), "{same:?}");
    assert_eq!(two.records(&production(), 9).expect("it reads"), [], "what was lost is not in the history");

    let fetched = two.fetch().expect("it fetches");
    assert!(fetched.changed, "the history moved");
    assert_eq!(fetched.branches.keys().collect::<Vec<_>>(), ["main"]);
    let second = append(&two, 2).expect("it is up to date now");
    let lost = append(&one, 2);
    assert!(matches!(&lost, Err(GitError::Diverged { seen, .. }) if *seen == first), "{lost:?}");

    one.fetch().expect("it fetches");
    let history = one.records(&production(), 9).expect("it reads");
    let commits: Vec<_> = history.iter().map(|record| (record.commit.clone(), record.deployment.generation)).collect();
    assert_eq!(commits, [(second.clone(), 2), (first.clone(), 1)]);
    assert_eq!(one.records(&production(), 1).expect("it reads").len(), 1);
    assert_eq!(one.history_files(&production(), &first).expect("it reads"), record(1));

    one.mark_good(&production(), &both(&second)).expect("it moves forward");
    one.mark_good(&production(), &both(&first)).expect("it moves back");
    let at = |reference: &str| git(bare, &["rev-parse", reference]);
    assert_eq!(at("refs/evenkeel/production/good"), first);
    assert_eq!(at("refs/heads/evenkeel/history/production"), second);
    assert_eq!(
        git(bare, &["log", "-1", "--format=%an <%ae> %at %s", &second]),
        "evenkeel <evenkeel@localhost> 1700000000 Intent 2"
    );
    git(bare, &["fsck", "--strict"]);
}

/// A hook, or a branch's protection, that says no is not another controller.
pub fn refusals_are_told(folder: &Path, url: &RemoteUrl, credentials: &Credentials, bare: &Path) {
    let repository = Repository::open(&folder.join("refused"), url, credentials.clone()).expect("the mirror opens");
    must(repository.fetch());
    let first = must(append(&repository, 1));
    // Not all that a hook says can be read.
    for said in ["not today", "nicht f\\374r uns"] {
        hook(bare, "pre-receive", &format!("printf '{said}'\nexit 1"));
        let refused = append(&repository, 2).expect_err("the hook says no");
        assert!(matches!(&refused, GitError::Refused { .. }), "{refused:?}");
        let text = told(&refused);
        assert!(text.contains("pre-receive hook declined (") && text.contains(&url.to_string()), "{text}");
        assert!(text.contains("not today") || text.contains("nicht f"), "{text}");
        assert!(text.contains("; allow evenkeel's account to push refs/heads/evenkeel/history/production"), "{text}");
    }
    fs::remove_file(bare.join("hooks/pre-receive")).expect("it is ours");

    hook(bare, "update", "case $1 in */history/*) echo GH006: protected branch; exit 1;; esac");
    let refused = told(&append(&repository, 2).expect_err("the branch is protected"));
    assert!(refused.contains("hook declined (GH006: protected branch "), "{refused}");
    let refused = repository.mark_good(&production(), &both(&first)).map(|()| "other references may be moved");
    assert!(refused.is_ok(), "{refused:?}");

    assert_eq!(seen(&repository), Some(first.clone()), "what was refused is not in the history");
    assert_eq!(git(bare, &["rev-parse", "refs/heads/evenkeel/history/production"]), first);
    fs::remove_file(bare.join("hooks/update")).expect("it is ours");
    must(append(&repository, 2));
}

/// A branch whose name is not plain UTF-8 is no reason to fail, nor to miss the others.
pub fn strange_names_are_passed_over(folder: &Path, url: &RemoteUrl, credentials: &Credentials, bare: &Path) {
    let main = fs::read(bare.join("refs/heads/main")).expect("it is loose");
    fs::write(bare.join("refs/heads").join(OsStr::from_bytes(b"gr\xfcn")), &main).expect("it can be written");
    fs::write(bare.join("refs/heads/grün"), &main).expect("it can be written");
    let repository = Repository::open(&folder.join("strange"), url, credentials.clone()).expect("the mirror opens");
    let fetched = must(repository.fetch());
    assert_eq!(fetched.branches.keys().collect::<Vec<_>>(), ["grün", "main"]);
}
