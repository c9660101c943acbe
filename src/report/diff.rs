//! What a step does to a file, line by line.
//!
//! Keeps true: contents are never shown raw (control characters are escaped), never at any length, and
//! never guessed at: bytes that are not text are described by size and digest.

use similar::{ChangeTag, TextDiff};

use super::{
    style::{Mark, Style},
    words::{self, visible},
};
use crate::model::{
    content::Content,
    digest::Digest,
    plan::{Action, Before},
};

/// Unchanged lines around a change, as in `diff -u`.
const CONTEXT: usize = 3;
/// A new file is shown this far; units and nginx files are shorter.
const NEW_LINES: usize = 40;
/// A diff is shown this far; the JSON has all of it.
const DIFF_LINES: usize = 200;
/// Longer lines are cut: built assets can be one line of a megabyte.
const LINE: usize = 300;
/// How many lines are compared: finding the shortest diff takes their product in time.
const DIFFABLE: usize = 5_000;

/// A unit that only gets what confines it: the plan says once what that is.
pub(super) fn confined(action: &Action) -> Option<String> {
    let lines = action.only_confines()?;
    Some(format!("{}: {} that confine it", visible(&action.subject()), words::count(lines, "line")))
}

/// A file about to be written: a header, and what changes in it, without indentation.
pub(super) fn written(path: &str, before: &Before, content: &Content, mode: u32, style: Style) -> Vec<String> {
    let path = visible(path);
    let heading = |mark: Mark, note: &str| format!("{} {}{note}", style.mark(mark), style.as_mark(mark, &path));
    match before {
        Before::Absent => {
            let mut lines = vec![heading(Mark::Create, &format!(" (mode {mode:04o})"))];
            lines.extend(added(content, style));
            lines
        }
        Before::Link { target } => {
            let note = format!(": a file in place of a symbolic link to {}", visible(target));
            let mut lines = vec![heading(Mark::Update, &note)];
            lines.extend(added(content, style));
            lines
        }
        Before::File { digest, mode: live_mode, owner, content: live } => {
            let same = *digest == content.digest();
            let rights = rights(*live_mode, mode, owner);
            if same {
                return vec![heading(Mark::Update, &format!(": {}", rights.unwrap_or_else(|| "rewritten".to_owned())))];
            }
            let mut lines = match live.as_ref().map(|live| (text_of(live), text_of(content))) {
                Some((Some(live), Some(new))) if is_diffable(live, new) => {
                    between([&format!("{path} (live)"), &format!("{path} (declared)")], live, new, style)
                }
                Some(_) => {
                    let was = live.as_ref().map(describe).unwrap_or_default();
                    vec![heading(Mark::Update, &format!(": {} (was {was})", describe(content)))]
                }
                None => {
                    let note = format!(": {} (live content not shown)", describe(content));
                    vec![heading(Mark::Update, &note)]
                }
            };
            lines.extend(rights.map(|rights| style.dim(&rights)));
            lines
        }
    }
}

/// Whether what differs between two texts can be found quickly.
pub(super) fn is_diffable(old: &str, new: &str) -> bool {
    old.lines().count().max(new.lines().count()) <= DIFFABLE
}

/// A symbolic link about to be made or changed.
pub(super) fn linked(path: &str, before: &Before, target: &str, style: Style) -> String {
    let (mark, was) = match before {
        Before::Absent => (Mark::Create, String::new()),
        Before::Link { target } => (Mark::Update, format!(" (was {})", destination(target))),
        Before::File { .. } => (Mark::Update, " (was a file)".to_owned()),
    };
    format!("{} {} -> {}{was}", style.mark(mark), style.as_mark(mark, &visible(path)), destination(target))
}

/// A link's target; a release is named as everywhere else, by the beginning of its digest.
pub(super) fn destination(target: &str) -> String {
    match target.rsplit_once('/').map(|(folder, name)| (folder, name.parse::<Digest>())) {
        Some((folder, Ok(release))) => format!("{}/{}…", visible(folder), release.short()),
        _ => visible(target),
    }
}

pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    // A NUL is no text, though it is valid UTF-8.
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

pub(super) fn text_of(content: &Content) -> Option<&str> {
    content.public().and_then(text)
}

pub(super) fn describe(content: &Content) -> String {
    let Some(bytes) = content.public() else { return "sealed content, which is not shown".to_owned() };
    let kind = if text(bytes).is_some() { "" } else { "not text, " };
    format!("{kind}{}, digest {}", words::size(bytes.len() as u64), Digest::of(bytes).short())
}

/// What is put right besides the content. Every file of ours is root's.
pub(super) fn rights(live: u32, mode: u32, owner: &str) -> Option<String> {
    let mode = (live != mode).then(|| format!("mode {live:04o} becomes {mode:04o}"));
    let owner = (owner != "root:root").then(|| format!("owner {} becomes root:root", visible(owner)));
    let said: Vec<_> = mode.into_iter().chain(owner).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn added(content: &Content, style: Style) -> Vec<String> {
    // Set in: what is in the file must not be taken for another step.
    new(content, style).into_iter().map(|line| format!("    {line}")).collect()
}

/// What a new file holds.
pub(super) fn new(content: &Content, style: Style) -> Vec<String> {
    let Some(text) = text_of(content) else { return vec![style.dim(&describe(content))] };
    let all: Vec<_> = text.lines().collect();
    let mut lines: Vec<_> = all.iter().take(NEW_LINES).map(|line| style.good(&format!("+{}", shown(line)))).collect();
    lines.extend(more(all.len(), NEW_LINES, style));
    lines
}

/// What differs between two texts, below a header with the name of each; names are visible already.
pub(super) fn between(names: [&str; 2], old: &str, new: &str, style: Style) -> Vec<String> {
    let diff = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push(style.note(&hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let value = shown(change.value().strip_suffix('\n').unwrap_or(change.value()));
            lines.push(match change.tag() {
                ChangeTag::Equal => format!(" {value}"),
                ChangeTag::Delete => style.bad(&format!("-{value}")),
                ChangeTag::Insert => style.good(&format!("+{value}")),
            });
            if change.missing_newline() {
                lines.push(style.dim("\\ no newline at the end of the file"));
            }
        }
    }
    let all = lines.len();
    lines.truncate(DIFF_LINES);
    lines.extend(more(all, DIFF_LINES, style));
    let header = [style.bad(&format!("--- {}", names[0])), style.good(&format!("+++ {}", names[1]))];
    header.into_iter().chain(lines).collect()
}

fn more(all: usize, limit: usize, style: Style) -> Option<String> {
    (all > limit)
        .then(|| style.dim(&format!("… {} more {}", all - limit, if all - limit == 1 { "line" } else { "lines" })))
}

/// One line of a file, cut before it is escaped so that no escape is cut in two.
fn shown(line: &str) -> String {
    match line.char_indices().nth(LINE) {
        None => visible(line),
        Some((end, _)) => {
            let rest = line[end..].chars().count();
            format!("{}… {}", visible(&line[..end]), words::count(rest, "more character"))
        }
    }
}
