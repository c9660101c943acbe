//! What can stand against making releases, said so that a person knows which service, which source, and
//! what to do next.

use std::fmt;

use thiserror::Error;

use super::{BuildError, FetchError};
use crate::model::requirements;

/// Everything that stands against it, at once.
#[derive(Debug)]
pub struct ReleaseError {
    /// The services and sites that need the source, and what is wrong with it.
    pub troubles: Vec<(String, Trouble)>,
}

/// What is wrong with one source.
#[derive(Debug, Error)]
pub enum Trouble {
    #[error("the source folder {folder} is not in the repository; commit it or correct source.path")]
    NoFolder { folder: String },
    #[error("{from} holds no such folder; correct source.path")]
    NoFolderThere { from: String },
    #[error(
        "leaving out files of {from} by source.exclude takes this fleet over {most} steps; write fewer patterns, or name a \
         source with fewer files"
    )]
    TooMuchWork { from: String, most: usize },
    #[error("source.exclude leaves nothing of {from}; leave out less")]
    NothingLeft { from: String },
    #[error("{path}: the link to {target} leaves its release {from}; copy what it points at, or remove it")]
    LinkLeaves { from: String, path: String, target: String },
    #[error("{path} in {from} lies below {above}, which is no folder; make the source anew")]
    BelowFile { from: String, path: String, above: String },
    #[error("{path} is a git submodule, which is not followed; commit its files into {from}")]
    Submodule { from: String, path: String },
    #[error("{path:?} in {from} has a line break or tab in its name; rename it")]
    HostileName { from: String, path: String },
    #[error("{program} is {} {from}; correct run.exec, or the source", if *.there { "not executable in" } else { "not in" })]
    NoProgram { program: String, from: String, there: bool },
    #[error("in {from}, {why}; {}", why.hint())]
    Requirements { from: String, why: requirements::Trouble },
    #[error("{from} cannot be had: {why}")]
    Unfetched { from: String, why: FetchError },
    #[error("{from} is not built: {why}")]
    Unbuilt { from: String, why: Box<BuildError> },
}

impl ReleaseError {
    /// A build that failed by its own fault, with who needs it: the same commits would fail again.
    pub fn failed_build(&self) -> Option<(&str, &BuildError)> {
        self.troubles.iter().find_map(|(users, trouble)| match trouble {
            Trouble::Unbuilt { why, .. } if why.is_of_the_build() => Some((users.as_str(), &**why)),
            _ => None,
        })
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (users, trouble)) in self.troubles.iter().enumerate() {
            let line = if number == 0 { "" } else { "\n" };
            write!(f, "{line}{users}: {trouble}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ReleaseError {}
