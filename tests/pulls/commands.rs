//! What people ask for while GitHub does not answer.

use crate::{
    program::Story,
    support::{github::Trouble, waiting::wait_for},
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
    daemon.says("a command is tried again in ");
    github.is_back();
    wait_for("the answer", || {
        github.comments_of_evenkeel(number).iter().any(|comment| comment.contains("What it does")).then_some(())
    });
}
