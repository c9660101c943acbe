//! Bad days of hosts: what is in the way is named, nothing is left half-done, and all is well afterwards.

use std::process::Command;

use crate::{
    faults::overridden,
    fleet::Fleet,
    world::{World, assert_is, assert_same, wait_for},
};

/// Checked often and given up soon.
const IMPATIENT: &str = "health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}";

#[track_caller]
pub fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not said in: {text}");
    }
}

pub fn two_instances_at_one_address_are_found(world: &World) {
    let mut fleet = Fleet::new(world, "twins");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.commit();
    let address = world.host("h1").address.clone();
    overridden(&mut fleet, "h2", |instance| instance["address"] = address.clone().into());
    let refused = fleet.apply().ends_with(4);
    says(&refused.errors, &["h1", "h2", &address]);

    fleet.write("instances/h2.yaml", &format!("environment: test\naddress: {address}\n"));
    let invalid = fleet.run("validate", &[]).ends_with(4);
    says(&invalid.said, &["h1", "h2", &address, "instances/h2.yaml"]);
}

pub fn a_login_that_lacks_something_is_told_with_the_next_move(world: &World) {
    let mut fleet = Fleet::new(world, "login");
    let port = fleet.port(0);
    fleet.service("alpha", port, &["h1", "h2", "h3"], "");
    fleet.commit();
    let (good, key) = (fleet.overrides.clone(), fleet.state().join("other_key"));
    let path = key.to_str().expect("it is UTF-8").to_owned();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).status();
    assert!(made.is_ok_and(|made| made.success()), "ssh-keygen makes a key");
    overridden(&mut fleet, "h2", |instance| instance["ssh"]["key"] = path.clone().into());
    let sudo = world.host("h3").until_dropped(
        "sed -i s/NOPASSWD:// /etc/sudoers.d/ubuntu",
        "echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/ubuntu",
    );

    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 5);
    says(&plan.instance("h2").1, &["ubuntu@", &world.host("h2").address, "refuses the login", &path]);
    says(&plan.instance("h3").1, &["sudo asks for a password", "NOPASSWD"]);
    fleet.run("apply", &["--yes", "-i", "h2"]).ends_with(5);
    assert!(fleet.history().is_empty(), "there was nothing to begin");
    fleet.apply().ends_with(5);
    assert_is("the outcome", fleet.newest("/outcome"), "partial");
    says(&fleet.newest("/unreached").to_string(), &["h2", "refuses the login", "h3", "NOPASSWD"]);

    fleet.overrides = good;
    drop(sudo);
    fleet.apply().ends_with(0);
    assert_is("the answer of h2", world.host("h2").asks(port, "/"), "alpha h2 / None");
    assert_is("the answer of h3", world.host("h3").asks(port, "/"), "alpha h3 / None");
}

pub fn a_clock_that_is_a_day_ahead_changes_nothing(world: &World) {
    let fleet = Fleet::new(world, "clock");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let _ahead = h1.wraps("date", "exec \"$real\" -d tomorrow \"$@\"");
    fleet.service("alpha", port, &["h1", "h2"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);
    fleet.service("alpha", port, &["h1", "h2"], "env: {GREETING: ahoy}");
    fleet.deploy().ends_with(0);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / ahoy");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_port_that_is_taken_after_the_plan_rolls_back(world: &World) {
    let fleet = Fleet::new(world, "late");
    let (h1, port) = (world.host("h1"), fleet.port(1));
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: hello, STUBBORN: '2'}");
    fleet.deploy().ends_with(0);
    let before = world.contents();

    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: ahoy}");
    fleet.service("beta", port, &["h1", "h2"], &format!("after: [alpha]\n{IMPATIENT}"));
    fleet.commit();
    let apply = fleet.begin("apply", &["--yes"]);
    wait_for("the restart of alpha", || h1.succeeds(&fleet.begun(2, "restart")).then_some(()));
    let squatter = h1.until_dropped(
        &format!("systemd-run --quiet --collect --unit=squatter.service python3 -m http.server {port}"),
        "systemctl stop squatter.service",
    );
    apply.ends_with(3);
    drop(squatter);
    assert_same(&before, &world.contents());
    says(&fleet.newest("/failure").to_string(), &["h1", "service/beta", "of squatter.service"]);
}

