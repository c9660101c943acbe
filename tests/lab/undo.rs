//! A deployment that fails is undone everywhere, and everything is as it was.

use crate::{
    change::old_unit,
    fleet::Fleet,
    world::{World, assert_is, assert_same},
};

/// Checked often and given up soon.
const IMPATIENT: &str = "health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}";

pub fn a_service_that_never_becomes_healthy_is_rolled_back_everywhere(world: &World) {
    let fleet = Fleet::new(world, "sick");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], &format!("env: {{GREETING: hello}}\n{IMPATIENT}"));
    fleet.service("beta", fleet.port(1), &["h3"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);
    let before = world.contents();

    // beta and a newcomer succeed first, and are undone with it.
    let sick = format!("env: {{GREETING: ahoy, SICK: 'yes'}}\nafter: [beta, gamma]\n{IMPATIENT}");
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], &sick);
    fleet.service("beta", fleet.port(1), &["h3"], "env: {GREETING: ahoy}");
    fleet.service("gamma", fleet.port(2), &["h1", "h4"], "");
    fleet.deploy().ends_with(3);
    // On h4 nothing was ever of evenkeel's making: its manifest is gone again.
    assert_same(&before, &world.contents());
    for (host, port, answer) in
        [("h1", 0, "alpha h1 / hello"), ("h2", 0, "alpha h2 / hello"), ("h3", 1, "beta h3 / hello")]
    {
        assert_is("the answer", world.host(host).asks(fleet.port(port), "/"), answer);
    }

    assert_is("the outcome", fleet.newest("/outcome"), "rolled-back");
    let failure = fleet.newest("/failure");
    assert_is(
        "the step that failed",
        failure["step"].as_str().is_some_and(|step| step.contains("service/alpha")),
        true,
    );
    assert_is("whose failure it is", &failure["cause"], "step");
    let log = failure["log"].to_string();
    assert!(log.contains("not well today"), "the unit's own words are not in the record: {log}");
    // The plan is still to be done.
    let plan = fleet.plan();
    assert_is("the phases of what is still to be done", plan.steps().is_empty(), false);
}

pub fn what_was_finished_when_power_went_is_not_undone(world: &World) {
    let fleet = Fleet::new(world, "finished");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    for greeting in ["hello", "ahoy"] {
        fleet.service("alpha", port, &["h1"], &format!("env: {{GREETING: {greeting}}}"));
        fleet.deploy().ends_with(0);
    }
    let before = fleet.invocations();
    // The last but one thing that a deployment does was done, and the last was not.
    h1.run("echo 2 >/var/lib/evenkeel/finished/open");
    fleet.apply().ends_with(0);
    assert_is("what runs", fleet.invocations(), before);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / ahoy");
    assert_is("whether it is open", h1.exists("/var/lib/evenkeel/finished/open"), false);
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    assert_is("the newest generation", fleet.newest("/generation"), 2);
}

pub fn a_journal_that_a_cut_left_within_a_line_or_empty_is_undone(world: &World) {
    let fleet = Fleet::new(world, "cheaptorn");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);
    let before = fleet.invocations();
    let contents = world.contents();
    // The second deployment kept an environment and changed it; then power went, with the next line half written.
    h1.run(&format!(
        "cd /var/lib/evenkeel/cheaptorn && env=/etc/evenkeel/cheaptorn/alpha@{port}.env
         mkdir -p deployments/2/1/kept/0-0 && cp -a manifest deployments/2/1/kept/1 && cp -a $env deployments/2/1/kept/0-0
         sed \"s/^name='1'$/name='2'/\" deployments/1/undo.sh >deployments/2/undo.sh
         printf 'kept\\t1\\t%s\\nkept\\t0-0/alpha@{port}.env\\t%s\\nkept\\t0-0/x\\t/etc/evenk' $PWD/manifest $env >deployments/2/1/journal
         echo GREETING=ahoy >$env
         echo 2 >last; echo 2 >open
         sh deployments/2/undo.sh"
    ));
    assert_same(&contents, &world.contents());
    assert_is("what runs", fleet.invocations(), before);
    assert_is("whether it is open", h1.exists("/var/lib/evenkeel/cheaptorn/open"), false);

    // The third was cut off before it was the last that began here: its journal was made, and is empty.
    h1.run(
        "cd /var/lib/evenkeel/cheaptorn && rm -r deployments/2 && echo 1 >last && mkdir -p deployments/3/1
         sed \"s/^name='1'$/name='3'/\" deployments/1/undo.sh >deployments/3/undo.sh && : >deployments/3/1/journal
         sh deployments/3/undo.sh",
    );
    assert_is("whether it is undone", h1.exists("/var/lib/evenkeel/cheaptorn/deployments/3/undone"), true);
    assert_same(&contents, &world.contents());
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// Two of a group of units cannot be started: it is told which, in systemd's own words for each, and the third is left as
/// it was.
pub fn of_units_that_start_as_one_each_that_fails_is_told(world: &World) {
    let fleet = Fleet::new(world, "cheapgroup");
    let h1 = world.host("h1");
    for (number, name) in ["alpha", "beta", "gamma"].into_iter().enumerate() {
        fleet.service(name, fleet.port(number as u16), &["h1"], "env: {GREETING: hello}");
    }
    fleet.deploy().ends_with(0);
    let contents = world.contents();
    fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: ahoy}");
    // It is there, and cannot be started.
    h1.run("mkdir -p /opt/lab && printf '#!/nowhere\n' >/opt/lab/broken && chmod 755 /opt/lab/broken");
    let missing = "run: {exec: /opt/lab/broken}";
    fleet.service("beta", fleet.port(1), &["h1"], missing);
    fleet.service("gamma", fleet.port(2), &["h1"], missing);
    fleet.deploy().ends_with(3);
    assert_same(&contents, &world.contents());
    let events = h1.run("cat /var/lib/evenkeel/cheapgroup/deployments/2/*/events");
    let failed: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("failed\t")).collect();
    assert_is("how many steps failed", failed.len(), 2);
    for (name, line) in [("beta", failed[0]), ("gamma", failed[1])] {
        let unit = fleet.unit(name, fleet.port(if name == "beta" { 1 } else { 2 }));
        let (step, words) = line.split_once('\t').expect("a step and its words");
        assert!(step.ends_with(&unit) && words.contains(&unit), "{name}: {line}");
    }
    for (number, name) in ["alpha", "beta", "gamma"].into_iter().enumerate() {
        let port = fleet.port(number as u16);
        assert_is("the answer", h1.asks(port, "/"), format!("{name} h1 / hello"));
    }
}

