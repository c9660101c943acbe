//! Sealed content, which nothing makes yet: a plan of it tells of it by its keyed digest alone.

use std::collections::BTreeMap;

use evenkeel::{
    engine::history::layout::outcome_files,
    host::differing,
    model::{
        content::{Content, Sealed},
        digest::Digest,
        environment_state::EnvironmentState,
        outcome::{Conclusion, Outcome},
        plan::{Action, Plan},
        seal::Key,
    },
};

use crate::{
    declared::{desired, example, instance},
    text::{shown, verbs},
    world::World,
};

const ON: &str = "business-tools";
const ENV: &str = "/etc/evenkeel/sophia/gong_mcp@8100.env";
const SECRET: &str = "tell-it-to-nobody";

/// The example, where gong's environment file is sealed and holds this.
fn sealed(secret: &str) -> World {
    let mut world = World::live(&example());
    let desired = world.prepared.desired.get_mut(&instance(ON)).expect("an instance");
    let content = Content::Sealed(Sealed::new(secret.as_bytes(), &Key::from_bytes([7; 32])));
    desired.files.get_mut(ENV).expect("a file").content = content;
    world
}

/// Whether a text tells the secret: as it is, as JSON has bytes, or by the digest that everybody can work out.
fn tells(text: &str) -> bool {
    let bytes = serde_json::to_string(SECRET.as_bytes()).expect("JSON");
    [SECRET, bytes.trim_matches(['[', ']']), &Digest::of(SECRET).to_string()].iter().any(|told| text.contains(told))
}

fn written(plan: &Plan) -> &Content {
    let content = plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteFile { path, content, .. } if path == ENV => Some(content),
        _ => None,
    });
    content.expect("it is written")
}

#[test]
fn nothing_that_a_plan_of_sealed_content_is_made_into_tells_it() {
    let world = sealed(SECRET);
    let plan = world.plan();
    assert!(verbs(&plan).contains(&format!("update {ENV}")));
    assert!(verbs(&plan).contains(&"restart sophia-gong_mcp@8100.service".to_owned()), "{:?}", verbs(&plan));
    assert!(written(&plan).is_sealed());
    let rendered = &world.prepared.desired;
    let told = [
        shown(&plan),
        evenkeel::report::plan::json(&plan),
        serde_json::to_string(&plan).expect("JSON"),
        serde_json::to_string(rendered).expect("JSON"),
        format!("{plan:?} {rendered:?}"),
    ];
    for text in told {
        assert!(text.contains(ENV) && !tells(&text), "{text}");
    }
    assert!(tells(&format!("{SECRET:?}")) && tells(&format!("{:?}", Digest::of(SECRET).to_string())));
}

#[test]
fn digests_tell_one_sealed_content_from_another() {
    let (one, other) = (sealed(SECRET), sealed("another"));
    assert_ne!(one.plan().digest(), other.plan().digest());
    let digest = |world: &World| evenkeel::model::desired::digest(&world.prepared.desired);
    assert_ne!(digest(&one), digest(&other));
    let inputs = |world: &World| world.plan().instances[&instance(ON)].manifest_after.units.clone();
    assert_ne!(inputs(&one), inputs(&other), "a service restarts when what it is told changes");
}

#[test]
fn the_history_keeps_public_files_alone() {
    let world = sealed(SECRET);
    let record = serde_json::json!({
        "version": 2, "environment": "production", "generation": 1, "kind": "change", "commits": {},
        "plan_digest": world.plan().digest(), "triggered_by": "a test", "controller": "h", "started": "now",
        "outcome": null, "duration_ms": null, "summary": world.plan().summary(), "changes": [], "failure": null,
        "unreached": {},
    });
    let applied = Conclusion::new(serde_json::from_value(record).expect("a record"), Outcome::Applied);
    let files = outcome_files(&BTreeMap::new(), &EnvironmentState::default(), &applied, Some(&world.prepared));
    let of = |path: &str| files.get(&format!("instances/{ON}/files{path}"));
    assert!(of("/etc/systemd/system/sophia-gong_mcp@8100.service").is_some(), "{:?}", files.keys());
    assert_eq!(of(ENV), None);
    assert!(files.values().all(|file| !tells(&String::from_utf8_lossy(file))));
}

/// A proposal may declare a file in the open where a sealed one lies.
#[test]
fn what_lies_where_somebody_seals_a_file_is_read_for_nobody() {
    let (base, mut proposed) = (sealed(SECRET), World::live(&example()));
    let file = proposed.prepared.desired.get_mut(&instance(ON)).and_then(|desired| desired.files.get_mut(ENV));
    file.expect("a file").content = Content::Public(b"GUESS=1\n".to_vec());
    let (base, proposed) = (desired(&base.prepared, ON), desired(&proposed.prepared, ON));
    let observed = World::live(&example()).observe();
    let seen = observed[&instance(ON)].as_ref().expect("reached");
    assert!(differing(seen, &[proposed]).contains(ENV));
    assert!(differing(seen, &[base, proposed]).is_empty());
    assert!(differing(seen, &[base]).is_empty());
}
