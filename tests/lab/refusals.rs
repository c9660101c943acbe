//! What is in the way is refused and named before anything is touched.

use crate::{
    faults::overridden,
    fleet::Fleet,
    world::{World, assert_is, assert_same, wait_for},
};

/// The one finding of the plan. Planning and applying exit with 4 and leave no trace anywhere.
#[track_caller]
fn refused(fleet: &Fleet<'_>, code: &str) -> String {
    // Something innocent beside it, which is not done either.
    fleet.service("innocent", fleet.port(9), &["h4"], "");
    fleet.commit();
    let before = fleet.world.traces();
    let plan = fleet.plan();
    assert_is("plan's exit code", plan.code, 4);
    let findings = plan.findings(code);
    assert_is("the number of findings", findings.len(), 1);
    fleet.apply().ends_with(4);
    assert_same(&before, &fleet.world.traces());
    assert!(fleet.history().is_empty(), "a refusal before the start is no deployment");
    findings[0].clone()
}

#[track_caller]
fn assert_names(finding: &str, names: &[&str]) {
    for name in names {
        assert!(finding.contains(name), "`{finding}` does not name {name}");
    }
}

pub fn a_port_that_another_program_holds(world: &World) {
    let fleet = Fleet::new(world, "taken");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let _squatter = h1.until_dropped(
        &format!("systemd-run --quiet --collect --unit=squatter.service python3 -m http.server {port}"),
        "systemctl stop squatter.service",
    );
    h1.asks(port, "/");
    fleet.service("alpha", port, &["h1"], "");
    let process = h1.unit("squatter.service", "MainPID");
    let finding = refused(&fleet, "port-taken");
    assert_names(&finding, &["h1", &port.to_string(), "python3", &process, "squatter.service", "alpha"]);
}

pub fn a_hint_stops_the_program_that_is_in_the_way_and_nothing_else(world: &World) {
    let fleet = Fleet::new(world, "hints");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let hint = |wrapper: &str| {
        fleet.service("alpha", port, &["h1"], &format!("description: instead of {}", wrapper.len()));
        let _squatter = h1.until_dropped(
            &format!("systemd-run --quiet --collect --unit=squatter.service {wrapper}"),
            "systemctl stop squatter.service",
        );
        h1.asks(port, "/");
        let finding = refused(&fleet, "port-taken");
        assert_names(&finding, &[&format!("-m http.server {port}`")]);
        fleet.plan().json["findings"].to_string()
    };
    let alone = hint(&format!("python3 -m http.server {port}"));
    assert_names(&alone, &["replaces: [squatter.service]", "systemctl disable --now squatter.service"]);
    let lived_in = hint(&format!("sh -c 'sleep 1000 & python3 -m http.server {port}; true'"));
    assert!(!lived_in.contains("replaces") && !lived_in.contains("systemctl"), "{lived_in}");
    assert_names(&lived_in, &["sudo kill "]);
}

pub fn a_site_where_nginx_is_not_installed(world: &World) {
    let fleet = Fleet::new(world, "nonginx");
    fleet.write("frontend/index.html", "hello");
    fleet.site("nonginx", &["h5"], "frontend: {source: {path: frontend}}");
    let _hidden = world
        .host("h5")
        .until_dropped("mv /usr/sbin/nginx /usr/sbin/nginx.hidden", "mv /usr/sbin/nginx.hidden /usr/sbin/nginx");
    assert_names(&refused(&fleet, "no-nginx"), &["h5", "nginx", "nonginx"]);
}

pub fn a_user_that_does_not_exist(world: &World) {
    let fleet = Fleet::new(world, "nouser");
    fleet.service("alpha", fleet.port(0), &["h2"], "run: {exec: /usr/bin/python3 server.py, user: nobody-here}");
    assert_names(&refused(&fleet, "no-user"), &["h2", "nobody-here", "alpha"]);
}

