//! In which order the replicas of a service change.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::plan::{Action, Plan, ReplicaPlace};

use crate::{
    declared::{Declared, instance, of},
    host::Host,
    text::{shown, without_digests},
    world::World,
};

const UNIT: &str = "small-web@8100.service";

/// A fleet whose service `web` runs on so many instances, with these lines in its file and these in the environment's.
pub fn fleet(replicas: usize, service: &str, environment: &str) -> Declared {
    let names: Vec<String> = (1..=replicas).map(|number| format!("h{number}")).collect();
    let mut declared = of(&[
        ("fleet.yaml", "name: small\ndefaults: {user: ubuntu}\n"),
        ("environments/production.yaml", &format!("branch: main\n{environment}\n")),
        (
            "services/web.yaml",
            &format!(
                "source: {{path: code}}\nrun: {{exec: /usr/bin/python3 server.py}}\nport: 8100\n\
                 place: {{on: [{}]}}\n{service}\n",
                names.join(", ")
            ),
        ),
        ("code/server.py", "print()\n"),
    ]);
    for (name, number) in names.iter().zip(1..) {
        let instance = format!("environment: production\naddress: 10.0.0.{number}\nports: 8100-8199\n");
        declared = declared.write(&format!("instances/{name}.yaml"), &instance);
    }
    declared
}

/// The same with a variable more: every replica restarts.
pub fn changed(declared: Declared) -> Declared {
    declared.append("services/web.yaml", "env: {LEVEL: debug}\n")
}

/// What starts, restarts or stops in each wave, and where: `h1! h2` of wave 1, then wave 2. `!`: it restarts.
pub fn waves(plan: &Plan) -> String {
    let mut waves: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        let sign = match &step.action {
            Action::StartUnit { .. } => "+",
            Action::RestartUnit { .. } => "!",
            Action::StopUnit { .. } => "-",
            Action::ShiftTraffic { away, back, .. } => &shifted(away, back),
            Action::Drain { .. } => " drains",
            Action::Pause { span, .. } => &format!(" pauses for {span}"),
            _ => continue,
        };
        waves.entry(step.phase.wave).or_default().push(format!("{}{sign}", step.instance));
    }
    waves.into_values().map(|wave| wave.join(" ")).collect::<Vec<_>>().join(" | ")
}

/// ` without web-h1, with web-h2`.
fn shifted(away: &BTreeSet<ReplicaPlace>, back: &BTreeSet<ReplicaPlace>) -> String {
    let named = |sign: &str, places: &BTreeSet<ReplicaPlace>| {
        let names = places.iter().map(|(service, instance)| format!(" {sign}{service}@{instance}"));
        names.collect::<String>()
    };
    named("without ", away) + &named("with ", back)
}

fn interrupted(plan: &Plan) -> Vec<&str> {
    plan.interrupted.iter().map(|name| name.as_str()).collect()
}

#[test]
fn replicas_change_one_after_the_other_unless_it_is_said_otherwise() {
    for (replicas, service, environment, expected) in [
        (1, "", "", "h1!"),
        (2, "", "", "h1! | h2!"),
        (3, "", "", "h1! | h2! | h3!"),
        (3, "rollout: {strategy: recreate}", "", "h1! h2! h3!"),
        (3, "", "rollout: {strategy: recreate}", "h1! h2! h3!"),
        (3, "rollout: {strategy: rolling}", "rollout: {strategy: recreate}", "h1! | h2! | h3!"),
        (1, "", "rollout: {strategy: rolling}", "h1!"),
        (4, "rollout: {max_unavailable: 2}", "", "h1! h2! | h3! h4!"),
        (4, "rollout: {max_unavailable: 25%}", "", "h1! | h2! | h3! | h4!"),
        (8, "rollout: {max_unavailable: 25%}", "", "h1! h2! | h3! h4! | h5! h6! | h7! h8!"),
        (3, "rollout: {max_unavailable: 10%}", "", "h1! | h2! | h3!"),
        (3, "rollout: {order: [h3]}", "", "h3! | h1! | h2!"),
        (3, "rollout: {order: [h3, h2]}", "rollout: {max_unavailable: 2}", "h2! h3! | h1!"),
        (2, "rollout: {pause: 5s}", "", "h1! h1 pauses for 5s | h2!"),
        (2, "", "rollout: {pause: 5s}", "h1! h1 pauses for 5s | h2!"),
        (2, "in: {production: {rollout: {strategy: recreate}}}", "", "h1! h2!"),
    ] {
        let before = fleet(replicas, service, environment);
        let plan = World::live(&before).declare(&changed(before)).plan();
        assert_eq!(waves(&plan), expected, "{replicas}: {service} / {environment}");
        let all_at_once = !expected.contains('|');
        assert_eq!(interrupted(&plan), if all_at_once { vec!["web"] } else { vec![] }, "{service} / {environment}");
    }
}

