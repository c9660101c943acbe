//! Plans that are too long for a comment, in a branch of their own.

use evenkeel::git::PLANS;

use crate::helpers::{bare, git, local, must, noon, open, temporary};

#[test]
fn a_plan_takes_the_place_of_the_one_before_and_leaves_the_others() {
    let folder = temporary();
    let remote = bare(folder.path());
    let repository = open(folder.path(), "mirror", &local(&remote));
    must(repository.fetch());
    let put = |name: &str, content: &str| must(repository.put_plan(name, content.as_bytes(), "A plan", noon()));
    put("pull-1.md", "one");
    put("pull-2.md", "two");
    put("pull-1.md", "one, again");
    let show = |name: &str| git(&remote, &["show", &format!("{PLANS}:{name}")]);
    assert_eq!((show("pull-1.md"), show("pull-2.md")), ("one, again".to_owned(), "two".to_owned()));

    let commits = || git(&remote, &["rev-list", "--count", PLANS]);
    assert_eq!(commits(), "3");
    put("pull-2.md", "two");
    assert_eq!(commits(), "3", "what is there already is written again");
}

#[test]
fn what_another_controller_put_there_meanwhile_stays() {
    let folder = temporary();
    let remote = bare(folder.path());
    let [one, other] = ["one", "other"].map(|name| open(folder.path(), name, &local(&remote)));
    must(one.fetch());
    must(other.fetch());
    must(one.put_plan("pull-1.md", b"one", "A plan", noon()));
    must(other.put_plan("pull-2.md", b"other", "A plan", noon()));
    assert_eq!(git(&remote, &["ls-tree", "--name-only", PLANS]), "pull-1.md\npull-2.md");
}
