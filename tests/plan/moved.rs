//! Another repository's branch that moved: why something changes although nothing here was committed.

use evenkeel::{
    engine::prepare::Prepared,
    model::{
        commit::CommitId,
        plan::Commits,
        source::{ArchiveSource, GitSource, SourceCommits},
        tree::{Entry, Tree},
    },
    release::{FetchError, Fetcher, Unfetched},
};

use crate::{
    declared::example,
    text::{steps, without_digests},
    world::World,
};

/// A repository whose one file says which commit it is.
struct Other;

impl Fetcher for Other {
    fn commit(&self, source: &GitSource) -> Result<CommitId, FetchError> {
        Unfetched.commit(source)
    }

    fn last_commit(&self, _: &GitSource) -> Option<CommitId> {
        None
    }

    fn folder(&self, _: &GitSource, commit: &CommitId) -> Result<Tree, FetchError> {
        let mut tree = Tree::default();
        let content = commit.as_bytes().into();
        tree.insert("server.py", Entry::File { content, executable: false }).expect("a plain path");
        Ok(tree)
    }

    fn archive(&self, source: &ArchiveSource) -> Result<Tree, FetchError> {
        Unfetched.archive(source)
    }
}

fn at(commit: &str) -> Prepared {
    let declared = example().edit(
        "services/gong_mcp.yaml",
        "source: {path: mcp_servers/gong}",
        "source: {git: \"https://example.org/gong.git\", rev: main}",
    );
    let sources = SourceCommits::from([("https://example.org/gong.git main".to_owned(), commit.repeat(40).into())]);
    declared.prepare_with(Commits { sources, ..Commits::default() }, &Other).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_plan_says_what_moved_from_where_to_where() {
    let mut world = World::of(at("1"));
    world.prepared = at("2").after(at("1").commits.sources);
    insta::assert_snapshot!(without_digests(&steps(&world.plan())));
    world.prepared = at("2");
    assert!(steps(&world.plan()).contains("(what is declared has changed)"), "when what was deployed is not known");
}
