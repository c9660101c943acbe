//! Events in, effects out.

use super::*;

const POLICY: Policy = Policy { poll_every: 10_000 };

fn production() -> EnvironmentName {
    "production".parse().unwrap()
}

fn commits(id: &str) -> Commits {
    Commits { default: Some(id.to_owned()), environment: Some(id.to_owned()) }
}

fn fetched(id: &str) -> Event {
    Event::Fetched([(production(), Wanted { commits: commits(id), observe_every: 30_000 })].into())
}

fn ended(id: &str, end: End) -> Event {
    Event::Ended { environment: production(), commits: commits(id), end }
}

fn pass(id: &str) -> Effect {
    Effect::Pass { environment: production(), commits: commits(id) }
}

struct Loop(State);

impl Loop {
    fn at(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        decide(&mut self.0, POLICY, event, now, 0.5)
    }
}

#[test]
fn it_fetches_first_and_passes_over_what_was_fetched() {
    let mut l = Loop(State::default());
    assert_eq!(l.at(0, Event::Tick), [Effect::Fetch]);
    assert_eq!(l.at(5, Event::Tick), [], "one fetch at a time");
    assert_eq!(l.at(10, fetched("a")), [pass("a")]);
    assert_eq!(next_due(&l.0), 10_010, "the next poll");
}

#[test]
fn a_commit_that_comes_during_a_pass_waits_for_its_end() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    l.at(10, fetched("a"));
    assert_eq!(l.at(20, Event::Poked), [Effect::Fetch]);
    assert_eq!(l.at(30, fetched("b")), [], "a running pass is never superseded");
    assert_eq!(l.at(40, Event::Poked), [Effect::Fetch]);
    assert_eq!(l.at(50, fetched("c")), []);
    assert_eq!(l.at(60, ended("a", End::AsDeclared)), [pass("c")], "the newest, not each");
}

#[test]
fn drift_is_looked_for_after_the_interval() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    l.at(0, fetched("a"));
    l.at(0, ended("a", End::AsDeclared));
    assert!(!l.at(29_999, Event::Tick).contains(&pass("a")));
    assert!(l.at(30_000, Event::Tick).contains(&pass("a")));
}

#[test]
fn failures_back_off_and_a_new_commit_does_not_wait() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    l.at(0, fetched("a"));
    l.at(0, ended("a", End::Failed));
    assert_eq!(l.at(1_999, Event::Tick), []);
    assert_eq!(l.at(2_000, Event::Tick), [pass("a")]);
    l.at(2_000, ended("a", End::Failed));
    assert_eq!(l.at(5_999, Event::Tick), [], "the second pause is longer");
    assert_eq!(l.at(6_000, Event::Tick), [pass("a")]);
    l.at(6_000, ended("a", End::Failed));
    l.at(6_000, Event::Poked);
    assert_eq!(l.at(6_001, fetched("b")), [pass("b")]);
}

#[test]
fn a_poke_during_a_fetch_fetches_again() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    assert_eq!(l.at(1, Event::Poked), []);
    assert_eq!(l.at(2, fetched("a")), [Effect::Fetch, pass("a")]);
}

#[test]
fn an_unreachable_repository_is_asked_ever_less_often() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    l.at(0, Event::FetchFailed);
    assert_eq!(next_due(&l.0), 2_000);
    l.at(2_000, Event::Tick);
    l.at(2_000, Event::FetchFailed);
    assert_eq!(next_due(&l.0), 6_000);
}

#[test]
fn pauses_are_spread_and_bounded() {
    assert_eq!(spread(1_000, 0.0), 900);
    assert_eq!(spread(1_000, 1.0), 1_100);
    assert_eq!(backoff(40), LONGEST_BACKOFF);
}

#[test]
fn an_environment_declared_no_more_is_left_alone() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    l.at(0, fetched("a"));
    l.at(0, ended("a", End::AsDeclared));
    l.at(1, Event::Poked);
    assert_eq!(l.at(2, Event::Fetched(BTreeMap::new())), []);
    assert_eq!(l.at(100_000, Event::Tick), [Effect::Fetch]);
}

#[test]
fn an_instance_that_is_off_does_not_keep_the_others_from_being_looked_at() {
    let mut l = Loop(State::default());
    l.at(0, Event::Tick);
    for pass_number in 0..20 {
        let now = pass_number * 30_000;
        l.at(now, fetched("a"));
        l.at(now, ended("a", End::Unreached));
        assert!(l.at(now + 30_000, Event::Tick).contains(&pass("a")), "after pass {pass_number}");
    }
}
