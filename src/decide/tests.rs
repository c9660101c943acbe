//! Events in, effects out.

use super::*;
use crate::model::environment_state::{Barred, Good, Hold, Pin, Quarantined};

const POLICY: Policy = Policy { poll_every: 10_000, observe_only: false };

fn production() -> EnvironmentName {
    "production".parse().unwrap()
}

fn h1() -> InstanceName {
    "h1".parse().unwrap()
}

fn commits(id: &str) -> Commits {
    Commits::of_config(Some(id.to_owned()), Some(id.to_owned()))
}

fn target(id: &str) -> Target {
    Target {
        commits: commits(id),
        observe_every: 30_000,
        history: HistorySnapshot::default(),
        rewinds: false,
        checks: None,
        hours: None,
    }
}

fn good(id: &str) -> EnvironmentState {
    EnvironmentState {
        good: Some(Good { commits: commits(id), generation: 1, desired: None, builds: Default::default() }),
        ..EnvironmentState::default()
    }
}

fn checks(id: &str, missing: &[&str]) -> Checks {
    Checks { of: commits(id), missing: missing.iter().map(|name| (*name).to_owned()).collect() }
}

fn history(state: EnvironmentState) -> HistorySnapshot {
    HistorySnapshot { state, open: None, led_elsewhere: false, doubted: false }
}

fn fetched(target: Target) -> Event {
    Event::Fetched([(production(), target)].into())
}

fn result(end: End, state: EnvironmentState) -> SyncResult {
    let history = Some(history(state));
    SyncResult { end, history, unreached: BTreeMap::new(), differs: false, repaired: BTreeSet::new() }
}

fn ended(goal: Goal, result: SyncResult) -> Event {
    Event::Ended { environment: production(), goal, result: Box::new(result) }
}

fn deploy(id: &str) -> Goal {
    Goal::Deploy(commits(id))
}

fn repair(good: &str, instead_of: &str, why: Barred) -> Goal {
    Goal::Repair { good: commits(good), instead_of: commits(instead_of), why }
}

fn observe(id: &str, why: Barred) -> Goal {
    Goal::Observe { commits: commits(id), why }
}

fn pass(goal: Goal) -> Effect {
    Effect::Pass { environment: production(), goal, unreachable: BTreeMap::new(), backed_off: BTreeMap::new() }
}

#[derive(Default)]
struct Loop(State);

impl Loop {
    /// One that has fetched this at the time 0.
    fn of(target: Target) -> (Self, Vec<Effect>) {
        let mut new = Self::default();
        new.at(0, Event::Tick);
        let effects = new.at(0, fetched(target));
        (new, effects)
    }

    fn at(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        decide(&mut self.0, POLICY, event, now, 0.5)
    }

    /// What is due by then, without what has to do with fetching.
    fn due(&mut self, now: Millis) -> Vec<Effect> {
        let effects = self.at(now, Event::Tick);
        effects.into_iter().filter(|effect| *effect != Effect::Fetch).collect()
    }

    fn next_due(&self) -> Millis {
        next_due(&self.0, POLICY)
    }
}

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
fn an_instance_that_does_not_answer_is_asked_on_its_own_and_holds_nobody_up() {
    let (mut l, _) = Loop::of(target("a"));
    let away = BTreeMap::from([(h1(), "no answer".to_owned())]);
    let without = |unreached| SyncResult { unreached, ..result(End::Done, good("a")) };
    l.at(0, ended(deploy("a"), without(away)));
    let ask = Effect::Ask { environment: production(), instance: h1() };
    assert_eq!(l.due(2_000), std::slice::from_ref(&ask));
    let silent = || Event::Asked { environment: production(), instance: h1(), answered: Err("still not".to_owned()) };
    l.at(7_000, silent());
    assert_eq!(l.due(10_999), []);
    assert_eq!(l.due(11_000), [ask], "each time later");
    l.at(11_010, silent());
    let unreachable = BTreeMap::from([(h1(), "still not".to_owned())]);
    let left_out =
        Effect::Pass { environment: production(), goal: deploy("a"), unreachable, backed_off: BTreeMap::new() };
    assert!(l.due(30_000).contains(&left_out), "a pass does not wait for it");
    let back = Event::Asked { environment: production(), instance: h1(), answered: Ok(()) };
    assert_eq!(l.at(30_100, back), [], "a pass runs");
    let effects = l.at(30_200, ended(deploy("a"), without(BTreeMap::new())));
    assert_eq!(effects, [pass(deploy("a"))], "it is looked at as soon as it answers");
}

