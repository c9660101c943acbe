//! Whatever a host looks like: foreign things stay, and one round is enough.

use std::{collections::BTreeSet, sync::LazyLock};

use evenkeel::model::{
    desired::Desired,
    digest::Digest,
    finding::Code,
    manifest::StartedWith,
    plan::{Action, InstanceState, Plan},
    seen::Seen,
};
use proptest::{prelude::*, sample::Index};

use crate::{
    declared::{desired, example, instance},
    host::{Host, Lies, Nginx, file, running},
    text::{findings, steps},
    world::World,
};

const INSTANCES: [&str; 5] = ["ai-core", "business-tools", "control", "data-pipeline", "development"];

static LIVE: LazyLock<World> = LazyLock::new(|| World::live(&example()));

/// One thing that happened to a host that was as declared.
#[derive(Debug, Clone)]
enum Distortion {
    RemoveFile(Index),
    EditFile(Index),
    Rights(Index),
    ReplaceByLink(Index),
    Stop(Index, &'static str),
    Disable(Index),
    RunElsewhere(Index),
    ForgetFile(Index),
    LoseManifestOfUnit(Index),
    Leftover(u8),
    Replaced(Index),
    LoseRelease(Index),
    Nginx(bool),
    Unknown(Index),
    Foreign(Index),
}

fn distortion(may_block: bool) -> impl Strategy<Value = Distortion> {
    let harmless = prop_oneof![
        any::<Index>().prop_map(Distortion::RemoveFile),
        any::<Index>().prop_map(Distortion::EditFile),
        any::<Index>().prop_map(Distortion::Rights),
        any::<Index>().prop_map(Distortion::ReplaceByLink),
        (any::<Index>(), prop_oneof![Just("failed"), Just("inactive"), Just("activating")])
            .prop_map(|(index, active)| Distortion::Stop(index, active)),
        any::<Index>().prop_map(Distortion::Disable),
        any::<Index>().prop_map(Distortion::RunElsewhere),
        any::<Index>().prop_map(Distortion::LoseManifestOfUnit),
        (0..3_u8).prop_map(Distortion::Leftover),
        any::<Index>().prop_map(Distortion::Replaced),
        any::<Index>().prop_map(Distortion::LoseRelease),
        any::<bool>().prop_map(Distortion::Nginx),
    ];
    let blocking = prop_oneof![
        any::<Index>().prop_map(Distortion::ForgetFile),
        any::<Index>().prop_map(Distortion::Unknown),
        any::<Index>().prop_map(Distortion::Foreign),
    ];
    prop_oneof![3 => harmless, u32::from(may_block) => blocking]
}

fn distort(host: &mut Host, desired: &Desired, distortion: &Distortion) {
    let files: Vec<&String> = desired.files.keys().collect();
    let units: Vec<&String> = desired.replicas.keys().collect();
    let mut manifest = host.owned();
    match distortion {
        Distortion::RemoveFile(index) => _ = host.files.remove(*index.get(&files)),
        Distortion::EditFile(index) => _ = host.files.insert((*index.get(&files)).clone(), file("edited\n", 0o644)),
        Distortion::Rights(index) => {
            if let Some(Lies::File { mode, .. }) = host.files.get_mut(*index.get(&files)) {
                *mode = 0o777;
            }
        }
        Distortion::ReplaceByLink(index) => {
            host.files.insert((*index.get(&files)).clone(), Lies::Link("/dev/null".to_owned()));
        }
        Distortion::Stop(index, active) => host.unit(index.get::<&String>(&units)).active = (*active).to_owned(),
        Distortion::Disable(index) => host.unit(index.get::<&String>(&units)).enabled = false,
        Distortion::RunElsewhere(index) => {
            let older = format!("/var/lib/evenkeel/sophia/releases/{}", Digest::of("older"));
            host.unit(index.get::<&String>(&units)).directory = Some(older);
        }
        Distortion::ForgetFile(index) => _ = manifest.files.remove(*index.get(&files)),
        Distortion::LoseManifestOfUnit(index) => _ = manifest.units.remove(*index.get(&units)),
        Distortion::Leftover(number) => {
            // A service that an earlier commit declared.
            let unit = format!("sophia-old{number}@84{number}7.service");
            let path = format!("/etc/systemd/system/{unit}");
            host.files.insert(path.clone(), file("[Service]\n", 0o644));
            host.units.insert(unit.clone(), running(8407));
            manifest.files.insert(path, Digest::of("[Service]\n"));
            // Also where no other unit is left in it: what runs is always named there.
            manifest.units.insert(unit, StartedWith { inputs: None, env_file: None });
        }
        Distortion::Replaced(index) => {
            let replaces: Vec<&String> = desired.replicas.values().flat_map(|replica| &replica.replaces).collect();
            if !replaces.is_empty() {
                host.units.insert((*index.get(&replaces)).clone(), running(0));
            }
        }
        Distortion::LoseRelease(index) => {
            let releases: Vec<&Digest> = desired.releases.iter().collect();
            host.releases.remove(*index.get(&releases));
        }
        Distortion::Nginx(running) => {
            if let Some(nginx) = &mut host.nginx {
                *nginx = Nginx { running: *running, serving: Some(Digest::of("older")), ..Nginx::default() };
            }
        }
        Distortion::Foreign(index) => {
            host.files.insert((*index.get(&files)).clone(), Lies::Directory);
        }
        Distortion::Unknown(_) => {}
    }
    host.manifest = Some(manifest.write());
}

/// Paths and units that a plan may touch on an instance.
fn may_touch(world: &World, name: &str) -> BTreeSet<String> {
    let desired = desired(&world.prepared, name);
    let owned = world.hosts[&instance(name)].owned();
    let mut may: BTreeSet<String> = desired.files.keys().chain(desired.links.keys()).cloned().collect();
    may.extend(desired.replicas.keys().cloned());
    may.extend(desired.replicas.values().flat_map(|replica| replica.replaces.clone()));
    may.extend(owned.files.into_keys().chain(owned.links.into_keys()).chain(owned.units.into_keys()));
    may.extend(desired.replaces.values().flatten().cloned());
    may.extend(desired.replaces_default.then(|| "/etc/nginx/sites-enabled/default".to_owned()));
    may
}

fn touches(action: &Action) -> Option<String> {
    match action {
        Action::InstallPackages { .. }
        | Action::StageRelease { .. }
        | Action::BuildVenv { .. }
        | Action::ReloadNginx { .. }
        | Action::ReleaseNginx => None,
        other => Some(other.subject()),
    }
}

fn distorted(name: &str, distortions: &[Distortion]) -> World {
    let mut world = LIVE.clone();
    let desired = desired(&world.prepared, name).clone();
    for distortion in distortions {
        distort(world.host(name), &desired, distortion);
    }
    world
}

fn plan_with_unknowns(world: &World, name: &str, distortions: &[Distortion]) -> Plan {
    world.plan_when(name, |observation| {
        for distortion in distortions {
            if let Distortion::Unknown(index) = distortion {
                let paths: Vec<String> = observation.files.keys().cloned().collect();
                observation.files.insert(index.get(&paths).clone(), Seen::Unknown("cut".to_owned()));
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_is_declared_owned_or_replaced_is_touched(
        name in prop::sample::select(&INSTANCES[..]),
        distortions in prop::collection::vec(distortion(true), 0..6),
    ) {
        let world = distorted(name, &distortions);
        let plan = plan_with_unknowns(&world, name, &distortions);
        let may = may_touch(&world, name);
        let owned = world.hosts[&instance(name)].owned();
        for step in &plan.steps {
            prop_assert!(plan.instances.contains_key(&step.instance));
            prop_assert_eq!(step.instance.as_str(), name, "the others are as declared");
            prop_assert!(touches(&step.action).is_none_or(|subject| may.contains(&subject)), "{}", step.id);
            if let Action::WriteFile { path, before, .. } = &step.action {
                let foreign = *before != evenkeel::model::plan::Before::Absent && !owned.owns(path);
                prop_assert!(!foreign, "{} is not ours", path);
            }
        }
        let unknown = distortions.iter().any(|distortion| matches!(distortion, Distortion::Unknown(_)));
        if unknown {
            prop_assert!(matches!(plan.instances[&instance(name)].state, InstanceState::Unknown(_)));
            prop_assert_eq!(plan.steps.len(), 0);
        }
        let ids: BTreeSet<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
        prop_assert_eq!(ids.len(), plan.steps.len());
        let changes = plan.steps.is_empty() == (plan.summary().changed_instances == 0) || plan.is_refused();
        prop_assert!(changes, "{:?}", plan.summary());
    }

    #[test]
    fn one_round_is_enough(
        name in prop::sample::select(&INSTANCES[..]),
        distortions in prop::collection::vec(distortion(false), 0..6),
    ) {
        let mut world = distorted(name, &distortions);
        let plan = world.plan();
        // A crash loop is told, and no step mends it.
        prop_assert!(plan.findings.iter().all(|finding| finding.code == Code::Drift), "{}", findings(&plan));
        world.apply(&plan);
        prop_assert_eq!(steps(&world.plan()), "", "after\n{}", steps(&plan));
    }
}
