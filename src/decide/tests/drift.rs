//! Repairs of drift, and instances that do not answer.

use super::*;

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
    let left_out = Effect::Pass {
        environment: production(),
        goal: deploy("a"),
        unreachable,
        backed_off: BTreeMap::new(),
        ailing: Box::default(),
    };
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
        ailing: Box::default(),
    };
    assert_eq!(l.due(now + 30_000), [backed_off]);
    l.at(now + 30_000, ended(deploy("a"), result(End::Done, good("a"))));
    assert_eq!(l.due(now + 600_000), [pass(deploy("a"))], "after a while it is");
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

/// Hosts may be as the quarantined commits declare, where those could not be undone: that is drift from the good ones.
#[test]
fn who_stands_by_watches_what_it_would_repair() {
    let mut state = good("a");
    let why = "undone nowhere".to_owned();
    state.quarantine.push(Quarantined { commits: commits("b"), generation: 2, why });
    let elsewhere = || HistorySnapshot { led_elsewhere: true, ..history(state.clone()) };
    let (mut l, effects) = Loop::of(Target { history: elsewhere(), ..target("b") });
    let watched = || observe("a", Barred::Quarantined);
    assert_eq!(effects, [pass(watched())]);
    let differs = || SyncResult { history: Some(elsewhere()), differs: true, ..result(End::Done, state.clone()) };
    for now in [0, 30_000, 60_000, 90_000] {
        l.due(now);
        l.at(now, ended(watched(), differs()));
    }
    assert_eq!(l.due(120_000), [pass(repair("a", "b", Barred::Quarantined))], "it is neglected");
}
