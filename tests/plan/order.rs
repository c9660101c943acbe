//! The order of steps, and what the manifest says when they are done.

use std::collections::BTreeSet;

use evenkeel::model::{manifest::Manifest, plan::Action};

use crate::{
    declared::{Declared, desired, example, instance},
    text::{findings, steps, without_digests},
    world::World,
};

/// The example without the briefing service.
fn without_briefing() -> Declared {
    example().remove("services/briefing_mcp.yaml").edit(
        "sites/app.yaml",
        "  /api/briefing/: {service: briefing_mcp}\n",
        "",
    )
}

#[test]
fn what_is_declared_no_more_goes_after_the_traffic_to_it() {
    let mut world = World::live(&example()).declare(&without_briefing());
    let plan = world.plan();
    insta::assert_snapshot!(without_digests(&steps(&plan)));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
    assert!(!world.host("control").files.keys().any(|path| path.contains("briefing")));
}

#[test]
fn a_service_that_changes_its_port_makes_room_for_itself() {
    let moved = example().edit("services/gong_mcp.yaml", "port: 8100", "port: 8150");
    let mut world = World::live(&example()).declare(&moved);
    let plan = world.plan();
    let of_gong: Vec<_> = plan.steps.iter().filter(|step| step.instance == instance("business-tools")).collect();
    let stop = of_gong.iter().position(|step| matches!(step.action, Action::StopUnit { .. }));
    let start = of_gong.iter().position(|step| matches!(step.action, Action::StartUnit { .. }));
    assert!(stop < start && stop.is_some(), "{}", steps(&plan));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn the_last_site_leaves_nginx_alone() {
    let mut world = World::live(&example()).declare(&example().remove("sites/app.yaml"));
    let plan = world.plan();
    insta::assert_snapshot!(without_digests(&steps(&plan)));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn what_is_gone_already_is_only_forgotten() {
    let gone = |host: &mut crate::host::Host| {
        host.units.remove("sophia-briefing_mcp@8301.service");
        host.files.retain(|path, _| !path.contains("briefing"));
    };
    let mut world = World::live(&without_briefing());
    let manifest = World::live(&example()).host("control").manifest.clone();
    world.host("control").manifest = manifest;
    gone(world.host("control"));
    let plan = world.plan();
    insta::assert_snapshot!(steps(&plan));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn phases_follow_after_on_all_instances() {
    let plan = World::empty(&example()).plan();
    let fleet = &World::empty(&example()).prepared.fleet;
    let phase = |name: &str| {
        let is = |step: &&evenkeel::model::plan::Step| matches!(&step.action, Action::AwaitHealth { service, .. } if service.as_str() == name);
        plan.steps.iter().find(is).map(|step| step.phase).unwrap_or_else(|| panic!("{name} is not awaited"))
    };
    for service in fleet.services.values() {
        for other in &service.after {
            assert!(phase(other.as_str()) < phase(service.name.as_str()), "{} after {other}", service.name);
        }
    }
    let numbers: BTreeSet<u32> = plan.steps.iter().map(|step| step.phase.wave).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect(), "phases are numbered from 1 without gaps");
    assert!(plan.steps.is_sorted_by_key(|step| step.phase));
}

#[test]
fn the_ids_of_steps_are_unique() {
    let renamed = example().edit("fleet.yaml", "name: sophia", "name: hermes");
    let plans = [
        World::empty(&example()).plan(),
        World::live(&example()).declare(&renamed).plan(),
        World::live(&example()).declare(&without_briefing()).plan(),
    ];
    for plan in plans {
        let ids: BTreeSet<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids.len(), plan.steps.len());
        assert!(ids.iter().all(|id| {
            id.split('/').next().is_some_and(|name| name.parse::<evenkeel::model::name::InstanceName>().is_ok())
        }));
    }
}

#[test]
fn the_manifest_after_is_what_is_declared() {
    let world = World::live(&example()).declare(&without_briefing());
    let plan = world.plan();
    for (name, instance) in &plan.instances {
        let wanted = desired(&world.prepared, name.as_str());
        let after = &instance.manifest_after;
        assert!(after.files.keys().eq(wanted.files.keys()), "{name}");
        assert!(after.links.keys().eq(wanted.links.keys()), "{name}");
        assert!(after.units.keys().eq(wanted.replicas.keys()), "{name}");
        // What is used no more the host collects when the deployment is done there.
        assert_eq!(after.releases, wanted.releases, "{name}");
    }
}

#[test]
fn in_between_the_manifest_owns_what_was_and_what_will_be() {
    let changed = without_briefing().append("mcp_servers/ai_memory/server.py", "# a comment");
    let world = World::live(&example()).declare(&changed);
    let plan = world.plan();
    let control = &plan.instances[&instance("control")];
    let before = control.manifest_before.clone().expect("a manifest");
    let union = before.union(&control.manifest_after);
    let memory = "sophia-ai_memory_mcp@8300.service";
    let unit_file = "/etc/systemd/system/sophia-ai_memory_mcp@8300.service";
    assert!(union.owns("/etc/systemd/system/sophia-briefing_mcp@8301.service"), "what goes is ours until it is gone");
    assert_eq!(union.files[unit_file], control.manifest_after.files[unit_file], "a file's digest is the new one");
    assert_eq!(union.units[memory], before.units[memory], "a unit was last started with what it was before");
    assert_ne!(union.units[memory], control.manifest_after.units[memory]);
    assert_eq!(Manifest::parse(&union.write()), Ok(union));
}

#[test]
fn a_deployment_cut_short_is_finished_by_the_next_plan() {
    let changed = example().append("mcp_servers/ai_memory/server.py", "# a comment");
    let whole = World::live(&example()).declare(&changed).plan();
    let of_control: Vec<_> = whole.steps.iter().filter(|step| step.instance == instance("control")).collect();
    for done in 0..=of_control.len() {
        let mut world = World::live(&example()).declare(&changed);
        let before = world.host("control").owned();
        let union = before.union(&whole.instances[&instance("control")].manifest_after);
        // The script was killed after some steps, and nothing was undone.
        world.host("control").apply(&of_control[..done], &union, 8);
        let plan = world.plan();
        assert_eq!(findings(&plan), "", "after {done} steps");
        world.apply(&plan);
        assert_eq!(steps(&world.plan()), "", "after {done} steps");
        assert_eq!(world.host("control").owned(), whole.instances[&instance("control")].manifest_after);
    }
}
