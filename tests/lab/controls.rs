//! What people ask of an environment: hold, resume, retry, cancel, roll back.

use crate::{
    fleet::Fleet,
    world::{World, assert_is, wait_for},
};

/// Checked often and given up soon.
pub const IMPATIENT: &str = "health: {http: /health, interval: 100ms, retries: 1, start_period: 3s}";

/// alpha on h1 and h2, declared with a greeting and whatever else.
struct Greeting<'a> {
    fleet: Fleet<'a>,
}

impl<'a> Greeting<'a> {
    fn new(world: &'a World, name: &'static str, environment: &str) -> Self {
        let fleet = Fleet::shared(world, name);
        fleet.environment(environment);
        Self { fleet }
    }

    /// Commits it.
    fn says(&self, greeting: &str, extra: &str) -> String {
        let declared = format!("env: {{GREETING: {greeting}{extra}}}\n{IMPATIENT}");
        self.fleet.service("alpha", self.fleet.port(0), &["h1", "h2"], &declared);
        self.fleet.commit()
    }

    #[track_caller]
    fn is_heard(&self, host: &str, greeting: &str) {
        let (answer, port) = (format!("alpha {host} / {greeting}"), self.fleet.port(0));
        wait_for(&answer, || (self.fleet.world.host(host).asks(port, "/") == answer).then_some(()));
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> String {
        self.fleet.run(command, arguments).ends_with(0).said
    }
}

pub fn what_is_held_stays_as_it_is_until_it_is_resumed(world: &World) {
    let greeting = Greeting::new(world, "held", "");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let controller = fleet.reconcile();
    fleet.is_live(&first);

    greeting.ask("hold", &["--reason", "the auditors are here", "--by", "ann"]);
    let second = greeting.says("two", "");
    fleet.notes("held by ann");
    wait_for("the new commit in the status", || (fleet.status()["commit"] == second.as_str()).then_some(()));
    fleet.looked_at_twice();
    assert_is("what was done", fleet.told(), vec!["1 begun", "1 applied"]);
    greeting.ask("resume", &[]);
    fleet.is_live(&second);

    greeting.ask("hold", &["-i", "h2", "--reason", "its disk is being changed"]);
    greeting.says("three", "");
    greeting.is_heard("h1", "three");
    fleet.ends(3, "partial");
    fleet.notes("h2 is held by");
    fleet.looked_at_twice();
    greeting.is_heard("h2", "two");
    assert_is(
        "what was not reached",
        fleet.newest("/unreached/h2").to_string().contains("disk is being changed"),
        true,
    );
    greeting.ask("resume", &["-i", "h2"]);
    greeting.is_heard("h2", "three");
    fleet.is_live(&fleet.commit());
    let shown = |arguments: &[&str]| {
        let views = fleet.run("status", &[&["--format", "json"], arguments].concat());
        let instances = serde_json::from_str::<serde_json::Value>(&views.said).map(|view| view["instances"].clone());
        let names = instances.map(|all| all.as_array().into_iter().flatten().map(|one| one["name"].clone()).collect());
        let names: Vec<serde_json::Value> = names.unwrap_or_else(|_| vec![views.errors.into()]);
        (views.code, names)
    };
    assert_is("the status of h2", shown(&["-i", "h2"]), (Some(0), vec!["h2".into()]));
    assert_is("the status of two", shown(&["-i", "h1", "-i", "h2"]), (Some(0), vec!["h1".into(), "h2".into()]));
    let (code, said) = shown(&["-i", "h9"]);
    assert!(code == Some(1) && said[0].to_string().contains("there is no instance h9"), "{code:?} {said:?}");

    // The same is refused in the same way with a controller and without one.
    for controller in [Some(controller), None] {
        let again = fleet.run("resume", &["-i", "h2"]).ends_with(4);
        assert_is("that it is not held", again.errors.contains("h2 is not held"), true);
        drop(controller);
    }
    let alone = fleet.run("retry", &["--take-over"]).ends_with(1);
    assert!(alone.errors.contains("no controller runs here that could take a deployment over"), "{}", alone.errors);
}

/// What opens by the clock alone is a test of `decide/hours.rs`.
pub fn in_a_freeze_drift_is_repaired_and_a_commit_waits_until_it_ends(world: &World) {
    let day = |days: i64| (chrono::Utc::now() + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let frozen = format!("freezes: [{{from: {}, to: {}, reason: the demo}}]", day(-1), day(1));
    let greeting = Greeting::new(world, "frozen", "");
    let fleet = &greeting.fleet;
    greeting.says("one", "");
    fleet.apply().ends_with(0);

    fleet.environment(&frozen);
    greeting.says("two", "");
    let refused = fleet.apply().ends_with(4);
    assert!(refused.errors.contains("--now"), "{}", refused.errors);
    fleet.run("apply", &["--yes", "--now"]).ends_with(0);
    greeting.is_heard("h1", "two");

    let controller = fleet.reconcile();
    greeting.says("three", "");
    wait_for("the commit to wait", || (fleet.status()["waiting"]["on"] == "hours").then_some(()));
    world.host("h2").run(&format!("systemctl stop '{}'", fleet.unit("alpha", fleet.port(0))));
    greeting.is_heard("h2", "two");
    assert_is("what was deployed", fleet.told().last().map(String::as_str), Some("2 applied"));
    fleet.environment("");
    let third = fleet.commit();
    fleet.is_live(&third);
    greeting.is_heard("h2", "three");
    drop(controller);
}

pub fn a_quarantined_commit_is_tried_again_when_somebody_asks(world: &World) {
    let greeting = Greeting::new(world, "again", "");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let _daemon = fleet.reconcile();
    fleet.is_live(&first);
    greeting.says("two", ", SICK: 'yes'");
    fleet.ends(2, "rolled-back");
    fleet.notes("is quarantined, generation 2 failed");
    fleet.looked_at_twice();
    // What was there before is kept up meanwhile.
    let unit = fleet.unit("alpha", fleet.port(0));
    world.host("h1").run(&format!("systemctl stop '{unit}'"));
    greeting.is_heard("h1", "one");
    assert_is("how often it was tried", fleet.told().len(), 4);
    greeting.ask("retry", &[]);
    fleet.ends(3, "rolled-back");
    fleet.notes("is quarantined, generation 3 failed");
    greeting.is_heard("h1", "one");
}

pub fn a_cancelled_deployment_is_undone_and_not_tried_again(world: &World) {
    let greeting = Greeting::new(world, "cancelled", "");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let controller = fleet.reconcile();
    fleet.is_live(&first);
    let nothing = fleet.run("cancel", &[]).ends_with(4);
    assert_is("that nothing runs", nothing.errors.contains("nothing is being deployed"), true);

    // It would be waited for a long time.
    let patient = "health: {http: /health, interval: 100ms, start_period: 60s}";
    let declared = format!("env: {{GREETING: two, SICK: 'yes'}}\n{patient}");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], &declared);
    fleet.commit();
    // The second replica waits until the first one is healthy.
    greeting.is_heard("h1", "two");
    greeting.ask("cancel", &["--reason", "not on a Friday", "--by", "ann"]);
    fleet.ends(2, "rolled-back");
    for host in ["h1", "h2"] {
        greeting.is_heard(host, "one");
    }
    let why = fleet.newest("/failure").to_string();
    assert!(why.contains("by ann") && why.contains("not on a Friday"), "it is not said who cancelled: {why}");
    fleet.notes("is quarantined");
    fleet.looked_at_twice();
    assert_is("what was done", fleet.told().len(), 4);

