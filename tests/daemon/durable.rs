//! What the program writes into repositories is on the disk before anything is built on it, as strace tells it.

use std::{fs, path::Path, process::Command};

use crate::{
    daemon::{Config, EVENKEEL},
    git_program::git,
    needs::lacks,
    trace::{CALLS, Call, calls},
};

/// The calls of a command that writes into the history.
fn holds(config: &Config) -> Vec<Call> {
    let trace = config.path("trace");
    let ran = Command::new("strace")
        .args(["-f", "-yy", "-s", "4096", "-e"])
        .arg(format!("trace={CALLS}"))
        .arg("-o")
        .arg(&trace)
        .args([EVENKEEL, "hold", "--reason", "the demo", "--by", "ada", "--repo"])
        .arg(config.repository())
        .arg("--state")
        .arg(config.path("state"))
        .env("HOME", config.folder.path())
        .current_dir(config.folder.path())
        .output()
        .expect("strace is installed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    calls(&fs::read_to_string(trace).expect("strace writes it"))
}

/// What was put into its place in the repository: when, from where, and where to. What is new there is linked, and then
/// removed where it was made.
fn put_into<'c>(calls: &'c [Call], repository: &Path) -> Vec<(usize, &'c str, &'c str)> {
    let folders = ["objects", "refs"].map(|folder| repository.join(folder));
    let put = |(at, call): (usize, &'c Call)| match call {
        Call::Renamed { from, to } => Some((at, from.as_str(), to.as_str())),
        Call::Linked(to) => calls[at..].iter().find_map(|later| match later {
            Call::Removed(from) => Some((at, from.as_str(), to.as_str())),
            _ => None,
        }),
        _ => None,
    };
    let all = calls.iter().enumerate().filter_map(put);
    all.filter(|(_, _, to)| folders.iter().any(|folder| Path::new(to).starts_with(folder))).collect()
}

#[test]
fn what_is_recorded_outlives_a_loss_of_power() {
    if lacks(&["strace"]) {
        return;
    }
    let config = Config::new();
    let calls = holds(&config);
    let told = || calls.iter().map(|call| format!("{call}\n")).collect::<String>();
    for repository in [config.path("state/mirror.git"), config.repository()] {
        let put = put_into(&calls, &repository);
        for part in ["/objects/", "/history/production"] {
            assert!(
                put.iter().any(|(_, _, to)| to.contains(part)),
                "no {part} in {}: {}",
                repository.display(),
                told()
            );
        }
        for (at, from, to) in put {
            let folder = Path::new(to).parent().expect("it is in one").display().to_string();
            let before = calls[..at].contains(&Call::Synced(from.to_owned()));
            let after = calls[at..].contains(&Call::Synced(folder));
            assert!(before && after, "{to} is not synced: {}", told());
        }
    }
    // Theirs is written to, and not told how to be.
    let settings = git(&config.repository(), &["config", "--local", "--list"]);
    assert!(!settings.to_lowercase().contains("fsync"), "{settings}");
}
