//! `packaging/evenkeel.service`, as systemd itself judges it.

use std::{fs, process::Command};

use crate::{
    daemon::{EVENKEEL, from_root},
    needs::lacks,
};

/// In tenths, as `systemd-analyze security` takes it: 2.4 and less.
const MOST_EXPOSURE: &str = "24";

/// What systemd-analyze says of the unit, with the program where it lies here; it must end well.
#[track_caller]
fn analyze(arguments: &[&str]) -> String {
    analyze_with(arguments, "")
}

/// With what a drop-in says besides.
#[track_caller]
fn analyze_with(arguments: &[&str], drop_in: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let drop_ins = folder.path().join("evenkeel.service.d");
    fs::create_dir(&drop_ins).and_then(|()| fs::write(drop_ins.join("a.conf"), drop_in)).expect("it can be written");
    let file = folder.path().join("evenkeel.service");
    let unit = fs::read_to_string(from_root("packaging/evenkeel.service")).expect("the unit is there");
    let here = unit.replace("/usr/local/bin/evenkeel", EVENKEEL);
    assert_ne!(here, unit, "the program lies elsewhere");
    fs::write(&file, here).expect("it can be written");
    let output = Command::new("systemd-analyze").args(arguments).arg(&file).output().expect("systemd is installed");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "systemd-analyze {arguments:?}: {said}");
    said
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() {
    if lacks(&["systemd-analyze"]) {
        return;
    }
    assert_eq!(analyze(&["verify", "--man=no"]), "");
}

#[test]
fn the_unit_is_exposed_to_little() {
    if lacks(&["systemd-analyze"]) {
        return;
    }
    let said = analyze(&["security", "--no-pager", "--offline=true", &format!("--threshold={MOST_EXPOSURE}")]);
    assert!(said.contains("Overall exposure level"), "{said}");
}

#[test]
fn systemd_has_nothing_to_say_against_the_drop_in_for_builds() {
    if lacks(&["systemd-analyze"]) {
        return;
    }
    let drop_in = fs::read_to_string(from_root("packaging/builds.conf")).expect("the drop-in is there");
    assert_eq!(analyze_with(&["verify", "--man=no"], &drop_in), "");
    // It is read at all.
    let unknown = format!("{drop_in}NoSuchKey=yes\n");
    assert!(analyze_with(&["verify", "--man=no"], &unknown).contains("NoSuchKey"));
}
