//! The App's installation is taken away, suspended, given back and allowed more while the daemon runs.

use evenkeel::model::event::EventName;

use crate::{
    program::Story,
    support::{github::GitHub, waiting::wait_for},
};

/// How often the App was asked for a token.
fn asked(github: &GitHub) -> usize {
    github.requests().iter().filter(|request| request.path.ends_with("/access_tokens")).count()
}

#[test]
fn a_suspended_app_is_told_of_and_what_waited_is_done_when_it_is_back() {
    let story = Story::begins();
    let github = &story.github;
    let daemon = story.follows();
    let first = story.proposes("one");
    wait_for("the first plan", || github.comment_of_evenkeel(first));

    github.suspends();
    assert_eq!(daemon.tells(EventName::GitHubShutOut)["action"], "suspend");
    let noted =
        |notes: Vec<String>| notes.iter().any(|note| note.starts_with("GitHub: ") && note.contains("suspended"));
    wait_for("a note of it", || daemon.notes().filter(|notes| noted(notes.clone())));
    let waits = story.proposes("two");
    daemon.tells_that(EventName::PullPostponed, |told| told["pull"] == waits);
    assert_eq!(github.comment_of_evenkeel(waits), None);
    // Also before it was merged a fetch may have failed.
    let failed = || daemon.told(EventName::RepositoryUnread).len();
    let before = failed();
    let merged = github.merges(first);
    wait_for("another fetch that fails", || (failed() > before).then_some(()));
    assert_ne!(story.fetched(), merged);

    github.unsuspends();
    daemon.tells(EventName::GitHubSignedIn);
    wait_for("the plan that waited", || github.comment_of_evenkeel(waits));
    wait_for("the commit that waited", || (story.fetched() == merged).then_some(()));
    wait_for("no note", || daemon.notes().filter(|notes| !noted(notes.clone())));
}

#[test]
fn an_app_that_was_removed_is_told_of_and_works_again_with_the_next_installation() {
    let story = Story::begins();
    let github = &story.github;
    let daemon = story.follows();
    let first = story.proposes("one");
    wait_for("the first plan", || github.comment_of_evenkeel(first));

    github.uninstalls();
    assert_eq!(daemon.tells(EventName::GitHubShutOut)["action"], "deleted");
    github.installs();
    daemon.tells(EventName::GitHubSignedIn);
    let second = story.proposes("two");
    wait_for("the second plan", || github.comment_of_evenkeel(second));
}

#[test]
fn only_what_becomes_of_our_own_installation_makes_us_sign_in_anew() {
    let story = Story::begins();
    let github = &story.github;
    let daemon = story.follows();
    let first = story.proposes("one");
    wait_for("the first plan", || github.comment_of_evenkeel(first));
    let before = asked(github);
    github.is_installed_elsewhere();
    // It comes after that one.
    github.adds_a_repository();
    let signed_in = || daemon.told(EventName::GitHubSignedIn).len();
    daemon.tells_that(EventName::GitHubSignedIn, |told| told["action"] == "added");
    assert_eq!((asked(github), signed_in()), (before + 1, 1), "{}", daemon.log());

    github.allows_more();
    daemon.tells_that(EventName::GitHubSignedIn, |told| told["action"] == "new_permissions_accepted");
    assert_eq!((asked(github), signed_in()), (before + 2, 2), "{}", daemon.log());
}
