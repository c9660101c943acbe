//! What a test needs of this machine: programs that `tests/needs` lists, with the package of each.
//!
//! Keeps true: a test that lacks a program says so in one line and is not run; in CI as root, where it could have been
//! installed, it fails instead, so nothing is left out there in silence.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
};

/// Also read by `tests/run`, which installs from it.
const LIST: &str = include_str!("../needs");

/// Whether this machine lacks one of the programs. A test that it is true for returns at once:
/// `if lacks(&["sshd"]) { return; }`.
#[track_caller]
pub fn lacks(programs: &[&str]) -> bool {
    let Some(missing) = missing(programs) else { return false };
    let test = thread::current().name().unwrap_or_default().to_owned();
    assert!(!is_strict(), "{test}: {missing}");
    // Not `eprintln!`: what a test that passes prints with it is not shown.
    let _ = writeln!(io::stderr().lock(), "test {test} ... not run: {missing}; `tests/run` installs it");
    true
}

/// The programs that are not here, in words with the packages that have them.
pub fn missing(programs: &[&str]) -> Option<String> {
    // Looked up also where it is here: a program that the list forgets would be missed on other machines alone.
    let packages = programs.iter().map(|program| (program, package(program)));
    let lacking = packages.filter(|(program, _)| !is_here(program));
    let named: Vec<_> = lacking.map(|(program, package)| format!("{program} (package {package})")).collect();
    (!named.is_empty()).then(|| format!("this machine has no {}", named.join(", no ")))
}

/// Whether a missing program is a failure: in CI, where root could have installed it.
pub fn is_strict() -> bool {
    env::var("CI").is_ok_and(|ci| ci == "true") && rustix::process::geteuid().is_root()
}

fn is_here(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // A user's PATH often lacks the sbin folders.
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().any(|folder| Path::new(&folder).join(program).is_file())
}

fn package(program: &str) -> &'static str {
    let words = LIST.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let named = words.filter(|words| words.first() == Some(&program)).find_map(|words| words.get(1).copied());
    named.unwrap_or_else(|| panic!("tests/needs has no line for {program}"))
}
