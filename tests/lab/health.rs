//! Health checks decide whether a deployment goes on.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use crate::{
    fleet::Fleet,
    world::{Host, World, assert_is, wait_for},
};

pub fn one_that_notifies_counts_as_started_when_it_says_so(world: &World) {
    let fleet = Fleet::new(world, "notifies");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let run = "run: {exec: /usr/bin/python3 server.py, notify: true}";
    fleet.service("alpha", port, &["h1"], &format!("{run}\nenv: {{NOTIFIES: '1'}}\nhealth: {{tcp: true, settle: 0s}}"));
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("alpha", port);
    let shown = h1.run(&format!("systemctl show --value -p Type -p ActiveState '{unit}'"));
    assert_is("its type and state", shown.lines().collect::<Vec<_>>(), vec!["notify", "active"]);
    // Its port was open all the while: systemd alone knew that it did not serve yet.
    let lines = h1.run(&format!("journalctl -o cat -u '{unit}' | grep -c '^Started' || true"));
    assert_is("starts that systemd heard of", lines.as_str(), "1");
    // One that ends before it has said so has not started, and the deployment is undone.
    fleet.service(
        "alpha",
        port,
        &["h1"],
        &format!("{run}\nenv: {{NEEDS: 'http://127.0.0.1:9'}}\nhealth: {{tcp: true}}"),
    );
    fleet.deploy().ends_with(3);
    assert!(h1.asks(port, "/x").starts_with("alpha h1 /x"), "what was there runs again");
}

pub fn an_http_check_holds_back_what_comes_after(world: &World) {
    let fleet = Fleet::new(world, "http");
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {SLOW: '1'}");
    // Ends with an error, and is started again by systemd, when alpha is not healthy at its start.
    fleet.service("beta", fleet.port(1), &["h2"], "env: {NEEDS: '${service.alpha.url}'}\nafter: [alpha]");
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("beta", fleet.port(1));
    assert_is("how often beta had to be started again", world.host("h2").unit(&unit, "NRestarts"), "0");
}

pub fn a_tcp_check_gates(world: &World) {
    let fleet = Fleet::new(world, "tcp");
    let check = "health: {tcp: true, interval: 100ms, retries: 1, start_period: 1s}";
    fleet.service("alpha", fleet.port(0), &["h1"], "health: {tcp: true}");
    fleet.deploy().ends_with(0);
    fleet.service("beta", fleet.port(1), &["h1"], &format!("run: {{exec: /bin/sleep infinity}}\n{check}"));
    fleet.deploy().ends_with(3);
    assert!(!world.host("h1").exists(&format!("/etc/systemd/system/{}", fleet.unit("beta", fleet.port(1)))));
}

pub fn an_answer_has_to_contain_the_declared_text(world: &World) {
    let fleet = Fleet::new(world, "bodytext");
    let declare = |text: &str| {
        let times = "interval: 100ms, retries: 1, start_period: 1s";
        let declared = format!("env: {{TRIED: {text:?}}}\nhealth: {{http: /x, body: {text:?}, {times}}}");
        fleet.service("alpha", fleet.port(0), &["h1"], &declared);
    };
    declare("alpha h1 /x");
    fleet.deploy().ends_with(0);
    // It answers 200 all the same.
    declare("beta h1 /x");
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure/message").to_string();
    assert!(failure.contains("without `beta h1 /x` in its body"), "{failure}");
}

/// Answers 500 once it was asked for `/sick`, and while a file is there.
const MOODY: &str = "import os, http.server as http\n\
    sick = []\n\
    class Handler(http.BaseHTTPRequestHandler):\n    \
        def do_GET(self):\n        \
            if self.path == '/sick': sick.append(True)\n        \
            ill = sick or os.path.exists(os.environ['STATE_DIRECTORY'] + '/sick')\n        \
            self.send_response(500 if ill else 200)\n        \
            self.end_headers()\n\
    http.HTTPServer(('', int(os.environ['SERVICE_PORT'])), Handler).serve_forever()\n";