/// Of three files of a group one cannot be replaced: that step is told, and nothing of the group stays.
pub fn of_files_that_change_as_one_the_one_that_fails_is_told(world: &World) {
    let fleet = Fleet::new(world, "cheapfiles");
    let h1 = world.host("h1");
    let names = ["alpha", "beta", "gamma"];
    for (number, name) in names.into_iter().enumerate() {
        fleet.service(name, fleet.port(number as u16), &["h1"], "env: {GREETING: hello}");
    }
    fleet.deploy().ends_with(0);
    let (contents, before) = (world.contents(), fleet.invocations());
    for (number, name) in names.into_iter().enumerate() {
        fleet.service(name, fleet.port(number as u16), &["h1"], "env: {GREETING: ahoy}");
    }
    let path = format!("/etc/evenkeel/cheapfiles/beta@{}.env", fleet.port(1));
    // Nothing is renamed over what is mounted.
    let unmount = format!("umount {path}");
    let mounted = h1.until_dropped(&format!("mount --bind {path} {path}"), &unmount);
    let said = fleet.deploy();
    drop(mounted);
    said.ends_with(3);
    let failure = fleet.newest("/failure");
    let step = failure["step"].as_str().unwrap_or_default();
    assert!(step.ends_with(&path), "the record does not name the step: {failure}");
    assert_same(&contents, &world.contents());
    assert_is("what runs", fleet.invocations(), before);
}

pub fn a_service_whose_process_exits_at_once_is_rolled_back(world: &World) {
    let fleet = Fleet::new(world, "exits");
    fleet.service("beta", fleet.port(1), &["h1"], "");
    fleet.deploy().ends_with(0);
    let before = world.contents();

    let exec = r#"run: {exec: "/bin/sh -c 'echo cannot go on; exit 7'"}"#;
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], &format!("{exec}\n{IMPATIENT}"));
    fleet.deploy().ends_with(3);
    assert_same(&before, &world.contents());
    assert_is("the outcome", fleet.newest("/outcome"), "rolled-back");
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "step");
    let log = fleet.newest("/failure/log").to_string();
    assert!(log.contains("cannot go on"), "the unit's own words are not in the record: {log}");
}

pub fn an_old_unit_runs_again_when_its_successor_fails(world: &World) {
    let fleet = Fleet::new(world, "oldback");
    let port = fleet.port(0);
    old_unit(world, "old-back.service", port);
    let before = world.contents();
    fleet.service("alpha", port, &["h1"], &format!("replaces: [old-back.service]\nenv: {{SICK: 'yes'}}\n{IMPATIENT}"));
    fleet.deploy().ends_with(3);
    assert_same(&before, &world.contents());
    assert_is("who answers", world.host("h1").asks(port, "/"), "old");
}

