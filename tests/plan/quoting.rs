//! Odd values reach a process as the same bytes, or are refused by name.

use std::sync::{Arc, LazyLock};

use evenkeel::{
    engine::prepare::Prepared,
    model::name::ServiceName,
    render::{Made, Releases, RenderError, Requirements, render},
};
use proptest::prelude::*;

use crate::{
    declared::{example, instance},
    systemd,
};

const ODD: [&str; 20] = [
    "",
    " ",
    " leading and trailing ",
    "tab\there",
    "two\nlines",
    "\n",
    "\"double\"",
    "'single'",
    "it's",
    "$HOME ${HOME} $$",
    "`id`",
    "%h %% %",
    "back\\slash",
    "trailing\\",
    "\\n",
    "#comment",
    ";",
    "; semicolon",
    "ünïcode 🚢",
    "a=b=c",
];

static PREPARED: LazyLock<Prepared> = LazyLock::new(|| example().prepare());

fn prepared() -> Prepared {
    PREPARED.clone()
}

/// A file of gong_mcp with one variable or one word more.
fn rendered(prepared: &mut Prepared, path: &str, env: Option<&str>, word: Option<&str>) -> Result<String, RenderError> {
    let gong: ServiceName = "gong_mcp".parse().expect("a name");
    let service = Arc::make_mut(&mut prepared.fleet).services.get_mut(&gong).expect("a service");
    if let Some(value) = env {
        service.env.insert("ODD".to_owned(), value.to_owned());
    }
    if let Some(word) = word {
        service.exec.truncate(2);
        service.exec.push(word.to_owned());
    }
    let releases: Releases = prepared.sources.iter().map(|(source, (_, release))| (source.clone(), *release)).collect();
    let desired = render(&prepared.fleet, &Made { releases: &releases, requirements: &Requirements::new() })?;
    let content = desired[&instance("business-tools")].files[path].content.clone();
    Ok(String::from_utf8(content).expect("text"))
}

const ENV: &str = "/etc/evenkeel/sophia/gong_mcp@8100.env";
const UNIT: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service";

fn variable(prepared: &mut Prepared, value: &str) -> Result<Option<String>, RenderError> {
    let text = rendered(prepared, ENV, Some(value), None)?;
    let variables = systemd::environment(&text).unwrap_or_else(|| panic!("systemd does not take\n{text}"));
    assert_eq!(variables.len(), 9, "{text}");
    Ok(variables.into_iter().find(|(key, _)| key == "ODD").map(|(_, value)| value))
}

fn word(prepared: &mut Prepared, word: &str) -> Result<Vec<Vec<u8>>, RenderError> {
    let text = rendered(prepared, UNIT, None, Some(word))?;
    let line = text.lines().find(|line| line.starts_with("ExecStart=")).expect("a command");
    Ok(systemd::exec_start(line).unwrap_or_else(|| panic!("systemd does not take {line}")))
}

#[test]
fn odd_values_of_variables_are_read_back() {
    let mut prepared = prepared();
    for value in ODD {
        assert_eq!(variable(&mut prepared, value), Ok(Some(value.to_owned())));
    }
}

#[test]
fn odd_words_of_commands_are_read_back() {
    let mut prepared = prepared();
    for odd in ODD.into_iter().chain(["\u{7}\u{85}\r", "\u{fffe}"]) {
        let words = word(&mut prepared, odd).expect("rendered");
        assert_eq!(words, [b"/usr/bin/python3".to_vec(), b"server.py".to_vec(), odd.as_bytes().to_vec()], "{odd:?}");
    }
}

#[test]
fn what_systemd_would_drop_is_refused_by_name() {
    let mut prepared = prepared();
    let mut said = String::new();
    for value in ["a\0b", "a\u{1b}[1m", "a\rb", "a\u{7f}", "a\u{fffe}"] {
        said += &format!("{}\n", variable(&mut prepared, value).expect_err(value));
    }
    said += &format!("{}\n", word(&mut prepared, "a\0b").map(|_| ()).expect_err("a NUL"));
    insta::assert_snapshot!(said);
}

#[test]
fn a_program_whose_path_systemd_would_not_take_is_refused() {
    let mut prepared = prepared();
    let gong: ServiceName = "gong_mcp".parse().expect("a name");
    for program in ["/opt/it's", "/opt/a\"b", "/opt/a\\b", "./a\nb"] {
        Arc::make_mut(&mut prepared.fleet).services.get_mut(&gong).expect("a service").exec = vec![program.to_owned()];
        assert!(rendered(&mut prepared, UNIT, None, None).is_err(), "{program:?}");
    }
    Arc::make_mut(&mut prepared.fleet).services.get_mut(&gong).expect("a service").exec = vec!["/opt/a b$%".to_owned()];
    let text = rendered(&mut prepared, UNIT, None, None).expect("rendered");
    assert!(text.contains("\nExecStart=:\"/opt/a b$%%\"\n"), "{text}");
}

#[test]
fn a_program_of_the_release_is_named_by_its_whole_path() {
    let mut prepared = prepared();
    let gong: ServiceName = "gong_mcp".parse().expect("a name");
    Arc::make_mut(&mut prepared.fleet).services.get_mut(&gong).expect("a service").exec =
        vec!["./run".to_owned(), "./run".to_owned()];
    let text = rendered(&mut prepared, UNIT, None, None).expect("rendered");
    let line = text.lines().find(|line| line.starts_with("ExecStart=")).expect("a command");
    let words = systemd::exec_start(line).expect("taken");
    assert!(words[0].starts_with(b"/var/lib/evenkeel/sophia/releases/") && words[0].ends_with(b"/run"), "{line}");
    assert_eq!(words[1], b"./run");
}

#[test]
fn a_description_takes_one_line() {
    let declared = example().edit(
        "services/gong_mcp.yaml",
        "description: Gong call transcripts and the notes people add to them",
        "description: \"100% of\\n  calls\\n[Service]\\nUser=root\"",
    );
    let prepared = declared.prepare();
    let content = &prepared.desired[&instance("business-tools")].files[UNIT].content;
    let text = String::from_utf8(content.clone()).expect("text");
    assert!(text.contains("\nDescription=100%% of calls [Service] User=root\n"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_is_read_back_or_refused(value in "(?s).{0,24}|[\"'\\\\$`%\n\t #;a]{0,12}") {
        let mut prepared = prepared();
        match variable(&mut prepared, &value) {
            Ok(read) => prop_assert_eq!(read, Some(value)),
            Err(RenderError::Unprintable { what, .. }) => prop_assert_eq!(what, "env.ODD"),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn any_word_is_read_back_or_refused(value in "(?s).{0,24}|[\"'\\\\$`%\n\t #;a]{0,12}") {
        let mut prepared = prepared();
        match word(&mut prepared, &value) {
            Ok(words) => prop_assert_eq!(words.get(2).map(Vec::as_slice), Some(value.as_bytes())),
            Err(_) => prop_assert!(value.contains('\0')),
        }
    }
}
