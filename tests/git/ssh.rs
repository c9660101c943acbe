//! Repositories over SSH, against a real sshd.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use evenkeel::git::{Credentials, Repository};

use crate::{
    every_remote::{reads_and_writes, refusals_are_told, strange_names_are_passed_over},
    helpers::{bare, must, told},
    sshd::{Sshd, new_key},
};

#[test]
fn a_repository_is_read_and_written_over_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = sshd.at("it's $HOME");
    fs::create_dir(&folder).expect("it can be made");
    let bare = bare(&folder);
    reads_and_writes(&folder, &sshd.url(&bare), &sshd.credentials(&sshd.known()), &bare);

    let hashed = sshd.credentials(&sshd.known());
    let done = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(sshd.at("known_hosts"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(done.is_ok_and(|status| status.success()), "ssh-keygen is needed (package openssh-client)");
    assert!(fs::read_to_string(sshd.at("known_hosts")).expect("it is there").starts_with("|1|"));
    let repository = Repository::open(&folder.join("hashed"), &sshd.url(&bare), hashed).expect("it opens");
    must(repository.fetch());
}

#[test]
fn no_server_is_trusted_that_is_not_pinned() {
    let Some(sshd) = Sshd::start() else { return };
    let bare = bare(sshd.folder.path());
    let other = new_key(&sshd.at("other"));
    let tell = |credentials: Credentials, path: &Path| {
        let repository = Repository::open(&sshd.at("mirror"), &sshd.url(path), credentials).expect("the mirror opens");
        told(&repository.fetch().expect_err("it must not fetch"))
    };
    let pinned = |line: String| sshd.credentials(&line);
    let unknown = tell(pinned(String::new()), &bare);
    assert!(unknown.contains("127.0.0.1 is unknown") && unknown.contains("SHA256:"), "{unknown}");
    assert!(unknown.contains(&format!("ssh-keyscan -p {} 127.0.0.1 >>", sshd.port)), "{unknown}");
    let missing = Credentials { known_hosts: Some(sshd.at("missing")), ..pinned(sshd.known()) };
    assert!(tell(missing, &bare).contains("is unknown"));
    let wrong = tell(pinned(format!("[127.0.0.1]:{} {other}", sshd.port)), &bare);
    assert!(wrong.contains("offers another key than line 1"), "{wrong}");
    let revoked =
        format!("{}\n@revoked * {}", sshd.known().trim(), fs::read_to_string(sshd.at("host.pub")).expect("made"));
    assert!(tell(pinned(revoked), &bare).contains("revokes"));

    let stranger = Credentials { ssh_key: Some(sshd.at("other")), ..pinned(sshd.known()) };
    let refused = tell(stranger, &bare);
    assert!(refused.contains("with none of these") && refused.contains("/other"), "{refused}");
    let absent = tell(pinned(sshd.known()), &sshd.at("absent.git"));
    assert!(absent.contains("git-upload-pack ended with status") && absent.contains("absent.git"), "{absent}");
}

#[test]
fn a_list_of_servers_keys_is_read_no_further_than_the_budget_allows() {
    // Nothing is asked of the server before the list is read: there is none.
    let folder = crate::helpers::temporary();
    let known_hosts = folder.path().join("known_hosts");
    fs::write(&known_hosts, "# a line\n".repeat(500_000)).expect("it is written");
    let credentials = Credentials { known_hosts: Some(known_hosts.clone()), ..Credentials::default() };
    let url = crate::helpers::url("ssh://git@127.0.0.1:1/config.git");
    let repository = Repository::open(&folder.path().join("mirror"), &url, credentials).expect("the mirror opens");
    let error = told(&repository.fetch().expect_err("too large"));
    let place = format!("cannot read {}: it has more than 4 MiB in one file", known_hosts.display());
    assert!(error.contains(&place), "{error}");
}

#[test]
fn a_rule_that_stands_against_a_push_over_ssh_is_told() {
    let Some(sshd) = Sshd::start() else { return };
    let bare = bare(sshd.folder.path());
    refusals_are_told(sshd.folder.path(), &sshd.url(&bare), &sshd.credentials(&sshd.known()), &bare);
}

#[test]
fn a_strange_branch_is_passed_over_over_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let bare = bare(sshd.folder.path());
    strange_names_are_passed_over(sshd.folder.path(), &sshd.url(&bare), &sshd.credentials(&sshd.known()), &bare);
}
