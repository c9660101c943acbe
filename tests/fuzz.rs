//! The corpora of the fuzz targets, each input and some near it, given to what the targets call. A failure names the
//! input; the soak goes on for a minute with each target.

#[path = "support/dice.rs"]
#[expect(dead_code, reason = "shared with the simulation, which uses more of it")]
mod dice;
#[path = "support/mutate.rs"]
mod mutate;

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use dice::Dice;
use evenkeel::engine::fuzz::{TARGETS, feed};

/// Gives an input, and says which one it was that did harm.
fn gives(target: &str, name: &str, input: &[u8]) {
    let given = catch_unwind(AssertUnwindSafe(|| feed(target, input)));
    assert!(given.is_ok(), "{target}, {name}: {}", input.escape_ascii());
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let declared: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(mutate::corpora().into_keys().collect::<BTreeSet<_>>(), declared);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("it is there");
    for target in declared {
        let program = fs::read_to_string(root.join(format!("fuzz_targets/{target}.rs"))).expect("its program");
        assert!(program.contains(&format!("feed(\"{target}\", input)")), "{target}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}

#[test]
fn no_input_of_the_corpora_does_harm() {
    for (target, inputs) in mutate::corpora() {
        inputs.iter().for_each(|(name, input)| gives(&target, name, input));
    }
}

#[test]
fn no_input_near_the_corpora_does_harm() {
    for (target, inputs) in mutate::corpora() {
        let (inputs, mut dice) = (inputs.values().collect::<Vec<_>>(), Dice::new(1));
        for round in 0..60 {
            gives(&target, &format!("mutation {round}"), &mutate::mutated(&mut dice, &inputs));
        }
    }
}
