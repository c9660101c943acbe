//! Contents of a release as one compressed stream.
//!
//! Releases travel as tar, compressed with zstd where the host has it, else with gzip, which every Debian has.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::model::release::{Compression, Release, ReleaseFile};

/// The stream that `tar` unpacks into the release's directory: files 0444 or 0555, owned by root.
///
/// A file's modification time is derived from its content: nginx's ETag is modification time and
/// size, and two frontends that differ only in content would otherwise answer 304 for one another.
pub fn pack<'a>(
    release: &Release,
    paths: impl IntoIterator<Item = &'a String>,
    compression: Compression,
) -> io::Result<Vec<u8>> {
    match compression {
        Compression::Gzip => {
            let packed = tar(release, paths, GzEncoder::new(Vec::new(), flate2::Compression::fast()))?;
            packed.finish()
        }
        Compression::Zstd => {
            let packed = tar(release, paths, zstd::stream::write::Encoder::new(Vec::new(), 3)?)?;
            packed.finish()
        }
    }
}

fn tar<'a, W: Write>(release: &Release, paths: impl IntoIterator<Item = &'a String>, into: W) -> io::Result<W> {
    let mut archive = tar::Builder::new(into);
    for path in paths {
        let Some(file) = release.files.get(path) else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        match file {
            ReleaseFile::File { content, executable, .. } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(if *executable { 0o555 } else { 0o444 });
                header.set_mtime(modification_time(content));
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, &content[..])?;
            }
            ReleaseFile::Symlink { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_mtime(0);
                header.set_size(0);
                archive.append_link(&mut header, path, target)?;
            }
        }
    }
    archive.into_inner()
}

/// Seconds between 2001 and 2018, spread by the content's digest: always in the past, and after what
/// tools take for broken.
fn modification_time(content: &[u8]) -> u64 {
    const FROM: u64 = 978_307_200; // 2001-01-01
    const SPAN: u64 = 1 << 29; // 17 years of seconds
    let digest = Sha256::digest(content);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    FROM + u64::from_be_bytes(first) % SPAN
}
