//! Odd values on real hosts: what systemd, nginx and a shell make of them is what was declared, to the
//! byte. What could not arrive is refused by name before.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use serde_yaml::{Mapping, Value};

use crate::{
    fleet::Fleet,
    world::{EVENKEEL, World, assert_is},
};

/// What has a meaning to a shell, to systemd, to nginx, to YAML or to nobody.
const CLASSIC: [&str; 28] = [
    "plain",
    "",
    " ",
    "\n",
    "two words  and  spaces ",
    " 'single' \"double\" ",
    "it's",
    "$HOME ${HOME} $$ $(id)",
    "${HOME",
    "`id` ; | & > < * ? ~ #",
    ";",
    "100% %n %h %%",
    "back\\slash \\n \\\" \\$ \\",
    "\\x41\\101\\u0041",
    "line\nbreak\n",
    "joined \\\nline",
    "x\"\n[Service]\nUser=root\nExecStartPre=/bin/touch /tmp/broken-out\n",
    "'\nBROKEN_OUT=yes\nX='",
    "tab\there",
    "Grüße ☃ 漢字 🚀 e\u{301}",
    "\u{feff}\u{a0}\u{2028}\u{ad}\u{200b}",
    "a=b=c",
    "#not a comment",
    "; not one either",
    "{[]}!^",
    "; } server { listen 81; ",
    "$host$uri",
    "- : * & ! | > @ , ? null ~",
];

const FRAGMENTS: [&str; 40] = [
    "\"", "'", "\\", "$", "${", "{", "}", "`", "%", "%%", "%i", "\n", "\t", " ", ";", "#", "=", "@", "-", ":", "+",
    "!", "~", "*", "?", "[", "]", "(", ")", "<", "|", "&", "^", "\\n", "\\\n", "$$", "a", "0", "é", "🚀",
];

const SEED: u64 = 20_260_721;

/// The classic ones, and forty that a seed makes.
fn values() -> Vec<String> {
    println!("  odd values of seed {SEED}");
    let mut state = SEED;
    // SplitMix64, by Sebastiano Vigna.
    let mut next = move |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    };
    let mut made = || (0..=next(7)).map(|_| FRAGMENTS[next(FRAGMENTS.len())]).collect();
    let made: Vec<String> = (0..40).map(|_| made()).collect();
    CLASSIC.iter().map(|value| (*value).to_owned()).chain(made).collect()
}

pub fn a_process_sees_exactly_the_environment_that_is_declared(world: &World) {
    let fleet = Fleet::new(world, "environ");
    let port = fleet.port(0);
    let declared: BTreeMap<String, String> =
        values().into_iter().enumerate().map(|(number, value)| (format!("ODD_{number}"), value)).collect();
    let env: Mapping = declared.iter().map(|(key, value)| (key.as_str().into(), literal(value).into())).collect();
    fleet.service("alpha", port, &["h1", "h2"], &yaml("env", env.into()));
    fleet.deploy().ends_with(0);

    for host in ["h1", "h2"].map(|name| world.host(name)) {
        let environment = host.of_process(&fleet.unit("alpha", port), "environ");
        let value = |key: &str| {
            let with_key = |variable: &&Vec<u8>| variable.starts_with(format!("{key}=").as_bytes());
            let found = environment.iter().find(with_key).unwrap_or_else(|| panic!("{key} is not in the environment"));
            String::from_utf8(found[key.len() + 1..].to_vec()).expect("it is UTF-8")
        };
        for (key, declared) in &declared {
            assert_is(key, value(key), declared.clone());
        }
        let given = [
            ("INSTANCE_NAME", host.name.clone()),
            ("INSTANCE_IP", host.address.clone()),
            ("SERVICE_NAME", "alpha".to_owned()),
            ("SERVICE_PORT", port.to_string()),
        ];
        given.iter().for_each(|(key, expected)| assert_is(key, value(key), expected.clone()));
        let odd = environment.iter().filter(|variable| variable.starts_with(b"ODD_")).count();
        assert_is("the number of odd variables", odd, declared.len());
        let broken_out = environment.iter().any(|variable| variable.starts_with(b"BROKEN_OUT"));
        assert!(!broken_out && !host.exists("/tmp/broken-out"), "a value is more than a value on {}", host.name);
        let process = host.unit(&fleet.unit("alpha", port), "MainPID");
        let directory = host.run(&format!("readlink /proc/{process}/cwd"));
        let release = format!("/var/lib/evenkeel/environ/releases/{}", value("EVENKEEL_RELEASE"));
        assert_is("where it runs", directory, release);
    }
}

