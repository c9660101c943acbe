//! Controllers that are stopped, killed, doubled, or only watch.

use std::time::Instant;

use crate::{
    daemon::Daemon,
    faults::all_overridden,
    fleet::{Fleet, restarted, set},
    world::{World, assert_is, assert_same, wait_for},
};

/// alpha on h1, and then beta on h2. Each takes its time to end; the greeting is committed.
fn declare(fleet: &Fleet<'_>, greeting: &str) -> String {
    let env = format!("env: {{GREETING: {greeting}, STUBBORN: '1'}}");
    fleet.service("alpha", fleet.port(0), &["h1"], &env);
    fleet.service("beta", fleet.port(1), &["h2"], &format!("{env}\nafter: [alpha]"));
    fleet.commit()
}

/// Until h1 restarts alpha for a generation.
fn begins(fleet: &Fleet<'_>, generation: u64) {
    let begun = fleet.begun(generation, "restart");
    wait_for(&format!("generation {generation} on h1"), || fleet.world.host("h1").succeeds(&begun).then_some(()));
}

pub fn one_that_only_observes_changes_nothing(world: &World) {
    let fleet = Fleet::shared(world, "watching");
    fleet.environment("");
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: hello}");
    fleet.commit();
    let before = world.traces();
    let observer = fleet.reconcile_at(fleet.state(), &["--observe-only"]);
    fleet.notes("only observed");
    fleet.looked_at_twice();
    assert_same(&before, &world.traces());
    assert!(fleet.history().is_empty(), "something is recorded");
    drop(observer);

    let controller = fleet.reconcile();
    fleet.is_live(&fleet.commit());
    drop(controller);
    let unit = fleet.unit("alpha", fleet.port(0));
    world.host("h1").run(&format!("systemctl stop '{unit}'"));
    let (before, recorded) = (world.traces(), fleet.history().len());
    let _observer = fleet.reconcile_at(fleet.state(), &["--observe-only"]);
    wait_for("the drift in the status", || (fleet.status()["sync"] == "out-of-sync").then_some(()));
    fleet.looked_at_twice();
    assert_same(&before, &world.traces());
    assert_is("the number of records", fleet.history().len(), recorded);
}

pub fn one_that_is_told_to_end_detaches_and_the_next_start_completes(world: &World) {
    let fleet = Fleet::shared(world, "detached");
    fleet.environment("");
    let first = declare(&fleet, "hello");
    let mut controller = fleet.reconcile();
    fleet.is_live(&first);
    let before = fleet.invocations();

    let second = declare(&fleet, "ahoy");
    begins(&fleet, 2);
    let began = Instant::now();
    assert_is("its exit code", controller.terminate().code(), Some(0));
    assert!(began.elapsed().as_secs() < 10, "it took {:?} to end", began.elapsed());
    assert_is("what is recorded", fleet.told(), vec!["1 begun", "1 applied", "2 begun"]);

    let _next = fleet.reconcile();
    fleet.is_live(&second);
    assert_is("what is recorded", fleet.told(), vec!["1 begun", "1 applied", "2 begun", "2 applied"]);
    assert_is("what was restarted", restarted(&before, &fleet.invocations()), set(&["h1/alpha", "h2/beta"]));
    let starts = "journalctl --quiet -o cat -u 'detached-*' | grep -c '^Started '";
    for host in ["h1", "h2"] {
        assert_is("how often it was started", world.host(host).run(starts).as_str(), "2");
    }
}

