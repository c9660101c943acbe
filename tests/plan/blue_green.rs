//! A second copy of a service beside the first, and how nginx is led from one to the other.

use std::collections::BTreeMap;

use evenkeel::model::{
    plan::{Action, Plan},
    rollout::Slot,
};

use crate::{
    declared::{Declared, instance, of},
    host::{Host, Nginx},
    world::World,
};

/// A fleet whose service `web` runs on `h1` as one of two copies, with these lines in its file.
fn fleet(more: &str) -> Declared {
    of(&[
        ("fleet.yaml", "name: small\ndefaults: {user: ubuntu}\n"),
        ("environments/production.yaml", "branch: main\n"),
        ("instances/h1.yaml", "environment: production\naddress: 10.0.0.1\nports: 8100-8199\n"),
        (
            "services/web.yaml",
            &format!(
                "source: {{path: code}}\nrun: {{exec: '/usr/bin/python3 server.py ${{port}}'}}\nport: 8100\n\
                 place: {{on: [h1]}}\nhealth: {{http: /health}}\n{more}\n"
            ),
        ),
        ("code/server.py", "print()\n"),
    ])
}

const TWO: &str = "rollout: {strategy: blue-green, ports: [8190, 8191]}";

/// The same with a variable more.
fn changed(declared: Declared) -> Declared {
    declared.append("services/web.yaml", "env: {LEVEL: debug}\n")
}

fn with_nginx(host: &mut Host) {
    host.nginx = Some(Nginx { running: true, ..Nginx::default() });
}

/// What is done in each phase, in few words.
fn phases(plan: &Plan) -> String {
    let mut phases: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let copy = |unit: &str| {
        let name = unit.trim_start_matches("small-").trim_end_matches(".service");
        name.replace("web@8100-", "").replace("web@8100", "sole")
    };
    for step in &plan.steps {
        let done = match &step.action {
            Action::StartUnit { unit } => format!("+{}", copy(unit)),
            Action::RestartUnit { unit } => format!("!{}", copy(unit)),
            Action::StopUnit { unit, .. } => format!("-{}", copy(unit)),
            Action::SwitchPort { port, to: Some(to), .. } => format!("{port}>{}", to.slot.as_str()),
            Action::SwitchPort { port, to: None, .. } => format!("{port}>nobody"),
            Action::AwaitHealth { port, .. } => format!("healthy {port}"),
            Action::Pause { span, .. } => format!("pauses {span}"),
            Action::Drain { unit, port, .. } => format!("drains {} at {port}", copy(unit)),
            _ => continue,
        };
        phases.entry(step.phase).or_default().push(done);
    }
    let shown = phases.into_iter().map(|(phase, done)| format!("{phase}: {}", done.join(", ")));
    shown.collect::<Vec<_>>().join(" | ")
}

fn slot(plan: &Plan) -> Slot {
    plan.instances[&instance("h1")].slots["web"]
}

const TO_BLUE: &str = "2: +blue, healthy 8190 | 2.1: 8100>blue | 2.2: healthy 8100";
const TO_GREEN: &str =
    "1: +green, healthy 8191 | 1.1: 8100>green | 1.2: healthy 8100 | 1.3: drains blue at 8190, -blue";

#[test]
fn a_new_service_gets_its_first_copy_and_nginx_its_port() {
    let mut world = World::empty(&fleet(TWO)).on("h1", with_nginx);
    let plan = world.plan();
    assert!(phases(&plan).starts_with(TO_BLUE), "{}", phases(&plan));
    assert_eq!(slot(&plan), Slot::Blue);
    assert!(plan.interrupted.is_empty());
    world.apply(&plan);
    let again = world.plan();
    assert!(!again.has_changes(), "{:#?}", again.steps);
}

#[test]
fn a_change_starts_the_other_copy_and_the_next_one_the_first_again() {
    let mut world = World::live(&fleet(TWO)).declare(&changed(fleet(TWO)));
    let plan = world.plan();
    assert_eq!(phases(&plan), TO_GREEN);
    assert_eq!(slot(&plan), Slot::Green);
    assert!(plan.interrupted.is_empty(), "somebody answers all the time");
    world.apply(&plan);
    assert!(!world.plan().has_changes(), "{:#?}", world.plan().steps);
    let mut world = world.declare(&fleet(TWO));
    let back = world.plan();
    let expected = "1: +blue, healthy 8190 | 1.1: 8100>blue | 1.2: healthy 8100 | 1.3: drains green at 8191, -green";
    assert_eq!(phases(&back), expected);
    world.apply(&back);
    assert!(!world.plan().has_changes());
    let names: Vec<&String> = world.host("h1").units.keys().collect();
    assert_eq!(names, ["small-web@8100-blue.service"], "nothing of the other copy stays");
}

