//! Drift, and the loop.

use std::time::Instant;

use evenkeel::model::event::EventName;

use crate::{
    fleet::Fleet,
    world::{World, assert_is, assert_same, wait_for},
};

/// alpha on h1, beta on h2, a site on h1.
fn deployed<'a>(world: &'a World, name: &'static str) -> Fleet<'a> {
    let fleet = Fleet::new(world, name);
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: hello}");
    fleet.service("beta", fleet.port(1), &["h2"], "");
    fleet.write("frontend/index.html", "one");
    fleet.site(name, &["h1"], "frontend: {source: {path: frontend}}\nroutes: {/api/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    fleet
}

/// Ways in which hosts come to differ: on which host, how, and what is planned against it.
fn drifts(fleet: &Fleet<'_>) -> Vec<(&'static str, String, Vec<String>)> {
    let name = fleet.name;
    let (alpha, beta) = (fleet.unit("alpha", fleet.port(0)), fleet.unit("beta", fleet.port(1)));
    let unit_file = format!("/etc/systemd/system/{alpha}");
    let alpha_env = format!("/etc/evenkeel/{name}/alpha@{}.env", fleet.port(0));
    let beta_env = format!("/etc/evenkeel/{name}/beta@{}.env", fleet.port(1));
    let nginx_file = format!("/etc/nginx/conf.d/evenkeel-{name}-{name}.conf");
    vec![
        ("h1", format!("echo '# mine' >>'{unit_file}'"), vec![format!("update {unit_file}")]),
        ("h2", format!("rm '{beta_env}'"), vec![format!("create {beta_env}")]),
        ("h1", format!("chmod 0644 '{alpha_env}'"), vec![format!("update {alpha_env}")]),
        ("h2", format!("systemctl stop '{beta}'"), vec![format!("start {beta}")]),
        (
            "h2",
            format!("rm '/etc/systemd/system/{beta}' && systemctl daemon-reload"),
            vec![format!("create /etc/systemd/system/{beta}")],
        ),
        ("h1", format!("systemctl disable --quiet '{alpha}'"), vec![format!("enable {alpha}")]),
        (
            "h1",
            format!("echo '# mine' >>'{nginx_file}' && systemctl reload nginx"),
            vec![format!("update {nginx_file}"), "reload nginx.service".to_owned()],
        ),
        (
            "h1",
            format!("ln -sfn /tmp /var/lib/evenkeel/{name}/sites/{name}/current"),
            vec![format!("update /var/lib/evenkeel/{name}/sites/{name}/current")],
        ),
    ]
}

pub fn drift_is_planned_and_repaired_by_apply(world: &World) {
    let fleet = deployed(world, "drift");
    let (before, generation) = (world.contents(), fleet.newest("/generation"));
    for (host, how, expected) in drifts(&fleet) {
        world.host(host).run(&how);
        let planned = fleet.plan().changes();
        for change in expected {
            let change = format!("{host} {change}");
            assert!(planned.contains(&change), "after `{how}` on {host}, `{change}` is not planned: {planned:#?}");
        }
        assert!(planned.iter().all(|change| change.starts_with(host)), "more than {host} is to change: {planned:#?}");
        fleet.apply().ends_with(0);
        assert_same(&before, &world.contents());
    }
    assert_is("the newest record's kind", fleet.newest("/kind"), "drift-repair");
    assert_is("its generation", fleet.newest("/generation"), generation);
}

pub fn drift_is_repaired_by_the_loop_without_a_new_generation(world: &World) {
    let fleet = deployed(world, "loopdrift");
    let (before, generation) = (world.contents(), fleet.newest("/generation"));
    let controller = fleet.reconcile();
    wait_for("the first look", || (fleet.status()["sync"] == "synced").then_some(()));
    let recorded = fleet.history().len();
    for (host, how, _) in drifts(&fleet) {
        world.host(host).run(&how);
    }
    wait_for("hosts as they were", || (world.contents() == before).then_some(()));
    wait_for("a record of the repair", || (fleet.history().len() > recorded).then_some(()));
    for record in &fleet.history()[..fleet.history().len() - recorded] {
        assert_is("the record's kind", record["kind"].as_str(), Some("drift-repair"));
        assert_is("its outcome", record["outcome"].as_str(), Some("applied"));
        assert_is("its generation", &record["generation"], &generation);
    }
    drop(controller);
}

