//! The declared fleet from outside: data in, shown text out.

mod codes;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../support/dice.rs"]
mod dice;
mod early;
mod entries;
mod grants;
mod held;

mod hostile;
mod newcomers;
mod requirements;
mod resolve;

use std::{collections::BTreeMap, sync::Arc};

use evenkeel::{
    declare::{self, Overrides},
    model::{
        finding::Finding,
        fleet::Fleet,
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

const A: &str = "\
source: {path: code}
run: {exec: /usr/bin/python3 server.py}
place: {on: [h1]}
port: 8100
";

/// h1, reached through a jump host.
fn through(jump: &str) -> String {
    format!("{H1}ssh: {{jump: {jump}}}\n")
}

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

const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

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
