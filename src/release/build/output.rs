//! What a build has left, as a tree of files.
//!
//! Keeps true: no link is followed, so nothing outside the build's folder is read, whatever the build made of
//! it; what is read is bounded.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::Fault;
use crate::model::{
    budget::{Budget, Exceeded, Tally},
    tree::{Entry, Tree},
};

/// The files below `output`, which is a folder below `source`. No process of the build runs any more.
pub fn read(source: &Path, output: &str, budget: &Budget) -> Result<Tree, Fault> {
    let mut folder = source.to_owned();
    for part in output.split('/').filter(|part| !part.is_empty()) {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() => return Err(Fault::Output(format!("{output} is reached by a link"))),
            Ok(_) | Err(_) => return Err(Fault::NoOutput(output.to_owned())),
        }
    }
    let mut reader = OutputReader { root: folder, tree: Tree::default(), tally: Tally::new(budget), open: Vec::new() };
    reader.open.push(String::new());
    while let Some(below) = reader.open.pop() {
        reader.folder(&below)?;
    }
    if reader.tree.is_empty() {
        let named = if output.is_empty() { "." } else { output };
        return Err(Fault::Output(format!("there is no file in {named}")));
    }
    Ok(reader.tree)
}

struct OutputReader {
    root: PathBuf,
    tree: Tree,
    tally: Tally,
    /// Folders that are still to be read, below the root.
    open: Vec<String>,
}

impl OutputReader {
    fn folder(&mut self, below: &str) -> Result<(), Fault> {
        let told = |error| Fault::Output(format!("{below} cannot be read: {error}"));
        for entry in fs::read_dir(self.root.join(below)).map_err(told)? {
            let entry = entry.map_err(told)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let name = entry.file_name().as_encoded_bytes().escape_ascii().to_string();
                return Err(Fault::Output(format!("a name in it is not UTF-8: {name}")));
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            self.tally.entry(&path).map_err(|limit| over(&path, limit))?;
            self.entry(&entry.path(), path)?;
        }
        Ok(())
    }

    fn entry(&mut self, at: &Path, path: String) -> Result<(), Fault> {
        let told = |error| Fault::Output(format!("{path} cannot be read: {error}"));
        // Of the link, not of what it leads to.
        let found = fs::symlink_metadata(at).map_err(told)?;
        let entry = if found.is_dir() {
            self.open.push(path);
            return Ok(());
        } else if found.is_symlink() {
            let target = fs::read_link(at).map_err(told)?;
            let target = target.to_str().ok_or_else(|| Fault::Output(format!("{path} links to what is not UTF-8")))?;
            Entry::Symlink { target: target.to_owned() }
        } else if found.is_file() {
            self.tally.content(found.len()).map_err(|limit| over(&path, limit))?;
            let mut content = Vec::new();
            fs::File::open(at).and_then(|file| file.take(found.len()).read_to_end(&mut content)).map_err(told)?;
            Entry::File { content: content.into(), executable: found.permissions().mode() & 0o100 != 0 }
        } else {
            return Err(Fault::Output(format!("{path} is neither file, folder nor link")));
        };
        self.tree.insert(&path, entry).map_err(|path| Fault::Output(format!("{path} is no plain path")))
    }
}

fn over(path: &str, limit: Exceeded) -> Fault {
    let path: String = path.chars().take(Budget::STANDARD.line_text).collect();
    Fault::Output(format!("it has {limit}, which is more than evenkeel reads: {path}"))
}
