//! What the statements share: git beside the code that is tested, and small repositories.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use evenkeel::{
    git::{Credentials, GitError, RemoteUrl, Repository, create_bare_from_folder},
    model::{
        commit::CommitId,
        name::EnvironmentName,
        plan::Commits,
        tree::{Entry, Tree},
    },
};
use tempfile::TempDir;

pub use crate::git_program::git;

pub fn write(folder: &Path, path: &str, content: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
    fs::write(path, content).expect("the file can be written");
}

pub fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("it is a time")
}

pub fn production() -> EnvironmentName {
    "production".parse().expect("it is a name")
}

/// Of an environment that follows the default branch.
pub fn both(commit: &str) -> Commits {
    Commits::of_config(Some(commit.into()), Some(commit.into()))
}

pub fn url(text: impl AsRef<str>) -> RemoteUrl {
    text.as_ref().parse().expect("it is an address")
}

pub fn local(path: &Path) -> RemoteUrl {
    url(path.to_str().expect("it is UTF-8"))
}

pub fn open(folder: &Path, name: &str, url: &RemoteUrl) -> Repository {
    Repository::open(&folder.join(name), url, Credentials::default()).expect("the mirror opens")
}

pub fn changes(list: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<Vec<u8>>> {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.map(|text| text.as_bytes().to_vec()))).collect()
}

/// A bare repository with one commit on `main`.
pub fn bare(folder: &Path) -> PathBuf {
    let source = folder.join("source");
    write(&source, "fleet.yaml", "name: demo\n");
    write(&source, "services/web.yaml", "port: 1\n");
    let bare = folder.join("config.git");
    create_bare_from_folder(&bare, &[(&source, "fleet")], "main", "First", noon()).expect("it is made");
    bare
}

pub fn record(generation: u64) -> BTreeMap<String, Vec<u8>> {
    let deployment = serde_json::json!({
        "version": 1, "environment": "production", "generation": generation, "kind": "change",
        "commits": {"default": null, "environment": null}, "plan_digest": "0".repeat(64),
        "triggered_by": "test", "controller": "test", "started": "2023-11-14T22:13:20Z", "outcome": null,
        "duration_ms": null, "changes": [], "failure": null, "unreached": {},
        "summary": {"create": 0, "update": 0, "restart": 0, "delete": 0, "changed_instances": 0,
                    "instances": 0, "services": 0, "unknown_instances": 0},
    });
    [
        ("deployment.json".to_owned(), deployment.to_string().into_bytes()),
        ("instances/h1/etc/unit".to_owned(), format!("{generation}\n").into_bytes()),
    ]
    .into()
}

pub fn text(tree: &Tree, path: &str) -> Option<String> {
    match tree.get(path)? {
        Entry::File { content, .. } => Some(String::from_utf8_lossy(content).into_owned()),
        Entry::Symlink { target } => Some(format!("-> {target}")),
        Entry::Submodule => Some("submodule".to_owned()),
    }
}

/// An error with its causes and its hint.
pub fn told(error: &GitError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text + "; " + &error.hint().unwrap_or_default()
}

/// The commit that the history is at, as far as this repository knows.
pub fn seen(repository: &Repository) -> Option<CommitId> {
    repository.tip(&production()).expect("it reads").map(|tip| tip.commit)
}

/// Appends a record to what this repository knows.
pub fn append(repository: &Repository, generation: u64) -> Result<CommitId, GitError> {
    let message = format!("Intent {generation}");
    append_files(repository, &production(), seen(repository).as_ref(), &record(generation), &message)
}

/// Appends a commit with these files, unsigned.
pub fn append_files(
    repository: &Repository,
    environment: &EnvironmentName,
    seen: Option<&CommitId>,
    files: &BTreeMap<String, Vec<u8>>,
    message: &str,
) -> Result<CommitId, GitError> {
    repository.append_signed(environment, seen, files, message, noon(), None)
}

/// Has the remote run this at each push.
pub fn hook(bare: &Path, name: &str, script: &str) {
    write(bare, &format!("hooks/{name}"), &format!("#!/bin/sh\n{script}\n"));
    let path = bare.join("hooks").join(name);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// Every reference of a repository, with where it is.
pub fn references(repository: &Path) -> String {
    let all = git(repository, &["for-each-ref", "--format=%(refname) %(objectname)"]);
    // What a mirror remembers for itself is never the remote's.
    all.lines().filter(|line| !line.starts_with("refs/evenkeel-")).collect::<Vec<_>>().join("\n")
}

pub fn must<T>(result: Result<T, GitError>) -> T {
    result.unwrap_or_else(|error| panic!("{}", told(&error)))
}