#[test]
fn the_old_copy_runs_on_while_the_new_one_bakes() {
    let declared = fleet("rollout: {strategy: blue-green, ports: [8190, 8191], bake: 30s}");
    let plan = World::live(&declared).declare(&changed(declared)).plan();
    let expected = "1: +green, healthy 8191 | 1.1: 8100>green | 1.2: healthy 8100, pauses 30s | \
                    1.3: drains blue at 8190, -blue";
    assert_eq!(phases(&plan), expected);
}

#[test]
fn a_copy_that_does_not_run_is_started_where_it_is() {
    let down = |host: &mut Host| host.unit("small-web@8100-blue.service").active = "inactive".to_owned();
    let plan = World::live(&fleet(TWO)).on("h1", down).plan();
    assert_eq!(phases(&plan), "1: +blue, healthy 8190");
}

#[test]
fn what_was_changed_by_hand_is_put_right_by_the_other_copy() {
    let edited = |host: &mut Host| host.edit("/etc/systemd/system/small-web@8100-blue.service", "[Service]\n");
    assert_eq!(phases(&World::live(&fleet(TWO)).on("h1", edited).plan()), TO_GREEN);
}

#[test]
fn a_port_that_nginx_does_not_lead_as_its_file_says_is_led_again() {
    let again = "1.1: 8100>blue | 1.2: healthy 8100";
    let lost = |host: &mut Host| host.nginx.as_mut().expect("nginx").fronts.clear();
    assert_eq!(phases(&World::live(&fleet(TWO)).on("h1", lost).plan()), again);
    let edited = |host: &mut Host| host.edit("/etc/nginx/conf.d/evenkeel-small-web@8100.conf", "# mine\n");
    assert_eq!(phases(&World::live(&fleet(TWO)).on("h1", edited).plan()), again);
}

/// Of each phase nothing, or all, was done when the controller died; what it had begun is taken up from there.
#[test]
fn a_rollout_that_was_cut_off_anywhere_goes_on_and_ends_as_declared() {
    let (before, after) = (fleet(TWO), changed(fleet(TWO)));
    let plan = World::live(&before).declare(&after).plan();
    for cut in plan.phases() {
        let mut world = World::live(&before).declare(&after);
        world.apply_until_phase(&plan, cut);
        let rest = world.plan();
        assert!(!phases(&rest).contains("+green"), "{cut}: green runs already: {}", phases(&rest));
        assert_eq!(slot(&rest), Slot::Green, "{cut}");
        world.apply(&rest);
        assert!(!world.plan().has_changes(), "{cut}");
        assert_eq!(world.host("h1").units.len(), 1, "{cut}");
    }
}

/// Whoever takes another version back while both copies are there starts nothing.
#[test]
fn the_way_back_needs_no_start_while_the_old_copy_runs() {
    let (before, after) = (fleet(TWO), changed(fleet(TWO)));
    let plan = World::live(&before).declare(&after).plan();
    let switched = plan.phases()[1];
    let mut world = World::live(&before).declare(&after);
    world.apply_until_phase(&plan, switched);
    let mut world = world.declare(&before);
    let back = world.plan();
    assert_eq!(phases(&back), "1.1: 8100>blue | 1.2: healthy 8100 | 1.3: drains green at 8191, -green");
    world.apply(&back);
    assert!(!world.plan().has_changes());
}

#[test]
fn moving_to_two_copies_and_back_says_its_gap() {
    let mut world = World::live(&fleet("")).on("h1", with_nginx).declare(&fleet(TWO));
    let plan = world.plan();
    let expected = "1: +blue, healthy 8190 | 1.1: -sole, 8100>blue | 1.2: healthy 8100";
    assert!(phases(&plan).starts_with(expected), "{}", phases(&plan));
    assert_eq!(plan.interrupted.len(), 1, "nobody has the port while nginx takes it");
    world.apply(&plan);
    assert!(!world.plan().has_changes(), "{:#?}", world.plan().steps);
    let mut world = world.declare(&fleet(""));
    let back = world.plan();
    assert!(phases(&back).starts_with("1: -blue, 8100>nobody, +sole, healthy 8100"), "{}", phases(&back));
    assert_eq!(back.interrupted.len(), 1);
    world.apply(&back);
    assert!(!world.plan().has_changes());
}

#[test]
fn a_service_that_is_declared_no_more_leaves_nothing() {
    let mut world = World::live(&fleet(TWO));
    let gone = fleet(TWO).remove("services/web.yaml");
    world = world.declare(&gone);
    let plan = world.plan();
    world.apply(&plan);
    assert!(world.host("h1").units.is_empty() && world.host("h1").owned().files.is_empty());
    assert!(world.host("h1").nginx.as_ref().is_some_and(|nginx| nginx.fronts.is_empty()));
}

#[test]
fn a_port_that_somebody_else_has_is_refused_before_anything_starts() {
    let world = World::empty(&fleet(TWO)).on("h1", |host| {
        with_nginx(host);
        host.units.insert("jenkins.service".to_owned(), crate::host::running(8100));
    });
    let plan = world.plan();
    assert!(plan.is_refused());
    assert!(plan.findings.iter().any(|finding| finding.message.contains("port 8100")), "{:#?}", plan.findings);
}
