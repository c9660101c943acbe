//! Who may give which command in a comment.

use std::fs;

use crate::{
    program::Story,
    support::{git::git, waiting::wait_for},
};

const ENVIRONMENT: &str = "environments/production.yaml";
/// What the answer to a command that was done has in common with no refusal.
const HELD: &str = "nothing is changed until it is resumed";

/// How often the environment was held, as its history tells.
fn holds(story: &Story) -> usize {
    let log = git(&story.path("config.git"), &["log", "--format=%s", "--branches=evenkeel/history/*"]);
    log.lines().filter(|subject| subject.contains("hold")).count()
}

#[test]
fn without_rules_a_hold_takes_maintain_and_a_plan_write() {
    let story = Story::begins();
    let github = &story.github;
    let _daemon = story.follows();
    github.lets("walter", "write");
    github.lets("martha", "maintain");
    // What an organisation calls a role says nothing of what it comes to.
    github.lets_by_role("rita", "admin", "read");
    github.lets_by_role("dora", "deployer", "write");
    let number = story.proposes("one");
    let told = wait_for("the plan", || github.comment_of_evenkeel(number));
    for login in ["walter", "rita", "dora", "mallory"] {
        let answer = story.answer(number, github.comments(number, login, "/evenkeel hold the demo"));
        assert!(answer.contains(&format!("`{login}`")) && answer.contains("`maintain`"), "{answer}");
        assert_eq!(holds(&story), 0, "{login} holds it");
    }
    for login in ["rita", "mallory"] {
        let answer = story.answer(number, github.comments(number, login, "/evenkeel plan"));
        assert!(answer.contains("`write`"), "{answer}");
    }
    github.comments(number, "dora", "/evenkeel plan");
    wait_for("another look", || (github.comment_of_evenkeel(number).as_ref() != Some(&told)).then_some(()));
    story.answer(number, github.comments(number, "martha", "/evenkeel hold the demo"));
    assert_eq!(holds(&story), 1);
}

#[test]
fn an_environment_names_the_permission_the_team_or_the_person_that_a_command_takes() {
    let story = Story::begins();
    let github = &story.github;
    let rules = "commands: {hold: [{team: acme/ops}, {person: ada}], resume: admin, retry: read}";
    story.declares(ENVIRONMENT, rules);
    let _daemon = story.follows();
    github.lets("root", "admin");
    github.lets("rita", "read");
    github.is_in_team("otto", "acme/ops", "active");
    github.is_in_team("ida", "acme/ops", "pending");
    github.is_in_team("eve", "evil/ops", "active");
    let number = story.proposes("one");
    for login in ["root", "ida", "eve", "mallory"] {
        let answer = story.answer(number, github.comments(number, login, "/evenkeel hold the demo"));
        // Who has the right is told in the one answer.
        assert!(answer.contains("`acme/ops`") && answer.contains("`ada`"), "{answer}");
        assert_eq!(holds(&story), 0, "{login} holds it");
    }
    for (number_of_holds, login) in [(1, "otto"), (2, "Ada")] {
        let answer = story.answer(number, github.comments(number, login, "/evenkeel hold the demo"));
        assert!(answer.contains(HELD), "{answer}");
        assert_eq!(holds(&story), number_of_holds);
    }
    let answer = story.answer(number, github.comments(number, "otto", "/evenkeel resume"));
    assert!(answer.contains("`admin`"), "{answer}");
    let answer = story.answer(number, github.comments(number, "rita", "/evenkeel retry"));
    assert!(!answer.contains("`rita`"), "{answer}");
}

#[test]
fn what_github_does_not_say_of_a_team_is_no() {
    let story = Story::begins();
    let github = &story.github;
    story.declares(ENVIRONMENT, "commands: {hold: {team: acme/ops}}");
    github.is_in_team("otto", "acme/ops", "active");
    github.hides_members();
    let _daemon = story.follows();
    let number = story.proposes("one");
    let answer = story.answer(number, github.comments(number, "otto", "/evenkeel hold the demo"));
    assert!(answer.contains("Members"), "what the App lacks is not told: {answer}");
    assert_eq!(holds(&story), 0);
}

/// A branch cannot widen who may do what with it, be it the one that is proposed.
#[test]
fn rules_are_those_of_the_default_branch() {
    let story = Story::begins();
    let github = &story.github;
    let _daemon = story.follows();
    github.lets("walter", "write");
    let clone = story.path("clone");
    git(&clone, &["checkout", "--quiet", "-b", "mine"]);
    let file = clone.join("fleet").join(ENVIRONMENT);
    let text = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, format!("{text}\ncommands: {{hold: write}}\n")).expect("it can be written");
    git(&clone, &["commit", "--quiet", "--all", "--message", "mine"]);
    let number = github.opens("mine", "walter", "mine", false);
    let answer = story.answer(number, github.comments(number, "walter", "/evenkeel hold the demo"));
    assert!(answer.contains("`maintain`"), "{answer}");
    assert_eq!(holds(&story), 0);
}

#[test]
fn while_the_rules_cannot_be_read_a_command_takes_admin() {
    let story = Story::begins();
    let github = &story.github;
    story.declares(ENVIRONMENT, "commands: {hold: write, hodl: write}");
    let _daemon = story.follows();
    github.lets("martha", "maintain");
    let number = story.proposes("one");
    let answer = story.answer(number, github.comments(number, "martha", "/evenkeel help"));
    assert!(answer.contains("`admin`") && answer.contains("evenkeel validate"), "{answer}");
    github.lets("martha", "admin");
    let answer = story.answer(number, github.comments(number, "martha", "/evenkeel help"));
    assert!(answer.contains("| `/evenkeel hold` |"), "{answer}");
}
