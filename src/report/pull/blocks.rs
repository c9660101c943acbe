//! What happens to one resource on one instance, as blocks of a diff.
//!
//! Keeps true: of a live file that is not as evenkeel wrote it, only what is declared too is shown. The rest nobody
//! declared, and it may be secret.

use super::{
    changes::{Change, Changes},
    markdown::{code, fence, paragraphs},
};
use crate::{
    model::{
        content::Content,
        plan::{Action, Before, Fate, Rank, Step},
    },
    report::{
        diff,
        plan_steps::{check, drained, folder, shifted, switched},
        style::Style,
        words::{count, one_line, size},
    },
};

const PLAIN: Style = Style(false);
const RELOADS: &str = "reloads";

/// A resource's change: a line, then a block for each of its files, then one for the rest of its steps.
pub(super) fn change(change: &Change<'_>, changes: &Changes<'_>) -> String {
    let mut parts = vec![format!("{} {}", code(&change.resource.to_string()), words(change))];
    let mut rest = Vec::new();
    for step in &change.steps {
        match &step.action {
            Action::WriteFile { path, before, content, mode } => {
                let live = before.digest();
                let shown = live.is_some_and(|live| changes.was_declared(&step.instance, path, &live));
                let lines = match diff::confined(&step.action) {
                    Some(confined) => vec![format!("~ {confined}")],
                    None => file(path, before, content, *mode, shown),
                };
                parts.push(fence("diff", lines.into_iter().map(|line| changes.without_made_up(line))));
            }
            _ => rest.extend(lines(step, &change.steps).into_iter().map(|line| changes.without_made_up(line))),
        }
    }
    // That nginx reloads is said already.
    if !rest.is_empty() && words(change) != RELOADS {
        parts.push(fence("diff", rest));
    }
    paragraphs(parts)
}