    // While a phase runs on the hosts it ends first, and is undone then.
    let stubborn = greeting.says("three", ", STUBBORN: '2'");
    fleet.is_live(&stubborn);
    greeting.says("four", "");
    let begun = fleet.begun(4, "restart");
    wait_for("the restart", || world.host("h1").succeeds(&begun).then_some(()));
    greeting.ask("cancel", &[]);
    fleet.ends(4, "rolled-back");
    greeting.is_heard("h1", "three");
    greeting.ask("retry", &[]);
    fleet.is_live(&fleet.commit());
    drop(controller);
}

pub fn a_rollback_is_a_branch_and_now_it_is_live_until_a_newer_commit(world: &World) {
    let greeting = Greeting::new(world, "back", "");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let _daemon = fleet.reconcile();
    fleet.is_live(&first);
    let second = greeting.says("two", "");
    fleet.is_live(&second);

    let said = greeting.ask("rollback", &["--reason", "two is rude"]);
    let branch = "evenkeel/rollback/test-1";
    assert!(said.contains(branch), "the branch is not named: {said}");
    fleet.git(&["fetch", "--quiet", "origin", branch]);
    let changed = fleet.git(&["diff", "--stat", &first, "FETCH_HEAD"]);
    assert_is("what differs from the first commit", changed.as_str(), "");
    let message = fleet.git(&["log", "-1", "--format=%B", "FETCH_HEAD"]);
    assert!(message.contains("\n\ntwo is rude"), "the commit does not tell why: {message}");
    fleet.looked_at_twice();
    greeting.is_heard("h1", "two");

    greeting.ask("rollback", &["--now", "--by", "ann", "--reason", "it cannot wait"]);
    let pin = fleet.git(&["ls-remote", "origin", "refs/heads/evenkeel/history/test"]);
    assert!(!pin.is_empty(), "nothing is recorded");
    fleet.git(&["fetch", "--quiet", "origin", "evenkeel/history/test"]);
    let log = fleet.git(&["log", "--format=%B", "FETCH_HEAD"]);
    assert!(
        log.contains("\n\nit cannot wait\n\nEnvironment: test\nControl: pin\n"),
        "the record does not tell why: {log}"
    );
    for host in ["h1", "h2"] {
        greeting.is_heard(host, "one");
    }
    fleet.notes("pinned to");
    fleet.ends(3, "applied");
    fleet.looked_at_twice();
    assert_is("the commit that is live", fleet.newest("/commits/environment"), first.as_str());

    let third = greeting.says("three", "");
    fleet.is_live(&third);
    assert_is("notes", fleet.status()["notes"].to_string(), "[]");
}

