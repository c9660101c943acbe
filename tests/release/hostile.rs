//! Archives that somebody made to do harm, or that are broken.

use evenkeel::{model::budget::Budget, release::unpack};
use tar::EntryType;

use crate::world::{Item, World, file, gzip, sha256, special, tar};

fn refused(archive: &[u8]) -> String {
    let bounds = &Budget { entries: 100, tree_bytes: 1 << 20, ..Budget::STANDARD };
    let error = unpack(archive, bounds).expect_err("refused");
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[test]
fn whatever_could_do_harm_is_refused_by_its_name() {
    let not_utf8 = Item { path: b"a\xffb", ..file("x", "") };
    let cases = [
        vec![file("ok", ""), file("../up", "x")],
        vec![file("a/../../up", "x")],
        vec![file("/etc/passwd", "x")],
        vec![special("/", EntryType::Directory, "")],
        vec![special("disk", EntryType::Block, "")],
        vec![special("tty", EntryType::Char, "")],
        vec![special("pipe", EntryType::Fifo, "")],
        vec![special("odd", EntryType::new(b'Q'), "")],
        vec![special("hard", EntryType::Link, "/etc/passwd")],
        vec![special("hard", EntryType::Link, "../up")],
        vec![special("hard", EntryType::Link, "later"), file("later", "x")],
        vec![special("link", EntryType::Symlink, "x"), special("hard", EntryType::Link, "link")],
        vec![not_utf8],
        vec![file("a\nb", "x")],
        vec![special("link", EntryType::Symlink, "a\nb")],
    ];
    let said: String = cases.iter().map(|items| format!("{}\n", refused(&gzip(&tar(items))))).collect();
    insta::assert_snapshot!(said);
}

#[test]
fn links_that_leave_the_tree_are_refused_with_the_service() {
    let world = World::new();
    let mut said = String::new();
    for items in [
        vec![file("app/serve", ""), special("app/out", EntryType::Symlink, "../../etc")],
        vec![file("app/serve", ""), special("app/out", EntryType::Symlink, "/etc/passwd")],
        // Within the archive, and out of what is taken of it.
        vec![file("app/serve", ""), file("b", ""), special("app/out", EntryType::Symlink, "../b")],
        vec![file("app/serve", ""), special("app/dir", EntryType::Symlink, "."), file("app/dir/x", "")],
    ] {
        let archive = gzip(&tar(&items));
        let at = world.write("hostile.tar.gz", &archive);
        let source = format!("{{archive: \"file://{at}\", sha256: {}, path: app}}", sha256(&archive));
        said += &format!("{}\n", world.refused(&source));
    }
    insta::assert_snapshot!(said);
}

/// 65 folders inside one another.
const DEEP: &str = "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/\
     d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/";

#[test]
fn however_small_it_is_what_comes_out_of_it_is_bounded() {
    let zeros = |path, megabytes: usize| Item { content: vec![0; megabytes << 20], ..file(path, "") };
    let two = tar(&[zeros("a", 1), file("b", "x")]);
    assert!(gzip(&two).len() < 20_000);
    let large = "it has more than 1 MiB in all files together, which is more than evenkeel reads: b";
    assert_eq!(refused(&gzip(&two)), large);
    assert_eq!(refused(&zstd::encode_all(&two[..], 1).expect("into memory")), large);
    // Links to one large file are as many large files on a host.
    let linked = tar(&[zeros("a", 1), special("b", EntryType::Link, "a")]);
    assert_eq!(refused(&gzip(&linked)), large);
    // A name may be as long as the archive says.
    let long = Item { kind: EntryType::GNULongName, ..zeros("././@LongLink", 8) };
    assert_eq!(refused(&gzip(&tar(&[long, file("a", "x")]))), "the name of an entry in it is longer than 65536 bytes");
    let many: Vec<Item> = (0..101).map(|_| file("a", "")).collect();
    assert_eq!(
        refused(&gzip(&tar(&many))),
        "it has more than 100 files, folders and links, which is more than evenkeel reads: a"
    );
    let deep = Item { kind: EntryType::GNULongName, content: format!("{DEEP}a").into(), ..file("././@LongLink", "") };
    assert_eq!(
        refused(&gzip(&tar(&[deep, file("d", "")]))).split(", ").next(),
        Some("it has more than 64 folders inside one another")
    );
}

#[test]
fn what_is_broken_is_told() {
    let whole = gzip(&tar(&[file("a", &"x".repeat(2000))]));
    assert_eq!(refused(b"PK\x03\x04"), "it is neither tar.gz nor tar.zst");
    assert_eq!(refused(b""), "it is neither tar.gz nor tar.zst");
    assert!(refused(&whole[..whole.len() / 2]).starts_with("it cannot be unpacked: "));
    let short = tar(&[file("a", &"x".repeat(2000))]);
    assert_eq!(refused(&gzip(&short[..1000])), "a in it ends too early");
    assert!(refused(&gzip(&[b'x'; 4096])).starts_with("it cannot be unpacked: "));
}
