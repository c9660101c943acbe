//! Who may hold what: sealed content, hosts that can be changed, shell that hosts run, and records of the log.
//!
//! Each rule is shown to fail on a made-up source, and that what it looks for is what it is called.

use std::{collections::BTreeSet, fs};

use super::{
    complaints,
    paths::{code, literals, without_tests},
    read_folder, root, sources,
};

/// Where sealed content may be had as bytes: where it is kept, and where it is packed for its host.
const UNSEAL: &str = ".unseal(";
const UNSEALS: &[&str] = &["src/host/payload.rs"];

#[test]
fn sealed_content_is_unsealed_for_the_payload_alone() {
    let files = [sources(), read_folder("benches")].concat();
    assert_eq!(complaints(&files, unseals), Vec::<String>::new());
    let found = |path: &str| complaints(&[(path.to_owned(), "fn f(a: &Sealed) { a.unseal(); }".to_owned())], unseals);
    assert_eq!((found("src/host/apply.rs").len(), found(UNSEALS[0]).len()), (1, 0));
    let text = fs::read_to_string(root().join(UNSEALS[0])).expect("it is there");
    assert!(text.contains(UNSEAL), "what is looked for is what it is called");
}

fn unseals(path: &str, text: &str, complaints: &mut Vec<String>) {
    let code = code(text);
    if !UNSEALS.contains(&path) && [UNSEAL, "Sealed::unseal"].iter().any(|name| code.contains(name)) {
        complaints.push(format!("{path} unseals content: only the payload that is sent to its host holds it"));
    }
}

/// Who may hold what changes a host: what carries out, what has it carried out, and hosts themselves. All else is given
/// [`HostRead`](evenkeel::host::HostRead) alone, so a call of `apply` or `undo` does not compile there.
const WRITES: &[&str] = &["src/host/", "src/engine/execute/", "src/engine/sync/", "src/engine/controller/mod.rs"];
/// The trait that changes a host, and the host that has it. Commands name the latter, and pull requests do not.
const WRITERS: &[&str] = &["HostWrite", "SshHost"];

#[test]
fn what_plans_a_proposal_cannot_change_a_host() {
    assert_eq!(complaints(&sources(), writes), Vec::<String>::new());
    let found = |path: &str, text: &str| complaints(&[(path.to_owned(), text.to_owned())], writes).len();
    for text in ["fn f<H: HostWrite>(host: &H) {}", "use crate::host::{self as h, HostWrite as W};"] {
        assert_eq!((found("src/pulls/look.rs", text), found("src/engine/observe/probe.rs", text)), (1, 1), "{text}");
        assert_eq!(found("src/engine/execute/executor.rs", text), 0, "{text}");
    }
    assert_eq!(found("src/pulls/look.rs", "fn f(host: &crate::host::SshHost) {}"), 1);
    assert_eq!(found("src/pulls/look.rs", "fn f<H: HostRead>(host: &H) {}"), 0);
    // What is looked for is what it is called, and pull requests do look at hosts.
    let text = |path: &str| fs::read_to_string(root().join(path)).expect("it is there");
    assert!(text("src/host/mod.rs").contains("pub trait HostWrite: HostRead {"));
    assert!(text("src/pulls/look.rs").contains("H: HostRead"));
}

/// How a host is changed. Each way into `execute/` takes the lease that the history grants (`history/lease.rs`).
const CHANGES: &[&str] = &["host.apply(", "host.undo(", "host.stage(", ".heal(", ".fence(", ".reread("];

#[test]
fn hosts_are_changed_where_a_lease_is_asked_for() {
    assert_eq!(complaints(&sources(), changes), Vec::<String>::new());
    let found = |path: &str, text: &str| complaints(&[(path.to_owned(), text.to_owned())], changes).len();
    for call in CHANGES {
        let text = format!("async fn f(host: &H) {{ host{}x).await; }}", call.trim_start_matches("host"));
        assert_eq!((found("src/engine/sync/recover.rs", &text), found("src/engine/execute/a.rs", &text)), (1, 0));
    }
    // Each is seen to be called where it may be.
    let executing: String = sources()
        .iter()
        .filter(|(path, _)| path.starts_with("src/engine/execute/"))
        .map(|(_, text)| code(text))
        .collect();
    let unseen: Vec<_> = CHANGES.iter().filter(|call| !executing.contains(**call)).collect();
    assert_eq!(unseen, Vec::<&&str>::new());
}

fn changes(path: &str, text: &str, complaints: &mut Vec<String>) {
    let code = without_tests(&code(text));
    if let Some(call) = CHANGES.iter().find(|call| code.contains(**call))
        && !path.starts_with("src/engine/execute/")
    {
        complaints.push(format!("{path} calls `{call}`: hosts are changed in engine/execute/, with a lease in hand"));
    }
}