pub fn a_deployment_that_is_not_to_be_undone_stops_and_holds(world: &World) {
    let greeting = Greeting::new(world, "stopped", "rollback_on_failure: false");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let _daemon = fleet.reconcile();
    fleet.is_live(&first);
    greeting.says("two", ", SICK: 'yes'");
    fleet.ends(2, "stopped");
    fleet.notes("generation 2 failed, and rollback_on_failure is false");
    greeting.is_heard("h1", "two");

    let third = greeting.says("three", "");
    fleet.looked_at_twice();
    assert_is("what was done", fleet.told().len(), 4);
    greeting.ask("resume", &[]);
    fleet.is_live(&third);
    greeting.is_heard("h1", "three");
}

pub fn a_branch_that_was_pushed_by_force_waits_for_a_person(world: &World) {
    let greeting = Greeting::new(world, "forced", "");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let _daemon = fleet.reconcile();
    fleet.is_live(&first);
    let second = greeting.says("two", "");
    fleet.is_live(&second);

    fleet.git(&["reset", "--quiet", "--hard", &first]);
    fleet.git(&["push", "--quiet", "--force", "origin", "main"]);
    fleet.notes("leaves out the deployed commit");
    greeting.ask("retry", &[]);
    fleet.looked_at_twice();
    let unit = fleet.unit("alpha", fleet.port(0));
    world.host("h1").run(&format!("systemctl stop '{unit}'"));
    greeting.is_heard("h1", "two");
    assert_is("what was done", fleet.told().len(), 4);

    greeting.ask("retry", &["--allow-rewind"]);
    greeting.is_heard("h1", "one");
    fleet.is_live(&first);
}

/// Whoever may push some branch pushes one that nobody merged, to one more host, and pins the environment to it. That an
/// address which nobody merged is never connected to is shown in `tests/daemon/believed.rs`.
pub fn a_pin_to_a_branch_that_nobody_merged_reaches_no_host(world: &World) {
    let greeting = Greeting::new(world, "forged", "");
    let fleet = &greeting.fleet;
    let first = greeting.says("one", "");
    let _daemon = fleet.reconcile();
    fleet.is_live(&first);

    fleet.git(&["switch", "--quiet", "--create", "unmerged"]);
    let declared = format!("env: {{GREETING: forged}}\n{IMPATIENT}");
    fleet.service("alpha", fleet.port(0), &["h1", "h2", "h3"], &declared);
    fleet.git(&["add", "--all"]);
    fleet.git(&["commit", "--quiet", "--message", "Never merged"]);
    fleet.git(&["push", "--quiet", "origin", "unmerged"]);
    let unmerged = fleet.git(&["rev-parse", "HEAD"]);
    fleet.git(&["switch", "--quiet", "main"]);

    let pair = |commit: &str| serde_json::json!({"default": commit, "environment": commit});
    let (remote, branch) = (std::path::PathBuf::from(fleet.remote()), "evenkeel/history/test");
    let shown = fleet.git(&["-C", &fleet.remote(), "show", &format!("{branch}:standing.json")]);
    let mut state: serde_json::Value = serde_json::from_str(&shown).expect("a state");
    state["pin"] = serde_json::json!({"commits": pair(&unmerged), "instead_of": pair(&first), "owner": "mallory"});
    let change = [("standing.json".to_owned(), Some(state.to_string().into_bytes()))].into();
    evenkeel::git::commit_to_bare(&remote, branch, &change, "Pin", chrono::Utc::now()).expect("it is pushed");

    wait_for("the refusal of the pin", || {
        let refused = fleet.status()["refused"].as_array()?.clone();
        (refused.len() == 1 && refused[0]["claim"] == "pin" && refused[0]["commit"] == unmerged.as_str()).then_some(())
    });
    fleet.looked_at_twice();
    for host in ["h1", "h2"] {
        greeting.is_heard(host, "one");
    }
    assert_is("what was done", fleet.told(), vec!["1 begun", "1 applied"]);
    let second = greeting.says("two", "");
    fleet.is_live(&second);
    greeting.is_heard("h1", "two");
    let reached = world.host("h3").succeeds("test -e /var/lib/evenkeel/forged");
    assert_is("whether the other host was reached", reached, false);
    assert_is("what was done", fleet.told(), vec!["1 begun", "1 applied", "2 begun", "2 applied"]);
}
