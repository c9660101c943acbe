//! A release that would be another one: which files change, and how.
//!
//! Keeps true: contents are shown only of files that lie in the pull request's own repository, where whoever
//! reads the comment can read them anyway. What lies elsewhere may be private, and is only listed.

use std::collections::BTreeSet;

use super::{
    ReleaseChange,
    document::{Block, Piece},
    markdown::{code, fence, named, paragraphs},
};
use crate::{
    model::{
        desired::Resource,
        release::{Making, Release, ReleaseFile},
        source::Pinned,
    },
    report::{
        diff,
        style::Style,
        words::{count, size},
    },
};

/// How many files are listed.
const LISTED: usize = 100;
/// How many changed files are shown line by line.
const SHOWN: usize = 20;
const NOT_AT_HAND: &str = "It was built elsewhere, now or before: those files are not at hand.";
/// What counts as a small text.
const SMALL: usize = 32 << 10;

/// The files of one release that changes, folded. What is yet to be built has none.
pub(super) fn piece(change: &ReleaseChange<'_>) -> Option<Piece> {
    if matches!(change.to.making, Making::Due { .. }) {
        return None;
    }
    let listed = FileRows::between(change.from, change.to);
    let instances: Vec<&str> = change.instances.iter().map(|name| name.as_str()).collect();
    let what = match change.from {
        None if change.to.is_at_hand() => {
            format!("files, all new: {}, {}", count(change.to.files.len(), "file"), size(change.to.size()))
        }
        _ => format!("files: {}", listed.words()),
    };
    let from = change
        .from
        .filter(|from| from.source != change.to.source)
        .map(|from| format!("They came from {} before.", code(&from.origin())));
    let head = paragraphs([
        format!("From {}, on {}.", code(&change.to.origin()), named(&instances)),
        from.unwrap_or_default(),
        if are_at_hand(change.from, change.to) { String::new() } else { NOT_AT_HAND.to_owned() },
    ]);
    let mut parts = vec![head];
    if !listed.lines.is_empty() {
        parts.push(fence("diff", listed.cut()));
    }
    parts.extend(texts(change));
    let name = summary_name(&change.resource);
    Some(Piece {
        whole: Block::details(format!("{name} {what}"), paragraphs(parts)),
        brief: format!("- {} {what}", code(&change.resource.to_string())),
    })
}

/// A resource's name in HTML. Names of services and sites are safe there; the rest is not a name.
fn summary_name(resource: &Resource) -> String {
    match resource {
        Resource::Service(name) => format!("<code>service/{name}</code>"),
        Resource::Site(name) => format!("<code>site/{name}</code>"),
        Resource::Nginx | Resource::Packages | Resource::Manifest | Resource::Folders | Resource::Leftover(_) => {
            "A release's".to_owned()
        }
    }
}

/// Whether the files of both are known.
fn are_at_hand(from: Option<&Release>, to: &Release) -> bool {
    to.is_at_hand() && from.is_none_or(Release::is_at_hand)
}

/// What differs between two releases, one line for each file.
struct FileRows {
    lines: Vec<String>,
    added: usize,
    changed: usize,
    removed: usize,
}

impl FileRows {
    fn between(from: Option<&Release>, to: &Release) -> Self {
        let mut files = Self { lines: Vec::new(), added: 0, changed: 0, removed: 0 };
        if !are_at_hand(from, to) {
            return files;
        }
        let paths: BTreeSet<&String> = from.iter().flat_map(|from| from.files.keys()).chain(to.files.keys()).collect();
        for path in paths {
            let line = match (from.and_then(|from| from.files.get(path)), to.files.get(path)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => {
                    files.changed += 1;
                    format!("~ {path}{}", changed(old, new))
                }
                (None, Some(new)) => {
                    files.added += 1;
                    format!("+ {path}{}", told(new))
                }
                (Some(old), None) => {
                    files.removed += 1;
                    format!("- {path}{}", told(old))
                }
                (None, None) => continue,
            };
            files.lines.push(line);
        }
        files
    }

    fn words(&self) -> String {
        let said = [(self.added, "added"), (self.changed, "changed"), (self.removed, "removed")];
        let said: Vec<String> =
            said.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
        if said.is_empty() { "what differs is not known".to_owned() } else { said.join(", ") }
    }

    fn cut(mut self) -> Vec<String> {
        let more = self.lines.len().saturating_sub(LISTED);
        self.lines.truncate(LISTED);
        if more > 0 {
            self.lines.push(format!("… {}", count(more, "more file")));
        }
        self.lines
    }
}

fn told(file: &ReleaseFile) -> String {
    match file {
        ReleaseFile::File { content, executable, .. } => {
            let executable = if *executable { ", executable" } else { "" };
            format!(" ({}{executable})", size(content.len() as u64))
        }
        ReleaseFile::Symlink { target } => format!(" -> {target}"),
    }
}

fn changed(old: &ReleaseFile, new: &ReleaseFile) -> String {
    match (old, new) {
        (
            ReleaseFile::File { content: before, executable: was, .. },
            ReleaseFile::File { content: after, executable: is, .. },
        ) => {
            let rights = match (was, is) {
                (false, true) => ", becomes executable",
                (true, false) => ", is executable no more",
                _ => "",
            };
            let (before, after) = (size(before.len() as u64), size(after.len() as u64));
            if before == after { format!(" ({after}{rights})") } else { format!(" ({after}, was {before}{rights})") }
        }
        _ => format!("{}, was{}", told(new), told(old)),
    }
}

/// The small text files that change, line by line.
fn texts(change: &ReleaseChange<'_>) -> Vec<String> {
    let is_here = |release: &Release| matches!((&release.source, &release.making), (Pinned::Folder(_), Making::Taken));
    let Some(from) = change.from.filter(|from| is_here(from) && is_here(change.to)) else { return Vec::new() };
    let changed = change.to.files.iter().filter_map(|(path, new)| {
        let (Some(ReleaseFile::File { content: old, .. }), ReleaseFile::File { content: new, .. }) =
            (from.files.get(path), new)
        else {
            return None;
        };
        let (old, new) = (small(old)?, small(new)?);
        (old != new && diff::is_diffable(old, new)).then_some((path, old, new))
    });
    let shown = changed.take(SHOWN).map(|(path, old, new)| {
        let path = path.as_str();
        fence("diff", diff::between([path, path], old, new, Style(false)))
    });
    shown.collect()
}

fn small(content: &[u8]) -> Option<&str> {
    diff::text(content).filter(|text| text.len() <= SMALL)
}