pub fn a_process_gets_exactly_the_arguments_that_are_declared(world: &World) {
    let fleet = Fleet::new(world, "argv");
    let (host, port) = (world.host("h1"), fleet.port(0));
    let mut words: Vec<String> =
        ["/usr/bin/python3", "server.py", ";", "-", "--", "@x", ":y", "!z", "+w"].map(str::to_owned).to_vec();
    words.extend(values());
    let run = Mapping::from_iter([("exec".into(), command(&words).into())]);
    fleet.service("alpha", port, &["h1"], &yaml("run", run.into()));
    fleet.deploy().ends_with(0);

    let arguments = host.of_process(&fleet.unit("alpha", port), "cmdline");
    let arguments: Vec<String> =
        arguments.into_iter().map(|word| String::from_utf8(word).expect("it is UTF-8")).collect();
    assert_is("the command line", arguments, words);
}

pub fn a_health_command_gets_exactly_the_arguments_that_are_declared(world: &World) {
    let fleet = Fleet::new(world, "checked");
    let (host, port) = (world.host("h1"), fleet.port(0));
    fleet.write(
        "program/check",
        "#!/usr/bin/python3\nimport os, sys\nopen('/tmp/checked', 'wb').write(b''.join(os.fsencode(a) + b'\\0' for a in sys.argv[1:]))\n",
    );
    let check = fleet.path().join("program/check");
    fs::set_permissions(check, Permissions::from_mode(0o755)).expect("it is there");
    let mut words = vec!["./check".to_owned()];
    words.extend(values());
    let health = Mapping::from_iter([("exec".into(), command(&words).into()), ("settle".into(), "0s".into())]);
    fleet.service("alpha", port, &["h1"], &yaml("health", health.into()));
    fleet.deploy().ends_with(0);

    // In the `/tmp` that it shares with its service.
    let process = host.unit(&fleet.unit("alpha", port), "MainPID");
    let written = host.output(&format!("cat /proc/{process}/root/tmp/checked"), b"").stdout;
    let arguments = String::from_utf8(written).expect("it is UTF-8");
    let arguments: Vec<&str> = arguments.split_terminator('\0').collect();
    assert_is("what the check was called with", arguments, &words[1..]);
}

pub fn systemd_shows_exactly_the_description_that_is_declared(world: &World) {
    let fleet = Fleet::new(world, "described");
    let description = format!("{}.", values().join(" "));
    fleet.service("alpha", fleet.port(0), &["h1"], &yaml("description", description.as_str().into()));
    fleet.deploy().ends_with(0);
    let shown = world.host("h1").unit(&fleet.unit("alpha", fleet.port(0)), "Description");
    assert_is("the description", shown, description.split_whitespace().collect::<Vec<_>>().join(" "));
}

