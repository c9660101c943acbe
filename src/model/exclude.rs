//! What of a source does not travel: patterns as in a `.gitignore`.
//!
//! Keeps true: patterns that exist are well-formed; the same patterns leave out the same paths as git
//! would, wherever the tree comes from.

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Patterns, the last that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Exclude(Vec<String>);

impl TryFrom<Vec<String>> for Exclude {
    type Error = InvalidPattern;

    fn try_from(patterns: Vec<String>) -> Result<Self, InvalidPattern> {
        Self::new(patterns)
    }
}

impl From<Exclude> for Vec<String> {
    fn from(exclude: Exclude) -> Self {
        exclude.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{pattern}` is not a pattern of a .gitignore")]
pub struct InvalidPattern {
    pub pattern: String,
}

/// Patterns made ready to be asked of many paths.
pub struct Excluder(Gitignore);

impl Exclude {
    pub fn new(patterns: Vec<String>) -> Result<Self, InvalidPattern> {
        for pattern in &patterns {
            if compiled(std::slice::from_ref(pattern)).is_none() {
                return Err(InvalidPattern { pattern: pattern.clone() });
            }
        }
        Ok(Self(patterns))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn ready(&self) -> Excluder {
        // Each pattern was built alone already.
        Excluder(compiled(&self.0).unwrap_or_else(Gitignore::empty))
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

fn compiled(patterns: &[String]) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        builder.add_line(None, pattern).ok()?;
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(patterns: &[&str]) -> Vec<&'static str> {
        const PATHS: &[&str] = &["README.md", "build/keep", "build/x.js", "lib/a.test.js", "lib/build", "src/a.js"];
        let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let excluder = Exclude::new(patterns).expect("patterns").ready();
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
        let refused = Exclude::new(vec!["ok".to_owned(), "[z-a]".to_owned()]).expect_err("a range from its end");
        assert_eq!(refused.pattern, "[z-a]");
    }
}
