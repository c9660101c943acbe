//! Repositories on this machine.

use std::fs;

use evenkeel::git::{Credentials, GitError, Repository, commit_to_bare};

use crate::{
    every_remote::{reads_and_writes, strange_names_are_passed_over},
    helpers::{append, bare, changes, git, local, noon, open, temporary, text, told, write},
};

#[test]
fn a_bare_repository_is_read_and_written() {
    let folder = temporary();
    let bare = bare(folder.path());
    reads_and_writes(folder.path(), &local(&bare), &Credentials::default(), &bare);
}

/// Callers share one repository between blocking tasks.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Repository>();
};

#[test]
fn a_strange_path_is_still_a_path() {
    let folder = temporary();
    let strange = folder.path().join("a:b c%20'd'");
    fs::create_dir(&strange).expect("it can be made");
    let bare = bare(&strange);
    reads_and_writes(&strange, &local(&bare), &Credentials::default(), &bare);
}

#[test]
fn a_strange_branch_is_passed_over() {
    let folder = temporary();
    let bare = bare(folder.path());
    strange_names_are_passed_over(folder.path(), &local(&bare), &Credentials::default(), &bare);
}

#[test]
fn pushing_beside_a_work_tree_leaves_it_alone() {
    let folder = temporary();
    let root = folder.path().join("work");
    write(&root, "fleet/fleet.yaml", "name: demo\n");
    git(&root, &["init", "-q"]);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-q", "-m", "First"]);
    write(&root, "fleet/fleet.yaml", "name: staged\n");
    git(&root, &["add", "."]);
    write(&root, "fleet/fleet.yaml", "name: changed\n");
    let state = || {
        (
            git(&root, &["status", "--porcelain"]),
            git(&root, &["rev-parse", "HEAD"]),
            fs::read(root.join(".git/HEAD")).ok(),
            fs::read(root.join(".git/index")).ok(),
        )
    };
    let before = state();
    reads_and_writes(folder.path(), &local(&root), &Credentials::default(), &root);
    assert_eq!(state(), before);

    git(&root, &["stash", "-q"]);
    git(&root, &["checkout", "-q", "evenkeel/history/production"]);
    let repository = open(folder.path(), "three", &local(&root));
    repository.fetch().expect("it fetches");
    let refused = append(&repository, 3);
    assert!(matches!(&refused, Err(GitError::Refused { .. })), "{refused:?}");
    git(&root, &["checkout", "-q", "main"]);
    git(&root, &["worktree", "add", "-q", "../added", "evenkeel/history/production"]);
    let refused = append(&repository, 3);
    assert!(matches!(&refused, Err(GitError::Refused { .. })), "{refused:?}");
}

#[test]
fn what_is_gone_at_the_remote_is_gone_here() {
    let folder = temporary();
    let bare = bare(folder.path());
    let repository = open(folder.path(), "mirror", &local(&bare));
    assert_eq!(repository.last_fetched().expect("it reads"), None);
    commit_to_bare(&bare, "a", &changes(&[("x", Some("1"))]), "On a", noon()).expect("it commits");
    assert_eq!(repository.fetch().expect("it fetches").branches.keys().collect::<Vec<_>>(), ["a", "main"]);
    git(&bare, &["branch", "-D", "a"]);
    commit_to_bare(&bare, "a/b", &changes(&[("x", Some("1"))]), "On a/b", noon()).expect("it commits");
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/a/b"]);
    git(&bare, &["branch", "-f", "main", "a/b"]);
    let fetched = repository.fetch().expect("it fetches");
    assert_eq!(fetched.branches.keys().collect::<Vec<_>>(), ["a/b", "main"]);
    assert_eq!(fetched.default_branch, "a/b");
    let last = repository.last_fetched().expect("it reads").expect("there was a fetch");
    assert_eq!((last.branches, last.default_branch), (fetched.branches, fetched.default_branch));
    assert!(repository.watch_paths().contains(&bare.join("refs/heads")));
    fs::remove_dir_all(&bare).expect("it is ours");
    assert!(repository.fetch().is_err());
}

#[test]
fn those_who_share_a_mirror_wait_for_one_another() {
    let folder = temporary();
    let remote = local(&bare(folder.path()));
    // As the controller and a `history` beside it: each opens the mirror for itself.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let repository = open(folder.path(), "mirror", &remote);
                for _ in 0..25 {
                    repository.fetch().unwrap_or_else(|error| panic!("{}", told(&error)));
                }
            });
        }
    });
}

#[test]
fn an_empty_remote_says_that_it_has_no_default_branch() {
    let folder = temporary();
    git(folder.path(), &["init", "-q", "--bare", "empty.git"]);
    let error = open(folder.path(), "mirror", &local(&folder.path().join("empty.git"))).fetch();
    assert!(matches!(error, Err(GitError::NoDefaultBranch { .. })), "{error:?}");
}

