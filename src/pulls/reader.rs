//! The process that reads one proposal, as the controller has it: it is asked, and what it says is checked.
//!
//! Keeps true: an answer is read within the budget, off the runtime's threads; a content is what its digest says.

use std::{collections::BTreeSet, path::PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::{sync::Mutex, task::spawn_blocking};

use super::apart::{Answer, COMMAND, Contents, Question, Reading};
use crate::{
    engine::prepare::confined::{Confined, ConfinedError, Limits},
    model::{budget::Budget, digest::Digest, name::EnvironmentName, plan::Plan},
    plan::Observed,
};

/// How proposals are read.
#[derive(Debug, Clone)]
pub struct ReaderSetup {
    /// This program.
    pub program: PathBuf,
    pub limits: Limits,
    /// The state directory: what was fetched for the base lies there.
    pub state: PathBuf,
    /// Where builds are kept.
    pub builds: Option<PathBuf>,
    pub overrides: Option<PathBuf>,
}

impl ReaderSetup {
    /// `state` is the controller's state directory.
    pub fn new(state: PathBuf, limits: Limits) -> Self {
        // Also when the file was replaced by a newer one: it is the program that runs.
        let (program, builds) = (PathBuf::from("/proc/self/exe"), Some(state.join("builds")));
        Self { program, limits, state, builds, overrides: None }
    }
}

#[derive(Debug, Error)]
pub enum ReaderError {
    #[error("reading this proposal was ended: {0}")]
    Confined(#[from] ConfinedError),
    #[error("the process that reads proposals gave an answer that is none, which is a fault of evenkeel")]
    Answer(#[source] serde_json::Error),
    #[error("the process that reads proposals left out what it was asked for, which is a fault of evenkeel")]
    Lacking,
    #[error("a task of the reader ended in a panic, which is a fault of evenkeel")]
    Panicked(#[from] tokio::task::JoinError),
}

/// One such process.
pub struct Reader(Mutex<Confined>);

impl Reader {
    /// Starts it and has it read.
    pub async fn start(setup: &ReaderSetup, reading: Reading) -> Result<(Self, Answer), ReaderError> {
        let reader = Self(Mutex::new(Confined::start(&setup.program, COMMAND, setup.limits)?));
        let answer = reader.ask(Question::Read(reading)).await?;
        Ok((reader, answer))
    }

    /// Contents of files, together no more than one answer may have.
    pub async fn contents(&self, digests: BTreeSet<Digest>) -> Result<Contents, ReaderError> {
        let mut contents = Contents::new();
        let mut left = Budget::STANDARD.answer_bytes;
        let mut process = self.0.lock().await;
        let mut question = Some(question(Question::Contents(digests.iter().copied().collect()))?);
        for digest in digests {
            let content = match question.take() {
                Some(question) => process.ask(&question, left).await?,
                None => process.more(left).await?,
            };
            left -= content.len() as u64;
            let (found, content) = spawn_blocking(move || (Digest::of(&content), content)).await?;
            if found != digest {
                return Err(ReaderError::Lacking);
            }
            contents.insert(digest, content.into());
        }
        Ok(contents)
    }

    /// The plan of an environment as it would be, from what its hosts said.
    pub async fn plan(
        &self,
        environment: &EnvironmentName,
        observed: Observed,
        newest_generation: Option<u64>,
    ) -> Result<Plan, ReaderError> {
        let environment = environment.clone();
        let plan = self.ask(Question::Plan { environment, observed, newest_generation }).await?;
        Option::ok_or(plan, ReaderError::Lacking)
    }

    async fn ask<T: DeserializeOwned + Send + 'static>(&self, asked: Question) -> Result<T, ReaderError> {
        let asked = spawn_blocking(move || question(asked)).await??;
        let answer = self.0.lock().await.ask(&asked, Budget::STANDARD.answer_bytes).await?;
        spawn_blocking(move || serde_json::from_slice(&answer)).await?.map_err(ReaderError::Answer)
    }
}

fn question(asked: Question) -> Result<Vec<u8>, ReaderError> {
    serde_json::to_vec(&asked).map_err(ReaderError::Answer)
}
