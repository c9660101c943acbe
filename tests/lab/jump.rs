//! Instances that are reached through another host: all goes that way, and what is wrong with it is told.

use serde_json::json;

use crate::{
    faults::overridden,
    fleet::Fleet,
    host_failures::says,
    proposing::Trap,
    release_transfer::noise,
    world::{AtLast, Host, World, assert_is, wait_for},
};

/// Writes into a file of somebody else without end.
const BABBLE: &str = "\
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY)
while True:
    os.write(file, b'x')
    time.sleep(0.0002)
";

/// Declares an instance, with nothing but the private key left to the override file.
fn declared(fleet: &mut Fleet<'_>, instance: &Host, ssh: &str) {
    fleet.instance(instance, &format!("host_key: {}\nssh: {ssh}\n", instance.host_key));
    overridden(fleet, &instance.name, |overriding| *overriding = json!({"ssh": {"key": overriding["ssh"]["key"]}}));
}

/// The way through a host, as it is declared.
fn through(jump: &Host) -> String {
    format!("{{jump: {{address: {}, host_key: {}}}}}", jump.address, jump.host_key)
}

/// Keeps a host from answering us but through another host.
fn hidden<'a>(world: &World, host: &'a Host, back: &'a str) -> AtLast<'a> {
    let gateway = world.lab.gateway();
    let hidden = host.until_dropped(&format!("ip route add blackhole {gateway}/32"), back);
    assert!(!host.succeeds(&format!("ip route get {gateway}")), "{} is not hidden", host.name);
    hidden
}

/// How often a user has logged in from an address, as the host's sshd tells it.
fn logins(host: &Host, user: &str, from: &str) -> usize {
    let log = host.run("journalctl --sync; journalctl --no-pager -o cat -t sshd");
    log.matches(&format!("Accepted publickey for {user} from {from} ")).count()
}

pub fn what_is_behind_a_jump_host_is_deployed_to_through_it_alone(world: &World) {
    let mut fleet = Fleet::new(world, "jumped");
    let (port, gateway) = (fleet.port(0), world.lab.gateway().to_string());
    let (jump, inner) = (world.host("h3"), ["h1", "h2", "h4"].map(|name| world.host(name)));
    // A user there who may do nothing else.
    let restricted = "sed 's/^/restrict,port-forwarding /' ~ubuntu/.ssh/authorized_keys >~gate/.ssh/authorized_keys";
    let _user = jump.until_dropped(
        &format!("useradd --create-home --shell /usr/sbin/nologin gate; mkdir ~gate/.ssh; {restricted}"),
        "userdel --force --remove gate",
    );
    let way = format!("{{jump: {{address: {}, user: gate, host_key: {}}}}}", jump.address, jump.host_key);
    inner.iter().for_each(|host| declared(&mut fleet, host, &way));
    fleet.service("alpha", port, &["h1", "h2", "h4"], "env: {GREETING: hello}");
    // More than may be on its way at once.
    fleet.write("program/large.txt", &noise(7, 8 << 20));
    fleet.commit();
    let back = format!("ip route del blackhole {gateway}/32");
    let _hidden = inner.map(|host| hidden(world, host, &back));
    let through_it = || (logins(jump, "gate", &gateway), inner.map(|host| logins(host, "ubuntu", &jump.address)));
    let directly = || inner.map(|host| logins(host, "ubuntu", &gateway));
    let ((at_jump, behind), before) = (through_it(), directly());

    fleet.apply().ends_with(0);
    for host in inner {
        assert_is("the answer", host.asks(port, "/"), format!("alpha {} / hello", host.name));
    }
    // One is for all that are behind it.
    assert_is("the logins", through_it(), (at_jump + 1, behind.map(|before| before + 1)));
    assert_is("the direct logins", directly(), before);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    // Nothing is left there when evenkeel is gone.
    let left = || jump.run("ss -Htn state established '( sport = :22 or dport = :22 )'");
    wait_for("the end of its connections", || left().is_empty().then_some(()));
}

pub fn a_jump_host_that_shows_another_key_leads_nowhere(world: &World) {
    let mut fleet = Fleet::new(world, "gatekey");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    let (jump, other, trap) = (world.host("h3"), world.host("h4"), Trap::set(world));
    // In h2's place stands one who notices every attempt.
    let mut h2 = world.host("h2").clone();
    h2.address = trap.address.ip().to_string();
    let mut refused = |host_key: &str, words: &[&str]| {
        let (port, address) = (trap.address.port(), &jump.address);
        declared(&mut fleet, &h2, &format!("{{port: {port}, jump: {{address: {address}{host_key}}}}}"));
        fleet.commit();
        let plan = fleet.plan();
        assert_is("plan's exit code", plan.code, 5);
        let (state, why) = plan.instance("h2");
        assert_is("what is known of h2", state.as_str(), "unknown");
        says(&why, &[&format!("the jump host {address}:22")]);
        says(&why, words);
        assert!(plan.changes().iter().all(|change| change.starts_with("h1 ")), "{:#?}", plan.changes());
        trap.is_untouched();
    };
    refused(&format!(", host_key: {}", other.host_key), &["another host key", "SHA256:"]);
    refused("", &["no host_key", &format!("`ssh-keyscan -t ed25519 {}`", jump.address), "instances/h2.yaml"]);
    let told = fleet.run("validate", &[]).ends_with(0);
    says(&told.said, &["missing-host-key", "the jump host of `h2` has no host_key"]);
}

