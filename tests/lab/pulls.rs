//! Pull requests as people live through them: opened, pushed to, in conflict, merged, and told of where they look.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    proposing::{As, Story, greets},
    support::github::Trouble,
    world::{World, assert_is, assert_same, wait_for},
};

pub fn a_pull_request_has_one_comment_which_is_kept_up_to_date(world: &World) {
    let story = Story::begins(world, "pulled");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");
    let before = world.traces();

    let number = story.proposes("greet", |_| story.declares("two"));
    story.is_told(number, &["2 instances change", "1 service restarts", "`h1`", "`h2`", "GREETING=\"two\""]);
    story.checked(number, "success", "success");

    story.amends("greet", |fleet| fleet.service("alpha", fleet.port(0), &["h1"], "env: {GREETING: three}"));
    github.pushes(number);
    story.is_told(number, &["GREETING=\"three\"", "1 service is removed"]);
    story.checked(number, "success", "success");
    assert_is("how often it is told", github.comments_of_evenkeel(number).len(), 1);

    let told = github.comment_of_evenkeel(number);
    github.asks_again("alice", number, "evenkeel/plan");
    wait_for("another look", || (github.comment_of_evenkeel(number) != told).then_some(()));
    assert_is("how often it is told", github.comments_of_evenkeel(number).len(), 1);

    let aside = story.proposes("aside", |fleet| fleet.write("../README.md", "How we run things, and why.\n"));
    story.checked(aside, "success", "success");
    assert_is("what is told of what changes nothing", github.comment_of_evenkeel(aside), None);

    github.closes(number);
    story.amends("greet", |_| story.declares("four"));
    github.pushes(number);
    github.reopens(number);
    story.is_told(number, &["GREETING=\"four\""]);
    assert_same(&before, &world.traces());
    let refused: Vec<_> =
        github.deliveries().into_iter().filter(|sent| !matches!(sent.status, Some(200..=299))).collect();
    assert!(refused.is_empty(), "deliveries were refused: {refused:?}");
    let failed: Vec<_> = github.requests().into_iter().filter(|request| request.status >= 400).collect();
    assert!(failed.is_empty(), "GitHub refused: {failed:#?}");
}

pub fn with_a_token_there_are_statuses_and_no_check_runs(world: &World) {
    let story = Story::begins(world, "tokens");
    let _daemon = story.follows(As::Token, "1h");
    let number = story.proposes("greet", |_| story.declares("two"));
    story.is_told(number, &["2 instances change"]);
    story.checked(number, "success", "success");
    let asked = story.github.requests();
    assert!(
        asked.iter().all(|request| request.method == "GET" || !request.path.ends_with("/check-runs")),
        "{asked:#?}"
    );

    // Another process finds the comment again.
    drop(_daemon);
    let _daemon = story.starts(As::Token, "1h");
    story.amends("greet", |_| story.declares("three"));
    story.github.pushes(number);
    story.is_told(number, &["GREETING=\"three\""]);
    assert_is("how often it is told", story.github.comments_of_evenkeel(number).len(), 1);

    // A status has no room for what is too long for a comment.
    story.amends("greet", |fleet| {
        let lines: Vec<String> = (0..40).map(|n| format!("LINE_{n}: '{}'", "x".repeat(280))).collect();
        for number in 1..8 {
            let (name, env) = (format!("long{number}"), format!("env: {{{}}}", lines.join(", ")));
            fleet.service(&name, fleet.port(number), &["h1", "h2"], &env);
        }
    });
    story.github.pushes(number);
    let file = format!("blob/evenkeel/plans/pull-{number}.md");
    let comment = story.is_told(number, &[&file, "7 services are new"]);
    let remote = story.fleet.remote();
    let whole = story.fleet.git(&["--git-dir", &remote, "show", &format!("evenkeel/plans:pull-{number}.md")]);
    assert!(comment.len() <= 65_536 && whole.len() > 65_536, "{} and {}", comment.len(), whole.len());
    assert!(whole.contains("LINE_1=") && !comment.contains("LINE_1="), "it is not cut by whole instances");
}

