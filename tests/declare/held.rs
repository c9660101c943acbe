//! What this repository holds or writes itself: the starter, the example fleet, the schemas.

use evenkeel::{
    declare::{self, Overrides},
    model::{
        finding::{Code, Finding},
        name::FleetName,
        tree::{Entry, Tree},
    },
    report::findings,
};

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
    let others: Vec<Finding> = found.into_iter().filter(|finding| finding.code != Code::MissingHostKey).collect();
    assert!(declaration.is_some() && others.is_empty(), "{}", findings::text(&others, false));
}

/// Editors check the example as it is written: each file names its schema, which is there.
#[test]
fn every_file_of_the_example_names_its_schema() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for (folder, kind) in [
        ("fleet", "fleet"),
        ("fleet/environments", "environment"),
        ("fleet/instances", "instance"),
        ("fleet/services", "service"),
        ("fleet/sites", "site"),
    ] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file");
            let named = text.lines().next().and_then(|line| line.split_once("yaml-language-server: $schema="));
            let (_, named) = named.unwrap_or_else(|| panic!("{} names no schema", path.display()));
            let schema = path.with_file_name(named.trim()).canonicalize().expect("the schema is there");
            assert_eq!(schema, root.join(format!("schema/{kind}.json")), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 22, "{seen} files");
}