pub fn a_jump_host_that_does_not_lead_there_is_told_with_the_next_move(world: &World) {
    let mut fleet = Fleet::new(world, "gate");
    let (port, h2, jump) = (fleet.port(0), world.host("h2"), world.host("h3"));
    fleet.service("alpha", port, &["h1", "h2"], "");
    let gate = format!("the jump host {}:22", jump.address);
    let why = |fleet: &Fleet<'_>, words: &[&str]| {
        fleet.commit();
        let plan = fleet.plan();
        assert_is("what is known of h1", plan.instance("h1").0.as_str(), "changes");
        let (state, why) = plan.instance("h2");
        assert_is("what is known of h2", state.as_str(), "unknown");
        says(&why, words);
    };
    // Nothing listens there.
    declared(&mut fleet, h2, &through(jump).replacen('{', "{port: 1, ", 1));
    why(&fleet, &[&format!("{}:1 does not answer", h2.address), &format!("{gate} cannot connect to it")]);
    // No sshd is there to go through.
    declared(&mut fleet, h2, &through(jump).replacen("{address", "{port: 1, address", 1));
    why(&fleet, &[&format!("the jump host {}:1 does not answer", jump.address), "`ssh.jump`"]);
    // Nobody of this name.
    declared(&mut fleet, h2, &through(jump).replacen("{address", "{user: nobody, address", 1));
    why(&fleet, &[&format!("the jump host nobody@{}:22 refuses the login", jump.address), "let one of these keys in"]);

    declared(&mut fleet, h2, &through(jump));
    let forbidden = jump.until_dropped(
        "echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/gate.conf && systemctl reload ssh",
        "rm /etc/ssh/sshd_config.d/gate.conf && systemctl reload ssh",
    );
    why(&fleet, &[&format!("{gate} does not forward to {}:22", h2.address), "`AllowTcpForwarding yes`"]);
    fleet.apply().ends_with(5);
    drop(forbidden);
    fleet.apply().ends_with(0);
    assert_is("the answer of h2", h2.asks(port, "/"), "alpha h2 / None");
}

pub fn an_instance_that_babbles_holds_up_no_other_behind_the_same_jump_host(world: &World) {
    let mut fleet = Fleet::new(world, "chatter");
    let (port, h1, h2, jump) = (fleet.port(0), world.host("h1"), world.host("h2"), world.host("h3"));
    [h1, h2].iter().for_each(|host| declared(&mut fleet, host, &through(jump)));
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello, STUBBORN: '15'}");
    fleet.deploy().ends_with(0);
    fleet.service("alpha", port, &["h1"], "env: {GREETING: ahoy}");
    fleet.commit();
    let mut apply = fleet.begin("apply", &["--yes"]);
    wait_for("the restart of alpha", || h1.succeeds(&fleet.begun(2, "restart")).then_some(()));
    // Whatever evenkeel's root shell on h2 would answer, if it were asked.
    let is_evenkeels = "[ -p /proc/$shell/fd/1 ] && [ $shell != $$ ] && echo $shell";
    let shells = h2.run(&format!("for shell in $(pgrep -u root -x sh); do {is_evenkeels}; done; true"));
    assert!(!shells.is_empty(), "there is no root shell");
    // In the smallest pieces: it is pieces that are counted where they lie unread.
    h2.write("/run/babble.py", BABBLE);
    for shell in shells.lines() {
        h2.run(&format!("systemd-run --quiet --collect python3 /run/babble.py /proc/{shell}/fd/1"));
    }
    let gone = shells.lines().map(|shell| format!("[ ! -e /proc/{shell} ]")).collect::<Vec<_>>().join(" && ");
    wait_for("the end of the root shell that is not read", || h2.succeeds(&gone).then_some(()));
    assert!(apply.is_running(), "it had ended before anything lay unread");
    apply.ends_with(0);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / ahoy");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_jump_host_that_comes_back_leads_there_again(world: &World) {
    let mut fleet = Fleet::new(world, "gone");
    let (port, h2, jump) = (fleet.port(0), world.host("h2"), world.host("h3"));
    declared(&mut fleet, h2, &through(jump));
    fleet.environment("");
    let declare = |fleet: &Fleet<'_>, greeting: &str| {
        fleet.service("alpha", port, &["h1", "h2"], &format!("env: {{GREETING: {greeting}}}"));
        fleet.commit()
    };
    let answers = |host: &Host, greeting: &str| {
        let answer = format!("alpha {} / {greeting}", host.name);
        wait_for(&answer, || (host.asks(port, "/") == answer).then_some(()));
    };
    let commit = declare(&fleet, "hello");
    let _daemon = fleet.reconcile();
    fleet.is_live(&commit);

    // The session to it ends, and another is made.
    jump.run("pkill -u ubuntu sshd");
    fleet.is_live(&declare(&fleet, "ahoy"));
    answers(h2, "ahoy");

    let off = world.off("h3");
    declare(&fleet, "salut");
    answers(world.host("h1"), "salut");
    wait_for("what is said of h2", || {
        let said = fleet.status().to_string();
        said.contains(&format!("the jump host {}:22 does not answer", jump.address)).then_some(())
    });
    assert_is("the answer of h2", h2.asks(port, "/"), "alpha h2 / ahoy");
    drop(off);
    answers(h2, "salut");
}