pub fn what_is_unhealthy_between_deployments_is_restarted_as_often_as_it_may_be(world: &World) {
    let fleet = Fleet::new(world, "moody");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.environment("repair_after: 2s\nrepair_limit: 2\n");
    fleet.write("program/moody.py", MOODY);
    let health = "health: {http: /, failures: 2, interval: 200ms, start_period: 1s}";
    fleet.service(
        "alpha",
        port,
        &["h1"],
        &format!("run: {{exec: /usr/bin/python3 moody.py, state: [mood]}}\n{health}"),
    );
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("alpha", port);
    let started = || h1.unit(&unit, "InvocationID");
    let of_alpha = || fleet.status().pointer("/instances/0/services/0").cloned().unwrap_or_default();
    let is = |health: &str| wait_for(&format!("alpha {health}"), || (of_alpha()["health"] == health).then_some(()));
    let _controller = fleet.reconcile();
    is("healthy");

    // A start mends it.
    let first = started();
    h1.run(&format!("curl -s http://127.0.0.1:{port}/sick"));
    wait_for("a restart", || (started() != first).then_some(()));
    is("healthy");
    wait_for("the record of the repair", || (fleet.newest("/kind") == "drift-repair").then_some(()));
    assert_is("its outcome", fleet.newest("/outcome"), "applied");

    // None does: it may be restarted once more within this hour.
    let sick = h1.run("ls -d /var/lib/moody/alpha/mood").trim().to_owned() + "/sick";
    h1.run(&format!("touch {sick}"));
    let second = started();
    wait_for("the last restart", || (started() != second).then_some(()));
    let last = started();
    let given_up = || of_alpha()["why"].as_str().is_some_and(|why| why.contains("evenkeel retry"));
    wait_for("alpha given up", || given_up().then_some(()));
    is("degraded");
    let looks = |number: usize| {
        let mut seen = std::collections::BTreeSet::new();
        wait_for("more looks", || {
            seen.insert(fleet.status()["observed_at"].to_string());
            (seen.len() > number).then_some(())
        });
    };
    looks(4);
    assert_is("what runs", started(), last.as_str());

    // A person has it tried again.
    fleet.run("retry", &[]).ends_with(0);
    wait_for("a restart that was asked for", || (started() != last).then_some(()));
    h1.run(&format!("rm {sick}"));
    is("healthy");
}

pub fn what_listens_on_another_address_is_named(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "address"), world.host("h1"));
    let (port, address) = (fleet.port(0), &h1.address);
    let program = "import os, http.server as http\nplace = (os.environ['INSTANCE_IP'], int(os.environ['SERVICE_PORT']))\n\
                   http.HTTPServer(place, http.SimpleHTTPRequestHandler).serve_forever()\n";
    fleet.write("program/elsewhere.py", program);
    let health = "health: {tcp: true, interval: 500ms, retries: 2, start_period: 4s}";
    fleet.service("alpha", port, &["h1"], &format!("run: {{exec: /usr/bin/python3 elsewhere.py}}\n{health}"));
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    let told = format!("nothing listens on 127.0.0.1:{port}; {address}:{port} is listened on by python3 (pid ");
    assert!(failure.contains(&told), "{failure}");
}

/// Has a unit of somebody else, until the value is dropped.
fn foreign(h1: &Host, unit: &str, service: &str) {
    h1.write(
        &format!("/etc/systemd/system/{unit}"),
        &format!("[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n"),
    );
    h1.run("systemctl daemon-reload");
}

