//! What a command that failed says, and the code it exits with.

use std::error::Error;

use super::{ERROR, REFUSED, common};
use crate::{
    engine::{
        prepare::{PrepareError, config::StoreError, overrides::OverridesError},
        requests::control::ControlError,
        sync::{deploy::DeployError, error::SyncError},
    },
    git::GitError,
    model::finding::Finding,
    report,
};

/// A command's failure. Shown once, by `main`.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
    pub hint: Option<String>,
    /// Shown in full before the message.
    pub findings: Vec<Finding>,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, findings: Vec::new() }
    }

    /// With the chain of its causes.
    pub fn of(error: &dyn Error) -> Self {
        Self::new(ERROR, report::chain(error))
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn print(&self) {
        if !self.findings.is_empty() {
            let text = report::findings::text(&self.findings, common::style().0);
            common::say(text.strip_suffix('\n').unwrap_or(&text));
        }
        common::say(&report::message::failure(&self.message, self.hint.as_deref(), common::style()));
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        let hint = error.hint();
        let mut failure = Self::of(&error);
        failure.hint = hint;
        failure
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Git(error) => error.into(),
            StoreError::Unlisted { .. } | StoreError::NoWriter { .. } => Self { code: REFUSED, ..Self::of(&error) },
            StoreError::Panicked(_) | StoreError::Unreadable { .. } => Self::of(&error),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => error.into(),
            // Everything else says no.
            error => Self { code: REFUSED, ..Self::of(&error) },
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        let mut failure = Self::of(&error);
        match &error {
            DeployError::AnotherController { .. } | DeployError::Outdated { .. } | DeployError::TakenOver { .. } => {
                failure.code = REFUSED
            }
            DeployError::UnderWay { .. } => {
                failure.code = REFUSED;
                failure.hint = Some("wait for it to end; if that controller is gone for good: --take-over".to_owned());
            }
            _ => {}
        }
        failure
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => error.into(),
            SyncError::Deploy(error) => error.into(),
            SyncError::Prepare(error) => error.into(),
            SyncError::Invalid { findings, .. } if !findings.is_empty() => PrepareError::Invalid { findings }.into(),
            SyncError::Refused(_) => Self { code: REFUSED, ..Self::of(&error) },
            error => Self::of(&error),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let mut failure = Self::of(&error);
        if let PrepareError::Invalid { findings } = error {
            failure.findings = findings;
            failure.code = REFUSED;
        }
        failure
    }
}

impl From<OverridesError> for Failure {
    fn from(error: OverridesError) -> Self {
        let mut failure = Self::of(&error);
        if let OverridesError::Invalid { findings, .. } = error {
            failure.findings = findings;
        }
        failure
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error)
    }
}
