//! When the loop fetches and syncs.

use super::*;

#[test]
fn it_fetches_first_and_passes_over_what_was_fetched() {
    let mut l = Loop::default();
    assert_eq!(l.at(0, Event::Tick), [Effect::Fetch]);
    assert_eq!(l.at(5, Event::Tick), [], "one fetch at a time");
    assert_eq!(l.at(10, fetched(target("a"))), [pass(deploy("a"))]);
    assert_eq!(l.next_due(), 10_010, "the next poll");
}

#[test]
fn a_commit_that_comes_during_a_pass_waits_for_its_end() {
    let (mut l, _) = Loop::of(target("a"));
    for (at, id) in [(20, "b"), (40, "c"), (60, "d")] {
        assert_eq!(l.at(at, Event::Triggered), [Effect::Fetch]);
        assert_eq!(l.at(at + 10, fetched(target(id))), [], "a running pass is never superseded");
    }
    let done = result(End::Done, good("a"));
    assert_eq!(l.at(80, ended(deploy("a"), done)), [pass(deploy("d"))], "the newest, not each");
}

#[test]
fn drift_is_looked_for_after_the_interval() {
    let (mut l, _) = Loop::of(target("a"));
    l.at(0, ended(deploy("a"), result(End::Done, good("a"))));
    assert_eq!(l.due(29_999), []);
    assert_eq!(l.due(30_000), [pass(deploy("a"))]);
}

#[test]
fn a_poke_while_fetching_fetches_once_more() {
    let mut l = Loop::default();
    l.at(0, Event::Tick);
    l.at(5, Event::Triggered);
    let effects = l.at(10, fetched(target("a")));
    assert!(effects.contains(&Effect::Fetch), "{effects:?}");
}

#[test]
fn a_repository_that_cannot_be_reached_is_asked_less_and_less_often() {
    let mut l = Loop::default();
    l.at(0, Event::Tick);
    l.at(0, Event::FetchFailed);
    assert_eq!(l.next_due(), 2_000);
    l.at(2_000, Event::Tick);
    l.at(2_000, Event::FetchFailed);
    assert_eq!(l.next_due(), 6_000);
}

#[test]
fn when_another_was_faster_it_looks_again_soon() {
    let (mut l, _) = Loop::of(target("a"));
    l.at(10, ended(deploy("a"), result(End::Overtaken, good("a"))));
    assert_eq!(l.next_due(), 1_010);
}
