//! Where a release's files come from: as declared, and as it resolved to.
//!
//! Keeps true: an address holds no credential, and a source names one without saying where it is; what is pinned is the
//! same files for ever.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{build::Build, commit::CommitId, digest::Digest, exclude::Exclude, name::CredentialName};

/// What is declared, with everything that says which files it stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    pub origin: Origin,
    /// What of it does not travel; where it is built, what the build does not see.
    pub exclude: Exclude,
    /// None: its files are taken as they are.
    pub build: Option<Build>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A folder of the config repository, from its root.
    Folder(String),
    Git(GitSource),
    Archive(ArchiveSource),
}

/// A folder of another git repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GitSource {
    pub url: String,
    pub revision: Revision,
    /// From the repository's root; empty is the root itself.
    pub folder: String,
    pub credentials: Option<CredentialName>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Revision {
    /// The remote's default branch.
    Default,
    /// A branch or a tag. Either may move.
    Named(String),
    /// A commit, all 40 digits of it.
    Commit(CommitId),
}

/// A folder of a file that holds a tree, `tar` compressed with gzip or zstd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArchiveSource {
    pub url: String,
    pub sha256: Digest,
    /// From the archive's root; empty is the root itself.
    pub folder: String,
    pub credentials: Option<CredentialName>,
}

/// The commit of each moving revision, by [`GitSource::moving`]. What is deployed is told by the config
/// repository's commits and these together.
pub type SourceCommits = BTreeMap<String, CommitId>;

/// What a source resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pinned {
    Folder(String),
    Git {
        url: String,
        commit: CommitId,
        revision: Revision,
        folder: String,
    },
    Archive {
        url: String,
        sha256: Digest,
        folder: String,
    },
    /// Nobody has asked yet.
    Unresolved {
        from: String,
    },
}

impl Source {
    /// A folder of the config repository, as it is.
    pub fn folder(path: impl Into<String>) -> Self {
        Self { origin: Origin::Folder(path.into()), exclude: Exclude::default(), build: None }
    }

    /// Whether its files lie elsewhere than in the config repository.
    pub fn is_elsewhere(&self) -> bool {
        !matches!(self.origin, Origin::Folder(_))
    }

    /// The git source whose commit has to be asked for.
    pub fn moving(&self) -> Option<&GitSource> {
        match &self.origin {
            Origin::Git(git) if git.moving().is_some() => Some(git),
            _ => None,
        }
    }
}

impl GitSource {
    /// The address and the revision, where that may stand for another commit tomorrow. With the credential: what one
    /// sees there, another may not.
    pub fn moving(&self) -> Option<String> {
        let revision = match &self.revision {
            Revision::Default => "HEAD",
            Revision::Named(name) => name,
            Revision::Commit(_) => return None,
        };
        let with = self.credentials.as_ref().map(|name| format!(" with {name}")).unwrap_or_default();
        Some(format!("{} {revision}{with}", self.url))
    }
}

/// A commit as people name it.
pub fn short_commit(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// A folder of the config repository; the root has no path.
fn local(f: &mut fmt::Formatter<'_>, folder: &str) -> fmt::Result {
    f.write_str(if folder.is_empty() { "the repository's root" } else { folder })
}

fn within(f: &mut fmt::Formatter<'_>, folder: &str) -> fmt::Result {
    if folder.is_empty() { Ok(()) } else { write!(f, ", folder {folder}") }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revision::Default => f.write_str("default branch"),
            Revision::Named(name) => f.write_str(name),
            Revision::Commit(commit) => f.write_str(short_commit(commit)),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Folder(path) => local(f, path),
            Origin::Git(git) => {
                write!(f, "git {} ({})", git.url, git.revision)?;
                within(f, &git.folder)
            }
            Origin::Archive(archive) => {
                write!(f, "archive {}", archive.url)?;
                within(f, &archive.folder)
            }
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pinned::Folder(path) => local(f, path),
            Pinned::Unresolved { from } => write!(f, "{from}, not fetched"),
            Pinned::Git { url, commit, revision, folder } => {
                write!(f, "git {url} at {}", short_commit(commit))?;
                if !matches!(revision, Revision::Commit(_)) {
                    write!(f, " ({revision})")?;
                }
                within(f, folder)
            }
            Pinned::Archive { url, sha256, folder } => {
                write!(f, "archive {url}, sha256 {}", sha256.short())?;
                within(f, folder)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pinned, Source};

    #[test]
    fn the_repositorys_root_has_a_name() {
        let shown = [Source::folder("").to_string(), Pinned::Folder(String::new()).to_string()];
        assert!(shown.iter().all(|shown| shown == "the repository's root"), "{shown:?}");
        assert_eq!(Source::folder("app").to_string(), "app");
    }
}
