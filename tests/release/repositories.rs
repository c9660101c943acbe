//! Other git repositories: what their branches and tags stand for, and when they have moved.

use std::fs;

use evenkeel::{
    model::source::{GitSource, Revision},
    release::{Fetcher, Unfetched},
};

use crate::world::{World, git, one, push, repository};

pub fn source(url: &str, revision: Revision) -> GitSource {
    GitSource { url: url.to_owned(), revision, folder: String::new(), credentials: None }
}

fn named(name: &str) -> Revision {
    Revision::Named(name.to_owned())
}

#[test]
fn a_branch_that_moved_is_another_release_and_the_old_one_can_be_had_again() {
    let world = World::new();
    let (url, first) = repository(&world);
    let written = format!("{{git: \"{url}\", rev: main, path: app}}");
    let before = world.prepare(&written).expect("prepared");
    let key = format!("{url} main");
    assert_eq!(before.commits.sources.get(&key).map(|at| at.as_str()), Some(first.as_str()));
    let second = push(&world, "main", "app/lib/a.py", "changed\n");
    let after = world.prepare(&written).expect("prepared");
    assert_eq!(after.commits.sources.get(&key).map(|at| at.as_str()), Some(second.as_str()));
    assert_ne!(before.digest, after.digest);
    // A change beside the folder is no change.
    push(&world, "main", "README.md", "changed\n");
    assert_eq!(world.prepare(&written).expect("prepared").digest, after.digest);
    // What a record names is what is had, without asking.
    fs::remove_dir_all(world.path("other.git")).expect("it is ours");
    let again = world.prepare_at(&written, &before.commits.sources, &world.fetcher()).expect("prepared");
    assert_eq!((again.digest, again.commits), (before.digest, before.commits));
}

/// Whoever writes a history by hand names any commit there.
#[test]
fn a_commit_counts_only_on_the_branch_that_the_source_names_or_that_held_it_when_it_was_asked() {
    let world = World::new();
    let (url, first) = repository(&world);
    let other = world.path("other.git");
    let written = format!("{{git: \"{url}\", rev: main, path: app}}");
    let key = format!("{url} main");
    let at = |commit: &str, fetcher: &dyn Fetcher| {
        world.prepare_at(&written, &[(key.clone(), commit.into())].into(), fetcher).map(|prepared| prepared.digest)
    };
    git(&other, &["branch", "unmerged", "main"]);
    let unmerged = push(&world, "unmerged", "app/lib/a.py", "evil\n");
    let refused = at(&unmerged, &world.fetcher()).expect_err("refused").to_string();
    assert!(refused.contains(&format!("main of {url} does not hold commit {unmerged}")), "{refused}");
    // Nor when it is in the mirror for another reason.
    world.fetcher().commit(&source(&url, named("unmerged"))).expect("asked");
    assert!(at(&unmerged, &world.fetcher()).is_err());

    let second = push(&world, "main", "app/lib/a.py", "2\n");
    let before = at(&second, &world.fetcher()).expect("a newer one is asked for");
    git(&other, &["update-ref", "refs/heads/main", &first]);
    push(&world, "main", "app/lib/a.py", "3\n");
    world.fetcher().commit(&source(&url, named("main"))).expect("asked");
    assert_eq!(at(&second, &world.fetcher()).expect("it was seen there"), before);
    fs::remove_dir_all(world.path("state")).expect("it is ours");
    let refused = at(&second, &world.fetcher()).expect_err("refused").to_string();
    assert!(refused.contains("does not hold commit"), "{refused}");
}

#[test]
fn a_revision_that_cannot_move_is_no_part_of_what_is_wanted() {
    let world = World::new();
    let (url, commit) = repository(&world);
    let prepared = world.prepare(&format!("{{git: \"{url}\", rev: {commit}, path: app}}")).expect("prepared");
    assert!(prepared.commits.sources.is_empty());
    // Nor is it asked for again.
    assert!(one(prepared).source.to_string().contains(&commit[..7]));
    assert_eq!(Unfetched.last_commit(&source(&url, named("main"))), None);
}

