//! What every kind of source has in common.

use evenkeel::release::Unfetched;

use crate::world::{World, git, gzip, repository, sha256, tarred};

#[test]
fn the_same_files_are_the_same_release_wherever_they_come_from() {
    let world = World::new();
    let (url, commit) = repository(&world);
    git(&world.path("other.git"), &["tag", "v1", &commit]);
    let (gz, zst) = (gzip(&tarred()), zstd::encode_all(&tarred()[..], 3).expect("into memory"));
    let (gz_at, zst_at) = (world.write("a.tar.gz", &gz), world.write("misnamed.zip", &zst));
    let release = |source: &str| world.release(source);
    let path = release("{path: /app}");
    assert_eq!(path.listing().lines().count(), 5);
    for other in [
        format!("{{git: \"{url}\", path: app}}"),
        format!("{{git: \"{url}\", rev: main, path: /app/}}"),
        format!("{{git: \"{url}\", rev: v1, path: app}}"),
        format!("{{git: \"{url}\", rev: {commit}, path: app}}"),
        format!("{{archive: \"file://{gz_at}\", sha256: {}, path: v1/app}}", sha256(&gz)),
        format!("{{archive: \"file://{zst_at}\", sha256: {}, path: v1/app}}", sha256(&zst)),
        format!("{{archive: {{x86_64: {{url: \"file://{gz_at}\", sha256: {}}}}}, path: v1/app}}", sha256(&gz)),
    ] {
        let other = release(&other);
        assert_eq!((other.digest, other.listing()), (path.digest, path.listing()), "{}", other.source);
    }
}

#[test]
fn what_is_excluded_does_not_travel_whatever_the_source() {
    let world = World::new();
    let (url, _) = repository(&world);
    let gz = gzip(&tarred());
    let at = world.write("a.tar.gz", &gz);
    let exclude = "exclude: [tests/, \"*.py\", \"!a.py\"]";
    let path = world.release(&format!("{{path: /app, {exclude}}}"));
    let files: Vec<&str> = path.files.keys().map(String::as_str).collect();
    assert_eq!(files, ["lib/a.py", "serve"]);
    let from_git = world.release(&format!("{{git: \"{url}\", path: app, {exclude}}}"));
    let archive =
        world.release(&format!("{{archive: \"file://{at}\", sha256: {}, path: v1/app, {exclude}}}", sha256(&gz)));
    assert_eq!((path.digest, path.digest), (from_git.digest, archive.digest));
    insta::assert_snapshot!(world.refused(&format!("{{git: \"{url}\", path: app, exclude: [\"*\"]}}")), @"service/a: source.exclude leaves nothing of git file://DIR/other.git (default branch), folder app; leave out less");
}

#[test]
fn holding_files_against_patterns_is_counted_before_it_is_done() {
    let world = World::new();
    // 2,300 files, each in 60 folders inside one another, and 1,000 patterns: 140 million comparisons.
    let folder = "d/".repeat(60);
    let mut packed = tar::Builder::new(Vec::new());
    for number in 0..2_300 {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        packed.append_data(&mut header, format!("v1/{folder}{number}"), &b""[..]).expect("packed");
    }
    let gz = gzip(&packed.into_inner().expect("into memory"));
    let at = world.write("many.tar.gz", &gz);
    let patterns: Vec<String> = (0..1_000).map(|number| format!("x{number}")).collect();
    let source =
        format!("{{archive: \"file://{at}\", sha256: {}, path: v1, exclude: [{}]}}", sha256(&gz), patterns.join(", "));
    let refused = world.refused(&source);
    let why =
        "by source.exclude takes this fleet over 134217728 steps; write fewer patterns, or name a source with fewer";
    assert!(refused.starts_with("service/a: ") && refused.contains(why), "{refused}");
}

#[test]
fn what_is_resolved_is_named() {
    let world = World::new();
    let (url, commit) = repository(&world);
    let gz = gzip(&tarred());
    let at = world.write("a.tar.gz", &gz);
    let named = |source: &str| world.without_paths(&world.release(source).source.to_string());
    let short = &commit[..7];
    assert_eq!(named("{path: /app}"), "app");
    let file = "file://DIR/other.git";
    assert_eq!(
        named(&format!("{{git: \"{url}\", path: app}}")),
        format!("git {file} at {short} (default branch), folder app")
    );
    assert_eq!(
        named(&format!("{{git: \"{url}\", rev: main, path: app}}")),
        format!("git {file} at {short} (main), folder app")
    );
    assert_eq!(
        named(&format!("{{git: \"{url}\", rev: {commit}, path: app}}")),
        format!("git {file} at {short}, folder app")
    );
    let digest = sha256(&gz);
    assert_eq!(
        named(&format!("{{archive: \"file://{at}\", sha256: {digest}, path: v1/app}}")),
        format!("archive file://DIR/a.tar.gz, sha256 {}, folder v1/app", &digest[..12])
    );
}

#[test]
fn a_program_that_is_not_in_the_source_is_told_before_any_host_is_touched() {
    let world = World::new();
    let (url, _) = repository(&world);
    let said = world.refused(&format!("{{git: \"{url}\"}}"));
    assert!(said.starts_with("service/a: ./serve is not in git file://DIR/other.git at "), "{said}");
    let said = world.refused(&format!("{{git: \"{url}\", path: ap}}"));
    assert!(said.ends_with("folder ap holds no such folder; correct source.path"), "{said}");
}

#[test]
fn with_a_fetcher_that_goes_nowhere_what_lies_elsewhere_stays_unresolved() {
    let world = World::new();
    let known = Default::default();
    let refused = |source: &str| world.prepare_at(source, &known, &Unfetched).expect_err("unresolved").to_string();
    assert!(world.prepare_at("{path: /app}", &known, &Unfetched).is_ok());
    insta::assert_snapshot!(refused("{git: \"https://example.org/a.git\", rev: main}"), @"service/a: git https://example.org/a.git (main) cannot be had: nothing is fetched here");
    let source = format!("{{archive: \"https://example.org/a.tar.gz\", sha256: {}}}", sha256(b""));
    insta::assert_snapshot!(refused(&source), @"service/a: archive https://example.org/a.tar.gz cannot be had: nothing is fetched here");
    assert!(!world.path("state").exists(), "nothing was made");
}
