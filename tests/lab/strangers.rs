//! Pull requests of people who are not trusted: each way in is tried, and nothing is found to have gone through it.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use serde_json::json;

use crate::{
    faults::overridden,
    fleet::Fleet,
    proposing::{As, Story, Trap},
    world::{World, assert_is, assert_same},
};

const STRANGER: &str = "mallory";
const TRUSTED: &str = "plan_forks: true";

/// A fleet that says itself how its hosts are reached, and whether strangers' proposals are planned.
fn guarded<'a>(world: &'a World, name: &'static str, extra: &str) -> Story<'a> {
    let mut fleet = Fleet::shared(world, name);
    for host in &world.hosts {
        fleet.instance(host, &format!("host_key: {}\n", host.host_key));
        overridden(&mut fleet, &host.name, |instance| *instance = json!({"ssh": {"key": instance["ssh"]["key"]}}));
    }
    let file = fleet.path().join("fleet.yaml");
    let text = fs::read_to_string(&file).expect("it is there");
    fs::write(file, format!("{text}pull_requests: {{{extra}}}\n")).expect("it can be written");
    let story = Story::of(fleet);
    story.fleet.environment("");
    story.declares("one");
    story.fleet.commit();
    story
}

/// Proposes a change from a fork.
fn intrudes<'a>(story: &Story<'a>, branch: &str, change: impl FnOnce(&Fleet<'a>)) -> u64 {
    story.branch(branch, change);
    story.github.opens(branch, STRANGER, branch, true)
}

pub fn a_fork_waits_until_somebody_asks_for_its_plan(world: &World) {
    let story = guarded(world, "forked", "");
    let _daemon = story.follows(As::App, "1h");
    let number = intrudes(&story, "greet", |_| story.declares("two"));
    let told = story.is_told(number, &["another repository", "/evenkeel plan"]);
    assert!(!told.contains("GREETING"), "it is planned: {told}");
    story.checked(number, "action_required", "action_required");

    let github = &story.github;
    github.lets("alice", "write");
    github.comments(number, STRANGER, "/evenkeel plan");
    story.is_answered(number, &[STRANGER, "no permission"]);
    story.is_told(number, &["another repository"]);
    let seen = github.head(number);
    github.comments(number, "alice", "/evenkeel plan");
    story.is_told(number, &["GREETING=\"two\""]);
    story.checked(number, "success", "success");

    // What was looked at is what was asked for, and not what comes after.
    story.amends("greet", |_| story.declares("three"));
    github.pushes(number);
    story.checked(number, "action_required", "action_required");
    story.is_told(number, &["another repository"]);
    github.comments(number, "alice", &format!("/evenkeel plan {seen}"));
    story.is_answered(number, &["was refused", &github.head(number)]);
    story.is_told(number, &["another repository"]);
    github.comments(number, "alice", &format!("/evenkeel plan {}", github.head(number)));
    story.is_told(number, &["GREETING=\"three\""]);
}

pub fn hosts_are_looked_at_where_the_base_says_and_with_its_keys(world: &World) {
    let story = guarded(world, "reached", TRUSTED);
    let (h3, gate) = (world.host("h3"), world.host("h4"));
    let jump = format!("{{jump: {{address: {}, host_key: {}}}}}", gate.address, gate.host_key);
    story.fleet.instance(h3, &format!("host_key: {}\nssh: {jump}\n", h3.host_key));
    story.fleet.service("beta", story.fleet.port(1), &["h3"], "env: {GREETING: one}");
    story.fleet.commit();
    let (trap, before) = (Trap::set(world), world.traces());
    let _daemon = story.follows(As::App, "1h");
    let after = world.traces();
    assert!(before != after, "nothing was deployed");
    let (h1, h2) = (world.host("h1"), world.host("h2"));
    let (address, port) = (trap.address.ip(), trap.address.port());

    let moved = intrudes(&story, "moved", |fleet| {
        let key = &h1.host_key;
        let text = format!(
            "environment: test\naddress: {address}\nports: 8000-15999\nhost_key: {key}\nssh: {{port: {port}}}\n"
        );
        fleet.write("instances/h1.yaml", &text);
        story.declares("two");
    });
    story.is_told(moved, &["its address", "h1", "GREETING=\"two\""]);

    let other_key = intrudes(&story, "other-key", |fleet| {
        fleet.instance(h2, &format!("host_key: {}\n", h3.host_key));
        story.declares("two");
    });
    story.is_told(other_key, &["its host key", "h2", "GREETING=\"two\""]);

    let jump = format!("{{jump: {{address: {address}, port: {port}, host_key: {}}}}}", h1.host_key);
    let jumped = intrudes(&story, "jumped", |fleet| {
        fleet.instance(h1, &format!("host_key: {}\nssh: {jump}\n", h1.host_key));
        story.declares("two");
    });
    story.is_told(jumped, &["its jump host", "h1", "GREETING=\"two\""]);

    // h3 has one; what is told of beta was found out through that.
    let other_jump = intrudes(&story, "other-jump", |fleet| {
        fleet.instance(h3, &format!("host_key: {}\nssh: {jump}\n", h3.host_key));
        fleet.service("beta", fleet.port(1), &["h3"], "env: {GREETING: two}");
    });
    story.is_told(other_jump, &["its jump host", "h3", "GREETING=\"two\""]);

    let new = intrudes(&story, "new", |fleet| {
        let text = format!(
            "environment: test\naddress: {address}\nports: 8000-15999\nhost_key: {}\nssh: {{port: {port}}}\n",
            h1.host_key
        );
        fleet.write("instances/h9.yaml", &text);
        fleet.service("beta", fleet.port(1), &["h9"], "");
    });
    story.is_told(new, &["h9", "once this is merged"]);
    trap.is_untouched();
    assert_same(&after, &world.traces());
}

