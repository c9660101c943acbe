//! A tree of files as read from a commit or from a work tree: the input of everything.
//!
//! Keeps true: paths are relative, use `/`, and have no empty, `.` or `..` part.

use std::{collections::BTreeMap, sync::Arc};

/// One entry of a [`Tree`]. Directories exist only through what they hold, as in git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    File {
        content: Arc<[u8]>,
        executable: bool,
    },
    Symlink {
        target: String,
    },
    /// A git submodule: named, never followed.
    Submodule,
}

/// Git allows forty; a fleet needs none, and a circle has to end somewhere.
pub const MOST_LINKS: usize = 8;

/// Files by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Adds an entry; a path that is not relative and plain is refused and handed back.
    pub fn insert(&mut self, path: &str, entry: Entry) -> Result<(), String> {
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(path.to_owned());
        }
        self.entries.insert(path.to_owned(), entry);
        Ok(())
    }

    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// What lies below `folder` (`""` is the root), by its path below it.
    pub fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.entries
            .range(prefix.clone()..)
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .map(move |(path, entry)| (&path[prefix.len()..], entry))
    }

    /// The file at `path`, through links that stay within `folder`.
    pub fn file_through_links(&self, folder: &str, path: &str) -> Option<&Entry> {
        let mut at = path.to_owned();
        for _ in 0..MOST_LINKS {
            match self.get(&at)? {
                Entry::Symlink { target } => at = followed(folder, &at, target)?,
                file @ Entry::File { .. } => return Some(file),
                Entry::Submodule => return None,
            }
        }
        None
    }

    pub fn has_folder(&self, folder: &str) -> bool {
        self.below(folder).next().is_some()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Where a link at `path` leads, when that is within `folder`.
pub fn followed(folder: &str, path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let joined = join(parent, target)?;
    let inside =
        folder.is_empty() || joined.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    inside.then_some(joined)
}

/// Joins a folder and a path below it, resolving `.` and `..`. None when the result would leave the root.
pub fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
