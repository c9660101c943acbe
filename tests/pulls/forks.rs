//! A plan of a fork is of the commit that the person saw who asked for it, whatever is pushed meanwhile.

use crate::program::Story;

/// How the check of a plan ends that waits for somebody to ask.
const WAITS: &[&str] = &["action_required"];
/// How it ends where the proposal was looked at: no host of this fleet is there.
const LOOKED_AT: &[&str] = &["success", "failure", "neutral"];

/// A fork's pull request, and its commit for which alice may ask for a plan.
fn a_proposal_that_waits(story: &Story) -> (u64, String) {
    story.github.lets("alice", "write");
    let number = story.a_stranger_proposes("one");
    let seen = story.github.head(number);
    story.plan_ends(&seen, WAITS);
    (number, seen)
}

#[test]
fn a_plan_that_was_asked_for_is_of_the_commit_that_was_told_before() {
    let story = Story::begins();
    let github = &story.github;
    let _daemon = story.follows();
    let (number, seen) = a_proposal_that_waits(&story);
    github.comments(number, "alice", "/evenkeel plan");
    story.plan_ends(&seen, LOOKED_AT);
}

#[test]
fn a_push_that_nobody_has_seen_is_not_planned_by_a_command_for_the_commit_before() {
    let story = Story::begins();
    let github = &story.github;
    let _daemon = story.follows();
    let (number, seen) = a_proposal_that_waits(&story);
    // It is pushed while alice writes, and before anybody here has heard of it.
    github.drops_deliveries(true);
    let pushed = story.pushes(number, "one", "evil");
    github.drops_deliveries(false);
    let answer = story.answer(number, github.comments(number, "alice", "/evenkeel plan"));
    assert!(answer.contains(&format!("/evenkeel plan {pushed}")), "the next move is not told: {answer}");
    story.answer(number, github.comments(number, "alice", &format!("/evenkeel plan {seen}")));
    story.answer(number, github.comments(number, "alice", &format!("/evenkeel plan {}", &pushed[..12])));
    assert!(!LOOKED_AT.iter().any(|how| github.checks(&pushed).get("evenkeel/plan").is_some_and(|ended| ended == how)));
    github.comments(number, "alice", &format!("/evenkeel plan {pushed}"));
    story.plan_ends(&pushed, LOOKED_AT);
}

#[test]
fn a_command_from_before_a_restart_means_what_was_told_before_it() {
    let story = Story::begins();
    let github = &story.github;
    github.lets("alice", "write");
    let (same, other) = {
        let _daemon = story.follows();
        let numbers = (story.a_stranger_proposes("same"), story.a_stranger_proposes("other"));
        story.plan_ends(&github.head(numbers.0), WAITS);
        story.plan_ends(&github.head(numbers.1), WAITS);
        numbers
    };
    github.drops_deliveries(true);
    let asked = github.comments(other, "alice", "/evenkeel plan");
    github.comments(same, "alice", "/evenkeel plan");
    let pushed = story.pushes(other, "other", "evil");
    let _daemon = story.follows();
    story.plan_ends(&github.head(same), LOOKED_AT);
    story.answer(other, asked);
    story.plan_ends(&pushed, WAITS);
}
