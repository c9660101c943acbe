//! Hosts that are not there, not themselves, or left alone half-way.

use std::{fs, net::TcpListener, process::Stdio};

use serde_json::Value;

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

/// The lab's override file with one instance's entry changed, as a file of its own.
pub fn overridden(fleet: &mut Fleet<'_>, instance: &str, change: impl FnOnce(&mut Value)) {
    all_overridden(fleet, |instances| change(&mut instances[instance]));
}

/// As [`overridden`], with all instances' entries.
pub fn all_overridden(fleet: &mut Fleet<'_>, change: impl FnOnce(&mut Value)) {
    override_file_changed(fleet, |overrides| change(&mut overrides["instances"]));
}

/// As [`overridden`], with the whole file.
pub fn override_file_changed(fleet: &mut Fleet<'_>, change: impl FnOnce(&mut Value)) {
    let text = fs::read_to_string(&fleet.overrides).expect("the lab has written it");
    let mut overrides: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    change(&mut overrides);
    // Beside the repository: a file inside would make the work tree another one.
    let path = fleet.path().parent().expect("it lies in the repository").join(".git/override.yaml");
    fs::write(&path, serde_yaml::to_string(&overrides).expect("it can be written")).expect("it can be written");
    fleet.overrides = path;
}

pub fn a_wrong_host_key_is_refused_by_name(world: &World) {
    let mut fleet = Fleet::new(world, "wrongkey");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.commit();
    let key = world.host("h3").host_key.clone();
    overridden(&mut fleet, "h2", |instance| instance["host_key"] = key.into());
    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 5);
    let (state, why) = plan.instance("h2");
    assert_is("what is known of h2", state.as_str(), "unknown");
    assert!(why.contains("SHA256:"), "the key that it shows is not named: {why}");
    assert!(plan.changes().iter().all(|change| change.starts_with("h1 ")), "{:#?}", plan.changes());
}

pub fn nothing_connects_to_an_instance_without_a_host_key(world: &World) {
    let mut fleet = Fleet::new(world, "nokey");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.commit();
    // In h2's place stands one who notices every attempt.
    let lab = world.lab.clone();
    let listener = std::thread::spawn(move || {
        lab.enter().expect("the lab is up");
        TcpListener::bind((lab.gateway(), 0)).expect("a port is free")
    });
    let listener = listener.join().expect("it listens");
    listener.set_nonblocking(true).expect("it can be asked");
    let address = listener.local_addr().expect("it has an address");
    overridden(&mut fleet, "h2", |instance| {
        instance.as_object_mut().expect("it is a mapping").remove("host_key");
        instance["address"] = address.ip().to_string().into();
        instance["ssh"]["port"] = address.port().into();
    });
    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 5);
    assert_is("what is known of h2", plan.instance("h2").0.as_str(), "unknown");
    fleet.apply().ends_with(5);
    assert!(listener.accept().is_err(), "something connected to h2");
}

pub fn an_apply_that_is_killed_is_completed_by_the_next(world: &World) {
    let fleet = Fleet::new(world, "killed");
    let h1 = world.host("h1");
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {STUBBORN: '3'}");
    fleet.service("beta", fleet.port(1), &["h1"], "after: [alpha]");
    fleet.deploy().ends_with(0);
    let before = fleet.invocations();

    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: ahoy}");
    fleet.service("beta", fleet.port(1), &["h1"], "after: [alpha]\nenv: {GREETING: ahoy}");
    fleet.commit();
    let mut apply = fleet.evenkeel("apply", &["--yes"]);
    let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("evenkeel runs");
    let unit = "evenkeel-killed.service";
    let restarting = "grep -q '^started.*restart' /var/lib/evenkeel/killed/deployments/2/*/events";
    wait_for("the restart of alpha", || h1.succeeds(restarting).then_some(()));
    apply.kill().expect("it runs");
    apply.wait().expect("it can be waited for");
    assert_is("the host's unit", h1.unit(unit, "ActiveState"), "active");

    wait_for("the end of the host's unit", || (h1.unit(unit, "ActiveState") == "inactive").then_some(()));
    let between = fleet.invocations();
    assert!(between["h1/alpha"] != before["h1/alpha"], "the host did not end what was begun");
    assert_is("beta", &between["h1/beta"], &before["h1/beta"]);
    fleet.apply().ends_with(0);
    for (service, port) in [("alpha", 0), ("beta", 1)] {
        assert_is(service, h1.asks(fleet.port(port), "/"), format!("{service} h1 / ahoy"));
    }
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    assert_is("the newest outcome", fleet.newest("/outcome"), "applied");
}

pub fn an_unreachable_host_is_left_out_and_converges_when_it_is_back(world: &World) {
    let fleet = Fleet::new(world, "away");
    let (port, h5) = (fleet.port(0), world.host("h5"));
    fleet.service("alpha", port, &["h1", "h5"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);

    world.evenkeel_lab(&["kill", "h5"]).expect("h5 can be powered off");
    fleet.service("alpha", port, &["h1", "h5"], "env: {GREETING: ahoy}");
    fleet.commit();
    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 5);
    assert_is("what is known of h5", plan.instance("h5").0.as_str(), "unknown");
    assert!(plan.changes().iter().all(|change| change.starts_with("h1 ")), "{:#?}", plan.changes());
    fleet.apply().ends_with(5);
    assert_is("the outcome", fleet.newest("/outcome"), "partial");
    assert_is("the answer of h1", world.host("h1").asks(port, "/"), "alpha h1 / ahoy");

    world.evenkeel_lab(&["boot", "h5"]).expect("h5 can be booted");
    assert_is("the answer of h5", h5.asks(port, "/"), "alpha h5 / hello");
    fleet.apply().ends_with(0);
    assert_is("the answer of h5", h5.asks(port, "/"), "alpha h5 / ahoy");
    assert_is("the outcome", fleet.newest("/outcome"), "applied");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn what_turns_out_to_be_live_everywhere_can_be_gone_back_to(world: &World) {
    let fleet = Fleet::shared(world, "followed");
    fleet.environment("");
    fleet.service("beta", fleet.port(1), &["h5"], "");
    let says = |greeting: &str| {
        fleet.service("alpha", fleet.port(0), &["h1"], &format!("env: {{GREETING: {greeting}}}"));
        fleet.commit()
    };
    let _daemon = fleet.reconcile();
    fleet.is_live(&says("one"));
    let off = world.off("h5");
    let second = says("two");
    fleet.ends(2, "partial");
    drop(off);
    // There was nothing to change on the one that had been away, so nothing more is deployed.
    let (remote, good) = (fleet.remote(), "refs/evenkeel/test/good");
    wait_for("the second commit to be good", || {
        (fleet.git(&["-C", &remote, "rev-parse", good]) == second).then_some(())
    });
    fleet.is_live(&says("three"));
    assert_is("what was deployed", fleet.outcomes(3), vec!["applied".to_owned()]);

    let said = fleet.run("rollback", &[]).ends_with(0).said;
    let branch = "evenkeel/rollback/test-2";
    assert!(said.contains(branch), "the branch is not named: {said}");
    fleet.git(&["fetch", "--quiet", "origin", branch]);
    assert_is(
        "what differs from the second commit",
        fleet.git(&["diff", "--stat", &second, "FETCH_HEAD"]).as_str(),
        "",
    );
}
