//! Drift that is not repaired: it is told in each look, whatever else is repaired beside it.

use std::collections::BTreeMap;

use evenkeel::{
    model::{
        desired::Resource,
        digest::Digest,
        drift::{Difference, DriftPolicy, DriftRule},
        plan::Plan,
    },
    plan::drift::{BackedOff, by_policy},
};

use crate::{
    declared::{example, instance},
    host::{Host, file},
    text::{findings, steps},
    world::World,
};

const GONG: &str = "sophia-gong_mcp@8100.service";
const GONG_UNIT: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service";
const SECRETS: &str = "/etc/sophia/gong.env";
/// Of another service on the same instance: it is written again, and nothing is restarted for it.
const BESIDE: &str = "/etc/evenkeel/sophia/asana_mcp@8103.env";

/// Drift of gong's on its instance, and drift beside it that is repaired.
fn drifted(of_gong: impl FnOnce(&mut Host)) -> World {
    let declared = example().append("services/gong_mcp.yaml", &format!("env_file: {SECRETS}"));
    World::live(&declared).on("business-tools", |host| {
        of_gong(host);
        host.files.remove(BESIDE).expect("it is there");
    })
}

/// What is told of what stays, now and once everything else is repaired.
fn told_twice(mut world: World, by_policy: impl Fn(&mut Plan)) -> [String; 2] {
    let mut plan = world.plan();
    by_policy(&mut plan);
    assert_eq!(
        steps(&plan),
        format!("1 business-tools create {BESIDE} (drift: it was removed on the instance)\n"),
        "nothing else is repaired"
    );
    world.apply(&plan);
    let mut next = world.plan();
    by_policy(&mut next);
    assert_eq!(steps(&next), "");
    [findings(&plan), findings(&next)]
}

fn report(difference: Difference) -> impl Fn(&mut Plan) {
    let by_difference = BTreeMap::from([(difference, DriftRule::Report)]);
    let policy = DriftPolicy { default: DriftRule::Repair, by_difference };
    move |plan| by_policy(plan, &policy, &BackedOff::new())
}

#[test]
fn a_restart_that_is_only_reported_is_reported_after_a_repair_beside_it() {
    let rotated = drifted(|host| host.edit(SECRETS, "SECRET=2\n"));
    let [first, then] = told_twice(rotated, report(Difference::Processes));
    insta::assert_snapshot!(first, @r"
    business-tools drift: service/gong_mcp has drifted (sophia-gong_mcp@8100.service): drift is reported here, not repaired
      hint: -
    ");
    assert_eq!(then, first);
}

#[test]
fn what_a_failed_deployment_left_is_reported_after_a_repair_beside_it() {
    let unknown = drifted(|host| {
        let mut manifest = host.owned();
        manifest.units.get_mut(GONG).expect("it is there").inputs = None;
        host.manifest = Some(manifest.write());
    });
    let [first, then] = told_twice(unknown, report(Difference::Processes));
    assert_eq!((first.matches("has drifted").count(), then), (1, first));
}

#[test]
fn what_does_not_hold_is_told_after_a_repair_beside_it() {
    let rotated = drifted(|host| host.edit(SECRETS, "SECRET=2\n"));
    let gong = Resource::Service("gong_mcp".parse().expect("a name"));
    let spared = BackedOff::from([((instance("business-tools"), gong), "it does not hold".to_owned())]);
    let [first, then] = told_twice(rotated, |plan| by_policy(plan, &DriftPolicy::default(), &spared));
    assert_eq!((first.matches("has drifted").count(), then), (1, first));
}

#[test]
fn a_leftover_that_is_only_reported_is_not_forgotten() {
    let leftover = drifted(|host| {
        let path = GONG_UNIT.replace("gong_mcp", "older");
        host.files.insert(path.clone(), file("[Service]\n", 0o644));
        let mut manifest = host.owned();
        manifest.files.insert(path, Digest::of("[Service]\n"));
        host.manifest = Some(manifest.write());
    });
    let [first, then] = told_twice(leftover, |plan| {
        let older = Resource::Service("older".parse().expect("a name"));
        let spared = BackedOff::from([((instance("business-tools"), older), "it does not hold".to_owned())]);
        by_policy(plan, &DriftPolicy::default(), &spared);
    });
    assert_eq!((first.matches("has drifted").count(), then), (1, first));
}

#[test]
fn nginx_is_not_reloaded_again_and_again_for_files_that_stay() {
    let world = World::live(&example()).declare(&example().remove("sites/app.yaml"));
    let by_difference = BTreeMap::from([(Difference::Files, DriftRule::Ignore)]);
    let policy = DriftPolicy { default: DriftRule::Repair, by_difference };
    let mut plan = world.plan();
    assert!(steps(&plan).contains("reload nginx.service"));
    by_policy(&mut plan, &policy, &BackedOff::new());
    assert!(!steps(&plan).contains("nginx"), "{}", steps(&plan));
}
