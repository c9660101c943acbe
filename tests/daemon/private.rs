//! What the daemon and the commands keep on this machine is theirs alone; what is pushed to a repository of this machine
//! is as open as that is.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use evenkeel::model::event::EventName;
use rustix::process::geteuid;

use crate::daemon::{Config, EVENKEEL};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn the_state_directory_is_closed_to_others_with_all_that_comes_into_it() {
    let config = Config::new();
    let state = config.path("state");
    // As one of before that was made open.
    fs::create_dir_all(state.join("sources")).expect("it can be made");
    open(&state, 0o755);
    let before = below(&state);
    let daemon = config.run(&[]);
    daemon.tells(EventName::ControllerStarted);
    assert_eq!(mode(&state), 0o700);
    let made: Vec<PathBuf> = below(&state).into_iter().filter(|path| !before.contains(path)).collect();
    assert!(made.iter().any(|path| path.ends_with("mirror.git/HEAD")), "{made:?}");
    assert!(made.iter().any(|path| fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())));
    for path in made {
        assert_eq!(mode(&path) & 0o077, 0, "{} has mode {:o}", path.display(), mode(&path));
    }
}

#[test]
fn a_folder_that_others_use_is_not_closed_to_them() {
    let config = Config::new();
    let state = config.path("state");
    for folder in ["of-others", "sources"] {
        fs::create_dir_all(state.join(folder)).expect("it can be made");
        open(&state.join(folder), 0o755);
    }
    open(&state, 0o755);
    let daemon = config.run(&[]);
    daemon.tells(EventName::ControllerStarted);
    assert_eq!([mode(&state), mode(&state.join("of-others"))], [0o755; 2]);
    for ours in ["sources", "mirror.git", "socket"] {
        assert_eq!(mode(&state.join(ours)) & 0o077, 0, "{ours}");
    }
}

#[test]
fn what_is_pushed_to_a_repository_of_this_machine_is_as_open_as_its_own_objects() {
    let config = Config::new();
    let repository = config.repository();
    let hold = |by: &str| {
        let before = below(&repository);
        let mut command = Command::new(EVENKEEL);
        command.args(["hold", "--reason", "the demo", "--by", by, "--repo"]).arg(&repository);
        command.arg("--state").arg(config.path("state")).current_dir(config.folder.path());
        let said = command.output().expect("evenkeel runs");
        assert!(said.status.success(), "{said:?}");
        let is_new = |path: &PathBuf| !before.contains(path) && !path.ends_with("logs");
        below(&repository).into_iter().filter(is_new).collect::<Vec<_>>()
    };
    open(&repository.join("objects"), 0o755);
    let made = hold("ada");
    assert!(made.iter().any(|path| path.starts_with(repository.join("refs/heads/evenkeel"))), "{made:?}");
    for path in made {
        assert_eq!(mode(&path) & 0o044, 0o044, "{} has mode {:o}", path.display(), mode(&path));
    }
    open(&repository.join("objects"), 0o700);
    for path in hold("bob") {
        assert_eq!(mode(&path) & 0o077, 0, "{} has mode {:o}", path.display(), mode(&path));
    }
}

/// packaging/README.md says to ask as root, and the daemon is somebody else.
#[test]
fn what_root_keeps_in_another_users_state_that_user_can_read() {
    const OTHER: u32 = 12_345;
    if !geteuid().is_root() {
        return;
    }
    let config = Config::new();
    let state = config.path("state");
    fs::create_dir(&state).expect("it can be made");
    open(&state, 0o700);
    std::os::unix::fs::chown(&state, Some(OTHER), Some(OTHER)).expect("root may");
    let mut command = Command::new(EVENKEEL);
    command.args(["history", "--repo"]).arg(config.repository()).arg("--state").arg(&state);
    command.current_dir(config.folder.path()).output().expect("evenkeel runs");
    let made = below(&state);
    assert!(made.iter().any(|path| path.ends_with("mirror.git/HEAD")), "{made:?}");
    for path in made {
        assert_eq!(mode(&path) & 0o044, 0o044, "{} has mode {:o}", path.display(), mode(&path));
    }
}
