//! A repository with a GitHub of its own, and clients that sign in there.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use evenkeel::github::{self, Pace, Settings, SignIn, settings};
use tempfile::TempDir;

use super::{
    git::git,
    github::{APP, GitHub, REPOSITORY},
};

/// A repository with a fleet, and its GitHub.
pub struct Hosted {
    pub github: GitHub,
    pub folder: TempDir,
}

impl Hosted {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        git(folder.path(), &["init", "--quiet", "clone"]);
        git(folder.path(), &["init", "--quiet", "--bare", "config.git"]);
        let (clone, bare) = (folder.path().join("clone"), folder.path().join("config.git"));
        commit(&clone, "fleet.yaml", "name: demo\n");
        git(&clone, &["push", "--quiet", "../config.git", "main"]);
        let github = GitHub::start(&bare, &clone);
        Self { github, folder }
    }

    pub fn clone(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    /// A branch with one commit.
    pub fn branch(&self, name: &str) -> String {
        git(&self.clone(), &["checkout", "--quiet", "-b", name, "main"]);
        let commit = commit(&self.clone(), &format!("{name}.yaml"), "port: 1\n");
        git(&self.clone(), &["checkout", "--quiet", "main"]);
        commit
    }

    pub fn settings(&self, sign_in: SignIn) -> Settings {
        let (repository, api) = settings::at(&self.github.repository()).expect("it is an address");
        assert_eq!((api.as_str(), repository.to_string().as_str()), (self.github.api().as_str(), REPOSITORY));
        Settings { repository, api, sign_in, ca_file: Some(self.github.authority()) }
    }

    pub fn with(&self, sign_in: SignIn) -> github::GitHub {
        let pace = Pace {
            between_writes: Duration::ZERO,
            loss_timer: Duration::from_secs(5),
            first_retry: Duration::from_millis(1),
            timeout: Duration::from_secs(5),
        };
        github::GitHub::with(&self.settings(sign_in), pace, Arc::new(Utc::now)).expect("a client can be made")
    }

    pub fn app(&self) -> github::GitHub {
        self.with(SignIn::App { id: APP, key_file: self.github.key_file() })
    }

    pub fn token(&self) -> github::GitHub {
        self.with(SignIn::Token { file: self.github.token_file() })
    }
}

pub fn commit(clone: &Path, path: &str, text: &str) -> String {
    std::fs::write(clone.join(path), text).expect("it can be written");
    git(clone, &["add", "--all"]);
    git(clone, &["commit", "--quiet", "--message", path]);
    git(clone, &["rev-parse", "HEAD"])
}
