//! Who may import whom, and what pure modules never name: `ARCHITECTURE.md`, checked on the text of `src/`.
//!
//! A module imports only from rows above its own. Rows 1 and 2 are pure. Every file says what it is in a
//! `//!` header, and none has more than 800 lines. The rules are about text, not types: simple enough to
//! be read, and each is shown below to fail on a made-up source.

#[path = "layering/custody.rs"]
mod custody;
#[path = "layering/paths.rs"]
mod paths;
#[path = "layering/recursion.rs"]
mod recursion;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use paths::{code, paths, without_tests};

/// The rows, as in `ARCHITECTURE.md`. A module that is not here fails the test.
const ROWS: &[(&str, u8)] = &[
    ("model", 1),
    ("declare", 2),
    ("render", 2),
    ("plan", 2),
    ("decide", 2),
    ("report", 2),
    ("net", 3),
    ("host", 4),
    ("git", 4),
    ("github", 4),
    ("release", 4),
    ("lab", 4),
    ("engine", 5),
    ("pulls", 6),
    ("server", 6),
    ("cli", 7),
];

const LAST_PURE_ROW: u8 = 2;

/// The folders of the engine, each above the one before.
const ENGINE: &[&str] = &["prepare", "history", "observe", "execute", "sync", "controller", "requests"];

/// What a pure module never names, by the beginning of a path. Of `std::net` it may name the values below.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "axum",
    "git2",
    "hyper",
    "hyper_util",
    "indicatif",
    "notify",
    "rand",
    "reqwest",
    "russh",
    "rustix",
    "tokio",
    "tokio_util",
];

/// Paths that end so read a clock.
const CLOCKS: &[&str] = &["Utc::now", "Local::now", "Instant::now", "SystemTime::now"];

/// Modules whose parts are told one by one: a pure module names the part.
const NEVER_WHOLE: &[&str] = &["std::*", "std::time", "std::time::*", "chrono::*"];

/// What is a value although it looks like the world.
const VALUES: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::SocketAddrV4",
    "std::net::SocketAddrV6",
    "std::net::AddrParseError",
];

/// Exceptions, each with its module: whether a pinned key is a key can only be told by parsing it.
const ALLOWED: &[(&str, &str)] = &[("declare", "russh::keys")];

/// Modules that read what others wrote as it comes: nothing in them calls itself, for the depth of what is read is others'
/// choice. What only looks so, or is bounded, is named with its reason.
const UNROLLED: &[&str] = &["git", "release", "host", "github", "plan", "engine", "pulls", "server"];
const NOT_RECURSION: &[(&str, &str)] = &[
    // A value of the same name is called.
    ("src/engine/prepare/attempts.rs", "change"),
    ("src/engine/history/store.rs", "call"),
    ("src/host/health.rs", "script"),
    // Once more after a build, and then nothing is left to be built.
    ("src/engine/sync/environment.rs", "bring"),
    // As deep as the path that a person names.
    ("src/git/restore.rs", "replaced"),
];

const LONG: usize = 400;
const TOO_LONG: usize = 800;

#[test]
fn modules_import_only_from_rows_above_and_rows_1_and_2_are_pure() {
    assert_eq!(complaints(&sources(), imports), Vec::<String>::new());
}

#[test]
fn the_engines_folders_are_a_stack() {
    assert_eq!(complaints(&sources(), folders), Vec::<String>::new());
    let found = |path: &str, text: &str| complaints(&[(path.to_owned(), text.to_owned())], folders).len();
    assert_eq!(found("src/engine/observe/a.rs", "use crate::engine::{history::log, sync::deploy};"), 1);
    assert_eq!(found("src/engine/observe/a.rs", "fn f() { crate::engine::requests::why::why(); }"), 1);
    assert_eq!(found("src/engine/observe/mod.rs", "use super::execute::executor;"), 1);
    assert_eq!(found("src/engine/observe/a.rs", "use super::super::controller;"), 1);
    assert_eq!(found("src/engine/unheard_of/a.rs", ""), 1, "a new folder has to have a place");
    assert_eq!(found("src/engine/requests/a.rs", "use crate::engine::{Watch, controller, prepare};"), 0);
    assert_eq!(found("src/engine/observe/a.rs", "use super::execute;"), 0, "that is a file of its own folder");
    let files = sources();
    let folder = |path: &str| Some(path.strip_prefix("src/engine/")?.split_once('/')?.0.to_owned());
    let known: BTreeSet<String> = files.iter().filter_map(|(path, _)| folder(path)).collect();
    assert_eq!(known, ENGINE.iter().map(|folder| (*folder).to_owned()).collect(), "src/engine on the left");
}

