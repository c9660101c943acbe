//! What of a source does not travel: patterns as in a `.gitignore`.
//!
//! Keeps true: patterns that exist are well-formed, and no more than a [`Budget`] allows; the same patterns leave out
//! the same paths as git would, wherever the tree comes from.

use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{budget::Budget, text::name};

/// Patterns, the last that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Exclude(Arc<[String]>);

impl TryFrom<Vec<String>> for Exclude {
    type Error = InvalidExclude;

    fn try_from(patterns: Vec<String>) -> Result<Self, InvalidExclude> {
        Self::new(patterns, &Budget::STANDARD)
    }
}

impl From<Exclude> for Vec<String> {
    fn from(exclude: Exclude) -> Self {
        exclude.0.to_vec()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidExclude {
    #[error("`{}` is not a pattern of a .gitignore", name(pattern))]
    Pattern {
        pattern: String,
        /// Which of them it is.
        at: usize,
    },
    #[error(
        "{patterns} patterns with {bytes} bytes are more than the {most} patterns and {most_bytes} bytes that are taken"
    )]
    TooMany { patterns: usize, bytes: usize, most: usize, most_bytes: usize },
    #[error("these patterns are too complex together")]
    TooComplex,
}

/// What it costs in steps of a [`Budget`] to make a pattern ready, and to hold a path against one.
const READY: usize = 2_000;
const HELD: usize = 1;

/// Patterns made ready to be asked of many paths.
#[derive(Debug)]
pub struct Excluder(Gitignore);

impl Exclude {
    pub fn new(patterns: Vec<String>, budget: &Budget) -> Result<Self, InvalidExclude> {
        let (most, most_bytes) = (budget.patterns, budget.pattern_bytes);
        let bytes = patterns.iter().map(String::len).sum();
        if patterns.len() > most || bytes > most_bytes {
            return Err(InvalidExclude::TooMany { patterns: patterns.len(), bytes, most, most_bytes });
        }
        parsed(&patterns)?;
        Ok(Self(patterns.into()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What [`Self::try_ready`] costs in steps.
    pub fn steps_to_ready(&self) -> usize {
        self.len().saturating_mul(READY)
    }

    /// What [`Excluder::excludes`] costs in steps: the path is held against every pattern, and so are the folders that it
    /// lies in.
    pub fn steps_to_hold(&self, path: &str) -> usize {
        let held = 1 + path.matches('/').count();
        held.saturating_mul(HELD * (1 + self.len()))
    }

    /// Makes them ready, which takes long in comparison.
    pub fn try_ready(&self) -> Result<Excluder, InvalidExclude> {
        parsed(&self.0)?.build().map(Excluder).map_err(|_| InvalidExclude::TooComplex)
    }

    /// As [`Self::try_ready`], of patterns for which that was tried while declaring.
    pub fn ready(&self) -> Excluder {
        self.try_ready().unwrap_or_else(|_| Excluder(Gitignore::empty()))
    }
}

impl Excluder {
    /// Whether the file at `path` is left out. As in git, what lies in a folder that is left out cannot be
    /// taken back by a later pattern.
    pub fn excludes(&self, path: &str) -> bool {
        let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        folders.any(|folder| self.0.matched(folder, true).is_ignore()) || self.0.matched(path, false).is_ignore()
    }
}

/// Patterns as they are written: that is enough to see whether each is one.
fn parsed(patterns: &[String]) -> Result<GitignoreBuilder, InvalidExclude> {
    let mut builder = GitignoreBuilder::new("");
    for (at, pattern) in patterns.iter().enumerate() {
        if builder.add_line(None, pattern).is_err() {
            return Err(InvalidExclude::Pattern { pattern: pattern.clone(), at });
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(patterns: &[&str]) -> Vec<&'static str> {
        const PATHS: &[&str] = &["README.md", "build/keep", "build/x.js", "lib/a.test.js", "lib/build", "src/a.js"];
        let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let excluder = Exclude::new(patterns, &Budget::STANDARD).expect("patterns").ready();
        PATHS.iter().copied().filter(|path| !excluder.excludes(path)).collect()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        assert_eq!(left(&[]).len(), 6);
        assert_eq!(left(&["build"]), ["README.md", "lib/a.test.js", "src/a.js"]);
        assert_eq!(left(&["build/"]), ["README.md", "lib/a.test.js", "lib/build", "src/a.js"]);
        assert_eq!(left(&["/lib", "*.md"]), ["build/keep", "build/x.js", "src/a.js"]);
        assert_eq!(left(&["**/*.js", "!src/*.js"]), ["README.md", "build/keep", "lib/build", "src/a.js"]);
        // The folder itself is left out, so nothing in it comes back.
        assert_eq!(left(&["/build", "!/build/keep", "# a comment"]).len(), 4);
        assert_eq!(left(&["/build/*", "!/build/keep"]).len(), 5);
        assert_eq!(left(&["*", "!src", "!src/*.js"]), ["src/a.js"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let of =
            |patterns: &[&str]| Exclude::new(patterns.iter().map(|p| (*p).to_owned()).collect(), &Budget::STANDARD);
        let refused = InvalidExclude::Pattern { pattern: "[z-a]".to_owned(), at: 1 };
        assert_eq!(of(&["ok", "[z-a]"]), Err(refused), "a range from its end");
    }

    #[test]
    fn no_more_patterns_are_taken_than_the_budget_has() {
        let of = |patterns: usize, length: usize| Exclude::new(vec!["a".repeat(length); patterns], &Budget::STANDARD);
        assert!(of(1_000, 65).is_ok_and(|exclude| exclude.try_ready().is_ok()));
        assert!(matches!(of(1_001, 1), Err(InvalidExclude::TooMany { patterns: 1_001, most: 1_000, .. })));
        assert!(matches!(of(1_000, 66), Err(InvalidExclude::TooMany { bytes: 66_000, most_bytes: 65_536, .. })));
    }
}
