//! A small fleet whose one service takes its files from wherever a statement says.

use std::{cell::RefCell, collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use chrono::DateTime;
use evenkeel::{
    declare::Overrides,
    engine::prepare::{PrepareError, Prepared, access::AccessFile, declared, fetch::NetworkFetcher, gathered, prepare},
    git::Credentials,
    model::{
        digest::Digest,
        plan::Commits,
        release::Release,
        source::SourceCommits,
        tree::{Entry, Tree},
    },
    release::{Builds, Fetcher},
};
use tempfile::TempDir;

pub use crate::git_program::git;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// What the service runs: the same files in every kind of source.
pub const FILES: &[(&str, &str)] = &[
    ("app/serve", "#!/bin/sh\n"),
    ("app/lib/a.py", "a\n"),
    ("app/lib/b.py", "b\n"),
    ("app/tests/a.py", "t\n"),
    ("README.md", "read me\n"),
];

pub struct World {
    pub folder: TempDir,
    /// What sources may reach: at first, this folder.
    reach: RefCell<Vec<String>>,
    credentials: RefCell<String>,
}

impl World {
    pub fn new() -> Self {
        let world = Self::without_reach();
        world.reach(&format!("file://{}/*", world.folder.path().display()));
        world
    }

    /// With nothing listed.
    pub fn without_reach() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self { folder, reach: RefCell::default(), credentials: RefCell::default() }
    }

    /// Lists more that sources may reach.
    pub fn reach(&self, pattern: &str) {
        self.reach.borrow_mut().push(format!("{pattern:?}"));
    }

    /// Lists a credential, as in `{token_file: token, for: […]}`.
    pub fn credential(&self, name: &str, keys: &str) {
        *self.credentials.borrow_mut() += &format!("{name}: {keys}\n");
    }

    /// The operator's file with what is listed.
    pub fn access(&self) -> AccessFile {
        let text = format!("{}reach: [{}]\n", self.credentials.borrow(), self.reach.borrow().join(", "));
        let path = self.write("controller/credentials.yaml", text.as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        AccessFile::new(Some(path.into()), None)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// A controller with a state directory of its own.
    pub fn fetcher(&self) -> NetworkFetcher {
        self.fetcher_with(&Credentials::default())
    }

    /// With what lets it into the config repository.
    pub fn fetcher_with(&self, config: &Credentials) -> NetworkFetcher {
        NetworkFetcher::new(&self.path("state"), config, self.access())
    }

    /// The fleet, with the service's source as written.
    pub fn prepare(&self, source: &str) -> Result<Prepared, PrepareError> {
        self.prepare_at(source, &SourceCommits::new(), &self.fetcher())
    }

    /// As far as `builds` goes.
    pub fn prepare_with(&self, source: &str, builds: Builds<'_>) -> Result<Prepared, PrepareError> {
        let (tree, production) = (fleet(source), "production".parse().expect("a name"));
        let declared = declared(&tree, "fleet", &production, &Overrides::default())?;
        gathered(declared, &tree, Commits::default(), &self.fetcher(), builds)
    }

    pub fn prepare_at(
        &self,
        source: &str,
        known: &SourceCommits,
        fetcher: &dyn Fetcher,
    ) -> Result<Prepared, PrepareError> {
        let commits = Commits { sources: known.clone(), ..Commits::default() };
        let production = "production".parse().expect("a name");
        prepare(&fleet(source), "fleet", &production, &Overrides::default(), commits, fetcher)
    }

    /// The one release that is made of it.
    pub fn release(&self, source: &str) -> Release {
        one(self.prepare(source).unwrap_or_else(|error| panic!("{source}: {error}")))
    }

    pub fn refused(&self, source: &str) -> String {
        self.without_paths(&self.prepare(source).expect_err("refused").to_string())
    }

    /// A text without what differs from run to run.
    pub fn without_paths(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "DIR")
    }

    pub fn write(&self, path: &str, content: &[u8]) -> String {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, content).expect("the file can be written");
        path.display().to_string()
    }
}

pub fn one(prepared: Prepared) -> Release {
    let mut releases: Vec<Release> = prepared.releases.into_values().collect();
    assert_eq!(releases.len(), 1);
    releases.remove(0)
}

