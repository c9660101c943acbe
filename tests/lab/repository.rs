//! Bad days of the config repository: away, talking nonsense, refusing, rewritten, or holding no fleet.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use evenkeel::model::event::EventName;

use crate::{
    fleet::Fleet,
    server::Server,
    world::{World, assert_is, assert_same, wait_for},
};

/// alpha on h1 with a greeting, committed.
fn greets<'a>(world: &'a World, name: &'static str) -> Fleet<'a> {
    let fleet = Fleet::shared(world, name);
    fleet.environment("");
    says(&fleet, "one");
    fleet
}

fn says(fleet: &Fleet<'_>, greeting: &str) -> String {
    fleet.service("alpha", fleet.port(0), &["h1"], &format!("env: {{GREETING: {greeting}}}"));
    fleet.commit()
}

#[track_caller]
fn is_heard(fleet: &Fleet<'_>, greeting: &str) {
    let (answer, port) = (format!("alpha h1 / {greeting}"), fleet.port(0));
    wait_for(&answer, || (fleet.world.host("h1").asks(port, "/") == answer).then_some(()));
}

/// Stops alpha, and waits until the loop has started it again.
#[track_caller]
fn is_repaired(fleet: &Fleet<'_>) {
    let unit = fleet.unit("alpha", fleet.port(0));
    let h1 = fleet.world.host("h1");
    h1.run(&format!("systemctl stop '{unit}'"));
    wait_for("the repair", || (h1.unit(&unit, "ActiveState") == "active").then_some(()));
    wait_for("its end", || (fleet.status()["health"] == "healthy").then_some(()));
}

/// Repairs that are recorded.
fn repairs(fleet: &Fleet<'_>) -> usize {
    fleet.history().iter().filter(|record| record["kind"] == "drift-repair" && record["outcome"] == "applied").count()
}

pub fn while_the_repository_is_away_drift_is_repaired_and_recorded_later(world: &World) {
    let fleet = greets(world, "away2");
    let (here, away) = (fleet.remote(), format!("{}.away", fleet.remote()));
    let controller = fleet.reconcile();
    fleet.is_live(&fleet.commit());

    fs::rename(&here, &away).expect("it is there");
    is_repaired(&fleet);
    fleet.notes(&here);
    let told = fleet.run("history", &[]).ends_with(1);
    assert!(told.errors.contains(&here), "the repository is not named: {}", told.errors);
    fs::rename(&away, &here).expect("it is there");
    wait_for("the record of the repair", || (repairs(&fleet) == 1).then_some(()));

    // Also by one that never saw it.
    drop(controller);
    fs::rename(&here, &away).expect("it is there");
    let _daemon = fleet.follow(&here, fleet.state(), &["--poll", "1s"]);
    is_repaired(&fleet);
    fs::rename(&away, &here).expect("it is there");
    wait_for("the record of the repair", || (repairs(&fleet) == 2).then_some(()));
    fleet.is_live(&says(&fleet, "two"));
}

