//! What a host tells others than root of the secrets on it: nothing.

use crate::{
    fleet::{Fleet, restarted, set},
    world::{Host, World, assert_is},
};

const SECRETS: [&str; 2] = ["PIN=1234\n", "PIN=4321\n"];

fn base(fleet: &Fleet<'_>) -> String {
    format!("/var/lib/evenkeel/{}", fleet.name)
}

/// The digest that somebody would compare guesses with.
fn plain(host: &Host, file: &str) -> String {
    host.run(&format!("sha256sum <{file} | cut -c1-64"))
}

/// Files on a host, and outputs and histories here, that hold a text.
fn who_tells(fleet: &Fleet<'_>, host: &Host, digest: &str) -> Vec<String> {
    let found =
        host.run(&format!("grep -rlF {digest} /var/lib/evenkeel /etc/evenkeel /etc/systemd/system /run || true"));
    let mut found: Vec<String> = found.lines().map(str::to_owned).collect();
    for (what, arguments) in
        [("plan", vec!["--format", "json"]), ("plan", vec![]), ("status", vec!["--format", "json"])]
    {
        let ran = fleet.run(what, &arguments);
        found.extend((ran.said + &ran.errors).contains(digest).then(|| format!("{what} {arguments:?}")));
    }
    found.extend(fleet.git(&["log", "--all", "--patch"]).contains(digest).then(|| "the history".to_owned()));
    let state = std::process::Command::new("grep").args(["-rlF", digest]).arg(fleet.state()).output().expect("grep");
    found.extend(String::from_utf8_lossy(&state.stdout).lines().map(str::to_owned));
    found
}

fn mode(host: &Host, path: &str) -> String {
    host.run(&format!("stat -c '%a %U' {path}"))
}

pub fn no_digest_of_a_secret_is_told_anywhere(world: &World) {
    let fleet = Fleet::new(world, "secrets");
    let (h1, file) = (world.host("h1"), "/etc/evenkeel.d/secrets/alpha/secrets.env");
    h1.write(file, SECRETS[0]);
    let before = plain(h1, file);
    fleet.service("alpha", fleet.port(0), &["h1"], &format!("env_file: {file}"));
    fleet.deploy().ends_with(0);
    for kept in ["manifest", "key"] {
        assert_is(kept, mode(h1, &format!("{}/{kept}", base(&fleet))), "600 root");
        assert!(!h1.succeeds(&format!("setpriv --reuid=65534 --clear-groups cat {}/{kept}", base(&fleet))), "{kept}");
    }
    assert!(h1.succeeds(&format!("setpriv --reuid=65534 --clear-groups cat {}/releases/*/server.py", base(&fleet))));

    h1.write(file, SECRETS[1]);
    let after = plain(h1, file);
    for digest in [&before, &after] {
        assert_is("who tells of it before the restart", who_tells(&fleet, h1, digest), Vec::<String>::new());
    }
    let invocations = fleet.invocations();
    fleet.apply().ends_with(0);
    assert_is("what was restarted", restarted(&invocations, &fleet.invocations()), set(&["h1/alpha"]));
    for digest in [&before, &after] {
        assert_is("who tells of it after", who_tells(&fleet, h1, digest), Vec::<String>::new());
    }
}

pub fn a_manifest_that_somebody_opened_is_closed_without_a_restart(world: &World) {
    let fleet = Fleet::new(world, "unsealed");
    let (h1, path) = (world.host("h1"), format!("{}/manifest", base(&fleet)));
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    fleet.deploy().ends_with(0);
    let before = fleet.invocations();
    for change in
        [format!("chmod 0644 {path}"), format!("chmod 0644 {}/key", base(&fleet)), format!("chown ubuntu {path}")]
    {
        h1.run(&change);
        assert_is("what is planned", fleet.plan().changes(), vec![format!("h1 update {path}")]);
        fleet.apply().ends_with(0);
        assert_is("the manifest", mode(h1, &path), "600 root");
        assert_is("the key", mode(h1, &format!("{}/key", base(&fleet))), "600 root");
        assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    }
    assert_is("the processes", fleet.invocations(), before);
}

/// As evenkeel wrote them before digests were sealed.
pub fn a_manifest_of_before_is_taken_over_without_a_restart(world: &World) {
    let fleet = Fleet::new(world, "before");
    let (h1, file) = (world.host("h1"), "/etc/evenkeel.d/before/alpha/before.env");
    h1.write(file, SECRETS[0]);
    fleet.service("alpha", fleet.port(0), &["h1"], &format!("env_file: {file}"));
    fleet.service("beta", fleet.port(1), &["h1"], "");
    fleet.deploy().ends_with(0);
    let (manifest, digest) = (format!("{}/manifest", base(&fleet)), plain(h1, file));
    h1.run(&format!(
        "rm {base}/key && awk -F '\t' -v OFS='\t' -v digest={digest} 'NR == 1 {{ $0 = \"evenkeel manifest 1\" }}
         $1 == \"unit\" && $3 != \"-\" {{ $3 = digest }} {{ print }}' {manifest} >{manifest}.old &&
         mv {manifest}.old {manifest} && chmod 0644 {manifest} && grep -q {digest} {manifest}",
        base = base(&fleet),
    ));
    let before = fleet.invocations();
    assert_is("what is planned", fleet.plan().changes(), vec![format!("h1 update {manifest}")]);
    assert_is("the manifest after a mere look", mode(h1, &manifest), "644 root");
    fleet.apply().ends_with(0);
    assert_is("the processes", fleet.invocations(), before.clone());
    assert_is("the manifest", mode(h1, &manifest), "600 root");
    assert!(!h1.succeeds(&format!("grep {digest} {manifest}")), "it still tells");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    h1.write(file, SECRETS[1]);
    fleet.apply().ends_with(0);
    assert_is("what was restarted", restarted(&before, &fleet.invocations()), set(&["h1/alpha"]));
}