pub fn a_process_that_was_started_from_drifted_files_is_restarted(world: &World) {
    let fleet = Fleet::new(world, "drifted");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);
    let unit = fleet.unit("alpha", port);
    h1.run(&format!("sed -i s/hello/bye/ /etc/evenkeel/drifted/alpha@{port}.env && systemctl restart '{unit}'"));
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / bye");
    fleet.apply().ends_with(0);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / hello");
}

pub fn a_commit_goes_live_and_is_recorded(world: &World) {
    let fleet = Fleet::new(world, "follow");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    fleet.commit();
    let mut controller = fleet.reconcile();
    let state = |view: &serde_json::Value| format!("{} {}", view["sync"], view["health"]);
    wait_for("the first deployment", || (state(&fleet.status()) == r#""synced" "healthy""#).then_some(()));
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / hello");

    fleet.service("alpha", port, &["h1"], "env: {GREETING: ahoy}");
    let commit = fleet.commit();
    wait_for("the commit going live", || (h1.asks(port, "/") == "alpha h1 / ahoy").then_some(()));
    wait_for("its record", || (fleet.status()["deployed"]["commit"] == commit.as_str()).then_some(()));
    assert_is("the status", state(&fleet.status()), r#""synced" "healthy""#);
    fleet.apply().ends_with(4);

    let began = Instant::now();
    assert_is("the end of the controller", controller.terminate().code(), Some(0));
    assert!(began.elapsed().as_secs() < 10, "it took {:?} to end", began.elapsed());
    assert_is("the exit code of an apply without it", fleet.apply().code, Some(0));

    let branch = "evenkeel/history/test";
    let record = |commit: &str| -> serde_json::Value {
        let text = fleet.git(&["show", &format!("{commit}:deployment.json")]);
        serde_json::from_str(&text).expect("a record is JSON")
    };
    let commits = fleet.git(&["rev-list", "--reverse", branch]);
    let told: Vec<String> = commits
        .lines()
        .map(|commit| format!("{} {}", record(commit)["generation"], record(commit)["outcome"]))
        .collect();
    assert_is("the history", told, vec!["1 null", "1 \"applied\"", "2 null", "2 \"applied\""]);
    let trailers = fleet.git(&["log", "-1", "--format=%(trailers:only)", branch]);
    for trailer in ["Environment: test", &format!("Deployed-Commit: {commit}"), "Outcome: applied", "Plan-Digest: "] {
        assert!(trailers.contains(trailer), "`{trailer}` is not among the trailers: {trailers}");
    }
    let rendered = fleet.git(&["show", &format!("{branch}:instances/h1/files/etc/evenkeel/follow/alpha@{port}.env")]);
    assert!(rendered.contains("GREETING=\"ahoy\""), "the rendered file is another one: {rendered}");
    assert_is("the good commit", fleet.git(&["rev-parse", "refs/evenkeel/test/good"]), commit);
}

pub fn what_is_tried_on_one_instance_goes_nowhere_else(world: &World) {
    let fleet = Fleet::shared(world, "tried");
    let (port, laptop) = (fleet.port(0), tempfile::tempdir().expect("a temporary folder can be made"));
    let asks = |host| world.host(host).asks(port, "/");
    fleet.environment("");
    fleet.service("alpha", port, &["h1", "h2"], "env: {GREETING: hello}");
    let main = fleet.commit();
    let _daemon = fleet.reconcile();
    fleet.is_live(&main);
    let before = fleet.invocations();

    fleet.git(&["checkout", "--quiet", "-b", "feature"]);
    fleet.service("alpha", port, &["h1", "h2"], "env: {GREETING: ahoy}");
    let feature = fleet.commit();
    fleet.git(&["push", "--quiet", "origin", "feature"]);
    fleet.run_at(laptop.path(), "apply", &["--yes", "-i", "h1"]).ends_with(0);
    assert_is("the outcome", fleet.newest("/outcome"), "partial");
    assert_is("what was left out", fleet.newest("/left_out"), serde_json::json!(["h2", "h3", "h4", "h5"]));
    wait_for("h1 brought back", || (asks("h1") == "alpha h1 / hello").then_some(()));
    assert_is("h2's process", &fleet.invocations()["h2/alpha"], &before["h2/alpha"]);

    // Its branch is not what the environment follows: what is merged without it is deployed.
    fleet.git(&["checkout", "--quiet", "main"]);
    fleet.service("alpha", port, &["h1", "h2"], "env: {GREETING: moin}");
    let merged = fleet.commit();
    fleet.is_live(&merged);
    assert_is("the answer", asks("h2"), "alpha h2 / moin");
    let deployed = fleet.history().into_iter().filter(|record| record["commits"]["environment"] == feature.as_str());
    assert_is("how often it was deployed", deployed.filter(|record| record["outcome"].is_string()).count(), 1);
}

pub fn a_bad_commit_is_rolled_back_and_the_next_one_goes_live(world: &World) {
    let fleet = Fleet::new(world, "badcommit");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let declare = |env: &str| {
        let health = "health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}";
        fleet.service("alpha", port, &["h1"], &format!("env: {env}\n{health}"));
        fleet.commit()
    };
    declare("{GREETING: one}");
    let controller = fleet.reconcile();
    wait_for("the first deployment", || (fleet.status()["sync"] == "synced").then_some(()));

    declare("{GREETING: two, SICK: 'yes'}");
    wait_for("the record of the failure", || (fleet.newest("/outcome") == "rolled-back").then_some(()));
    // What goes wrong is logged with its instance and step.
    let unhealthy = controller.tells_that(EventName::ServiceUnhealthy, |told| told["deployment"] == 2);
    assert_is("the sick one", (&unhealthy["environment"], &unhealthy["instance"]), (&"test".into(), &"h1".into()));
    assert!(unhealthy["why"].as_str().is_some_and(|why| why.contains("GET /health answered 500")), "{unhealthy}");
    let ended = controller.tells_that(EventName::DeploymentEnded, |told| told["deployment"] == 2);
    assert_is("how it ended", (&ended["outcome"], &ended["instance"]), (&"rolled-back".into(), &"h1".into()));
    let step = ended["step"].as_str().unwrap_or_default();
    assert!(step.starts_with("h1/service/alpha/await-health/"), "{ended}");
    wait_for("the old answer", || (h1.asks(port, "/") == "alpha h1 / one").then_some(()));
    wait_for("the status telling of it", || {
        fleet.status()["notes"].to_string().contains("is quarantined, generation 2 failed").then_some(())
    });

    let good = declare("{GREETING: three}");
    wait_for("the next commit going live", || (h1.asks(port, "/") == "alpha h1 / three").then_some(()));
    wait_for("its record", || (fleet.status()["deployed"]["commit"] == good.as_str()).then_some(()));
    assert_is("the good commit", fleet.git(&["rev-parse", "refs/evenkeel/test/good"]), good);
}

pub fn a_host_that_cannot_be_written_is_no_fault_of_the_commit(world: &World) {
    let fleet = Fleet::new(world, "cannot");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let declare = |greeting: &str| {
        fleet.service("alpha", port, &["h1"], &format!("env: {{GREETING: {greeting}}}"));
        fleet.commit()
    };
    let first = declare("one");
    let _daemon = fleet.reconcile();
    fleet.is_live(&first);

    let folder = "/etc/evenkeel/cannot";
    let closed = format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}");
    let opened = format!("umount {folder}");
    let closed = h1.until_dropped(&closed, &opened);
    let second = declare("two");
    fleet.ends(2, "rolled-back");
    let failure = fleet.newest("/failure");
    assert_is("whose failure it is", &failure["cause"], "host");
    assert!(failure["message"].to_string().contains(folder), "{failure}");
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / one");
    assert_is("what is quarantined", fleet.status()["notes"].to_string().contains("quarantined"), false);
    drop(closed);
    fleet.is_live(&second);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / two");
}
