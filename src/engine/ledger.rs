//! The repository as the engine uses it: git's blocking calls on threads made for them.

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::git::{GitError, Repository};

/// The config repository's mirror, shared by the passes of all environments.
#[derive(Clone)]
pub struct Ledger {
    repository: Arc<Mutex<Repository>>,
}

#[derive(Debug, Error)]
pub enum LedgerError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("a call to git did not end")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Ledger {
    pub fn new(repository: Repository) -> Self {
        Self { repository: Arc::new(Mutex::new(repository)) }
    }

    /// Runs a blocking call; calls go one after the other.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Repository) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let repository = self.repository.clone();
        // A call that panicked left git's own files consistent: they change by rename.
        let run = move || call(&repository.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(run).await??)
    }
}
