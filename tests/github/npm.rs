//! What npm brings: GitHub's own description of its API, its examples of webhooks, and their servers and signers.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// The folder of the scripts and of `package.json`.
pub fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/github")
}

/// A folder outside of the sources with `node_modules` as `package-lock.json` says, installed once.
pub fn modules() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(install)
}

fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm-github");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let lock = File::create(folder.join("lock")).expect("it can be written");
    lock.lock().expect("another run ends some time");
    let (wanted, stamp) = (here().join("package-lock.json"), folder.join("installed"));
    let wanted_now = fs::read(&wanted).expect("it is committed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted_now) {
        return folder;
    }
    for file in ["package.json", "package-lock.json"] {
        fs::copy(here().join(file), folder.join(file)).expect("it can be copied");
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    run(&mut npm);
    fs::write(stamp, wanted_now).expect("it can be written");
    folder
}

/// What a script of this folder writes. It is run beside the modules, where it finds them.
pub fn node(script: &str, arguments: &[&str]) -> Vec<u8> {
    let copy = modules().join(script);
    fs::copy(here().join(script), &copy).expect("it can be copied");
    run(Command::new("node").arg(copy).args(arguments)).stdout
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}): these tests need Node and npm (`tests/run` installs them)")
    });
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    output
}
