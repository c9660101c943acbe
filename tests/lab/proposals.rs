//! Pull requests that do not stay as they were: for another branch, not done yet, without their fork, closed, cancelled,
//! beside another one; and GitHub that takes no more.

use std::time::Instant;

use crate::{
    fleet::Fleet,
    proposing::{As, Story, greets},
    support::github::Trouble,
    world::{World, assert_is, wait_for},
};

/// Waits until both environments were deployed to, and GitHub was told.
#[track_caller]
fn both_are_live(story: &Story<'_>) {
    let commit = story.github.head_of("main");
    for environment in ["test", "trial"] {
        story.deployments_are(environment, &[(&commit, "success")]);
    }
}

/// Waits until the newest run of the check is called so.
#[track_caller]
fn the_plan_is_called(story: &Story<'_>, number: u64, title: &str) {
    let path = format!("commits/{}/check-runs?check_name=evenkeel/plan", story.github.head(number));
    wait_for(&format!("`{title}` at the check of #{number}"), || {
        let run = &story.github.sees(&path)["check_runs"][0];
        let is_so = run["conclusion"] == "success" && run["output"]["title"].as_str()?.starts_with(title);
        is_so.then_some(())
    });
}

#[track_caller]
fn is_silent_of(told: &str, words: &[&str]) {
    for word in words {
        assert!(!told.contains(word), "{word} has no business in {told}");
    }
}

pub fn a_pull_request_for_another_branch_is_planned_for_that_one(world: &World) {
    let story = Story::with_another(world, "rebased", "trial", "trial");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");
    both_are_live(&story);
    story.fleet.git(&["push", "--quiet", "origin", "main:aside"]);

    let number = story.proposes("greet", |fleet| greets(fleet, "two"));
    let told = story.is_told(number, &["2 instances change", "`test`", "`h1`", "GREETING=\"two\""]);
    is_silent_of(&told, &["trial", "h4"]);
    the_plan_is_called(&story, number, "2 instances change");

    github.rebases(number, "trial");
    let told = story.is_told(number, &["1 instance changes", "`trial`", "`h4`", "GREETING=\"two\""]);
    is_silent_of(&told, &["`test`", "`h1`", "`h2`"]);
    the_plan_is_called(&story, number, "1 instance changes");

    github.rebases(number, "aside");
    let told = story.is_told(number, &["Nothing that is deployed changes", "No environment follows `aside`"]);
    is_silent_of(&told, &["GREETING", "`h4`"]);
    the_plan_is_called(&story, number, "Nothing that is deployed changes");
    assert_is("how often it is told", github.comments_of_evenkeel(number).len(), 1);
}

pub fn a_draft_is_planned_and_nothing_is_said_again_when_it_is_ready(world: &World) {
    let story = Story::begins(world, "drafted");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");
    story.branch("greet", |_| story.declares("two"));
    let number = github.drafts("greet", "alice", "greet");
    let told = story.is_told(number, &["2 instances change", "GREETING=\"two\""]);
    story.checked(number, "success", "success");

    let runs = || github.sees(&format!("commits/{}/check-runs?filter=all", github.head(number)))["total_count"].clone();
    let (before, writes) = (runs(), github.writes().len());
    github.is_ready(number);
    github.renames(number, "Greet in another way");
    // What is told after it is told after it.
    let other = story.proposes("other", |fleet| fleet.service("beta", fleet.port(1), &["h3"], ""));
    story.checked(other, "success", "success");
    assert_is("what is said", github.comments_of_evenkeel(number), [told]);
    assert_is("how many check runs there are", runs(), before);
    assert_is("what was written besides: a comment and two checks of the other", github.writes().len() - writes, 3);
}

pub fn a_fork_that_is_gone_is_a_fork_still(world: &World) {
    let story = Story::begins(world, "forkless");
    let github = &story.github;
    let controller = story.follows(As::App, "1h");
    github.lets("alice", "write");
    story.branch("greet", |_| story.declares("two"));
    let number = github.opens("greet", "mallory", "greet", true);
    story.is_told(number, &["another repository", "/evenkeel plan"]);
    github.loses_fork(number);
    github.renames(number, "Greet in another way");
    github.comments(number, "alice", "/evenkeel plan");
    story.is_told(number, &["2 instances change", "GREETING=\"two\""]);
    story.checked(number, "success", "success");

    // Another process does not know that somebody asked.
    drop(controller);
    let controller = story.starts(As::App, "1h");
    story.is_told(number, &["another repository", "/evenkeel plan"]);
    story.checked(number, "action_required", "action_required");
    assert_is("how often it is told", github.comments_of_evenkeel(number).len(), 1);
    assert!(!controller.log().contains("panic"), "something panicked");
    let refused = github.deliveries().into_iter().filter(|sent| !matches!(sent.status, Some(200..=299)));
    assert_is("how many deliveries were refused", refused.count(), 0);
}

