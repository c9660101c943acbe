//! A port that a step is about to bind is free, or held by what makes room in the same plan.

use std::collections::BTreeMap;

use evenkeel::model::observation::{Listener, Stranger};

use crate::{
    declared::example,
    host::{Host, running},
    text::{findings, steps, without_digests},
    world::World,
};

fn listener(port: u16, unit: Option<&str>) -> Listener {
    Listener { port, pid: 99, process: "java".to_owned(), unit: unit.map(str::to_owned) }
}

#[test]
fn a_port_taken_by_another_program_is_refused_by_its_name() {
    let world = World::empty(&example()).on("business-tools", |host| host.listeners.push(listener(8100, None)));
    insta::assert_snapshot!(findings(&world.plan()), @r"
    business-tools port-taken: port 8100 of service/gong_mcp is taken by java (pid 99)
      hint: stop that process (`sudo kill 99`), or choose another port
    ");
}

/// java, which runs with these programs in its control group.
fn java(programs: &[&str]) -> BTreeMap<u32, Stranger> {
    let programs = programs.iter().map(|program| (*program).to_owned()).collect();
    [(99, Stranger { command: "java -jar ci.war".to_owned(), runs_for: Some(700), programs })].into()
}

#[test]
fn a_unit_that_runs_one_program_alone_may_be_replaced() {
    let world = World::empty(&example()).on("business-tools", |host| {
        host.listeners.push(listener(8100, Some("jenkins.service")));
        host.strangers = java(&["java"]);
    });
    insta::assert_snapshot!(findings(&world.plan()), @r"
    business-tools port-taken: port 8100 of service/gong_mcp is taken by java (pid 99, of jenkins.service, for 11 min): `java -jar ci.war`
      hint: stop it (`sudo systemctl disable --now jenkins.service`), or choose another port, or declare `replaces: [jenkins.service]`
    ");
}

#[test]
fn a_unit_that_others_live_in_is_left_and_the_process_is_named() {
    for (unit, programs) in [
        ("jenkins.service", &["java", "sh"][..]),
        ("jenkins.service", &[]),
        ("ssh.service", &["java"]),
        ("docker.service", &["java"]),
        ("user@1000.service", &["java"]),
        ("session-3.scope", &["java"]),
        ("supervisor.service", &["java"]),
    ] {
        let world = World::empty(&example()).on("business-tools", |host| {
            host.listeners.push(listener(8100, Some(unit)));
            host.strangers = java(programs);
        });
        let text = findings(&world.plan());
        assert!(!text.contains("replaces") && !text.contains("systemctl"), "{text}");
        assert!(text.contains("`sudo kill 99`") && text.contains("`java -jar ci.war`"), "{text}");
    }
}

#[test]
fn what_evenkeel_comes_in_by_is_replaced_by_nobody() {
    let world = World::empty(&example()).on("business-tools", |host| {
        host.way_in.insert("sophia-gong_mcp.service".to_owned());
    });
    insta::assert_snapshot!(findings(&world.plan()), @r"
    business-tools kept-unit: service/gong_mcp replaces sophia-gong_mcp.service, through which evenkeel comes in there
      hint: take it out of `replaces`; no grant allows it
    ");
}

#[test]
fn no_hint_frees_a_port_of_nginx_by_replaces() {
    let world = World::empty(&example()).on("ai-core", apache);
    insta::assert_snapshot!(findings(&world.plan()), @r"
    ai-core port-taken: port 80 of nginx is taken by apache2 (pid 99, of apache2.service, for 25 h): `/usr/sbin/apache2 -k start`
      hint: stop it (`sudo systemctl disable --now apache2.service`)
    ");
}

/// Apache, with port 80.
fn apache(host: &mut Host) {
    host.listeners.push(Listener { process: "apache2".to_owned(), ..listener(80, Some("apache2.service")) });
    let programs = ["apache2".to_owned()].into();
    let command = "/usr/sbin/apache2 -k start".to_owned();
    host.strangers = [(99, Stranger { command, runs_for: Some(90_000), programs })].into();
    host.units.insert("apache2.service".to_owned(), running(0));
}

#[test]
fn what_a_site_replaces_stops_before_nginx_takes_its_port() {
    let declared = example().append("sites/app.yaml", "replaces: [apache2.service]\n");
    let declared = declared.edit("fleet.yaml", "replaces: [", "replaces: [apache2.service, ");
    let world = World::live(&declared).on("ai-core", apache).on("ai-core", |host| {
        host.nginx.as_mut().expect("nginx is there").running = false;
    });
    insta::assert_snapshot!(steps(&world.plan()), @r"
    1 ai-core stop apache2.service (site/app replaces it)
    1 ai-core reload nginx.service (it should run and does not)
    ");
    assert_eq!(findings(&world.plan()), "");
    let way_in = world.on("ai-core", |host| _ = host.way_in.insert("apache2.service".to_owned()));
    assert!(
        findings(&way_in.plan()).contains("kept-unit: site/app replaces apache2.service"),
        "{}",
        findings(&way_in.plan())
    );
}

#[test]
fn the_ports_of_nginx_are_its_own() {
    let world =
        World::empty(&example()).on("ai-core", |host| host.listeners.push(listener(80, Some("apache2.service"))));
    let digest_port = world.prepared.fleet.digest_port;
    let world = world.on("ai-core", |host| host.listeners.push(listener(digest_port, None)));
    let text = findings(&world.plan());
    assert!(text.contains("port 80 of nginx is taken by java (pid 99, of apache2.service)"), "{text}");
    assert!(text.contains(&format!("port {digest_port} of nginx is taken by java (pid 99)")), "{text}");
}

#[test]
fn a_port_that_nothing_is_about_to_bind_is_not_asked_about() {
    let world = World::live(&example()).on("business-tools", |host| host.listeners.push(listener(8100, None)));
    assert_eq!(findings(&world.plan()), "");
}

#[test]
fn a_port_held_by_a_replaced_unit_is_fine() {
    let mut world = World::empty(&example())
        .on("business-tools", |host| _ = host.units.insert("sophia-gong_mcp.service".into(), running(8100)));
    let plan = world.plan();
    assert_eq!(findings(&plan), "");
    // The host in memory panics where a port is taken when a unit starts.
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn a_port_held_by_a_unit_that_leaves_is_fine() {
    // hubspot leaves 8101, and a new service takes it.
    let gone = example()
        .remove("services/hubspot_mcp.yaml")
        .edit("sites/app.yaml", "  /api/hubspot/: {service: hubspot_mcp}\n", "")
        .write(
            "services/new_mcp.yaml",
            "source: {path: mcp_servers/gong}\nrun: {exec: /usr/bin/python3 server.py}\n\
             place: {on: [business-tools]}\nport: 8101\n",
        );
    let mut world = World::live(&example()).declare(&gone);
    let plan = world.plan();
    assert_eq!(findings(&plan), "");
    insta::assert_snapshot!(without_digests(&steps(&plan)));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn two_services_may_swap_their_ports() {
    let swapped = example().edit("services/hubspot_mcp.yaml", "port: 8101", "port: 8100").edit(
        "services/gong_mcp.yaml",
        "port: 8100",
        "port: 8101",
    );
    let mut world = World::live(&example()).declare(&swapped);
    let plan = world.plan();
    assert_eq!(findings(&plan), "");
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn a_port_held_by_a_unit_of_ours_that_stays_is_refused() {
    let world = World::live(&example()).on("business-tools", |host| {
        host.unit("sophia-gong_mcp@8100.service").active = "failed".to_owned();
        host.listeners.push(listener(8100, Some("sophia-hubspot_mcp@8101.service")));
    });
    assert!(findings(&world.plan()).contains("of sophia-hubspot_mcp@8101.service"));
}
