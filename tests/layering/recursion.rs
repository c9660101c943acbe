//! Which functions call themselves, by way of others of their file or straight. Of what strangers wrote, recursion is as
//! deep as they please: a stack that is full ends the process, whatever it was doing.

use std::collections::{BTreeMap, BTreeSet};

/// Recursive functions of pure modules by file and name, each with what bounds it.
pub const BOUNDED: &[(&str, &str, &str)] = &[
    ("src/declare/typed.rs", "typed", "`yaml` reads no tree that is deeper than the budget's depth"),
    ("src/model/release.rs", "listed", "it calls a closure of its own name"),
    ("src/decide/environment.rs", "goal", "it calls a function of its own name in another file"),
    ("src/report/pull/changes.rs", "fate", "it calls a function of its own name in another place"),
];

/// The recursive functions in `code`, which has neither comments nor literals nor tests.
pub fn recursive(code: &str) -> BTreeSet<String> {
    let bodies = bodies(code);
    let calls: BTreeMap<&str, BTreeSet<&str>> =
        bodies.iter().map(|(name, body)| (name.as_str(), called(body, &bodies))).collect();
    let reaches_itself = |name: &&str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*name]);
        while let Some(next) = open.pop() {
            open.extend(calls.get(next).into_iter().flatten().filter(|called| seen.insert(**called)));
        }
        seen.contains(*name)
    };
    calls.keys().copied().filter(reaches_itself).map(str::to_owned).collect()
}

/// Functions by name, those of one name together.
fn bodies(code: &str) -> BTreeMap<String, String> {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let rest = &code[at + 3..];
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let Some(begin) = rest.find(['{', ';']).filter(|begin| rest[*begin..].starts_with('{')) else { continue };
        let mut depth = 0_usize;
        let end = rest[begin..].find(|c| {
            depth = match c {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            depth == 0
        });
        if let Some(end) = end.filter(|_| !name.is_empty()) {
            bodies.entry(name).or_default().push_str(&rest[begin..begin + end]);
        }
    }
    bodies
}

/// Those of `known` that `body` calls: by their names alone, of `self` or of `Self`.
fn called<'a>(body: &str, known: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    let is_call = |at: usize, name: &str| {
        let before = &body[..at];
        let own = before.ends_with("self.") || before.ends_with("Self::");
        let alone = !before.ends_with(|c: char| is_word(c) || matches!(c, '.' | ':')) && !before.ends_with("fn ");
        let after = &body[at + name.len()..];
        (own || alone) && (after.starts_with('(') || after.starts_with("::<"))
    };
    let calls = |name: &str| body.match_indices(name).any(|(at, _)| is_call(at, name));
    known.keys().map(String::as_str).filter(|name| calls(name)).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
