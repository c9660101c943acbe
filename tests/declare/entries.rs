//! What lies in the folder: links, submodules, broken files, and where the folder lies.

use evenkeel::{
    declare::{self, Overrides},
    model::{
        finding::{Code, Finding},
        tree::{Entry, Tree},
    },
    report::findings,
};

use crate::{A, H1, H3, read, tree};

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

/// The codes of what is said of `file`, in its order.
fn codes_at<'a>(found: &'a [Finding], file: &str) -> Vec<&'a str> {
    let here = |finding: &&Finding| finding.place.as_ref().is_some_and(|place| place.file.ends_with(file));
    found.iter().filter(here).map(|finding| finding.code.as_str()).collect()
}

fn shown(found: &[Finding]) -> String {
    findings::text(found, false)
}

#[test]
fn one_broken_file_does_not_hide_or_invent_findings_elsewhere() {
    let b = format!("{A}after: [a]\nenv: {{A: \"${{service.a.url}}\", C: \"${{service.c.url}}\"}}\n")
        .replace("8100", "8101");
    let (declaration, found) = read(&[("services/a.yaml", "port: x\n"), ("services/b.yaml", &b)]);
    assert!(declaration.is_none());
    assert_eq!(codes_at(&found, "a.yaml"), ["missing-key", "missing-key", "missing-key", "wrong-type"]);
    assert_eq!(codes_at(&found, "b.yaml"), ["unknown-service"]);
    for broken in ["instances/h1.yaml", "environments/production.yaml"] {
        let (_, found) = read(&[(broken, "ports: x\n")]);
        let last = found.last().expect("a finding");
        assert_eq!((last.code.as_str(), last.place.is_none()), ("not-checked", true));
        assert!(last.message.starts_with(&format!("`fleet/{broken}` cannot be read yet")), "{}", shown(&found));
        assert_eq!(codes_at(&found, broken).len(), found.len() - 1, "{}", shown(&found));
    }
}

/// Mistakes of one kind do not hide those of another, in the file that has them.
#[test]
fn a_file_is_told_all_its_mistakes_at_once() {
    let twice_and_wrong = [
        ("fleet.yaml", "name: sophia\nname: sophia\ndefaults: {user: 5, usr: x}\nssh: {port: x}\n"),
        ("environments/staging.yaml", "branch: next\nbranch: main\nlost_after: 5\n"),
        ("instances/h3.yaml", "environment: staging\naddress: fd00::3\naddress: fd00::4\nports: x\n"),
        ("services/a.yaml", "run: {exec: /bin/a}\nport: x\nrun: {exec: 1}\n"),
        ("sites/s.yaml", "domain: a.example\ndomain: b.example\non: h1\n"),
    ];
    for (file, text) in twice_and_wrong {
        let (declaration, found) = read(&[(file, text)]);
        assert!(declaration.is_none());
        let codes = codes_at(&found, file);
        assert_eq!(codes.iter().filter(|code| **code == "duplicate-key").count(), 1, "{}", shown(&found));
        assert!(codes.len() > 1, "{}", shown(&found));
    }
    let overrides = "network_namespace: a\nnetwork_namespace: b\ninstances: {h1: {adress: 10.0.0.9}}\n";
    let found = declare::read_overrides(overrides, "lab.yaml").expect_err("two mistakes");
    assert_eq!(codes_at(&found, "lab.yaml"), ["duplicate-key", "unknown-key"]);
    // What the schema takes and the type refuses.
    let (_, found) = read(&[("instances/h3.yaml", &H3.replace("8100-8199", "8199-8100\nprts: 1"))]);
    assert_eq!(codes_at(&found, "h3.yaml"), ["invalid-value", "unknown-key"], "{}", shown(&found));
}

#[test]
fn what_lacks_no_more_than_keys_is_checked_against_the_rest_and_never_resolved() {
    let site = "domain: example.org\non: [h9]\nroutes:\n  /api/: {service: aa, keep: true}\n";
    for (mistake, code) in [("helth: {http: /}\n", "unknown-key"), ("port: 8101\n", "duplicate-key")] {
        let a = A.replace("[h1]", "[h1, web-9]") + "after: [b]\n" + mistake;
        let (declaration, found) = read(&[("services/a.yaml", &a), ("sites/s.yaml", site)]);
        assert!(declaration.is_none());
        let mut codes = codes_at(&found, "a.yaml");
        codes.sort_unstable();
        let mut expected = vec!["unknown-instance", "unknown-service", code];
        expected.sort_unstable();
        assert_eq!(codes, expected, "{}", shown(&found));
        assert_eq!(codes_at(&found, "s.yaml"), ["unknown-instance", "unknown-service", "unknown-key"]);
        assert_eq!(found.len(), 6, "all was checked:\n{}", shown(&found));
        // With no other mistake either there is nothing to resolve from.
        let (declaration, found) = read(&[("services/a.yaml", &(A.to_owned() + mistake))]);
        assert!(declaration.is_none() && found.len() == 1, "{}", shown(&found));
    }
    // A key that is free is not an unknown one.
    let (declaration, found) = read(&[("services/a.yaml", &format!("{A}x-helth: 1\n"))]);
    assert!(declaration.is_some() && found.is_empty(), "{}", shown(&found));
}