pub fn routes_lead_where_they_say_and_nowhere_else(world: &World) {
    let fleet = Fleet::new(world, "routes");
    let h1 = world.host("h1");
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    fleet.service("beta", fleet.port(1), &["h1"], "");
    let paths = [
        "/a.b/",
        "/a.b",
        "/a-b/",
        "/a_b/",
        "/a~b/",
        "/~user/",
        "/~",
        "/-/",
        "/.well-known/x/",
        "/..a/",
        "/A/",
        "/a/",
        "/a/b.c_d~e-f/g/",
        "/a/b.c_d~e-f/g",
    ];
    let services = ["alpha", "beta"];
    let leads: Vec<(&str, &str)> = paths.into_iter().zip(services.into_iter().cycle()).collect();
    let route = |(path, service): &(&str, &str)| format!("{path}: {{service: {service}, keep_prefix: true}}");
    let routes = leads.iter().map(route).collect::<Vec<_>>().join(", ");
    fleet.site("routes", &["h1"], &format!("routes: {{{routes}}}"));
    fleet.deploy().ends_with(0);
    h1.run("nginx -t");

    let answered = |path: &str, answer: &str| {
        assert_is(path, h1.browse("routes.test", path), (200, answer.to_owned()));
    };
    for (path, service) in leads {
        let asked = if path.ends_with('/') { format!("{path}x?y=/a.b/") } else { path.to_owned() };
        answered(&asked, &format!("{service} h1 {asked} None"));
    }
    // Written otherwise, the same path.
    answered("/%7Euser/x", "beta h1 /%7Euser/x None");
    for path in ["/aXb/x", "/aXb", "/a.bb", "/A.b/x", "/~userx", "/-", "/well-known/x/"] {
        let answer = h1.browse("routes.test", path).1;
        assert!(!answer.starts_with("alpha") && !answer.starts_with("beta"), "{path} leads to {answer}");
    }
}

pub fn domains_are_answered_by_their_site_and_no_other(world: &World) {
    let fleet = Fleet::new(world, "domains");
    let h1 = world.host("h1");
    // The last two are longer than what nginx keeps as it is.
    let domains = [
        "1.2".to_owned(),
        "a-b.c--d.test".to_owned(),
        "xn--bcher-kva.test".to_owned(),
        format!("{}.test", "n".repeat(41)),
        format!("{}.test", "n".repeat(42)),
        format!("a.{0}.{0}.test", "long-label".repeat(6)),
    ];
    for (number, domain) in (0..).zip(&domains) {
        let service = format!("s{number}");
        fleet.service(&service, fleet.port(number), &["h1"], "");
        fleet.site(&service, &["h1"], &format!("domain: '{domain}'\nroutes: {{/: {{service: {service}}}}}"));
    }
    fleet.deploy().ends_with(0);
    h1.run("nginx -t");
    for (number, domain) in domains.iter().enumerate() {
        assert_is(domain, h1.browse(domain, "/x"), (200, format!("s{number} h1 /x None")));
        for other in [domain.replacen('.', "x", 1), format!("x{domain}"), format!("{domain}x")] {
            let answer = h1.browse(&other, "/x").1;
            assert!(!answer.starts_with('s'), "{other} is answered by {answer}");
        }
    }
}

