//! The declared fleet from outside: data in, shown text out.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use evenkeel::{
    declare::{self, Overrides, codes},
    model::{
        finding::Finding,
        fleet::Fleet,
        name::FleetName,
        tree::{Entry, Tree},
    },
    report::findings,
};

/// A small fleet without findings. Tests say only in what theirs differs.
const GOOD: &[(&str, &str)] = &[
    ("fleet.yaml", "name: sophia\ndefaults: {user: ubuntu}\n"),
    ("environments/production.yaml", "branch: main\n"),
    ("environments/staging.yaml", "branch: next\n"),
    ("instances/h1.yaml", H1),
    ("instances/h2.yaml", H2),
    ("instances/h3.yaml", H3),
    ("services/a.yaml", A),
    ("code/server.py", "print()\n"),
    ("code/run.sh", "#!/bin/sh\n"),
    ("web/index.html", "<!doctype html>\n"),
];
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const H1: &str = "environment: production\naddress: 10.0.0.1\nhost_key: KEY\nports: 8100-8199\nlabels: {role: web}\n";
const H2: &str = "environment: production\naddress: 10.0.0.2\nhost_key: KEY\nports: 8100-8199\nlabels: {role: web}\n";
const H3: &str = "environment: staging\naddress: fd00::3\nhost_key: KEY\nports: 8100-8199\nlabels: {role: test}\n";
/// h1, reached through a jump host.
fn through(jump: &str) -> String {
    format!("{H1}ssh: {{jump: {jump}}}\n")
}

const A: &str = "\
source: {path: code}
run: {exec: /usr/bin/python3 server.py}
place: {on: [h1]}
port: 8100
";

/// The good fleet with `changes` laid over; an empty text takes a file away.
fn tree(changes: &[(&str, &str)]) -> Tree {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (path, text) in GOOD.iter().chain(changes) {
        if text.is_empty() {
            files.remove(path);
        } else {
            files.insert(path, text.replace("KEY", KEY));
        }
    }
    let mut tree = Tree::default();
    for (path, text) in files {
        let executable = path.ends_with(".sh");
        let entry = Entry::File { content: text.into_bytes().into(), executable };
        tree.insert(&format!("fleet/{path}"), entry).expect("a plain path");
    }
    tree
}

fn read(changes: &[(&str, &str)]) -> (Option<declare::Declaration>, Vec<Finding>) {
    declare::read(&tree(changes), "fleet")
}

fn resolved(changes: &[(&str, &str)], environment: &str, overrides: &Overrides) -> Arc<Fleet> {
    let (declaration, found) = read(changes);
    let declaration = declaration.unwrap_or_else(|| panic!("{}", findings::text(&found, false)));
    let environment = environment.parse().expect("a name");
    declaration.resolve(&environment, overrides).unwrap_or_else(|found| panic!("{}", findings::text(&found, false)))
}

/// Service A with `old` replaced by `new`.
fn a(old: &str, new: &str) -> String {
    assert!(A.contains(old), "{old}");
    A.replace(old, new)
}

/// Service A with its files in another repository.
fn git_and(more: &str) -> String {
    a("path: code", &format!("git: \"https://example.org/a.git\", {more}"))
}

const ARCHIVE: &str = "\"https://example.org/a.tar.gz\"";
const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Service A, of which something is built.
fn built(build: &str) -> String {
    a("path: code", &format!("path: code, build: {{{build}}}"))
}

/// Service A and more keys.
fn a_and(more: &str) -> String {
    format!("{A}{more}\n")
}

#[test]
fn the_good_fleet_has_no_findings() {
    let (declaration, found) = read(&[]);
    assert_eq!(findings::text(&found, false), "no findings\n");
    let declaration = declaration.expect("a declaration");
    assert_eq!(declaration.fleet_name().as_str(), "sophia");
    let names: Vec<&str> = declaration.environments().into_iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["production", "staging"]);
    assert_eq!(declaration.environment_branch(&"staging".parse().expect("a name")), Some("next"));
}

