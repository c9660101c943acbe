//! What a step does, in one word.
//!
//! Owns: the closed list of verbs and their names in JSON, in records and in the ids of steps. Never does: saying
//! which action has which (`traits.rs`), or wording for people (`report/progress.rs`, `report/change.rs`).

use serde::{Deserialize, Serialize};

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
    /// Has nginx lead requests elsewhere for a while, or back.
    Shift,
    /// Has nginx lead the port of a service to another copy, or leave it.
    Switch,
    /// Waits until no request is under way at a replica.
    Drain,
    /// Waits until the replica of a unit is healthy.
    AwaitHealth,
    /// Waits, and makes sure that the replica of a unit has stayed healthy.
    Pause,
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
            Verb::Shift => "shift",
            Verb::Switch => "switch",
            Verb::Drain => "drain",
            Verb::AwaitHealth => "await-health",
            Verb::Pause => "pause",
        }
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
