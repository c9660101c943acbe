//! A commit changes what it says, where it says so, and nothing else.

use crate::{
    fleet::{Fleet, restarted, set},
    world::{Host, World, assert_is, assert_same, wait_for},
};

pub fn applying_twice_plans_nothing_and_writes_nothing(world: &World) {
    let fleet = Fleet::new(world, "twice");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.service(
        "beta",
        fleet.port(1),
        &["h3"],
        "after: [alpha]\nrun: {exec: /usr/bin/python3 server.py, state: [data]}",
    );
    fleet.write("frontend/index.html", "hello");
    fleet.site("twice", &["h1"], "frontend: {source: {path: frontend}}\nroutes: {/api/: {service: alpha}}");
    fleet.run("plan", &["--detailed-exitcode"]).ends_with(2);
    fleet.deploy().ends_with(0);
    fleet.run("plan", &["--detailed-exitcode"]).ends_with(0);

    let (before, recorded) = (world.traces(), fleet.history().len());
    let plan = fleet.plan();
    assert_is("the second plan", plan.changes(), Vec::<String>::new());
    assert_is("its exit code", plan.code, 0);
    fleet.apply().ends_with(0);
    assert_same(&before, &world.traces());
    assert_is("the number of records", fleet.history().len(), recorded);
}

pub fn a_change_of_one_services_environment_restarts_it_alone(world: &World) {
    let fleet = Fleet::new(world, "envs");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "env: {GREETING: hello}");
    fleet.service("beta", fleet.port(1), &["h1", "h3"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);
    let (invocations, hosts) = (fleet.invocations(), world.traces());

    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "env: {GREETING: ahoy}");
    fleet.deploy().ends_with(0);
    assert_is("what was restarted", restarted(&invocations, &fleet.invocations()), set(&["h1/alpha", "h2/alpha"]));
    assert_is("alpha's answer", world.host("h2").asks(fleet.port(0), "/"), "alpha h2 / ahoy");
    let after = world.traces();
    for untouched in ["h3", "h4", "h5"] {
        assert_is(untouched, &after[untouched], &hosts[untouched]);
    }
}

pub fn a_change_of_an_env_file_on_the_host_restarts_its_service_alone(world: &World) {
    let fleet = Fleet::new(world, "envfile");
    let file = "/etc/labtest/alpha.env";
    for host in ["h1", "h2"] {
        world.host(host).write(file, "GREETING=hello\n");
    }
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], &format!("env_file: {file}"));
    fleet.service("beta", fleet.port(1), &["h1"], "");
    fleet.deploy().ends_with(0);
    let before = fleet.invocations();

    world.host("h1").write(file, "GREETING=ahoy\n");
    fleet.apply().ends_with(0);
    assert_is("what was restarted", restarted(&before, &fleet.invocations()), set(&["h1/alpha"]));
    assert_is("alpha's answer", world.host("h1").asks(fleet.port(0), "/"), "alpha h1 / ahoy");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn an_apply_to_one_instance_is_not_recorded_as_all_done(world: &World) {
    let fleet = Fleet::new(world, "onlyone");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.commit();
    fleet.run("apply", &["--yes", "-i", "h1"]).ends_with(0);
    assert_is("the outcome", fleet.newest("/outcome"), "partial");
    assert_is("what was left out", fleet.newest("/unreached/h2"), "left out by --instance");
    fleet.apply().ends_with(0);
    assert_is("the outcome", fleet.newest("/outcome"), "applied");
    assert_is("the generation", fleet.newest("/generation"), 2);
}

pub fn a_branch_is_applied_where_the_default_branch_says(world: &World) {
    let fleet = Fleet::shared(world, "branches");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    let main = fleet.commit();
    fleet.apply().ends_with(0);

    fleet.git(&["checkout", "--quiet", "-b", "work"]);
    fleet.service("alpha", port, &["h1"], "env: {GREETING: ahoy}");
    let named = std::fs::read_to_string(fleet.path().join("fleet.yaml")).expect("it can be read");
    fleet.write("fleet.yaml", &named.replace("name: branches", "name: elsewhere"));
    fleet.git(&["commit", "--quiet", "--all", "--message", "Another name"]);
    fleet.git(&["push", "--quiet", "origin", "work"]);
    let applied = fleet.apply().ends_with(0);
    assert!(applied.said.contains("instances/ are those of main, which differ"), "{}", applied.said);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / ahoy");
    assert_is("its unit", h1.unit(&fleet.unit("alpha", port), "ActiveState"), "active");
    assert_is("the default branch's commit", fleet.newest("/commits/default"), main);
    assert_is("the other commit", fleet.newest("/commits/environment"), fleet.git(&["rev-parse", "HEAD"]));
}

