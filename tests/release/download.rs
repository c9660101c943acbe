//! Archives on servers: had once, checked always, and never waited for without end.

use std::{fs, time::Duration};

use evenkeel::{
    model::{
        budget::Budget,
        source::{ArchiveSource, SourceCredentials},
    },
    release::{
        Fetcher,
        archive::{Limits, fetch},
    },
};

use crate::{
    server::{Answer, Server},
    world::{World, gzip, sha256, tarred},
};

fn archive(url: String, content: &[u8]) -> ArchiveSource {
    let sha256 = sha256(content).parse().expect("a digest");
    ArchiveSource { url, sha256, folder: String::new(), credentials: None }
}

#[test]
fn an_archive_is_downloaded_once_and_checked_each_time() {
    let world = World::new();
    let content = gzip(&tarred());
    let served = content.clone();
    let server = Server::start(move |_| Answer::body(&served));
    let source = archive(server.url("/a"), &content);
    for _ in 0..2 {
        assert_eq!(world.fetcher().archive(&source).expect("had").len(), 7);
    }
    assert_eq!(server.heard().len(), 1);
    // A disk that forgot, or somebody who changed it.
    let kept = world.path("state/sources/archives").join(sha256(&content));
    fs::write(&kept, gzip(b"something else")).expect("it is ours");
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
    let cache = world.path("cache");
    let mut said = String::new();
    let mut told = |source: &ArchiveSource, limits| {
        let error = evenkeel::release::FetchError::from(fetch(source, &cache, limits).expect_err("refused"));
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
    let error = fetch(&archive(server.url("/a"), b"meant"), &world.path("cache"), limits).expect_err("too long");
    assert!(began.elapsed() < Duration::from_secs(10), "{error}");
}

#[test]
fn a_token_goes_to_the_declared_host_and_not_where_that_sends_us() {
    let world = World::new();
    let content = gzip(&tarred());
    let served = content.clone();
    let store = Server::start(move |_| Answer::body(&served));
    // The same machine by another name is another host.
    let elsewhere = store.url("/a?signature=s3cret").replace("127.0.0.1", "localhost");
    let server = Server::start(move |_| Answer::redirect(&elsewhere));
    let token = SourceCredentials::TokenFile(world.write("token", b"t0ps3cret\n").into());
    let source = ArchiveSource { credentials: Some(token), ..archive(server.url("/a"), &content) };
    assert_eq!(world.fetcher().archive(&source).expect("had").len(), 7);
    assert!(server.heard()[0].contains("authorization: Bearer t0ps3cret"), "{:?}", server.heard());
    assert!(!store.heard()[0].contains("authorization"), "{:?}", store.heard());
}

#[test]
fn nothing_that_lets_anybody_in_is_told() {
    let world = World::new();
    let server = Server::start(|path| match path {
        "/a" => Answer::redirect("http://127.0.0.1:9/?signature=s3cret"),
        _ => Answer::status(500),
    });
    let source = format!("{{archive: \"{}\", sha256: {}}}", server.url("/a"), sha256(b""));
    let said = world.refused(&source);
    assert!(said.starts_with("service/a: archive http://127.0.0.1:"), "{said}");
    assert!(
        said.ends_with("; check the address, and that the way there is free: name, port, proxy, firewall"),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
}