#[test]
fn every_file_says_what_it_is() {
    let files = [sources(), read_folder("tests"), read_folder("benches")].concat();
    assert_eq!(complaints(&files, header), Vec::<String>::new());
}

#[test]
fn no_file_is_long() {
    let files = [sources(), read_folder("tests"), read_folder("benches")].concat();
    for (path, text) in &files {
        let lines = text.lines().count();
        if lines > LONG {
            println!("{path} has {lines} lines; {LONG} is the aim");
        }
    }
    assert_eq!(complaints(&files, length), Vec::<String>::new());
}

#[test]
fn nothing_calls_itself_over_outside_data() {
    assert_eq!(complaints(&sources(), recursion), Vec::<String>::new());
    let found = |text: &str| complaints(&[("src/git/a.rs".to_owned(), text.to_owned())], recursion);
    assert_eq!(found("fn f(x: u8) { g(x); self.h.f(x); A::f(); }\nfn g() { f() }"), Vec::<String>::new());
    for text in ["fn f() { if x { f(); } }", "fn f(&self) { self.f(1) }", "fn f() { Self::f (1) }"] {
        assert_eq!(found(text), ["src/git/a.rs: `f` calls itself; walk with a stack of your own"], "{text}");
    }
}

#[test]
fn every_module_has_a_row() {
    let library = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs can be read");
    let mut declared: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut known: Vec<&str> = ROWS.iter().map(|(module, _)| *module).collect();
    declared.sort_unstable();
    known.sort_unstable();
    assert_eq!(declared, known, "src/lib.rs on the left, ROWS on the right");
}

/// A check that cannot fail shows nothing: each rule, on sources that break it and on such that do not.
#[test]
fn the_rules_can_fail() {
    let found = |path: &str, text: &str| complaints(&[(path.to_owned(), text.to_owned())], imports).join("\n");

    // Rows.
    for (path, text) in [
        ("src/model/a.rs", "use crate::declare::read;"),
        ("src/plan/a.rs", "use crate::render::paths;"),
        ("src/plan/a.rs", "use crate::{\n    model::name::Name,\n    report::{self, text},\n};"),
        ("src/plan/a.rs", "fn f() { let x = crate::engine::look(); }"),
        ("src/host/mod.rs", "pub use super::git;"),
        ("src/host/a.rs", "use super::super::{git::Repository, model};"),
        ("src/engine/a.rs", "use crate::cli;"),
        ("src/engine/a.rs", "use crate::*;"),
        ("src/engine/a.rs", "use evenkeel::server;"),
        ("src/model/a.rs", "use crate::unheard_of::Thing;"),
        // What comes after a module of tests is no test.
        ("src/plan/a.rs", "#[cfg(test)]\nmod tests {\n}\nuse crate::host::Host;\n"),
    ] {
        assert!(found(path, text).contains("imports"), "{path}: {text}");
    }
    for (path, text) in [
        ("src/plan/a.rs", "use crate::{model::plan, plan::order};"),
        ("src/plan/a/b.rs", "use super::super::order;"),
        ("src/engine/a.rs", "use crate::{decide, git, host, lab, model, plan, release, render, report};"),
        ("src/cli/a.rs", "use crate::{engine, server};"),
        ("src/model/a.rs", "// use crate::cli;\n/* crate::cli /* crate::cli */ */\nconst A: &str = \"crate::cli\";"),
        ("src/model/a.rs", "const A: &str = r#\"use \"crate::cli;\"#; const B: char = '\"'; fn f<'a>(_: &'a str) {}"),
        ("src/plan/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::render;\n}\n"),
        ("src/plan/tests.rs", "use crate::render;"),
    ] {
        assert_eq!(found(path, text), "", "{path}: {text}");
    }

    // Purity.
    for text in [
        "use std::fs;",
        "use std::{collections::BTreeMap, fs::File};",
        "fn f() { std::env::var(\"HOME\"); }",
        "use std::net::TcpStream;",
        "use std::net;",
        "use std::{net::{IpAddr, ToSocketAddrs}};",
        "use std::{time::{Duration, Instant}};",
        "use std::time;",
        "fn f() { chrono::Utc::now(); }",
        "use chrono::Utc;\nfn f() { Utc::now(); }",
        "use tokio::sync::mpsc;",
        "use ::tokio::sync::mpsc;",
        "fn f() { rand::random::<u8>(); }",
        "use russh::client;",
        "use git2::Oid;",
    ] {
        assert!(found("src/decide/a.rs", text).contains("pure"), "{text}");
        assert_eq!(found("src/engine/a.rs", text), "", "{text}");
    }
    for text in [
        "use std::{net::IpAddr, time::Duration};",
        "fn f() { std::net::IpAddr::from([0, 0, 0, 0]); }",
        "use chrono::{DateTime, Utc};",
        "struct S { rand: u8 } fn f(s: S) { s.rand; }",
        "mod fs; use fs::x;",
    ] {
        assert_eq!(found("src/decide/a.rs", text), "", "{text}");
    }
    assert_eq!(found("src/declare/a.rs", "use russh::keys::PublicKey;"), "");

    // Header and length.
    let one = |text: &str, rule| complaints(&[("src/a.rs".to_owned(), text.to_owned())], rule).len();
    assert_eq!(one("use std::fs;\n", header), 1);
    assert_eq!(one("//!\nuse std::fs;\n", header), 1, "an empty header says nothing");
    assert_eq!(one("//! What it is.\n", header), 0);
    assert_eq!(one(&"\n".repeat(TOO_LONG), length), 0);
    assert_eq!(one(&"\n".repeat(TOO_LONG + 1), length), 1);
}