pub fn a_read_only_file_system_rolls_back(world: &World) {
    let fleet = Fleet::new(world, "readonly");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1", "h2"], "");
    fleet.deploy().ends_with(0);
    let before = world.contents();

    let folder = "/etc/systemd/system";
    let read_only = h1.until_dropped(
        &format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"),
        "umount /etc/systemd/system",
    );
    fleet.service("alpha", port, &["h1", "h2"], "resources: {memory: 64M}");
    fleet.service("beta", fleet.port(1), &["h1", "h2"], "");
    let failed = fleet.deploy().ends_with(3);
    says(&failed.said, &["h1", folder, "cannot write"]);
    drop(read_only);
    assert_same(&before, &world.contents());
    assert_is("the outcome", fleet.newest("/outcome"), "rolled-back");
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "host");

    fleet.apply().ends_with(0);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_full_disk_rolls_back(world: &World) {
    let fleet = Fleet::new(world, "full");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let base = "/var/lib/evenkeel/full";
    let _small = h1.until_dropped(
        &format!("mkdir -p {base} && mount -t tmpfs -o size=4m tmpfs {base}"),
        "umount --lazy /var/lib/evenkeel/full",
    );
    let declare = |greeting: &str| {
        fleet.service("alpha", port, &["h1", "h2"], &format!("env: {{GREETING: {greeting}}}"));
    };
    declare("hello");
    fleet.deploy().ends_with(0);
    let before = world.contents();

    // No room for the release; for what undoing needs; for the scripts; for what is kept.
    for room in [0, 8, 1044, 1076] {
        declare(&format!("room for {room}"));
        fleet.write("program/more.py", if room == 0 { "one" } else { "two" });
        h1.run(&format!(
            "cd {base} && {{ dd if=/dev/zero of=filler bs=4k 2>/dev/null; truncate -s -{room}k filler; }}"
        ));
        let failed = fleet.deploy().ends_with(3);
        says(&failed.said, &["Failed on h1"]);
        let told = ["No space left on device", "is full)", "are free"].iter().any(|words| failed.said.contains(words));
        assert!(told, "that the disk is full is not said: {}", failed.said);
        h1.run(&format!("rm {base}/filler"));
        assert_same(&before, &world.contents());
        assert_is("the outcome", fleet.newest("/outcome"), "rolled-back");
        assert_is("whose failure it is", fleet.newest("/failure/cause"), "host");
        assert_is("the answer", h1.asks(port, "/"), "alpha h1 / hello");
    }
    fleet.apply().ends_with(0);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// As a full disk: there is room for bytes, and for no more files.
pub fn a_disk_without_inodes_rolls_back(world: &World) {
    let fleet = Fleet::new(world, "waits_inodes");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let base = "/var/lib/evenkeel/waits_inodes";
    let _small = h1.until_dropped(
        &format!("mkdir -p {base} && mount -t tmpfs -o nr_inodes=400 tmpfs {base}"),
        "umount --lazy /var/lib/evenkeel/waits_inodes",
    );
    let declare = |greeting: &str| {
        fleet.service("alpha", port, &["h1", "h2"], &format!("env: {{GREETING: {greeting}}}"));
    };
    declare("hello");
    fleet.deploy().ends_with(0);
    let before = world.contents();
    // None for the release; for the phase's folder; for what is set aside; for what is kept.
    for room in [0, 2, 20, 44] {
        declare(&format!("room for {room}"));
        fleet.write("program/more.py", if room == 0 { "one" } else { "two" });
        h1.run(&format!(
            "mkdir {base}/filler && cd {base}/filler && number=0
             while (: >$number) 2>/dev/null; do number=$((number + 1)); done
             for last in $(seq 1 {room}); do number=$((number - 1)); rm $number; done"
        ));
        let failed = fleet.deploy().ends_with(3);
        says(&failed.said, &["Failed on h1", "inode"]);
        h1.run(&format!("rm -r {base}/filler"));
        assert_same(&before, &world.contents());
        assert_is("the outcome", fleet.newest("/outcome"), "rolled-back");
        assert_is("the answer", h1.asks(port, "/"), "alpha h1 / hello");
    }
    fleet.run("retry", &[]).ends_with(0);
    fleet.apply().ends_with(0);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_probe_that_hangs_or_babbles_holds_up_no_other_instance(world: &World) {
    let fleet = Fleet::new(world, "slowprobe");
    let (h1, h2, h3, port) = (world.host("h1"), world.host("h2"), world.host("h3"), fleet.port(0));
    fleet.environment("");
    fleet.service("alpha", port, &["h1", "h2", "h3"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);

    // For whom sudo's shell looks there first; systemd itself does not.
    let wrapper = |body: &str| {
        format!("printf '#!/bin/sh\\n{body}\\n' >/usr/local/bin/systemctl && chmod +x /usr/local/bin/systemctl")
    };
    let remove = "rm /usr/local/bin/systemctl; pkill -x -f 'sleep 86400' || true";
    let hung = h2.until_dropped(&wrapper("exec sleep 86400"), remove);
    let babbling = h3.until_dropped(&wrapper("echo perhaps; echo; echo"), remove);
    fleet.service("alpha", port, &["h1", "h2", "h3"], "env: {GREETING: ahoy}");
    fleet.commit();
    let controller = fleet.reconcile();
    wait_for("the new answer of h1", || (h1.asks(port, "/") == "alpha h1 / ahoy").then_some(()));
    wait_for("its record", || (fleet.newest("/outcome") == "partial").then_some(()));
    let unreached = fleet.newest("/unreached");
    says(&unreached["h2"].to_string(), &["no answer within", "probing: systemctl", "see what hangs there"]);
    says(&unreached["h3"].to_string(), &["probing", "not understood"]);
    assert_is("the answer of h2", h2.asks(port, "/"), "alpha h2 / hello");

    // It is known now not to answer, and nobody waits for it again.
    fleet.service("alpha", port, &["h1", "h2", "h3"], "env: {GREETING: salut}");
    fleet.commit();
    let began = std::time::Instant::now();
    wait_for("the new answer of h1", || (h1.asks(port, "/") == "alpha h1 / salut").then_some(()));
    assert!(began.elapsed().as_secs() < 15, "h1 waited for h2: {:?}", began.elapsed());

    drop((hung, babbling));
    fleet.run("retry", &[]).ends_with(0);
    for host in [h2, h3] {
        let answer = format!("alpha {} / salut", host.name);
        wait_for("its answer", || (host.asks(port, "/") == answer).then_some(()));
    }
    drop(controller);
}

/// alpha on h4 and h5, which take their time to end, after beta on h3. Then a commit that changes both, up to
/// the moment when h5 restarts alpha.
fn in_the_middle<'a>(world: &'a World, name: &'static str, environment: &str) -> (Fleet<'a>, crate::daemon::Daemon) {
    let fleet = Fleet::new(world, name);
    fleet.environment(environment);
    let declare = |greeting: &str| {
        fleet.service("beta", fleet.port(1), &["h3"], &format!("env: {{GREETING: {greeting}}}"));
        let alpha = format!("env: {{GREETING: {greeting}, STUBBORN: '2'}}\nafter: [beta]");
        fleet.service("alpha", fleet.port(0), &["h4", "h5"], &alpha);
        fleet.commit()
    };
    let commit = declare("hello");
    let controller = fleet.reconcile();
    fleet.is_live(&commit);
    declare("ahoy");
    let begun = fleet.begun(2, "restart");
    wait_for("the restart of alpha", || world.host("h5").succeeds(&begun).then_some(()));
    (fleet, controller)
}

/// Waits until the three services answer with the greeting.
fn all_say(fleet: &Fleet<'_>, greeting: &str) {
    for (host, service, port) in [("h3", "beta", 1), ("h4", "alpha", 0), ("h5", "alpha", 0)] {
        let (answer, port) = (format!("{service} {host} / {greeting}"), fleet.port(port));
        wait_for(&answer, || (fleet.world.host(host).asks(port, "/") == answer).then_some(()));
    }
}

pub fn a_host_that_reboots_in_the_middle_is_undone_and_then_deployed(world: &World) {
    let (fleet, _daemon) = in_the_middle(world, "reboot", "lost_after: 30s");
    drop(world.off("h5"));
    fleet.ends(2, "rolled-back");
    // Nobody can be blamed for it, so it is tried again.
    fleet.is_live(&fleet.commit());
    all_say(&fleet, "ahoy");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_network_that_comes_back_in_time_lets_the_deployment_complete(world: &World) {
    let (fleet, _daemon) = in_the_middle(world, "blink", "lost_after: 30s");
    let cut = world.cut("h5");
    // The host goes on by itself.
    let unit = "evenkeel-blink.service";
    wait_for("the end of the host's unit", || (world.host("h5").unit(unit, "ActiveState") == "inactive").then_some(()));
    drop(cut);
    fleet.is_live(&fleet.commit());
    fleet.ends(2, "applied");
    all_say(&fleet, "ahoy");
}

pub fn a_network_that_blinks_again_and_again_lets_the_deployment_complete(world: &World) {
    let fleet = Fleet::new(world, "blinks");
    let h5 = world.host("h5");
    fleet.environment("lost_after: 6s");
    let declare = |greeting: &str| {
        for (number, service) in ["alpha", "beta", "gamma"].iter().enumerate() {
            let env = format!("env: {{GREETING: {greeting}, STUBBORN: '8'}}");
            fleet.service(service, fleet.port(number as u16), &["h5"], &env);
        }
        fleet.commit()
    };
    let commit = declare("hello");
    let _daemon = fleet.reconcile();
    fleet.is_live(&commit);
    let commit = declare("ahoy");
    // All of them stop at once, for longer than a host may be lost; meanwhile the connection breaks again and again.
    let unit = fleet.unit("alpha", fleet.port(0));
    for seconds in [1, 4, 7] {
        let stops = format!(
            "[ \"$(systemctl show --value -p ActiveState '{unit}')\" = deactivating ] &&
             since=$(systemctl show --value -p StateChangeTimestampMonotonic '{unit}') &&
             [ $(($(python3 -c 'import time; print(int(time.monotonic()))') - since / 1000000)) -ge {seconds} ]"
        );
        wait_for("the stop to go on", || h5.succeeds(&stops).then_some(()));
        h5.run("pkill -u ubuntu sshd");
    }
    fleet.is_live(&commit);
    fleet.ends(2, "applied");
}

pub fn hosts_that_are_lost_in_the_middle_are_named_and_healed_when_they_are_back(world: &World) {
    let (fleet, _daemon) = in_the_middle(world, "lost", "");
    let (cut, off) = (world.cut("h4"), world.off("h5"));
    fleet.ends(2, "rollback-failed");
    let newest = fleet.history()[0].clone();
    says(&newest["failure"].to_string(), &["lost"]);
    says(&newest["not_undone"].to_string(), &["h4", "h5"]);
    assert_is("the answer of h3", world.host("h3").asks(fleet.port(1), "/"), "beta h3 / hello");

    // The one went on by itself, the other stopped in the middle.
    drop((cut, off));
    fleet.notes("is quarantined");
    all_say(&fleet, "hello");
    fleet.run("retry", &[]).ends_with(0);
    fleet.is_live(&fleet.commit());
    all_say(&fleet, "ahoy");
}
