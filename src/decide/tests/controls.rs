//! Holds, pins, required checks, and a doubt that a person ends.

use super::*;

#[test]
fn a_commit_waits_for_the_checks_that_are_required_and_drift_is_repaired_meanwhile() {
    let waits =
        |missing: &[&str]| Target { checks: Some(checks("b", missing)), history: history(good("a")), ..target("b") };
    let (mut l, effects) = Loop::of(waits(&["ci/test"]));
    assert_eq!(effects, [pass(repair("a", "b", Barred::Checks))]);
    l.at(10, ended(repair("a", "b", Barred::Checks), result(End::Done, good("a"))));
    assert_eq!(l.at(20, fetched(waits(&["ci/test"]))), []);
    assert_eq!(l.at(30, fetched(waits(&[]))), [pass(deploy("b"))]);
}

#[test]
fn under_a_hold_and_when_told_so_it_only_looks() {
    let (owner, reason, since) = ("ann".to_owned(), "a look".to_owned(), "2026-11-21T13:14:05Z".to_owned());
    let hold = Hold { instance: None, owner, reason, since };
    let held = history(EnvironmentState { holds: vec![hold], ..good("a") });
    let (mut l, effects) = Loop::of(Target { history: held, ..target("b") });
    assert_eq!(effects, [pass(observe("b", Barred::Held))]);
    let effects = l.at(10, ended(observe("b", Barred::Held), result(End::Done, good("a"))));
    assert_eq!(effects, [pass(deploy("b"))], "as soon as it is resumed");

    let mut state = State::default();
    let policy = Policy { observe_only: true, ..POLICY };
    decide(&mut state, policy, Event::Tick, 0, 0.5);
    let effects = decide(&mut state, policy, fetched(target("a")), 0, 0.5);
    assert_eq!(effects, [pass(observe("a", Barred::ObserveOnly))]);
}

#[test]
fn a_pin_holds_until_the_branch_moves_on() {
    let pin = Pin { commits: commits("a"), instead_of: commits("b"), owner: "ann".to_owned() };
    let pinned = || history(EnvironmentState { pin: Some(pin.clone()), ..good("b") });
    let (mut l, effects) = Loop::of(Target { history: pinned(), rewinds: true, ..target("b") });
    assert_eq!(effects, [pass(deploy("a"))]);
    l.at(10, ended(deploy("a"), result(End::Done, pinned().state)));
    assert_eq!(l.at(20, fetched(Target { history: pinned(), ..target("c") })), [pass(deploy("c"))]);
}

#[test]
fn a_pin_holds_while_the_config_repository_says_the_same() {
    let pin = Pin { commits: with_source("a", "1"), instead_of: commits("b"), owner: "me".to_owned() };
    let environment_state = EnvironmentState { pin: Some(pin), ..EnvironmentState::default() };
    assert_eq!(environment_state.target(&with_source("b", "7")), &with_source("a", "1"));
    assert_eq!(environment_state.target(&with_source("c", "7")), &with_source("c", "7"));
}

#[test]
fn a_pin_waits_for_required_checks_like_any_deployment() {
    let pin = Pin { commits: commits("a"), instead_of: commits("c"), owner: "ann".to_owned() };
    let pinned = |checks| Target {
        history: history(EnvironmentState { pin: Some(pin.clone()), ..good("b") }),
        rewinds: true,
        checks: Some(checks),
        ..target("c")
    };
    let barred = pass(repair("b", "a", Barred::Checks));
    assert_eq!(Loop::of(pinned(checks("a", &["ci/test"]))).1, std::slice::from_ref(&barred));
    assert_eq!(Loop::of(pinned(checks("c", &[]))).1, [barred], "nothing was asked about the pinned commit yet");
    assert_eq!(Loop::of(pinned(checks("a", &[]))).1, [pass(deploy("a"))]);
}

#[test]
fn leave_to_go_back_is_no_leave_to_deploy_what_is_not_checked() {
    let meant = EnvironmentState { rewind_to: Some(commits("b")), ..good("a") };
    let rewound = |missing: &[&str]| Target {
        history: history(meant.clone()),
        rewinds: true,
        checks: Some(checks("b", missing)),
        ..target("b")
    };
    assert_eq!(Loop::of(rewound(&["ci/test"])).1, [pass(repair("a", "b", Barred::Checks))]);
    assert_eq!(Loop::of(rewound(&[])).1, [pass(deploy("b"))]);
}

#[test]
fn while_it_is_in_doubt_what_is_live_it_only_looks_until_a_person_says_more() {
    let doubted = |environment_state| Target {
        history: HistorySnapshot { doubted: true, ..history(environment_state) },
        rewinds: true,
        ..target("b")
    };
    let (mut l, effects) = Loop::of(doubted(EnvironmentState::default()));
    assert_eq!(effects, [pass(observe("b", Barred::Rewind))]);
    let none = SyncResult {
        history: Some(HistorySnapshot { doubted: true, ..HistorySnapshot::default() }),
        ..result(End::Done, good("a"))
    };
    l.at(10, ended(observe("b", Barred::Rewind), none));
    assert_eq!(Loop::of(doubted(good("b"))).1, [pass(observe("b", Barred::Rewind))], "nor is a partial one undone");
    let meant = EnvironmentState { rewind_to: Some(commits("b")), ..EnvironmentState::default() };
    assert_eq!(l.at(20, fetched(doubted(meant))), [pass(deploy("b"))]);
}
