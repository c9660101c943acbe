//! Stories that chance tells too rarely, each told step by step.

use std::time::Duration;

use evenkeel::model::outcome::{Deployment, Outcome};
use tokio::time::Instant;

use crate::{
    fleet::{Declared, Sick, instance},
    judge::deployment,
    story::Story,
    tale::lock,
};

/// So long a step may take, in virtual time.
const LONGEST: Duration = Duration::from_secs(2 * 3600);

fn told(story: impl AsyncFnOnce(&mut Story)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut told = Story::new(1, std::env::var_os("EVENKEEL_SEED").is_some());
        story(&mut told).await;
        assert!(told.tale.wrongs().is_empty(), "{:#?}", told.tale.wrongs());
    });
}

/// Somebody pushes a commit that every service is changed by, and that is well.
fn commits(story: &mut Story) -> String {
    pushes(story, |_| {})
}

/// As [`commits`], with a change of its own.
fn pushes(story: &mut Story, change: impl FnOnce(&mut Declared)) -> String {
    let mut remote = lock(&story.remote);
    let mut next = Declared { rollback_on_failure: true, ..remote.declared().clone() };
    for service in next.services.values_mut() {
        (service.version, service.sick) = (service.version + 1, Sick::No);
    }
    change(&mut next);
    let head = remote.head.clone();
    remote.push(next, Some(head))
}

/// Time goes by until the newest record is as it should be.
async fn until(story: &mut Story, what: &str, is_so: impl Fn(&Deployment) -> bool) -> Deployment {
    let began = Instant::now();
    loop {
        let newest = deployment(&lock(&story.remote).tip_files());
        if let Some(newest) = newest.as_ref().filter(|newest| is_so(newest)) {
            return newest.clone();
        }
        assert!(began.elapsed() < LONGEST, "never came: {what}; the newest is {newest:#?}");
        story.pause(Duration::from_millis(200)).await;
    }
}

async fn is_applied(story: &mut Story, commit: &str, by: &str) {
    let so = |newest: &Deployment| {
        let of = newest.commits.environment.as_deref() == Some(commit);
        of && newest.outcome == Some(Outcome::Applied) && newest.controller_id == by
    };
    until(story, &format!("{commit:.8} applied by {by}"), so).await;
}

#[test]
fn what_another_controller_ended_first_does_not_keep_the_one_that_began_it_from_going_on() {
    told(async |story: &mut Story| {
        let first = commits(story);
        story.controllers.start(0);
        is_applied(story, &first, "a0").await;

        let second = commits(story);
        story.controllers.poke();
        let open = until(story, "an intent", |newest| newest.outcome.is_none()).await;
        lock(&story.remote).cut_off.insert("a0".to_owned());
        // Its hosts it reaches all the same: there it ends.
        story.pause(Duration::from_secs(120)).await;
        story.controllers.start(1);
        story.pause(Duration::from_secs(60)).await;
        story.controllers.take_over(1);
        is_applied(story, &second, "b0").await;

        story.controllers.crash(1);
        lock(&story.remote).cut_off.clear();
        story.pause(Duration::from_secs(60)).await;
        let third = commits(story);
        is_applied(story, &third, "a0").await;
        assert_eq!(open.controller_id, "a0");
        assert_eq!(story.tale.counted("take-overs"), 1);
    });
}

#[test]
fn a_mark_that_is_refused_holds_up_no_deployment() {
    told(async |story: &mut Story| {
        lock(&story.remote).unmarkable = true;
        story.controllers.start(0);
        for _ in 0..2 {
            let commit = commits(story);
            is_applied(story, &commit, "a0").await;
        }
        // The mark comes after the record.
        let began = Instant::now();
        while story.tale.counted("marks that are refused") < 2 {
            assert!(began.elapsed() < LONGEST, "a deployment was not marked");
            story.pause(Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn what_was_begun_on_an_instance_that_is_gone_since_is_not_said_to_be_undone() {
    told(async |story: &mut Story| {
        let last = lock(&story.remote).declared().instances - 1;
        let gone = instance(last);
        let everywhere = |declared: &mut Declared, on: &[usize]| {
            declared.site = None;
            declared.services.values_mut().for_each(|service| service.on = on.iter().copied().collect());
        };
        let first = pushes(story, |declared| everywhere(declared, &[0, last]));
        story.controllers.start(0);
        is_applied(story, &first, "a0").await;

        let second = pushes(story, |_| {});
        story.controllers.poke();
        let began = Instant::now();
        while story.machines[&gone].state().open.is_none() {
            assert!(began.elapsed() < LONGEST, "nothing is begun on {gone}");
            story.pause(Duration::from_millis(10)).await;
        }
        story.controllers.crash(0);
        pushes(story, |declared| {
            everywhere(declared, &[0]);
            declared.instances = last;
        });
        // Somebody has pushed by force: what the intent names is nowhere any more.
        lock(&story.remote).lose(&second);
        story.controllers.start(0);
        let ended = until(story, "the end", |newest| newest.generation == 2 && newest.outcome.is_some()).await;
        assert_eq!(ended.outcome, Some(Outcome::RollbackFailed));
        let [not_undone] = ended.not_undone.as_slice() else { panic!("{:#?}", ended.not_undone) };
        assert_eq!(not_undone.instance().map(|name| name.as_str()), Some(&*gone));
        for words in ["declared no more", "sudo sh /var/lib/evenkeel/sim/deployments/2/undo.sh"] {
            assert!(not_undone.message.contains(words), "{}", not_undone.message);
        }
    });
}

/// Its intent does not name it, so whoever undid the deployment after another cut would not know of it.
#[test]
fn an_instance_that_comes_back_while_a_deployment_is_completed_is_left_to_the_next_one() {
    told(async |story: &mut Story| {
        let last = lock(&story.remote).declared().instances - 1;
        let (stays, away) = (instance(0), instance(last));
        let first = pushes(story, |declared| {
            declared.site = None;
            declared.services.values_mut().for_each(|service| service.on = [0, last].into());
        });
        story.controllers.start(0);
        is_applied(story, &first, "a0").await;

        story.machines[&away].lose_power(None);
        let second = commits(story);
        story.controllers.poke();
        let began = Instant::now();
        while story.machines[&stays].state().open.is_none() {
            assert!(began.elapsed() < LONGEST, "nothing is begun on {stays}");
            story.pause(Duration::from_millis(10)).await;
        }
        story.controllers.crash(0);
        story.machines[&away].power_on();
        story.pause(Duration::from_secs(30)).await;
        story.controllers.start(0);
        let of_second = |newest: &Deployment| newest.generation == 2 && newest.outcome.is_some();
        let ended = until(story, "the end", of_second).await;
        assert!(story.machines[&away].state().directory("2").is_none(), "{away} was changed by it: {ended:#?}");
        // It is not forgotten either.
        is_applied(story, &second, "a0").await;
    });
}
