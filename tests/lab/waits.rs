//! What a host prints, asks and takes its time for between the login and the root shell.

use serde_json::Value;

use crate::{
    daemon::Daemon,
    fleet::Fleet,
    host_failures::says,
    world::{World, assert_is, wait_for},
};

const LOGIN_FILE: &str = "/home/ubuntu/.bashrc";
const SSHD: &str = "/etc/ssh/sshd_config.d/labtest.conf";
/// One that listens already goes on with what it read.
const RELOADED: &str =
    "systemctl reload ssh.service; sleep 0.2; until (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null; do :; done";

pub fn what_a_host_prints_or_asks_at_a_login_is_part_of_no_answer(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "waits_greeting"), world.host("h1"));
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    fleet.deploy().ends_with(0);
    let rc = format!("rm -f {LOGIN_FILE} /etc/ssh/sshrc");
    for (at, script) in [
        (LOGIN_FILE, "echo Welcome; echo oops >&2; printf 'no line break'"),
        (LOGIN_FILE, "seq 100000"),
        // Waits for a line, and takes more than one where more lies there.
        (LOGIN_FILE, "read answer; echo you said $answer"),
        (LOGIN_FILE, "head -n 1"),
        (LOGIN_FILE, "set -x; export POSIXLY_CORRECT=1 QUOTING_STYLE=c LC_ALL=de_DE.UTF-8"),
        ("/etc/ssh/sshrc", "echo Welcome"),
    ] {
        h1.write(at, &format!("{script}\n"));
        let _left = h1.until_dropped("true", &rc);
        let plan = fleet.plan();
        assert_is(&format!("the plan's exit code with `{script}`"), plan.code, 0);
        assert_is(&format!("the changes with `{script}`"), plan.changes(), Vec::<String>::new());
    }
}

/// A library that cannot be preloaded has every program complain; what all services get changes how tools read their
/// arguments.
pub fn what_every_program_of_a_host_prints_besides_is_part_of_no_answer(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "waits_besides"), world.host("h1"));
    let declare = |text: &str| fleet.service("alpha", fleet.port(0), &["h1"], &format!("env: {{GREETING: {text}}}"));
    let variables = "POSIXLY_CORRECT=1 QUOTING_STYLE=c BLOCK_SIZE=1";
    let set = format!(
        "echo /lib/nothing.so >/etc/ld.so.preload; systemctl set-environment {variables}
         for variable in {variables}; do echo $variable; done >>/etc/environment"
    );
    let _left = h1.until_dropped(
        &set,
        "rm /etc/ld.so.preload; systemctl unset-environment POSIXLY_CORRECT QUOTING_STYLE BLOCK_SIZE
         sed -i '/^POSIXLY_CORRECT\\|^QUOTING_STYLE\\|^BLOCK_SIZE/d' /etc/environment",
    );
    declare("hello");
    fleet.deploy().ends_with(0);
    declare("ahoy");
    fleet.deploy().ends_with(0);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_login_that_ends_is_told_in_the_hosts_own_words(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "waits_ended"), world.host("h1"));
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    fleet.deploy().ends_with(0);
    let configure = |lines: &str| format!("printf '{lines}' >{SSHD}; bash -c '{RELOADED}'");
    let as_before = format!("rm {SSHD}; bash -c '{RELOADED}'");
    let factor =
        configure("KbdInteractiveAuthentication yes\\nAuthenticationMethods publickey,keyboard-interactive\\n");
    let no_keys = configure("PubkeyAuthentication no\\nPasswordAuthentication yes\\n");
    let forced = configure("ForceCommand echo nothing runs here\\n");
    for (now, last, words) in [
        (
            "usermod -s /usr/sbin/nologin ubuntu",
            "usermod -s /bin/bash ubuntu",
            ["This account is currently", "usermod -s"],
        ),
        ("usermod -s /bin/false ubuntu", "usermod -s /bin/bash ubuntu", ["status 1", "usermod -s"]),
        ("echo back at noon >/etc/nologin", "rm /etc/nologin", ["back at noon", "/etc/nologin"]),
        ("usermod -e 2020-01-01 ubuntu", "usermod -e '' ubuntu", ["account has expired", "usermod -e ''"]),
        ("chage -d 0 ubuntu", "chage -d 20000 -M -1 ubuntu", ["password has expired", "chage -d"]),
        (&factor, &as_before, ["keyboard-interactive", "AuthenticationMethods publickey"]),
        (&no_keys, &as_before, ["only password", "PubkeyAuthentication yes"]),
        (&forced, &as_before, ["nothing runs here", "ForceCommand"]),
    ] {
        let _left = h1.until_dropped(now, last);
        let plan = fleet.plan();
        assert_is(&format!("the plan's exit code after `{now}`"), plan.code, 5);
        says(&plan.instance("h1").1, &words);
    }
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// sudo asks name servers for the host's name, and they do not answer.
pub fn a_sudo_that_takes_its_time_is_waited_for_and_the_wait_is_said(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "waits_sudo"), world.host("h1"));
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    fleet.deploy().ends_with(0);
    let slow = "mv /usr/bin/sudo /usr/bin/sudo.real
        printf '#!/bin/sh\\nsleep 22\\nexec /usr/bin/sudo.real \"$@\"\\n' >/usr/bin/sudo; chmod 755 /usr/bin/sudo";
    let _left = h1.until_dropped(slow, "mv /usr/bin/sudo.real /usr/bin/sudo");
    let mut plan = fleet.evenkeel("plan", &[]);
    let output = plan.env("EVENKEEL_LOG", "evenkeel=warn").output().expect("evenkeel runs");
    assert_is("the plan's exit code", output.status.code(), Some(0));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    for waited in [5, 10, 20] {
        says(&log, &["instance=h1", "waiting_for=sudo", &format!("waited_s={waited}")]);
    }
    // People are told without asking for a log.
    let told = fleet.run("plan", &[]).ends_with(0);
    says(&told.errors, &["h1", "sudo"]);
}

pub fn the_log_tells_each_sync_with_its_parts(world: &World) {
    let fleet = Fleet::new(world, "waits_parts");
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    let commit = fleet.commit();
    let mut run = fleet.evenkeel_at(fleet.state(), "run", &["--repo", &fleet.remote(), "--log-format", "json"]);
    run.env("EVENKEEL_LOG", "evenkeel=debug");
    let running = Daemon::start(run, fleet.state());
    fleet.is_live(&commit);
    let synced = wait_for("a sync in the log", || {
        let lines = running.log();
        let mut records = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.rfind(|record| record["apply_ms"].as_u64().is_some_and(|ms| ms > 0))
    });
    assert_is("its environment", synced["environment"].as_str(), Some("test"));
    let parts = ["read_ms", "probe_ms", "plan_ms", "apply_ms", "record_ms"];
    let sum: u64 = parts.iter().map(|part| synced[part].as_u64().unwrap_or_else(|| panic!("{part}: {synced}"))).sum();
    let total = synced["total_ms"].as_u64().expect("it has a total");
    assert!(sum <= total, "the parts are more than the whole: {synced}");
    assert!(running.log().contains("fetch_ms"), "no fetch is told: {}", running.log());
}
