//! What a service sees of its host, by default and with what it says that it needs.

use evenkeel::model::{confinement, digest::Digest, manifest::Manifest};
use serde_json::Value;

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

/// Answers what it may do: each line of `probe.sh`, run by the service itself.
const SERVER: &str = r#"
import http.server, os, subprocess, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = subprocess.run(["/bin/sh", "probe.sh"], capture_output=True, text=True).stdout
        self.send_response(200); self.end_headers(); self.wfile.write(said.encode())
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]
open("/tmp/of-" + os.environ["SERVICE_NAME"], "w").close()
Server(("", int(os.environ["SERVICE_PORT"])), Handler).serve_forever()
"#;

const PROBE: &str = r#"
writes() { if (: >"$1/written") 2>/dev/null; then rm -f "$1/written"; echo "$2 yes"; else echo "$2 no"; fi; }
writes /usr/local usr
writes /etc etc
writes "$HOME" home
writes /proc/sys/kernel kernel
writes "$STATE_DIRECTORY" state
writes "$CACHE_DIRECTORY" cache
sed -n 's/^NoNewPrivs:\t/privileges /p' /proc/self/status
if [ -d /proc/1 ]; then echo "others yes"; else echo "others no"; fi
if sudo -n true 2>/dev/null; then echo "sudo yes"; else echo "sudo no"; fi
"#;

fn declared<'a>(world: &'a World, name: &'static str) -> Fleet<'a> {
    let fleet = Fleet::new(world, name);
    fleet.write("program/server.py", SERVER);
    fleet.write("program/probe.sh", PROBE);
    fleet
}

fn answers(world: &World, port: u16) -> Vec<String> {
    world.host("h1").asks(port, "/").lines().map(str::to_owned).collect()
}

