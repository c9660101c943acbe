//! Findings for people's terminals, for programs, and for GitHub's annotations.
//!
//! Owns how a finding looks; never what it says. Keeps true: errors are shown before warnings, each in the order given.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle};
use schemars::JsonSchema;
use serde::Serialize;

use super::json::{VERSION, pretty, schema_of};
use crate::model::finding::{Finding, Place, Severity};

/// As a compiler would show them: the place, the line with a caret, related places, the next move; at
/// the end a line that counts. `style` is for terminals.
pub fn text(findings: &[Finding], style: bool) -> String {
    let renderer = if style { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for finding in errors_first(findings) {
        text.push_str(renderer.render(&groups(finding)).trim_end());
        text.push_str("\n\n");
    }
    text.push_str(&summary(findings));
    text.push('\n');
    text
}

/// `2 errors, 1 warning`, or `no findings`.
pub fn summary(findings: &[Finding]) -> String {
    let (errors, warnings) = counts(findings);
    let counted = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let parts: Vec<String> = counted(errors, "error").into_iter().chain(counted(warnings, "warning")).collect();
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

/// The first error in one line, where there is no room for all: with its place, and who tells the others.
pub fn first(findings: &[Finding]) -> String {
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.is_error()).collect();
    let Some(first) = errors.first() else { return "no error is known".to_owned() };
    let place = first.place.as_ref().map(|place| format!("{}:{}: ", one_line(&place.file), place.line));
    let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
    format!(
        "{}{}{more}; `evenkeel validate` tells where and what to do",
        place.unwrap_or_default(),
        one_line(&first.message)
    )
}

/// What `validate` finds.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "evenkeel validate")]
struct FindingsView<'a> {
    /// Of this format.
    version: u32,
    findings: Vec<&'a Finding>,
    errors: usize,
    warnings: usize,
}

pub fn json(findings: &[Finding]) -> String {
    let (errors, warnings) = counts(findings);
    pretty(&FindingsView { version: VERSION, findings: errors_first(findings), errors, warnings })
}

pub(super) fn schema() -> String {
    schema_of::<FindingsView<'_>>()
}

/// As workflow commands, which GitHub Actions turns into annotations on the changed lines.
pub fn github(findings: &[Finding]) -> String {
    errors_first(findings).into_iter().map(command).collect()
}

/// What stops a deployment is read first, however much else there is to say.
fn errors_first(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    sorted
}

fn counts(findings: &[Finding]) -> (usize, usize) {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    (errors, findings.len() - errors)
}

fn groups(finding: &Finding) -> Vec<Group<'_>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = match &finding.instance {
        Some(instance) => format!("{instance}: {}", finding.message),
        None => finding.message.clone(),
    };
    let mut group = Group::with_title(level.primary_title(one_line(&title)).id(finding.code.as_str()));
    match &finding.place {
        // Said of a file as such: there is no line to show.
        Some(place) if place.text.is_empty() => group = group.element(Origin::path(one_line(&place.file))),
        Some(place) => group = group.element(snippet(place, AnnotationKind::Primary, None)),
        None => {}
    }
    for (place, why) in &finding.related {
        group = group.element(snippet(place, AnnotationKind::Context, Some(why)));
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(one_line(hint)));
    }
    vec![group]
}

/// A place with its line. What is cut off at its beginning is as many spaces, for the renderer counts columns in what it
/// is given, and shows as much as fits.
fn snippet<'a>(
    place: &'a Place,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let before = place.text_offset as usize;
    let text: Cow<'a, str> =
        if before == 0 { place.text.as_str().into() } else { (" ".repeat(before) + &place.text).into() };
    let byte = |column: u32| {
        let characters = (column as usize).saturating_sub(1 + before);
        before + place.text.char_indices().nth(characters).map_or(place.text.len(), |(at, _)| at)
    };
    let (from, to) = (byte(place.column), byte(place.end_column));
    let annotation = kind.span(from..to.max(from)).label(label);
    Snippet::source(text).line_start(place.line as usize).path(one_line(&place.file)).annotation(annotation)
}

/// What people wrote is quoted in messages; it must not move a terminal's cursor.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

fn command(finding: &Finding) -> String {
    let kind = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = finding.place.as_ref().map(|place| {
        let (line, column, end) = (place.line, place.column, place.end_column);
        format!("file={},line={line},col={column},endColumn={end},", property(&place.file))
    });
    let message = match &finding.hint {
        Some(hint) => format!("{}\n{hint}", finding.message),
        None => finding.message.clone(),
    };
    let place = place.unwrap_or_default();
    format!("::{kind} {place}title={}::{}\n", finding.code, data(&message))
}

/// The runner decodes exactly these three in a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// And these two more in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Code;

    fn findings() -> Vec<Finding> {
        let place = |line, column, end_column, text: &str| Place {
            file: "fleet/services/a.yaml".to_owned(),
            line,
            column,
            end_column,
            text: text.to_owned(),
            ..Place::default()
        };
        vec![
            Finding::error(Code::PortTaken, "`a` and `b` both have port 8100 on `h1`")
                .at(place(5, 7, 11, "port: 8100"))
                .also(Place { file: "fleet/services/b.yaml".to_owned(), ..place(4, 7, 11, "port: 8100 # ä") }, "`b`")
                .hint("8101 is free there"),
            Finding::warning(Code::NotChecked, "100% odd,\nreally"),
        ]
    }

    #[test]
    fn text_shows_the_line_and_the_next_move() {
        insta::assert_snapshot!(text(&findings(), false), @"
        error[port-taken]: `a` and `b` both have port 8100 on `h1`
         --> fleet/services/a.yaml:5:7
          |
        5 | port: 8100
          |       ^^^^
          |
         ::: fleet/services/b.yaml:4:7
          |
        4 | port: 8100 # ä
          |       ---- `b`
          |
          = help: 8101 is free there

        warning[not-checked]: 100% odd, really

        1 error, 1 warning
        ");
    }

    #[test]
    fn of_a_long_line_the_part_with_the_caret_is_shown() {
        let place = Place {
            file: "a.yaml".to_owned(),
            line: 1,
            column: 5_003,
            end_column: 5_005,
            text: "…bcdef…".to_owned(),
            text_offset: 5_000,
        };
        let shown = text(&[Finding::error(Code::NotChecked, "odd").at(place)], false);
        assert!(shown.contains(" --> a.yaml:1:5003"), "{shown}");
        let column = |text: &str| shown.lines().find_map(|line| line.find(text).map(|at| line[..at].chars().count()));
        assert_eq!(column("^^"), column("cd"), "{shown}");
    }

    #[test]
    fn github_commands_are_escaped() {
        insta::assert_snapshot!(github(&findings()), @"
        ::error file=fleet/services/a.yaml,line=5,col=7,endColumn=11,title=port-taken::`a` and `b` both have port 8100 on `h1`%0A8101 is free there
        ::warning title=not-checked::100%25 odd,%0Areally
        ");
    }

    #[test]
    fn json_counts() {
        let value: serde_json::Value = serde_json::from_str(&json(&findings())).expect("JSON");
        assert_eq!((&value["version"], &value["errors"], &value["warnings"]), (&1.into(), &1.into(), &1.into()));
        assert_eq!(value["findings"][0]["code"], "port-taken");
        assert_eq!(summary(&[]), "no findings");
    }
}
