//! Releases: what their digest covers, which links are refused, and how they are packed.

use std::{collections::BTreeMap, io::Read as _, sync::Arc};

use evenkeel::{
    model::{
        release::{Compression, Listing, Release, ReleaseFile},
        source::{Pinned, Source, SourceCommits},
        tree::{Entry, Tree},
    },
    release::{Builds, ReleaseError, Trouble, Unfetched, gather, pack},
};

use crate::declared::example;

fn text(content: &str) -> Entry {
    Entry::File { content: content.as_bytes().into(), executable: false }
}

fn link(target: &str) -> Entry {
    Entry::Symlink { target: target.to_owned() }
}

/// The release of gong_mcp, were these its files.
fn release(files: &[(&str, Entry)]) -> Result<Release, ReleaseError> {
    let mut fleet = Arc::unwrap_or_clone(example().prepare().fleet);
    fleet.services.retain(|name, _| name.as_str() == "gong_mcp");
    fleet.sites.clear();
    let source = Source::folder("fleet/mcp_servers/gong");
    let mut tree = Tree::default();
    tree.insert("fleet/mcp_servers/gong2/x", text("another folder")).expect("a path");
    for (path, entry) in files {
        tree.insert(&format!("fleet/mcp_servers/gong/{path}"), entry.clone()).expect("a path");
    }
    gather(&fleet, &tree, &SourceCommits::new(), &Unfetched, Builds::default())
        .map(|mut releases| releases.remove(&source).expect("a release"))
}

#[test]
fn the_same_tree_has_the_same_digest_and_any_change_another() {
    let run = Entry::File { content: b"a"[..].into(), executable: true };
    let trees: [&[(&str, Entry)]; 8] = [
        &[("a", text("a"))],
        &[("a", text("b"))],
        &[("b", text("a"))],
        &[("a", run)],
        &[("a", link("a"))],
        &[("a", text("a")), ("b", text(""))],
        &[("d/a", text("a"))],
        &[("a", text(""))],
    ];
    let digest = |files| release(files).expect("a release").digest;
    for (index, tree) in trees.iter().enumerate() {
        for (other_index, other) in trees.iter().enumerate() {
            assert_eq!(digest(tree) == digest(other), index == other_index, "{index} and {other_index}");
        }
    }
    // Where it comes from is not in it.
    let moved = Release::new(Pinned::Folder("elsewhere".into()), release(trees[0]).expect("a release").files);
    assert_eq!(moved.digest, digest(trees[0]));
}

#[test]
fn a_digest_stays_what_it_is_on_every_machine() {
    let release = release(&[("a", text("a")), ("l", link("a"))]).expect("a release");
    // Hosts hold releases by this name: if it changes, everything is sent again.
    insta::assert_snapshot!(release.digest);
    insta::assert_snapshot!(release.listing());
}

#[test]
fn links_that_leave_the_release_are_refused() {
    let refused: [&[(&str, &str)]; 8] = [
        &[("l", "/etc/passwd")],
        &[("l", "..")],
        &[("l", "../gong2/x")],
        &[("d/l", "../../x")],
        &[("l", "d/../../x")],
        &[("d", "."), ("l", "d/..")],
        &[("d", "."), ("l", "d/d/../x")],
        &[("a/b/up", ".."), ("l", "a/b/up/../../x")],
    ];
    for links in refused {
        let files: Vec<_> = links.iter().map(|(path, target)| (*path, link(target))).collect();
        match release(&files) {
            Err(ReleaseError { troubles }) => match &troubles[..] {
                [(_, Trouble::LinkLeaves { path, .. })] => assert_eq!(path, links[links.len() - 1].0),
                other => panic!("{links:?}: {other:?}"),
            },
            other => panic!("{links:?}: {other:?}"),
        }
    }
}