/// Every code, by the least that brings it about, as people see it.
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
        ("invalid-value", vec![("services/a.yaml", a_and("rollout: {strategy: blue-green}"))]),
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
        ("source-keys", vec![("services/a.yaml", git_and("credentials: {ssh_key: /etc/key}"))]),
        (
            "source-keys",
            vec![("services/a.yaml", a("path: code", "path: code, credentials: {token_file: /etc/token}"))],
        ),
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
        (
            "port-reserved",
            vec![
                ("instances/h1.yaml", H1.replace("8100-8199", "443-8199")),
                ("services/a.yaml", a("8100", "443")),
                ("sites/s.yaml", format!("{site}tls: {{certificate: /etc/a.pem, key: /etc/a.key}}\n")),
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
        ("domain-taken", vec![("sites/s.yaml", site.into()), ("sites/t.yaml", site.replace("/api/", "/b/"))]),
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
        ("replaces-own-unit", vec![("services/a.yaml", a_and("replaces: [sophia-a.service, sophia-a@8100.service]"))]),
    ];
    let mut shown = String::new();
    let mut seen: Vec<&str> = vec!["not-utf8", "symlink", "submodule"];
    for (code, changes) in &cases {
        let changes: Vec<(&str, &str)> = changes.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let (_, found) = read(&changes);
        assert!(found.iter().any(|finding| finding.code == *code), "{code}: {}", findings::text(&found, false));
        writeln!(shown, "=== {code}\n{}", findings::text(&found, false)).expect("a String");
        seen.push(code);
    }
    let unseen: Vec<&str> = codes::ALL.iter().map(|(code, _)| *code).filter(|code| !seen.contains(code)).collect();
    assert!(unseen.is_empty(), "without a case: {unseen:?}");
    insta::assert_snapshot!("codes", shown);
}

/// What only a tree can bring about: bytes, links and submodules.
#[test]
fn entries_that_are_not_plain_files() {
    let mut tree = tree(&[]);
    let link = |target: &str| Entry::Symlink { target: target.to_owned() };
    let entries = [
        ("fleet/services/b.yaml", Entry::File { content: (*b"port: 1\nx: \xff\n").into(), executable: false }),
        ("fleet/services/away.yaml", link("../../other.yaml")),
        ("fleet/services/loop.yaml", link("loop.yaml")),
        ("fleet/services/module.yaml", Entry::Submodule),
        ("fleet/code/away", link("/etc/passwd")),
        ("fleet/code/near", link("server.py")),
        ("fleet/code/lib", Entry::Submodule),
    ];
    for (path, entry) in entries {
        tree.insert(path, entry).expect("a plain path");
    }
    let (declaration, found) = declare::read(&tree, "fleet");
    assert!(declaration.is_none());
    insta::assert_snapshot!("entries", findings::text(&found, false));
}

/// A link that stays within the folder is the file it leads to.
#[test]
fn links_within_the_folder_are_followed() {
    let mut tree = tree(&[("shared/b.yaml", &A.replace("8100", "8101"))]);
    tree.insert("fleet/services/b.yaml", Entry::Symlink { target: "../shared/b.yaml".to_owned() })
        .expect("a plain path");
    let (declaration, found) = declare::read(&tree, "fleet");
    assert_eq!(findings::text(&found, false), "no findings\n");
    let fleet = declaration
        .and_then(|declaration| declaration.resolve(&"production".parse().ok()?, &Overrides::default()).ok());
    assert!(fleet.is_some_and(|fleet| fleet.services.contains_key("b")));
}

const FULL: &[(&str, &str)] = &[
    (
        "services/b.yaml",
        r#"description: >
  Two lines
  of text
source: {path: /fleet/code}
run: {exec: "./run.sh --to '${service.a.url}' \"a b\"", user: b, state: [cache]}
place: {where: {role: web}}
port: 8101
env:
  VERSION: 1.10
  FLAG: no
  A: ${service.a.host}:${service.a.port}
  SITE: ${site.s.url}
  OTHER: ${service.b.on.h2.url}
  LITERAL: $${HOME}
  GONE: x
env_file: /etc/b.env
resources: {memory: 512M, cpu: 150%}
health: {exec: "/bin/check '${service.a.port}'", timeout: 500ms}
after: [a]
replaces: [b.service]
in:
  production: {env: {FLAG: "yes", GONE: null, MORE: 1}, port: 8102}
  staging: {place: {on: [h3]}, env: {A: none, OTHER: none, SITE: none}, run: {exec: serve, python: {requirements: requirements.txt, interpreter: /opt/python3.12, index: "https://pypi.example.org/simple/", netrc: /etc/netrc}}, health: {http: /up}, after: []}
"#,
    ),
    ("code/requirements.txt", "a==1\n"),
    (
        "sites/s.yaml",
        "domain: example.org\non: [h2, h3]\nfrontend: {source: {path: web}, spa: true, immutable: [\"*.woff2\"]}\n\
         routes: {/b/: {service: b, keep_prefix: true, websocket: true, stream: true, timeout: 5m, body_size: 10M}}\n\
         tls: {certificate: /etc/s.pem, key: /etc/s.key}\nacme_root: /srv/acme\nheaders: {X-One: a, X-Frame-Options: null}\n\
         replaces_default: true\nin: {staging: {tls: {certificate: /etc/t.pem, key: /etc/t.key}}}\n",
    ),
];