pub fn a_conflict_and_a_mistake_are_said_with_their_place(world: &World) {
    let story = Story::begins(world, "mistaken");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");

    let mistaken = story.proposes("mistaken", |fleet| fleet.write("services/beta.yaml", "port: many\n"));
    story.is_told(mistaken, &["fleet/services/beta.yaml:1"]);
    story.checked(mistaken, "failure", "failure");
    let head = github.head(mistaken);
    let places = github.annotations(&head, "evenkeel/validate");
    let is_there = |place: &serde_json::Value| place["path"] == "fleet/services/beta.yaml" && place["start_line"] == 1;
    assert!(places.iter().any(is_there), "no annotation at the mistake: {places:#?}");
    story.amends("mistaken", |fleet| fleet.service("beta", fleet.port(1), &["h3"], ""));
    github.pushes(mistaken);
    story.is_told(mistaken, &["1 service is new", "`h3`"]);
    story.checked(mistaken, "success", "success");

    story.branch("late", |_| story.declares("mine"));
    story.declares("theirs");
    story.fleet.commit();
    let late = github.opens("late", "alice", "late", false);
    story.is_told(late, &["1 file in conflict", "fleet/services/alpha.yaml"]);
    story.checked(late, "failure", "failure");
}

pub fn what_no_delivery_told_is_found_by_polling(world: &World) {
    let story = Story::begins(world, "dropped");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    github.drops_deliveries(true);
    let sent = github.deliveries().len();

    let number = story.proposes("greet", |_| story.declares("two"));
    story.is_told(number, &["GREETING=\"two\""]);
    story.amends("greet", |_| story.declares("three"));
    github.pushes(number);
    story.is_told(number, &["GREETING=\"three\""]);
    // What has not changed is asked for with its tag, which costs nothing.
    let unchanged = || github.requests().iter().filter(|request| request.status == 304).count();
    let before = unchanged();
    wait_for("two polls of nothing new", || (unchanged() >= before + 2).then_some(()));
    story.fleet.is_live(&github.merges(number));
    story.is_heard("three");
    assert_is("what was delivered", github.deliveries().len(), sent);
}

pub fn what_is_merged_goes_live_and_the_others_are_planned_on_top_of_it(world: &World) {
    let story = Story::begins(world, "landed");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    let first = story.proposes("first", |_| story.declares("two"));
    let other = story.proposes("other", |fleet| fleet.service("beta", fleet.port(1), &["h3"], ""));
    story.is_told(first, &["2 instances change"]);
    let told = story.is_told(other, &["1 service is new"]);
    let merged = github.merges(first);
    story.fleet.is_live(&merged);
    story.is_heard("two");
    let again = wait_for("its plan on top of what was merged", || {
        github.comment_of_evenkeel(other).filter(|comment| *comment != told && comment.contains(&merged[..7]))
    });
    assert!(again.contains("1 instance changes"), "what is live already is planned again: {again}");
    assert_is("how often it is told", github.comments_of_evenkeel(other).len(), 1);
}

pub fn while_github_is_away_what_is_merged_goes_live_and_is_told_later(world: &World) {
    let story = Story::begins(world, "clouded");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    for (trouble, greeting) in [(Trouble::Status(503), "two"), (Trouble::Hangs, "three")] {
        let merged = story.proposes(&format!("merged-{greeting}"), |_| story.declares(greeting));
        story.is_told(merged, &["2 instances change"]);
        github.is_in_trouble(trouble);
        let waiting = story.proposes(&format!("waiting-{greeting}"), |fleet| {
            fleet.service("beta", fleet.port(1), &["h3"], "");
        });
        story.fleet.is_live(&github.merges(merged));
        story.is_heard(greeting);
        github.is_back();
        story.is_told(waiting, &["1 service is new"]);
        github.closes(waiting);
    }
}

pub fn what_is_merged_is_told_where_people_look(world: &World) {
    let story = Story::begins(world, "reported");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    let first = github.head_of("main");
    story.deployments_are("test", &[(&first, "success")]);

    let number = story.proposes("greet", |_| story.declares("two"));
    story.is_told(number, &["2 instances change"]);
    let merged = github.merges(number);
    story.fleet.is_live(&merged);
    let told = story.is_answered(number, &["Deployed to `test`", "all 2 replicas healthy", &merged[..7]]);
    let record = story.fleet.git(&["--git-dir", &story.fleet.remote(), "rev-parse", "evenkeel/history/test"]);
    assert!(told.contains(&format!("/commit/{record}")), "the record {record} is not linked: {told}");
    story.check_is(&merged, "evenkeel/deploy", "success");
    let states = [(merged, "success".to_owned()), (first, "inactive".to_owned())];
    assert_is("what the page of deployments has", github.deployments("test"), states);
    assert_is("how often it is told", github.comments_of_evenkeel(number).len(), 2);
}

