//! What services and sites may ask of root: what is safe by itself, what `allow` grants, what nothing grants.

use evenkeel::{model::finding::Finding, report::findings};

use crate::{A, H1, a, read};

const FLEET: &str = "name: sophia\ndefaults: {user: ubuntu}\n";
const SITE: &str = "domain: example.org\non: [h1]\nfrontend: {source: {path: web}}\n";

/// Service A with a line more.
fn a_and(line: &str) -> String {
    format!("{A}{line}\n")
}

/// Service A as another user.
fn a_as(user: &str) -> String {
    a("{exec: ", &format!("{{user: {user}, exec: "))
}

/// Service A in a virtual environment, with these keys of `python` more.
fn a_with_netrc(path: &str) -> String {
    let index = "index: \"https://pypi.example.org/simple/\"";
    a("server.py}", &format!("server.py, python: {{requirements: r.txt, {index}, netrc: {path}}}}}"))
}

/// What is found in a fleet with these files.
fn found(changes: &[(&str, &str)]) -> Vec<Finding> {
    let (_, found) = read(&[&[("code/r.txt", "a==1\n")], changes].concat());
    found
}

/// Everything that is said, as `CODE FILE:LINE`.
fn said(changes: &[(&str, &str)]) -> Vec<String> {
    let place = |finding: &Finding| finding.place.as_ref().map(|place| format!("{}:{}", place.file, place.line));
    found(changes).iter().map(|f| format!("{} {}", f.code, place(f).unwrap_or_default())).collect()
}

/// The hint of the only finding.
#[track_caller]
fn hint(changes: &[(&str, &str)]) -> String {
    match found(changes).as_slice() {
        [only] => only.hint.clone().expect("it has a hint"),
        others => panic!("{}", findings::text(others, false)),
    }
}

/// A fleet whose `fleet.yaml` has this `allow`.
fn allowing(allow: &str) -> String {
    format!("{FLEET}allow: {{{allow}}}\n")
}

const NOTHING: [String; 0] = [];

#[test]
fn without_a_grant_a_service_gets_nothing_of_the_host() {
    let asking = [
        a_as("root"),
        a_as("nobody"),
        a_as("postgres"),
        a_and("env_file: /etc/other.env"),
        a_and("env_file: /etc/evenkeel.d/sophia/b/secret.env"),
        a_and("env_file: /etc/evenkeel.d/other/a/secret.env"),
        a_and("env_file: /etc/evenkeel.d/sophia/aa.env"),
        a_and("env_file: /etc/evenkeel/sophia/b@8101.env"),
        a_and("env_file: /proc/self/environ"),
        a_with_netrc("/etc/shadow"),
        a_with_netrc("/root/.netrc"),
        a_with_netrc("/etc/evenkeel.d/sophia/b/netrc"),
    ];
    for service in &asking {
        let said = said(&[("services/a.yaml", service)]);
        assert!(said.len() == 1 && said[0].starts_with("not-granted fleet/services/a.yaml:"), "{said:?}\n{service}");
    }
}

#[test]
fn a_service_needs_no_grant_for_the_default_user_and_files_of_its_own_folder() {
    let safe = [
        a_as("ubuntu"),
        a_and("env_file: /etc/evenkeel.d/sophia/a/secret.env"),
        a_and("env_file: /etc/evenkeel.d/sophia/a/more/secret.env"),
        a_with_netrc("/etc/evenkeel.d/sophia/a/netrc"),
        a_and("replaces: [old-a.service]"),
    ];
    for service in &safe {
        assert_eq!(said(&[("services/a.yaml", service)]), NOTHING, "{service}");
    }
}