type Rule = fn(&str, &str, &mut Vec<String>);

fn complaints(files: &[(String, String)], rule: Rule) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in files {
        rule(path, text, &mut complaints);
    }
    complaints
}

fn header(path: &str, text: &str, complaints: &mut Vec<String>) {
    let says = |line: &str| line.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    if !text.lines().next().is_some_and(says) {
        complaints.push(format!("{path}:1 does not begin with a `//!` header that says what the file is"));
    }
}

fn length(path: &str, text: &str, complaints: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > TOO_LONG {
        complaints.push(format!("{path} has {lines} lines, more than {TOO_LONG}"));
    }
}

fn imports(path: &str, text: &str, complaints: &mut Vec<String>) {
    let Some(below) = path.strip_prefix("src/") else { return };
    let Some((module, rest)) = below.split_once('/') else { return };
    // Tests may build their values with whatever is at hand.
    if rest.split('/').any(|part| part == "tests.rs" || part == "tests") {
        return;
    }
    let Some(row) = row_of(module) else {
        complaints.push(format!("{path} is in a module without a row: it imports from nobody knows where"));
        return;
    };
    // How many `super::` lead out of the module: one from its mod.rs, one more for each level below.
    let depth = rest.split('/').count() - usize::from(rest.ends_with("mod.rs"));
    for (line, found) in paths(&without_tests(&code(text))) {
        if let Some(other) = foreign(&found, depth)
            && other != module
            && row_of(other).is_none_or(|other| other >= row)
        {
            complaints.push(format!("{path}:{line} imports `{found}`; {module} (row {row}) sees only the rows above"));
        }
        if row <= LAST_PURE_ROW && is_impure(&found, module) {
            complaints.push(format!("{path}:{line} names `{found}`; {module} (row {row}) is pure"));
        }
    }
}

/// What a folder of the engine imports from one that is not below it. So no circle of files leads across folders.
fn folders(path: &str, text: &str, complaints: &mut Vec<String>) {
    let Some((folder, rest)) = path.strip_prefix("src/engine/").and_then(|below| below.split_once('/')) else { return };
    let place = |name: &str| ENGINE.iter().position(|folder| *folder == name);
    let Some(own) = place(folder) else {
        complaints.push(format!("{path}: {folder} has no place among the engine's folders"));
        return;
    };
    let depth = rest.split('/').count() - usize::from(rest.ends_with("mod.rs"));
    for (line, found) in paths(&without_tests(&code(text))) {
        let words: Vec<&str> = found.split("::").collect();
        let supers = words.iter().take_while(|word| **word == "super").count();
        let other = match words[..] {
            ["crate", "engine", other, ..] => Some(other),
            _ if supers == depth + 1 => words.get(supers).copied(),
            _ => None,
        };
        if let Some(other) = other.and_then(place)
            && other > own
        {
            complaints.push(format!("{path}:{line} imports `{found}`; {folder} sees only the folders below it"));
        }
    }
}