#[test]
fn branches_and_tags_are_told_apart() {
    let world = World::new();
    let (url, first) = repository(&world);
    let other = world.path("other.git");
    git(&other, &["tag", "-a", "-m", "noted", "v1", &first]);
    let second = push(&world, "main", "README.md", "2\n");
    git(&other, &["branch", "v1", &second]);
    git(&other, &["branch", "release/2", &second]);
    let commit = |name: &str| world.fetcher().commit(&source(&url, named(name)));
    let told = |name: &str| world.without_paths(&commit(name).expect_err("refused").to_string());
    assert_eq!(commit("release/2").expect("found"), second);
    assert_eq!(commit("tags/v1").expect("found"), first, "an annotated tag is the commit that it is of");
    assert_eq!(commit("heads/v1").expect("found"), second);
    insta::assert_snapshot!(told("v1"), @"DIR/other.git has several things called v1; write heads/v1 or tags/v1");
    insta::assert_snapshot!(told("v2"), @"DIR/other.git has no branch, tag or commit v2; correct it, or push it there; a commit is named by all of its 40 digits");
    // A branch may become a folder of branches.
    git(&other, &["branch", "-D", "release/2"]);
    git(&other, &["branch", "release/2/fix", &first]);
    assert_eq!(commit("release/2/fix").expect("found"), first);
    assert_eq!(world.fetcher().last_commit(&source(&url, named("release/2"))), Some(second.into()));
}

#[test]
fn a_repository_that_is_away_is_where_it_was_last_seen() {
    let world = World::new();
    let (url, first) = repository(&world);
    for revision in [Revision::Default, named("main")] {
        let source = source(&url, revision);
        assert_eq!(world.fetcher().last_commit(&source), None);
        assert_eq!(world.fetcher().commit(&source).expect("asked"), first);
        assert_eq!(world.fetcher().last_commit(&source), Some(first.as_str().into()));
    }
    fs::rename(world.path("other.git"), world.path("gone.git")).expect("it is ours");
    assert!(world.fetcher().commit(&source(&url, named("main"))).is_err());
    assert_eq!(world.fetcher().last_commit(&source(&url, named("main"))), Some(first.into()));
    let said = world.refused(&format!("{{git: \"{url}\", rev: next, path: app}}"));
    assert!(said.starts_with("service/a: git file://DIR/other.git (next), folder app cannot be had: "), "{said}");
    assert!(said.contains("; check the path"), "{said}");
}

#[test]
fn where_it_was_last_seen_is_told_while_another_asks_it() {
    let world = World::new();
    let (url, first) = repository(&world);
    let source = source(&url, named("main"));
    assert_eq!(world.fetcher().commit(&source).expect("asked"), first);
    let mirrors = fs::read_dir(world.path("state/sources/repositories")).expect("it is there");
    let mirror = mirrors.map(|mirror| mirror.expect("it reads").path()).next().expect("there is one");
    let writing = fs::File::open(mirror.join("evenkeel.lock")).expect("it is there");
    writing.lock().expect("nobody else has it");
    let (tell, told) = std::sync::mpsc::channel();
    let fetcher = world.fetcher();
    std::thread::spawn(move || tell.send(fetcher.last_commit(&source)));
    let answer = told.recv_timeout(std::time::Duration::from_secs(30)).expect("it waits for nobody");
    assert_eq!(answer, Some(first.into()));
}

#[test]
fn a_submodule_is_refused_by_name() {
    let world = World::new();
    let (url, commit) = repository(&world);
    let other = world.path("other.git");
    let tree = git(&other, &["ls-tree", &format!("{commit}:app")]) + &format!("\n160000 commit {commit}\tvendor");
    fs::write(world.path("tree"), tree).expect("it can be written");
    let made = git(&other, &["-c", "alias.t=!git mktree --missing < ../tree", "t"]);
    let made = git(&other, &["commit-tree", "-m", "m", &made]);
    git(&other, &["update-ref", "refs/heads/sub", &made]);
    let said = world.refused(&format!("{{git: \"{url}\", rev: sub}}"));
    insta::assert_snapshot!(said, @"service/a: vendor is a git submodule, which is not followed; commit its files into git file://DIR/other.git (sub)");
}
