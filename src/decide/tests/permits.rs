//! What bars a deployment, and what comes after a plan.

use super::*;

/// What an environment is like, what a person says, and what comes of it: the same for the loop, where nobody says
/// anything, as for a command line.
#[test]
fn what_bars_a_deployment_bars_it_for_the_loop_and_for_a_command_line_alike() {
    use super::super::sync::{Meant, Permit, permit};
    use crate::model::environment_state::NotPermitted;
    let none = Meant::default();
    let rewind = Meant { rewind: true, ..Meant::default() };
    let hold = Hold { instance: None, owner: "ann".into(), reason: "tests".into(), since: String::new() };
    let held = EnvironmentState { holds: vec![hold], ..good("a") };
    let failed = Quarantined { commits: commits("b"), generation: 2, why: "h1: not healthy".into() };
    let quarantined = EnvironmentState { quarantine: vec![failed], ..good("a") };
    let pin = Pin { commits: commits("a"), instead_of: commits("b"), owner: "ann".into() };
    let pinned = EnvironmentState { pin: Some(pin.clone()), ..good("a") };
    let of = |state: EnvironmentState| Target { history: history(state), ..target("b") };
    let rewinds = |target: Target| Target { rewinds: true, ..target };
    let doubted =
        Target { history: HistorySnapshot { doubted: true, ..history(EnvironmentState::default()) }, ..target("b") };
    let unchecked = Target { checks: Some(checks("b", &["tests"])), ..of(good("a")) };
    let barred = |why| Permit::Refused(NotPermitted::Barred(why));
    let repair = |why| Goal::Repair { good: commits("a"), instead_of: commits("b"), why };
    let observe = |why| Goal::Observe { commits: commits("b"), why };
    let cases = [
        ("nothing is live", of(EnvironmentState::default()), none, Permit::Deploy, deploy("b")),
        ("something older is live", of(good("a")), none, Permit::Deploy, deploy("b")),
        ("a hold", of(held.clone()), none, barred(Barred::Held), observe(Barred::Held)),
        ("a hold, whatever is meant", of(held), rewind, barred(Barred::Held), observe(Barred::Held)),
        ("a failure before", of(quarantined), none, barred(Barred::Quarantined), repair(Barred::Quarantined)),
        ("a force-push", rewinds(of(good("a"))), none, barred(Barred::Rewind), repair(Barred::Rewind)),
        ("a force-push that is meant", rewinds(of(good("a"))), rewind, Permit::Deploy, repair(Barred::Rewind)),
        (
            "what is live is not known",
            doubted.clone(),
            none,
            Permit::Refused(NotPermitted::Doubted),
            observe(Barred::Rewind),
        ),
        ("the same, and it is meant", doubted, rewind, Permit::Deploy, observe(Barred::Rewind)),
        (
            "checks",
            unchecked,
            none,
            Permit::Refused(NotPermitted::Checks(vec!["tests".into()])),
            repair(Barred::Checks),
        ),
        ("a rollback", of(pinned.clone()), none, Permit::Pinned(Box::new(pin)), deploy("a")),
        ("a rollback that is meant to end", of(pinned), rewind, Permit::Deploy, deploy("a")),
    ];
    for (name, target, meant, permitted, goal) in cases {
        assert_eq!(permit(&target, meant), permitted, "{name}, from a command line");
        let (_, effects) = Loop::of(target);
        assert_eq!(effects, [pass(goal)], "{name}, in the loop");
    }
}

#[test]
fn a_plan_is_refused_before_it_is_built_and_built_before_it_is_carried_out() {
    use super::super::sync::{Facts, Next, next};
    let quiet =
        Facts { is_refused: false, has_changes: false, needs_builds: false, is_settled: true, leaves_instances: false };
    let changed = Facts { has_changes: true, ..quiet };
    assert_eq!(next(Facts { is_refused: true, needs_builds: true, ..changed }), Next::Refuse);
    assert_eq!(next(Facts { needs_builds: true, ..changed }), Next::Build);
    assert_eq!(next(changed), Next::CarryOut);
    assert_eq!(next(quiet), Next::Nothing);
    assert_eq!(next(Facts { is_settled: false, ..quiet }), Next::Complete);
    assert_eq!(next(Facts { is_settled: false, leaves_instances: true, ..quiet }), Next::Nothing);
}
