//! Releases that lie on instances: as a table, one in full, and what differs between two.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;

use super::{
    style::Style,
    words::{clip, one_line, size, time, visible},
};
use crate::model::{
    digest::Digest,
    name::InstanceName,
    release::{HeldRelease, Listed, Listing},
};

/// Where releases come from, as far as that is known.
pub type Origins = BTreeMap<Digest, String>;

/// What is known of releases besides what instances say.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub origins: Origins,
    /// What the builds that made them said.
    pub logs: BTreeMap<Digest, String>,
}

impl Known {
    /// Takes what a file of the history tells; what was learned before is newer.
    pub fn learn(&mut self, path: &str, text: &str) {
        let origin = || text.lines().next()?.strip_prefix("# from ");
        if let Some(digest) = path.rsplit_once("/releases/").and_then(|(_, digest)| digest.parse().ok()) {
            if let Some(origin) = origin() {
                self.origins.entry(digest).or_insert_with(|| origin.to_owned());
            }
        } else if let Some(name) = path.strip_prefix("builds/").and_then(|name| name.strip_suffix(".log"))
            && let Ok(digest) = name.parse()
        {
            self.logs.entry(digest).or_insert_with(|| text.to_owned());
        }
    }
}

/// What each instance holds, or why that is not known.
pub type Held = BTreeMap<InstanceName, Result<Vec<HeldRelease>, String>>;

const ORIGIN: usize = 60;

/// Every release of every instance, what is in use first, then by when it was.
pub fn table(held: &Held, origins: &Origins, style: Style) -> String {
    let mut rows = vec![["INSTANCE", "RELEASE", "STATE", "FILES", "SIZE", "IN USE (UTC)", "FROM"].map(str::to_owned)];
    let mut unknown = String::new();
    for (name, releases) in held {
        match releases {
            Ok(releases) => {
                let mut releases: Vec<&HeldRelease> = releases.iter().collect();
                releases.sort_by_key(|release| (!release.in_use, -release.since, release.digest));
                rows.extend(releases.into_iter().map(|release| row(name, release, origins)));
            }
            Err(why) => unknown += &format!("{}\n", style.warn(&format!("{name} is not known: {}", one_line(why)))),
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            // Numbers to the right.
            if matches!(column, 3 | 4) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        text += &(if index == 0 { style.bold(line) } else { line.to_owned() });
        text.push('\n');
    }
    text + &unknown
}

fn row(instance: &InstanceName, release: &HeldRelease, origins: &Origins) -> [String; 7] {
    let files = release.listing.as_ref().map_or("?".to_owned(), |listing| listing.0.len().to_string());
    let since = DateTime::from_timestamp(release.since, 0).map(|at| time(&at.to_rfc3339()));
    [
        instance.to_string(),
        release.digest.short().to_owned(),
        if release.in_use { "in use" } else { "kept" }.to_owned(),
        files,
        size(release.bytes),
        // What is in use now is so since it came, or since another deployment ended: that says nothing.
        since.filter(|_| !release.in_use).unwrap_or_else(|| if release.in_use { "now" } else { "-" }.to_owned()),
        origins.get(&release.digest).map_or("-".to_owned(), |origin| clip(&one_line(origin), ORIGIN)),
    ]
}

/// One release in full.
pub fn show(digest: &Digest, held: &Held, known: &Known, style: Style) -> String {
    let mut text = format!("{}\n\n", style.bold(&format!("Release {digest}")));
    let where_it_is = |is_meant: fn(&HeldRelease) -> bool| {
        let names = held.iter().filter(|(_, releases)| {
            releases.iter().flatten().any(|release| release.digest == *digest && is_meant(release))
        });
        names.map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ")
    };
    let fields = [
        ("from", known.origins.get(digest).map(|origin| one_line(origin)).unwrap_or_default()),
        ("in use on", where_it_is(|release| release.in_use)),
        ("kept on", where_it_is(|release| !release.in_use)),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("  {} {value}\n", style.dim(&format!("{name:<9}")));
    }
    text.push('\n');
    match listing(digest, held) {
        Some(listing) => {
            for (path, listed) in &listing.0 {
                text += &format!("  {}\n", line(path, listed));
            }
        }
        None => text += "  What is in it no instance says.\n",
    }
    if let Some(log) = known.logs.get(digest) {
        text += &format!("\n{}\n", style.bold("What its build said"));
        log.lines().for_each(|line| text += &format!("  {}\n", visible(line)));
    }
    text
}

/// What the second holds otherwise than the first.
pub fn diff(first: (&Digest, &Listing), second: (&Digest, &Listing), style: Style) -> String {
    let (old, new) = (&first.1.0, &second.1.0);
    let mut text = format!("--- {}\n+++ {}\n", first.0, second.0);
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut same = 0;
    for path in paths {
        text += &match (old.get(path), new.get(path)) {
            (Some(was), Some(is)) if was == is => {
                same += 1;
                continue;
            }
            (Some(was), None) => style.bad(&format!("- {}", line(path, was))),
            (None, Some(is)) => style.good(&format!("+ {}", line(path, is))),
            (Some(was), Some(is)) => style.warn(&format!("~ {} (was {})", line(path, is), what(was))),
            (None, None) => continue,
        };
        text.push('\n');
    }
    text + &style.dim(&format!("{same} the same")) + "\n"
}

fn line(path: &str, listed: &Listed) -> String {
    match listed {
        Listed::File { .. } => format!("{} {}", what(listed), visible(path)),
        Listed::Symlink { target } => format!("link {} -> {}", visible(path), visible(target)),
    }
}

fn what(listed: &Listed) -> String {
    match listed {
        Listed::File { digest, executable: true } => format!("0555 {}", digest.short()),
        Listed::File { digest, executable: false } => format!("0444 {}", digest.short()),
        Listed::Symlink { target } => format!("link -> {}", visible(target)),
    }
}

/// What is in a release, as any instance says.
pub fn listing<'h>(digest: &Digest, held: &'h Held) -> Option<&'h Listing> {
    let all = held.values().flatten().flatten();
    all.filter(|release| release.digest == *digest).find_map(|release| release.listing.as_ref())
}
