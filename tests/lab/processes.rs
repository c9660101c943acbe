//! A process gets what is declared, to the byte, and no more than it may have.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use serde_yaml::{Mapping, Value};

use crate::{
    fleet::Fleet,
    world::{World, assert_is},
};

/// What has a meaning to a shell, to systemd, to YAML or to nobody.
const ODD: [&str; 14] = [
    "plain",
    "",
    "two words  and  spaces ",
    " 'single' \"double\" ",
    "$HOME ${HOME} $$ $(id)",
    "`id` ; | & > < * ? ~ #",
    "100% %n %h %%",
    "back\\slash \\n \\\" \\$ \\",
    "line\nbreak\n",
    "tab\there",
    "Grüße ☃ 漢字 🚀",
    "a=b=c",
    "#not a comment",
    "{[]}!^",
];

pub fn a_process_sees_exactly_the_environment_that_is_declared(world: &World) {
    let fleet = Fleet::new(world, "environ");
    let (host, port) = (world.host("h1"), fleet.port(0));
    let declared: Vec<(String, &str)> =
        ODD.iter().enumerate().map(|(number, value)| (format!("ODD_{number}"), *value)).collect();
    let env: Mapping = declared.iter().map(|(key, value)| (key.as_str().into(), literal(value).into())).collect();
    fleet.service("alpha", port, &["h1"], &yaml("env", env.into()));
    fleet.deploy().ends_with(0);

    let environment = host.of_process(&fleet.unit("alpha", port), "environ");
    let value = |key: &str| {
        let with_key = |variable: &&Vec<u8>| variable.starts_with(format!("{key}=").as_bytes());
        let found = environment.iter().find(with_key).unwrap_or_else(|| panic!("{key} is not in the environment"));
        String::from_utf8(found[key.len() + 1..].to_vec()).expect("it is UTF-8")
    };
    for (key, declared) in declared {
        assert_is(&key, value(&key), declared);
    }
    let given = [
        ("INSTANCE_NAME", "h1".to_owned()),
        ("INSTANCE_IP", host.address.clone()),
        ("SERVICE_NAME", "alpha".to_owned()),
        ("SERVICE_PORT", port.to_string()),
    ];
    given.iter().for_each(|(key, expected)| assert_is(key, value(key), expected.clone()));
    let directory = host.run(&format!("readlink /proc/{}/cwd", host.unit(&fleet.unit("alpha", port), "MainPID")));
    assert_is("where it runs", directory, format!("/var/lib/evenkeel/environ/releases/{}", value("EVENKEEL_RELEASE")));
}

pub fn a_process_gets_exactly_the_arguments_that_are_declared(world: &World) {
    let fleet = Fleet::new(world, "argv");
    let (host, port) = (world.host("h1"), fleet.port(0));
    let mut words = vec!["/usr/bin/python3", "server.py", ";", "-", "--", "@x", ":y", "!z", "+w"];
    words.extend(ODD);
    let command: String =
        words.iter().map(|word| shlex::try_quote(word).expect("no NUL is in it")).collect::<Vec<_>>().join(" ");
    fleet.service(
        "alpha",
        port,
        &["h1"],
        &yaml("run", Value::Mapping([("exec".into(), literal(&command).into())].into_iter().collect())),
    );
    fleet.deploy().ends_with(0);

    let arguments = host.of_process(&fleet.unit("alpha", port), "cmdline");
    let arguments: Vec<String> =
        arguments.into_iter().map(|word| String::from_utf8(word).expect("it is UTF-8")).collect();
    assert_is("the command line", arguments, words);
}

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

/// Text in which evenkeel finds no references.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// A key with its value as YAML.
fn yaml(key: &str, value: Value) -> String {
    serde_yaml::to_string(&Mapping::from_iter([(key.into(), value)])).expect("it can be written")
}
