//! What a build has left, as a tree of files.
//!
//! Keeps true: no link is followed, so nothing outside the build's folder is read, whatever the build made of
//! it; what is read is bounded.

use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use super::Fault;
use crate::{
    model::tree::{Entry, Tree},
    release::Bounds,
};

/// The files below `output`, which is a folder below `source`. No process of the build runs any more.
pub fn read(source: &Path, output: &str, bounds: Bounds) -> Result<Tree, Fault> {
    let mut folder = source.to_owned();
    for part in output.split('/').filter(|part| !part.is_empty()) {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() => return Err(Fault::Output(format!("{output} is reached by a link"))),
            Ok(_) | Err(_) => return Err(Fault::NoOutput(output.to_owned())),
        }
    }
    let mut reader = Reader { tree: Tree::default(), bounds, entries: bounds.entries, left: bounds.bytes };
    reader.folder(&folder, "")?;
    if reader.tree.is_empty() {
        let named = if output.is_empty() { "." } else { output };
        return Err(Fault::Output(format!("there is no file in {named}")));
    }
    Ok(reader.tree)
}

struct Reader {
    tree: Tree,
    bounds: Bounds,
    entries: usize,
    left: u64,
}

impl Reader {
    fn folder(&mut self, folder: &Path, below: &str) -> Result<(), Fault> {
        let told = |error| Fault::Output(format!("{below} cannot be read: {error}"));
        for entry in fs::read_dir(folder).map_err(told)? {
            let entry = entry.map_err(told)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let name = entry.file_name().as_encoded_bytes().escape_ascii().to_string();
                return Err(Fault::Output(format!("a name in it is not UTF-8: {name}")));
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            self.entries = self.entries.checked_sub(1).ok_or_else(|| {
                Fault::Output(format!("there are more than {} files and folders", self.bounds.entries))
            })?;
            self.entry(&entry.path(), path)?;
        }
        Ok(())
    }

    fn entry(&mut self, at: &Path, path: String) -> Result<(), Fault> {
        let told = |error| Fault::Output(format!("{path} cannot be read: {error}"));
        // Of the link, not of what it leads to.
        let found = fs::symlink_metadata(at).map_err(told)?;
        let entry = if found.is_dir() {
            return self.folder(at, &path);
        } else if found.is_symlink() {
            let target = fs::read_link(at).map_err(told)?;
            let target = target.to_str().ok_or_else(|| Fault::Output(format!("{path} links to what is not UTF-8")))?;
            Entry::Symlink { target: target.to_owned() }
        } else if found.is_file() {
            let too_much = || Fault::Output(format!("there are more than {} bytes", self.bounds.bytes));
            self.left = self.left.checked_sub(found.len()).ok_or_else(too_much)?;
            let mut content = Vec::new();
            fs::File::open(at).and_then(|file| file.take(found.len()).read_to_end(&mut content)).map_err(told)?;
            Entry::File { content: content.into(), executable: found.permissions().mode() & 0o100 != 0 }
        } else {
            return Err(Fault::Output(format!("{path} is neither file, folder nor link")));
        };
        self.tree.insert(&path, entry).map_err(|path| Fault::Output(format!("{path} is no plain path")))
    }
}