pub fn a_deployment_is_cancelled_from_its_pull_request(world: &World) {
    let story = Story::begins(world, "recalled");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    github.lets("alice", "maintain");
    let number = story.proposes("sick", |fleet| {
        // It would be waited for a long time.
        let health = "health: {http: /health, interval: 100ms, start_period: 60s}";
        fleet.service("alpha", fleet.port(0), &["h1", "h2"], &format!("env: {{GREETING: two, SICK: 'yes'}}\n{health}"));
    });
    story.is_told(number, &["2 instances change"]);
    let merged = github.merges(number);
    wait_for("the intent in the history", || story.fleet.told().contains(&"2 begun".to_owned()).then_some(()));
    story.is_heard("two");

    // That nothing can be said does not keep anything from being done.
    github.takes_no_writes(Trouble::Limited(403, 2));
    github.comments(number, "alice", "/evenkeel cancel not on a Friday");
    story.is_heard("one");
    github.is_back();
    story.is_answered(number, &["/evenkeel cancel", "stopped at the next safe step, and undone"]);
    story.is_answered(number, &["Rolled back in `test`", "Cancelled", "by alice on GitHub: not on a Friday"]);
    story.is_heard("one");
    story.fleet.ends(2, "rolled-back");
    story.check_is(&merged, "evenkeel/deploy", "failure");
    assert_is("its state", github.deployments("test").first().cloned(), Some((merged, "failure".to_owned())));
}

pub fn github_that_takes_no_more_is_waited_for_and_hosts_are_not(world: &World) {
    const PAUSE: u32 = 3;
    let story = Story::begins(world, "limited");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    for (trouble, greeting) in [(Trouble::Limited(403, PAUSE), "two"), (Trouble::UsedUp(429, PAUSE), "three")] {
        let merged = story.proposes(&format!("merged-{greeting}"), |_| story.declares(greeting));
        story.is_told(merged, &["2 instances change"]);
        story.checked(merged, "success", "success");
        let (began, vain) = (Instant::now(), github.writes_in_vain());
        github.takes_no_writes(trouble);
        let waiting = story.proposes(&format!("waiting-{greeting}"), |fleet| {
            fleet.service("beta", fleet.port(1), &["h3"], "");
        });
        wait_for("a write in vain", || (github.writes_in_vain() > vain).then_some(()));
        story.fleet.is_live(&github.merges(merged));
        story.is_heard(greeting);
        github.is_back();
        let limits = 1 + began.elapsed().as_secs() / u64::from(PAUSE);
        let vain = github.writes_in_vain() - vain;
        assert!(vain as u64 <= limits, "{vain} writes in vain in {limits} limits");
        story.is_told(waiting, &["1 service is new"]);
        story.is_answered(merged, &["Deployed to `test`"]);
        github.closes(waiting);
    }
}

