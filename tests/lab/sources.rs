//! Code that lies in another repository, and moves there.

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

pub fn a_branch_of_another_repository_that_moves_is_deployed_like_a_commit(world: &World) {
    let fleet = Fleet::new(world, "elsewhere");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let other = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = other.path().to_str().expect("it is UTF-8");
    let git = |arguments: &[&str]| fleet.git(&[&["-C", folder], arguments].concat());
    git(&["init", "--quiet", "--initial-branch=main"]);
    let push = |more: &str| {
        let code = format!("{more}\n{}", include_str!("server.py"));
        std::fs::create_dir_all(other.path().join("app")).expect("the folder can be made");
        std::fs::write(other.path().join("app/server.py"), code).expect("it can be written");
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "A change"]);
        git(&["rev-parse", "HEAD"])
    };
    let greet = |text: &str| push(&format!("import os; os.environ['GREETING'] = '{text}'"));
    let first = greet("one");
    let source = format!("source: {{git: \"file://{folder}\", rev: main, path: app, exclude: [\"*.md\"]}}");
    let health = "health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}";
    fleet.service("alpha", port, &["h1"], &format!("{source}\n{health}"));
    let commit = fleet.commit();
    // Where a repository of this machine is a source, its operator has listed it.
    let listed = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(listed.path(), format!("reach: [\"file://{folder}\"]\n")).expect("it can be written");
    let listed = listed.path().to_str().expect("it is UTF-8");
    let _daemon = fleet.follow(&fleet.remote(), fleet.state(), &["--poll", "1s", "--credentials", listed]);
    fleet.is_live(&commit);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / one");

    let second = greet("two");
    wait_for("the other repository's commit going live", || (h1.asks(port, "/") == "alpha h1 / two").then_some(()));
    wait_for("its record", || (fleet.newest("/outcome") == "applied").then_some(()));
    let name = format!("/commits/sources/file:~1~1{} main", folder.replace('/', "~1"));
    assert_is("its kind", fleet.newest("/kind"), "change");
    assert_is("the other repository's commit in the record", fleet.newest(&name), second.as_str());
    let moved = format!("main of file://{folder} moved from {} to {}", &first[..7], &second[..7]);
    assert!(fleet.newest("/changes").to_string().contains(&moved), "{}", fleet.newest("/changes"));
    let release =
        h1.run(&format!("basename $(systemctl show --value -p WorkingDirectory '{}')", fleet.unit("alpha", port)));
    let listed = fleet.git(&["show", &format!("evenkeel/history/test:instances/h1/releases/{}", release.trim())]);
    let from = format!("# from git file://{folder} at {} (main), folder app", &second[..7]);
    assert_is("the release's first line", listed.lines().next(), Some(from.as_str()));

    // What it moves to next is undone, and put aside without the commit of the config repository.
    let bad = push("import sys; sys.exit(1)");
    wait_for("the failure's record", || (fleet.newest("/outcome") == "rolled-back").then_some(()));
    assert_is("what failed", fleet.newest(&name), bad.as_str());
    wait_for("the old answer", || (h1.asks(port, "/") == "alpha h1 / two").then_some(()));
    fleet.notes("is quarantined");
    h1.run(&format!("sudo systemctl stop '{}'", fleet.unit("alpha", port)));
    wait_for("repair against the last good one", || (h1.asks(port, "/") == "alpha h1 / two").then_some(()));

    greet("three");
    wait_for("what mends it going live", || (h1.asks(port, "/") == "alpha h1 / three").then_some(()));
    wait_for("its record", || (fleet.newest("/outcome") == "applied").then_some(()));

    // No commit of the config repository brings back what lies elsewhere.
    let refused = fleet.run("rollback", &[]).ends_with(1);
    assert!(refused.errors.contains("choose an earlier deployment"), "{}", refused.errors);
    fleet.run("rollback", &["--now"]).ends_with(0);
    wait_for("the commit before going live", || (h1.asks(port, "/") == "alpha h1 / two").then_some(()));
}