#[test]
fn root_is_granted_by_its_name_and_by_no_default() {
    let default_root = FLEET.replace("ubuntu", "root");
    assert_eq!(said(&[("fleet.yaml", &default_root)]), ["not-granted fleet/fleet.yaml:2"]);
    assert_eq!(said(&[("fleet.yaml", &format!("{default_root}allow: {{users: [root]}}\n"))]), NOTHING);
    let root = a_as("root");
    assert_eq!(said(&[("fleet.yaml", &allowing("users: [root]")), ("services/a.yaml", &root)]), NOTHING);
    for other in ["users: [gong]", "env_files: [/**]"] {
        let said = said(&[("fleet.yaml", &allowing(other)), ("services/a.yaml", &root)]);
        assert_eq!(said, ["not-granted fleet/services/a.yaml:2"], "{other}");
    }
    // A user is a name: no pattern stands for everybody.
    assert_eq!(said(&[("fleet.yaml", &allowing("users: [\"*\"]"))])[0], "invalid-value fleet/fleet.yaml:3");
}

#[test]
fn a_grant_is_a_list_of_the_fleet() {
    let granted = [
        ("users: [gong]", a_as("gong")),
        ("env_files: [/etc/sophia/*.env]", a_and("env_file: /etc/sophia/a.env")),
        ("netrc: [/etc/netrc]", a_with_netrc("/etc/netrc")),
        ("replaces: [sophia-*]", a_and("replaces: [sophia-old.service]")),
    ];
    for (allow, service) in &granted {
        assert_eq!(said(&[("fleet.yaml", &allowing(allow)), ("services/a.yaml", service)]), NOTHING, "{allow}");
    }
    let beside = [
        ("users: [gong]", a_as("gongs")),
        ("env_files: [/etc/sophia/*.env]", a_and("env_file: /etc/sophia/x/a.env")),
        ("env_files: [/etc/sophia/*]", a_and("env_file: /etc/sophia/x/a.env")),
        ("env_files: [/etc/sophia]", a_and("env_file: /etc/sophia/a.env")),
        ("netrc: [/etc/netrc]", a_and("env_file: /etc/netrc")),
        ("replaces: [sophia-*]", a_and("replaces: [old.service]")),
        ("replaces: []", a_and("replaces: [old.service]")),
    ];
    for (allow, service) in &beside {
        let said = said(&[("fleet.yaml", &allowing(allow)), ("services/a.yaml", service)]);
        assert!(said.len() == 1 && said[0].starts_with("not-granted fleet/services/a.yaml:"), "{said:?}: {allow}");
    }
}

#[test]
fn what_keeps_a_host_reachable_is_replaced_by_nobody() {
    let kept = [
        "ssh.service",
        "sshd.service",
        "ssh@1.service",
        "SSH.service",
        "systemd-journald.service",
        "systemd-networkd.service",
        "dbus.service",
        "dbus-org.freedesktop.login1.service",
        "nginx.service",
        "cron.service",
        "getty@tty1.service",
        "serial-getty@ttyS0.service",
        "NetworkManager.service",
        "networking.service",
        "ifup@eth0.service",
        "wpa_supplicant.service",
        "cloud-init.service",
        "user@0.service",
        "evenkeel.service",
        "evenkeel-sophia.service",
    ];
    for unit in kept {
        let service = a_and(&format!("replaces: [old.service, {unit}]"));
        for fleet in [FLEET.to_owned(), allowing("replaces: [\"*\"]")] {
            let said = said(&[("fleet.yaml", &fleet), ("services/a.yaml", &service)]);
            assert_eq!(said, ["kept-unit fleet/services/a.yaml:5"], "{unit}");
        }
        let granted = allowing(&format!("replaces: [{unit}]"));
        assert_eq!(said(&[("fleet.yaml", &granted)]), ["kept-unit fleet/fleet.yaml:3"], "{unit}");
    }
}

#[test]
fn what_a_site_replaces_is_held_against_the_same_grants() {
    let site = |unit: &str| format!("{SITE}replaces: [{unit}]\n");
    let said = |allow: &str, unit: &str| said(&[("fleet.yaml", &allowing(allow)), ("sites/s.yaml", &site(unit))]);
    assert_eq!(said("", "apache2.service"), NOTHING);
    assert_eq!(said("replaces: [apache2.service]", "apache2.service"), NOTHING);
    assert_eq!(said("replaces: [sophia-*]", "apache2.service"), ["not-granted fleet/sites/s.yaml:4"]);
    for unit in ["ssh.service", "nginx.service", "systemd-networkd.service"] {
        assert_eq!(said("replaces: [\"*\"]", unit), ["kept-unit fleet/sites/s.yaml:4"], "{unit}");
    }
}

