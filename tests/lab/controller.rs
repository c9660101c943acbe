//! The packaged unit, on a host that is managed itself.

use std::{fs, path::Path, process::Command};

use crate::{
    fleet::Fleet,
    world::{EVENKEEL, Host, World, assert_is, wait_for},
};

const UNIT: &str = include_str!("../../packaging/evenkeel.service");

/// systemd makes it the daemon's own, with what is in it.
const STATE: &str = "/var/lib/private/evenkeel-controller";

pub fn the_packaged_unit_deploys_and_repairs_from_its_sandbox(world: &World) {
    let fleet = Fleet::new(world, "packaged");
    let (h1, h2, port) = (world.host("h1"), world.host("h2"), fleet.port(0));
    for host in &world.hosts {
        fleet.instance(host, &format!("host_key: {}\n", host.host_key));
    }
    fleet.service("alpha", port, &["h1", "h2"], "env: {GREETING: hello}");
    fleet.commit();
    install(&fleet, h1);
    let _daemon = h1.until_dropped(
        "systemctl daemon-reload && systemctl start evenkeel",
        "systemctl stop evenkeel && rm -r /var/lib/private/evenkeel-controller /var/lib/evenkeel-controller \
            /etc/evenkeel-controller /usr/local/bin/evenkeel /etc/systemd/system/evenkeel.service &&
         systemctl daemon-reload",
    );
    assert_is("it is started, so it", h1.unit("evenkeel", "ActiveState").as_str(), "active");
    for host in [h1, h2] {
        assert_is("the answer", host.asks(port, "/"), format!("alpha {} / hello", host.name));
    }

    // A service answers before its deployment has ended: what stops it until then fails that.
    wait_for("the end of the deployment", || (outcome(h1).as_deref() == Some("applied")).then_some(()));
    h1.run("systemctl reload evenkeel");
    let unit = fleet.unit("alpha", port);
    h2.run(&format!("systemctl stop '{unit}'"));
    wait_for("the repair after a reload", || (h2.unit(&unit, "ActiveState") == "active").then_some(()));

    // But for the advice to list who may write the history, which this fleet does not.
    let warnings = h1.run("journalctl --quiet --unit evenkeel --priority warning | grep -v history_writers || true");
    assert_is("its warnings", warnings.as_str(), "");
    assert_is("how often it was restarted", h1.unit("evenkeel", "NRestarts").as_str(), "0");
    assert_is("what the webhook's door answers", h1.run("curl -s http://127.0.0.1:8089/healthz").as_str(), "ok");
    let answer = proposal_read_in_the_sandbox(&fleet, h1);
    assert!(answer.contains("Prepared") && answer.contains("alpha"), "{answer}");
}

/// How the newest deployment ended, as the daemon on the host says.
fn outcome(host: &Host) -> Option<String> {
    let place = "--state /var/lib/evenkeel-controller --repo /var/lib/evenkeel-controller/config.git";
    let status = host.run(&format!("evenkeel status {place} --format json || true"));
    let status: serde_json::Value = serde_json::from_str(&status).ok()?;
    Some(status["deployed"]["outcome"].as_str()?.to_owned())
}

/// What the process answers that the daemon starts for a proposal: with the unit's sandbox, and as its user.
fn proposal_read_in_the_sandbox(fleet: &Fleet<'_>, host: &Host) -> String {
    let commit = fleet.git(&["rev-parse", "HEAD"]);
    let state = "/var/lib/evenkeel-controller";
    let question = serde_json::json!({ "Read": {
        "mirror": format!("{state}/config.git"), "url": format!("{state}/config.git"), "state": state,
        "builds": null, "overrides": null, "folder": "fleet", "base": commit.trim(), "head": commit.trim(),
        "environments": [{ "name": "test", "default": null, "environment": null, "sources": {}, "origins": [], "recorded": {} }],
    } });
    let question = question.to_string().into_bytes();
    let asked = [&(question.len() as u64).to_be_bytes(), &question[..]].concat();
    let (_, sandbox) = UNIT.split_once("# It needs the network").expect("the sandbox comes last");
    let (sandbox, _) = sandbox.split_once("[Install]").expect("before the last section");
    let properties = sandbox.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    let properties: String = properties.map(|line| format!("-p '{line}' ")).collect();
    let output = host.output(
        &format!(
            "systemd-run --quiet --pipe --wait --collect -p User=evenkeel -p DynamicUser=yes \
             -p StateDirectory=evenkeel-controller -p UMask=0077 {properties} \
             -- /usr/local/bin/evenkeel internal-read-proposal 1073741824 60"
        ),
        &asked,
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The program, its unit and credentials, and the config repository: in the daemon's state, for there it is
/// the daemon's own.
fn install(fleet: &Fleet<'_>, host: &Host) {
    let put = |path: &str, bytes: &[u8]| {
        let script = format!("mkdir -p $(dirname {path}) && cat >{path}");
        assert!(host.output(&script, bytes).status.success(), "{path} is not written");
    };
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    put("/usr/local/bin/evenkeel", &read(Path::new(EVENKEEL)));
    host.run("chmod 0755 /usr/local/bin/evenkeel");
    let unit = UNIT.replace("git@github.com:you/config.git", "/var/lib/evenkeel-controller/config.git");
    assert!(unit != UNIT, "the unit names another repository");
    put("/etc/systemd/system/evenkeel.service", unit.as_bytes());
    put("/etc/evenkeel-controller/ssh-key", &read(&fleet.overrides.with_file_name("key")));
    put("/etc/evenkeel-controller/known_hosts", b"");
    put("/etc/evenkeel-controller/webhook-secret", b"s3cret\n");

    fleet.git(&["clone", "--quiet", "--bare", ".", "config.git"]);
    let repository = fleet.path().join("../config.git");
    let packed = Command::new("tar").arg("-C").arg(&repository).args(["-c", "."]).output().expect("tar is installed");
    let script = format!("mkdir -p {STATE}/config.git && tar -x -C {STATE}/config.git");
    assert!(host.output(&script, &packed.stdout).status.success(), "the repository does not arrive");
}
