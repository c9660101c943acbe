//! What is planned: as little as makes a host what is declared.

use std::time::Duration;

use evenkeel::model::{
    digest::Digest,
    observation::{Listener, Stranger},
    plan::{InstanceState, Phase},
    run::Tries,
};

use crate::{
    declared::{desired, example, instance},
    host::{Lies, Nginx, file, running},
    text::{findings, shown, steps, verbs, without_digests},
    world::{World, state},
};

const GONG: &str = "sophia-gong_mcp@8100.service";
const GONG_UNIT: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service";
const GONG_ENV: &str = "/etc/evenkeel/sophia/gong_mcp@8100.env";
const CURRENT: &str = "/var/lib/evenkeel/sophia/sites/app/current";
const SITE: &str = "/etc/nginx/conf.d/evenkeel-sophia-app.conf";

#[test]
fn a_fleet_that_is_live_plans_nothing() {
    let plan = World::live(&example()).plan();
    assert_eq!((steps(&plan), findings(&plan)), (String::new(), String::new()));
    assert!(plan.instances.values().all(|instance| instance.state == InstanceState::AsDeclared));
    insta::assert_snapshot!(shown(&plan), @"No changes. 5 instances, 14 services as declared.");
}

#[test]
fn an_empty_host_plans_everything_in_order() {
    let mut world = World::empty(&example());
    let plan = world.plan();
    insta::assert_snapshot!(without_digests(&steps(&plan)));
    world.apply(&plan);
    let live = World::live(&example());
    for (name, mut host) in world.hosts {
        // The planner's hosts are what the desired state says, worked out without the planner.
        host.generation = live.hosts[&name].generation;
        assert_eq!(host, live.hosts[&name], "{name}");
    }
}

#[test]
fn one_environment_change_restarts_that_service_alone() {
    let changed = example().edit("services/gong_mcp.yaml", "ENVIRONMENT: prod", "ENVIRONMENT: test");
    let plan = World::live(&example()).declare(&changed).plan();
    insta::assert_snapshot!(without_digests(&shown(&plan)));
}

#[test]
fn a_change_of_code_stages_a_release_and_restarts_what_is_run_from_it() {
    let changed = example().append("mcp_servers/catalog/server.py", "# a comment");
    let plan = World::live(&example()).declare(&changed).plan();
    insta::assert_snapshot!(without_digests(&steps(&plan)));
}

