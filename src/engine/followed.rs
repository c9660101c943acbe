//! The branch that each environment follows.
//!
//! Keeps true: the default branch alone says which branch that is, so nobody moves an environment to a branch that
//! holds what he wrote; where its newest commit cannot be read, the newest one that can says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::reconcile::lock;
use crate::{
    declare,
    git::{GitError, Repository},
    model::name::EnvironmentName,
};

/// So many commits back a declaration is looked for that can be read.
const BACK: usize = 50;

type Branches = Arc<BTreeMap<EnvironmentName, String>>;

#[derive(Debug)]
pub(super) struct Followed {
    /// The fleet folder.
    folder: String,
    /// As the default branch's commit has it.
    known: Mutex<Option<(String, Branches)>>,
}

impl Followed {
    pub fn new(folder: &str) -> Self {
        Self { folder: folder.trim_matches('/').to_owned(), known: Mutex::default() }
    }

    /// The environment's branch, as this commit of the default branch has it.
    pub fn branch(
        &self,
        repository: &Repository,
        environment: &EnvironmentName,
        default: &str,
    ) -> Result<Option<String>, GitError> {
        Ok(self.branches(repository, default)?.get(environment).cloned())
    }

    fn branches(&self, repository: &Repository, default: &str) -> Result<Branches, GitError> {
        if let Some((of, branches)) = &*lock(&self.known)
            && of == default
        {
            return Ok(branches.clone());
        }
        let mut next = Some(default.to_owned());
        let mut branches = Branches::default();
        for _ in 0..BACK {
            let Some(commit) = next else { break };
            // A tree that holds a name which is not UTF-8 says nothing either.
            let tree = repository.folder(&commit, &self.folder).unwrap_or_default();
            let (declaration, _) = declare::read_shared(&tree, &self.folder);
            if let Some(declaration) = declaration.filter(|declaration| !declaration.has_broken_environments()) {
                let follows =
                    |name: &EnvironmentName| Some((name.clone(), declaration.environment_branch(name)?.to_owned()));
                branches = Arc::new(declaration.environments().into_iter().filter_map(follows).collect());
                break;
            }
            next = repository.parent(&commit)?;
        }
        *lock(&self.known) = Some((default.to_owned(), branches.clone()));
        Ok(branches)
    }
}
