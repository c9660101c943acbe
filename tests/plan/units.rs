//! What changes a unit besides its file is told and left; folders of evenkeel's are mended as far as they are needed.

use evenkeel::{
    model::{
        drift::{Difference, DriftPolicy, DriftRule},
        observation::{LiveFolder, LiveUnit, Observation},
        plan::{InstanceState, Plan},
        seen::Seen,
    },
    plan::drift::{BackedOff, by_policy},
    report,
};

use crate::{
    declared::{example, instance},
    text::{findings, shown, steps},
    world::{World, state},
};

const ON: &str = "business-tools";
const GONG: &str = "sophia-gong_mcp@8100.service";
const OVERRIDE: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service.d/override.conf";
const FOR_ALL: &str = "/etc/systemd/system/service.d/10-hard.conf";

fn settings(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

fn unit<'a>(observation: &'a mut Observation, name: &str) -> &'a mut LiveUnit {
    match observation.units.get_mut(name) {
        Some(Seen::Known(unit)) => unit,
        other => panic!("{name} is {other:?}"),
    }
}

/// A host that is as declared but for one drop-in of gong's unit.
fn overridden(observation: &mut Observation) {
    unit(observation, GONG).drop_ins = vec![OVERRIDE.to_owned()];
    observation.drop_ins.insert(OVERRIDE.to_owned(), settings(&["User=root", "ExecStart=/usr/bin/python3 …"]));
}

fn planned(change: impl FnOnce(&mut Observation)) -> Plan {
    World::live(&example()).plan_when(ON, change)
}

