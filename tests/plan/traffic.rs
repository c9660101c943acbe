//! While a replica restarts, nginx leads its requests to the others.

use evenkeel::model::{
    nginx::LiveNginx,
    plan::{Action, Plan, ShiftedFile},
    seen::Seen,
};

use crate::{
    declared::Declared,
    host::Lies,
    rollouts::{changed, fleet, waves},
    text::{shown, steps, without_digests},
    world::World,
};

/// `web` on so many instances, and a site on these that leads to it.
fn routed(replicas: usize, fronts: &str, service: &str) -> Declared {
    let site = format!("domain: app.test\non: [{fronts}]\nroutes: {{/: web}}\n");
    fleet(replicas, service, "").write("sites/app.yaml", &site)
}

fn rolled(before: Declared) -> Plan {
    World::live(&before).declare(&changed(before)).plan()
}

/// The lines of upstreams that a step that shifts traffic writes.
fn servers(files: &[ShiftedFile]) -> Vec<String> {
    let text = |file: &ShiftedFile| String::from_utf8(file.content.public().expect("public").to_vec()).expect("text");
    let lines = files.iter().map(text).collect::<String>();
    lines.lines().map(str::trim).filter(|line| line.starts_with("server ")).map(str::to_owned).collect()
}

#[test]
fn nginx_leads_around_each_replica_while_it_restarts() {
    for (replicas, fronts, service, expected) in [
        (
            2,
            "h1",
            "",
            "h1 without web@h1 | h1 drains h1! | h1 without web@h2 with web@h1 | h2 drains h2! | h1 with web@h2",
        ),
        (
            2,
            "h1, h2",
            "",
            "h1 without web@h1 h2 without web@h1 | h1 drains h1! | h1 without web@h2 with web@h1 h2 without web@h2 with \
             web@h1 | h2 drains h2! | h1 with web@h2 h2 with web@h2",
        ),
        (
            3,
            "h3",
            "rollout: {max_unavailable: 2}",
            "h3 without web@h1 without web@h2 | h1 drains h1! h2 drains h2! | h3 without web@h3 with web@h1 with web@h2 \
             | h3 drains h3! | h3 with web@h3",
        ),
        // Where all restart at once, or there is one, nobody else could answer.
        (2, "h1", "rollout: {strategy: recreate}", "h1! h2!"),
        (1, "h1", "", "h1!"),
    ] {
        assert_eq!(waves(&rolled(routed(replicas, fronts, service))), expected, "{replicas} {fronts} {service}");
    }
}

#[test]
fn only_the_line_of_the_replica_changes_and_ends_as_it_was() {
    let plan = rolled(routed(2, "h1", ""));
    let shifts: Vec<Vec<String>> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::ShiftTraffic { files, .. } => Some(servers(files)),
            _ => None,
        })
        .collect();
    let server =
        |address: &str, away: bool| format!("server {address}:8100 max_fails=0{};", if away { " down" } else { "" });
    let lines = |first, second| vec![server("127.0.0.1", first), server("10.0.0.2", second)];
    let only = |shift: &Vec<String>| shift.iter().filter(|line| line.contains(":8100")).cloned().collect::<Vec<_>>();
    assert_eq!(
        shifts.iter().map(only).collect::<Vec<_>>(),
        [lines(true, false), lines(false, true), lines(false, false)]
    );
}

#[test]
fn a_rollout_that_shifts_traffic_is_shown_and_ends_as_declared() {
    let before = routed(2, "h1", "");
    let mut world = World::live(&before).declare(&changed(before));
    let plan = world.plan();
    insta::assert_snapshot!(without_digests(&shown(&plan)));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn a_site_that_changes_too_is_shifted_as_it_lies_there_and_changes_after_all() {
    let before = routed(2, "h1", "");
    let after = changed(before.clone()).edit("sites/app.yaml", "domain: app.test", "domain: new.test");
    let mut world = World::live(&before).declare(&after);
    let plan = world.plan();
    for step in &plan.steps {
        if let Action::ShiftTraffic { files, .. } = &step.action {
            let text =
                files.iter().map(|file| String::from_utf8_lossy(file.content.public().expect("public")).into_owned());
            assert!(
                text.clone().any(|text| text.contains("app.test"))
                    && !text.clone().any(|text| text.contains("new.test"))
            );
        }
    }
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn where_traffic_cannot_be_shifted_the_rollout_goes_on_without() {
    let plain = "h1! | h2!";
    let planned = |change: &dyn Fn(&mut World)| {
        let before = routed(2, "h1", "");
        let mut world = World::live(&before).declare(&changed(before));
        change(&mut world);
        world
    };
    // Somebody has changed the site's file: what it leads to is not known.
    let edited = planned(&|world| {
        let files = &mut world.host("h1").files;
        let Some(Lies::File { content, .. }) = files.get_mut("/etc/nginx/conf.d/evenkeel-small-app.conf") else {
            panic!("there is no site");
        };
        *content = b"# nothing\n".to_vec();
    });
    assert!(waves(&edited.plan()).starts_with(plain), "{}", waves(&edited.plan()));
    let serving = |world: &World, digest: Seen<_>| {
        world.plan_when("h1", |live| {
            let Seen::Known(LiveNginx { digest: served, .. }) = &mut live.nginx else { panic!("nginx is there") };
            *served = digest;
        })
    };
    let plan = serving(&planned(&|_| {}), Seen::Absent);
    assert!(waves(&plan).starts_with(plain), "{}", waves(&plan));
}

/// The controller may die between any two waves; whoever comes next plans anew.
#[test]
fn a_rollout_that_was_cut_off_goes_on_and_ends_as_declared() {
    let before = routed(2, "h1", "");
    let after = changed(before.clone()).edit("sites/app.yaml", "domain: app.test", "domain: new.test");
    for after in [changed(before.clone()), after] {
        let whole = World::live(&before).declare(&after).plan();
        let waves_of_it = whole.steps.last().expect("there are some").phase.wave;
        let mut planned = Vec::new();
        for cut in 1..waves_of_it {
            let mut world = World::live(&before).declare(&after);
            world.apply_until(&whole, cut);
            let rest = world.plan();
            planned.push(format!("{cut}: {}", waves(&rest)));
            world.apply(&rest);
            assert_eq!(steps(&world.plan()), "", "cut after wave {cut}");
        }
        insta::assert_snapshot!(planned.join("\n"));
    }
}

#[test]
fn whom_a_cut_left_out_and_down_is_led_to_only_when_it_is_up_again() {
    let before = routed(2, "h1", "");
    let after = changed(before.clone());
    let whole = World::live(&before).declare(&after).plan();
    let mut world = World::live(&before).declare(&after);
    world.apply_until(&whole, 1);
    world.host("h1").unit("small-web@8100.service").active = "activating".to_owned();
    assert_eq!(waves(&world.plan()), "h1! | h1 without web@h2 with web@h1 | h2 drains h2! | h1 with web@h2");
}

#[test]
fn the_ids_of_its_steps_are_unique() {
    let plan = rolled(routed(3, "h1, h2", "rollout: {pause: 1s}"));
    let ids: std::collections::BTreeSet<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids.len(), plan.steps.len());
    assert!(plan.steps.is_sorted_by_key(|step| step.phase));
}
