//! What holds for each kind of action, in one table.
//!
//! Owns: every answer that depends on the kind of an action alone. Keeps true: the table names each kind and each
//! trait, so that a new kind of either compiles only once all of its answers stand here. Never does: what depends on
//! more than the kind (`action.rs`), and wording (`report/`).

use super::{Action, Before, Verb};
use crate::model::drift::Difference;

/// What holds for a kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    pub verb: Verb,
    pub rank: Rank,
    pub side: Side,
    pub batch: Batch,
    pub files: FileEffect,
    /// The drift that it repairs. None: it only follows from other steps.
    pub repairs: Option<Difference>,
    pub follows: Follows,
    pub reason: ReasonTold,
    pub recorded: Recorded,
    pub takes: Takes,
}

/// When it is done within a phase on one instance: what must be out of the way stops first, then files, then processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Prepare,
    Provide,
    Drain,
    Stop,
    Remove,
    Write,
    Switch,
    Enable,
    Run,
    Serve,
    Await,
}

/// Who carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Controller,
    /// The host's script.
    Host,
}

/// With which neighbours in the plan a host carries it out as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    Alone,
    /// With files and links that change or go.
    WithFiles,
    /// With ports that nginx leads elsewhere.
    WithSwitches,
    /// With units that stop.
    WithStops,
    /// With units that are enabled.
    WithEnables,
    /// With units that start or restart.
    WithStarts,
}

/// What it does to the files of its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileEffect {
    NoFile,
    Creates,
    Updates,
    Deletes,
}

/// Because of which other steps of its resource it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Of none.
    Itself,
    /// It brings changed files into force. Where they stay as they are it would be done again and again.
    ByFiles,
    BySteps,
}

/// Where its reason says more than the step itself does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonTold {
    /// Beside the step, and in the record.
    Told,
    /// In the record alone.
    Noted,
    /// Nowhere.
    Implied,
}

/// Whether a deployment's record keeps the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Always,
    /// It is no news, or the change of its resource says it.
    Never,
    /// Unless the change of its resource, which is created, says it.
    UnlessNew,
    /// Unless the change of its resource, which is deleted, says it.
    UnlessGone,
}

/// What bounds the time that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Moments,
    /// A unit has to stop, each after the one before it.
    StopTime,
    /// The limit of its phase alone.
    PhaseTime,
    /// A release is sent.
    Upload,
    /// A replica has to become healthy.
    HealthTime,
}

impl Action {
    #[rustfmt::skip] // A table is read by its columns.
    pub const fn traits(&self) -> Traits {
        use self::{Batch::*, FileEffect::*, Follows::*, Rank::*, ReasonTold::*, Recorded::*, Side::*, Takes::*};
        use super::{super::drift::Difference::*, Verb as V};
        let (verb, rank, side, batch, files, repairs, follows, reason, recorded, takes) = match self {
            //   verb            rank     side        batch        files    repairs          follows  reason   recorded    takes
            Action::InstallPackages { .. } =>
                (V::Install,     Prepare, Host,       Alone,       Creates, Some(Packages),  Itself,  Noted,   Always,     PhaseTime),
            Action::MendFolder { .. } =>
                (V::Update,      Prepare, Host,       Alone,       Updates, Some(Modes),     Itself,  Told,    Always,     Moments),
            Action::SealManifest { .. } =>
                (V::Update,      Prepare, Host,       Alone,       Updates, Some(Modes),     Itself,  Told,    Never,      Moments),
            Action::StageRelease { .. } =>
                (V::Stage,       Provide, Controller, Alone,       NoFile,  Some(Releases),  Itself,  Implied, Always,     Upload),
            Action::BuildVenv { .. } =>
                (V::Build,       Provide, Host,       Alone,       NoFile,  Some(Releases),  Itself,  Told,    Always,     PhaseTime),
            Action::Drain { .. } =>
                (V::Drain,       Drain,   Host,       Alone,       NoFile,  None,            BySteps, Implied, Never,      PhaseTime),
            Action::StopUnit { foreign: true, .. } =>
                (V::Stop,        Stop,    Host,       Alone,       NoFile,  Some(Processes), Itself,  Implied, Always,     StopTime),
            Action::StopUnit { foreign: false, .. } =>
                (V::Stop,        Stop,    Host,       WithStops,   NoFile,  Some(Processes), Itself,  Told,    Always,     StopTime),
            Action::RemoveFile { .. } =>
                (V::Delete,      Remove,  Host,       WithFiles,   Deletes, Some(Files),     Itself,  Told,    UnlessGone, Moments),
            Action::WriteFile { before: Before::Absent, .. } | Action::WriteLink { before: Before::Absent, .. } =>
                (V::Create,      Write,   Host,       WithFiles,   Creates, Some(Files),     Itself,  Told,    Never,      Moments),
            Action::WriteFile { .. } | Action::WriteLink { .. } =>
                (V::Update,      Write,   Host,       WithFiles,   Updates, Some(Files),     Itself,  Told,    Always,     Moments),
            Action::SwitchPort { .. } =>
                (V::Switch,      Switch,  Host,       WithSwitches, NoFile, Some(Nginx),     ByFiles, Told,    Always,     Moments),
            Action::EnableUnit { .. } =>
                (V::Enable,      Enable,  Host,       WithEnables, NoFile,  Some(Enabled),   BySteps, Told,    UnlessNew,  Moments),
            Action::ReadUnits { .. } =>
                (V::Reload,      Enable,  Host,       Alone,       NoFile,  Some(Processes), Itself,  Told,    Never,      Moments),
            Action::StartUnit { .. } =>
                (V::Start,       Run,     Host,       WithStarts,  NoFile,  Some(Processes), BySteps, Told,    UnlessNew,  Moments),
            Action::RestartUnit { .. } =>
                (V::Restart,     Run,     Host,       WithStarts,  NoFile,  Some(Processes), ByFiles, Told,    Always,     StopTime),
            Action::ReloadNginx { .. } | Action::ReleaseNginx =>
                (V::Reload,      Serve,   Host,       Alone,       NoFile,  Some(Nginx),     ByFiles, Told,    Always,     Moments),
            Action::ShiftTraffic { .. } =>
                (V::Shift,       Serve,   Host,       Alone,       NoFile,  None,            BySteps, Implied, Never,      Moments),
            Action::AwaitHealth { .. } =>
                (V::AwaitHealth, Await,   Controller, Alone,       NoFile,  None,            BySteps, Implied, Never,      HealthTime),
            Action::Pause { .. } =>
                (V::Pause,       Await,   Controller, Alone,       NoFile,  None,            BySteps, Implied, Never,      HealthTime),
        };
        Traits { verb, rank, side, batch, files, repairs, follows, reason, recorded, takes }
    }
}