pub fn nothing_of_a_proposal_runs_and_nothing_of_it_is_fetched(world: &World) {
    let story = guarded(world, "inert", TRUSTED);
    let trap = Trap::set_outside();
    let _daemon = story.follows(As::App, "1h");
    let before = world.traces();
    let at = trap.address;
    let mark = std::env::temp_dir().join(format!("evenkeel-intruder-{}", std::process::id()));
    let touch = format!("/usr/bin/touch {}", mark.display());

    let health = intrudes(&story, "health", |fleet| {
        fleet.service(
            "alpha",
            fleet.port(0),
            &["h1", "h2"],
            &format!("env: {{GREETING: two}}\nhealth: {{exec: \"{touch}\"}}"),
        );
    });
    let git = intrudes(&story, "git", |fleet| {
        fleet.service("beta", fleet.port(1), &["h3"], &format!("source: {{git: \"https://{at}/x.git\", rev: main}}"));
    });
    let archive = intrudes(&story, "archive", |fleet| {
        let source = format!("source: {{archive: \"https://{at}/x.tar.gz\", sha256: {}}}", "ab".repeat(32));
        fleet.service("beta", fleet.port(1), &["h3"], &source);
    });
    let build = intrudes(&story, "build", |fleet| {
        fleet.write("web/page", "one");
        let build = format!("build: {{run: \"{touch}; mkdir out; cp page out/\", output: out, network: false}}");
        fleet.site("inert", &["h1"], &format!("frontend: {{source: {{path: web, {build}}}}}"));
    });
    let submodule = intrudes(&story, "submodule", |fleet| {
        let modules = format!("[submodule \"theirs\"]\n\tpath = fleet/theirs\n\turl = https://{at}/x.git\n");
        fleet.write("../.gitmodules", &modules);
        let entry = format!("160000,{},fleet/theirs", fleet.git(&["rev-parse", "HEAD"]));
        fleet.git(&["update-index", "--add", "--cacheinfo", &entry]);
        fs::create_dir_all(fleet.path().join("theirs")).expect("it can be made");
        story.declares("two");
    });
    let entry = story.fleet.git(&["ls-tree", "submodule", "fleet/theirs"]);
    assert!(entry.starts_with("160000"), "it is no submodule: {entry}");
    story.is_told(health, &["GREETING=\"two\""]);
    for unfetched in [git, archive] {
        let told = story.is_told(unfetched, &["service/beta", "fetched once this is merged"]);
        assert!(!told.contains("is built once"), "what is only fetched is called built: {told}");
    }
    story.is_told(build, &["site/inert", "built once this is merged"]);
    story.is_told(submodule, &["GREETING=\"two\""]);

    trap.is_untouched();
    assert!(!mark.exists(), "something of it ran here");
    for host in &world.hosts {
        assert!(!host.exists(&mark.display().to_string()), "something of it ran on {}", host.name);
    }
    assert!(!story.fleet.state().join("builds/made").exists(), "something was built");
    assert_same(&before, &world.traces());
}

pub fn what_is_no_plain_tree_is_refused_or_read_as_it_is(world: &World) {
    let story = guarded(world, "odd", TRUSTED);
    let _daemon = story.follows(As::App, "1h");
    let before = world.traces();
    let mark = std::env::temp_dir().join(format!("evenkeel-named-{}", std::process::id()));
    let names = [
        // No name holds a slash, but a shell would make one.
        format!("$(touch \"$(printf '{}')\")", mark.display().to_string().replace('/', "\\57")),
        "--help".to_owned(),
        "a b'\"`;@octocat <img src=x>".to_owned(),
        "line\nbreak".to_owned(),
        "\u{202e}txt.exe".to_owned(),
    ];
    let hostile = intrudes(&story, "hostile", |fleet| {
        for name in &names {
            fleet.write(&format!("program/{name}"), "x");
            fleet.write(&format!("services/{}.yaml", name.replace('/', "")), "port: 1\n");
        }
    });
    let shown = story.is_told(hostile, &["fleet/services/"]);
    assert!(!shown.contains('\u{202e}'), "text is turned around: {shown}");
    story.checked(hostile, "failure", "failure");

    let link = intrudes(&story, "link", |fleet| {
        symlink("/etc/passwd", fleet.path().join("services/beta.yaml")).expect("it can be made");
        symlink("/etc/passwd", fleet.path().join("program/passwd")).expect("it can be made");
        story.declares("two");
    });
    let shown = story.is_told(link, &["link"]);
    assert!(!shown.contains("root:"), "a file of this machine is shown: {shown}");

    let large = intrudes(&story, "large", |fleet| {
        // By hand: a hundred thousand files take long to write.
        let blob = fleet.git(&["hash-object", "-w", "fleet/fleet.yaml"]);
        let entries: BTreeMap<String, &str> = (0..100_000).map(|each| (format!("f{each:05}"), blob.as_str())).collect();
        let list: String = entries.iter().map(|(name, blob)| format!("100644 blob {blob}\t{name}\n")).collect();
        fleet.write("../.git/list", &list);
        let tree = fleet.git(&["-c", "alias.mk=!git mktree <.git/list", "mk"]);
        fleet.git(&["read-tree", "--prefix=fleet/many/", &tree]);
        fleet.git(&["checkout-index", "--all", "--force"]);
    });
    let shown = story.is_told(large, &["100000 files"]);
    assert!(shown.len() < 4000, "much is said of it: {} bytes", shown.len());
    story.checked(large, "failure", "failure");

    assert!(!mark.exists(), "a name was run");
    assert_is("what was told", story.github.comments_of_evenkeel(large).len(), 1);
    assert_same(&before, &world.traces());
}