/// An old unit leaves a child behind when it is stopped, and that goes on answering.
pub fn what_outlives_the_unit_that_is_replaced_keeps_its_successor_from_starting(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "zombie"), world.host("h1"));
    let (port, old) = (fleet.port(0), "legacy-zombie.service");
    let run = format!("/bin/sh -c \"python3 -m http.server {port} & exec sleep 10000\"");
    foreign(h1, old, &format!("ExecStart={run}\nKillMode=process"));
    let holders = format!("ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | cut -d= -f2");
    let ends =
        format!("systemctl stop {old}; kill $({holders}); rm /etc/systemd/system/{old}; systemctl daemon-reload");
    let begins = format!("systemctl start {old}");
    let _left = h1.until_dropped(&begins, &ends);
    h1.asks(port, "/");
    let zombie = h1.run(&holders);
    fleet.service("alpha", port, &["h1"], &format!("replaces: [{old}]\nhealth: {{http: /}}"));
    fleet.deploy().ends_with(3);
    let unit = fleet.unit("alpha", port);
    assert_is("the step", fleet.newest("/failure/step"), format!("h1/service/alpha/start/{unit}"));
    let failure = fleet.newest("/failure/message").to_string();
    let told = [format!("(pid {zombie}, of {old}, for "), format!("`python3 -m http.server {port}`")];
    assert!(told.iter().all(|words| failure.contains(words)), "{failure}");
    assert_is("the old unit", h1.unit(old, "ActiveState").as_str(), "active");

    // It is in the way again once all is deployed.
    h1.run(&format!("systemctl stop {old}; kill {zombie}"));
    fleet.service("alpha", port, &["h1"], &format!("replaces: [{old}]\nhealth: {{http: /}}\nenv: {{TRIED: twice}}"));
    fleet.deploy().ends_with(0);
    h1.run(&format!("systemctl stop '{unit}'; systemctl start {old}"));
    h1.asks(port, "/");
    h1.run(&format!("systemctl stop {old}; systemctl start '{unit}'"));
    let drift = wait_for("the drift to be told", || fleet.plan().findings("drift").into_iter().next());
    let told = [format!("(pid {}, of {old}, for ", h1.run(&holders)), format!("`python3 -m http.server {port}`")];
    assert!(told.iter().all(|words| drift.contains(words)), "{drift}");
}

/// What `status` says of the first service of the first instance.
fn of_first(fleet: &Fleet<'_>) -> serde_json::Value {
    let said = fleet.run("status", &["--format", "json"]).said;
    let status: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    status["instances"][0]["services"][0].clone()
}

/// A program that ends with an error some time after its start, and listens before that where it has a port.
fn failing(fleet: &Fleet<'_>, seconds: u32) {
    let program = format!(
        "import os, socket, sys, time\nlistener = socket.create_server(('127.0.0.1', int(os.environ['SERVICE_PORT'])))\n\
         time.sleep({seconds})\nsys.exit('cannot reach the broker')\n"
    );
    fleet.write("program/failing.py", &program);
}

pub fn a_service_that_does_not_stay_up_is_an_answer_at_once(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "settleloop"), world.host("h1"));
    failing(&fleet, 1);
    for check in ["exec: /bin/true", "tcp: true"] {
        let health = format!("run: {{exec: /usr/bin/python3 failing.py}}\nhealth: {{{check}, start_period: 10m}}");
        fleet.service("alpha", fleet.port(0), &["h1"], &health);
        fleet.deploy().ends_with(3);
        let failure = fleet.newest("/failure/message").to_string();
        let told = ["3 starts in a row failed", "ended with status 1"];
        assert!(told.iter().all(|words| failure.contains(words)), "{check}: {failure}");
        let log = fleet.newest("/failure/log").to_string();
        assert!(log.contains("cannot reach the broker"), "{check}: {log}");
        assert!(!h1.exists(&format!("/etc/systemd/system/{}", fleet.unit("alpha", fleet.port(0)))), "it is not undone");
    }
    // One failure is none, where it stays up from then on.
    fleet.write("program/once.py", "import os, sys, time\nfile = os.environ['STATE_DIRECTORY'] + '/tried'\nif not os.path.exists(file):\n    open(file, 'w').close()\n    sys.exit(1)\nexec(open('server.py').read())\n");
    fleet.service("alpha", fleet.port(0), &["h1"], "run: {exec: /usr/bin/python3 once.py, state: [tried]}");
    fleet.deploy().ends_with(0);
    assert_is("its restarts", h1.unit(&fleet.unit("alpha", fleet.port(0)), "NRestarts").as_str(), "1");
}