pub fn what_cannot_arrive_is_refused_by_name(world: &World) {
    let fleet = Fleet::new(world, "unfit");
    fleet.site("app", &["h1"], "routes: {/: {service: alpha}}");
    let alpha = |extra: &str| {
        let run = if extra.starts_with("run:") { "" } else { "run: {exec: /bin/sleep 1}\n" };
        let port = fleet.port(0);
        // Not through a writer of YAML, which could make something else of it.
        let declared = format!("source: {{path: program}}\nplace: {{on: [h1]}}\nport: {port}\n{run}{extra}\n");
        fleet.write("services/alpha.yaml", &declared);
    };
    let validated = || {
        let mut validate = Command::new(EVENKEEL);
        let validate = validate.arg("validate").current_dir(fleet.path().join("..")).env("NO_COLOR", "1");
        let output = validate.output().expect("evenkeel runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    alpha("");
    assert_is("validate's exit code", validated().0, Some(0));

    let refused = |line: &str, file: &str, name: &str| {
        let (code, said) = validated();
        assert!(code == Some(4), "{line} is not refused: exit {code:?}\n{said}");
        assert!(said.contains(file) && said.contains(name), "{line} is refused without its name:\n{said}");
    };
    for (line, name) in [
        (r#"env: {ODD: "a\0b"}"#, "`ODD`"),
        (r#"env: {ODD: "a\e[1mb"}"#, "`ODD`"),
        (r#"env: {ODD: "a\rb"}"#, "`ODD`"),
        (r#"env: {ODD: "a\x7Fb"}"#, "`ODD`"),
        (r#"env: {ODD: "a\uFFFEb"}"#, "`ODD`"),
        (r#"env: {"O\nDD": x}"#, "the name of a variable"),
        (r#"run: {exec: "/bin/sleep 'a\0b'"}"#, "command"),
        (r#"run: {exec: "/bin/sleep '\e[1m'"}"#, "command"),
        (r#"run: {exec: "/bin/sleep '\uFFFE'"}"#, "command"),
        (r#"run: {exec: "/bin/it\\'s"}"#, "`/bin/it's`"),
        (r#"run: {exec: /bin/}"#, "`/bin/`"),
        (r#"run: {exec: ./../program/server.py}"#, "`./../program/server.py`"),
        (r#"run: {exec: /bin/sleep 1, user: "root\n"}"#, "user"),
        (r#"run: {exec: /bin/sleep 1, state: [../x]}"#, "`../x`"),
        (r#"description: "ends with a \\""#, "description"),
        (r#"env_file: /etc/%n"#, "`/etc/%n`"),
        (r#"env_file: "/etc/*""#, "`/etc/*`"),
        (r#"replaces: [a@.service]"#, "`a@.service`"),
        (r#"resources: {memory: 99999999999999999999T}"#, "`99999999999999999999T`"),
        (r#"health: {http: "/a b"}"#, "`/a b`"),
        (r#"health: {http: "/a\"b"}"#, "`/a\"b`"),
        (r##"health: {http: "/a#b"}"##, "`/a#b`"),
        (r#"health: {exec: "/bin/$x"}"#, "`/bin/$x`"),
    ] {
        alpha(line);
        refused(line, "services/alpha.yaml", name);
    }
    alpha("");
    for (line, name) in [
        ("domain: '*.test'", "`*.test`"),
        ("domain: ~x", "`~x`"),
        ("domain: a;b", "`a;b`"),
        ("routes: {'/a b/': {service: alpha}}", "`/a b/`"),
        ("routes: {'/a;b': {service: alpha}}", "`/a;b`"),
        ("routes: {/a//b: {service: alpha}}", "`/a//b`"),
        ("routes: {/a/../b/: {service: alpha}}", "`/a/../b/`"),
        ("routes: {/$x: {service: alpha}}", "`/$x`"),
    ] {
        fleet.site("app", &["h1"], line);
        refused(line, "sites/app.yaml", name);
    }
    fleet.site("app", &["h1"], "routes: {/: {service: alpha}}");
    fleet.instance(world.host("h5"), "packages: [nginx-]\n");
    refused("packages: [nginx-]", "instances/h5.yaml", "`nginx-`");
}

pub fn a_package_that_is_like_another_is_not_that_one(world: &World) {
    let fleet = Fleet::new(world, "pattern");
    let h5 = world.host("h5");
    let installed = || h5.run("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'");
    let before = installed();
    // apt would take it for a pattern, which bash fits.
    fleet.instance(h5, "packages: [bas.h]\n");
    fleet.deploy().ends_with(3);
    assert_is("what is installed", installed(), before);
}

/// Text in which evenkeel finds no references.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// A command of exactly these words.
fn command(words: &[String]) -> String {
    let quoted = words.iter().map(|word| shlex::try_quote(word).expect("no NUL is in it"));
    literal(&quoted.collect::<Vec<_>>().join(" "))
}

/// A key with its value as YAML.
fn yaml(key: &str, value: Value) -> String {
    serde_yaml::to_string(&Mapping::from_iter([(key.into(), value)])).expect("it can be written")
}
