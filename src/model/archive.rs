//! What kind of file somebody names as an archive, and what to do with one that evenkeel does not read.
//!
//! Owns: kinds by a file's first bytes and by its name. Never does: reading; bytes are handed in.

use std::fmt;

/// A kind of file that is no tar with gzip or zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    Zip,
    Xz,
    Bzip2,
    SevenZip,
    Rar,
    Lz4,
    Lzip,
    Lzma,
    Compress,
    PlainTar,
    Program,
    DebianPackage,
    Rpm,
    WebPage,
    Empty,
    Other,
}

impl ArchiveKind {
    /// By the first bytes, of which some hundred are enough (file(1)'s magic).
    pub fn of_bytes(first: &[u8]) -> Self {
        match first {
            [] => Self::Empty,
            [b'P', b'K', 3 | 5 | 7, ..] => Self::Zip,
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Xz,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [b'7', b'z', 0xbc, 0xaf, ..] => Self::SevenZip,
            [b'R', b'a', b'r', b'!', ..] => Self::Rar,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            [b'L', b'Z', b'I', b'P', ..] => Self::Lzip,
            [0x5d, 0, 0, ..] => Self::Lzma,
            [0x1f, 0x9d, ..] => Self::Compress,
            _ if first.get(257..262) == Some(b"ustar") => Self::PlainTar,
            [0x7f, b'E', b'L', b'F', ..] | [b'#', b'!', ..] | [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => Self::Program,
            [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Self::DebianPackage,
            [0xed, 0xab, 0xee, 0xdb, ..] => Self::Rpm,
            [b'<', ..] => Self::WebPage,
            _ => Self::Other,
        }
    }

    /// By the end of its name, where that tells one.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        Some(match () {
            () if ends(&[".zip", ".whl", ".jar", ".war", ".egg"]) => Self::Zip,
            () if ends(&[".xz", ".txz"]) => Self::Xz,
            () if ends(&[".bz2", ".tbz", ".tbz2"]) => Self::Bzip2,
            () if ends(&[".7z"]) => Self::SevenZip,
            () if ends(&[".rar"]) => Self::Rar,
            () if ends(&[".lz4"]) => Self::Lz4,
            () if ends(&[".lz"]) => Self::Lzip,
            () if ends(&[".lzma"]) => Self::Lzma,
            () if ends(&[".tar"]) => Self::PlainTar,
            () if ends(&[".deb"]) => Self::DebianPackage,
            () if ends(&[".rpm"]) => Self::Rpm,
            () if ends(&[".exe", ".appimage", ".sh"]) => Self::Program,
            () => return None,
        })
    }

    /// What to do with it.
    pub fn way_out(self) -> &'static str {
        match self {
            Self::Zip | Self::SevenZip | Self::Rar => {
                "unpack it, make an archive of its folder with `tar -czf NAME.tar.gz -C FOLDER .`, and publish that; or commit \
                 the files and name their folder with `path`"
            }
            Self::Xz => "pack it anew with `xz -dc NAME.tar.xz | gzip > NAME.tar.gz`, and publish that",
            Self::Bzip2 => "pack it anew with `bzip2 -dc NAME.tar.bz2 | gzip > NAME.tar.gz`, and publish that",
            Self::PlainTar => "compress it with `gzip NAME.tar`, and publish that",
            Self::Program => {
                "put the program into a folder, make an archive of that with `tar -czf NAME.tar.gz -C FOLDER .`, and publish \
                 it; or commit the program and name its folder with `path`"
            }
            Self::DebianPackage => "have the instance install it: name it in the `packages` of instances/NAME.yaml",
            Self::WebPage => "the address leads to a page: take the address of the download itself",
            Self::Empty => "the address leads to nothing: compare it with what its publisher names",
            Self::Rpm | Self::Lz4 | Self::Lzip | Self::Lzma | Self::Compress | Self::Other => {
                "unpack it, make an archive of its folder with `tar -czf NAME.tar.gz -C FOLDER .`, and publish that"
            }
        }
    }
}

impl fmt::Display for ArchiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zip => "a zip file",
            Self::Xz => "compressed with xz",
            Self::Bzip2 => "compressed with bzip2",
            Self::SevenZip => "a 7z file",
            Self::Rar => "a rar file",
            Self::Lz4 => "compressed with lz4",
            Self::Lzip => "compressed with lzip",
            Self::Lzma => "compressed with lzma",
            Self::Compress => "compressed with compress",
            Self::PlainTar => "a tar without compression",
            Self::Program => "a program by itself",
            Self::DebianPackage => "a Debian package",
            Self::Rpm => "an rpm package",
            Self::WebPage => "a web page",
            Self::Empty => "empty",
            Self::Other => "a file of another kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ArchiveKind;

    #[test]
    fn a_kind_is_told_by_first_bytes_and_by_name() {
        let tar = [vec![b'a'; 257], b"ustar\0".to_vec()].concat();
        for (first, name, kind) in [
            (&b"PK\x03\x04"[..], Some("a.ZIP"), ArchiveKind::Zip),
            (b"\xfd7zXZ\0", Some("a.tar.xz"), ArchiveKind::Xz),
            (b"BZh9", Some("a.tbz2"), ArchiveKind::Bzip2),
            (&tar, Some("a.tar"), ArchiveKind::PlainTar),
            (b"\x7fELF\x02", None, ArchiveKind::Program),
            (b"#!/bin/sh\n", Some("a.sh"), ArchiveKind::Program),
            (b"<!doctype html>", None, ArchiveKind::WebPage),
            (b"", None, ArchiveKind::Empty),
            (b"xx", None, ArchiveKind::Other),
        ] {
            assert_eq!(ArchiveKind::of_bytes(first), kind);
            assert!(name.is_none_or(|name| ArchiveKind::of_name(name) == Some(kind)), "{name:?}");
        }
        assert!(["a.tar.gz", "a.tgz", "a.tar.zst", "a"].iter().all(|name| ArchiveKind::of_name(name).is_none()));
    }
}
