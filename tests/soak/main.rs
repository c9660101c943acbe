//! What takes too long for every day: a minute of made-up inputs for each fuzz target, a controller killed at two
//! hundred points, and what is stated of hosts on the other releases of Debian.
//!
//! Runs only when asked for, with `--soak` or EVENKEEL_SOAK=1; needs what the lab's tests need.
//! EVENKEEL_SEED draws the points of an earlier run again, EVENKEEL_POINTS another number of them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

#[path = "../lab/daemon.rs"]
#[expect(dead_code, reason = "shared with the lab's tests, which use more of it")]
mod daemon;
#[path = "../support/dice.rs"]
#[expect(dead_code, reason = "shared with the simulation, which uses more of it")]
mod dice;
#[path = "../support/events.rs"]
mod events;
#[path = "../lab/fleet.rs"]
#[expect(dead_code, reason = "shared with the lab's tests, which use more of it")]
mod fleet;
#[path = "../support/git.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod git;
#[path = "../lab/kills.rs"]
#[expect(dead_code, reason = "shared with the lab's tests, which use more of it")]
mod kills;
#[path = "../support/mutate.rs"]
mod mutate;
#[path = "../support/needs.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod needs;
#[path = "../lab/told.rs"]
#[expect(dead_code, reason = "shared with the lab's tests, which use more of it")]
mod told;
#[path = "../support/waiting.rs"]
mod waiting;
#[path = "../lab/world.rs"]
#[expect(dead_code, reason = "shared with the lab's tests, which use more of it")]
mod world;

const POINTS: u32 = 200;

/// The releases of Debian beside the one that labs run every day.
const SUITES: [&str; 2] = ["bullseye", "trixie"];

/// The lab's statements that are about what hosts are and say.
const OF_HOSTS: [&str; 9] =
    ["change::", "confined::", "days::", "drift::", "health::", "ours::", "processes::", "refuse::", "undo::"];

/// No input of a fuzz target takes as long, on a busy machine and without optimisation.
const LONGEST: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let asked = std::env::args().any(|argument| argument == "--soak") || std::env::var_os("EVENKEEL_SOAK").is_some();
    if !asked {
        println!("soak: not run; ask for it with --soak, or EVENKEEL_SOAK=1");
        return ExitCode::SUCCESS;
    }
    let seed = kills::seed().unwrap_or_else(|| u64::from(std::process::id()));
    for (target, inputs) in mutate::corpora() {
        match a_minute(&target, &inputs.values().collect::<Vec<_>>(), seed) {
            Ok(inputs) => println!("soak: a minute of {target}, seed {seed}: {inputs} inputs"),
            Err(why) => {
                eprintln!("soak: {target}, seed {seed}: {why}");
                return ExitCode::from(101);
            }
        }
    }
    match kills_at_points(seed).and_then(|()| SUITES.into_iter().try_for_each(holds_on)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("soak: {why}");
            ExitCode::from(101)
        }
    }
}

fn kills_at_points(seed: u64) -> Result<(), String> {
    let world = world::take_turns().and_then(|turn| Ok((turn, world::World::boot("soak")?)));
    let (_turn, world) = world.map_err(|why| format!("this needs a lab of real hosts: {why}"))?;
    let points = std::env::var("EVENKEEL_POINTS").ok().and_then(|points| points.parse().ok()).unwrap_or(POINTS);
    // The lab comes down whatever happens in between.
    let soaked = catch_unwind(AssertUnwindSafe(|| kills::at_points(&world, "soak", points, seed)));
    soaked.map_err(|_| format!("a controller that was killed, seed {seed}: see above"))
}

/// What is stated of hosts, in a process of its own: which release of Debian a lab runs is told by its environment.
fn holds_on(suite: &str) -> Result<(), String> {
    println!("soak: statements of hosts on {suite}");
    let mut statements = Command::new(env!("CARGO"));
    statements.args(["test", "--test", "lab", "--"]).args(OF_HOSTS).env("LAB_SUITE", suite);
    match statements.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("statements of hosts on {suite}: {status}")),
        Err(error) => Err(format!("cargo does not run: {error}")),
    }
}

/// How many inputs did no harm to a fuzz target within a minute, or which one did.
fn a_minute(target: &str, corpus: &[&Vec<u8>], seed: u64) -> Result<u64, String> {
    let mut dice = dice::Dice::new(seed);
    let (began, mut given) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(60) {
        let input = mutate::mutated(&mut dice, corpus);
        let since = Instant::now();
        let harm = match catch_unwind(|| evenkeel::engine::fuzz::feed(target, &input)) {
            Ok(()) if since.elapsed() < LONGEST => None,
            Ok(()) => Some(format!("{} s for", since.elapsed().as_secs())),
            Err(_) => Some("a panic at".to_owned()),
        };
        if let Some(harm) = harm {
            return Err(format!("{harm} {}", input.escape_ascii()));
        }
        given += 1;
    }
    Ok(given)
}