#[test]
fn a_branch_cannot_move_where_it_is_deployed_to() {
    let folder = temporary();
    let bare = bare(folder.path());
    let default = commit_to_bare(
        &bare,
        "main",
        &changes(&[("fleet/instances/h1.yaml", Some("address: 1\n")), ("fleet/environments/p.yaml", Some("p"))]),
        "Instances",
        noon(),
    )
    .expect("it commits");
    commit_to_bare(
        &bare,
        "production",
        &changes(&[
            ("fleet/fleet.yaml", Some("name: stolen\n")),
            ("fleet/instances/h1.yaml", Some("address: 2\n")),
            ("fleet/instances/h2.yaml", Some("address: 3\n")),
            ("fleet/environments/p.yaml", None),
            ("fleet/services/web.yaml", Some("port: 2\n")),
            ("instances/code", Some("not the fleet's\n")),
        ]),
        "Thefts",
        noon(),
    )
    .expect("it commits");
    let file = changes(&[("fleet/environments", Some("a file of the folder's name"))]);
    let environment = commit_to_bare(&bare, "production", &file, "Theft", noon()).expect("it commits");
    let repository = open(folder.path(), "mirror", &local(&bare));
    repository.fetch().expect("it fetches");
    let tree = repository.composed_tree(&default, &environment, "fleet").expect("it composes");
    let found: Vec<_> = tree.iter().map(|(path, _)| (path, text(&tree, path).unwrap_or_default())).collect();
    let expected = [
        ("fleet/environments/p.yaml", "p"),
        ("fleet/fleet.yaml", "name: demo\n"),
        ("fleet/instances/h1.yaml", "address: 1\n"),
        ("fleet/services/web.yaml", "port: 2\n"),
        ("instances/code", "not the fleet's\n"),
    ];
    assert_eq!(found, expected.map(|(path, text)| (path, text.to_owned())));
    let summary = repository.commit_summary(&environment.as_str().into()).expect("it reads");
    assert_eq!((summary.author.as_str(), summary.subject.as_str(), summary.when), ("evenkeel", "Theft", noon()));
    assert!(repository.tree("no commit").is_err());
    assert!(repository.tree(&"0".repeat(40)).is_err());
}

/// A link on the default branch leads to what is there on the default branch, and a second name of `fleet.yaml` is one.
#[test]
fn a_branch_cannot_slip_a_file_under_a_link_of_the_default_branch() {
    let folder = temporary();
    let work = folder.path().join("work");
    write(&work, "fleet/shared/fleet.yaml", "name: demo\n");
    write(&work, "fleet/shared/h1.yaml", "address: 1\n");
    std::fs::create_dir_all(work.join("fleet/instances")).expect("it is made");
    for (link, target) in [
        ("fleet/fleet.yaml", "shared/fleet.yaml"),
        ("fleet/instances/h1.yaml", "../shared/h1.yaml"),
        ("fleet/instances/h2.yaml", "../shared/not-there.yaml"),
        ("fleet/instances/h3.yaml", "../../outside.yaml"),
    ] {
        std::os::unix::fs::symlink(target, work.join(link)).expect("it is made");
    }
    git(&work, &["init", "--quiet"]);
    let commit = |message: &str| {
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--message", message]);
        git(&work, &["rev-parse", "HEAD"])
    };
    let default = commit("Links");
    git(&work, &["checkout", "--quiet", "-b", "production"]);
    write(&work, "fleet/shared/fleet.yaml", "name: stolen\n");
    write(&work, "fleet/shared/h1.yaml", "address: 2\n");
    write(&work, "fleet/shared/not-there.yaml", "address: 3\n");
    write(&work, "fleet/fleet.yml", "name: stolen\n");
    let environment = commit("Thefts");
    let repository = open(folder.path(), "mirror", &local(&work));
    repository.fetch().expect("it fetches");
    let tree = repository.composed_tree(&default, &environment, "fleet").expect("it composes");
    let of = |path: &str| text(&tree, path);
    assert_eq!(of("fleet/fleet.yaml").as_deref(), Some("name: demo\n"));
    assert_eq!(of("fleet/instances/h1.yaml").as_deref(), Some("address: 1\n"));
    assert_eq!(of("fleet/instances/h2.yaml").as_deref(), Some("-> h2.yaml"), "it leads nowhere");
    assert_eq!(of("fleet/instances/h3.yaml").as_deref(), Some("-> ../../outside.yaml"), "it is refused when read");
    assert_eq!(of("fleet/fleet.yml"), None);
}