#[test]
fn a_service_with_everything_in_two_environments() {
    let none = Overrides::default();
    let [production, staging] = ["production", "staging"].map(|environment| resolved(FULL, environment, &none));
    let shown = format!(
        "{:#?}\n{:#?}\n{:#?}\n{:#?}",
        production.services.get("b"),
        production.sites,
        staging.services.get("b"),
        staging.instances
    );
    insta::assert_snapshot!("resolved", shown);
}

#[test]
fn every_kind_of_source_is_taken() {
    let with_arch = |text: &str, arch: &str| format!("{text}arch: {arch}\n");
    let (h1, h2) = (with_arch(H1, "x86_64"), with_arch(H2, "aarch64"));
    let shown = |source: &str, overrides: &Overrides| {
        let a = a("{path: code}", source).replace("[h1]", "[h1, h2]");
        let changes = [("instances/h1.yaml", h1.as_str()), ("instances/h2.yaml", h2.as_str()), ("services/a.yaml", &a)];
        let fleet = resolved(&changes, "production", overrides);
        let sources = fleet.services["a"].sources.iter();
        sources.map(|(name, source)| format!("{name}: {source}")).collect::<Vec<_>>().join("\n")
    };
    let none = Overrides::default();
    for (source, on_h1) in [
        ("{path: code}", "fleet/code"),
        ("{git: \"https://example.org/a.git\"}", "git https://example.org/a.git (default branch)"),
        ("{git: git@example.org:o/a.git, rev: v1.2, path: /x/y/}", "git git@example.org:o/a.git (v1.2), folder x/y"),
        (
            "{git: \"ssh://git@example.org:2222/a.git\", rev: release/2}",
            "git ssh://git@example.org:2222/a.git (release/2)",
        ),
        ("{git: \"http://127.0.0.1:80/a.git\"}", "git http://127.0.0.1:80/a.git (default branch)"),
    ] {
        assert_eq!(shown(source, &none).lines().next(), Some(format!("h1: {on_h1}").as_str()));
    }
    let of = |arch: &str| format!("{arch}: {{url: \"https://example.org/{arch}.tar.gz\", sha256: {SHA256}}}");
    let by_arch = format!("{{archive: {{{}, {}, x-note: 1}}, path: bin}}", of("x86_64"), of("aarch64"));
    insta::assert_snapshot!(shown(&by_arch, &none), @r"
    h1: archive https://example.org/x86_64.tar.gz, folder bin
    h2: archive https://example.org/aarch64.tar.gz, folder bin
    ");
    // On another machine it is the other machine's processor that counts.
    let overrides = declare::read_overrides("instances: {h2: {arch: x86_64}}\n", "lab.yaml").expect("valid");
    assert!(shown(&by_arch, &overrides).ends_with("h2: archive https://example.org/x86_64.tar.gz, folder bin"));
}

#[test]
fn overrides_replace_addresses_wherever_they_are_rendered() {
    let text = "\
network_namespace: lab
instances:
  h1: {address: 10.9.0.1, host_key: KEY root@h1, arch: x86_64, ssh: {user: root, port: 2222, key: /tmp/key}}
";
    let overrides = declare::read_overrides(&text.replace("KEY", KEY), "lab.yaml").expect("valid");
    assert_eq!(overrides.network_namespace.as_deref(), Some("lab"));
    let fleet = resolved(FULL, "production", &overrides);
    assert_eq!(fleet.services["b"].env["A"], "10.9.0.1:8100");
    assert_eq!(fleet.services["b"].exec[2], "http://10.9.0.1:8100");
    let h1 = &fleet.instances["h1"];
    assert_eq!((h1.address.to_string(), h1.ssh.user.as_str(), h1.ssh.port), ("10.9.0.1".to_owned(), "root", 2222));
    assert_eq!(h1.ssh.host_key.as_deref(), Some(KEY));
    assert_eq!(h1.ssh.key.as_deref(), Some(std::path::Path::new("/tmp/key")));
    assert_eq!(fleet.instances["h2"].address.to_string(), "10.0.0.2");

    let found =
        declare::read_overrides("instances: {h1: {adress: 1.2.3.4, host_key: x}}\n", "lab.yaml").expect_err("wrong");
    insta::assert_snapshot!("overrides", findings::text(&found, false));
    let unknown = declare::read_overrides("instances: {h9: {}}", "lab.yaml").expect("valid");
    let (declaration, _) = read(&[]);
    let found = declaration
        .expect("a declaration")
        .resolve(&"production".parse().expect("a name"), &unknown)
        .expect_err("unknown");
    assert_eq!(found[0].code, "unknown-instance");
}

const JUMP: &str = "{address: 192.0.2.1, port: 2222, host_key: KEY root@gate}";

/// How h1 is reached, as `address`, then `user@address:port` of its jump host.
fn reached(h1: &str, overriding: &str) -> (String, Option<String>) {
    let overrides = declare::read_overrides(&overriding.replace("KEY", KEY), "lab.yaml").expect("valid");
    let fleet = resolved(&[("instances/h1.yaml", h1)], "production", &overrides);
    let h1 = &fleet.instances["h1"];
    let jump = h1.ssh.jump.as_ref().map(|jump| {
        assert_eq!(jump.host_key.as_deref(), Some(KEY));
        format!("{}@{}", jump.user, jump.end())
    });
    (h1.address.to_string(), jump)
}

#[test]
fn a_jump_host_is_logged_in_to_as_the_instance_unless_it_says_otherwise() {
    let direct = |address: &str| (address.to_owned(), None);
    let jumped = |address: &str, jump: &str| (address.to_owned(), Some(jump.to_owned()));
    assert_eq!(reached(H1, "{}"), direct("10.0.0.1"));
    assert_eq!(reached(&through(JUMP), "{}"), jumped("10.0.0.1", "root@192.0.2.1:2222"));
    let deploy = format!("{H1}ssh: {{user: deploy, port: 22022, jump: {{address: \"fd00::9\", host_key: KEY}}}}\n");
    assert_eq!(reached(&deploy, "{}"), jumped("10.0.0.1", "deploy@[fd00::9]:22"));
    let gate = through("{address: 192.0.2.1, user: gate, host_key: KEY}");
    assert_eq!(reached(&gate, "{}"), jumped("10.0.0.1", "gate@192.0.2.1:22"));
}

/// A fleet behind jump hosts runs unchanged on the hosts of a lab.
#[test]
fn an_override_with_another_address_leaves_the_jump_host_out() {
    let h1 = through(JUMP);
    let of = |overriding: &str| {
        let (address, jump) = reached(&h1, &format!("instances: {{h1: {overriding}}}"));
        format!("{address} {}", jump.as_deref().unwrap_or("directly"))
    };
    assert_eq!(of("{address: 10.9.0.1}"), "10.9.0.1 directly");
    assert_eq!(of("{address: 10.0.0.1}"), "10.0.0.1 root@192.0.2.1:2222");
    assert_eq!(of("{ssh: {user: ubuntu, key: /tmp/key}}"), "10.0.0.1 ubuntu@192.0.2.1:2222");
    assert_eq!(of("{ssh: {jump: {address: 10.9.0.9, host_key: KEY}}}"), "10.0.0.1 root@10.9.0.9:22");
    let both = "{address: 10.9.0.1, ssh: {user: ubuntu, jump: {address: 10.9.0.9, host_key: KEY}}}";
    assert_eq!(of(both), "10.9.0.1 ubuntu@10.9.0.9:22");

    let wrong = "instances: {h1: {ssh: {jump: {address: 10.9.0.9, host_key: x}}}}";
    let found = declare::read_overrides(wrong, "lab.yaml").expect_err("not a key");
    assert_eq!(found[0].code, "invalid-host-key");
    let itself = "instances: {h1: {address: 10.9.0.1, ssh: {jump: {address: 10.9.0.1}}}}";
    let itself = declare::read_overrides(itself, "lab.yaml").expect("valid");
    let (declaration, _) = read(&[]);
    let found = declaration.expect("readable").resolve(&"production".parse().expect("a name"), &itself);
    assert_eq!(found.expect_err("itself")[0].code, "own-jump-host");
}

#[test]
fn one_address_behind_two_jump_hosts_is_two_hosts() {
    let twins = |other: &str| {
        let h2 = through(&JUMP.replace("192.0.2.1", other));
        let (_, found) = read(&[("instances/h1.yaml", &through(JUMP)), ("instances/h2.yaml", &h2)]);
        found.iter().map(|finding| finding.code.clone()).collect::<Vec<_>>()
    };
    assert_eq!(twins("192.0.2.2"), Vec::<String>::new());
    assert_eq!(twins("192.0.2.1"), ["duplicate-address"]);

    let overriding = |other: &str| {
        let jump = |gate: &str| format!("{{address: 10.9.0.1, ssh: {{jump: {{address: {gate}}}}}}}");
        let text = format!("instances: {{h1: {}, h2: {}}}", jump("10.9.0.8"), jump(other));
        let overrides = declare::read_overrides(&text, "lab.yaml").expect("valid");
        let (declaration, _) = read(&[]);
        declaration.expect("readable").resolve(&"production".parse().expect("a name"), &overrides)
    };
    assert!(overriding("10.9.0.9").is_ok());
    assert_eq!(overriding("10.9.0.8").expect_err("one sshd")[0].code, "duplicate-address");
}

#[test]
fn an_ipv6_address_is_bracketed_in_a_url() {
    let b = A.replace("8100", "8101").replace("h1", "h3");
    let c = format!("{}env: {{B: \"${{service.b.url}}\"}}\n", b.replace("8101", "8102"));
    let fleet = resolved(&[("services/b.yaml", &b), ("services/c.yaml", &c)], "staging", &Overrides::default());
    assert_eq!(fleet.services["c"].env["B"], "http://[fd00::3]:8101");
}

#[test]
fn nothing_is_resolved_while_there_are_errors() {
    let (declaration, _) = read(&[("services/a.yaml", &a("8100", "8200"))]);
    let declaration = declaration.expect("readable");
    let found = declaration.resolve(&"staging".parse().expect("a name"), &Overrides::default()).expect_err("an error");
    assert_eq!(found[0].code, "port-outside-range");
    let (declaration, _) = read(&[]);
    let found = declaration.expect("readable").resolve(&"stagin".parse().expect("a name"), &Overrides::default());
    assert_eq!(found.expect_err("unknown")[0].hint.as_deref(), Some("did you mean `staging`?"));
}

#[test]
fn one_broken_file_does_not_hide_or_invent_findings_elsewhere() {
    let b = format!("{A}after: [a]\nenv: {{A: \"${{service.a.url}}\", C: \"${{service.c.url}}\"}}\n")
        .replace("8100", "8101");
    let (declaration, found) = read(&[("services/a.yaml", "port: x\n"), ("services/b.yaml", &b)]);
    assert!(declaration.is_none());
    let at = |file: &str| -> Vec<&str> {
        let here =
            found.iter().filter(|finding| finding.place.as_ref().is_some_and(|place| place.file.ends_with(file)));
        here.map(|finding| finding.code.as_str()).collect()
    };
    assert_eq!(at("a.yaml"), ["missing-key", "missing-key", "missing-key", "wrong-type"]);
    assert_eq!(at("b.yaml"), ["unknown-service"]);
    let (_, found) = read(&[("instances/h1.yaml", "ports: x\n")]);
    assert!(found.iter().all(|finding| finding.place.as_ref().is_some_and(|place| place.file.ends_with("h1.yaml"))));
}

#[test]
fn the_fleet_may_lie_in_the_root() {
    let mut rooted = Tree::default();
    for (path, entry) in tree(&[]).below("fleet") {
        rooted.insert(path, entry.clone()).expect("a plain path");
    }
    let (declaration, found) = declare::read(&rooted, "");
    assert!(declaration.is_some() && found.is_empty(), "{}", findings::text(&found, false));
}

#[test]
fn the_starter_has_no_errors() {
    let name: FleetName = "mine".parse().expect("a name");
    let mut tree = Tree::default();
    for (path, text) in declare::starter(&name) {
        let entry = Entry::File { content: text.into_bytes().into(), executable: false };
        tree.insert(&format!("fleet/{path}"), entry).expect("a plain path");
    }
    let (declaration, found) = declare::read(&tree, "fleet");
    let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["missing-host-key"], "{}", findings::text(&found, false));
    let fleet = declaration
        .and_then(|declaration| declaration.resolve(&"production".parse().ok()?, &Overrides::default()).ok());
    assert!(fleet.is_some_and(|fleet| fleet.services.len() == 1 && fleet.sites.len() == 1));
}