#[test]
fn a_repair_that_does_not_hold_is_not_made_again_and_again() {
    let (mut l, _) = Loop::of(Target { history: history(good("a")), ..target("a") });
    let what = (h1(), Resource::Service("gong_mcp".parse().unwrap()));
    let repaired = || SyncResult { repaired: [what.clone()].into(), ..result(End::Done, good("a")) };
    let mut now = 0;
    for _ in 0..3 {
        l.at(now, ended(deploy("a"), repaired()));
        now += 30_000;
        let effects = l.due(now);
        assert_eq!(effects.len(), 1, "{effects:?}");
    }
    l.at(now, ended(deploy("a"), result(End::Done, good("a"))));
    let backed_off = Effect::Pass {
        environment: production(),
        goal: deploy("a"),
        unreachable: BTreeMap::new(),
        backed_off: [(what.clone(), 3)].into(),
    };
    assert_eq!(l.due(now + 30_000), [backed_off]);
    l.at(now + 30_000, ended(deploy("a"), result(End::Done, good("a"))));
    assert_eq!(l.due(now + 600_000), [pass(deploy("a"))], "after a while it is");
}

#[test]
fn when_another_was_faster_it_looks_again_soon() {
    let (mut l, _) = Loop::of(target("a"));
    l.at(10, ended(deploy("a"), result(End::Overtaken, good("a"))));
    assert_eq!(l.next_due(), 1_010);
}

#[test]
fn an_environment_that_is_declared_no_more_is_left_alone() {
    let (mut l, _) = Loop::of(target("a"));
    l.at(5, ended(deploy("a"), result(End::Done, good("a"))));
    l.at(10, Event::Fetched(BTreeMap::new()));
    assert_eq!(l.due(1_000_000), []);
}

#[test]
fn drift_is_left_to_the_controller_that_deployed_last_unless_it_neglects_it() {
    let elsewhere = || HistorySnapshot { led_elsewhere: true, ..history(good("a")) };
    let (mut l, effects) = Loop::of(Target { history: elsewhere(), ..target("a") });
    assert_eq!(effects, [pass(observe("a", Barred::StandsBy))]);
    let differs = || SyncResult { history: Some(elsewhere()), differs: true, ..result(End::Done, good("a")) };
    l.at(0, ended(observe("a", Barred::StandsBy), differs()));
    for now in [30_000, 60_000, 90_000] {
        assert_eq!(l.due(now), [pass(observe("a", Barred::StandsBy))]);
        l.at(now, ended(observe("a", Barred::StandsBy), differs()));
    }
    assert_eq!(l.due(120_000), [pass(deploy("a"))], "it is neglected");

    let newer = Target { history: elsewhere(), ..target("b") };
    let (_, effects) = Loop::of(newer);
    assert_eq!(effects, [pass(deploy("b"))], "a new commit is anybody's");
}

/// The config repository's commit, and where a branch of another one is.
fn with_source(id: &str, source: &str) -> Commits {
    let sources = [("https://example.org/a.git main".to_owned(), source.to_owned())].into();
    Commits { sources, ..commits(id) }
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

/// What an environment is like, what a person says, and what comes of it: the same for the loop, where nobody says
/// anything, as for a command line.
#[test]
fn what_bars_a_deployment_bars_it_for_the_loop_and_for_a_command_line_alike() {
    use super::sync::{Meant, Permit, permit};
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
fn a_deployment_that_is_open_is_ended_first_and_anothers_only_when_that_is_meant() {
    use super::sync::{Meant, Permit, permit};
    let open = |ours| {
        let open = Open { generation: 2, commits: commits("b"), started: String::new(), ours, counts: true, limit: 1 };
        Target { history: HistorySnapshot { open: Some(open), ..history(good("a")) }, ..target("b") }
    };
    let take_over = Meant { take_over: true, ..Meant::default() };
    assert_eq!(permit(&open(true), Meant::default()), Permit::Recover);
    assert_eq!(permit(&open(false), Meant::default()), Permit::UnderWay);
    assert_eq!(permit(&open(false), take_over), Permit::Recover);
}

#[test]
fn a_plan_is_refused_before_it_is_built_and_built_before_it_is_carried_out() {
    use super::sync::{Facts, Next, next};
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