#[test]
fn an_overlay_is_no_way_around_a_grant() {
    let python = "python: {requirements: r.txt, netrc: /etc/shadow}";
    let overlays = [
        ("run: {exec: /bin/a, user: root}", "not-granted"),
        (&format!("run: {{exec: /bin/a, {python}}}"), "not-granted"),
        ("env_file: /etc/other.env", "not-granted"),
        ("replaces: [ssh.service]", "kept-unit"),
    ];
    for (overlay, code) in overlays {
        let service = a_and(&format!("in: {{production: {{{overlay}}}}}"));
        assert_eq!(said(&[("services/a.yaml", &service)]), [format!("{code} fleet/services/a.yaml:5")], "{overlay}");
    }
    // One that takes the request away is heard, too.
    let service = a_and("env_file: /etc/other.env\nin: {production: {env_file: /etc/evenkeel.d/sophia/a/x.env}}");
    assert_eq!(said(&[("services/a.yaml", &service)]), NOTHING);
    let tls = "tls: {certificate: /etc/shadow, key: /etc/ssl/a.key}";
    let site = format!("{SITE}in: {{production: {{{tls}}}}}\n");
    assert_eq!(said(&[("sites/s.yaml", &site)]), ["not-granted fleet/sites/s.yaml:4"]);
}

#[test]
fn a_site_names_certificates_and_acme_folders_where_such_things_lie() {
    let site = |line: &str| format!("{SITE}{line}\n");
    let safe = [
        "tls: {certificate: /etc/ssl/certs/a.pem, key: /etc/ssl/private/a.key}",
        "tls: {certificate: /etc/letsencrypt/live/a/fullchain.pem, key: /etc/letsencrypt/live/a/privkey.pem}",
        "acme_root: /srv/acme",
        "acme_root: /var/www/html",
    ];
    for line in safe {
        assert_eq!(said(&[("sites/s.yaml", &site(line))]), NOTHING, "{line}");
    }
    let asking = [
        "tls: {certificate: /etc/shadow, key: /etc/ssl/a.key}",
        "tls: {certificate: /etc/ssl/a.pem, key: /root/.ssh/id_ed25519}",
        "tls: {certificate: /etc/ssl/a.pem, key: /etc/ssh/ssh_host_ed25519_key}",
        "acme_root: /etc",
        "acme_root: /root",
        "acme_root: /srvs/acme",
    ];
    for line in asking {
        assert_eq!(said(&[("sites/s.yaml", &site(line))]), ["not-granted fleet/sites/s.yaml:4"], "{line}");
    }
    // A list stands in place of these folders.
    let own = site("tls: {certificate: /etc/own/a.pem, key: /etc/own/a.key}\nacme_root: /opt/acme");
    let fleet = allowing("tls: [/etc/own/*], acme: [/opt/acme]");
    assert_eq!(said(&[("fleet.yaml", &fleet), ("sites/s.yaml", &own)]), NOTHING);
    let acme = site("acme_root: /srv/acme");
    assert_eq!(said(&[("fleet.yaml", &fleet), ("sites/s.yaml", &acme)]), ["not-granted fleet/sites/s.yaml:4"]);
}

#[test]
fn packages_are_limited_where_a_list_is_given() {
    let h1 = format!("{H1}packages: [nginx-light, jq]\n");
    assert_eq!(said(&[("instances/h1.yaml", &h1)]), NOTHING);
    let fleet = allowing("packages: [nginx-*]");
    let said = said(&[("fleet.yaml", &fleet), ("instances/h1.yaml", &h1)]);
    assert_eq!(said, ["not-granted fleet/instances/h1.yaml:6"]);
}