pub fn of_two_one_deploys_and_the_other_stands_back_or_takes_over(world: &World) {
    let fleet = Fleet::shared(world, "two");
    fleet.environment("");
    let folder = || tempfile::tempdir().expect("a temporary folder can be made");
    let states = [folder(), folder()];
    let first = declare(&fleet, "one");
    let mut both: Vec<Daemon> = states.iter().map(|state| fleet.reconcile_at(state.path(), &[])).collect();
    let are_live = |commit: &str| {
        for state in &states {
            wait_for("both to see it live", || {
                let status = fleet.status_at(state.path());
                (status["sync"] == "synced" && status["deployed"]["commit"] == commit).then_some(())
            });
        }
    };
    are_live(&first);
    let second = declare(&fleet, "two");
    begins(&fleet, 2);
    let deployer = |fleet: &Fleet<'_>, both: &[Daemon]| {
        let by = fleet.newest("/controller").to_string();
        both.iter().position(|one| by.contains(&format!("(pid {})", one.process()))).expect("it is one of the two")
    };
    let busy = deployer(&fleet, &both);
    let said = format!("(pid {}) deploys generation 2", both[busy].process());
    let notes = |state: &std::path::Path| fleet.status_at(state)["notes"].to_string();
    wait_for(&said, || notes(states[1 - busy].path()).contains(&said).then_some(()));
    are_live(&second);

    // Killed in the middle and started again: it completes.
    let third = declare(&fleet, "three");
    begins(&fleet, 3);
    let busy = deployer(&fleet, &both);
    both[busy].kill();
    both[busy] = fleet.reconcile_at(states[busy].path(), &[]);
    are_live(&third);

    // Killed, and never seen again: somebody says so, and the other takes over.
    let fourth = declare(&fleet, "four");
    begins(&fleet, 4);
    let busy = deployer(&fleet, &both);
    both[busy].kill();
    let other = states[1 - busy].path();
    wait_for("the other standing back", || notes(other).contains("stands back").then_some(()));
    fleet.run_at(other, "retry", &["--take-over"]).ends_with(0);
    wait_for("the other to deploy it", || {
        let status = fleet.status_at(other);
        (status["sync"] == "synced" && status["deployed"]["commit"] == fourth.as_str()).then_some(())
    });
    // What still comes of the fourth is older than the fifth, which is nobody's, and is refused.
    let ends = ["1 applied", "2 applied", "3 applied", "4 rolled-back", "6 applied"];
    let mut told: Vec<String> = ends
        .iter()
        .flat_map(|end| [format!("{} begun", end.split(' ').next().expect("it has a number")), (*end).to_owned()])
        .collect();
    told.insert(7, "4 taken over".to_owned());
    assert_is("what is recorded", fleet.told(), told);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn hundreds_of_commits_end_at_the_last(world: &World) {
    let fleet = Fleet::new(world, "storm");
    fleet.environment("");
    let declare = |number: u32| {
        fleet.service("alpha", fleet.port(0), &["h1"], &format!("env: {{GREETING: 'number {number}'}}"));
    };
    declare(0);
    let first = fleet.commit();
    let controller = fleet.reconcile();
    fleet.is_live(&first);
    for number in 1..=200 {
        declare(number);
        fleet.git(&["commit", "--quiet", "--all", "--message", "A change"]);
    }
    let last = fleet.commit();
    fleet.is_live(&last);
    assert_is("the answer", world.host("h1").asks(fleet.port(0), "/"), "alpha h1 / number 200");
    let deployments = fleet.told().len() / 2;
    assert!(deployments < 50, "{deployments} deployments for 200 commits");
    assert!(!controller.log().contains("ERROR"), "something went wrong on the way");
}

pub fn an_instance_that_is_declared_no_more_is_let_go_of(world: &World) {
    let mut fleet = Fleet::shared(world, "letgo");
    fleet.environment("");
    fleet.service("alpha", fleet.port(0), &["h1"], "");
    // The override file names nothing that is declared no more.
    let mut key = String::new();
    all_overridden(&mut fleet, |instances| {
        let h2 = instances.as_object_mut().and_then(|instances| instances.remove("h2")).expect("h2 is there");
        key = h2["ssh"]["key"].as_str().expect("it has a key").to_owned();
    });
    let h2 = world.host("h2");
    fleet.instance(h2, &format!("host_key: {}\n", h2.host_key));
    let _daemon = fleet.reconcile_at(fleet.state(), &["--ssh-key", &key]);
    fleet.is_live(&fleet.commit());
    let sessions = |host: &str| {
        let from = world.lab.gateway();
        world.host(host).run(&format!("ss -Htn state established '( sport = :22 )' dst {from}")).lines().count()
    };
    assert_is("the sessions on h1 and h2", [sessions("h1"), sessions("h2")], [1, 1]);
    fleet.remove("instances/h2.yaml");
    fleet.commit();
    wait_for("the end of the session on h2", || (sessions("h2") == 0).then_some(()));
    assert_is("the sessions on h1", sessions("h1"), 1);
}

pub fn a_failure_is_undone_in_the_opposite_order_of_the_plan(world: &World) {
    let fleet = Fleet::new(world, "reverse");
    let declare = |greeting: &str, sick: &str| {
        let env = format!("env: {{GREETING: {greeting}{sick}}}");
        fleet.service("alpha", fleet.port(0), &["h1"], &env);
        fleet.service("beta", fleet.port(1), &["h2"], &format!("{env}\nafter: [alpha]"));
        fleet.service(
            "gamma",
            fleet.port(2),
            &["h3"],
            &format!("{env}\nafter: [beta]\n{}", crate::controls::IMPATIENT),
        );
    };
    declare("hello", "");
    fleet.deploy().ends_with(0);
    declare("ahoy", "");
    let sick = format!("env: {{GREETING: ahoy, SICK: 'yes'}}\nafter: [beta]\n{}", crate::controls::IMPATIENT);
    fleet.service("gamma", fleet.port(2), &["h3"], &sick);
    fleet.deploy().ends_with(3);
    let undone = |host: &str| {
        let times = world.host(host).run("stat -c %.9Y /var/lib/evenkeel/reverse/deployments/2/*/undone");
        times.lines().map(|time| time.parse::<f64>().expect("it is a time")).collect::<Vec<_>>()
    };
    let (first, second, third) = (undone("h3"), undone("h2"), undone("h1"));
    let latest = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    let earliest = |times: &[f64]| times.iter().copied().fold(f64::MAX, f64::min);
    assert!(latest(&first) <= earliest(&second), "h2 was undone before h3: {second:?}, {first:?}");
    assert!(latest(&second) <= earliest(&third), "h1 was undone before h2: {third:?}, {second:?}");
}