pub fn what_is_closed_is_let_go_of(world: &World) {
    let story = Story::begins(world, "closed");
    let github = &story.github;
    let controller = story.follows(As::App, "1s");
    let kept = |number: u64| {
        let mirror = story.fleet.state().join("mirror.git");
        let mirror = mirror.to_str().expect("it is UTF-8").to_owned();
        let found = story.fleet.git(&["--git-dir", &mirror, "for-each-ref", &format!("refs/evenkeel-pulls/{number}")]);
        !found.is_empty()
    };
    // Its plan is made, and is being told; nothing else is, for writes take turns.
    story.check_is(&github.head_of("main"), "evenkeel/deploy", "success");
    github.takes_no_writes(Trouble::Hangs);
    let number = story.proposes("greet", |_| story.declares("two"));
    let path = format!("/repos/acme/config/issues/{number}/comments");
    wait_for("its plan being told", || {
        github.requests().iter().any(|asked| asked.method == "POST" && asked.path == path).then_some(())
    });
    assert!(kept(number), "what it proposes is not in the mirror");
    github.closes(number);
    wait_for("what it proposed being let go of", || (!kept(number)).then_some(()));
    github.is_back();
    let other = story.proposes("other", |_| story.declares("three"));
    story.checked(other, "success", "success");
    assert_is("what is told below it", github.comments_of_evenkeel(number), Vec::<String>::new());

    // What no delivery told is found as well.
    github.drops_deliveries(true);
    github.closes(other);
    wait_for("what it proposed being let go of", || (!kept(other)).then_some(()));
    github.drops_deliveries(false);
    github.lets("alice", "write");
    github.comments(other, "alice", "/evenkeel plan");
    story.is_answered(other, &["/evenkeel plan", "closed"]);

    let last = story.proposes("last", |_| story.declares("four"));
    story.checked(last, "success", "success");
    assert!(kept(last), "what it proposes is not in the mirror");
    drop(controller);
    github.closes(last);
    let _daemon = story.starts(As::App, "1s");
    wait_for("what it proposed being let go of", || (!kept(last)).then_some(()));
}

pub fn pull_requests_of_different_environments_tell_of_their_own(world: &World) {
    let story = Story::with_another(world, "apart", "trial", "main");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");
    both_are_live(&story);
    story.branch("of-test", |fleet| {
        fleet.service("gamma", fleet.port(2), &["h1"], "env: {GREETING: two}");
    });
    story.branch("of-trial", |fleet| fleet.service("beta", fleet.port(1), &["h4"], "env: {GREETING: two}"));
    let [test, trial] = ["of-test", "of-trial"].map(|branch| github.opens(branch, "alice", branch, false));

    let told = story.is_told(test, &["`test`", "`h1`", "service/gamma", "1 service is new"]);
    is_silent_of(&told, &["trial", "h4", "service/beta", "service/alpha"]);
    let told = story.is_told(trial, &["`trial`", "`h4`", "service/beta", "1 service restarts"]);
    is_silent_of(&told, &["`test`", "`h1`", "service/gamma", "service/alpha"]);
    for number in [test, trial] {
        the_plan_is_called(&story, number, "1 instance changes");
        assert_is("how often it is told", github.comments_of_evenkeel(number).len(), 1);
    }

    let merged = github.merges(trial);
    let told = story.is_answered(trial, &["Deployed to `trial`", &merged[..7]]);
    is_silent_of(&told, &["`test`"]);
    let deployed = |environment: &str| github.deployments(environment).first().cloned();
    assert_is("what is deployed to trial", deployed("trial"), Some((merged, "success".to_owned())));
}

/// What was told to wait and was refused when its turn came stays refused, whatever waits after it.
pub fn what_waited_and_is_refused_is_told_as_refused(world: &World) {
    let story = Story::of(Fleet::shared(world, "barred"));
    let (fleet, github) = (&story.fleet, &story.github);
    fleet.environment("require_checks: [ci/test]\n");
    story.declares("one");
    fleet.commit();
    let _daemon = story.starts(As::App, "1s");
    let good = github.head_of("main");
    github.reports(&good, "ci/test", "success");
    fleet.is_live(&good);
    let are = |states: &[(&str, &str)]| {
        let states: Vec<_> = states.iter().map(|(commit, state)| ((*commit).to_owned(), (*state).to_owned())).collect();
        wait_for(&format!("{states:?}"), || (github.deployments("test") == states).then_some(()));
    };

    let ghost = "run: {exec: /usr/bin/python3 server.py, user: nobody-of-this-name}";
    let bad = github.merges(story.proposes("ghost", |fleet| fleet.service("beta", fleet.port(1), &["h1"], ghost)));
    are(&[(&bad, "queued"), (&good, "success")]);
    github.reports(&bad, "ci/test", "success");
    are(&[(&bad, "error"), (&good, "success")]);
    story.check_is(&bad, "evenkeel/deploy", "failure");

    let next = github.merges(story.proposes("mended", |fleet| fleet.remove("services/beta.yaml")));
    are(&[(&next, "queued"), (&bad, "error"), (&good, "success")]);
    story.check_is(&bad, "evenkeel/deploy", "failure");
}
