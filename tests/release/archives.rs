//! What comes out of an archive.

use evenkeel::{
    model::{
        budget::Budget,
        tree::{Entry, Tree},
    },
    release::unpack,
};
use tar::EntryType;

use crate::world::{file, gzip, special, tar, tarred};

fn unpacked(tar: &[u8]) -> Tree {
    unpack(&gzip(tar)[..], &Budget::STANDARD).unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn paths_bits_and_links_are_kept() {
    let tree = unpacked(&tarred());
    let kinds = tree.iter().map(|(path, entry)| match entry {
        Entry::File { executable: true, .. } => format!("{path}*"),
        Entry::File { .. } => path.to_owned(),
        Entry::Symlink { target } => format!("{path} -> {target}"),
        Entry::Submodule => unreachable!("an archive has none"),
    });
    insta::assert_snapshot!(kinds.collect::<Vec<_>>().join("\n"), @r"
    v1/README.md
    v1/app/.git/config
    v1/app/lib/a.py
    v1/app/lib/b.py
    v1/app/lib/latest.py -> b.py
    v1/app/serve*
    v1/app/tests/a.py
    ");
}

#[test]
fn a_hard_link_is_the_file_and_of_two_of_one_name_the_later_counts() {
    let items = [file("a", "old"), file("a", "new"), special("d/b", EntryType::Link, "./a")];
    let tree = unpacked(&tar(&items));
    for path in ["a", "d/b"] {
        assert!(matches!(tree.get(path), Some(Entry::File { content, .. }) if content[..] == b"new"[..]), "{path}");
    }
}

#[test]
fn an_archive_in_several_pieces_is_read_to_its_end() {
    let whole = tarred();
    let (first, second) = whole.split_at(700);
    let gz = [gzip(first), gzip(second)].concat();
    assert_eq!(unpack(&gz[..], &Budget::STANDARD).expect("unpacked").len(), 7);
    let zst = |bytes| zstd::encode_all(bytes, 1).expect("into memory");
    assert_eq!(unpack(&[zst(first), zst(second)].concat()[..], &Budget::STANDARD).expect("unpacked").len(), 7);
}