#[test]
fn an_instance_narrows_what_the_fleet_grants_and_adds_nothing() {
    let h1 = |allow: &str| format!("{H1}allow: {{{allow}}}\n");
    let (gong, fleet) = (a_as("gong"), allowing("users: [gong, root]"));
    let with = |instance: &str, fleet: &str, service: &str| {
        said(&[("fleet.yaml", fleet), ("instances/h1.yaml", &h1(instance)), ("services/a.yaml", service)])
    };
    assert_eq!(with("users: [gong]", &fleet, &gong), NOTHING);
    assert_eq!(with("env_files: []", &fleet, &gong), NOTHING, "a list of another kind narrows nothing here");
    for narrower in ["users: [root]", "users: []"] {
        assert_eq!(with(narrower, &fleet, &gong), ["not-granted fleet/services/a.yaml:2"], "{narrower}");
    }
    assert_eq!(with("users: [gong]", FLEET, &gong), ["not-granted fleet/services/a.yaml:2"], "it adds nothing");
    assert_eq!(with("replaces: []", FLEET, &a_and("replaces: [old.service]")), ["not-granted fleet/services/a.yaml:5"]);
    let own = a_and("env_file: /etc/evenkeel.d/sophia/a/secret.env");
    assert_eq!(with("env_files: [/etc/evenkeel.d/sophia/b/*]", FLEET, &own), ["not-granted fleet/services/a.yaml:5"]);
    // What runs elsewhere is none of its business.
    assert_eq!(with("users: [root]", &fleet, &gong.replace("[h1]", "[h2]")), NOTHING);
}

#[test]
fn a_refusal_names_the_line_and_the_file_that_would_grant_it() {
    let env_file = a_and("env_file: /etc/other.env");
    let of = |fleet: &str, service: &str| hint(&[("fleet.yaml", fleet), ("services/a.yaml", service)]);
    assert!(of(FLEET, &env_file).contains("`allow: {env_files: [/etc/other.env]}` to fleet/fleet.yaml"));
    assert!(of(FLEET, &env_file).contains("/etc/evenkeel.d/sophia/a/"));
    assert!(
        of(&allowing("users: [gong]"), &env_file)
            .contains("`env_files: [/etc/other.env]` to `allow` in fleet/fleet.yaml")
    );
    assert!(of(&allowing("env_files: [/etc/a]"), &env_file).contains("`/etc/other.env` to the list `allow.env_files`"));
    let h1 = format!("{H1}allow: {{users: []}}\n");
    let changes =
        [("fleet.yaml", &*allowing("users: [gong]")), ("instances/h1.yaml", &h1), ("services/a.yaml", &a_as("gong"))];
    assert!(hint(&changes).contains("`gong` to the list `allow.users` in fleet/instances/h1.yaml"));
}

/// The line that a hint names, written into the file that it names, grants what was refused.
#[test]
fn the_line_of_a_hint_grants_what_was_refused() {
    let site = |line: &str| ("sites/s.yaml", format!("{SITE}{line}\n"));
    let cases = [
        ("services/a.yaml", a_as("gong")),
        ("services/a.yaml", a_and("env_file: \"/etc/a,b=c:d@e+.env\"")),
        ("services/a.yaml", a_with_netrc("/etc/netrc")),
        site("tls: {certificate: /etc/own/a.pem, key: /etc/ssl/a.key}"),
        site("acme_root: /opt/acme"),
    ];
    for (file, text) in &cases {
        let hint = hint(&[(file, text)]);
        let line = hint.split('`').nth(1).expect("a line");
        assert_eq!(said(&[("fleet.yaml", &format!("{FLEET}{line}\n")), (file, text)]), NOTHING, "{hint}");
    }
}

#[test]
fn a_list_of_grants_is_bounded() {
    let entries: Vec<String> = (0..1001).map(|number| format!("/etc/a{number}")).collect();
    let fleet = allowing(&format!("env_files: [{}]", entries.join(", ")));
    assert_eq!(said(&[("fleet.yaml", &fleet)]), ["invalid-value fleet/fleet.yaml:3"]);
    let bad = allowing("env_files: [etc/a, /etc/../a, \"/etc/${service.a.url}\", /etc//a]");
    assert_eq!(said(&[("fleet.yaml", &bad)])[..4], ["invalid-value fleet/fleet.yaml:3"; 4]);
}
