//! Removing what a build left, however deep it is.
//!
//! Keeps true: no folder is entered by a path that grows with the depth, and nothing calls itself: each folder inside a
//! folder is moved up beside it before that one is removed. No link is followed; no process of the build runs any more.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Removes a folder with all in it, also what was closed to everybody. One that is not there is removed already.
pub fn remove(folder: &Path) -> io::Result<()> {
    match open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    }
    let mut moved = 0u64;
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(folder)? {
            is_empty = false;
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                empty(&entry.path(), folder, &mut moved)?;
                fs::remove_dir(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        if is_empty {
            return fs::remove_dir(folder);
        }
    }
}

/// Removes the files of a folder, and moves its folders to `above`.
fn empty(folder: &Path, above: &Path, moved: &mut u64) -> io::Result<()> {
    open(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // Moving a folder changes what it has for `..`, which only who may write to it may do.
            open(&entry.path())?;
            fs::rename(entry.path(), free(above, moved))?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A name that nothing has. The build knew none of them.
fn free(above: &Path, moved: &mut u64) -> PathBuf {
    loop {
        *moved += 1;
        let path = above.join(format!(".evenkeel-removed-{moved}"));
        if fs::symlink_metadata(&path).is_err() {
            return path;
        }
    }
}

fn open(folder: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_deeper_than_any_path_is_removed() {
        let root = std::env::temp_dir().join(format!("evenkeel-remove-{}", std::process::id()));
        let (deep, other) = (root.join("deep"), root.join("kept"));
        fs::create_dir_all(&deep).expect("a folder");
        fs::write(&other, "kept").expect("a file");
        // A chain is made from its end: no path to it is short enough.
        for depth in 0..3_000 {
            let (next, below) = (root.join("next"), root.join("below"));
            fs::create_dir(&next).expect("a folder");
            fs::write(next.join("file"), "").expect("a file");
            if depth > 0 {
                fs::rename(&below, next.join("d")).expect("moved");
            }
            fs::rename(&next, &below).expect("moved");
        }
        std::os::unix::fs::symlink(&other, root.join("below/link")).expect("a link");
        fs::set_permissions(root.join("below/d"), fs::Permissions::from_mode(0o000)).expect("closed");
        fs::rename(root.join("below"), deep.join("d")).expect("moved");
        remove(&deep).expect("removed");
        assert!(!deep.exists());
        assert_eq!(fs::read_to_string(&other).expect("kept"), "kept");
        remove(&deep).expect("it is removed already");
        remove(&root).expect("removed");
    }
}