pub fn a_repository_that_talks_nonsense_is_told_of_in_time(world: &World) {
    let fleet = greets(world, "babble");
    let nonsense = [b"\x00\xff\xfe nonsense\r\n\r\n".as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwhat"];
    for bytes in nonsense {
        let began = Instant::now();
        let server = Server::nonsense(bytes);
        let told = fleet.run("history", &["--repo", &server.repository()]).ends_with(1);
        assert!(told.errors.contains(&server.repository()), "the repository is not named: {}", told.errors);
        let controller = fleet.follow(&server.repository(), fleet.state(), &[]);
        let told = controller.tells(EventName::RepositoryUnread);
        assert!(told["why"].as_str().is_some_and(|why| why.contains(&server.repository())), "{told}");
        assert!(began.elapsed().as_secs() < 10, "it took {:?}", began.elapsed());
    }
}

pub fn a_hook_that_refuses_the_history_leaves_everything_untouched(world: &World) {
    let fleet = greets(world, "hooked");
    let remote = fleet.remote();
    fleet.git(&["--git-dir", &remote, "config", "http.receivepack", "true"]);
    let hook = Path::new(&remote).join("hooks/update");
    let refuse = "#!/bin/sh\ncase $1 in refs/heads/evenkeel/*) echo only people push here; exit 1 ;; esac\n";
    fs::write(&hook, refuse).expect("it can be written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let server = Server::git(Path::new(&remote).parent().expect("it lies in a folder").to_owned());
    let url = server.repository();
    let says_why = |text: &str| {
        for words in [url.as_str(), "refs/heads/evenkeel/history/test", "only people push here", "nothing was touched"]
        {
            assert!(text.contains(words), "`{words}` is not said: {text}");
        }
    };
    let before = world.traces();
    let refused = fleet.run("apply", &["--yes", "--repo", &url]).ends_with(1);
    says_why(&refused.errors);
    assert_same(&before, &world.traces());

    let _daemon = fleet.follow(&url, fleet.state(), &["--poll", "1s"]);
    fleet.notes("only people push here");
    says_why(&fleet.status()["last_error"].to_string());
    assert_same(&before, &world.traces());
    fs::remove_file(&hook).expect("it is there");
    fleet.is_live(&fleet.commit());
}

pub fn a_history_that_others_write_to_is_appended_to(world: &World) {
    let fleet = greets(world, "written");
    let (remote, branch) = (fleet.remote(), "refs/heads/evenkeel/history/test");
    let at_remote = |arguments: &[&str]| fleet.git(&[&["--git-dir", &remote], arguments].concat());
    let controller = fleet.reconcile();
    fleet.is_live(&fleet.commit());
    let first = at_remote(&["rev-parse", branch]);

    let tree = at_remote(&["rev-parse", &format!("{branch}^{{tree}}")]);
    let note = at_remote(&["commit-tree", "-p", &first, "-m", "A note of somebody else", &tree]);
    at_remote(&["update-ref", branch, &note]);
    fleet.is_live(&says(&fleet, "two"));
    let told = ["1 begun", "1 applied", "2 begun", "2 applied", "3 begun", "3 applied", "4 begun", "4 applied"];
    assert_is("what is recorded", fleet.told(), &told[..4]);
    let holds = |commit: &str| at_remote(&["merge-base", "--is-ancestor", commit, branch]);
    holds(&note);

    // Deleted, and set back: what the mirror has is pushed again, and no number is given twice.
    at_remote(&["update-ref", "-d", branch]);
    fleet.is_live(&says(&fleet, "three"));
    at_remote(&["update-ref", branch, &first]);
    fleet.is_live(&says(&fleet, "four"));
    assert_is("what is recorded", fleet.told(), told);
    holds(&note);
    drop(controller);
}

pub fn a_fleet_that_stops_validating_leaves_the_last_good_one_kept_up(world: &World) {
    let fleet = greets(world, "broken2");
    let mut controller = fleet.reconcile();
    fleet.is_live(&fleet.commit());
    fleet.write("services/alpha.yaml", "port: many\n");
    fleet.commit();
    fleet.notes("does not validate: fleet/services/alpha.yaml:");
    is_repaired(&fleet);
    fleet.run("hold", &["--reason", "until it is mended"]).ends_with(0);
    fleet.run("resume", &[]).ends_with(0);

    // The files that all environments stand on.
    let good = fs::read_to_string(fleet.path().join("fleet.yaml")).expect("it is there");
    fleet.write("fleet.yaml", "name: [\n");
    fleet.commit();
    is_repaired(&fleet);
    controller.terminate();
    let _daemon = fleet.reconcile();
    is_repaired(&fleet);
    fleet.notes("does not validate: fleet/fleet.yaml:");

    fleet.write("fleet.yaml", &good);
    fleet.is_live(&says(&fleet, "two"));
    is_heard(&fleet, "two");
}

pub fn an_environment_whose_branch_is_gone_is_kept_up(world: &World) {
    let fleet = Fleet::shared(world, "branchless");
    fleet.environment("branch: live");
    let merges = |greeting: &str| {
        let commit = says(&fleet, greeting);
        fleet.git(&["push", "--quiet", "origin", "main:live"]);
        commit
    };
    let first = merges("one");
    let mut controller = fleet.reconcile();
    fleet.is_live(&first);
    fleet.git(&["push", "--quiet", "origin", ":live"]);
    fleet.notes("branch live: the repository has no such branch; push it again");
    is_repaired(&fleet);

    // Also by one that never saw it.
    controller.terminate();
    let _daemon = fleet.reconcile();
    is_repaired(&fleet);
    fleet.notes("its last good commits are kept up");
    fleet.is_live(&merges("two"));
    is_heard(&fleet, "two");
}
