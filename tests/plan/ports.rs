//! A port that a step is about to bind is free, or held by what makes room in the same plan.

use evenkeel::model::observation::Listener;

use crate::{
    declared::example,
    host::running,
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
      hint: stop it, or choose another port
    ");
}

#[test]
fn a_port_taken_by_another_unit_is_refused_by_its_name() {
    let world = World::empty(&example())
        .on("business-tools", |host| host.listeners.push(listener(8100, Some("jenkins.service"))));
    insta::assert_snapshot!(findings(&world.plan()), @r"
    business-tools port-taken: port 8100 of service/gong_mcp is taken by java (pid 99, of jenkins.service)
      hint: stop it, choose another port, or declare `replaces: [jenkins.service]`
    ");
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
