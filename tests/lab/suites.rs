//! Hosts of the release of Debian before this one and of the one after it: deployed to, told of and undone as any other.
//!
//! One host of each, in a lab of its own. All that is stated of hosts is held against them with `LAB_SUITE`, which the
//! soak does.

use serde_json::json;

use crate::{
    controls::IMPATIENT,
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

pub fn a_host_with_systemd_247_is_like_any_other(_: &World) {
    is_like_any_other("debian11", "bullseye", "systemd 247", "oldsuite", "true");
}

pub fn a_host_with_systemd_257_is_like_any_other(_: &World) {
    is_like_any_other("debian13", "trixie", "systemd 257", "newsuite", "true");
}

/// As of Ubuntu 25.10 on: whoever looks for a program of coreutils finds the one in Rust.
pub fn a_host_with_coreutils_in_rust_is_like_any_other(_: &World) {
    let first = "for program in /usr/lib/cargo/bin/coreutils/[a-z]*; do ln -s $program /usr/local/bin/; done
                 [ $(readlink -f $(command -v stat)) = /usr/bin/coreutils ]";
    is_like_any_other("rust13", "trixie", "systemd 257", "rustsuite", first);
}

/// It reads no line of sh, and greets whoever comes in.
pub fn a_host_whose_login_shell_is_csh_is_like_any_other(_: &World) {
    let csh = "usermod --shell /bin/csh ubuntu; echo 'echo Welcome to csh' >/home/ubuntu/.cshrc
               su - ubuntu -c 'echo $shell' | grep /bin/csh";
    is_like_any_other("csh13", "trixie", "systemd 257", "cshsuite", csh);
}

/// `odd` is run there first.
fn is_like_any_other(lab: &str, suite: &str, systemd: &str, name: &'static str, odd: &str) {
    let world = World::boot_suite(lab, suite, 1).unwrap_or_else(|why| panic!("{why}"));
    let (fleet, h1) = (Fleet::new(&world, name), world.host("h1"));
    let (port, unit, domain) = (fleet.port(0), fleet.unit("alpha", fleet.port(0)), format!("{name}.test"));
    h1.run(odd);
    let version = h1.run("systemctl --version");
    assert!(version.starts_with(systemd), "it runs another systemd: {version}");

    // It is deployed, proven healthy and served, and planned to nothing.
    let declare = |extra: &str| fleet.service("alpha", port, &["h1"], &format!("{extra}\n{IMPATIENT}"));
    declare("env: {GREETING: one}");
    fleet.write("frontend/index.html", "ours");
    fleet.site(name, &["h1"], "frontend: {source: {path: frontend}}\nroutes: {/api/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    let heard = |greeting: &str| assert_is("the answer", h1.asks(port, "/"), format!("alpha h1 / {greeting}"));
    heard("one");
    assert_is("the page", h1.browse(&domain, "/").1, "ours");
    assert_is("the route", h1.browse(&domain, "/api/x").0, 200);
    let is_as_declared = || assert_is("the plan", fleet.plan().changes(), Vec::<String>::new());
    is_as_declared();

    // What fails is undone, and is said to be the commit's.
    declare("env: {GREETING: two, SICK: 'yes'}");
    fleet.deploy().ends_with(3);
    heard("one");
    assert_is("whose failure it is", fleet.newest("/failure/cause"), json!("step"));
    declare("env: {GREETING: one}");
    fleet.commit();
    is_as_declared();

    // Drift is seen, and repaired: a process that was stopped, and a file.
    h1.run(&format!("systemctl stop '{unit}'; echo '# by hand' >>'/etc/systemd/system/{unit}'"));
    assert_is("whether the plan sees it", fleet.plan().changes().is_empty(), false);
    fleet.apply().ends_with(0);
    heard("one");
    is_as_declared();

    // What answers in its place is not it.
    let squatter = format!("systemd-run --quiet --collect --unit=squatter.service python3 -m http.server {port}");
    let squatter = h1.until_dropped(&format!("systemctl stop '{unit}'; {squatter}"), "systemctl stop squatter.service");
    wait_for("the squatter", || h1.succeeds(&format!("curl -s -o /dev/null http://127.0.0.1:{port}/")).then_some(()));
    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 4);
    let finding = plan.findings("port-taken").concat();
    assert!(finding.contains("squatter.service"), "the holder is not named: {finding}");
    drop(squatter);
    fleet.apply().ends_with(0);
    heard("one");
}
