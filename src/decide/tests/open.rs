//! Deployments that are under way.

use super::*;

#[test]
fn an_open_deployment_of_ones_own_is_ended_before_anything_else() {
    let open = Open {
        generation: 7,
        commits: commits("b"),
        started: "then".to_owned(),
        ours: true,
        counts: true,
        limit: 60_000,
    };
    let mine = HistorySnapshot { open: Some(open), ..history(good("a")) };
    let (_, effects) = Loop::of(Target { history: mine, ..target("b") });
    assert_eq!(effects, [pass(Goal::Recover { generation: 7, target: commits("b"), take_over: false })]);
}

#[test]
fn an_open_deployment_whose_commits_do_not_count_is_not_waited_for_as_long_as_it_says() {
    let (commits, started) = (Commits::default(), "then".to_owned());
    let open = Open { generation: 7, commits, started, ours: false, counts: false, limit: u64::MAX };
    let forged = HistorySnapshot { open: Some(open), ..history(good("a")) };
    let (mut l, effects) = Loop::of(Target { history: forged.clone(), ..target("b") });
    assert_eq!(effects, [pass(observe("b", Barred::StoodBack))], "a person may be trying a branch");
    let looked = SyncResult { history: Some(forged), ..result(End::Done, good("a")) };
    l.at(10, ended(observe("b", Barred::StoodBack), looked));
    let recover = Goal::Recover { generation: 7, target: self::commits("b"), take_over: true };
    assert!(l.at(120_000, Event::Tick).contains(&pass(recover)));
}

#[test]
fn an_open_deployment_of_another_is_left_to_it_until_it_must_be_dead() {
    let open = Open {
        generation: 7,
        commits: commits("b"),
        started: "then".to_owned(),
        ours: false,
        counts: true,
        limit: 60_000,
    };
    let theirs = || HistorySnapshot { open: Some(open.clone()), ..history(good("a")) };
    let (mut l, effects) = Loop::of(Target { history: theirs(), ..target("b") });
    assert_eq!(effects, [pass(observe("b", Barred::StoodBack))]);
    let looked = SyncResult { history: Some(theirs()), ..result(End::Done, good("a")) };
    l.at(10, ended(observe("b", Barred::StoodBack), looked.clone()));
    assert_eq!(l.due(30_010), [pass(observe("b", Barred::StoodBack))]);
    l.at(30_010, ended(observe("b", Barred::StoodBack), looked));
    let recover = Goal::Recover { generation: 7, target: commits("b"), take_over: true };
    assert_eq!(l.due(59_999), []);
    assert_eq!(l.due(60_000), [pass(recover.clone())]);

    let (mut l, _) = Loop::of(Target { history: theirs(), ..target("b") });
    let looked = SyncResult { history: Some(theirs()), ..result(End::Done, good("a")) };
    l.at(10, ended(observe("b", Barred::StoodBack), looked));
    let effects = l.at(11_000, Event::RetryRequested { environment: production(), take_over: false });
    assert!(effects.contains(&pass(observe("b", Barred::StoodBack))), "{effects:?}");
    let looked = SyncResult { history: Some(theirs()), ..result(End::Done, good("a")) };
    l.at(11_010, ended(observe("b", Barred::StoodBack), looked));
    let effects = l.at(12_000, Event::RetryRequested { environment: production(), take_over: true });
    assert!(effects.contains(&pass(recover)), "a person says that it is dead: {effects:?}");
}

#[test]
fn a_deployment_that_is_open_is_ended_first_and_anothers_only_when_that_is_meant() {
    use super::super::sync::{Meant, Permit, permit};
    let open = |ours| {
        let open = Open { generation: 2, commits: commits("b"), started: String::new(), ours, counts: true, limit: 1 };
        Target { history: HistorySnapshot { open: Some(open), ..history(good("a")) }, ..target("b") }
    };
    let take_over = Meant { take_over: true, ..Meant::default() };
    assert_eq!(permit(&open(true), Meant::default()), Permit::Recover);
    assert_eq!(permit(&open(false), Meant::default()), Permit::UnderWay);
    assert_eq!(permit(&open(false), take_over), Permit::Recover);
}
