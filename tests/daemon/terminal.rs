//! Colours are for terminals, and for nobody who does not want them.

use std::process::Command;

use crate::daemon::EVENKEEL;

/// What `evenkeel validate` says of the fleet that `init` writes, on a terminal of util-linux's `script` or without.
fn validated(on_terminal: bool, no_color: Option<&str>) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let init = Command::new(EVENKEEL).arg("init").current_dir(folder.path()).output().expect("evenkeel runs");
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let mut command = if on_terminal { Command::new("script") } else { Command::new(EVENKEEL) };
    match on_terminal {
        true => command.args(["-qec", &format!("'{EVENKEEL}' validate"), "/dev/null"]),
        false => command.arg("validate"),
    };
    command.current_dir(folder.path()).env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("CI");
    command.envs(no_color.map(|value| ("NO_COLOR", value)));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("missing-host-key"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn colours_are_on_terminals_only_and_not_where_no_color_is_set() {
    assert!(validated(true, None).contains("\u{1b}["));
    assert!(!validated(true, Some("1")).contains("\u{1b}["));
    assert!(!validated(false, None).contains("\u{1b}["));
}
