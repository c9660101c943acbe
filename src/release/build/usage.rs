//! What a build's processes take. The sandbox has process ids of its own, so everything that it starts stays
//! below its first process, and can be counted.
//! Source: proc(5).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// What lies in a build's folders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    pub entries: u64,
    /// Bytes of disk, each file counted once for each of its names: rather too much than too little.
    pub bytes: u64,
}

/// What lies below a folder. What goes away meanwhile counts for nothing; folders are walked one after the other, for
/// a build decides how deep they are.
pub fn stored(folder: &Path) -> Stored {
    let mut stored = Stored::default();
    let mut next = vec![folder.to_owned()];
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            stored.entries += 1;
            stored.bytes = stored.bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                next.push(entry.path());
            }
        }
    }
    stored
}

/// Bytes that are free for us on the disk of a folder.
pub fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Of all processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub processes: usize,
    /// Memory of their own, in bytes: without what they share with others, as programs and libraries.
    pub memory: u64,
}

/// Of a process and everything below it.
pub fn of(process: u32) -> Usage {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for number in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(parent) = parent(number) {
            children.entry(parent).or_default().push(number);
        }
    }
    let mut seen = BTreeSet::new();
    let mut next = vec![process];
    let mut usage = Usage::default();
    while let Some(number) = next.pop() {
        if seen.insert(number) {
            usage.processes += 1;
            usage.memory += own_memory(number).unwrap_or(0) << 10;
            next.extend(children.get(&number).into_iter().flatten());
        }
    }
    usage
}

/// None when it has ended meanwhile.
fn parent(process: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // A program's name may hold anything, so count from its end.
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// In KiB. A file in memory is counted for each that has it open: rather too much than too little.
fn own_memory(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().split(' ').next()?.parse().ok());
    Some(field("RssAnon:").unwrap_or(0) + field("RssShmem:").unwrap_or(0u64))
}
