//! What a command with `--repo` answers, asked in a folder that holds another fleet; and reasons, in the record.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    daemon::EVENKEEL,
    git_program::{git, try_git},
};

/// Two repositories beside one another: `theirs` has the service `twice` on two instances, `here` another fleet. No
/// instance has a host key, so nothing connects.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        world.repository("theirs", "theirs", "twice", "[h1, h2]");
        world.repository("here", "here", "other", "[h1]");
        world
    }

    fn repository(&self, name: &str, fleet: &str, service: &str, on: &str) {
        let files = [
            ("fleet.yaml".to_owned(), format!("name: {fleet}\ndefaults: {{user: www-data}}\n")),
            ("environments/production.yaml".to_owned(), "branch: main\n".to_owned()),
            ("instances/h1.yaml".to_owned(), instance("192.0.2.11")),
            ("instances/h2.yaml".to_owned(), instance("192.0.2.12")),
            ("app/main.py".to_owned(), "print()\n".to_owned()),
            (
                format!("services/{service}.yaml"),
                format!(
                    "source: {{path: app}}\nrun: {{exec: /usr/bin/python3 main.py}}\nplace: {{on: {on}}}\nport: 8000\n"
                ),
            ),
        ];
        let root = self.path(name);
        for (path, text) in files {
            let path = root.join("fleet").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        git(&root, &["init", "--quiet"]);
        git(&root, &["add", "--all"]);
        git(&root, &["commit", "--quiet", "--message", "The fleet"]);
        // As a remote, whose branch may be pushed to.
        git(&root, &["config", "receive.denyCurrentBranch", "ignore"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// evenkeel in the folder of the other fleet, asked about `theirs`.
    fn ask(&self, arguments: &[&str]) -> Output {
        self.ask_in(&self.path("here"), arguments)
    }

    fn ask_in(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(EVENKEEL);
        command.args(arguments).arg("--repo").arg(self.path("theirs")).arg("--state").arg(self.path("state"));
        command.env("NO_COLOR", "1").env("HOME", self.folder.path()).current_dir(folder);
        command.output().expect("evenkeel runs")
    }

    fn head(&self, name: &str) -> String {
        git(&self.path(name), &["rev-parse", "HEAD"])
    }
}

fn instance(address: &str) -> String {
    format!("environment: production\naddress: {address}\nports: 8000-8099\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The instances that an answer in JSON is about.
fn instances(answer: &Output, name: &str) -> Vec<String> {
    let json: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let named = json["instances"].as_array().into_iter().flatten();
    named.filter_map(|told| told[name].as_str().map(str::to_owned)).collect()
}

#[test]
fn why_and_status_of_a_repository_are_answered_from_that_repository() {
    let world = World::new();
    let why = world.ask(&["why", "service/twice", "--format", "json"]);
    assert_eq!(instances(&why, "instance"), ["h1", "h2"], "{why:?}");
    assert!(text(&why.stderr).contains(&world.head("theirs")[..7]), "it says which commit: {why:?}");
    let status = world.ask(&["status", "--format", "json"]);
    assert_eq!(instances(&status, "name"), ["h1", "h2"], "{status:?}");
    assert!(text(&status.stdout).contains("twice") && !text(&status.stdout).contains("other"), "{status:?}");
    assert!(text(&status.stderr).contains(&world.head("theirs")[..7]), "{status:?}");
    // Also where no fleet is at all.
    let nowhere = world.path("nowhere");
    fs::create_dir(&nowhere).expect("it can be made");
    let why = world.ask_in(&nowhere, &["why", "service/twice", "--format", "json"]);
    assert_eq!(instances(&why, "instance"), ["h1", "h2"], "{why:?}");
    let list = world.ask_in(&nowhere, &["release", "list"]);
    assert!(text(&list.stderr).contains(&world.head("theirs")[..7]), "{list:?}");
}

#[test]
fn a_fleet_folder_of_this_machine_beside_another_repository_is_refused() {
    let world = World::new();
    let fleet = world.path("here/fleet");
    let refused = world.ask(&["why", "service/twice", "--fleet", fleet.to_str().expect("UTF-8")]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    for command in ["plan", "render"] {
        let refused = world.ask(&[command]);
        assert_eq!(refused.status.code(), Some(4), "{command}: {refused:?}");
        // A clone of that repository may be ahead of it.
        let clone = world.path(&format!("clone-{command}"));
        git(world.folder.path(), &["clone", "--quiet", "theirs", clone.to_str().expect("UTF-8")]);
        git(&clone, &["remote", "remove", "origin"]);
        git(&clone, &["commit", "--quiet", "--allow-empty", "--message", "Not pushed"]);
        let answered = world.ask_in(&clone, &[command]);
        assert!(answered.status.code() != Some(4), "{command}: {answered:?}");
    }
}

#[test]
fn every_control_takes_a_reason_and_records_it() {
    let world = World::new();
    let history = || {
        let log = try_git(&world.path("theirs"), &["log", "--format=%B", "evenkeel/history/production"]);
        log.unwrap_or_else(|why| panic!("{why}"))
    };
    for arguments in [
        &["hold", "--reason", "a demo at noon"][..],
        &["resume", "--reason", "the demo is over"],
        &["retry", "--reason", "the registry is back"],
    ] {
        let done = world.ask(arguments);
        assert_eq!(done.status.code(), Some(0), "{arguments:?}: {done:?}");
        let [command, _, reason] = arguments else { panic!("three words") };
        assert!(history().contains(reason), "{arguments:?}: {}", history());
        let told = world.ask(&["history"]);
        let table = text(&told.stdout);
        assert!(table.lines().any(|line| line.contains(command) && line.contains(reason)), "{table}");
    }
    // Where nothing can be done, the reason is no mistake of usage.
    for arguments in
        [&["cancel", "--reason", "x"][..], &["rollback", "--reason", "x"], &["rollback", "--now", "--reason", "x"]]
    {
        let said = text(&world.ask(arguments).stderr);
        assert!(!said.contains("--reason"), "{arguments:?}: {said}");
    }
}
