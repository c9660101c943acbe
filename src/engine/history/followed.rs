//! What the default branch alone says of histories: which branch an environment follows, and who may write.
//!
//! Keeps true: nobody moves an environment to a branch that holds what he wrote, nor lists himself, without a merge to
//! the default branch; where its newest commit cannot be read, the newest one that can says so.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::{
    declare,
    git::{Fetched, GitError, Repository},
    model::{belief::Held, commit::CommitId, name::EnvironmentName, writer::Writer},
};

/// So many commits back a declaration is looked for that can be read.
const BACK: usize = 50;

/// As one commit of the default branch has it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Rules {
    pub branches: BTreeMap<EnvironmentName, String>,
    /// None: whoever may push to the history.
    pub writers: Option<Vec<Writer>>,
}

#[derive(Debug)]
pub(in crate::engine) struct Followed {
    /// The fleet folder.
    folder: String,
    known: Mutex<Option<(CommitId, Arc<Rules>)>>,
    /// The heads that were seen last.
    seen: Mutex<Option<BTreeMap<String, CommitId>>>,
}

impl Followed {
    pub fn new(folder: &str) -> Self {
        Self { folder: folder.trim_matches('/').to_owned(), known: Mutex::default(), seen: Mutex::default() }
    }

    /// What was fetched is seen: a branch that is pushed by force before anybody reads a history held it all the same.
    pub fn see(&self, repository: &Repository, fetched: &Fetched) -> Result<(), GitError> {
        if self.seen.lock().as_ref() == Some(&fetched.branches) {
            return Ok(());
        }
        for environment in self.now(repository)?.branches.keys() {
            repository.held(environment, &Held::default(), |default| {
                Ok(self.rules(repository, default)?.branches.get(environment).cloned())
            })?;
        }
        *self.seen.lock() = Some(fetched.branches.clone());
        Ok(())
    }

    /// The rules of the default branch as it was fetched last.
    pub fn now(&self, repository: &Repository) -> Result<Arc<Rules>, GitError> {
        match repository.default_head()? {
            Some(default) => self.rules(repository, &default),
            None => Ok(Arc::default()),
        }
    }

    /// The rules of this commit of the default branch.
    pub fn rules(&self, repository: &Repository, default: &CommitId) -> Result<Arc<Rules>, GitError> {
        if let Some((of, rules)) = &*self.known.lock()
            && of == default
        {
            return Ok(rules.clone());
        }
        let mut next = Some(default.clone());
        let mut rules = Arc::<Rules>::default();
        for _ in 0..BACK {
            let Some(commit) = next else { break };
            // A tree that holds a name which is not UTF-8 says nothing either.
            let tree = repository.folder(&commit, &self.folder).unwrap_or_default();
            let (declaration, _) = declare::read_shared(&tree, &self.folder);
            if let Some(declaration) = declaration.filter(|declaration| !declaration.has_broken_environments()) {
                let follows =
                    |name: &EnvironmentName| Some((name.clone(), declaration.environment_branch(name)?.to_owned()));
                let branches = declaration.environments().into_iter().filter_map(follows).collect();
                rules = Arc::new(Rules { branches, writers: declaration.history_writers() });
                break;
            }
            next = repository.parent(&commit)?;
        }
        *self.known.lock() = Some((default.clone(), rules.clone()));
        Ok(rules)
    }
}