pub fn a_program_that_the_host_does_not_have(world: &World) {
    let fleet = Fleet::new(world, "words_noprogram");
    let (h2, port) = (world.host("h2"), fleet.port(0));
    fleet.service("alpha", port, &["h2"], "run: {exec: /opt/words/serve.py}");
    let _program = h2.until_dropped("true", "rm -rf /opt/words");
    assert_names(&refused(&fleet, "no-program"), &["h2", "/opt/words/serve.py", "alpha"]);
    // One that nobody may execute is none.
    h2.write("/opt/words/serve.py", "#!/usr/bin/python3\nexec(open('server.py').read())\n");
    assert_names(&refused(&fleet, "no-program"), &["h2", "/opt/words/serve.py", "no executable file"]);
    h2.run("chmod 755 /opt/words/serve.py");
    assert_is("the findings of a plan with the program", fleet.plan().findings("no-program").len(), 0);
    fleet.service("alpha", port, &["h2"], "run: {exec: /usr/bin/env words-nowhere}");
    assert_names(&refused(&fleet, "no-program"), &["words-nowhere", "alpha"]);
    fleet.service("alpha", port, &["h2"], "run: {exec: /usr/bin/env python3 server.py}");
    fleet.deploy().ends_with(0);
}

pub fn an_env_file_that_does_not_exist(world: &World) {
    let fleet = Fleet::new(world, "noenv");
    fleet.service("alpha", fleet.port(0), &["h2"], "env_file: /etc/labtest/not-there.env");
    assert_names(&refused(&fleet, "no-env-file"), &["h2", "/etc/labtest/not-there.env", "alpha"]);
}

pub fn another_services_secret_and_the_hosts_own_units(world: &World) {
    let fleet = Fleet::new(world, "greedy");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    h1.write("/etc/other.env", "SECRET=hush\n");
    fleet.service("innocent", fleet.port(9), &["h4"], "");
    for (asked, code) in [
        ("env_file: /etc/other.env", "not-granted"),
        ("run: {exec: /usr/bin/python3 server.py, user: nobody}\nenv_file: /etc/other.env", "not-granted"),
        ("run: {exec: /usr/bin/python3 server.py, user: nobody}", "not-granted"),
        ("replaces: [ssh.service, systemd-journald.service]", "kept-unit"),
    ] {
        fleet.service("alpha", port, &["h1"], asked);
        fleet.commit();
        let before = world.traces();
        let refused = fleet.apply().ends_with(4);
        assert_names(&refused.errors, &[code, "services/alpha.yaml"]);
        assert_same(&before, &world.traces());
        assert!(fleet.history().is_empty(), "a refusal before the start is no deployment");
    }
    assert_is("the way in", h1.unit("ssh.service", "ActiveState"), "active");
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);
    assert_is("who answers", h1.asks(port, "/"), "alpha h1 / None");
}

pub fn what_a_branch_grants_itself(world: &World) {
    let fleet = Fleet::shared(world, "selfgrant");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    h1.write("/etc/other.env", "SECRET=hush\n");
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);
    let before = fleet.invocations();

    fleet.git(&["checkout", "--quiet", "-b", "work"]);
    let own = std::fs::read_to_string(fleet.path().join("fleet.yaml")).expect("it can be read");
    fleet.write("fleet.yaml", &own.replace("env_files: [", "env_files: [/etc/other.env, "));
    fleet.service("alpha", port, &["h1"], "env_file: /etc/other.env");
    fleet.run("validate", &[]).ends_with(0);
    fleet.git(&["commit", "--quiet", "--all", "--message", "A grant of its own"]);
    fleet.git(&["push", "--quiet", "origin", "work"]);
    let refused = fleet.apply().ends_with(4);
    assert_names(&refused.errors, &["not-granted", "services/alpha.yaml"]);
    assert_is("what runs", fleet.invocations(), before);
}

