//! Deployments by hand: the ssh-agent of whoever makes one signs what it writes into the history.

use std::fs;

use crate::{
    fleet::Fleet,
    support::ssh_agent::SshAgent,
    told::Ran,
    world::{World, assert_is, assert_same},
};

pub fn an_apply_by_hand_is_signed_by_the_listed_key_of_the_agent(world: &World) {
    let fleet = Fleet::new(world, "byhand");
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: hello}");
    let (listed, stranger) = (SshAgent::start(), SshAgent::start());
    let (line, other) = (listed.make("ed25519", &[]), stranger.make("ed25519", &[]));
    let declared = fs::read_to_string(fleet.path().join("fleet.yaml")).expect("it is there");
    fleet.write("fleet.yaml", &format!("{declared}history_writers: [\"{line}\"]\n"));
    fleet.commit();
    let nobody = tempfile::tempdir().expect("a temporary folder can be made");
    let apply = |agent: &SshAgent| {
        let mut apply = fleet.evenkeel("apply", &["--yes"]);
        // No key of this machine's takes part.
        apply.env("SSH_AUTH_SOCK", agent.socket()).env("HOME", nobody.path());
        Ran::of("apply", apply.output().expect("evenkeel runs"))
    };
    let before = world.traces();
    let refused = apply(&stranger).ends_with(4);
    assert!(refused.errors.contains(&other), "the line to add is not there: {}", refused.errors);
    assert_same(&before, &world.traces());

    apply(&listed).ends_with(0);
    assert_is("alpha's answer", world.host("h1").asks(fleet.port(0), "/"), "alpha h1 / hello");
    let allowed = nobody.path().join("allowed");
    fs::write(&allowed, format!("evenkeel@localhost {line}\n")).expect("it can be written");
    let file = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let signed = fleet.git(&["-c", &file, "log", "--format=%G? %s", "evenkeel/history/test"]);
    assert!(signed.lines().count() >= 2 && signed.lines().all(|line| line.starts_with("G ")), "{signed}");
}
