//! Which repository is meant when nobody says: the `origin` of the clone around a folder, else that clone.

use std::path::Path;

use super::GitError;

/// HEAD and what comes before it, the newest first, at most so many.
pub fn ancestors(folder: &Path, most: usize) -> Result<Vec<String>, GitError> {
    let told = |source| GitError::Git { doing: "read the commits of", what: folder.display().to_string(), source };
    let repository = git2::Repository::discover(folder).map_err(told)?;
    let mut walk = repository.revwalk().map_err(told)?;
    walk.push_head().map_err(told)?;
    walk.take(most).map(|id| id.map(|id| id.to_string()).map_err(told)).collect()
}

/// The address, in the form that [`super::RemoteUrl`] reads. None outside any repository.
pub fn nearest(folder: &Path) -> Result<Option<String>, GitError> {
    let told =
        |source| GitError::Git { doing: "look for a repository around", what: folder.display().to_string(), source };
    let repository = match git2::Repository::discover(folder) {
        Ok(repository) => repository,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(told(error)),
    };
    let origin = match repository.find_remote("origin") {
        Ok(origin) => origin.url().ok().map(str::to_owned),
        Err(error) if error.code() == git2::ErrorCode::NotFound => None,
        Err(error) => return Err(told(error)),
    };
    Ok(Some(origin.unwrap_or_else(|| repository.workdir().unwrap_or(repository.path()).display().to_string())))
}