/// The fleet that this repository holds has nothing against it but the host keys that nobody pinned yet.
#[test]
fn the_fleet_of_this_repository_has_no_errors() {
    fn add(tree: &mut Tree, at: &std::path::Path, path: &str) {
        for entry in std::fs::read_dir(at).expect("a folder").map(|entry| entry.expect("an entry")) {
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                add(tree, &entry.path(), &path);
            } else {
                let content = std::fs::read(entry.path()).expect("a file").into();
                tree.insert(&path, Entry::File { content, executable: false }).expect("a plain path");
            }
        }
    }
    let mut tree = Tree::default();
    add(&mut tree, &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet"), "fleet");
    let (declaration, found) = declare::read(&tree, "fleet");
    let others: Vec<Finding> = found.into_iter().filter(|finding| finding.code != "missing-host-key").collect();
    assert!(declaration.is_some() && others.is_empty(), "{}", findings::text(&others, false));
}

/// The schemas in `schema/` are what editors use; `EVENKEEL_UPDATE=1 cargo test` writes them anew.
#[test]
fn schemas_are_what_schema_holds() {
    for (name, text) in declare::schemas() {
        let path = format!("{}/schema/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("EVENKEEL_UPDATE").is_some() {
            std::fs::write(&path, &text).expect("schema/ is there");
        }
        assert!(std::fs::read_to_string(&path).is_ok_and(|held| held == text), "{path} is not current");
    }
}