#[test]
fn what_is_down_is_up_again_before_one_that_answers_goes() {
    let before = fleet(3, "", "");
    let stopped = |name: &str| {
        let down = |host: &mut Host| host.unit(UNIT).active = "inactive".to_owned();
        World::live(&before).on(name, down).declare(&changed(before.clone())).plan()
    };
    assert_eq!(waves(&stopped("h2")), "h2+ | h1! | h3!");
    assert_eq!(waves(&stopped("h3")), "h3+ | h1! | h2!");
    assert_eq!(interrupted(&stopped("h3")), Vec::<&str>::new());
}

#[test]
fn one_that_crashes_changes_first_for_it_takes_nothing_away() {
    let before = fleet(2, "", "");
    let crashes = |host: &mut Host| host.unit(UNIT).active = "activating".to_owned();
    let plan = World::live(&before).on("h2", crashes).declare(&changed(before)).plan();
    assert_eq!(waves(&plan), "h2! | h1!");
}

#[test]
fn a_replica_that_is_new_is_there_before_an_old_one_restarts() {
    let mut world = World::live(&fleet(1, "", ""));
    world.hosts.insert(instance("h2"), Host::empty());
    let plan = world.declare(&fleet(2, "env: {LEVEL: debug}", "")).plan();
    assert_eq!(waves(&plan), "h2+ | h1!");
    assert_eq!(interrupted(&plan), Vec::<&str>::new());
}

#[test]
fn the_first_deployment_waits_for_nothing() {
    let plan = World::empty(&fleet(3, "rollout: {pause: 5s}", "")).plan();
    assert_eq!(waves(&plan), "h1+ h2+ h3+");
    assert_eq!(interrupted(&plan), Vec::<&str>::new());
}

#[test]
fn a_rollout_and_a_gap_are_shown_as_they_come() {
    let rolling = fleet(3, "rollout: {max_unavailable: 2, pause: 10s}", "");
    let recreated = fleet(2, "rollout: {strategy: recreate}", "");
    let plan = |before: Declared| World::live(&before).declare(&changed(before)).plan();
    insta::assert_snapshot!(without_digests(&shown(&plan(rolling))));
    insta::assert_snapshot!(without_digests(&shown(&plan(recreated))));
}

#[test]
fn services_of_one_level_roll_beside_each_other_and_later_ones_wait() {
    let second = "source: {path: code}\nrun: {exec: /usr/bin/python3 server.py}\nport: 8101\nplace: {on: [h1, h2]}\n";
    let with = |after: &str, env: &str| {
        let text = format!("{second}{after}{env}");
        fleet(2, env, "").write("services/api.yaml", &text)
    };
    for (after, waves_of_api) in [("", [1, 2]), ("after: [web]\n", [3, 4])] {
        let plan = World::live(&with(after, "")).declare(&with(after, "env: {LEVEL: debug}\n")).plan();
        let of_api = plan.steps.iter().filter(|step| {
            step.resource.to_string() == "service/api" && matches!(step.action, Action::RestartUnit { .. })
        });
        assert_eq!(of_api.map(|step| step.phase.wave).collect::<Vec<_>>(), waves_of_api, "{after}");
    }
}
