//! `tests/run`, which sets up what the tests need: what it installs, what it asks, and what it does without root.
//!
//! It runs with a `PATH` on which almost nothing is, and with stand-ins for `id`, `apt-get` and `cargo`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A machine's programs.
struct Machine(TempDir);

impl Machine {
    /// With a toolchain, and as the user with this number.
    fn with_user(user: u32) -> Self {
        let machine = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        machine.has("cc", "exit 1");
        machine.has("id", &format!("echo {user}"));
        machine.has("cargo", "echo cargo \"$@\"");
        machine.has("apt-get", "echo \"$@\" >>\"$(dirname \"$0\")/installed\"");
        symlink("/usr/bin/dirname", machine.0.path().join("dirname")).expect("a link can be made");
        machine
    }

    fn has(&self, program: &str, script: &str) {
        let path = self.0.path().join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn runs(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("/bin/bash");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run")).args(arguments).stdin(Stdio::null());
        command.env_clear().env("PATH", self.0.path()).env("HOME", self.0.path()).output().expect("bash runs")
    }

    fn has_installed(&self) -> bool {
        self.0.path().join("installed").exists()
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}

#[test]
fn without_root_the_tests_run_and_what_is_missing_is_told_in_one_line() {
    let machine = Machine::with_user(1000);
    let output = machine.runs(&["--test", "plan", "--", "one"]);
    assert!(output.status.success(), "{output:?}");
    let said = lines(&output.stdout);
    assert_eq!(said.len(), 2, "{said:?}");
    for package in ["git", "wrk", "chromium", "bubblewrap"] {
        assert!(said[0].contains(package), "{package} is not named: {}", said[0]);
    }
    assert_eq!(said[1], "cargo test --no-fail-fast --test plan -- one");
    assert!(!machine.has_installed());
}

#[test]
fn without_git_the_tests_that_make_no_repository_run() {
    let machine = Machine::with_user(1000);
    let without = lines(&machine.runs(&[]).stdout).pop().expect("cargo is run");
    assert!(without.contains("--lib") && without.contains("--test plan"), "{without}");
    assert!(!without.contains("--test git") && !without.contains("--test lab"), "{without}");
    machine.has("git", "exit 1");
    machine.has("openssl", "exit 1");
    assert_eq!(lines(&machine.runs(&[]).stdout).pop().as_deref(), Some("cargo test --no-fail-fast"));
}

#[test]
fn nothing_is_installed_unasked() {
    let machine = Machine::with_user(0);
    let output = machine.runs(&[]);
    assert!(!output.status.success() && !machine.has_installed(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("apt-get install") && said.contains("wrk"), "what it would do is not told: {said}");
    assert!(!said.contains("cargo"), "{said}");
}
