//! What is in the way of nginx or of a program's start: it makes room where a site says so, or is found while planning.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use crate::{
    fleet::Fleet,
    world::{World, assert_is, assert_same},
};

/// What had port 80 before nginx stops for it, runs again where the deployment fails, and stays off once it succeeds.
pub fn what_served_before_nginx_makes_room_and_comes_back(world: &World) {
    let (fleet, h5) = (Fleet::new(world, "ends_apache"), world.host("h5"));
    let old = "ends-apache.service";
    h5.write(
        &format!("/etc/systemd/system/{old}"),
        "[Service]\nExecStart=/usr/bin/python3 -m http.server 80 --directory /etc/systemd\n[Install]\nWantedBy=multi-user.target\n",
    );
    let begins = format!("systemctl daemon-reload; systemctl stop nginx.service; systemctl enable --now --quiet {old}");
    let ends = format!(
        "systemctl disable --now --quiet {old}; rm /etc/systemd/system/{old}; systemctl daemon-reload; systemctl start nginx.service"
    );
    let _old = h5.until_dropped(&begins, &ends);
    assert!(h5.asks(80, "/").contains("system"), "the old server does not answer");
    fleet.write("frontend/index.html", "new");
    let site = |replaces: &str| {
        fleet.site(
            "ends_apache",
            &["h5"],
            &format!("domain: ends-apache.test\nfrontend: {{source: {{path: frontend}}}}{replaces}"),
        );
    };
    // Without it the port is taken, and the hint names no unit to declare.
    site("");
    let refused = fleet.deploy().ends_with(4).said;
    assert!(refused.contains(old) && !refused.contains("replaces"), "{refused}");

    site(&format!("\nreplaces: [{old}]"));
    let before = world.contents();
    let broken = h5.nginx_refuses("unknown directive in /etc/nginx/conf.d/zz-ends.conf:1");
    fleet.deploy().ends_with(3);
    drop(broken);
    assert_same(&before, &world.contents());
    assert!(h5.asks(80, "/").contains("system"), "the old server does not answer again");
    assert_is("the old server at boot", h5.unit(old, "UnitFileState"), "enabled");
    assert_is("nginx", h5.unit("nginx.service", "ActiveState"), "inactive");

    fleet.run("retry", &["--reason", "the file is gone"]).ends_with(0);
    fleet.deploy().ends_with(0);
    assert_is("the site", h5.browse("ends-apache.test", "/"), (200, "new".to_owned()));
    assert_is("the old server", h5.unit(old, "ActiveState"), "inactive");
    assert_is("the old server at boot", h5.unit(old, "UnitFileState"), "disabled");
    let again = fleet.run("plan", &[]).ends_with(0).said;
    assert!(again.contains("No changes."), "{again}");
}

/// A service of its own program, whose release lies where nothing is started.
pub fn a_folder_from_which_nothing_is_started_is_found_while_planning(world: &World) {
    let (fleet, h2) = (Fleet::new(world, "ends_noexec"), world.host("h2"));
    let base = "/var/lib/evenkeel/ends_noexec";
    let _mounted = h2.until_dropped(
        &format!("mkdir -p -m 755 {base}/releases; mount -t tmpfs -o noexec,size=16m ends_noexec {base}/releases"),
        "mount -o remount,exec /var/lib/evenkeel/ends_noexec/releases",
    );
    fleet.write("program/run.py", "#!/usr/bin/python3\nexec(open('server.py').read())\n");
    let program = fleet.path().join("program/run.py");
    fs::set_permissions(program, Permissions::from_mode(0o755)).expect("it is there");
    fleet.service("alpha", fleet.port(0), &["h2"], "run: {exec: ./run.py}");
    let before = world.traces();
    let refused = fleet.deploy().ends_with(4).said;
    for word in ["h2", "alpha", "./run.py", "noexec", &format!("remount,exec {base}/releases")] {
        assert!(refused.contains(word), "nothing of {word}: {refused}");
    }
    assert_same(&before, &world.traces());
    // The host's own programs start wherever files lie.
    fleet.service("alpha", fleet.port(0), &["h2"], "");
    fleet.deploy().ends_with(0);
    fleet.service("alpha", fleet.port(0), &["h2"], "run: {exec: ./run.py}");
    let unit = fleet.unit("alpha", fleet.port(0));
    let running = h2.unit(&unit, "InvocationID");
    fleet.deploy().ends_with(4);
    assert_is("what runs", h2.unit(&unit, "InvocationID"), running);
    h2.run(&format!("mount -o remount,exec {base}/releases"));
    fleet.deploy().ends_with(0);
}