/// What becomes of it.
pub(super) fn words(change: &Change<'_>) -> &'static str {
    match (change.fate(), change.restarts() > 0) {
        (Fate::Create, false) => "is new",
        (Fate::Create, true) => "is new, and restarts",
        (Fate::Update, false) => "changes, without a restart",
        (Fate::Update, true) => "changes, and restarts",
        (Fate::Delete, _) => "is removed",
        (Fate::Restart, true) => "restarts",
        (Fate::Restart, false) if reloads(change) => RELOADS,
        (Fate::Restart, false) => "is put right",
    }
}

fn reloads(change: &Change<'_>) -> bool {
    change.steps.iter().any(|step| step.action.traits().rank == Rank::Serve)
}

fn file(path: &str, before: &Before, content: &Content, mode: u32, shown: bool) -> Vec<String> {
    let new = |note: String| {
        let mut lines = vec![format!("+++ {path} ({note})")];
        lines.extend(diff::new(content, PLAIN));
        lines
    };
    match before {
        Before::Absent => new(format!("new, mode {mode:04o}")),
        Before::Link { target } => new(format!("a file, in place of a link to {target}")),
        Before::File { digest, mode: live_mode, owner, content: live } => {
            let rights = diff::rights(*live_mode, mode, owner);
            if *digest == content.digest() {
                return vec![format!("~ {path}: {}", rights.unwrap_or_else(|| "rewritten".to_owned()))];
            }
            let mut lines = match live.as_ref().map(|live| (diff::text_of(live), diff::text_of(content))) {
                Some((Some(live), Some(new))) if diff::is_diffable(live, new) => {
                    let names = [format!("{path} (live)"), format!("{path} (declared)")];
                    let lines = diff::between([&names[0], &names[1]], live, new, PLAIN);
                    if shown { lines } else { without_live_lines(lines) }
                }
                _ => vec![format!("~ {path}: {}", diff::describe(content))],
            };
            lines.extend(rights);
            lines
        }
    }
}

/// A diff without what is taken out of the live file.
fn without_live_lines(lines: Vec<String>) -> Vec<String> {
    const HEADER: usize = 2;
    let mut shown = Vec::new();
    let mut hidden = 0;
    let tell = |hidden: usize| format!("- … {} that nothing declared, not shown here", count(hidden, "line"));
    for (at, line) in lines.into_iter().enumerate() {
        if at >= HEADER && line.starts_with('-') {
            hidden += 1;
            continue;
        }
        if hidden > 0 {
            shown.push(tell(hidden));
            hidden = 0;
        }
        shown.push(line);
    }
    if hidden > 0 {
        shown.push(tell(hidden));
    }
    shown
}

/// A step other than a file's, with its reason where that says more.
fn lines(step: &Step, all: &[&Step]) -> Vec<String> {
    let has = |action: &Action| all.iter().any(|step| step.action == *action);
    let reason = one_line(&step.reason);
    let line = match &step.action {
        Action::WriteFile { .. } => return Vec::new(),
        Action::WriteLink { path, before, target } => return link(path, before, target),
        Action::RemoveFile { path, .. } => format!("- {path}"),
        Action::SealManifest { path } => format!("~ {path}: root alone reads it ({reason})"),
        Action::MendFolder { path, before, mode } => format!("~ {} ({reason})", folder(path, before, *mode)),
        Action::ReadUnits { unit } => format!("~ has systemd read the files of {unit} again ({reason})"),
        Action::InstallPackages { names } => {
            format!("+ installs {} (added, never removed, not undone)", names.join(", "))
        }
        Action::StageRelease { source, due: true, .. } => format!("+ a release from {source}"),
        Action::StageRelease { release, source, files, bytes, due: false } => {
            let (files, bytes) = (count(*files, "file"), size(*bytes));
            format!("+ release {} from {source}, {files}, {bytes}", release.short())
        }
        Action::BuildVenv { key, interpreter, requirements, .. } => {
            let requirements = requirements.rsplit('/').next().unwrap_or(requirements);
            format!("+ virtual environment {} of {requirements}, made with {interpreter} ({reason})", key.short())
        }
        Action::StopUnit { unit, foreign: true } => format!("- stops and disables {unit}, which it replaces"),
        Action::StopUnit { unit, foreign: false } => format!("- stops and disables {unit} ({reason})"),
        Action::EnableUnit { unit } if has(&Action::StartUnit { unit: unit.clone() }) => return Vec::new(),
        Action::EnableUnit { unit } => format!("~ enables {unit} ({reason})"),
        Action::StartUnit { unit } if has(&Action::EnableUnit { unit: unit.clone() }) => {
            format!("! enables and starts {unit}")
        }
        Action::StartUnit { unit } => format!("! starts {unit} ({reason})"),
        Action::RestartUnit { unit } => format!("! restarts {unit} ({reason})"),
        Action::ReloadNginx { .. } => format!("~ reloads nginx, and waits until it serves these files ({reason})"),
        Action::ReleaseNginx => format!("~ reloads nginx, which goes on without our files ({reason})"),
        Action::AwaitHealth { port, health, .. } => {
            format!("  then waits until it is healthy: {}", check(*port, health))
        }
        Action::ShiftTraffic { away, back, .. } => format!("~ has nginx lead {}", shifted(away, back)),
        Action::SwitchPort { port, to, .. } => format!("~ has nginx {} ({reason})", switched(*port, to.as_ref())),
        Action::Drain { timeout, .. } => format!("  {}", drained(*timeout)),
        Action::Pause { span, .. } => format!("  then waits for {span}, and sees that it is still healthy"),
    };
    vec![line]
}

fn link(path: &str, before: &Before, target: &str) -> Vec<String> {
    let old = match before {
        Before::Absent => None,
        Before::Link { target } => Some(format!("- {path} -> {}", diff::destination(target))),
        Before::File { .. } => Some(format!("- {path}, a file")),
    };
    old.into_iter().chain([format!("+ {path} -> {}", diff::destination(target))]).collect()
}
