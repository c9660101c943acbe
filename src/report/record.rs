//! Records of deployments: as a table, and one in full.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    control,
    deployment::{body, commit, headline, what},
    json::{line, schema_of},
    style::{Mark, Style},
    words::{self, capital, clip, one_line, time, visible},
};
use crate::model::{
    environment_state::{Control, HistoryEntry, StateEvent},
    outcome::{Deployment, Kind, Outcome, Record},
};

/// A table's last column but one: what is longer is cut, `show` has it in full.
const WHAT: usize = 60;

/// A line of `history` and `show`: a deployment, or a control, which has `control`.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "evenkeel history")]
struct EntryView<'a> {
    /// Of the history branch.
    commit: &'a str,
    #[serde(flatten)]
    entry: Entry<'a>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Entry<'a> {
    Deployment(&'a Deployment),
    Control(&'a StateEvent),
}

/// A commit of the history branch as JSON, on one line.
pub fn json(entry: &HistoryEntry) -> String {
    line(&match entry {
        HistoryEntry::Deployment(record) => {
            EntryView { commit: &record.commit, entry: Entry::Deployment(&record.deployment) }
        }
        HistoryEntry::Control { commit, event } => EntryView { commit, entry: Entry::Control(event) },
    })
}

pub(super) fn schema() -> String {
    schema_of::<EntryView<'_>>()
}

/// A table of deployments and controls in the order given, which is newest first. An intent is shown only
/// while it has no outcome.
pub fn history(entries: &[HistoryEntry], style: Style) -> String {
    let ended: BTreeSet<u64> = entries
        .iter()
        .filter_map(|entry| match entry {
            HistoryEntry::Deployment(record) => record.deployment.conclusion().map(|conclusion| conclusion.generation),
            HistoryEntry::Control { .. } => None,
        })
        .collect();
    let shown = entries.iter().filter_map(|entry| match entry {
        HistoryEntry::Deployment(record) => {
            let is_over = record.deployment.intent().is_some_and(|intent| ended.contains(&intent.generation));
            (!is_over).then(|| row(record))
        }
        HistoryEntry::Control { event, .. } => Some(row_of_control(event)),
    });
    let mut rows: Vec<(Option<Mark>, [String; 6])> = shown.collect();
    if rows.is_empty() {
        return "No deployments yet.\n".to_owned();
    }
    rows.insert(0, (None, ["WHEN (UTC)", "GEN", "OUTCOME", "COMMIT", "WHAT", "TOOK"].map(str::to_owned)));
    let width = |column: usize| rows.iter().map(|(_, row)| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for (index, (mark, row)) in rows.iter().enumerate() {
        let padded: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                // Numbers to the right; what comes last needs no padding.
                let cell = match column {
                    1 => format!("{cell:>width$}"),
                    5 => cell.clone(),
                    _ => format!("{cell:<width$}"),
                };
                match (index, column, mark) {
                    (0, _, _) => style.bold(&cell),
                    (_, 2, Some(mark)) => style.as_mark(*mark, &cell),
                    _ => cell,
                }
            })
            .collect();
        text += padded.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// One deployment in full.
pub fn show(record: &Record, style: Style) -> String {
    let deployment = &record.deployment;
    let mut text = format!("{}\n\n", style.bold(&capital(&headline(deployment))));
    let branch =
        deployment.commits.default.as_ref().filter(|commit| deployment.commits.environment.as_ref() != Some(commit));
    let commit = deployment.commits.environment.as_deref().map_or("none: a work tree".to_owned(), visible);
    let kind = match deployment.kind {
        Kind::Change => "a commit asked for it",
        Kind::DriftRepair => "repair of drift",
    };
    let outcome = match said(deployment) {
        (Some(mark), word) => style.as_mark(mark, word),
        (None, word) => word.to_owned(),
    };
    let fields = [
        ("environment", Some(deployment.environment.to_string())),
        ("generation", Some(deployment.generation.to_string())),
        ("outcome", Some(outcome)),
        ("kind", Some(kind.to_owned())),
        ("commit", Some(commit)),
        ("instances at", branch.map(|commit| visible(commit))),
        ("started", Some(format!("{} UTC", time(&deployment.started)))),
        ("took", deployment.duration_ms.map(words::duration)),
        ("triggered by", Some(one_line(&deployment.triggered_by))),
        ("controller", Some(one_line(&deployment.controller))),
        ("plan", Some(deployment.plan_digest.to_string())),
        ("recorded as", Some(visible(&record.commit))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            text += &format!("  {} {value}\n", style.dim(&format!("{name:<13}")));
        }
    }
    text + &body(deployment, style)
}

fn row(record: &Record) -> (Option<Mark>, [String; 6]) {
    let deployment = &record.deployment;
    let what = match deployment.kind {
        Kind::Change => what(deployment),
        Kind::DriftRepair => format!("drift: {}", what(deployment)),
    };
    let (mark, word) = said(deployment);
    let row = [
        time(&deployment.started),
        deployment.generation.to_string(),
        word.to_owned(),
        commit(deployment).unwrap_or_else(|| "-".to_owned()),
        clip(&what, WHAT),
        deployment.duration_ms.map(words::duration).unwrap_or_else(|| "-".to_owned()),
    ];
    (mark, row)
}

fn row_of_control(event: &StateEvent) -> (Option<Mark>, [String; 6]) {
    let none = || "-".to_owned();
    let (word, what) = control::in_table(event);
    let mark = matches!(event.control, Control::Hold { .. }).then_some(Mark::Unknown);
    (mark, [time(&event.when), none(), word.to_owned(), none(), clip(&what, WHAT), none()])
}

/// What became of it, and its colour.
fn said(deployment: &Deployment) -> (Option<Mark>, &'static str) {
    let Some(outcome) = deployment.outcome else {
        let word = if deployment.taken_over.is_some() { "taken over" } else { "begun" };
        return (Some(Mark::Unknown), word);
    };
    let mark = match outcome {
        Outcome::Applied => Some(Mark::Good),
        Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped | Outcome::Refused => Some(Mark::Bad),
        Outcome::Partial => Some(Mark::Unknown),
        Outcome::Unchanged => None,
    };
    (mark, outcome.as_str())
}
