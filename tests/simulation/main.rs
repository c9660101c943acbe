//! The deterministic simulation: random stories of commits, faults, crashes and people, told to the real
//! engine over simulated hosts and a simulated repository, in virtual time.
//!
//! `EVENKEEL_SEED=N` tells one story aloud; `EVENKEEL_STORIES=N` tells so many.

mod controllers;
mod deployments;
#[path = "../support/dice.rs"]
mod dice;
mod ending;
mod fleet;
mod host;
mod judge;
mod left_out;
mod machine;
mod memory;
mod probe;
mod reads;
mod remote;
mod restore;
mod script;
mod stages;
mod story;
mod systemd;
mod tale;
mod transient;
mod truth;

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use tale::{Tally, lock};

/// As many as fit beside the other tests. Ten thousand take some ten minutes: `EVENKEEL_STORIES=10000`.
const STORIES: u64 = 1_000;
const THREADS: usize = 2;
/// Too rare for a thousand stories, and due in ten thousand.
const RARE: [&str; 1] = ["refused generations"];
const MANY: u64 = 10_000;
/// What must have happened in some story, or they prove little.
const HAPPENS: [&str; 29] = [
    "applied",
    "changes of what is not ours",
    "controllers that the remote is away for",
    "crashes of controllers",
    "cuts",
    "drifts by hand",
    "failed calls to the remote",
    "failed repairs",
    "failing operations",
    "fences",
    "forced pushes",
    "garbled probes",
    "killed scripts",
    "lost connections",
    "lost races to write the history",
    "marks that are refused",
    "orderly ends of controllers",
    "partial",
    "power losses in a phase or an undo",
    "pushes whose answer was lost",
    "quarantines",
    "recoveries",
    "reloads that nginx did not make",
    "repairs",
    "rollback failed",
    "shifts of traffic",
    "stopped",
    "virtual environments made",
    "virtual environments removed by hand",
];

#[test]
fn whatever_happens_the_fleet_comes_to_rest_and_its_history_is_true() {
    if let Some(seed) = number("EVENKEEL_SEED") {
        let told = story::tell(seed, true);
        println!("{:#?}", told.tally);
        assert!(told.wrongs.is_empty(), "{}", told.wrongs.join("\n"));
        return;
    }
    let stories = number("EVENKEEL_STORIES").unwrap_or(STORIES);
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::new());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= stories {
                        return;
                    }
                    let told = std::panic::catch_unwind(|| story::tell(seed, false));
                    let wrongs = match told {
                        Ok(told) => {
                            let mut tally = lock(&tally);
                            told.tally.iter().for_each(|(what, count)| *tally.entry(what).or_default() += count);
                            told.wrongs
                        }
                        Err(_) => vec!["it panics".to_owned()],
                    };
                    if !wrongs.is_empty() {
                        lock(&failed).push((seed, wrongs));
                    }
                }
            });
        }
    });
    println!("{stories} stories: {:#?}", lock(&tally));
    let mut failed = lock(&failed);
    failed.sort();
    let shown = failed.iter().take(10).map(|(seed, wrongs)| {
        let first: Vec<_> = wrongs.iter().take(3).cloned().collect();
        format!("EVENKEEL_SEED={seed} cargo test --test simulation\n    {}\n", first.join("\n    "))
    });
    let shown: String = shown.collect();
    assert!(failed.is_empty(), "{} stories failed:\n{shown}", failed.len());
    // A few stories need not hold everything.
    let due = HAPPENS.iter().filter(|_| stories >= STORIES).chain(RARE.iter().filter(|_| stories >= MANY));
    let missing: Vec<_> = due.filter(|what| !lock(&tally).contains_key(*what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}

/// Alone in a process: memory is the process's.
#[test]
fn a_sync_that_changes_nothing_reads_the_historys_head_twice() {
    let (reads, syncs) = reads::of_a_quiet_hour();
    assert!(syncs > 50, "{syncs} syncs in an hour");
    assert!(reads <= 2 * syncs, "{reads} reads in {syncs} syncs");
}

#[test]
fn ten_thousand_passes_do_not_make_it_grow() {
    let this = std::env::current_exe().expect("this test");
    let only = ["--ignored", "--exact", "--nocapture", "what_the_loop_holds_on_to"];
    let ended = std::process::Command::new(this).args(only).status().expect("it starts");
    assert!(ended.success(), "see above");
}

#[test]
#[ignore = "run by the other in a process of its own"]
fn what_the_loop_holds_on_to() {
    let growth = memory::growth();
    assert!(growth < 10 * 1024, "it grew by {growth} KiB");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
