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
