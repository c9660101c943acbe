//! What people ask for while GitHub does not answer, or nobody listens.

use evenkeel::model::event::EventName;

use crate::{
    program::Story,
    support::{
        git::git,
        github::{Trouble, Who},
        waiting::wait_for,
    },
};

#[test]
fn what_was_asked_for_while_github_was_away_is_answered_when_it_is_back() {
    let story = Story::begins();
    let github = &story.github;
    let daemon = story.follows();
    github.lets("alice", "write");
    let number = story.proposes("one");
    wait_for("the plan", || github.comment_of_evenkeel(number));
    github.is_in_trouble(Trouble::Status(503));
    github.comments(number, "alice", "/evenkeel help");
    daemon.tells(EventName::CommandPostponed);
    github.is_back();
    wait_for("the answer", || {
        github.comments_of_evenkeel(number).iter().any(|comment| comment.contains("What it does")).then_some(())
    });
}

/// How often the environment was held, as its history tells.
fn holds(story: &Story) -> usize {
    let log = git(&story.path("config.git"), &["log", "--format=%s", "--branches=evenkeel/history/*"]);
    log.lines().filter(|subject| subject.contains("hold")).count()
}

/// Also of what needs no reason: the history tells it, as it tells that of the command line.
#[test]
fn the_reason_behind_a_command_stands_in_the_history() {
    let story = Story::begins();
    let github = &story.github;
    github.lets("alice", "maintain");
    let number = story.proposes("one");
    let _daemon = story.follows();
    for (command, reason) in
        [("hold", "a demo at noon"), ("resume", "the demo is over"), ("retry", "the registry is back")]
    {
        let asked = github.comments(number, "alice", &format!("/evenkeel {command} {reason}"));
        story.answer(number, asked);
        let log = git(&story.path("config.git"), &["log", "--format=%B", "--branches=evenkeel/history/*"]);
        let (_, after) = log.split_once(command).unwrap_or_else(|| panic!("no {command}: {log}"));
        assert!(after.contains(reason) && after.contains("Asked-By: alice on GitHub"), "{command}: {log}");
    }
    // A slip brings nothing back.
    let slip = github.comments(number, "alice", "/evenkeel rollback 4l");
    assert!(story.answer(number, slip).contains("a generation, a number"));
}

#[test]
fn what_was_asked_for_while_evenkeel_was_started_again_is_done_once() {
    let story = Story::begins();
    let github = &story.github;
    github.lets("alice", "maintain");
    let number = story.proposes("one");
    // Nobody is there to be told.
    let asked = github.comments(number, "alice", "/evenkeel hold the demo");
    let answers = || github.comments_of_evenkeel(number).iter().filter(|said| said.contains("/evenkeel hold")).count();
    {
        let _daemon = story.follows();
        wait_for("the answer", || (answers() == 1).then_some(()));
        assert_eq!((holds(&story), github.reactions(asked)), (1, vec!["eyes".to_owned()]));
    }
    let daemon = story.follows();
    daemon.tells_that(EventName::CommandRepeated, |told| told["comment"] == asked);
    assert_eq!((holds(&story), answers()), (1, 1));
}

#[test]
fn what_was_seen_or_answered_by_the_process_before_is_not_done_again() {
    let story = Story::begins();
    let github = &story.github;
    github.lets("alice", "maintain");
    let number = story.proposes("one");
    let (seen, answered) = (
        github.comments(number, "alice", "/evenkeel hold the demo"),
        github.comments(number, "alice", "/evenkeel hold the other demo"),
    );
    let path = format!("/repos/acme/config/issues/comments/{seen}/reactions");
    let by_evenkeel = |path: &str, body| github.does(Who::Installation, "POST", path, "", body);
    assert_eq!(by_evenkeel(&path, serde_json::json!({"content": "eyes"})), 201);
    let answer = format!("Held.\n\n<!-- evenkeel: the answer to comment {answered} -->");
    let path = format!("/repos/acme/config/issues/{number}/comments");
    assert_eq!(by_evenkeel(&path, serde_json::json!({"body": answer})), 201);
    let daemon = story.follows();
    daemon.tells_that(EventName::CommandRepeated, |told| told["comment"] == seen);
    daemon.tells_that(EventName::CommandRepeated, |told| told["comment"] == answered);
    wait_for("the plan", || github.comments_of_evenkeel(number).iter().any(|said| said != &answer).then_some(()));
    assert_eq!(holds(&story), 0);
}