/// A key that is misspelt in one file may be all that another one needs.
#[test]
fn nothing_is_said_of_a_file_on_the_strength_of_another_with_mistakes() {
    let unknown_alone = |changes: &[(&str, &str)]| {
        let (_, found) = read(changes);
        assert!(found.iter().all(|finding| finding.code == Code::UnknownKey), "{}", shown(&found));
        assert!(!found.is_empty());
    };
    let b = |more: &str| A.replace("8100", "8101") + more;
    let site = |more: &str| format!("domain: example.org\non: [h1]\nroutes: {{/: {{service: a}}}}\n{more}");
    // It is there in production, and in staging by a key that is not read.
    let a = format!("{A}inn: {{staging: {{place: {{on: [h3]}}}}}}\n");
    let staging = b("env: {URL: \"${service.a.url}\"}\n").replace("h1", "h3");
    unknown_alone(&[("services/a.yaml", &a), ("services/b.yaml", &staging)]);
    unknown_alone(&[("services/a.yaml", &a), ("sites/s.yaml", &site("").replace("h1", "h3"))]);
    let a = A.replace("{on: [h1]}", "{where: {role: web}, replicaz: 1}");
    unknown_alone(&[("services/a.yaml", &a), ("services/b.yaml", &b("env: {URL: \"${service.a.url}\"}\n"))]);
    let any = site("in: {production: {domian: example.org}}\n").replace("domain: example.org", "domain: _");
    unknown_alone(&[("sites/s.yaml", &any), ("services/a.yaml", &(A.to_owned() + "env: {URL: \"${site.s.url}\"}\n"))]);
    let h1 = H1.replace("8100-8199", "80-8199");
    let moved = site("in: {production: {onn: [h2]}}\n");
    unknown_alone(&[
        ("instances/h1.yaml", &h1),
        ("sites/s.yaml", &moved),
        ("services/a.yaml", &A.replace("8100", "80")),
    ]);
    // What two claim is said of the one that has to be mended anyway.
    let (_, found) = read(&[
        ("services/a.yaml", &format!("{A}after: [b]\nin: {{production: {{prt: 8102}}}}\n")),
        ("services/b.yaml", &format!("{A}after: [a]\n")),
    ]);
    assert_eq!(codes_at(&found, "a.yaml"), ["port-taken", "after-cycle", "unknown-key"], "{}", shown(&found));
    assert_eq!(found.len(), 3, "{}", shown(&found));
    let (_, found) = read(&[
        ("services/b.yaml", &(b("env: {URL: \"${service.z.url}\"}\n"))),
        ("services/z.yaml", &(A.replace("8100", "8102") + "env: {URL: \"${service.b.url}\"}\nevn: {}\n")),
        ("sites/s.yaml", &site("domian: a\n")),
        ("sites/t.yaml", &site("")),
    ]);
    assert_eq!(codes_at(&found, "z.yaml"), ["reference-cycle", "unknown-key"], "{}", shown(&found));
    assert_eq!(codes_at(&found, "s.yaml"), ["route-taken", "unknown-key"], "{}", shown(&found));
    assert_eq!(found.len(), 4, "{}", shown(&found));
}

#[test]
fn a_broken_fleet_yaml_hides_no_mistake_within_a_file_and_what_it_does_hide_is_said() {
    let a = A.replace("h1", "h9") + "helth: {}\nport: 8101\n";
    let changes = [("fleet.yaml", "nme: sophia\n"), ("instances/h1.yaml", "ports: [\n"), ("services/a.yaml", &a)];
    let (declaration, found) = read(&changes);
    assert!(declaration.is_none());
    assert_eq!(codes_at(&found, "fleet.yaml"), ["missing-key", "unknown-key"]);
    assert_eq!(codes_at(&found, "h1.yaml"), ["yaml-syntax"]);
    assert_eq!(codes_at(&found, "a.yaml"), ["unknown-key", "duplicate-key"]);
    let said = "`fleet.yaml` cannot be read yet, so no file was checked against the others";
    let last = found.last().expect("a finding");
    assert_eq!((last.code.as_str(), last.message.as_str(), found.len()), ("not-checked", said, 6));
    assert!(findings::github(&found).ends_with(&format!("::warning title=not-checked::{said}\n")));
    assert!(shown(&found).ends_with(&format!("warning[not-checked]: {said}\n\n5 errors, 1 warning\n")));
    // Where there is nothing else, there is nothing to check.
    let mut lonely = Tree::default();
    let fleet = Entry::File { content: (*b"nme: sophia\n").into(), executable: false };
    lonely.insert("fleet/fleet.yaml", fleet).expect("a plain path");
    let (_, found) = declare::read(&lonely, "fleet");
    assert_eq!(codes_at(&found, "fleet.yaml").len(), found.len(), "{}", shown(&found));
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