/// Functions that call themselves by name. That two call one another is not seen.
fn recursion(path: &str, text: &str, complaints: &mut Vec<String>) {
    let module = path.strip_prefix("src/").and_then(|rest| rest.split_once('/')).map(|(module, _)| module);
    if module.is_none_or(|module| !UNROLLED.contains(&module)) {
        return;
    }
    let code = without_tests(&code(text));
    for (at, _) in code.match_indices("fn ") {
        let rest = &code[at + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (Some(open), end) = (rest.find('{'), rest.find(';').unwrap_or(usize::MAX)) else { continue };
        if name.is_empty() || end < open || NOT_RECURSION.contains(&(path, name.as_str())) {
            continue;
        }
        let mut depth = 0;
        let body = rest[open..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        let body = &rest[open..open + body.unwrap_or(rest.len() - open)];
        let calls = body.match_indices(&name).any(|(at, _)| {
            let (before, after) = (&body[..at], body[at + name.len()..].trim_start());
            let is_own = before.ends_with("self.") && !before.ends_with("..self.") || before.ends_with("Self::");
            let is_alone = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':'));
            after.starts_with('(') && (is_own || is_alone && !before.ends_with("fn "))
        });
        if calls {
            complaints.push(format!("{path}: `{name}` calls itself; walk with a stack of your own"));
        }
    }
}

fn row_of(module: &str) -> Option<u8> {
    ROWS.iter().find(|(name, _)| *name == module).map(|(_, row)| *row)
}

/// The top module that a path leads to, if it leaves the file's own.
fn foreign(path: &str, depth: usize) -> Option<&str> {
    let mut words = path.split("::");
    let supers = path.split("::").take_while(|word| *word == "super").count();
    match words.next()? {
        "crate" | "evenkeel" => words.next(),
        "super" if supers > depth => path.split("::").nth(supers),
        _ => None,
    }
}

fn is_impure(path: &str, module: &str) -> bool {
    let begins = |with: &str| path == with || path.strip_prefix(with).is_some_and(|rest| rest.starts_with("::"));
    if ALLOWED.iter().any(|(of, allowed)| *of == module && begins(allowed)) || VALUES.iter().any(|value| begins(value))
    {
        return false;
    }
    // A word alone is a name of the file's own: a field `rand`, a variable `notify`.
    path.contains("::") && IMPURE.iter().any(|impure| begins(impure))
        || NEVER_WHOLE.contains(&path)
        || CLOCKS.iter().any(|clock| path == *clock || path.ends_with(&format!("::{clock}")))
}

/// What pure modules read was written by others: by people, on hosts, on GitHub.
#[test]
fn no_pure_module_recurses_but_where_the_depth_is_bounded() {
    let mut found = BTreeSet::new();
    for (path, text) in sources() {
        let module = path.strip_prefix("src/").and_then(|path| path.split(['/', '.']).next()).unwrap_or_default();
        let is_pure = ROWS.iter().any(|(name, row)| *name == module && *row <= LAST_PURE_ROW);
        if is_pure && !path.ends_with("/tests.rs") {
            let recursive = recursion::recursive(&without_tests(&code(&text)));
            found.extend(recursive.into_iter().map(|name| (path.clone(), name)));
        }
    }
    let known = recursion::BOUNDED.iter().map(|(path, name, _)| ((*path).to_owned(), (*name).to_owned())).collect();
    assert_eq!(found, known, "write it as a loop, or name what bounds it in tests/layering/recursion.rs");
}

#[test]
fn recursion_is_seen_straight_and_by_way_of_others() {
    let of = |text: &str| recursion::recursive(&code(text)).into_iter().collect::<Vec<_>>();
    assert_eq!(of("fn a(x: u8) { if x > 0 { a(x - 1) } }\nfn b() { a(1) }"), ["a"]);
    assert_eq!(of("impl A { fn a(&self) { self.b() }\n fn b(&self) { Self::a(self) } }"), ["a", "b"]);
    assert!(of("fn new() { B::new() }\nfn cmp(a: A) { a.0.cmp(1) }\nfn say() { \"say(1)\"; }").is_empty());
}

/// The files of `src/`, by path from the repository's root.
fn sources() -> Vec<(String, String)> {
    let files = read_folder("src");
    let modules: BTreeSet<&str> =
        files.iter().filter_map(|(path, _)| Some(path.strip_prefix("src/")?.split_once('/')?.0)).collect();
    // A test that reads nothing passes: every module must have been seen.
    assert!(ROWS.iter().all(|(module, _)| modules.contains(module)), "only {modules:?} were found");
    files
}

fn read_folder(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be read") {
            let path = entry.expect("a folder of the repository can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source can be read");
                files.push((from_root(&path), text));
            }
        }
    }
    files.sort();
    files
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