#[test]
fn a_drop_in_of_somebody_else_is_told_with_what_it_sets_and_nothing_is_called_as_declared() {
    let plan = planned(overridden);
    assert_eq!(steps(&plan), "");
    insta::assert_snapshot!(findings(&plan));
    assert_eq!(*state(&plan, ON), InstanceState::AsDeclared, "nothing is to be done");
    assert!(!plan.instances[&instance(ON)].is_as_declared());
    assert_eq!(plan.drifted(), (1, 1));
    let text = shown(&plan);
    assert!(!text.contains("No changes") && !text.contains("14 services as declared"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report::plan::json(&plan)).expect("it is JSON");
    let of = |name: &str| json["instances"].as_array().expect("a list").iter().find(|of| of["name"] == name).cloned();
    let instance = of(ON).expect("it is there");
    assert_eq!(instance["state"], "drifted");
    assert!(instance["why"].as_str().is_some_and(|why| why.contains(OVERRIDE)), "{instance}");
    assert_eq!(of("control").expect("it is there")["state"], "as-declared");
}

#[test]
fn a_drop_in_for_all_services_is_told_once_and_so_is_evenkeels_own_unit() {
    let hardened = |observation: &mut Observation| {
        for (_, seen) in observation.units.iter_mut().filter(|(name, _)| name.contains('@')) {
            if let Seen::Known(unit) = seen {
                unit.drop_ins = vec![FOR_ALL.to_owned()];
            }
        }
        observation.drop_ins.insert(FOR_ALL.to_owned(), settings(&["ProtectSystem=strict"]));
        observation.own_drop_ins = vec![FOR_ALL.to_owned()];
    };
    let plan = planned(hardened);
    assert_eq!(plan.findings.len(), 1, "{}", findings(&plan));
    assert!(plan.instances[&instance(ON)].drift.len() > 3, "each of its services has drifted");
    // Where something is to be done, what may keep evenkeel from it is told too.
    let plan =
        World::live(&example()).on(ON, |host| host.unit(GONG).active = "inactive".to_owned()).plan_when(ON, hardened);
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn a_drop_in_that_sets_nothing_is_no_drift() {
    let plan = planned(|observation| {
        overridden(observation);
        observation.drop_ins.insert(OVERRIDE.to_owned(), Vec::new());
    });
    assert_eq!((steps(&plan), findings(&plan)), (String::new(), String::new()));
    assert!(plan.instances[&instance(ON)].is_as_declared());
}

#[test]
fn a_unit_file_in_the_place_of_evenkeels_is_told() {
    let plan = planned(|observation| {
        unit(observation, GONG).fragment = format!("/etc/systemd/system.control/{GONG}");
    });
    assert_eq!(steps(&plan), "");
    insta::assert_snapshot!(findings(&plan));
    let own = planned(|observation| unit(observation, GONG).fragment = format!("/etc/systemd/system/{GONG}"));
    assert_eq!(findings(&own), "");
}

#[test]
fn a_unit_that_systemd_runs_from_older_files_is_read_and_started_again() {
    let older = |observation: &mut Observation| unit(observation, GONG).needs_reload = true;
    insta::assert_snapshot!(steps(&planned(older)));
    // A drop-in that is gone from the disk is still in force: it is not told, but taken out of force.
    let gone = planned(|observation| {
        older(observation);
        unit(observation, GONG).drop_ins = vec![OVERRIDE.to_owned()];
    });
    assert_eq!((steps(&gone), findings(&gone)), (steps(&planned(older)), findings(&planned(older))));
}

#[test]
fn no_drop_in_of_somebody_else_comes_into_force_by_a_repair() {
    let plan = planned(|observation| {
        unit(observation, GONG).needs_reload = true;
        unit(observation, GONG).unread = vec![OVERRIDE.to_owned()];
        observation.drop_ins.insert(OVERRIDE.to_owned(), settings(&["User=root"]));
    });
    assert_eq!(steps(&plan), "");
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn drop_ins_are_ignored_where_that_is_declared() {
    let declared = example().append("environments/production.yaml", "drift_of: {units: ignore}");
    let plan = World::live(&declared).plan_when(ON, overridden);
    assert_eq!((steps(&plan), findings(&plan)), (String::new(), String::new()));
}

#[test]
fn reported_drift_is_not_called_as_declared_either() {
    let mut plan = World::live(&example()).on(ON, |host| host.unit(GONG).active = "inactive".to_owned()).plan();
    let policy =
        DriftPolicy { default: DriftRule::Repair, by_difference: [(Difference::Processes, DriftRule::Report)].into() };
    by_policy(&mut plan, &policy, &BackedOff::new());
    assert_eq!((steps(&plan), plan.drifted()), (String::new(), (1, 1)));
    assert!(!shown(&plan).contains("No changes"), "{}", shown(&plan));
}

#[test]
fn folders_are_mended_as_far_as_somebody_needs_them() {
    let folder = |mode, owner: &str| LiveFolder { mode, owner: owner.to_owned() };
    let closed = |host: &mut crate::host::Host| {
        host.folders = [
            ("/etc/evenkeel".to_owned(), folder(0o700, "root:root")),
            ("/var/lib/evenkeel".to_owned(), folder(0o700, "root:root")),
            ("/var/lib/evenkeel/sophia".to_owned(), folder(0o777, "root:root")),
            ("/var/lib/evenkeel/sophia/deployments".to_owned(), folder(0o755, "ubuntu:ubuntu")),
            ("/var/lib/evenkeel/sophia/listings".to_owned(), folder(0o700, "root:root")),
            ("/var/lib/evenkeel/sophia/releases".to_owned(), folder(0o755, "root:root")),
        ]
        .into();
    };
    let mut world = World::live(&example()).on(ON, closed);
    let plan = world.plan();
    insta::assert_snapshot!(steps(&plan));
    insta::assert_snapshot!(shown(&plan));
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
    assert_eq!(world.host(ON).folders["/var/lib/evenkeel"].mode, 0o711, "no further than services need it");
}

#[test]
fn what_tries_to_start_while_a_folder_is_closed_is_started_again_once_it_is_open() {
    let plan = World::live(&example())
        .on(ON, |host| {
            let closed = LiveFolder { mode: 0o700, owner: "root:root".to_owned() };
            host.folders = [("/var/lib/evenkeel".to_owned(), closed)].into();
            host.unit(GONG).active = "activating".to_owned();
        })
        .plan();
    insta::assert_snapshot!(steps(&plan));
}
