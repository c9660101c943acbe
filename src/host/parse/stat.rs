//! What stat says of files, folders and working directories.
//!
//! Keeps true: a file is absent only where stat said so, of this very path.

use std::collections::{BTreeMap, HashMap};

use super::Sections;
use crate::model::{
    digest::Digest,
    observation::{LiveFile, LiveFolder},
    seen::Seen,
};

/// Lines of `stat -c '%f %U:%G %N'` on paths and, as `/proc/PID/cwd`, on working directories.
pub(super) struct Stat<'a> {
    pub files: BTreeMap<String, Seen<LiveFile>>,
    pub folders: BTreeMap<String, Seen<LiveFolder>>,
    pub directories: HashMap<u32, &'a str>,
}

impl<'a> Stat<'a> {
    pub fn read(sections: &'a Sections) -> Result<Self, String> {
        let digests: HashMap<&str, &str> = sections
            .one("digests")
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(digest, path)| (path, digest))
            .collect();
        let mut stat = Self { files: BTreeMap::new(), folders: BTreeMap::new(), directories: HashMap::new() };
        for line in sections.one("files").ok_or("it has no files")?.lines().filter(|line| !line.starts_with("stat: ")) {
            let mut fields = line.splitn(3, ' ');
            // What anything else complains of there says nothing of a file, and a file that is not told of is not known.
            let (Some(Ok(raw)), Some(owner), Some(name)) =
                (fields.next().map(|raw| u32::from_str_radix(raw, 16)), fields.next(), fields.next())
            else {
                continue;
            };
            // Only links point somewhere. Of one with an arrow in its own name nothing becomes known.
            let link = if is_link(raw) { name.split_once(" -> ") } else { None };
            let (path, target) =
                link.map_or((unquoted(name), None), |(path, target)| (unquoted(path), Some(unquoted(target))));
            if raw & 0o170_000 == 0o040_000 {
                let folder = LiveFolder { mode: raw & 0o7777, owner: owner.to_owned() };
                stat.folders.insert(path.to_string(), Seen::Known(folder));
            }
            match (process(path), target) {
                (Some(pid), Some(directory)) => _ = stat.directories.insert(pid, directory),
                _ => _ = stat.files.insert(path.to_owned(), file(raw, owner, digests.get(path).copied(), target)),
            }
        }
        Ok(stat)
    }
}

/// A name as uutils' stat prints it, which heeds no QUOTING_STYLE. All that we ask about begins with `/`.
fn unquoted(name: &str) -> &str {
    let inner = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(name)
}

/// The process whose working directory a path is.
fn process(path: &str) -> Option<u32> {
    path.strip_prefix("/proc/")?.strip_suffix("/cwd")?.parse().ok()
}

fn is_link(raw: u32) -> bool {
    raw & 0o170_000 == 0o120_000
}

/// Source of the type bits: inode(7).
fn file(raw: u32, owner: &str, digest: Option<&str>, target: Option<&str>) -> Seen<LiveFile> {
    match raw & 0o170_000 {
        0o100_000 => match digest.map(str::parse::<Digest>) {
            Some(Ok(digest)) => {
                Seen::Known(LiveFile::Regular { digest, mode: raw & 0o7777, owner: owner.to_owned(), content: None })
            }
            _ => Seen::Unknown("it is there and cannot be read".to_owned()),
        },
        _ if is_link(raw) => match target {
            Some(target) => Seen::Known(LiveFile::Symlink { target: target.to_owned() }),
            None => Seen::Unknown("it is a link that cannot be read".to_owned()),
        },
        0o040_000 => Seen::Known(LiveFile::Other { kind: "directory".to_owned() }),
        _ => Seen::Known(LiveFile::Other { kind: "special file".to_owned() }),
    }
}

/// A path that stat said nothing good about: absent only when it said so, of this very path.
pub(super) fn missing(sections: &Sections, path: &str) -> Seen<LiveFile> {
    let about = |line: &str| -> Option<String> {
        let quoted = line.strip_prefix("stat: cannot statx ").or_else(|| line.strip_prefix("stat: cannot stat "))?;
        let why = quoted.strip_prefix('\'')?.strip_prefix(path)?.strip_prefix("': ")?;
        // uutils' stat adds the number.
        Some(why.split(" (os error ").next().unwrap_or(why).to_owned())
    };
    match sections.one("files").unwrap_or_default().lines().find_map(about).as_deref() {
        Some("No such file or directory" | "Not a directory") => Seen::Absent,
        Some(why) => Seen::Unknown(why.to_owned()),
        None => Seen::Unknown("it was not looked at".to_owned()),
    }
}