pub fn a_service_sees_of_its_host_what_it_needs(world: &World) {
    let fleet = declared(world, "confined");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    // As root there is more to be kept from.
    for (service, user) in [("alpha", "ubuntu"), ("beta", "root")] {
        let run = format!("run: {{exec: /usr/bin/python3 server.py, state: [data], user: {user}}}");
        fleet.service(service, if service == "alpha" { port } else { port + 1 }, &["h1"], &run);
    }
    fleet.deploy().ends_with(0);
    let kept = ["usr no", "etc no", "home no", "kernel no", "state yes", "cache yes", "privileges 1"];
    assert_is("what alpha may do", answers(world, port), [&kept[..], &["others no", "sudo no"]].concat());
    assert_is("what beta may do", &answers(world, port + 1)[..7], &kept[..]);
    assert_is("a file of its /tmp", h1.exists("/tmp/of-alpha"), false);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn what_a_service_says_that_it_needs_is_lifted(world: &World) {
    let fleet = declared(world, "unconfined");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let needs = "[NoNewPrivileges, PrivateTmp, ProtectSystem, ProtectHome, ProtectProc]";
    let run = |user: &str| {
        format!("run: {{exec: /usr/bin/python3 server.py, state: [data], user: {user}, unconfined: {needs}}}")
    };
    fleet.service("alpha", port, &["h1"], &run("ubuntu"));
    fleet.service("beta", port + 1, &["h1"], &run("root"));
    fleet.deploy().ends_with(0);
    let said = answers(world, port);
    let of_alpha = ["home yes", "state yes", "cache yes", "privileges 0", "others yes", "sudo yes"];
    let missing: Vec<&&str> = of_alpha.iter().filter(|line| !said.iter().any(|said| said == **line)).collect();
    assert!(missing.is_empty(), "{missing:?} of {said:?}");
    let said = answers(world, port + 1);
    assert_is("what beta may do", &said[..3], &["usr yes", "etc yes", "home yes"][..]);
    assert_is("what it may not do", &said[3], "kernel no");
    assert_is("a file of the host's /tmp", h1.exists("/tmp/of-alpha"), true);
    h1.run("rm -f /tmp/of-*");

    // What it no longer needs is kept from it again, and the plan shows that as any change of its unit.
    fleet.service("alpha", port, &["h1"], "run: {exec: /usr/bin/python3 server.py, state: [data]}");
    fleet.commit();
    let plan = fleet.run("plan", &[]);
    assert!(plan.said.contains("+NoNewPrivileges=yes"), "{}", plan.said);
}

pub fn a_command_that_checks_health_sees_what_its_service_sees(world: &World) {
    let fleet = declared(world, "confinedcheck");
    fleet.write(
        "program/check.sh",
        "set -e\ntest -e /tmp/of-alpha\ngrep -q '^NoNewPrivs:.1$' /proc/self/status\n\
         if (: >/etc/written) 2>/dev/null || (: >\"$HOME/written\") 2>/dev/null; then exit 1; fi\n",
    );
    let health = "health: {exec: /bin/sh check.sh, interval: 100ms, retries: 1, start_period: 2s, settle: 0s}";
    fleet.service("alpha", fleet.port(0), &["h1"], health);
    fleet.deploy().ends_with(0);
    let lifted = "run: {exec: /usr/bin/python3 server.py, unconfined: [PrivateTmp]}";
    fleet.service("alpha", fleet.port(0), &["h1"], &format!("{lifted}\n{health}"));
    fleet.deploy().ends_with(0);
    wait_for("the file of the host's /tmp", || world.host("h1").exists("/tmp/of-alpha").then_some(()));
    world.host("h1").run("rm -f /tmp/of-*");
}

/// The same commit, deployed by an evenkeel that did not confine units.
pub fn a_fleet_that_ran_unconfined_is_confined_by_one_deployment(world: &World) {
    let fleet = Fleet::shared(world, "unconfinedbefore");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.environment("drift: report");
    fleet.service("alpha", port, &["h1"], "");
    fleet.service("beta", fleet.port(1), &["h2"], "");
    fleet.deploy().ends_with(0);
    was_unconfined(&fleet);
    assert_is("what is planned", fleet.plan().json["findings"][0]["code"].clone(), "units-confined");

    let controller = fleet.reconcile();
    fleet.ends(2, "applied");
    assert_is("its kind", fleet.newest("/kind"), "change");
    drop(controller);
    assert_is("a line of the unit", h1.unit(&fleet.unit("alpha", port), "NoNewPrivileges"), "yes");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// Makes hosts and history what they would be after an evenkeel that did not confine units.
fn was_unconfined(fleet: &Fleet<'_>) {
    for host in &fleet.world.hosts {
        let path = format!("/var/lib/evenkeel/{}/manifest", fleet.name);
        if !host.exists(&path) {
            continue;
        }
        let mut manifest = Manifest::parse(&host.run(&format!("cat {path}"))).expect("a manifest");
        for (unit, started) in &mut manifest.units {
            let unit_file = format!("/etc/systemd/system/{unit}");
            let name = unit.trim_start_matches(&format!("{}-", fleet.name)).trim_end_matches(".service");
            let environment = host.output(&format!("cat /etc/evenkeel/{}/{name}.env", fleet.name), b"").stdout;
            let text = confinement::without(&host.output(&format!("cat {unit_file}"), b"").stdout);
            host.write(&unit_file, std::str::from_utf8(&text).expect("text"));
            manifest.files.insert(unit_file, Digest::of(&text));
            started.inputs = Some(Digest::of_fields([text, environment]));
        }
        host.write(&path, &manifest.write());
        host.run(&format!("systemctl daemon-reload && systemctl restart '{}-*.service'", fleet.name));
    }
    let (remote, branch) = (fleet.remote(), "refs/heads/evenkeel/history/test");
    let at_remote = |arguments: &[&str]| fleet.git(&[&["--git-dir", &remote], arguments].concat());
    let mut state: Value = serde_json::from_str(&at_remote(&["show", &format!("{branch}:standing.json")])).unwrap();
    state["good"]["desired"] = Value::from(Digest::of("what was rendered then").to_string());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), state.to_string()).unwrap();
    let blob = at_remote(&["hash-object", "-w", file.path().to_str().unwrap()]);
    at_remote(&["read-tree", branch]);
    at_remote(&["update-index", "--cacheinfo", &format!("100644,{blob},standing.json")]);
    let (tree, parent) = (at_remote(&["write-tree"]), at_remote(&["rev-parse", branch]));
    let commit = at_remote(&["commit-tree", "-p", &parent, "-m", "As it was recorded then", &tree]);
    at_remote(&["update-ref", branch, &commit]);
}
