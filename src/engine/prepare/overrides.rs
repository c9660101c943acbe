//! The override file of the operator.
//!
//! Keeps true: no more of it is read than the [`Budget`] has; an error names the file. What it means is `declare`'s.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    declare::{self, Overrides},
    model::{
        budget::{Budget, read_text_within},
        finding::Finding,
    },
};

#[derive(Debug, Error)]
pub enum OverridesError {
    #[error("cannot read the override file {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the override file {} is not valid", path.display())]
    Invalid { path: PathBuf, findings: Vec<Finding> },
}

pub fn read(path: &Path) -> Result<Overrides, OverridesError> {
    let file = File::open(path).and_then(|file| read_text_within(file, Budget::STANDARD.file_bytes as u64));
    let text = file.map_err(|source| OverridesError::File { path: path.to_owned(), source })?;
    declare::read_overrides(&text, &path.display().to_string())
        .map_err(|findings| OverridesError::Invalid { path: path.to_owned(), findings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report;

    #[test]
    fn an_override_file_is_read_no_further_than_the_budget_allows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lab.yaml");
        std::fs::write(&path, "# a comment\n".repeat(100_000)).expect("it is written");
        let error = read(&path).expect_err("too large");
        let named = format!("cannot read the override file {}: it has more than 1 MiB in one file", path.display());
        assert!(report::chain(&error).starts_with(&named), "{error:?}");
        std::fs::write(&path, "instances: {}\n").expect("it is written");
        assert_eq!(read(&path).expect("it is small"), Overrides::default());
    }
}
