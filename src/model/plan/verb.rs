//! What a step does, in one word.
//!
//! Owns: the closed list of verbs and their names in JSON, in records and in the ids of steps. Keeps true: every action
//! has one. Never does: wording for people (`report/progress.rs`, `report/change.rs`).

use serde::{Deserialize, Serialize};

use super::{Action, Before};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Installs packages.
    Install,
    /// Sends a release, named by its digest.
    Stage,
    /// Builds a virtual environment, named by its digest.
    Build,
    /// Creates a file or link.
    Create,
    /// Changes a file, link or folder that is there.
    Update,
    /// Deletes a file or link.
    Delete,
    /// Stops and disables a unit.
    Stop,
    /// Enables a unit.
    Enable,
    /// Starts a unit.
    Start,
    /// Restarts a unit.
    Restart,
    /// Reloads nginx, or the files of a unit.
    Reload,
    /// Waits until the replica of a unit is healthy.
    AwaitHealth,
}

impl Verb {
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Install => "install",
            Verb::Stage => "stage",
            Verb::Build => "build",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
            Verb::Stop => "stop",
            Verb::Enable => "enable",
            Verb::Start => "start",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
            Verb::AwaitHealth => "await-health",
        }
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Action {
    pub fn verb(&self) -> Verb {
        match self {
            Action::InstallPackages { .. } => Verb::Install,
            Action::StageRelease { .. } => Verb::Stage,
            Action::BuildVenv { .. } => Verb::Build,
            Action::WriteFile { before: Before::Absent, .. } | Action::WriteLink { before: Before::Absent, .. } => {
                Verb::Create
            }
            Action::WriteFile { .. }
            | Action::WriteLink { .. }
            | Action::SealManifest { .. }
            | Action::MendFolder { .. } => Verb::Update,
            Action::RemoveFile { .. } => Verb::Delete,
            Action::StopUnit { .. } => Verb::Stop,
            Action::EnableUnit { .. } => Verb::Enable,
            Action::StartUnit { .. } => Verb::Start,
            Action::RestartUnit { .. } => Verb::Restart,
            Action::ReadUnits { .. } | Action::ReloadNginx { .. } | Action::ReleaseNginx => Verb::Reload,
            Action::AwaitHealth { .. } => Verb::AwaitHealth,
        }
    }
}
