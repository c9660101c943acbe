//! Every finding that there is, as people see it.

use std::fmt::Write as _;

use evenkeel::{model::finding::Code, report::findings};

use crate::{A, GOOD, H1, H2, H3, SHA256, a, read, through};

/// Service A with its files in another repository.
fn git_and(more: &str) -> String {
    a("path: code", &format!("git: \"https://example.org/a.git\", {more}"))
}

const ARCHIVE: &str = "\"https://example.org/a.tar.gz\"";
/// Service A, of which something is built.
fn built(build: &str) -> String {
    a("path: code", &format!("path: code, build: {{{build}}}"))
}

/// An environment, and who may give commands there.
fn commands(rules: &str) -> String {
    format!("branch: main\ncommands: {{{rules}}}\n")
}

/// Service A and more keys.
fn a_and(more: &str) -> String {
    format!("{A}{more}\n")
}

/// Service A as one of two copies, with more keys about that.
fn two(more: &str) -> String {
    a_and(&format!("health: {{http: /}}\nrollout: {{strategy: blue-green, {more}}}"))
}

/// Every code of a fleet, by the least that brings it about, as people see it.
#[test]
fn every_code_as_people_see_it() {
    let big = format!("name: sophia\n{}", "#".repeat(1 << 20));
    let bomb = format!(
        "x-a: &a [{}]\nx-b: &b [{}]\nx-c: [{}]\n{A}",
        ["1"; 99].join(","),
        ["*a"; 99].join(","),
        ["*b"; 99].join(",")
    );
    let b = |more: &str| format!("{A}{more}\n").replace("8100", "8101");
    let site = "domain: example.org\non: [h1]\nfrontend: {source: {path: web}}\nroutes:\n  /api/: {service: a}\n";
    let cases: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("file-too-large", vec![("fleet.yaml", big)]),
        ("yaml-syntax", vec![("services/a.yaml", "source: {path: code\nport: 1\n".into())]),
        ("yaml-syntax", vec![("services/a.yaml", a_and("env: {A: ${service.a.url}}"))]),
        ("yaml-unsupported", vec![("services/a.yaml", a("8100", "!!int 8100"))]),
        ("yaml-aliases", vec![("services/a.yaml", bomb)]),
        ("duplicate-key", vec![("services/a.yaml", a_and("port: 8101"))]),
        ("unknown-key", vec![("services/a.yaml", a_and("helth: {http: /}\nx-free: 1"))]),
        ("unknown-key", vec![("services/a.yaml", a_and("health: {http: /, grace: 5s}"))]),
        ("unknown-key", vec![("environments/production.yaml", commands("hodl: write"))]),
        ("invalid-value", vec![("environments/production.yaml", commands("hold: owner"))]),
        ("invalid-value", vec![("environments/production.yaml", commands("hold: none"))]),
        ("invalid-value", vec![("environments/production.yaml", commands("hold: {team: ops}"))]),
        ("unknown-key", vec![("environments/production.yaml", commands("hold: {tem: acme/ops}"))]),
        ("invalid-value", vec![("environments/production.yaml", commands("hold: {team: acme/ops, person: ada}"))]),
        ("invalid-value", vec![("environments/production.yaml", commands("hold: [write, {person: a b}]"))]),
        ("invalid-value", vec![("environments/production.yaml", commands("hold: []"))]),
        ("duplicate-key", vec![("services/a.yaml", a_and("port: 8101\nhelth: {http: /}\nenv_file: a"))]),
        ("unknown-key", vec![("services/a.yaml", a("{on: [h1]}", "{on: [h9], of: 1}"))]),
        ("missing-user", vec![("fleet.yaml", "name: sophia\n".into()), ("services/a.yaml", a("exec", "usr: x, exec"))]),
        (
            "not-checked",
            vec![
                ("fleet.yaml", "name: sophia\nnme: sophia\n".into()),
                ("instances/h1.yaml", H1.replace("8100", "x")),
                ("services/a.yaml", a_and("port: 8101\nhelth: {http: /}")),
            ],
        ),
        (
            "not-checked",
            vec![
                ("instances/h1.yaml", format!("{H1}label: {{a: b}}\n")),
                ("services/a.yaml", a("h1", "h9")),
                ("services/b.yml", "port: x\nprt: 1\n".into()),
            ],
        ),
        ("missing-key", vec![("services/a.yaml", a("port: 8100\n", ""))]),
        ("missing-key", vec![("services/a.yaml", a("exec: /usr/bin/python3 server.py", "user: root"))]),
        ("wrong-type", vec![("services/a.yaml", a("8100", "0808"))]),
        ("wrong-type", vec![("services/a.yaml", a("8100", "\"8100\""))]),
        ("wrong-type", vec![("services/a.yaml", a("[h1]", "h1"))]),
        ("wrong-type", vec![("services/a.yaml", a_and("env: {A: , B: [x]}"))]),
        ("wrong-type", vec![("services/a.yaml", a_and("health: {tcp: 8100}"))]),
        ("one-of", vec![("services/a.yaml", a_and("health: {http: /, tcp: true}"))]),
        ("one-of", vec![("services/a.yaml", a("{on: [h1]}", "{replicas: 2}"))]),
        (
            "invalid-value",
            vec![("services/a.yaml", a_and("health: {tcp: true, interval: 5}\nresources: {memory: 2GB, cpu: 2}"))],
        ),
        ("invalid-value", vec![("services/a.yaml", a("8100", "81000"))]),
        ("invalid-value", vec![("services/a.yaml", a_and("env: {MY-VAR: x}\nenv_file: /etc/../a\nreplaces: [a]"))]),
        ("invalid-value", vec![("services/a.yaml", a_and("rollout: {strategy: red-black}"))]),
        (
            "invalid-value",
            vec![(
                "services/a.yaml",
                a("server.py", "server.py, unconfined: [ProtectHome, NoNewPrivilege, PrivateDevices]"),
            )],
        ),
        ("invalid-value", vec![("services/a.yaml", a_and("health: {tcp: true, interval: 0s}"))]),
        ("invalid-value", vec![("instances/h1.yaml", H1.replace("8100-8199", "8199-8100"))]),
        ("invalid-value", vec![("instances/h1.yaml", H1.replace("10.0.0.1", "10.0.0"))]),
        ("invalid-value", vec![("fleet.yaml", "name: so-phia\n".into())]),
        ("invalid-value", vec![("sites/s.yaml", site.replace("example.org", "Example.org").replace("/api/", "api"))]),
        ("missing-fleet-file", vec![("fleet.yaml", String::new())]),
        (
            "no-environment",
            GOOD.iter().filter(|(path, _)| path.contains("s/")).map(|(path, _)| (*path, String::new())).collect(),
        ),
        ("invalid-name", vec![("services/My_Service.yaml", b(""))]),
        ("name-twice", vec![("services/a.yml", A.into())]),
        ("unexpected-file", vec![("services/README.md", "x".into()), ("service/b.yaml", b(""))]),
        ("missing-source", vec![("services/a.yaml", a("path: code", "path: cod"))]),
        ("missing-source", vec![("services/a.yaml", a("path: code", "path: ../../code"))]),
        ("one-of", vec![("services/a.yaml", a("{path: code}", "{exclude: [tests]}"))]),
        (
            "one-of",
            vec![("services/a.yaml", git_and(&format!("archive: {{x86_64: {{url: {ARCHIVE}, sha256: {SHA256}}}}}")))],
        ),
        ("source-keys", vec![("services/a.yaml", a("path: code", "path: code, rev: main"))]),
        ("source-keys", vec![("services/a.yaml", git_and(&format!("sha256: {SHA256}")))]),
        (
            "source-keys",
            vec![(
                "services/a.yaml",
                a(
                    "path: code",
                    &format!("archive: {{x86_64: {{url: {ARCHIVE}, sha256: {SHA256}}}}}, sha256: {SHA256}"),
                ),
            )],
        ),
        ("missing-source", vec![("services/a.yaml", built("run: make, output: ../out"))]),
        ("missing-key", vec![("services/a.yaml", built("run: make"))]),
        ("invalid-command", vec![("services/a.yaml", built("run: \" \", output: out"))]),
        ("invalid-value", vec![("services/a.yaml", built("run: make, output: out, timeout: 0s"))]),
        // No file of the controller is named in git, as it once could be.
        ("wrong-type", vec![("services/a.yaml", git_and("credentials: {ssh_key: /etc/key}"))]),
        ("wrong-type", vec![("services/a.yaml", git_and("credentials: {token_file: /etc/token}"))]),
        ("source-keys", vec![("services/a.yaml", a("path: code", "path: code, credentials: shop"))]),
        ("source-keys", vec![("services/a.yaml", a("path: code", "git: \"file:///srv/a.git\", credentials: shop"))]),
        ("invalid-value", vec![("services/a.yaml", git_and("credentials: /etc/token"))]),
        ("missing-key", vec![("services/a.yaml", a("path: code", &format!("archive: {ARCHIVE}")))]),
        (
            "missing-key",
            vec![("services/a.yaml", a("path: code", &format!("archive: {{x86_64: {{url: {ARCHIVE}}}, riscv: x}}")))],
        ),
        ("missing-source", vec![("services/a.yaml", git_and("path: a/../../b"))]),
        ("missing-source", vec![("services/a.yaml", a("path: code", "path: code, exclude: [\"*\"]"))]),
        (
            "invalid-value",
            vec![("services/a.yaml", a("path: code", "git: \"https://me:secret@example.org/a.git\", rev: -x"))],
        ),
        ("invalid-value", vec![("services/a.yaml", a("path: code", "git: ../other"))]),
        (
            "invalid-value",
            vec![("services/a.yaml", a("path: code", "archive: \"http://example.org/a.tar.gz\", sha256: ABC"))],
        ),
        ("invalid-value", vec![("services/a.yaml", a("path: code", "path: code, exclude: [\"[z-a]\"]"))]),
        ("wrong-type", vec![("services/a.yaml", a("path: code", "archive: [x]"))]),
        (
            "invalid-command",
            vec![(
                "services/a.yaml",
                a("{path: code}", "{path: code, exclude: [\"*.sh\"]}")
                    .replace("/usr/bin/python3 server.py", "./run.sh"),
            )],
        ),
        (
            "missing-arch",
            vec![
                ("instances/h2.yaml", format!("{H2}arch: aarch64\n")),
                (
                    "services/a.yaml",
                    a("path: code", &format!("archive: {{x86_64: {{url: {ARCHIVE}, sha256: {SHA256}}}}}"))
                        .replace("[h1]", "[h1, h2]"),
                ),
            ],
        ),
        ("unknown-environment", vec![("instances/h3.yaml", H3.replace("staging", "stagin"))]),
        ("unknown-environment", vec![("services/a.yaml", a_and("in: {prod: {port: 8101}}"))]),
        ("unknown-instance", vec![("services/a.yaml", a("h1", "h9"))]),
        ("unknown-service", vec![("services/b.yaml", b("after: [aa]\nenv: {URL: \"${service.c.url}\"}"))]),
        ("unknown-site", vec![("services/a.yaml", a_and("env: {URL: \"${site.app.url}\"}"))]),
        ("unknown-label", vec![("services/a.yaml", a("{on: [h1]}", "{where: {rol: web}}"))]),
        ("unknown-label", vec![("services/a.yaml", a("{on: [h1]}", "{where: {role: wbe}}"))]),
        ("placed-nowhere", vec![("services/a.yaml", a("[h1]", "[]"))]),
        (
            "placed-nowhere",
            vec![
                ("instances/h3.yaml", H3.replace("role: test", "role: test, zone: b")),
                ("services/a.yaml", a("{on: [h1]}", "{where: {role: web, zone: b}}")),
            ],
        ),
        ("too-few-instances", vec![("services/a.yaml", a("{on: [h1]}", "{where: {role: web}, replicas: 3}"))]),
        ("not-placed", vec![("services/b.yaml", b("env: {URL: \"${service.a.url}\"}").replace("h1", "h3"))]),
        ("not-placed", vec![("sites/s.yaml", site.replace("h1", "h3"))]),
        ("port-taken", vec![("services/b.yaml", A.into())]),
        ("port-outside-range", vec![("services/a.yaml", a("8100", "8200"))]),
        ("port-reserved", vec![("fleet.yaml", "name: sophia\ndefaults: {user: ubuntu}\ndigest_port: 8100\n".into())]),
        ("missing-user", vec![("fleet.yaml", "name: sophia\n".into())]),
        ("invalid-command", vec![("services/a.yaml", a("/usr/bin/python3", "python3"))]),
        ("invalid-command", vec![("services/a.yaml", a("/usr/bin/python3 server.py", "/bin/sh -c 'echo x"))]),
        ("invalid-command", vec![("services/a.yaml", a("/usr/bin/python3 server.py", "./server.py"))]),
        ("invalid-command", vec![("services/a.yaml", a("/usr/bin/python3 server.py", "./serve.sh"))]),
        (
            "invalid-command",
            vec![
                (
                    "services/a.yaml",
                    a("exec: /usr/bin/python3 server.py", "exec: -m, python: {requirements: requirements.txt}")
                        + "health: {exec: check}\nin: {production: {run: {exec: ./run.sh}}}\n",
                ),
                ("code/requirements.txt", "a==1\n".into()),
            ],
        ),
        (
            "requirements",
            vec![
                (
                    "services/a.yaml",
                    a("server.py", "server.py, python: {requirements: a/b.txt}")
                        + "in: {staging: {run: {exec: python, python: {requirements: requirements.txt}}}}\n",
                ),
                ("code/requirements.txt", "a==1\n-e .\n".into()),
            ],
        ),
        (
            "invalid-value",
            vec![(
                "services/a.yaml",
                a(
                    "server.py",
                    "server.py, python: {requirements: ../r.txt, index: \"http://pypi.example.org/\", netrc: x}",
                ),
            )],
        ),
        ("reserved-variable", vec![("services/a.yaml", a_and("env: {SERVICE_PORT: 8100}"))]),
        ("control-character", vec![("services/a.yaml", a_and("env: {A: \"a\\0b\"}"))]),
        ("control-character", vec![("services/a.yaml", a("/usr/bin/python3 server.py", "\"/bin/a \\e[0m\""))]),
        ("control-character", vec![("services/a.yaml", a_and("env: {A: \"a\\e[0m\"}\ndescription: \"a \\uFFFE\""))]),
        ("invalid-value", vec![("services/a.yaml", a_and("description: a\\\nresources: {memory: 99999999999T}"))]),
        ("invalid-command", vec![("services/a.yaml", a("/usr/bin/python3 server.py", "./../code/run.sh"))]),
        ("invalid-command", vec![("services/a.yaml", a("/usr/bin/python3 server.py", "/opt/it\\'s"))]),
        ("invalid-command", vec![("services/a.yaml", a_and("health: {exec: /bin/$a}"))]),
        (
            "malformed-reference",
            vec![("services/a.yaml", a_and("env: {A: \"${HOME}/x\", B: \"$${HOME}\", C: \"${service.a\"}"))],
        ),
        (
            "ambiguous-reference",
            vec![
                ("services/a.yaml", a("[h1]", "[h1, h2]")),
                ("services/b.yaml", b("env: {URL: \"x ${service.a.url}\"}")),
            ],
        ),
        (
            "reference-cycle",
            vec![
                ("services/a.yaml", a_and("env: {URL: \"${service.b.url}\"}")),
                (
                    "services/b.yaml",
                    b("env:\n  ME: ${service.b.url}\n  URL: http://${service.a.host}:${service.a.port}"),
                ),
            ],
        ),
        ("after-cycle", vec![("services/a.yaml", a_and("after: [b]")), ("services/b.yaml", b("after:\n  - a"))]),
        (
            "literal-address",
            vec![("services/b.yaml", b("env: {URL: \"http://10.0.0.1:8100/x\", DB: \"u@10.0.0.2/db\"}"))],
        ),
        ("one-replica", vec![("services/a.yaml", a_and("rollout: {strategy: rolling}"))]),
        ("without-effect", vec![("services/a.yaml", a_and("rollout: {max_unavailable: 2, pause: 5s, order: [h1]}"))]),
        ("without-effect", vec![("services/a.yaml", a_and("rollout: {bake: 5s, ports: [8190, 8191]}"))]),
        ("without-effect", vec![("services/a.yaml", two("max_unavailable: 1, pause: 5s"))]),
        ("without-effect", vec![("environments/production.yaml", "branch: main\nrollout: {ports: [1, 2]}\n".into())]),
        ("no-health", vec![("services/a.yaml", a_and("rollout: {strategy: blue-green}"))]),
        ("literal-port", vec![("services/a.yaml", two("bake: 5s").replace("server.py", "server.py --port=8100"))]),
        ("literal-port", vec![("services/a.yaml", format!("{}env: {{PORT: \"8100\"}}\n", two("bake: 5s")))]),
        ("shared-state", vec![("services/a.yaml", two("bake: 5s").replace("server.py", "server.py, state: [db]"))]),
        ("no-private-ports", vec![("services/a.yaml", two("ports: [8100, 8101]"))]),
        ("no-private-ports", vec![("services/a.yaml", two("ports: [8190, 8190]"))]),
        (
            "no-private-ports",
            vec![("instances/h1.yaml", H1.replace("8100-8199", "8100-8101")), ("services/a.yaml", two("bake: 5s"))],
        ),
        ("invalid-value", vec![("services/a.yaml", two("ports: [8190]"))]),
        ("invalid-value", vec![("services/a.yaml", a_and("rollout: {max_unavailable: 0, pause: 5}"))]),
        ("invalid-value", vec![("services/a.yaml", a_and("rollout: {max_unavailable: 110%}"))]),
        ("unknown-instance", vec![("environments/production.yaml", "branch: main\nrollout: {order: [h9]}\n".into())]),
        (
            "short-window",
            vec![(
                "environments/production.yaml",
                "branch: main\nwindows: [{days: mon-thu, from: \"09:00\", to: \"09:10\"}]\n".into(),
            )],
        ),
        (
            "never-open",
            vec![(
                "environments/production.yaml",
                "branch: main\nfreezes: [{from: \"2026-12-01\", to: \"2030-01-01\"}]\n".into(),
            )],
        ),
        (
            "invalid-value",
            vec![(
                "environments/production.yaml",
                "branch: main\nfreezes: [{from: \"2026-12-02\", to: \"2026-12-01\"}]\n".into(),
            )],
        ),
        (
            "invalid-value",
            vec![(
                "environments/production.yaml",
                "branch: main\nwindows: [{days: monday, from: \"9:00\", to: \"17:00\", tz: Berlin}]\n".into(),
            )],
        ),
        (
            "none-left",
            vec![
                ("instances/h2.yaml", H1.replace("10.0.0.1", "10.0.0.2")),
                ("services/a.yaml", a_and("rollout: {max_unavailable: 100%}").replace("[h1]", "[h1, h2]")),
            ],
        ),
        ("without-effect", vec![("environments/production.yaml", "branch: main\nleave_out_at_most: 2\n".into())]),
        ("invalid-value", vec![("environments/production.yaml", "branch: main\ndrift_of: {units: repair}\n".into())]),
        ("literal-address", vec![("services/a.yaml", a("server.py", "server.py --peer 10.0.0.2:8100"))]),
        (
            "port-reserved",
            vec![
                ("instances/h1.yaml", H1.replace("8100-8199", "443-8199")),
                ("services/a.yaml", a("8100", "443")),
                ("sites/s.yaml", format!("{site}tls: {{certificate: /etc/ssl/a.pem, key: /etc/ssl/a.key}}\n")),
            ],
        ),
        ("missing-key", vec![("sites/s.yaml", format!("{site}tls: {{certificate: /etc/a.pem}}\n"))]),
        ("reserved-header", vec![("sites/s.yaml", format!("{site}headers: {{cache-control: no-store}}\n"))]),
        ("duplicate-key", vec![("sites/s.yaml", format!("{site}headers: {{X-One: a, x-one: b}}\n"))]),
        ("invalid-value", vec![("sites/s.yaml", format!("{site}headers: {{X-Two: null, X-Frame-Options: null}}\n"))]),
        ("invalid-value", vec![("sites/s.yaml", site.replace("{service: a}", "{service: a, timeout: 100ms}"))]),
        (
            "invalid-value",
            vec![(
                "sites/s.yaml",
                site.replace("{service: a}", "{service: a, body_size: 10}")
                    .replace("path: web}", "path: web}, immutable: [/a]"),
            )],
        ),
        (
            "route-taken",
            vec![(
                "sites/s.yaml",
                format!("{}acme_root: /srv/acme\n", site.replace("/api/", "/.well-known/acme-challenge/")),
            )],
        ),
        ("route-taken", vec![("sites/s.yaml", site.replace("/api/", "/"))]),
        ("route-taken", vec![("sites/s.yaml", site.into()), ("sites/t.yaml", site.into())]),
        (
            "catch-all-tls",
            vec![(
                "sites/s.yaml",
                site.replace("example.org", "_")
                    + "in:\n  staging: {tls: {certificate: /etc/a.pem, key: /etc/a.key}, on: [h3]}\n  production: {tls: {certificate: /etc/a.pem, key: /etc/a.key}}\n",
            )],
        ),
        (
            "too-many-patterns",
            vec![("services/a.yaml", a("path: code", &format!("path: code, exclude: [{}]", ["a"; 1_001].join(", "))))],
        ),
        ("domain-taken", vec![("sites/s.yaml", site.into()), ("sites/t.yaml", site.replace("/api/", "/b/"))]),
        (
            "unreachable-upstream",
            vec![
                ("sites/s.yaml", site.replace("[h1]", "[h2]")),
                ("services/a.yaml", a("server.py", "server.py --host 127.0.0.1")),
            ],
        ),
        ("empty-site", vec![("sites/s.yaml", "domain: example.org\non: [h1]\n".into())]),
        ("duplicate-address", vec![("instances/h2.yaml", H2.replace("10.0.0.2", "10.0.0.1"))]),
        ("missing-host-key", vec![("instances/h1.yaml", H1.replace("host_key: KEY\n", ""))]),
        ("invalid-host-key", vec![("instances/h1.yaml", H1.replace("KEY", "h1 ssh-ed25519 AAAA"))]),
        ("missing-host-key", vec![("instances/h1.yaml", through("{address: 192.0.2.1, user: gate, port: 2222}"))]),
        (
            "missing-host-key",
            vec![(
                "instances/h1.yaml",
                through("{address: \"fd00::9\", host_key: KEY}").replacen("host_key: KEY\n", "", 1),
            )],
        ),
        ("invalid-host-key", vec![("instances/h1.yaml", through("{address: 192.0.2.1, host_key: ssh-ed25519 AAAA}"))]),
        (
            "invalid-history-writer",
            vec![(
                "fleet.yaml",
                "name: sophia\ndefaults: {user: ubuntu}\nhistory_writers: [ssh-ed25519 AAAA]\n".into(),
            )],
        ),
        ("invalid-value", vec![("instances/h1.yaml", through("{address: bastion, host_key: KEY}"))]),
        ("missing-key", vec![("instances/h1.yaml", through("{host_key: KEY}"))]),
        ("wrong-type", vec![("instances/h1.yaml", through("gate@192.0.2.1"))]),
        ("unknown-key", vec![("fleet.yaml", "name: sophia\nssh: {jump: {address: 192.0.2.1}}\n".into())]),
        ("own-jump-host", vec![("instances/h1.yaml", through("{address: 10.0.0.1, host_key: KEY}"))]),
        (
            "duplicate-address",
            vec![
                ("instances/h1.yaml", through("{address: 192.0.2.1, host_key: KEY}")),
                ("instances/h2.yaml", through("{address: 192.0.2.1, user: other, host_key: KEY}")),
            ],
        ),
        ("not-granted", vec![("services/a.yaml", a("{exec: ", "{user: root, exec: "))]),
        ("not-granted", vec![("fleet.yaml", "name: sophia\ndefaults: {user: root}\nallow: {replaces: []}\n".into())]),
        (
            "not-granted",
            vec![
                (
                    "fleet.yaml",
                    "name: sophia\ndefaults: {user: ubuntu}\nallow:\n  env_files: [/etc/sophia/*.env]\n  \
                     packages: [nginx-*]\n"
                        .into(),
                ),
                ("instances/h1.yaml", format!("{H1}packages: [nginx-light, jq]\nallow: {{replaces: [a.service]}}\n")),
                ("services/a.yaml", a_and("env_file: /etc/other.env\nreplaces: [a.service, b.service]")),
                (
                    "sites/s.yaml",
                    format!("{site}tls: {{certificate: /etc/shadow, key: /etc/ssl/a.key}}\nacme_root: /root\n"),
                ),
            ],
        ),
        (
            "kept-unit",
            vec![
                ("fleet.yaml", "name: sophia\ndefaults: {user: ubuntu}\nallow: {replaces: [ssh*, a.service]}\n".into()),
                ("services/a.yaml", a_and("replaces: [ssh.service, systemd-journald.service]")),
            ],
        ),
        ("replaces-own-unit", vec![("services/a.yaml", a_and("replaces: [sophia-a.service, sophia-a@8100.service]"))]),
    ];
    let mut shown = String::new();
    // In `entries.rs` and `hostile.rs`.
    let mut seen: Vec<&str> =
        vec!["not-utf8", "symlink", "submodule", "more-findings", "fleet-too-large", "too-much-work"];
    for (code, changes) in &cases {
        let changes: Vec<(&str, &str)> = changes.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let (_, found) = read(&changes);
        assert!(
            found.iter().any(|finding| finding.code.as_str() == *code),
            "{code}: {}",
            findings::text(&found, false)
        );
        writeln!(shown, "=== {code}\n{}", findings::text(&found, false)).expect("a String");
        seen.push(code);
    }
    // Only `validate` gives advice.
    let advice = read(&[]).0.expect("a declaration").advice();
    assert!(advice.iter().all(|finding| !finding.is_error()));
    writeln!(shown, "=== advice\n{}", findings::text(&advice, false)).expect("a String");
    seen.extend(advice.iter().map(|finding| finding.code.as_str()));
    let unseen: Vec<&str> = Code::FLEET.iter().map(|code| code.as_str()).filter(|code| !seen.contains(code)).collect();
    assert!(unseen.is_empty(), "without a case: {unseen:?}");
    insta::assert_snapshot!("codes", shown);
}