/// The fleet's files, with what a source may name beside them.
fn fleet(source: &str) -> Tree {
    let service = format!("source: {source}\nrun: {{exec: ./serve, user: root}}\nplace: {{on: [h1]}}\nport: 8100\n");
    let instance =
        format!("environment: production\naddress: 10.0.0.1\nhost_key: {KEY}\nports: 8100-8199\narch: x86_64\n");
    let mut tree = Tree::default();
    let mut add = |path: &str, text: &str| {
        let entry = Entry::File { content: text.as_bytes().into(), executable: path.ends_with("/serve") };
        tree.insert(path, entry).expect("a plain path");
    };
    add("fleet/fleet.yaml", "name: demo\nallow: {users: [root]}\n");
    add("fleet/environments/production.yaml", "branch: main\n");
    add("fleet/instances/h1.yaml", &instance);
    add("fleet/services/a.yaml", &service);
    FILES.iter().for_each(|(path, text)| add(path, text));
    tree.insert("app/lib/latest.py", Entry::Symlink { target: "b.py".to_owned() }).expect("a plain path");
    tree
}

/// Another repository, with the files on `main`; it answers its address and the commit.
pub fn repository(world: &World) -> (String, String) {
    let work = world.path("work");
    for (path, text) in FILES {
        world.write(&format!("work/{path}"), text.as_bytes());
    }
    std::os::unix::fs::symlink("b.py", work.join("app/lib/latest.py")).expect("a link can be made");
    let script = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(work.join("app/serve"), script).expect("it is ours");
    let bare = world.path("other.git");
    let noon = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
    let commit =
        evenkeel::git::create_bare_from_folder(&bare, &[(&work, "")], "main", "First", noon).expect("it is made");
    (format!("file://{}", bare.display()), commit)
}

/// A commit that replaces one file on a branch.
pub fn push(world: &World, branch: &str, path: &str, text: &str) -> String {
    let noon = DateTime::from_timestamp(1_700_000_060, 0).expect("a time");
    let changes = BTreeMap::from([(path.to_owned(), Some(text.as_bytes().to_vec()))]);
    evenkeel::git::commit_to_bare(&world.path("other.git"), branch, &changes, "More", noon).expect("it is made")
}

/// One entry of an archive.
pub struct Item {
    pub path: &'static [u8],
    pub kind: tar::EntryType,
    pub link: &'static str,
    pub content: Vec<u8>,
    pub mode: u32,
}

pub fn file(path: &'static str, content: &str) -> Item {
    let mode = if path.ends_with("/serve") { 0o755 } else { 0o640 };
    let (kind, content) = (tar::EntryType::Regular, content.as_bytes().to_vec());
    Item { path: path.as_bytes(), kind, link: "", content, mode }
}

pub fn special(path: &'static str, kind: tar::EntryType, link: &'static str) -> Item {
    Item { path: path.as_bytes(), kind, link, content: Vec::new(), mode: 0o755 }
}

/// Written byte by byte: what makes archives would refuse most of what is tried here.
pub fn tar(items: &[Item]) -> Vec<u8> {
    let mut archive = Vec::new();
    for item in items {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..item.path.len()].copy_from_slice(item.path);
        header.as_old_mut().linkname[..item.link.len()].copy_from_slice(item.link.as_bytes());
        header.set_entry_type(item.kind);
        header.set_mode(item.mode);
        header.set_size(item.content.len() as u64);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(&item.content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// The files as a tar, below a folder of its own.
pub fn tarred() -> Vec<u8> {
    let directory = |path| special(path, tar::EntryType::Directory, "");
    let mut items = vec![special("pax_global_header", tar::EntryType::XGlobalHeader, ""), directory("v1/")];
    items.extend([
        file("v1/app/serve", "#!/bin/sh\n"),
        file("./v1/app/lib/b.py", "b\n"),
        file("v1/app/lib/a.py", "a\n"),
        file("v1/app/tests/a.py", "t\n"),
        special("v1/app/lib/latest.py", tar::EntryType::Symlink, "b.py"),
        file("v1/app/.git/config", "[core]\n"),
        directory("v1/app/empty/"),
        file("v1/README.md", "read me\n"),
    ]);
    tar(&items)
}

pub fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}