pub fn an_alias_of_what_keeps_the_host_reachable(world: &World) {
    let fleet = Fleet::new(world, "alias");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let link = "/etc/systemd/system/old-alias.service";
    let alias =
        format!("ln -s $(systemctl show --value -p FragmentPath ssh.service) {link} && systemctl daemon-reload");
    let gone = format!("rm -f {link} && systemctl daemon-reload");
    let _alias = h1.until_dropped(&alias, &gone);
    assert_is("the alias", h1.unit("old-alias.service", "Id"), "ssh.service");
    let before = h1.unit("ssh.service", "InvocationID");
    fleet.service("alpha", port, &["h1"], "replaces: [old-alias.service]");
    fleet.deploy().ends_with(3);
    let failure = fleet.newest("/failure").to_string();
    assert_names(&failure, &["old-alias.service", "ssh.service"]);
    assert_is("the way in", h1.unit("ssh.service", "InvocationID"), before);
    fleet.service("alpha", port, &["h1"], "");
    fleet.deploy().ends_with(0);
}

pub fn an_alias_of_the_unit_that_evenkeel_comes_in_by(world: &World) {
    let mut fleet = Fleet::new(world, "door");
    let (h1, port, door) = (world.host("h1"), fleet.port(0), fleet.port(1));
    let (unit, link) = ("/etc/systemd/system/door.service", "/etc/systemd/system/old-door.service");
    h1.write(unit, &format!("[Service]\nExecStart=/usr/sbin/sshd -D -p {door}\n"));
    let opened = format!("ln -s {unit} {link} && systemctl daemon-reload && systemctl start door.service");
    let _door = h1.until_dropped(
        &opened,
        "systemctl stop door.service; rm -f /etc/systemd/system/*door.service; systemctl daemon-reload",
    );
    overridden(&mut fleet, "h1", |instance| instance["ssh"]["port"] = door.into());
    let before = h1.unit("door.service", "InvocationID");
    // Planned, it is known under its own name alone.
    fleet.service("alpha", port, &["h1"], "replaces: [door.service]");
    let refused = fleet.deploy().ends_with(4);
    assert_names(&(refused.said + &refused.errors), &["door.service", "evenkeel comes in"]);
    fleet.service("alpha", port, &["h1"], "replaces: [old-door.service]");
    fleet.deploy().ends_with(3);
    assert_names(&fleet.newest("/failure").to_string(), &["old-door.service is door.service"]);
    assert_is("the way in", h1.unit("door.service", "InvocationID"), before);
}

pub fn a_file_of_somebody_else_in_the_way(world: &World) {
    let fleet = Fleet::new(world, "foreign");
    let unit = fleet.unit("alpha", fleet.port(0));
    let path = format!("/etc/systemd/system/{unit}");
    world.host("h3").write(&path, "[Service]\nExecStart=/bin/sleep infinity\n");
    fleet.service("alpha", fleet.port(0), &["h3"], "");
    assert_names(&refused(&fleet, "foreign-file"), &["h3", &path]);
    world.host("h3").run(&format!("rm '{path}'"));
}

pub fn a_second_apply_while_one_runs_on_the_host(world: &World) {
    let fleet = Fleet::new(world, "second");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "");
    fleet.deploy().ends_with(0);
    let before = world.contents();
    let first = world.host("h1").until_dropped(
        "systemd-run --quiet --collect --unit=evenkeel-second.service sleep 300",
        "systemctl stop evenkeel-second.service",
    );
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], "env: {GREETING: ahoy}");
    fleet.deploy().ends_with(4);
    // The unit that stands for the first one is no difference.
    let without = |mut seen: crate::world::Seen| {
        seen.values_mut().for_each(|lines| lines.retain(|line| !line.contains("evenkeel-second.service")));
        seen
    };
    assert_same(&before, &without(world.contents()));
    assert_is("alpha's answer", world.host("h2").asks(fleet.port(0), "/"), "alpha h2 / None");

    drop(first);
    wait_for("the end of the first", || {
        (world.host("h1").unit("evenkeel-second.service", "ActiveState") == "inactive").then_some(())
    });
    fleet.apply().ends_with(0);
    assert_is("alpha's answer", world.host("h1").asks(fleet.port(0), "/"), "alpha h1 / ahoy");
}
