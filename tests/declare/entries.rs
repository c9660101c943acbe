//! What lies in the folder: links, submodules, broken files, and where the folder lies.

use evenkeel::{
    declare::{self, Overrides},
    model::tree::{Entry, Tree},
    report::findings,
};

use crate::{A, read, tree};

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