#[test]
fn links_within_the_release_stay() {
    let kept: [&[(&str, &str)]; 7] = [
        &[("l", "a")],
        &[("d/l", "../a")],
        &[("l", "not/there")],
        &[("l", "l")],
        &[("a", "b"), ("b", "a")],
        &[("d", "."), ("l", "d/d/d/a")],
        &[("a/b/up", ".."), ("l", "a/b/up/../x")],
    ];
    for links in kept {
        let files: Vec<_> = links.iter().map(|(path, target)| (*path, link(target))).collect();
        assert!(release(&files).is_ok(), "{links:?}");
    }
}

#[test]
fn a_missing_folder_a_submodule_and_a_hostile_name_are_refused() {
    let mut said = String::new();
    let cases: [&[(&str, Entry)]; 3] = [&[], &[("lib", Entry::Submodule)], &[("a\nb", text("x"))]];
    for files in cases {
        said += &format!("{}\n", release(files).expect_err("refused"));
    }
    insta::assert_snapshot!(said);
}

fn packed(release: &Release) -> Vec<u8> {
    pack(release, release.files.keys(), Compression::Gzip).expect("packed")
}

/// Path, mode, modification time and content of everything packed.
fn unpacked(archive: &[u8]) -> Vec<(String, u32, u64, String)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let entries = archive.entries().expect("an archive");
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.expect("an entry");
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        let header = entry.header();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        let (mode, time) = (header.mode().expect("a mode"), header.mtime().expect("a time"));
        let link = entry.link_name().expect("a link").map(|target| format!("-> {}", target.display()));
        (entry.path().expect("a path").display().to_string(), mode, time, link.unwrap_or(content))
    };
    entries.map(read).collect()
}

#[test]
fn packing_is_the_same_every_time() {
    for release in example().prepare().releases.values() {
        assert_eq!(packed(release), packed(release));
    }
}

#[test]
fn what_is_packed_is_the_release() {
    let long = format!("{}/file", "folder".repeat(40));
    let run = Entry::File { content: b"#!/bin/sh\n"[..].into(), executable: true };
    let release = release(&[("a", text("a")), (&long, text("b")), ("run", run), ("l", link("a"))]).expect("a release");
    let found: Vec<_> =
        unpacked(&packed(&release)).into_iter().map(|(path, mode, _, content)| (path, mode, content)).collect();
    let expected = [("a", 0o444, "a"), (&long, 0o444, "b"), ("l", 0o777, "-> a"), ("run", 0o555, "#!/bin/sh\n")];
    let expected: Vec<_> = expected.iter().map(|(p, m, c)| ((*p).to_owned(), *m, (*c).to_owned())).collect();
    assert_eq!(found, expected);
    let zstd = pack(&release, release.files.keys(), Compression::Zstd).expect("packed");
    let (archive, mut gzip) = (packed(&release), Vec::new());
    flate2::read::GzDecoder::new(&archive[..]).read_to_end(&mut gzip).expect("gzip");
    assert_eq!(zstd::decode_all(&zstd[..]).expect("zstd"), gzip, "one archive, compressed in two ways");
    let only = pack(&release, &["run".to_owned()], Compression::Gzip).expect("packed");
    assert_eq!(unpacked(&only).len(), 1, "what is not asked for does not travel");
    assert_eq!(Listing::parse(&release.listing()), Some(release.listed()), "what is listed is read back");
}

#[test]
fn equal_sizes_with_other_contents_have_other_modification_times() {
    // nginx's ETag is modification time and size.
    let contents = ["one", "two", "six", "ten", "one"];
    let files: BTreeMap<String, ReleaseFile> = contents
        .iter()
        .enumerate()
        .map(|(number, content)| {
            let digest = evenkeel::model::digest::Digest::of(content);
            (number.to_string(), ReleaseFile::File { content: content.as_bytes().into(), digest, executable: false })
        })
        .collect();
    let packed = packed(&Release::new(Pinned::Folder("x".into()), files));
    let times: Vec<u64> = unpacked(&packed).into_iter().map(|(_, _, time, _)| time).collect();
    assert_eq!(times[0], times[4], "the same content keeps its time");
    let different: std::collections::BTreeSet<u64> = times.iter().copied().collect();
    assert_eq!(different.len(), 4);
    assert!(times.iter().all(|time| (978_307_200..1_600_000_000).contains(time)), "{times:?}");
}