/// A site on h2, deployed and served.
fn site_on_h2<'a>(world: &'a World, name: &'static str) -> Fleet<'a> {
    let fleet = Fleet::new(world, name);
    fleet.service("alpha", fleet.port(0), &["h2"], "");
    fleet.write("frontend/index.html", "old");
    fleet.site(name, &["h2"], "frontend: {source: {path: frontend}}\nroutes: {/old/: {service: alpha}}");
    fleet.deploy().ends_with(0);
    assert_is("the old route", world.host("h2").browse(&format!("{name}.test"), "/old/x").0, 200);
    fleet.write("frontend/index.html", "new");
    let site = "frontend: {source: {path: frontend}}\nroutes: {/new/: {service: alpha}}\nreplaces_default: true";
    fleet.site(name, &["h2"], site);
    fleet
}

/// The new site's deployment fails, and the old one goes on.
fn rolls_back_to_the_old_site(fleet: &Fleet<'_>, because: &str) {
    let before = fleet.world.contents();
    fleet.deploy().ends_with(3);
    assert_same(&before, &fleet.world.contents());
    let (domain, h2) = (format!("{}.test", fleet.name), fleet.world.host("h2"));
    assert_is("the page", h2.browse(&domain, "/").1, "old");
    assert_is("the old route", h2.browse(&domain, "/old/x").0, 200);
    assert_is("the new route", h2.browse(&domain, "/new/x").0, 404);
    let failure = fleet.newest("/failure").to_string();
    assert!(failure.contains(because), "the record does not say {because}: {failure}");
}

pub fn a_broken_nginx_file_of_somebody_else_rolls_the_site_back(world: &World) {
    let fleet = site_on_h2(world, "broken");
    let h2 = world.host("h2");
    let broken = h2.nginx_refuses("unknown directive in /etc/nginx/conf.d/zz-broken.conf:1");
    rolls_back_to_the_old_site(&fleet, "zz-broken.conf");
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "host");
    drop(broken);
    fleet.apply().ends_with(0);
    assert_is("the new route", h2.browse("broken.test", "/new/x").0, 200);
    assert_is("the page", h2.browse("broken.test", "/").1, "new");
}

pub fn a_site_that_nginx_refuses_is_a_failure_of_the_commit(world: &World) {
    let fleet = site_on_h2(world, "refusedsite");
    let refuses =
        world.host("h2").nginx_refuses("no such thing in /etc/nginx/conf.d/evenkeel-refusedsite-refusedsite.conf:1");
    rolls_back_to_the_old_site(&fleet, "no such thing");
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "step");
    drop(refuses);
    let refused = fleet.apply().ends_with(4);
    assert!(refused.errors.contains("quarantined"), "it is not said that it is quarantined: {}", refused.errors);
    fleet.run("retry", &[]).ends_with(0);
    fleet.apply().ends_with(0);
}

pub fn a_reload_that_nginx_does_not_follow_rolls_the_site_back(world: &World) {
    let fleet = site_on_h2(world, "deaf");
    let (h2, port) = (world.host("h2"), fleet.port(9));
    // `nginx -t` and the reload both answer success, and nginx stays as it is: the port is taken.
    let _squatter = h2.until_dropped(
        &format!("systemd-run --quiet --collect --unit=squatter.service python3 -m http.server {port}"),
        "systemctl stop squatter.service",
    );
    h2.asks(port, "/");
    let conf = format!("echo 'server {{ listen {port}; }}' >/etc/nginx/conf.d/zz-deaf.conf");
    let _conf = h2.until_dropped(&conf, "rm /etc/nginx/conf.d/zz-deaf.conf");
    rolls_back_to_the_old_site(&fleet, &port.to_string());
    assert_is("whose failure it is", fleet.newest("/failure/cause"), "host");
}

pub fn what_an_undo_cannot_start_again_is_started_by_the_next_apply(world: &World) {
    let fleet = Fleet::new(world, "stuck");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    fleet.deploy().ends_with(0);

    // Nothing is started again while the old environment lies there.
    let broken = h1.wraps(
        "systemctl",
        "case \"$*\" in 'restart -- '*) if grep -q hello /etc/evenkeel/stuck/*; then echo 'no way to the bus'; exit 1; fi ;; esac
exec \"$real\" \"$@\"",
    );
    fleet.service("alpha", port, &["h1"], "env: {GREETING: ahoy}");
    fleet.service("beta", fleet.port(1), &["h1"], &format!("env: {{SICK: 'yes'}}\nafter: [alpha]\n{IMPATIENT}"));
    fleet.deploy().ends_with(1);
    assert_is("the outcome", fleet.newest("/outcome"), "rollback-failed");
    assert!(fleet.newest("/not_undone").to_string().contains("no way to the bus"), "the record tells why");
    assert_is("what goes on", h1.asks(port, "/"), "alpha h1 / ahoy");
    drop(broken);

    fleet.service("alpha", port, &["h1"], "env: {GREETING: hello}");
    fleet.remove("services/beta.yaml");
    fleet.commit();
    let plan = fleet.plan().json.to_string();
    assert!(plan.contains("it was not started again when a deployment failed"), "{plan}");
    fleet.apply().ends_with(0);
    assert_is("the answer", h1.asks(port, "/"), "alpha h1 / hello");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}