/// A unit that ran before evenkeel is enabled still, and has the port when the host is up again.
pub fn what_cannot_start_any_more_is_drift_that_names_who_has_its_port(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "settleboot"), world.host("h1"));
    let (port, old) = (fleet.port(0), "legacy-settleboot.service");
    foreign(h1, old, &format!("ExecStart=/usr/bin/python3 -m http.server {port}"));
    let ends = format!("systemctl disable --now {old}; rm /etc/systemd/system/{old}; systemctl daemon-reload");
    let _left = h1.until_dropped(&format!("systemctl enable {old}"), &ends);
    fleet.service("alpha", port, &["h1"], "health: {http: /}");
    fleet.deploy().ends_with(0);
    assert_is("the plan", fleet.plan().findings("drift"), Vec::<String>::new());
    let unit = fleet.unit("alpha", port);
    // In the order of an unlucky boot.
    h1.run(&format!("systemctl stop '{unit}'; systemctl start {old}"));
    h1.asks(port, "/");
    h1.run(&format!("systemctl start '{unit}'"));
    let drift = wait_for("it to be told", || fleet.plan().findings("drift").into_iter().next());
    let holder = format!("(pid {}, of {old}, for ", h1.unit(old, "MainPID"));
    let told: [&str; 4] = [&unit, &holder, &format!("`/usr/bin/python3 -m http.server {port}`"), "with status 1"];
    assert!(told.iter().all(|words| drift.contains(*words)), "{drift}");
    assert_is("the steps", fleet.plan().changes(), Vec::<String>::new());
    // For the moment in which it is started again it is as declared, and never healthy.
    for _ in 0..3 {
        wait_for("it to be out of sync", || {
            let status = of_first(&fleet);
            assert!(status["health"] != "healthy", "{status}");
            (status["sync"] == "out-of-sync").then_some(())
        });
    }
    // As the hint says.
    fleet.service("alpha", port, &["h1"], &format!("replaces: [{old}]\nhealth: {{http: /}}"));
    fleet.deploy().ends_with(0);
    assert_is("the old unit", h1.state(old).as_str(), "inactive disabled");
    // Planned in a moment in which it ran, it is not started again: systemd does that.
    wait_for("a plan without drift", || fleet.plan().findings("drift").is_empty().then_some(()));
    wait_for("its health", || (of_first(&fleet)["health"] == "healthy").then_some(()));
}

pub fn what_was_not_deployed_is_healthy_by_nobodys_answer(world: &World) {
    let (fleet, h1) = (Fleet::new(world, "settlehand"), world.host("h1"));
    let (port, unit) = (fleet.port(0), fleet.unit("alpha", fleet.port(0)));
    fleet.service("alpha", port, &["h1"], "health: {http: /}");
    fleet.commit();
    // By somebody's hand, under another name and under its own.
    for by_hand in ["settlehand-other.service", &unit] {
        let starts = format!("systemd-run --quiet --collect --unit='{by_hand}' python3 -m http.server {port}");
        let ends = format!("systemctl stop '{by_hand}'");
        let _answers = h1.until_dropped(&starts, &ends);
        h1.asks(port, "/");
        assert_is(by_hand, of_first(&fleet)["health"].as_str(), Some("degraded"));
    }
    fleet.apply().ends_with(0);
    assert_is("once it is deployed", of_first(&fleet)["health"].as_str(), Some("healthy"));
}

pub fn an_exec_check_gates(world: &World) {
    let fleet = Fleet::new(world, "exec");
    let file = "/etc/labtest/check.env";
    world.host("h1").write(file, "PASSWORD=hush\n");
    let declare = |exec: &str| {
        // Text in which evenkeel finds no references, and which systemd must not expand either.
        let exec = exec.replace("${", "$${");
        let health = format!("health: {{exec: {exec:?}, interval: 100ms, retries: 1, start_period: 1s, settle: 0s}}");
        fleet.service(
            "alpha",
            fleet.port(0),
            &["h1"],
            &format!("env: {{GREETING: a b$c}}\nenv_file: {file}\n{health}"),
        );
    };
    // As whom, where, and with what the service runs.
    fleet.write(
        "program/check.sh",
        "#!/bin/sh\nset -e\n[ \"$(id -un)\" = ubuntu ]\n[ -e server.py ]\n[ \"$GREETING\" = 'a b$c' ]\n[ \"$PASSWORD\" = hush ]\n[ \"$1\" = 'x $y' ]\n\
         [ \"$2\" = '$GREETING' ]\n[ \"$3\" = '${GREETING}' ]\n[ \"$4\" = '100% %n' ]\n[ $# = 4 ]\n",
    );
    let check = fleet.path().join("program/check.sh");
    fs::set_permissions(check, Permissions::from_mode(0o755)).expect("it is there");
    declare("./check.sh 'x $y' '$GREETING' '${GREETING}' '100% %n'");
    fleet.deploy().ends_with(0);

    fleet.write("program/check.sh", "#!/bin/sh\necho the check says no; exit 1\n");
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure/message").to_string();
    assert!(failure.contains("the check says no"), "the record does not say what the check said: {failure}");
}
