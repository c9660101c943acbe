//! Unknown is never absent: what did not answer has nothing planned on it.

use evenkeel::{
    engine::observe::probe::{lacking, plan_from},
    model::{observation::Observation, plan::InstanceState, seen::Seen},
    plan::Observed,
};

use crate::{
    declared::{example, instance},
    text::{shown, steps},
    world::{World, state},
};

const WHY: &str = "the disk is on fire";

fn unknown<T>() -> Seen<T> {
    Seen::Unknown(WHY.to_owned())
}

/// On a host where everything is to be changed, so that whatever is taken for absent shows.
fn nothing_is_planned(name: &str, what: &str, change: impl Fn(&mut Observation)) {
    let changed = example().edit("fleet.yaml", "name: sophia", "name: hermes");
    for (live, world) in [(true, World::live(&example())), (false, World::empty(&changed))] {
        let plan = world.plan_when(name, &change);
        match state(&plan, name) {
            InstanceState::Unknown(why) => assert!(why.contains(WHY) || why.contains("not asked"), "{what}: {why}"),
            other => panic!("{what} (live: {live}): {other:?}\n{}", steps(&plan)),
        }
        assert!(plan.steps.iter().all(|step| step.instance != instance(name)), "{what}");
        assert!(!plan.is_refused(), "{what}: what is not known is not refused either");
    }
}

#[test]
fn an_unknown_part_makes_the_instance_unknown() {
    nothing_is_planned("ai-core", "manifest", |seen| seen.manifest = unknown());
    nothing_is_planned("ai-core", "generation", |seen| seen.generation = unknown());
    nothing_is_planned("ai-core", "nginx", |seen| seen.nginx = unknown());
}

#[test]
fn every_path_unit_package_user_and_release_has_to_answer() {
    let name = "ai-core";
    let observed = World::live(&example()).observe();
    let seen = observed[&instance(name)].as_ref().expect("reached");
    for package in seen.packages.keys() {
        nothing_is_planned(name, package, |seen| _ = seen.packages.insert(package.clone(), unknown()));
        nothing_is_planned(name, package, |seen| _ = seen.packages.remove(package));
    }
    for user in seen.users.keys() {
        nothing_is_planned(name, user, |seen| _ = seen.users.insert(user.clone(), unknown()));
        nothing_is_planned(name, user, |seen| _ = seen.users.remove(user));
    }
    for release in seen.releases.keys() {
        nothing_is_planned(name, "release", |seen| _ = seen.releases.insert(*release, unknown()));
        nothing_is_planned(name, "release", |seen| _ = seen.releases.remove(release));
    }
}

#[test]
fn every_declared_path_and_unit_has_to_answer() {
    for world in [World::live(&example()), World::empty(&example())] {
        for (name, seen) in world.observe() {
            let seen = seen.expect("reached");
            let unknown_there = |what: &str, change: &dyn Fn(&mut Observation)| {
                let plan = world.plan_when(name.as_str(), change);
                let is_unknown = matches!(state(&plan, name.as_str()), InstanceState::Unknown(_));
                // nginx is judged by what it answers, not by its unit; where nothing is to be done, it
                // does not matter whether a deployment runs.
                let exempt = what == "nginx.service" || what == "evenkeel-sophia.service" && plan.steps.is_empty();
                assert!(is_unknown || exempt, "{name}: {what}: {}", steps(&plan));
            };
            for path in seen.files.keys() {
                unknown_there(path, &|seen| _ = seen.files.insert(path.clone(), unknown()));
                unknown_there(path, &|seen| _ = seen.files.remove(path));
            }
            for unit in seen.units.keys() {
                unknown_there(unit, &|seen| _ = seen.units.insert(unit.clone(), unknown()));
                unknown_there(unit, &|seen| _ = seen.units.remove(unit));
            }
        }
    }
}

