//! The work tree, as a person has it in front of them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use evenkeel::{git::work_tree, model::tree::Entry};

use crate::helpers::{git, temporary, text, write};

#[test]
fn a_work_tree_is_what_git_would_take() {
    let folder = temporary();
    let root = folder.path();
    git(root, &["init", "-q"]);
    for (path, content) in [
        ("fleet/fleet.yaml", "name: demo\n"),
        ("fleet/.gitignore", "secret\n"),
        ("fleet/secret", "hush"),
        ("fleet/.hidden", "seen"),
        (".gitignore", "target/\n*.log\n"),
        (".ignore", "app/\n"),
        ("target/x", "built"),
        ("app/run.sh", "#!/bin/sh\n"),
        ("app/tracked.log", "kept"),
        ("app/other.log", "gone"),
    ] {
        write(root, path, content);
    }
    fs::set_permissions(root.join("app/run.sh"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    symlink("run.sh", root.join("app/link")).expect("it can be made");
    git(root, &["init", "-q", "sub"]);
    write(root, "sub/file", "foreign");
    git(root, &["add", "-f", "app/tracked.log"]);

    let read = work_tree(&root.join("fleet")).expect("it reads");
    let paths: Vec<_> = read.tree.iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            ".gitignore",
            ".ignore",
            "app/link",
            "app/run.sh",
            "app/tracked.log",
            "fleet/.gitignore",
            "fleet/.hidden",
            "fleet/fleet.yaml",
            "sub"
        ]
    );
    assert!(matches!(read.tree.get("app/run.sh"), Some(Entry::File { executable: true, .. })));
    assert_eq!(text(&read.tree, "app/link").as_deref(), Some("-> run.sh"));
    assert_eq!(text(&read.tree, "sub").as_deref(), Some("submodule"));
    assert_eq!((read.fleet.as_str(), read.commit, read.clean), ("fleet", None, false));
    assert_eq!(read.root, fs::canonicalize(root).expect("it is there"));

    fs::remove_dir_all(root.join("sub")).expect("it is ours");
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "All"]);
    let read = work_tree(&root.join("fleet")).expect("it reads");
    assert_eq!((read.commit, read.clean), (Some(git(root, &["rev-parse", "HEAD"]).into()), true));
    write(root, "fleet/new.yaml", "");
    assert!(!work_tree(&root.join("fleet")).expect("it reads").clean, "an untracked file is a change");
}

#[test]
fn without_a_repository_only_the_fleet_folder_is_read() {
    let folder = temporary();
    write(folder.path(), "fleet/fleet.yaml", "name: demo\n");
    write(folder.path(), "beside", "anything");
    let read = work_tree(&folder.path().join("fleet")).expect("it reads");
    assert_eq!(read.tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["fleet/fleet.yaml"]);
    assert_eq!((read.fleet.as_str(), read.commit, read.clean), ("fleet", None, false));
    assert!(work_tree(&folder.path().join("nowhere")).is_err());
}
