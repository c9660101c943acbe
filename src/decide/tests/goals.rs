//! What a sync is for: the newest commits, the last good ones, or nothing but a look.

use super::*;

#[test]
fn a_quarantined_commit_is_not_tried_and_drift_is_repaired_against_the_last_good_one() {
    let (mut l, _) = Loop::of(Target { history: history(good("a")), ..target("b") });
    let why = "it never became healthy".to_owned();
    let quarantine = vec![Quarantined { commits: commits("b"), generation: 2, why }];
    let environment_state = EnvironmentState { quarantine, ..good("a") };
    let effects = l.at(10, ended(deploy("b"), result(End::Failed, environment_state.clone())));
    assert_eq!(effects, [pass(repair("a", "b", Barred::Quarantined))]);
    l.at(20, ended(repair("a", "b", Barred::Quarantined), result(End::Done, environment_state.clone())));
    assert_eq!(l.due(1_000_000), [pass(repair("a", "b", Barred::Quarantined))], "also after a long time");
    l.at(1_000_010, ended(repair("a", "b", Barred::Quarantined), result(End::Done, environment_state.clone())));

    let next = Target { history: history(environment_state), ..target("c") };
    assert!(l.at(1_000_020, fetched(next)).contains(&pass(deploy("c"))), "a new commit is a new chance");
}

#[test]
fn what_is_deployed_in_part_goes_back_only_when_it_has_failed() {
    let partial = Some(Good { commits: commits("b"), generation: 2, desired: None, builds: Default::default() });
    let environment_state = EnvironmentState { partial, ..good("a") };
    let (mut l, _) = Loop::of(Target { history: history(environment_state.clone()), ..target("c") });
    let effects = l.at(10, ended(deploy("c"), result(End::Failed, environment_state.clone())));
    assert_eq!(effects, [pass(repair("b", "c", Barred::Later))]);

    let failed = Quarantined { commits: commits("b"), generation: 3, why: "it never became healthy".to_owned() };
    let environment_state = EnvironmentState { quarantine: vec![failed], ..environment_state };
    let effects = l.at(20, ended(repair("b", "c", Barred::Later), result(End::Failed, environment_state)));
    assert_eq!(effects, [pass(repair("a", "c", Barred::Later))]);
}

#[test]
fn what_failed_through_no_fault_of_the_commit_is_tried_again_later_and_drift_repaired_meanwhile() {
    let (mut l, _) = Loop::of(Target { history: history(good("a")), ..target("b") });
    let effects = l.at(0, ended(deploy("b"), result(End::Failed, good("a"))));
    assert_eq!(effects, [pass(repair("a", "b", Barred::Later))]);
    assert_eq!(l.at(10, ended(repair("a", "b", Barred::Later), result(End::Done, good("a")))), []);
    assert_eq!(l.next_due(), 2_000);
    assert_eq!(l.due(2_000), [pass(deploy("b"))]);
    l.at(2_000, ended(deploy("b"), result(End::Failed, good("a"))));
    l.at(2_010, ended(repair("a", "b", Barred::Later), result(End::Done, good("a"))));
    assert_eq!(l.due(5_999), []);
    assert_eq!(l.due(6_000), [pass(deploy("b"))], "each time later");
}

#[test]
fn a_commit_that_leaves_out_the_deployed_one_waits_until_that_is_said_to_be_meant() {
    let rewound = |environment_state| Target { rewinds: true, history: history(environment_state), ..target("b") };
    let (mut l, effects) = Loop::of(rewound(good("a")));
    assert_eq!(effects, [pass(repair("a", "b", Barred::Rewind))]);
    l.at(10, ended(repair("a", "b", Barred::Rewind), result(End::Done, good("a"))));
    let meant = EnvironmentState { rewind_to: Some(commits("b")), ..good("a") };
    assert_eq!(l.at(20, fetched(rewound(meant))), [pass(deploy("b"))]);
    let effects = l.at(30, ended(deploy("b"), result(End::Done, good("b"))));
    assert_eq!(effects, [], "once it is deployed it leaves nothing out");
}

#[test]
fn an_environment_that_is_declared_no_more_is_left_alone() {
    let (mut l, _) = Loop::of(target("a"));
    l.at(5, ended(deploy("a"), result(End::Done, good("a"))));
    l.at(10, Event::Fetched(BTreeMap::new()));
    assert_eq!(l.due(1_000_000), []);
}

#[test]
fn a_branch_of_another_repository_that_moved_is_deployed_and_its_failure_is_its_own() {
    let mut state = State::default();
    let mut tell = |event, now| decide(&mut state, POLICY, event, now, 0.5);
    let at = |source| Target { commits: with_source("a", source), ..target("a") };
    let good = EnvironmentState {
        good: Some(Good { commits: with_source("a", "1"), generation: 1, desired: None, builds: Default::default() }),
        ..EnvironmentState::default()
    };
    tell(Event::Tick, 0);
    let first = Goal::Deploy(with_source("a", "1"));
    assert_eq!(tell(fetched(at("1")), 10), [pass(first.clone())]);
    assert_eq!(tell(ended(first, result(End::Done, good.clone())), 20), []);
    // It moved, and what it moved to fails.
    let second = Goal::Deploy(with_source("a", "2"));
    let moved = Target { history: history(good.clone()), ..at("2") };
    assert!(tell(fetched(moved), 30).contains(&pass(second.clone())));
    let quarantine = vec![Quarantined { commits: with_source("a", "2"), generation: 2, why: "h1".to_owned() }];
    let environment_state = EnvironmentState { quarantine, ..good };
    let goal =
        Goal::Repair { good: with_source("a", "1"), instead_of: with_source("a", "2"), why: Barred::Quarantined };
    let failed = ended(second, result(End::Failed, environment_state.clone()));
    assert!(tell(failed, 40).contains(&pass(goal.clone())));
    // It moved once more, which is a new chance.
    let again = Target { history: history(environment_state.clone()), ..at("3") };
    tell(ended(goal, result(End::Done, environment_state)), 50);
    assert!(tell(fetched(again), 60).contains(&pass(Goal::Deploy(with_source("a", "3")))));
}
