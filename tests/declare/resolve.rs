//! The fleet of an environment: what is declared, with what an override replaces.

use evenkeel::{
    declare::{self, Overrides},
    model::{
        finding::Code,
        fleet::{Check, Health},
    },
    report::findings,
};

use crate::{A, H1, H2, KEY, SHA256, a, read, resolved, through};

const FULL: &[(&str, &str)] = &[
    (
        "fleet.yaml",
        "name: sophia\ndefaults: {user: ubuntu}\n\
         allow: {users: [b], env_files: [/etc/*.env], netrc: [/etc/netrc], replaces: [b.service], tls: [/etc/*]}\n",
    ),
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
fn a_service_without_health_is_asked_for_its_port_as_the_fleet_says() {
    let fleet = "name: sophia\ndefaults: {user: ubuntu, health: {interval: 1s, retries: 7}}\n";
    let fleet = resolved(&[("fleet.yaml", fleet)], "production", &Overrides::default());
    let Health { check, body: _, interval, timeout, retries, start_period, settle, .. } = &fleet.services["a"].health;
    let spans = [interval, timeout, start_period, settle].map(ToString::to_string);
    assert_eq!((check, spans.join(" ").as_str(), *retries), (&Check::Tcp, "1s 2s 30s 10s", 7));
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
    assert_eq!(found[0].code, Code::UnknownInstance);
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
    assert_eq!(found[0].code, Code::InvalidHostKey);
    let itself = "instances: {h1: {address: 10.9.0.1, ssh: {jump: {address: 10.9.0.1}}}}";
    let itself = declare::read_overrides(itself, "lab.yaml").expect("valid");
    let (declaration, _) = read(&[]);
    let found = declaration.expect("readable").resolve(&"production".parse().expect("a name"), &itself);
    assert_eq!(found.expect_err("itself")[0].code, Code::OwnJumpHost);
}

#[test]
fn an_instance_is_dialled_in_the_network_that_the_override_file_names_for_it() {
    let resolve = |text: &str| {
        let overrides = declare::read_overrides(text, "lab.yaml").expect("valid");
        let (declaration, _) = read(&[]);
        declaration.expect("readable").resolve(&"production".parse().expect("a name"), &overrides)
    };
    let networks = |text: &str| {
        let fleet = resolve(text).expect("it is resolved");
        ["h1", "h2"].map(|name| fleet.instances[name].ssh.namespace.clone().unwrap_or_default())
    };
    let one = "instances: {h1: {address: 10.9.0.1, network_namespace: lab}}\n";
    assert_eq!(networks("{}"), ["", ""]);
    assert_eq!(networks(one), ["lab", ""], "an instance that the file does not name stays where it is");
    assert_eq!(networks(&format!("{one}network_namespace: other\n")), ["lab", "other"]);

    // Labs may have the same addresses.
    let twins = |other: &str| {
        let of = |network: &str| format!("{{address: 10.9.0.1, network_namespace: {network}}}");
        resolve(&format!("instances: {{h1: {}, h2: {}}}", of("lab"), of(other)))
    };
    assert!(twins("other").is_ok());
    assert_eq!(twins("lab").expect_err("one sshd")[0].code, Code::DuplicateAddress);
}

#[test]
fn one_address_behind_two_jump_hosts_is_two_hosts() {
    let twins = |other: &str| {
        let h2 = through(&JUMP.replace("192.0.2.1", other));
        let (_, found) = read(&[("instances/h1.yaml", &through(JUMP)), ("instances/h2.yaml", &h2)]);
        found.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>()
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
    assert_eq!(overriding("10.9.0.8").expect_err("one sshd")[0].code, Code::DuplicateAddress);
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
    assert_eq!(found[0].code, Code::PortOutsideRange);
    let (declaration, _) = read(&[]);
    let found = declaration.expect("readable").resolve(&"stagin".parse().expect("a name"), &Overrides::default());
    assert_eq!(found.expect_err("unknown")[0].hint.as_deref(), Some("did you mean `staging`?"));
}
