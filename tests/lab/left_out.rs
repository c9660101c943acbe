//! What one instance says, or fails at, is that instance's alone.

use crate::{
    fleet::Fleet,
    host_failures::says,
    world::{World, assert_is},
};

/// On hosts that somebody marked it greets with `hello` or not at all. Checked often and given up soon.
const PICKY: &str = "run: {exec: \"/bin/sh -c '[ ! -e /etc/picky ] || [ $GREETING = hello ] || exit 1; \
                     exec /usr/bin/python3 server.py'\"}\n\
                     health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}\n";

const MARK: &str = "touch /etc/picky";
const UNMARK: &str = "rm -f /etc/picky";

pub fn a_generation_that_nobody_made_concerns_its_instance_alone(world: &World) {
    let fleet = Fleet::new(world, "numbers");
    let (all, port) = (["h1", "h2", "h3"], fleet.port(0));
    let greet = |greeting: &str| fleet.service("alpha", port, &all, &format!("env: {{GREETING: {greeting}}}"));
    greet("hello");
    fleet.deploy().ends_with(0);

    let file = "/var/lib/evenkeel/numbers/generation";
    for (number, (said, why)) in [
        ("18446744073709551615", "no generation"),
        ("9223372036854775808", "no generation"),
        ("-1", "no generation"),
        ("500000", "far from"),
    ]
    .into_iter()
    .enumerate()
    {
        world.host("h3").run(&format!("echo {said} >{file}"));
        greet(&format!("hello{number}"));
        fleet.deploy().ends_with(5);
        assert_is("the generation", fleet.newest("/generation"), number + 2);
        assert_is("the outcome", fleet.newest("/outcome"), "partial");
        says(&fleet.newest("/unreached").to_string(), &["h3", why, file]);
        for host in ["h1", "h2"] {
            assert_is("the answer", world.host(host).asks(port, "/"), format!("alpha {host} / hello{number}"));
        }
        assert_is("the answer of h3", world.host("h3").asks(port, "/"), "alpha h3 / hello");
    }
    world.host("h3").run(&format!("echo 1 >{file}"));
    fleet.apply().ends_with(0);
    assert_is("the answer of h3", world.host("h3").asks(port, "/"), "alpha h3 / hello3");
}

pub fn an_instance_that_fails_alone_is_left_out_where_that_is_declared(world: &World) {
    let fleet = Fleet::new(world, "picky");
    fleet.environment("on_instance_failure: leave-out\n");
    let (all, port) = (["h1", "h2", "h3"], fleet.port(0));
    let greet = |greeting: &str| fleet.service("alpha", port, &all, &format!("env: {{GREETING: {greeting}}}\n{PICKY}"));
    let answers = |greetings: [&str; 3]| {
        for (host, greeting) in all.into_iter().zip(greetings) {
            assert_is("the answer", world.host(host).asks(port, "/"), format!("alpha {host} / {greeting}"));
        }
    };
    greet("hello");
    fleet.deploy().ends_with(0);

    let h2 = world.host("h2").until_dropped(MARK, UNMARK);
    greet("ahoy");
    fleet.deploy().ends_with(5);
    assert_is("the outcome", fleet.newest("/outcome"), "partial");
    assert_is("who failed", fleet.newest("/failed/0/instance"), "h2");
    assert_is("how many failed", fleet.newest("/failed").as_array().map(Vec::len), Some(1));
    assert_is("how many were changed", fleet.newest("/summary/changed_instances"), 2);
    assert_is("how many services were updated", fleet.newest("/summary/update"), 2);
    assert_is("how many changes were done", fleet.newest("/changes").as_array().map(Vec::len), Some(2));
    answers(["ahoy", "hello", "ahoy"]);
    drop(h2);

    let before = fleet.invocations();
    fleet.apply().ends_with(0);
    answers(["ahoy", "ahoy", "ahoy"]);
    let after = fleet.invocations();
    for host in ["h1/alpha", "h3/alpha"] {
        assert_is("what runs where it was live", &after[host], &before[host]);
    }
}

pub fn more_failures_than_may_be_left_out_undo_a_deployment_everywhere(world: &World) {
    let fleet = Fleet::new(world, "toomany");
    fleet.environment("on_instance_failure: leave-out\nleave_out_at_most: 1\n");
    let (all, port) = (["h1", "h2", "h3"], fleet.port(0));
    let sick = |extra: &str| {
        let health = "health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}";
        fleet.service("alpha", port, &all, &format!("env: {{GREETING: hello{extra}}}\n{health}"));
    };
    sick("");
    fleet.deploy().ends_with(0);
    let before = world.contents();
    sick(", SICK: 'yes'");
    fleet.deploy().ends_with(3);
    assert_is("the outcome", fleet.newest("/outcome"), "rolled-back");
    crate::world::assert_same(&before, &world.contents());
}
