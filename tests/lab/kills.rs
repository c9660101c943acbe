//! A controller that is killed at points drawn from a seed, and what the next start makes of it.
//!
//! Each time: one record of how each generation ended, hosts as declared, and nobody restarted who had
//! nothing to do with it.

use std::{collections::BTreeMap, thread, time::Duration};

use evenkeel::model::event::EventName;

use crate::{
    daemon::Daemon,
    dice::Dice,
    events,
    fleet::{Fleet, restarted, set},
    world::{World, assert_is, wait_for},
};

/// More lines than a deployment of this fleet logs.
const LINES: u64 = 22;

/// The seed of the ten points that are always tried; the soak draws others.
const POINTS: u64 = 30064;

pub fn a_killed_controller_is_followed_by_one_that_ends_what_it_began(world: &World) {
    at_points(world, "kills", 10, seed().unwrap_or(POINTS));
}

/// From the environment, to see again what was seen.
pub fn seed() -> Option<u64> {
    std::env::var("EVENKEEL_SEED").ok().and_then(|seed| seed.parse().ok())
}

/// Kills a controller in the middle of each of so many deployments.
pub fn at_points(world: &World, name: &'static str, points: u32, seed: u64) {
    println!("seed {seed}; EVENKEEL_SEED={seed} draws the same points again");
    let mut dice = Dice::new(seed);
    let fleet = Fleet::new(world, name);
    fleet.environment("");
    fleet.write("other/server.py", include_str!("server.py"));
    fleet.service("bystander", fleet.port(3), &["h1", "h2", "h3"], "source: {path: other}");
    declare(&fleet, 0);
    let commit = fleet.commit();
    let controller = fleet.reconcile();
    fleet.is_live(&commit);
    drop(controller);
    let bystanders = bystanders(&fleet);
    for number in 1..=points {
        let (lines, pause) = (dice.below(LINES), Duration::from_millis(dice.below(120)));
        let before = fleet.invocations();
        declare(&fleet, number);
        let commit = fleet.commit();
        let mut killed = fleet.reconcile();
        wait_for_lines(&killed, lines as usize);
        thread::sleep(pause);
        killed.kill();
        let point = format!("point {number}, after {lines} lines and {pause:?}");
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{point}\n{}", killed.log());
        }

        let controller = fleet.reconcile();
        fleet.is_live(&commit);
        drop(controller);
        one_end_each(&fleet, &point);
        assert_is(&format!("{point}: the next plan"), fleet.plan().changes(), Vec::<String>::new());
        for (host, port) in [("h1", 0), ("h2", 0), ("h3", 1)] {
            let answer = world.host(host).asks(fleet.port(port), "/");
            assert!(answer.ends_with(&format!("/ {number}")), "{point}: {host} answers {answer}");
        }
        let touched = restarted(&before, &fleet.invocations());
        let planned = set(&["h1/alpha", "h2/alpha", "h3/beta", "h2/gamma"]);
        assert!(touched.is_subset(&planned), "{point}: restarted were {touched:?}");
        assert_is(&format!("{point}: bystanders"), self::bystanders(&fleet), bystanders.clone());
    }
}

/// Three phases; now and then another release, and one more service.
fn declare(fleet: &Fleet<'_>, number: u32) {
    let env = format!("env: {{GREETING: '{number}'}}\nhealth: {{http: /health, interval: 50ms}}");
    fleet.write("program/release", &format!("{}", number / 3));
    fleet.service("alpha", fleet.port(0), &["h1", "h2"], &env);
    fleet.service("beta", fleet.port(1), &["h3"], &format!("{env}\nafter: [alpha]"));
    if number.is_multiple_of(2) {
        fleet.service("gamma", fleet.port(2), &["h2"], "after: [beta]");
    } else {
        fleet.remove("services/gamma.yaml");
    }
}

fn wait_for_lines(controller: &Daemon, lines: usize) {
    wait_for("the controller's progress", || {
        let log = controller.log();
        (log.lines().count() >= lines || events::told(&log, EventName::DeploymentEnded).next().is_some()).then_some(())
    });
}

fn bystanders(fleet: &Fleet<'_>) -> BTreeMap<String, String> {
    let all = fleet.invocations();
    all.into_iter().filter(|(unit, _)| unit.ends_with("/bystander")).collect()
}

/// Of each generation one beginning and one end are recorded, in this order.
fn one_end_each(fleet: &Fleet<'_>, point: &str) {
    let told = fleet.told();
    for (number, pair) in told.chunks(2).enumerate() {
        let generation = number + 1;
        let ends = ["applied", "rolled-back"].map(|end| format!("{generation} {end}"));
        let well = pair.len() == 2 && pair[0] == format!("{generation} begun") && ends.contains(&pair[1]);
        assert!(well, "{point}: of generation {generation} is recorded {pair:?}, in {told:?}");
    }
}