pub fn a_port_is_taken_over_in_one_commit(world: &World) {
    let fleet = Fleet::new(world, "takeover");
    let (old, new) = (fleet.port(0), fleet.port(1));
    let h1 = world.host("h1");
    fleet.service("alpha", old, &["h1"], "");
    fleet.deploy().ends_with(0);

    fleet.service("alpha", new, &["h1"], "");
    fleet.service("beta", old, &["h1"], "");
    fleet.deploy().ends_with(0);
    assert_is("who answers on the old port", h1.asks(old, "/"), "beta h1 / None");
    assert_is("who answers on the new port", h1.asks(new, "/"), "alpha h1 / None");
    assert!(
        !h1.exists(&format!("/etc/systemd/system/{}", fleet.unit("alpha", old))),
        "alpha's old unit is still there"
    );

    // And back again, each to the other's.
    fleet.service("alpha", old, &["h1"], "");
    fleet.service("beta", new, &["h1"], "");
    fleet.deploy().ends_with(0);
    assert_is("who answers on the old port", h1.asks(old, "/"), "alpha h1 / None");
    assert_is("who answers on the new port", h1.asks(new, "/"), "beta h1 / None");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn what_git_no_longer_declares_goes_and_nothing_else(world: &World) {
    let fleet = Fleet::new(world, "prune");
    let (h1, h2) = (world.host("h1"), world.host("h2"));
    // Foreign, and as near as can be.
    h1.write("/etc/systemd/system/prune-like.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    h1.write("/etc/evenkeel/prune/notes.txt", "not ours\n");
    h1.run("systemctl daemon-reload && systemctl start prune-like.service");
    let other = world.contents();

    fleet.service("beta", fleet.port(1), &["h1"], "");
    fleet.deploy().ends_with(0);
    let (without_alpha, running) = (world.contents(), fleet.invocations());
    fleet.service("alpha", fleet.port(0), &["h1", "h2", "h3"], "");
    fleet.deploy().ends_with(0);

    fleet.service("alpha", fleet.port(0), &["h1", "h3"], "");
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("alpha", fleet.port(0));
    assert_is("alpha on h1", world.host("h1").state(&unit), "active enabled");
    assert_is("alpha on h2", h2.unit(&unit, "ActiveState"), "inactive");
    assert_is("alpha's files on h2", h2.run("ls -A /etc/evenkeel/prune").as_str(), "");

    fleet.remove("services/alpha.yaml");
    fleet.deploy().ends_with(0);
    // An instance that was evenkeel's once keeps an empty manifest and the releases.
    let no_manifests = |mut seen: crate::world::Seen| {
        seen.values_mut().for_each(|lines| lines.retain(|line| !line.contains("/var/lib/evenkeel/prune/manifest")));
        seen
    };
    assert_same(&no_manifests(without_alpha), &no_manifests(world.contents()));
    assert_is("what was restarted", restarted(&running, &fleet.invocations()), set(&[]));

    fleet.remove("services/beta.yaml");
    fleet.deploy().ends_with(0);
    assert_same(&no_manifests(other), &no_manifests(world.contents()));
    h1.run("systemctl stop prune-like.service; rm /etc/systemd/system/prune-like.service; systemctl daemon-reload");
}

pub fn a_declared_package_is_installed_once(world: &World) {
    let fleet = Fleet::new(world, "packages");
    let h5 = world.host("h5");
    offer(h5, "labtool");
    fleet.instance(h5, "packages: [labtool, python3]\n");
    fleet.commit();
    assert_is("the plan", fleet.plan().changes(), vec!["h5 install labtool".to_owned()]);
    fleet.apply().ends_with(0);
    assert_is("what it brought", h5.run("cat /usr/share/labtool/hello").as_str(), "hello");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    fleet.instance(h5, "packages: [labtool, nosuchtool]\n");
    fleet.deploy().ends_with(3);
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "step");
}

pub fn what_dpkg_does_not_manage_is_told_with_what_mends_it(world: &World) {
    let fleet = Fleet::new(world, "halfway");
    let h5 = world.host("h5");
    let audit = || h5.run("dpkg --audit");
    h5.write("/etc/labconf.conf", "mine\n");
    offer_with(
        h5,
        "labconf",
        "mkdir tree/etc; echo default >tree/etc/labconf.conf; echo /etc/labconf.conf >tree/DEBIAN/conffiles",
    );
    fleet.instance(h5, "packages: [labconf]\n");
    fleet.deploy().ends_with(0);
    assert_is("somebody's configuration", h5.run("cat /etc/labconf.conf").as_str(), "mine");
    assert_is("what is half-way", audit().as_str(), "");

    offer_with(h5, "labfail", "printf '#!/bin/sh\\nexit 1\\n' >tree/DEBIAN/postinst; chmod 755 tree/DEBIAN/postinst");
    fleet.instance(h5, "packages: [labfail]\n");
    let told = fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    h5.run("dpkg --purge --force-all labfail");
    for words in ["labfail", "sudo dpkg --configure -a"] {
        assert!(failure.contains(words) && (told.said.clone() + &told.errors).contains(words), "{words}: {failure}");
    }
    assert!(!failure.contains("Reading package lists"), "what apt was about to do hides what went wrong: {failure}");
    assert_is("what is half-way", audit().as_str(), "");
}

/// Another package fails once more each time that anything is installed.
pub fn what_dpkg_left_half_way_is_said_and_no_fault_of_another_package(world: &World) {
    let fleet = Fleet::new(world, "waits_halfway");
    let h5 = world.host("h5");
    let fails = "printf '#!/bin/sh\nexit 1\n' >tree/DEBIAN/postinst; chmod 755 tree/DEBIAN/postinst";
    offer_with(h5, "labhalf", fails);
    h5.run("apt-get update -q; ! apt-get install -y -q labhalf");
    let _left = h5.until_dropped("true", "dpkg --purge --force-all labhalf labother");
    offer(h5, "labother");
    fleet.instance(h5, "packages: [labother]\n");
    fleet.commit();
    h5.run("apt-get update -q");
    assert_is("what apt cannot by now", fleet.plan().findings("not-installable").len(), 0);
    h5.run("rm -rf /var/lib/apt/lists/*");
    let plan = fleet.plan();
    assert_is("what apt cannot", plan.findings("not-installable").len(), 1);
    let half = plan.findings("half-installed").join("\n");
    assert!(half.contains("h5: ") && half.contains("labhalf (half-configured)"), "{half}");
    fleet.apply().ends_with(0);
    assert_is("what it brought", h5.run("cat /usr/share/labother/hello").as_str(), "hello");
    assert_is(
        "what is said where nothing is to be installed",
        fleet.plan().json["findings"].to_string().as_str(),
        "[]",
    );

    h5.run("touch /var/lib/dpkg/updates/0001");
    let _updates = h5.until_dropped("true", "rm /var/lib/dpkg/updates/0001");
    h5.run("dpkg-query -W labother");
    fleet.instance(h5, "packages: [labother, labmore]\n");
    fleet.commit();
    fleet.apply().ends_with(4);
    assert_is("what refuses", fleet.plan().findings("dpkg-interrupted").len(), 1);
}

pub fn a_lock_of_dpkg_is_waited_for_and_its_holder_said(world: &World) {
    let fleet = Fleet::new(world, "waits_lock");
    let h5 = world.host("h5");
    offer(h5, "labwaits");
    fleet.instance(h5, "packages: [labwaits]\n");
    fleet.commit();
    let lock = "import fcntl, time; file = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(file, fcntl.LOCK_EX); \
                open('/run/locked', 'w'); time.sleep(9)";
    h5.write("/run/hold.py", lock);
    h5.run("systemd-run --quiet --collect --unit=locks.service python3 /run/hold.py");
    wait_for("the lock", || h5.exists("/run/locked").then_some(()));
    let holder = h5.unit("locks.service", "MainPID");
    let mut apply = fleet.evenkeel("apply", &["--yes"]);
    let output = apply.env("EVENKEEL_LOG", "evenkeel=warn").output().expect("evenkeel runs");
    assert_is("its exit code", output.status.code(), Some(0));
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in ["instance=h5", &format!("python3 (pid {holder}) holds"), "waited_s=5"] {
        assert!(log.contains(words), "`{words}` is not said: {log}");
    }
    assert_is("what it brought", h5.run("cat /usr/share/labwaits/hello").as_str(), "hello");
    h5.run("rm /run/locked /run/hold.py; dpkg --purge labwaits");
}

pub fn a_lock_of_dpkg_that_stays_condemns_no_commit(world: &World) {
    let fleet = Fleet::new(world, "waits_locked");
    let h5 = world.host("h5");
    offer(h5, "labstays");
    fleet.instance(h5, "packages: [labstays]\n");
    fleet.commit();
    // What apt says once it has waited long enough, here at once.
    h5.write(
        "/usr/local/sbin/apt-get",
        "#!/bin/sh\ncase $* in *-s*Pattern*) exec /usr/bin/apt-get \"$@\" ;; esac\n\
         echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (unattended-upgr)'; exit 100\n",
    );
    let locked = h5.until_dropped("chmod 755 /usr/local/sbin/apt-get", "rm /usr/local/sbin/apt-get");
    fleet.apply().ends_with(3);
    let failure = fleet.newest("/failure");
    assert_is("its cause", failure["cause"].as_str(), Some("host"));
    assert!(failure["message"].as_str().is_some_and(|message| message.contains("unattended-upgr")), "{failure}");
    drop(locked);
    fleet.apply().ends_with(0);
    h5.run("dpkg --purge labstays");
}

/// What dpkg said is remembered between looks; what somebody does meanwhile is seen all the same.
pub fn a_package_that_somebody_removes_comes_back(world: &World) {
    let fleet = Fleet::new(world, "removed");
    let h5 = world.host("h5");
    offer(h5, "othertool");
    fleet.environment("");
    fleet.instance(h5, "packages: [othertool]\n");
    let commit = fleet.commit();
    let _daemon = fleet.reconcile();
    fleet.is_live(&commit);
    for _ in 0..2 {
        fleet.looked_at_twice();
        let records = fleet.history().len();
        h5.run("dpkg --remove othertool");
        wait_for("the package", || h5.exists("/usr/share/othertool/hello").then_some(()));
        wait_for("its record", || (fleet.history().len() > records).then_some(()));
        assert_is("what it is", fleet.newest("/kind").as_str(), Some("drift-repair"));
    }
}

/// A repository with one package, on the host's own disk, for the lab has no way out.
fn offer(host: &Host, package: &str) {
    offer_with(host, package, ":");
}

/// As [`offer`], with something more done to its tree.
fn offer_with(host: &Host, package: &str, more: &str) {
    host.run(&format!(
        r#"set -e
        mkdir -p /srv/apt/tree/DEBIAN /srv/apt/tree/usr/share/{package}
        cd /srv/apt
        printf 'Package: {package}\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@localhost>\nDescription: a test\n' >tree/DEBIAN/control
        echo hello >tree/usr/share/{package}/hello
        {more}
        dpkg-deb --root-owner-group --build tree {package}.deb
        rm -r tree
        {{ dpkg-deb --field {package}.deb
          echo "Filename: ./{package}.deb"
          echo "Size: $(stat -c %s {package}.deb)"
          echo "SHA256: $(sha256sum {package}.deb | cut -d' ' -f1)"; }} >Packages
        rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
        echo 'deb [trusted=yes] file:/srv/apt ./' >/etc/apt/sources.list"#
    ));
}

pub fn an_old_unit_is_replaced_in_the_same_phase(world: &World) {
    let fleet = Fleet::new(world, "replace");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    old_unit(world, "old-replace.service", port);
    fleet.service("alpha", port, &["h1"], "replaces: [old-replace.service, never-was.service]");
    fleet.commit();

    let plan = fleet.plan();
    let (stop, start) = ("h1 stop old-replace.service", format!("h1 start {}", fleet.unit("alpha", port)));
    assert_is("the phase of the old one's stop", plan.phase(stop), plan.phase(&start));
    fleet.apply().ends_with(0);
    assert_is("the old one", h1.state("old-replace.service"), "inactive disabled");
    assert!(h1.exists("/etc/systemd/system/old-replace.service"), "its file was not ours to remove");
    assert_is("who answers", h1.asks(port, "/"), "alpha h1 / None");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// Of a unit without a file systemd is asked by a pattern: what it has loaded is seen all the same.
pub fn an_old_unit_that_runs_without_its_file_is_replaced(world: &World) {
    let fleet = Fleet::new(world, "probe_fileless");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    old_unit(world, "old-fileless.service", port);
    h1.run("systemctl disable --quiet old-fileless.service && rm /etc/systemd/system/old-fileless.service");
    fleet.service("alpha", port, &["h1"], "replaces: [old-fileless.service]");
    fleet.commit();

    fleet.plan().phase("h1 stop old-fileless.service");
    fleet.apply().ends_with(0);
    assert_is("who answers", h1.asks(port, "/"), "alpha h1 / None");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// A unit of before evenkeel, which answers `old` on h1.
pub fn old_unit(world: &World, unit: &str, port: u16) {
    let h1 = world.host("h1");
    h1.run("mkdir -p /srv/old && echo old >/srv/old/index.html");
    let text = format!(
        "[Service]\nExecStart=/usr/bin/python3 -m http.server --directory /srv/old {port}\n\
         [Install]\nWantedBy=multi-user.target\n"
    );
    h1.write(&format!("/etc/systemd/system/{unit}"), &text);
    h1.run(&format!("systemctl daemon-reload && systemctl enable --quiet --now {unit}"));
    wait_for("the old unit's answer", || (h1.asks(port, "/") == "old").then_some(()));
}