pub fn several_environments_of_one_branch_are_told_of_each(world: &World) {
    let story = Story::with_another(world, "several", "production", "main");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    let first = github.head_of("main");
    story.deployments_are("test", &[(&first, "success")]);
    story.deployments_are("production", &[(&first, "success")]);

    let number = story.proposes("greet", |fleet| greets(fleet, "two"));
    story.is_told(number, &["3 instances change in 2 environments"]);
    let merged = github.merges(number);
    story.is_answered(number, &["Deployed to `test`"]);
    story.is_answered(number, &["Deployed to `production`"]);
    story.deployments_are("test", &[(&merged, "success"), (&first, "inactive")]);
    // GitHub does not do that by itself in production.
    story.deployments_are("production", &[(&merged, "success"), (&first, "inactive")]);
    // One check tells of both.
    let path = format!("commits/{merged}/check-runs?check_name=evenkeel/deploy");
    wait_for("a check of both", || {
        let title = github.sees(&path)["check_runs"][0]["output"]["title"].as_str()?.to_owned();
        ["production: applied", "test: applied"].iter().all(|words| title.contains(words)).then_some(())
    });
}

pub fn what_fails_is_taken_back_and_a_pull_request_says_so(world: &World) {
    let story = Story::begins(world, "reverted");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    let number = story.proposes("sick", |fleet| {
        let health = "health: {http: /health, interval: 100ms, retries: 2, start_period: 3s}";
        fleet.service("alpha", fleet.port(0), &["h1", "h2"], &format!("env: {{GREETING: two, SICK: 'yes'}}\n{health}"));
    });
    story.is_told(number, &["2 instances change"]);
    let merged = github.merges(number);
    story.is_answered(number, &["Rolled back in `test`", "quarantined", "reverts it"]);
    story.is_heard("one");
    story.check_is(&merged, "evenkeel/deploy", "failure");
    assert_is(
        "the newest deployment",
        github.deployments("test").first().cloned(),
        Some((merged, "failure".to_owned())),
    );

    let reverts = github.opened_by_evenkeel();
    assert_is("how many reverts there are", reverts.len(), 1);
    let revert = reverts[0]["number"].as_u64().expect("it has a number");
    let body = reverts[0]["body"].as_str().unwrap_or_default();
    assert!(body.contains(&format!("/pull/{number}")), "what it reverts is not linked: {body}");
    assert!(body.contains("alpha"), "what failed is not named: {body}");
    story.checked(revert, "success", "success");
    github.merges(revert);
    wait_for("nothing being wrong any more", || {
        let status = story.fleet.status();
        (status["sync"] == "synced" && !status["notes"].to_string().contains("quarantined")).then_some(())
    });
    story.is_heard("one");
}

pub fn a_command_is_obeyed_for_whoever_has_the_right(world: &World) {
    let story = Story::begins(world, "asking");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");
    github.lets("alice", "maintain");
    github.lets("bob", "write");
    let number = story.proposes("greet", |_| story.declares("two"));
    story.is_told(number, &["2 instances change"]);

    let refused = github.comments(number, "bob", "/evenkeel hold the demo");
    story.is_answered(number, &["bob", "`write`", "`maintain` or a higher one"]);
    assert_is("how it is met", github.reactions(refused), ["eyes"]);
    assert_is("what is held", story.fleet.status()["hold"].is_null(), true);

    let held = github.comments(number, "alice", "/evenkeel hold the demo");
    story.is_answered(number, &["/evenkeel hold", "nothing is changed until it is resumed"]);
    assert_is("how it is met", github.reactions(held), ["eyes"]);
    story.fleet.notes("the demo");
    let said = github.comments_of_evenkeel(number).len();
    let remark = github.comments(number, "alice", "looks good");
    github.edits(number, remark, "/evenkeel resume");
    // What is asked after it is answered after it.
    github.comments(number, "alice", "/evenkeel why service/alpha");
    story.is_answered(number, &["/evenkeel why"]);
    assert_is("how many answers there are", github.comments_of_evenkeel(number).len(), said + 1);
    assert_is("how an edit is met", github.reactions(remark), Vec::<String>::new());

    github.comments(number, "alice", "/evenkeel apply");
    story.is_answered(number, &["/evenkeel apply", "it is not merged"]);
    github.comments(number, "alice", "/evenkeel resume");
    story.is_answered(number, &["/evenkeel resume"]);
    let merged = github.merges(number);
    story.fleet.is_live(&merged);
}