/// A thousand services on a hundred instances, each with a reference. Printed, not asserted, but for a
/// bound that only something quadratic would break: `cargo test --release -- --nocapture large_fleet`.
#[test]
fn a_large_fleet_is_read_fast() {
    let mut tree = tree(&[("services/a.yaml", ""), ("environments/staging.yaml", ""), ("instances/h3.yaml", "")]);
    let mut insert = |path: String, text: String| {
        let content = text.replace("KEY", KEY).into_bytes().into();
        tree.insert(&path, Entry::File { content, executable: false }).expect("a plain path");
    };
    for n in 0..100 {
        insert(format!("fleet/instances/i{n}.yaml"), H1.replace("10.0.0.1", &format!("10.1.0.{n}")));
    }
    for n in 0..1000 {
        let (instance, port, next) = (n / 10, 8100 + n % 10, (n + 1).min(999));
        let text = format!(
            "description: Service {n}\nsource: {{path: code}}\nrun: {{exec: /usr/bin/python3 server.py --n {n}}}\n\
             place: {{on: [i{instance}]}}\nport: {port}\nenv:\n  ENVIRONMENT: prod\n  NEXT: ${{service.s{next}.url}}\n  \
             OTHER: http://example.org:80/\nhealth: {{http: /health, interval: 5s}}\nafter: [s{next}]\nresources: {{memory: 256M}}\n"
        );
        insert(format!("fleet/services/s{n}.yaml"), if n == 999 { text.replace("after: [s999]\n", "") } else { text });
    }
    let mut times = Vec::new();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let (declaration, found) = declare::read(&tree, "fleet");
        let read = start.elapsed();
        assert!(found.is_empty(), "{}", findings::text(&found, false));
        let declaration = declaration.expect("readable");
        let fleet =
            declaration.resolve(&"production".parse().expect("a name"), &Overrides::default()).expect("no errors");
        assert_eq!((fleet.services.len(), fleet.instances.len()), (1000, 102));
        times.push((read, start.elapsed()));
    }
    println!("read, read and resolve: {times:?}");
    assert!(times.iter().any(|(_, all)| all.as_secs() < 5), "{times:?}");
}