/// What shell is told by, where a literal of Rust holds it.
const SHELL: &[&str] = &["$(", "; do", "; then", "2>", r#"\"$"#, "systemctl show", "systemd-run -", "journalctl --"];
/// Hosts are sent no shell but that of `src/host/scripts/`, where it is checked. What Rust writes is assignments and calls
/// with quoted words.
const SHELL_IN_RUST: &[(&str, &str)] = &[
    ("src/host/opening.rs", "the login shell's command, before there is a shell of ours"),
    ("src/host/apply_script.rs", "a function that hands its lines to what it is given"),
];

#[test]
fn shell_that_hosts_run_stands_in_files_of_its_own() {
    let host: Vec<_> = sources().into_iter().filter(|(path, _)| path.starts_with("src/host/")).collect();
    assert_eq!(complaints(&host, shell), Vec::<String>::new());
    let found = |text: &str| complaints(&[("src/host/a.rs".to_owned(), text.to_owned())], shell).len();
    for line in [
        r#"let a = format!("systemctl show -- {}", word(unit));"#,
        r#"const A: &str = "for a in b; do echo; done";"#,
        r#"const A: &str = "cat \"$path\"";"#,
        "const A: &str = r#\"date 2>/dev/null\"#;",
    ] {
        assert_eq!(found(line), 1, "{line}");
    }
    assert_eq!(found(r#"let a = assign("unit", unit) + &script!("log.sh"); // $(date)"#), 0);
    assert_eq!(found("#[cfg(test)]\nmod tests {\n    const A: &str = \"$(date)\";\n}\n"), 0);
    for (path, _) in SHELL_IN_RUST {
        let text = fs::read_to_string(root().join(path)).expect("an exception is a file");
        assert!(SHELL.iter().any(|sign| literals(&text).iter().any(|literal| literal.contains(sign))), "{path}");
    }
}

fn shell(path: &str, text: &str, complaints: &mut Vec<String>) {
    if SHELL_IN_RUST.iter().any(|(exception, _)| *exception == path) {
        return;
    }
    let text = without_tests(text);
    let literals = literals(&text);
    if let Some(literal) = literals.iter().find(|literal| SHELL.iter().any(|sign| literal.contains(sign))) {
        complaints.push(format!("{path}: {literal} is shell: put it into src/host/scripts/"));
    }
}

fn writes(path: &str, text: &str, complaints: &mut Vec<String>) {
    let writers = if path.starts_with("src/cli/") { &WRITERS[..1] } else { WRITERS };
    let code = without_tests(&code(text));
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    if let Some(writer) = writers.iter().find(|writer| words.contains(**writer))
        && !WRITES.iter().any(|may| path.starts_with(may))
    {
        complaints.push(format!("{path} names {writer}: what looks at hosts is given HostRead alone"));
    }
}

/// Where a record of the log is written for an event, whatever its name.
const RECORDS: &str = "src/cli/log.rs";

#[test]
fn every_record_at_info_or_above_has_the_name_of_an_event() {
    assert_eq!(complaints(&sources(), unnamed_records), Vec::<String>::new());
    let found = |path: &str, text: &str| complaints(&[(path.to_owned(), text.to_owned())], unnamed_records).len();
    for text in [
        "fn f() { warn!(\"x\"); }",
        "fn f() { tracing::info!(event = name, \"x\"); }",
        "fn f() { error!(%a, \"{b}\"); }",
    ] {
        assert_eq!((found("src/git/a.rs", text), found(RECORDS, text)), (1, 0), "{text}");
    }
    for text in
        ["fn f() { tracing::warn!(\n    target: A,\n    event = logged::A, \"x\"); }", "fn f() { debug!(\"x\"); }"]
    {
        assert_eq!(found("src/git/a.rs", text), 0, "{text}");
    }
    let text = fs::read_to_string(root().join(RECORDS)).expect("it is there");
    assert!(text.contains("warn!("), "what is looked for is what it is called");
}

/// What happens is an event (`model/event.rs`). A layer that cannot reach the broadcast names its record.
fn unnamed_records(path: &str, text: &str, complaints: &mut Vec<String>) {
    if path == RECORDS {
        return;
    }
    let code = without_tests(&code(text));
    for level in ["info", "warn", "error"] {
        for (at, call) in code.match_indices(&format!("{level}!(")) {
            let is_whole = !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let record = code[at + call.len()..].split(';').next().unwrap_or_default();
            if is_whole && !record.contains("event = logged::") {
                let line = code[..at].lines().count();
                complaints.push(format!("{path}:{line} logs what is no event and has no name; emit an event"));
            }
        }
    }
}
