//! Services that run as one of two copies, under load all the time: straight at their port, and through a site.

use std::time::Instant;

use crate::{
    fleet::Fleet,
    load::{Count, Load},
    streams::{Silent, Streams},
    world::{World, assert_is},
};

/// As one of two copies, with ports that are no other fleet's.
fn two(fleet: &Fleet, more: &str) -> String {
    format!("rollout: {{strategy: blue-green, ports: [{}, {}]{more}}}", fleet.port(10), fleet.port(11))
}

/// Heard of soon, also when it is bad.
const HEALTH: &str = "health: {http: /health, interval: 100ms, retries: 2, start_period: 2s}";

/// Service `alpha` as one of two copies on `h1`, with a site there; deployed.
fn deployed<'a>(world: &'a World, name: &'static str, more: &str) -> Fleet<'a> {
    let fleet = Fleet::new(world, name);
    fleet.service("alpha", fleet.port(0), &["h1"], &format!("{}\n{HEALTH}\n{more}", two(&fleet, "")));
    let route = "{service: alpha, websocket: true, stream: true, body_size: 100M}";
    fleet.site(name, &["h1"], &format!("routes: {{/: {route}}}"));
    fleet.deploy().ends_with(0);
    fleet
}

fn assert_none_lost(count: &Count, what: &str) {
    println!(
        "  {what}: {} answers, {} closed while idle, {} of them met by a POST, {} lost",
        count.answers,
        count.closed,
        count.broken,
        count.lost.len()
    );
    assert!(count.lost.is_empty(), "{what}, lost: {:#?}", &count.lost[..count.lost.len().min(10)]);
}

/// The program dies at SIGTERM in the middle of an answer. Nobody loses one: at the port, through the site, on a
/// connection that was silent, in a stream, in an upload.
pub fn five_rollouts_of_one_service_lose_no_request(world: &World) {
    let fleet = deployed(world, "twocopies", "");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let began = Instant::now();
    let at_port = Load::at_port(world, h1, port, "anything.test", "/slow");
    let through_site = Load::with_posts(world, h1, "twocopies.test", "/slow");
    let streams = Streams::start(world, h1, port, "anything.test");
    for number in 1..=5 {
        let silent = Silent::open(world, h1, port, "anything.test", 20);
        fleet.service("alpha", port, &["h1"], &format!("{}\n{HEALTH}\nenv: {{GREETING: '{number}'}}", two(&fleet, "")));
        let deployed = Instant::now();
        fleet.deploy().ends_with(0);
        println!("  rollout {number}: {:.1} s", deployed.elapsed().as_secs_f64());
        assert_is("connections that were silent and are not answered", silent.ask(), Vec::<String>::new());
        let answer = h1.asks(port, "/x");
        assert!(answer.trim().ends_with(&number.to_string()), "it answers {answer}");
    }
    let (at_port, through_site, streams) = (at_port.end(), through_site.end(), streams.end());
    assert_none_lost(&at_port, "at the port");
    assert_none_lost(&through_site, "through the site");
    println!(
        "  streams, uploads and WebSockets: {} ended well, in {:.1} s",
        streams.well,
        began.elapsed().as_secs_f64()
    );
    assert_is("streams that did not end well", streams.lost, Vec::<String>::new());
    assert!(at_port.answers > 100 && at_port.broken * 200 <= at_port.answers.max(200), "{at_port:?}");
    let units = h1.run("systemctl list-units --no-legend --plain 'twocopies-*' | wc -l");
    assert_is("copies that are left", units.as_str(), "1");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

/// Whatever ails the new copy, the old one answers all the time, and is not started again.
pub fn a_new_copy_that_is_no_good_loses_no_request_and_the_old_one_goes_on(world: &World) {
    let fleet = deployed(world, "nogood", "");
    let bakes = two(&fleet, ", bake: 4s");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let unit = "nogood-alpha@*-blue.service";
    let runs = || h1.run(&format!("systemctl show --value -p InvocationID '{unit}'"));
    let before = runs();
    let load = Load::at_port(world, h1, port, "anything.test", "/slow");
    for (why, ails) in [
        ("it ends at once", "env: {NEEDS: 'http://127.0.0.1:1'}"),
        ("it is never healthy", "env: {SICK: 'yes'}"),
        ("it is unhealthy while it bakes", "env: {UNWELL: '2'}"),
        (
            "it binds the service's own port",
            "run: {exec: '/usr/bin/env SERVICE_PORT=PORT /usr/bin/python3 server.py ${port}'}",
        ),
    ] {
        let ails = ails.replace("PORT /", &format!("{port} /"));
        fleet.service("alpha", port, &["h1"], &format!("{bakes}\n{HEALTH}\n{ails}"));
        let ran = fleet.deploy().ends_with(3);
        let not_healthy = ran.errors.lines().chain(ran.said.lines()).find(|line| line.contains("not healthy"));
        println!("  {why}: {}", not_healthy.unwrap_or_default().trim());
        assert_is(why, h1.asks(port, "/x").trim(), "alpha h1 /x None");
        assert_is("the old copy's start", runs(), before.clone());
    }
    assert_none_lost(&load.end(), "new copies that are no good");
}

/// From the one way to the other and back: what is declared is what runs, and callers find the service at its port.
pub fn moving_to_two_copies_and_back_leaves_nothing(world: &World) {
    let fleet = Fleet::new(world, "tocopies");
    let (h1, port) = (world.host("h1"), fleet.port(0));
    let declare = |rollout: &str| fleet.service("alpha", port, &["h1"], &format!("{rollout}\n{HEALTH}"));
    let (sole, blue) = ("tocopies-alpha@PORT.service", "tocopies-alpha@PORT-blue.service");
    for (rollout, units) in [(String::new(), sole), (two(&fleet, ""), blue), (String::new(), sole)] {
        declare(&rollout);
        fleet.deploy().ends_with(0);
        h1.asks(port, "/x");
        let live = h1.run("systemctl list-units --no-legend --plain 'tocopies-*' | cut -d ' ' -f 1");
        assert_is("the units", live, units.replace("PORT", &port.to_string()));
        assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
    }
    let left = h1.run("ls /etc/nginx/conf.d | grep -c tocopies || true");
    assert_is("nginx files that are left", left.as_str(), "0");
}
