//! People who use a command without a controller: their ssh-agent signs what the command writes into the history.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use evenkeel::git::Signer;

use crate::{
    daemon::{Config, EVENKEEL, PATIENCE, assert_is},
    environments::{HISTORY, both},
    git_program::{git, try_git},
    needs::lacks,
    signed::{goes_on, lists},
    ssh_agent::{MuteAgent, PROGRAMS, SshAgent},
};

const REFUSED: Option<i32> = Some(4);

/// A command of somebody whose only keys are the agent's.
fn evenkeel(config: &Config, folder: &Path, arguments: &[&str], agent: &Path) -> Output {
    let mut command = Command::new(EVENKEEL);
    command.args(arguments).args(["-e", "staging", "--repo"]).arg(config.repository());
    command.arg("--state").arg(config.path("person")).current_dir(folder).env("HOME", config.folder.path());
    // Where it asks whether the key may be used, nobody is there to say so.
    command.env("SSH_AUTH_SOCK", agent).env_remove("DISPLAY").env_remove("SSH_ASKPASS");
    ends(command)
}

/// Its output; one that goes on for ever is ended and told of.
fn ends(mut command: Command) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("evenkeel runs");
    let began = Instant::now();
    while child.try_wait().expect("it is ours").is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().expect("it is ours");
            panic!("{command:?} does not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("it ended")
}

fn hold(config: &Config, agent: &Path) -> Output {
    evenkeel(config, config.folder.path(), &["hold", "--reason", "an audit"], agent)
}

fn apply(config: &Config, agent: &Path) -> Output {
    let clone = config.path("clone");
    if !clone.exists() {
        git(config.folder.path(), &["clone", "--quiet", "--branch", "staging", "config.git", "clone"]);
    }
    evenkeel(config, &clone, &["apply", "--yes"], agent)
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// It is refused, says all of this, and nothing is written.
#[track_caller]
fn is_refused(config: &Config, output: &Output, words: &[&str]) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_is("the exit code", output.status.code(), REFUSED);
    words.iter().for_each(|word| assert!(errors.contains(word), "no {word} in: {errors}"));
    assert!(try_git(&config.repository(), &["rev-parse", "--verify", HISTORY]).is_err(), "something is written");
}

/// git itself finds the newest commit of the history signed by this key.
#[track_caller]
fn is_signed_by(config: &Config, line: &str) {
    let allowed = config.path("allowed");
    std::fs::write(&allowed, format!("evenkeel@localhost {line}\n")).expect("it can be written");
    let file = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
    let said = git(&config.repository(), &["-c", &file, "log", "-1", "--format=%G?", HISTORY]);
    assert_is("git's word on the signature", said.as_str(), "G");
}

#[test]
fn a_hold_without_a_controller_is_signed_by_the_listed_key_of_the_agent_and_believed() {
    if lacks(&PROGRAMS) {
        return;
    }
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (config, agent) = (both(), SshAgent::start());
        let controller = Signer::read_or_make(&config.path("key"), "controller").expect("a key");
        // Not the first one of the agent.
        agent.make(if kind == "ed25519" { "ecdsa" } else { "ed25519" }, &[]);
        let line = agent.make(kind, &[]);
        lists(&config, &[&controller.line(), &line]);
        succeeds(&hold(&config, &agent.socket()));
        is_signed_by(&config, &line);
        // Whoever reads it next believes it: a command, and a controller that goes on.
        succeeds(&evenkeel(&config, config.folder.path(), &["resume"], &agent.socket()));
        is_signed_by(&config, &line);
        let key = config.path("key").display().to_string();
        let _daemon = config.run(&["--history-key", &key]);
        goes_on(&config, "staging", "staging");
    }
}

#[test]
fn an_agents_key_that_is_not_listed_is_refused_with_the_line_to_add() {
    if lacks(&PROGRAMS) {
        return;
    }
    let (config, agent) = (both(), SshAgent::start());
    let line = agent.make("ed25519", &[]);
    let other = Signer::read_or_make(&config.path("other"), "other").expect("a key").line();
    lists(&config, &[&other]);
    git(&config.repository(), &["update-ref", "refs/heads/staging", "main"]);
    is_refused(&config, &hold(&config, &agent.socket()), &[&line]);
    is_refused(&config, &apply(&config, &agent.socket()), &[&line]);
    lists(&config, &[&other, &line]);
    succeeds(&apply(&config, &agent.socket()));
    succeeds(&hold(&config, &agent.socket()));
    is_signed_by(&config, &line);
}

#[test]
fn whoever_has_no_key_at_hand_is_told_where_one_is_looked_for() {
    if lacks(&PROGRAMS) {
        return;
    }
    let (config, empty) = (both(), SshAgent::start());
    lists(&config, &[&Signer::read_or_make(&config.path("other"), "other").expect("a key").line()]);
    for agent in [empty.socket(), config.path("none")] {
        is_refused(&config, &hold(&config, &agent), &["ssh-add", "--history-key"]);
        is_refused(&config, &apply(&config, &agent), &["ssh-add", "--history-key"]);
    }
}

#[test]
fn an_agent_that_does_not_sign_is_named_by_its_key_and_nothing_is_written() {
    if lacks(&PROGRAMS) {
        return;
    }
    let (config, agent) = (both(), SshAgent::start());
    let line = agent.make("ed25519", &["-c"]);
    lists(&config, &[&line]);
    let told = hold(&config, &agent.socket());
    let errors = String::from_utf8_lossy(&told.stderr);
    assert_is("the exit code", told.status.code(), Some(1));
    let key: russh::keys::PublicKey = line.parse().expect("a key");
    let key = key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    assert!(errors.contains(&key) && errors.contains("--history-key"), "{errors}");
    assert!(try_git(&config.repository(), &["rev-parse", "--verify", HISTORY]).is_err(), "something is written");
}

#[test]
fn an_agent_that_never_answers_holds_no_command_up() {
    let (config, agent) = (both(), MuteAgent::start());
    let listed = Signer::read_or_make(&config.path("listed"), "listed").expect("a key");
    lists(&config, &[&listed.line()]);
    is_refused(&config, &hold(&config, &agent.socket()), &["--history-key"]);
    // The usual key does for it.
    std::fs::create_dir_all(config.path(".ssh")).expect("it can be made");
    std::fs::copy(config.path("listed"), config.path(".ssh/id_ed25519")).expect("it can be copied");
    succeeds(&hold(&config, &agent.socket()));
}
