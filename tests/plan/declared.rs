//! The example fleet, and the same with edits.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use evenkeel::{
    declare::Overrides,
    engine::prepare::{PrepareError, Prepared, declared, gathered},
    model::{
        build::{BuiltRelease, BuiltReleases},
        desired::Desired,
        digest::Digest,
        name::InstanceName,
        plan::Commits,
        release::Release,
        tree::{Entry, Tree},
    },
    release::{Builds, Fetcher, Unfetched},
};

/// The files of the example fleet, by their path in the fleet folder.
static EXAMPLE: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fleet"));
    let read = evenkeel::git::work_tree(folder).expect("the example fleet");
    read.tree.below(&read.fleet).map(|(path, entry)| (path.to_owned(), entry.clone())).collect()
});

/// The example's frontend is built already, as far as the history says.
static RECORDED: LazyLock<BuiltReleases> = LazyLock::new(|| {
    let prepared = example().gather(Commits::default(), &Unfetched, Builds::default()).expect("the example fleet");
    let built = |release: &Release| BuiltRelease {
        release: Digest::of("built"),
        from: release.source.to_string(),
        requirements: BTreeMap::new(),
    };
    let releases = prepared.releases.values();
    releases.filter_map(|release| Some((release.build_key()?, built(release)))).collect()
});

/// A fleet folder.
#[derive(Clone)]
pub struct Declared(BTreeMap<String, Entry>);

/// The example fleet as it is.
pub fn example() -> Declared {
    Declared(EXAMPLE.clone())
}

/// A fleet of these files and no others; those in a folder `bin` can be run.
pub fn of(files: &[(&str, &str)]) -> Declared {
    let entry = |(path, text): &(&str, &str)| {
        let executable = path.contains("bin/");
        ((*path).to_owned(), Entry::File { content: text.as_bytes().into(), executable })
    };
    Declared(files.iter().map(entry).collect())
}

impl Declared {
    /// Replaces a text that occurs in the file.
    pub fn edit(self, path: &str, from: &str, to: &str) -> Self {
        let text = self.text(path);
        assert!(text.contains(from), "{path} does not hold {from:?}");
        self.write(path, &text.replace(from, to))
    }

    /// Adds lines at the file's end.
    pub fn append(self, path: &str, lines: &str) -> Self {
        let text = self.text(path);
        self.write(path, &format!("{text}{lines}\n"))
    }

    pub fn write(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.to_owned(), Entry::File { content: text.as_bytes().into(), executable: false });
        self
    }

    pub fn executable(mut self, path: &str) -> Self {
        match self.0.get_mut(path) {
            Some(Entry::File { executable, .. }) => *executable = true,
            other => panic!("{path} is {other:?}"),
        }
        self
    }

    pub fn remove(mut self, path: &str) -> Self {
        assert!(self.0.remove(path).is_some(), "there is no {path}");
        self
    }

    fn text(&self, path: &str) -> String {
        match self.0.get(path) {
            Some(Entry::File { content, .. }) => String::from_utf8(content.to_vec()).expect("text"),
            other => panic!("{path} is {other:?}"),
        }
    }

    pub fn try_prepare(&self) -> Result<Prepared, PrepareError> {
        self.prepare_with(Commits::default(), &Unfetched)
    }

    /// With sources that lie elsewhere.
    pub fn prepare_with(&self, commits: Commits, fetcher: &dyn Fetcher) -> Result<Prepared, PrepareError> {
        self.gather(commits, fetcher, Builds { recorded: Some(&RECORDED), ..Builds::default() })
    }

    pub fn gather(
        &self,
        commits: Commits,
        fetcher: &dyn Fetcher,
        builds: Builds<'_>,
    ) -> Result<Prepared, PrepareError> {
        let mut tree = Tree::default();
        for (path, entry) in &self.0 {
            tree.insert(&format!("fleet/{path}"), entry.clone()).expect("a plain path");
        }
        let production = "production".parse().expect("a name");
        let declared = declared(&tree, "fleet", &production, &Overrides::default())?;
        gathered(declared, &tree, commits, fetcher, builds)
    }

    pub fn prepare(&self) -> Prepared {
        self.try_prepare().unwrap_or_else(|error| panic!("{error}: {error:#?}"))
    }
}

pub fn instance(name: &str) -> InstanceName {
    name.parse().expect("an instance's name")
}

/// What an instance should be.
pub fn desired<'a>(prepared: &'a Prepared, name: &str) -> &'a Desired {
    &prepared.desired[&instance(name)]
}
