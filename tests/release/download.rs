//! Archives on servers: had once, checked always, and never waited for without end.

use std::{fs, time::Duration};

use evenkeel::{
    model::{budget::Budget, source::ArchiveSource},
    release::{Fetcher, archive::Limits},
};

use crate::{
    server::{Answer, Server},
    world::{World, gzip, sha256, tarred},
};

pub fn archive(url: String, content: &[u8]) -> ArchiveSource {
    let sha256 = sha256(content).parse().expect("a digest");
    ArchiveSource { url, sha256, folder: String::new(), credentials: None }
}

#[test]
fn an_archive_is_downloaded_once_and_checked_each_time() {
    let world = World::new();
    let content = gzip(&tarred());
    let served = content.clone();
    let server = Server::start(move |_| Answer::body(&served));
    world.reach(&server.url("/*"));
    let source = archive(server.url("/a"), &content);
    for _ in 0..2 {
        assert_eq!(world.fetcher().archive(&source).expect("had").len(), 7);
    }
    assert_eq!(server.heard().len(), 1);
    // A disk that forgot, or somebody who changed it.
    let kept =
        fs::read_dir(world.path("state/sources/archives")).expect("it is there").next().expect("one").expect("it");
    assert!(kept.file_name().to_string_lossy().starts_with(&sha256(&content)), "{kept:?}");
    fs::write(kept.path(), gzip(b"something else")).expect("it is ours");
    assert_eq!(world.fetcher().archive(&source).expect("had").len(), 7);
    assert_eq!(server.heard().len(), 2);
}

#[test]
fn what_is_not_what_was_declared_is_never_unpacked() {
    let world = World::new();
    let served = gzip(&tarred());
    let body = served.clone();
    let server = Server::start(move |path| match path {
        "/other" => Answer::body(b"other"),
        "/bomb" => Answer::body(&body),
        _ => Answer::status(404),
    });
    let limits = Limits { budget: Budget { download_bytes: 100, ..Budget::STANDARD }, ..Limits::default() };
    for listed in [server.url("/*"), "file:///nowhere/*".to_owned(), "file:///dev/zero".to_owned()] {
        world.reach(&listed);
    }
    let cache = world.path("state/sources/archives");
    let mut said = String::new();
    let mut told = |source: &ArchiveSource, limits| {
        let error = world.fetcher().with_limits(limits).archive(source).expect_err("refused");
        said += &format!("{error}\n");
    };
    told(&archive(server.url("/other"), b"meant"), limits);
    told(&archive(server.url("/bomb"), &served), limits);
    told(&archive(server.url("/gone"), b"meant"), limits);
    told(&archive("file:///nowhere/a.tar.gz".to_owned(), b"meant"), limits);
    told(&archive("file:///dev/zero".to_owned(), b"meant"), limits);
    insta::assert_snapshot!(said);
    assert_eq!(fs::read_dir(&cache).expect("it is there").count(), 0, "nothing is left");
}

#[test]
fn every_wait_ends() {
    let world = World::new();
    let server = Server::start(|_| Answer::silent(b"the beginning"));
    let short = Duration::from_millis(300);
    let limits = Limits { silence: short, total: Duration::from_secs(20), ..Limits::default() };
    let began = std::time::Instant::now();
    world.reach(&server.url("/*"));
    let fetcher = world.fetcher().with_limits(limits);
    let error = fetcher.archive(&archive(server.url("/a"), b"meant")).expect_err("too long");
    assert!(began.elapsed() < Duration::from_secs(10), "{error}");
}

#[test]
fn nothing_that_lets_anybody_in_is_told() {
    let world = World::new();
    let server = Server::start(|path| match path {
        "/a" => Answer::redirect("http://127.0.0.1:9/x?signature=s3cret"),
        _ => Answer::status(500),
    });
    world.reach(&server.url("/*"));
    world.reach("http://127.0.0.1:9/*");
    let source = format!("{{archive: \"{}\", sha256: {}}}", server.url("/a"), sha256(b""));
    let said = world.refused(&source);
    assert!(said.starts_with("service/a: archive http://127.0.0.1:"), "{said}");
    assert!(
        said.ends_with("; check the address, and that the way there is free: name, port, proxy, firewall"),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn an_archive_of_another_kind_gets_a_way_out() {
    let world = World::new();
    let program = b"\x7fELF\x02\x01".repeat(200);
    for (name, content, way_out) in [
        ("t.zip", b"PK\x03\x04rest".to_vec(), "it is a zip file: unpack it"),
        ("t.tar.xz", b"\xfd7zXZ\0rest".to_vec(), "xz -dc"),
        ("t.tar.bz2", b"BZh9rest".to_vec(), "bzip2 -dc"),
        ("t.tar", tarred(), "it is a tar without compression: compress it"),
        ("tool-linux-amd64", program.clone(), "it is a program by itself: put the program into a folder"),
        ("tool-linux-amd64.gz", gzip(&program), "it is a program by itself: put the program into a folder"),
        ("page", b"<!doctype html>".to_vec(), "take the address of the download itself"),
    ] {
        let path = world.write(name, &content);
        let error = world.fetcher().archive(&archive(format!("file://{path}"), &content)).expect_err("refused");
        assert!(error.to_string().contains(way_out), "{name}: {error}");
    }
}
