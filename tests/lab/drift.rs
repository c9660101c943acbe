//! What is done about drift, and who may have caused it.

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

pub fn drift_is_repaired_reported_or_ignored_as_declared(world: &World) {
    let fleet = Fleet::new(world, "policy");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.environment("drift_of: {files: report, modes: ignore}");
    fleet.service("alpha", port, &["h1"], "");
    let commit = fleet.commit();
    let _daemon = fleet.reconcile();
    fleet.is_live(&commit);
    let (unit, env) = (fleet.unit("alpha", port), format!("/etc/evenkeel/policy/alpha@{port}.env"));

    // Ignored: all is well.
    h1.run(&format!("chmod 0640 '{env}'"));
    fleet.looked_at_twice();
    assert_is("its mode", h1.run(&format!("stat -c %a '{env}'")).as_str(), "640");
    assert_is("the status", fleet.status()["sync"].as_str(), Some("synced"));

    // Repaired.
    h1.run(&format!("systemctl stop '{unit}'"));
    wait_for("the repair", || (h1.unit(&unit, "ActiveState") == "active").then_some(()));
    wait_for("its record", || (fleet.newest("/kind") == "drift-repair").then_some(()));

    // Reported, and left as it is.
    h1.run(&format!("echo 'MORE=1' >>'{env}'"));
    wait_for("the report", || fleet.status().to_string().contains("has drifted").then_some(()));
    fleet.looked_at_twice();
    assert_is("the last line", h1.run(&format!("tail -n 1 '{env}'")).as_str(), "MORE=1");
    let status = fleet.status();
    assert_is("the status", status["sync"].as_str(), Some("out-of-sync"));
    assert!(status.to_string().contains(&env), "the file is not named: {status}");

    // Somebody asks for it now: a commit brings everything to what is declared.
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    fleet.is_live(&fleet.commit());
    assert!(!h1.run(&format!("cat '{env}'")).contains("MORE"), "the commit left the drift");
}

pub fn a_repair_that_does_not_hold_is_no_loop(world: &World) {
    let fleet = Fleet::new(world, "undoing");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.environment("");
    fleet.service("alpha", port, &["h1"], "");
    fleet.service("beta", fleet.port(1), &["h1"], "");
    let commit = fleet.commit();
    let _daemon = fleet.reconcile();
    fleet.is_live(&commit);
    let unit = fleet.unit("alpha", port);
    let stops = format!(
        "while :; do systemctl is-active --quiet '{unit}' && sleep 1 && systemctl stop '{unit}'; sleep 0.1; done"
    );
    let _other = h1.until_dropped(
        &format!("systemd-run --quiet --collect --unit=stopper.service sh -c \"{stops}\""),
        "systemctl stop stopper.service",
    );
    let status = || fleet.status()["instances"][0]["services"].clone();
    wait_for("it to be told", || status().to_string().contains("does not hold").then_some(()));
    assert_is("alpha's health", status()[0]["health"].as_str(), Some("degraded"));
    let told = fleet.history().len();
    fleet.looked_at_twice();
    fleet.looked_at_twice();
    assert_is("how often it was tried meanwhile", fleet.history().len(), told);
    // The rest is looked after as always.
    let beta = fleet.unit("beta", fleet.port(1));
    h1.run(&format!("systemctl stop '{beta}'"));
    wait_for("the repair of beta", || (h1.unit(&beta, "ActiveState") == "active").then_some(()));
}

pub fn who_was_there_before_a_drift_is_in_its_record(world: &World) {
    let fleet = Fleet::new(world, "suspects");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);
    let file = format!("/etc/evenkeel/suspects/alpha@{port}.env");
    let controller = fleet.reconcile();
    wait_for("the first look", || (fleet.status()["sync"] == "synced").then_some(()));
    // As one with a terminal does it. sudo with a terminal now and then misses that its command has ended, and waits
    // for it for ever.
    let edit = format!("sudo -n sed -i s/SERVICE/SECRET/ '{file}'");
    let as_ubuntu = format!("runuser -u ubuntu -- script --quiet --return --command \"{edit}\" /dev/null");
    h1.run(&format!("timeout --kill-after 1 10 {as_ubuntu} </dev/null >/dev/null 2>&1 || true"));
    wait_for("the record", || (fleet.newest("/kind") == "drift-repair").then_some(()));
    let suspects = fleet.newest("/suspects").to_string();
    assert!(suspects.contains("ubuntu ran sed as root on h1"), "it is not said who did it: {suspects}");
    assert!(!suspects.contains("SECRET"), "what was given to the command is shown: {suspects}");
    drop(controller);
}