#[test]
fn a_generation_that_is_far_from_the_historys_makes_that_instance_unknown_and_no_other() {
    let changed = example().edit("services/gong_mcp.yaml", "ENVIRONMENT: prod", "ENVIRONMENT: test");
    let world = World::live(&example()).declare(&changed);
    let plan_of = |seen: u64, newest| {
        let mut observed = world.observe();
        let control = observed.get_mut(&instance("control")).expect("an instance").as_mut().expect("reached");
        control.generation = Seen::Known(seen);
        plan_from(&world.prepared, &observed, newest)
    };
    let plan = plan_of(5_000, Some(7));
    let far = |why: &str| why.contains("generation 5000 is far from 7") && why.contains("/var/lib/evenkeel/sophia/");
    assert!(
        matches!(state(&plan, "control"), InstanceState::Unknown(why) if far(why)),
        "{:?}",
        state(&plan, "control")
    );
    assert!(plan.instances.values().all(|instance| instance.generation < 5_000), "it counts for nobody");
    assert!(plan.steps.iter().any(|step| step.instance == instance("business-tools")), "the others go on");
    assert_eq!(*state(&plan_of(8, Some(7)), "control"), InstanceState::AsDeclared, "another controller's, perhaps");
    assert_eq!(*state(&plan_of(5_000, None), "control"), InstanceState::AsDeclared, "the history is lost");
}

#[test]
fn listeners_have_to_answer_only_where_something_starts() {
    let live = World::live(&example());
    let plan = live.plan_when("ai-core", |seen| seen.listeners = unknown());
    assert_eq!(*state(&plan, "ai-core"), InstanceState::AsDeclared);
    let plan = World::empty(&example()).plan_when("ai-core", |seen| seen.listeners = unknown());
    assert!(matches!(state(&plan, "ai-core"), InstanceState::Unknown(why) if why.contains("who listens")));
}

#[test]
fn who_listens_is_asked_of_an_instance_once_its_plan_takes_it() {
    let changed = example().edit("services/gong_mcp.yaml", "ENVIRONMENT: prod", "ENVIRONMENT: test");
    for (declared, asked) in [(example(), None), (changed, Some("business-tools"))] {
        let world = World::live(&example()).declare(&declared);
        let mut observed = world.observe();
        observed.values_mut().flatten().for_each(|seen| seen.listeners = unknown());
        let plan = plan_from(&world.prepared, &observed, None);
        assert_eq!(lacking(&plan, &observed), asked.map(instance).into_iter().collect());
        // What was asked, and is unknown for another reason, is not asked for again.
        let observed = world.observe();
        assert_eq!(lacking(&plan, &observed), [].into());
    }
}

#[test]
fn what_nginx_serves_has_to_answer_where_a_site_is() {
    let plan = World::live(&example()).plan_when("ai-core", |seen| {
        if let Seen::Known(nginx) = &mut seen.nginx {
            nginx.digest = unknown();
        }
    });
    assert!(matches!(state(&plan, "ai-core"), InstanceState::Unknown(_)));
    let plan = World::live(&example()).plan_when("control", |seen| seen.nginx = unknown());
    assert_eq!(*state(&plan, "control"), InstanceState::AsDeclared, "nginx is no business of ours there");
}

#[test]
fn an_instance_that_is_not_reached_is_said_and_left_alone() {
    let changed = example().edit("services/gong_mcp.yaml", "ENVIRONMENT: prod", "ENVIRONMENT: test");
    let world = World::live(&example()).declare(&changed);
    let mut observed: Observed = world.observe();
    observed.insert(instance("business-tools"), Err("no route to host".to_owned()));
    observed.remove(&instance("control"));
    let plan = plan_from(&world.prepared, &observed, None);
    assert!(plan.steps.is_empty());
    insta::assert_snapshot!(shown(&plan), @r"
    ? business-tools: not observed: no route to host; nothing is planned there
    ? control: not observed: it was not asked; nothing is planned there

    No changes on 3 of 5 instances; 2 could not be observed.
    ");
}