#[test]
fn a_change_of_the_frontend_switches_a_link_and_reloads_nothing() {
    let changed = example().append("frontend/index.html", "<!-- new -->");
    let plan = World::live(&example()).declare(&changed).plan();
    insta::assert_snapshot!(without_digests(&steps(&plan)), @r"
    1 ai-core stage fleet/frontend, to be built (the instance does not hold it yet)
    2 ai-core create /var/lib/evenkeel/sophia/sites/app/previous-1 (what was served until now stays at hand for pages that are open)
    2 ai-core update /var/lib/evenkeel/sophia/sites/app/current (what is declared has changed)
    ");
    assert!(plan.needs_builds(), "nobody has built it yet");
    let said: Vec<&str> = plan.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(said, ["the release of site/app is not built yet"]);
}

#[test]
fn a_change_of_health_or_order_alone_touches_no_host() {
    let changed =
        example().edit("services/gong_mcp.yaml", "health: {http: /health}", "health: {http: /health, retries: 3}");
    assert_eq!(verbs(&World::live(&example()).declare(&changed).plan()), [""; 0]);
}

#[test]
fn a_missing_package_is_installed_in_the_first_phase() {
    let changed = example().append("instances/control.yaml", "packages: [jq, zstd]");
    let world = World::live(&example()).declare(&changed).on("control", |host| _ = host.packages.insert("jq".into()));
    insta::assert_snapshot!(steps(&world.plan()), @"1 control install zstd (declared and not installed; added, never removed, and not undone)");
}

#[test]
fn a_service_that_is_declared_anew_is_created() {
    let service = "source: {path: mcp_servers/catalog}\nrun: {exec: /usr/bin/python3 server.py x}\n\
                   place: {on: [control]}\nport: 8310\nafter: [ai_memory_mcp]\n";
    let world = World::live(&example()).declare(&example().write("services/new_mcp.yaml", service));
    insta::assert_snapshot!(without_digests(&steps(&world.plan())), @r"
    1 control stage fleet/mcp_servers/catalog (the instance does not hold it yet)
    2 control create /etc/evenkeel/sophia/new_mcp@8310.env (declared and not there yet)
    2 control create /etc/systemd/system/sophia-new_mcp@8310.service (declared and not there yet)
    2 control enable sophia-new_mcp@8310.service (it must start after a reboot)
    2 control start sophia-new_mcp@8310.service (declared and not there yet)
    2 control await-health sophia-new_mcp@8310.service (what comes after waits until it is healthy)
    ");
}

fn drifted(name: &str, change: impl FnOnce(&mut crate::host::Host)) -> String {
    let mut world = World::live(&example()).on(name, change);
    let plan = world.plan();
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "", "one repair is enough");
    assert_eq!(findings(&plan), "");
    without_digests(&steps(&plan))
}

#[test]
fn a_drifted_environment_file_is_put_right_and_its_process_restarted() {
    // The process may have been restarted since, by systemd even, and then runs with what was changed.
    insta::assert_snapshot!(drifted("business-tools", |host| host.edit(GONG_ENV, "ENVIRONMENT=\"hacked\"\n")), @r"
    1 business-tools update /etc/evenkeel/sophia/gong_mcp@8100.env (drift: it was changed on the instance)
    1 business-tools restart sophia-gong_mcp@8100.service (drift: it may have been started from the files as they were changed on the instance)
    1 business-tools await-health sophia-gong_mcp@8100.service (what comes after waits until it is healthy)
    ");
}

#[test]
fn a_drifted_unit_file_is_put_right_and_its_process_restarted() {
    insta::assert_snapshot!(drifted("business-tools", |host| host.edit(GONG_UNIT, "[Service]\n")), @r"
    1 business-tools update /etc/systemd/system/sophia-gong_mcp@8100.service (drift: it was changed on the instance)
    1 business-tools restart sophia-gong_mcp@8100.service (drift: it may have been started from the files as they were changed on the instance)
    1 business-tools await-health sophia-gong_mcp@8100.service (what comes after waits until it is healthy)
    ");
}

#[test]
fn a_drifted_mode_or_owner_is_put_right_without_a_restart() {
    let wide = |host: &mut crate::host::Host| match host.files.get_mut(GONG_ENV) {
        Some(Lies::File { mode, .. }) => *mode = 0o644,
        other => panic!("{other:?}"),
    };
    let line = "1 business-tools update /etc/evenkeel/sophia/gong_mcp@8100.env (drift: it was changed on the instance)";
    assert_eq!(drifted("business-tools", wide).trim(), line);
    let given = |host: &mut crate::host::Host| match host.files.get_mut(GONG_ENV) {
        Some(Lies::File { owner, .. }) => *owner = "ubuntu:ubuntu".to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(drifted("business-tools", given).trim(), line);
}

#[test]
fn a_removed_file_is_written_again_and_what_runs_goes_on() {
    insta::assert_snapshot!(drifted("business-tools", |host| _ = host.files.remove(GONG_ENV)), @"1 business-tools create /etc/evenkeel/sophia/gong_mcp@8100.env (drift: it was removed on the instance)");
}

#[test]
fn a_file_that_became_a_link_is_written_again() {
    let linked = |host: &mut crate::host::Host| _ = host.files.insert(GONG_UNIT.into(), Lies::Link("/dev/null".into()));
    insta::assert_snapshot!(drifted("business-tools", linked), @r"
    1 business-tools update /etc/systemd/system/sophia-gong_mcp@8100.service (drift: it was changed on the instance)
    1 business-tools restart sophia-gong_mcp@8100.service (drift: it may have been started from the files as they were changed on the instance)
    1 business-tools await-health sophia-gong_mcp@8100.service (what comes after waits until it is healthy)
    ");
}

#[test]
fn a_drifted_or_removed_link_is_put_back() {
    let linked = |host: &mut crate::host::Host| _ = host.files.insert(CURRENT.into(), Lies::Link("/var/www".into()));
    insta::assert_snapshot!(drifted("ai-core", linked), @"1 ai-core update /var/lib/evenkeel/sophia/sites/app/current (drift: it was changed on the instance)");
    insta::assert_snapshot!(drifted("ai-core", |host| _ = host.files.remove(CURRENT)), @"1 ai-core create /var/lib/evenkeel/sophia/sites/app/current (drift: it was removed on the instance)");
    let plain = |host: &mut crate::host::Host| _ = host.files.insert(CURRENT.into(), file("x", 0o644));
    insta::assert_snapshot!(drifted("ai-core", plain), @"1 ai-core update /var/lib/evenkeel/sophia/sites/app/current (drift: it was changed on the instance)");
}

#[test]
fn a_disabled_unit_is_enabled_and_not_restarted() {
    insta::assert_snapshot!(drifted("business-tools", |host| host.unit(GONG).enabled = false), @"1 business-tools enable sophia-gong_mcp@8100.service (it must start after a reboot)");
}

#[test]
fn a_stopped_or_failed_unit_is_started() {
    for active in ["inactive", "failed"] {
        let stop = |host: &mut crate::host::Host| host.unit(GONG).active = active.to_owned();
        assert_eq!(
            drifted("business-tools", stop),
            format!(
                "1 business-tools start {GONG} (it should run and is {active})\n\
                 1 business-tools await-health {GONG} (what comes after waits until it is healthy)\n"
            )
        );
    }
}

/// A crash loop whose last run ended with status 1.
fn crash_loop(host: &mut crate::host::Host) {
    let tries = Tries { restarts: 7, result: "exit-code".to_owned(), status: "1".to_owned(), runs_for: None };
    let unit = host.unit(GONG);
    (unit.active, unit.tries) = ("activating".to_owned(), tries);
}

#[test]
fn a_crash_loop_is_drift_that_is_told_and_no_step() {
    let world = World::live(&example()).on("business-tools", crash_loop);
    let plan = world.plan();
    assert_eq!(steps(&plan), "");
    insta::assert_snapshot!(findings(&plan), @r"
    business-tools drift: service/gong_mcp has drifted: sophia-gong_mcp@8100.service is activating (auto-restart): its last run ended with status 1; systemd has started it again 7 times
      hint: see why it ends: `journalctl -u sophia-gong_mcp@8100.service` on the instance
    ");
    assert!(shown(&plan).contains("Not as declared, and left so: 1 resource on 1 of 5 instances"), "{}", shown(&plan));
}

#[test]
fn a_crash_loop_says_who_has_its_port_and_how_that_is_freed() {
    let world = World::live(&example()).on("business-tools", |host| {
        crash_loop(host);
        let unit = Some("legacy.service".to_owned());
        host.listeners.push(Listener { port: 8100, pid: 99, process: "python3".to_owned(), unit });
        let command = "python3 server.py --token …".to_owned();
        let programs = ["python3".to_owned()].into();
        host.strangers = [(99, Stranger { command, runs_for: Some(700), programs })].into();
    });
    insta::assert_snapshot!(findings(&world.plan()), @r"
    business-tools drift: service/gong_mcp has drifted: sophia-gong_mcp@8100.service is activating (auto-restart): its last run ended with status 1; systemd has started it again 7 times; its port 8100 is held by python3 (pid 99, of legacy.service, for 11 min): `python3 server.py --token …`
      hint: stop it (`sudo systemctl disable --now legacy.service`), or choose another port, or declare `replaces: [legacy.service]`
    ");
}

#[test]
fn a_crash_loop_is_drift_also_while_it_runs_for_a_moment() {
    let runs_for = |seconds| {
        World::live(&example()).on("business-tools", |host| {
            let runs_for = Some(Duration::from_secs(seconds));
            host.unit(GONG).tries = Tries { restarts: 7, runs_for, ..Tries::default() };
        })
    };
    insta::assert_snapshot!(findings(&runs_for(1).plan()), @r"
    business-tools drift: service/gong_mcp has drifted: sophia-gong_mcp@8100.service is active (running) for 1 s; systemd has started it again 7 times
      hint: see why it ends: `journalctl -u sophia-gong_mcp@8100.service` on the instance
    ");
    assert_eq!(findings(&runs_for(3600).plan()), "", "it had a bad day once");
}

#[test]
fn a_crash_loop_is_started_again_when_what_it_replaces_stops() {
    let world = World::live(&example()).on("business-tools", |host| {
        crash_loop(host);
        host.units.insert("sophia-gong_mcp.service".to_owned(), running(8100));
    });
    let plan = world.plan();
    insta::assert_snapshot!(steps(&plan), @r"
    1 business-tools stop sophia-gong_mcp.service (sophia-gong_mcp@8100.service replaces it)
    1 business-tools restart sophia-gong_mcp@8100.service (it does not stay up, and what it replaces stops)
    1 business-tools await-health sophia-gong_mcp@8100.service (what comes after waits until it is healthy)
    ");
    assert_eq!(findings(&plan), "");
    // Also when it is looked at in a moment in which its second start has not failed yet.
    let runs_for = |seconds| {
        let tries = Tries { restarts: 1, runs_for: Some(Duration::from_secs(seconds)), ..Tries::default() };
        let runs = |host: &mut crate::host::Host| {
            let unit = host.unit(GONG);
            (unit.active, unit.tries) = ("active".to_owned(), tries);
        };
        steps(&world.clone().on("business-tools", runs).plan())
    };
    assert!(runs_for(1).contains("restart sophia-gong_mcp@8100.service (it does not stay up"), "{}", runs_for(1));
    assert!(!runs_for(60).contains("restart"), "{}", runs_for(60));
}

#[test]
fn a_crash_loop_is_not_told_where_processes_are_ignored() {
    let ignored = example().append("environments/production.yaml", "drift_of: {processes: ignore}");
    let world = World::live(&ignored).on("business-tools", crash_loop);
    assert_eq!(findings(&world.plan()), "");
}

#[test]
fn a_crash_loop_is_restarted_when_something_changes() {
    let changed = example().append("mcp_servers/gong/server.py", "# a comment");
    let world = World::live(&example()).on("business-tools", |host| host.unit(GONG).active = "activating".to_owned());
    assert!(verbs(&world.declare(&changed).plan()).contains(&format!("restart {GONG}")));
}

/// What is planned where gong's process works in a directory; `OWN` is its release.
fn working_in(directory: &str) -> String {
    let world = World::live(&example());
    let own = &desired(&world.prepared, "business-tools").replicas[GONG].directory;
    let plan = world.plan_when("business-tools", |observation| match observation.units.get_mut(GONG) {
        Some(evenkeel::model::seen::Seen::Known(unit)) => unit.directory = Some(directory.replace("OWN", own)),
        other => panic!("{other:?}"),
    });
    steps(&plan).replace(own, "OWN")
}

#[test]
fn a_process_in_another_release_is_restarted() {
    insta::assert_snapshot!(working_in("/var/lib/evenkeel/sophia/releases/old (deleted)"), @r"
    1 business-tools restart sophia-gong_mcp@8100.service (drift: it runs in /var/lib/evenkeel/sophia/releases/old (deleted))
    1 business-tools await-health sophia-gong_mcp@8100.service (what comes after waits until it is healthy)
    ");
    for release in ["/var/lib/evenkeel/sophia/releases/old/server", "OWN0", "OWN (deleted)", "OWN/server (deleted)"] {
        assert!(working_in(release).contains(&format!("(drift: it runs in {release})")), "{release}");
    }
}

#[test]
fn a_process_that_changed_its_directory_by_itself_goes_on() {
    let elsewhere = ["/", "/var/lib/sophia/gong_mcp/gong", "/var/lib/evenkeel/sophia", "/tmp/x (deleted)"];
    for directory in elsewhere.into_iter().chain(["OWN/server", "/var/lib/evenkeel/sophia/releases"]) {
        assert_eq!(working_in(directory), "", "{directory}");
    }
}

#[test]
fn a_directory_that_could_not_be_read_restarts_nothing() {
    let plan = World::live(&example()).plan_when("business-tools", |observation| {
        if let Some(evenkeel::model::seen::Seen::Known(unit)) = observation.units.get_mut(GONG) {
            unit.directory = None;
        }
    });
    assert_eq!(steps(&plan), "");
}

#[test]
fn a_release_that_was_removed_is_staged_again() {
    let prepared = example().prepare();
    let release = desired(&prepared, "business-tools").replicas[GONG].release;
    insta::assert_snapshot!(drifted("business-tools", |host| _ = host.releases.remove(&release)), @"1 business-tools stage fleet/mcp_servers/gong (the instance does not hold it yet)");
}

#[test]
fn nginx_that_serves_older_files_is_reloaded() {
    let older = |host: &mut crate::host::Host| {
        host.nginx = Some(Nginx { running: true, serving: Some(Digest::of("older")), ..Nginx::default() });
    };
    insta::assert_snapshot!(drifted("ai-core", older), @"1 ai-core reload nginx.service (drift: it serves an older configuration than its files)");
    let none =
        |host: &mut crate::host::Host| host.nginx = Some(Nginx { running: true, serving: None, ..Nginx::default() });
    insta::assert_snapshot!(drifted("ai-core", none), @"1 ai-core reload nginx.service (drift: it does not serve the files that lie there)");
    let stopped =
        |host: &mut crate::host::Host| host.nginx = Some(Nginx { running: false, serving: None, ..Nginx::default() });
    insta::assert_snapshot!(drifted("ai-core", stopped), @"1 ai-core reload nginx.service (it should run and does not)");
}

#[test]
fn a_drifted_site_file_is_put_right_and_nginx_reloaded() {
    insta::assert_snapshot!(drifted("ai-core", |host| host.edit(SITE, "server {}\n")), @r"
    1 ai-core update /etc/nginx/conf.d/evenkeel-sophia-app.conf (drift: it was changed on the instance)
    1 ai-core reload nginx.service (its files change)
    ");
}

#[test]
fn the_default_site_is_unlinked_where_a_site_replaces_it() {
    let default = "/etc/nginx/sites-enabled/default";
    let linked = |host: &mut crate::host::Host| {
        host.files.insert(default.into(), Lies::Link("/etc/nginx/sites-available/default".into()));
    };
    insta::assert_snapshot!(drifted("ai-core", linked), @r"
    1 ai-core delete /etc/nginx/sites-enabled/default (a site declares replaces_default; undo restores it)
    1 ai-core reload nginx.service (its files change)
    ");
    let keeps = example().edit("sites/app.yaml", "replaces_default: true", "replaces_default: false");
    assert_eq!(steps(&World::live(&keeps).on("ai-core", linked).plan()), "");
}

#[test]
fn a_replaced_unit_is_stopped_before_its_successor_starts() {
    let legacy = "sophia-gong_mcp.service";
    let running = |host: &mut crate::host::Host| _ = host.units.insert(legacy.into(), running(0));
    insta::assert_snapshot!(drifted("business-tools", running), @"1 business-tools stop sophia-gong_mcp.service (sophia-gong_mcp@8100.service replaces it)");
    for (active, enabled) in [("active", false), ("activating", false), ("inactive", true)] {
        let change = |host: &mut crate::host::Host| {
            let unit =
                crate::host::Unit { active: active.into(), enabled, port: 0, directory: None, tries: Tries::default() };
            host.units.insert(legacy.into(), unit);
        };
        assert!(drifted("business-tools", change).contains(" stop "), "{active}, enabled: {enabled}");
    }
    for active in ["inactive", "failed"] {
        let change = |host: &mut crate::host::Host| {
            let unit = crate::host::Unit {
                active: active.into(),
                enabled: false,
                port: 0,
                directory: None,
                tries: Tries::default(),
            };
            host.units.insert(legacy.into(), unit);
        };
        assert_eq!(drifted("business-tools", change), "", "{active} and disabled");
    }
}

#[test]
fn a_changed_env_file_restarts_what_was_started_with_it() {
    let declared = example().append("services/gong_mcp.yaml", "env_file: /etc/sophia/gong.env");
    let mut world = World::live(&declared).on("business-tools", |host| host.edit("/etc/sophia/gong.env", "SECRET=2\n"));
    let plan = world.plan();
    insta::assert_snapshot!(steps(&plan), @r"
    1 business-tools restart sophia-gong_mcp@8100.service (/etc/sophia/gong.env has changed since it was started)
    1 business-tools await-health sophia-gong_mcp@8100.service (what comes after waits until it is healthy)
    ");
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn a_plan_for_some_instances_leaves_the_others_alone() {
    let changed = example().edit("fleet.yaml", "name: sophia", "name: hermes");
    let mut world = World::live(&example()).declare(&changed);
    world.prepared = world.prepared.only(&[instance("control")]);
    let plan = world.plan();
    assert_eq!(plan.instances.len(), 1);
    assert!(plan.steps.iter().all(|step| step.instance == instance("control")));
}

#[test]
fn the_generation_and_the_manifest_seen_are_carried() {
    let world = World::live(&example()).on("control", |host| host.generation = 41);
    let plan = world.plan();
    let control = &plan.instances[&instance("control")];
    assert_eq!(control.generation, 41);
    assert_eq!(control.manifest_before, Some(world.hosts[&instance("control")].owned()));
    assert_eq!(control.manifest_digest, world.hosts[&instance("control")].manifest.as_ref().map(Digest::of));
    assert_eq!(plan.instances[&instance("ai-core")].generation, 7);
    assert_eq!(*state(&plan, "control"), InstanceState::AsDeclared);
}

#[test]
fn the_summary_counts_resources_and_restarts() {
    let none = World::live(&example()).plan().summary();
    assert_eq!((none.create, none.update, none.restart, none.delete, none.changed_instances), (0, 0, 0, 0, 0));
    assert_eq!((none.instances, none.services, none.unknown_instances), (5, 14, 0));

    let all = World::empty(&example()).plan().summary();
    // Fourteen services, a site, nginx's digest server, the package of nginx.
    assert_eq!((all.create, all.update, all.restart, all.delete, all.changed_instances), (17, 0, 0, 0, 5));

    let changed = example().edit("services/gong_mcp.yaml", "ENVIRONMENT: prod", "ENVIRONMENT: test");
    let one = World::live(&example()).declare(&changed).plan().summary();
    assert_eq!((one.create, one.update, one.restart, one.delete, one.changed_instances), (0, 1, 1, 0, 1));

    let stopped = World::live(&example()).on("business-tools", |host| host.unit(GONG).active = "inactive".into());
    let one = stopped.plan().summary();
    assert_eq!((one.create, one.update, one.restart, one.delete, one.changed_instances), (0, 0, 1, 0, 1));

    let disabled = World::live(&example()).on("business-tools", |host| host.unit(GONG).enabled = false);
    let one = disabled.plan().summary();
    assert_eq!((one.create, one.update, one.restart, one.delete, one.changed_instances), (0, 1, 0, 0, 1));

    let gone = example().remove("services/briefing_mcp.yaml").edit(
        "sites/app.yaml",
        "  /api/briefing/: {service: briefing_mcp}\n",
        "",
    );
    let one = World::live(&example()).declare(&gone).plan().summary();
    // The site's routes change, and with them what the digest server answers.
    assert_eq!((one.create, one.update, one.restart, one.delete, one.changed_instances), (0, 2, 0, 1, 2));
}

#[test]
fn the_digest_of_a_plan_is_stable_and_changes_with_every_step() {
    let plan = World::empty(&example()).plan();
    assert_eq!(plan.digest(), World::empty(&example()).plan().digest());
    for index in 0..plan.steps.len() {
        let mut fewer = plan.clone();
        fewer.steps.remove(index);
        assert_ne!(fewer.digest(), plan.digest(), "without {}", plan.steps[index].id);
        for (wave, stage) in [(1, 0), (0, 1)] {
            let mut later = plan.clone();
            let phase = &mut later.steps[index].phase;
            *phase = Phase { wave: phase.wave + wave, stage };
            assert_ne!(later.digest(), plan.digest(), "{} in another phase", plan.steps[index].id);
        }
    }
}

#[test]
fn the_digest_of_a_plan_changes_with_what_it_was_planned_against() {
    let drifted = |text: &str| {
        let world = World::live(&example()).on("business-tools", |host| host.edit(GONG_ENV, text));
        world.plan().digest()
    };
    assert_eq!(drifted("a"), drifted("a"));
    assert_ne!(drifted("a"), drifted("b"), "an approval is given to one precondition");
}

#[test]
fn reasons_do_not_steer() {
    let plan = World::empty(&example()).plan();
    let mut reworded = plan.clone();
    for step in &mut reworded.steps {
        step.reason.clear();
    }
    assert_eq!(plan.digest(), reworded.digest());
}
