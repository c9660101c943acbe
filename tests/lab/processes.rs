//! A process gets its release and its state, and no more than it may have.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use crate::{
    fleet::Fleet,
    world::{World, assert_is},
};

pub fn a_release_arrives_as_it_is_in_git(world: &World) {
    let fleet = Fleet::new(world, "arrives");
    let (host, unit) = (world.host("h1"), fleet.unit("alpha", fleet.port(0)));
    let names =
        ["with space", "it's \"quoted\"", "back\\slash", "ünïcode", "-dash", "deep/er/file", ".hidden", "empty"];
    for name in names {
        fleet.write(&format!("program/{name}"), if name == "empty" { "" } else { name });
    }
    fleet.write("program/start", "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n");
    let program = fleet.path().join("program");
    fs::set_permissions(program.join("start"), Permissions::from_mode(0o755)).expect("it is there");
    symlink("deep/er", program.join("link")).expect("it can be made");
    // By root, who could otherwise write through the links that releases share.
    fleet.service("alpha", fleet.port(0), &["h1"], "run: {exec: ./start server.py, user: root}");
    fleet.deploy().ends_with(0);

    let process = host.unit(&unit, "MainPID");
    let release = host.run(&format!("readlink /proc/{process}/cwd"));
    let listed = host.run(&format!(r"cd {release} && find . -mindepth 1 -printf '%m %U:%G %p %l\n' | sort"));
    let mut expected: Vec<String> = names.iter().map(|name| format!("444 0:0 ./{name} ")).collect();
    expected.extend(
        ["444 0:0 ./server.py ", "555 0:0 ./start ", "755 0:0 ./deep ", "755 0:0 ./deep/er ", "777 0:0 ./link deep/er"]
            .map(str::to_owned),
    );
    expected.sort();
    assert_is("the release", listed.lines().map(str::to_owned).collect::<Vec<_>>(), expected);
    for name in names.iter().filter(|name| **name != "empty") {
        let content = host.run(&format!("cat {release}/{}", shlex::try_quote(name).expect("no NUL is in it")));
        assert_is(name, content.as_str(), *name);
    }
    let write = format!("nsenter --target {process} --mount touch {release}/more");
    assert!(!host.succeeds(&write), "a service of root may write to its release");
}

pub fn limits_are_in_force(world: &World) {
    let fleet = Fleet::new(world, "limits");
    let (host, unit) = (world.host("h1"), fleet.unit("alpha", fleet.port(0)));
    fleet.service("alpha", fleet.port(0), &["h1"], "resources: {memory: 64M, cpu: 50%}");
    fleet.deploy().ends_with(0);
    assert_is("MemoryMax", host.unit(&unit, "MemoryMax"), (64 << 20).to_string());
    assert_is("CPUQuotaPerSecUSec", host.unit(&unit, "CPUQuotaPerSecUSec"), "500ms");

    let before = fleet.invocations();
    fleet.service("alpha", fleet.port(0), &["h1"], "resources: {memory: 128M, cpu: 150%}");
    fleet.deploy().ends_with(0);
    assert_is("MemoryMax", host.unit(&unit, "MemoryMax"), (128 << 20).to_string());
    assert_is("CPUQuotaPerSecUSec", host.unit(&unit, "CPUQuotaPerSecUSec"), "1.500000s");
    assert!(fleet.invocations() != before, "a changed unit is a restart");
}

pub fn state_survives_a_new_release(world: &World) {
    let fleet = Fleet::new(world, "state");
    let (host, directory) = (world.host("h1"), "/var/lib/state/alpha/data");
    let run = "run: {exec: /usr/bin/python3 server.py, user: ubuntu, state: [data]}";
    fleet.service("alpha", fleet.port(0), &["h1"], run);
    fleet.deploy().ends_with(0);
    assert_is("its owner", host.run(&format!("stat -c %U {directory}")).as_str(), "ubuntu");
    let unit = fleet.unit("alpha", fleet.port(0));
    let release = || host.run(&format!("readlink /proc/{}/cwd", host.unit(&unit, "MainPID")));
    let first = release();
    host.run(&format!("echo kept >{directory}/file && chown ubuntu: {directory}/file"));
    assert!(!host.succeeds(&format!("runuser -u ubuntu -- touch {first}/file")), "a service may write to its release");

    fleet.write("program/more.py", "print('more')\n");
    fleet.deploy().ends_with(0);
    assert!(release() != first, "it still runs the old release");
    assert_is("what it kept", host.run(&format!("cat {directory}/file")).as_str(), "kept");
    assert_is("its owner", host.run(&format!("stat -c %U {directory}/file")).as_str(), "ubuntu");
}

pub fn a_process_that_changes_its_directory_goes_on(world: &World) {
    let fleet = Fleet::new(world, "wanders");
    let host = world.host("h1");
    fleet.write("program/below/empty", "");
    let below = "cd below && exec /usr/bin/python3 ../server.py";
    let away = "program=$PWD/server.py; cd / && exec /usr/bin/python3 $program";
    for (number, name, command) in [(0, "alpha", below), (1, "beta", away)] {
        let run = format!("run: {{exec: \"/bin/sh -c '{command}'\"}}");
        fleet.service(name, fleet.port(number), &["h1"], &run);
    }
    fleet.deploy().ends_with(0);
    let directory = |name, number| {
        let process = host.unit(&fleet.unit(name, fleet.port(number)), "MainPID");
        host.run(&format!("readlink /proc/{process}/cwd"))
    };
    assert!(directory("alpha", 0).ends_with("/below"), "alpha works in {}", directory("alpha", 0));
    assert_is("where beta works", directory("beta", 1).as_str(), "/");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}