pub fn a_command_goes_back_and_tries_again(world: &World) {
    let story = Story::begins(world, "goback");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1s");
    github.lets("alice", "maintain");
    let number = story.proposes("greet", |_| story.declares("two"));
    story.is_told(number, &["2 instances change"]);
    story.fleet.is_live(&github.merges(number));
    story.is_answered(number, &["Deployed to `test`"]);

    github.comments(number, "alice", "/evenkeel retry");
    story.is_answered(number, &["/evenkeel retry", "retry"]);
    github.comments(number, "alice", "/evenkeel apply");
    story.is_answered(number, &["/evenkeel apply", "looked at now"]);
    github.comments(number, "alice", "/evenkeel cancel");
    story.is_answered(number, &["/evenkeel cancel", "nothing is being deployed"]);

    github.comments(number, "alice", "/evenkeel rollback the greeting is rude");
    story.is_answered(number, &["/evenkeel rollback", "brings back what generation 1 deployed"]);
    let opened = github.opened_by_evenkeel();
    assert_is("what it opened", opened.len(), 1);
    let told = opened[0]["body"].as_str().unwrap_or_default();
    assert!(told.contains("the greeting is rude"), "the pull request does not tell why: {told}");
    let back = opened[0]["number"].as_u64().expect("it has a number");
    story.is_told(back, &["GREETING=\"one\""]);
    story.is_heard("two");
    story.fleet.is_live(&github.merges(back));
    story.is_heard("one");
}

pub fn what_is_merged_waits_for_the_checks_that_are_required(world: &World) {
    let story = Story::of(Fleet::shared(world, "required"));
    let github = &story.github;
    story.fleet.environment("require_checks: [ci/test]\n");
    story.declares("one");
    story.fleet.commit();
    let _daemon = story.starts(As::App, "1s");
    let commit = github.head_of("main");
    story.fleet.notes("waits for checks to be green");
    github.reports(&commit, "ci/test", "failure");
    story.fleet.looked_at_twice();
    let waiting = |commit: &str, generation: u64| {
        let why = "waits for checks to be green: `require_checks` of the environment names them";
        json!({"commit": commit, "generation": generation, "on": "checks", "why": format!("{} {why}", &commit[..7])})
    };
    story.deployments_are("test", &[(&commit, "queued")]);
    story.waiting_is(&waiting(&commit, 1));
    github.reports(&commit, "ci/test", "success");
    story.fleet.is_live(&commit);
    story.waiting_is(&Value::Null);
    story.deployments_are("test", &[(&commit, "success")]);

    // What is live is looked after whatever anybody says of the next.
    let number = story.proposes("greet", |_| story.declares("two"));
    let merged = github.merges(number);
    story.fleet.notes("waits for checks to be green");
    story.is_heard("one");
    story.deployments_are("test", &[(&merged, "queued"), (&commit, "success")]);
    story.waiting_is(&waiting(&merged, 2));
    story.check_is(&merged, "evenkeel/deploy", "queued");
    // What takes its place waits in its place.
    let newer = github.merges(story.proposes("words", |fleet| fleet.write("../README.md", "How we do things.\n")));
    story.deployments_are("test", &[(&newer, "queued"), (&merged, "inactive"), (&commit, "success")]);
    story.waiting_is(&waiting(&newer, 2));
    story.check_is(&merged, "evenkeel/deploy", "neutral");
    github.reports(&newer, "ci/test", "success");
    story.fleet.is_live(&newer);
    story.is_heard("two");
    story.deployments_are("test", &[(&newer, "success"), (&merged, "inactive"), (&commit, "inactive")]);
    story.waiting_is(&Value::Null);
    story.check_is(&newer, "evenkeel/deploy", "success");
}

pub fn a_storm_of_pushes_costs_a_handful_of_writes(world: &World) {
    const PUSHES: usize = 30;
    let story = Story::begins(world, "pushes");
    let github = &story.github;
    let _daemon = story.follows(As::App, "1h");
    let number = story.proposes("greet", |_| story.declares("zero"));
    story.checked(number, "success", "success");
    let mut commits = Vec::new();
    for each in 1..=PUSHES {
        story.amends("greet", |_| story.declares(&format!("greeting-{each}")));
        commits.push(story.fleet.git(&["rev-parse", "greet"]));
    }
    let (before, began) = (github.writes().len(), Instant::now());
    for commit in &commits {
        story.fleet.git(&["branch", "--quiet", "--force", "greet", commit]);
        github.pushes(number);
    }
    let (took, last) = (began.elapsed(), github.head(number));
    story.is_told(number, &["greeting-30", &last[..7]]);
    story.checked(number, "success", "success");
    // A comment and two checks for a plan: one at the end, and one for each second that it took at the most.
    let writes = github.writes().len() - before;
    let most = 3 + 3 * usize::try_from(took.as_secs() + 1).expect("it is a small number");
    assert!(writes <= most, "{PUSHES} pushes in {took:?} cost {writes} writes");
}
