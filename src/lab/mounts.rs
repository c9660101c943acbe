//! The mounts of a lab: one tmpfs that holds all of it, and one overlay per host inside.
//!
//! Keeps true: what `release` is given is unmounted whatever is still below it. Never does: touch a
//! mount outside the folder it is given.

use std::{
    ffi::CString,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use super::error::{Doing, LabError};

/// One line of `/proc/self/mountinfo`.
pub(super) struct Mount {
    pub at: PathBuf,
    pub kind: String,
    /// The file system's own options, such as an overlay's `lowerdir`.
    pub options: String,
}

/// Every mount this process sees, outer before inner.
pub(super) fn list() -> Result<Vec<Mount>, LabError> {
    seen_by("self").doing(|| "reading /proc/self/mountinfo".to_owned())
}

/// Whether what a process sees as / is an overlay whose changes are kept below `dir`.
pub(super) fn is_root_below(pid: u32, dir: &Path) -> bool {
    let below = |option: &str| option.strip_prefix("upperdir=").is_some_and(|upper| Path::new(upper).starts_with(dir));
    let mounts = seen_by(&pid.to_string()).unwrap_or_default();
    mounts.iter().any(|mount| mount.at == Path::new("/") && mount.options.split(',').any(below))
}

fn seen_by(process: &str) -> io::Result<Vec<Mount>> {
    Ok(fs::read_to_string(format!("/proc/{process}/mountinfo"))?.lines().filter_map(parse).collect())
}

/// `36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/root rw`, see proc(5).
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let at = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?.to_owned();
    let options = after.nth(1).unwrap_or_default().to_owned();
    Some(Mount { at: unescape(at), kind, options })
}

/// Blank, tab, newline and backslash stand there as `\040` and so on.
fn unescape(text: &str) -> PathBuf {
    let mut plain = text.to_owned();
    for (escaped, meant) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(escaped, meant);
    }
    PathBuf::from(plain)
}

pub(super) fn is_mounted(at: &Path) -> Result<bool, LabError> {
    Ok(list()?.iter().any(|mount| mount.at == at))
}

/// Files in memory at `at`.
pub(super) fn tmpfs(at: &Path) -> Result<(), LabError> {
    fs::create_dir_all(at).doing(|| format!("creating {}", at.display()))?;
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"mode=0755")
        .doing(|| format!("mounting a tmpfs on {}", at.display()))?;
    // Where / is shared, as systemd makes it, each overlay below would be copied into every service's
    // mount namespace and stay busy there.
    mount_change(at, MountPropagationFlags::PRIVATE).doing(|| format!("making the mount {} private", at.display()))
}

/// `lower` as it is, with every change kept in `disk`/upper, seen at `disk`/root.
pub(super) fn overlay(lower: &Path, disk: &Path) -> Result<(), LabError> {
    let at = disk.join("root");
    let mut options = Vec::new();
    for (key, path) in [("lowerdir=", lower), (",upperdir=", &disk.join("upper")), (",workdir=", &disk.join("work"))] {
        options.extend_from_slice(key.as_bytes());
        options.extend_from_slice(path.as_os_str().as_bytes());
    }
    let options = CString::new(options).map_err(io::Error::other).doing(|| format!("mounting {}", at.display()))?;
    mount("overlay", &at, "overlay", MountFlags::empty(), options.as_c_str())
        .doing(|| format!("mounting an overlay of {} on {}", lower.display(), at.display()))
}

/// Unmounts all that is mounted at or below `dir`, inner first.
pub(super) fn release(dir: &Path) -> Result<(), LabError> {
    for mount in list()?.iter().rev().filter(|mount| mount.at.starts_with(dir)) {
        // Detached: a process that still has a file open there keeps that file, not the mount.
        unmount(&mount.at, UnmountFlags::DETACH).doing(|| format!("unmounting {}", mount.at.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines_are_read() {
        let mount = parse(r"36 35 98:0 / /mnt/a\040b rw,noatime shared:1 - overlay overlay rw,lowerdir=/x").unwrap();
        assert_eq!(mount.at, Path::new("/mnt/a b"));
        assert_eq!(mount.kind, "overlay");
        assert_eq!(mount.options, "rw,lowerdir=/x");
        assert!(parse("36 35 98:0 / /mnt").is_none());
    }
}
