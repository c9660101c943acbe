//! One host: how it is looked at and how it is changed.
//!
//! Owns: SSH connections, the probe and its parser, the apply and undo scripts and their events,
//! health checks. Keeps true: nothing connects without a pinned host key; every value reaches a shell
//! quoted; a part that did not answer is Unknown, never Absent. Never does: deciding what to change.

mod apply;
mod apply_groups;
mod apply_script;
mod connect_error;
mod contents;
mod dial;
mod health;
mod jump;
mod login;
mod login_audit;
mod loss_timer;
mod opening;
mod parse;
mod payload;
mod probe;
mod progress;
mod proof;
mod proof_queue;
mod quote;
mod releases;
mod scripts;
mod shell;
mod ssh;
mod ssh_host;
pub mod waits;

use std::{collections::BTreeSet, future::Future, time::Duration};

use thiserror::Error;
use tokio::time::Instant;

pub use apply::{FailedStep, HostProgress, PHASE_LIMIT, PhaseWork, StepEvent, TrailState};
pub use connect_error::ConnectError;
pub use dial::Namespace;
pub use jump::Jumps;
pub use login_audit::Trace;
pub use loss_timer::LossTimer;
pub use probe::{ProbeRequest, Remembered, question};
pub use releases::ReleaseTransfer;
pub use ssh::Target;
pub use ssh_host::{STAGE_LIMIT, SshHost};

use crate::model::{
    confinement::Confinement,
    desired::{Desired, DesiredFile},
    digest::Digest,
    failure::Failure,
    fleet::Check,
    name::{FleetName, InstanceName},
    observation::Observation,
    outcome::Cause,
    plan::Step,
    release::{Holdings, Placed},
    run::Run,
};

/// Why a host did not do what it was asked. Whoever tells it names the instance.
#[derive(Debug, Error)]
pub enum HostError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection is gone or silent: what the host did is not known.
    #[error("lost while {doing}: {why}")]
    Lost {
        doing: &'static str,
        why: String,
        /// When it was heard last by who asked it this; none: not since.
        heard: Option<Instant>,
    },
    /// There is no root shell, and trying again mends nothing.
    #[error("{why}")]
    NoRoot { why: String },
    /// A stage of the way to a root shell does not end in time.
    #[error("{why}")]
    Slow { why: String },
    /// The host answered that it could not.
    #[error("{doing} ended with status {status}: {output}")]
    Status { doing: &'static str, status: i32, output: String },
    #[error("the answer to {doing} is not understood: {why}")]
    Garbled { doing: &'static str, why: String },
    #[error("{}", .0.message)]
    Step(FailedStep),
    #[error("phase {phase} was not done within {seconds} s")]
    TooLong { phase: u32, seconds: u64 },
    #[error("another deployment is running there (unit {unit}); wait for it to end, then plan again")]
    Busy { unit: String },
    #[error("phase {phase} was cut off: the host went down, or its script was killed")]
    CutOff { phase: u32 },
    #[error(
        "release {release} needs {needed} MiB, and {free} MiB are free where releases lie; \
         make room there, or remove releases that nothing uses"
    )]
    NoRoom { release: String, needed: u64, free: u64 },
    #[error(
        "release {release} needs {needed} inodes, and {free} are free where releases lie (`df -i`); \
         remove files there, or releases that nothing uses"
    )]
    NoInodes { release: String, needed: u64, free: u64 },
    #[error("release {release} does not come out as it should there: {paths}; look at the host's disk")]
    Damaged { release: String, paths: String },
    #[error("could not pack release {release}")]
    Pack { release: String, source: std::io::Error },
}

impl HostError {
    /// Whether the host may answer soon again: it was lost, or is not there at the moment.
    pub fn may_pass(&self) -> bool {
        match self {
            HostError::Lost { .. } | HostError::Slow { .. } => true,
            HostError::Connect(error) => error.may_pass(),
            _ => false,
        }
    }

    /// The failure as it is recorded.
    pub fn failure(&self, instance: &InstanceName) -> Failure {
        let cause = match self {
            HostError::Connect(_) | HostError::Lost { .. } | HostError::NoRoot { .. } | HostError::Slow { .. } => {
                Cause::Lost
            }
            HostError::Busy { .. } => Cause::Overtaken,
            HostError::Step(failed) => failed.cause,
            HostError::CutOff { .. } => Cause::Interrupted,
            HostError::Status { .. }
            | HostError::Garbled { .. }
            | HostError::TooLong { .. }
            | HostError::NoRoom { .. }
            | HostError::NoInodes { .. }
            | HostError::Damaged { .. }
            | HostError::Pack { .. } => Cause::Host,
        };
        let failure = Failure::of_instance(instance, cause, self.to_string());
        match self {
            // The word of a host: what is no id is not told.
            HostError::Step(failed) => Failure { step: failed.step.parse().ok(), ..failure },
            _ => failure,
        }
    }
}

/// What a health check said. A tunnel that fails is Unknown, never unhealthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Unhealthy(String),
    Unknown(String),
}

/// What a health check said, and how the unit behind it runs, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    pub health: Health,
    pub run: Option<Run>,
}

impl From<Health> for Checkup {
    fn from(health: Health) -> Self {
        Self { health, run: None }
    }
}

/// What to check, on which replica.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    pub check: Check,
    /// A text that the answer to an HTTP check has to contain.
    pub body: Option<String>,
    pub port: u16,
    pub timeout: Duration,
    /// For commands: as whom, where, and with which environment files.
    pub user: String,
    pub directory: String,
    pub env_files: Vec<String>,
    /// And in which unit's view of the host: what the service cannot do, the command cannot either.
    pub unit: String,
    pub confined_by: BTreeSet<Confinement>,
    /// The unit that has the port; None: the service's own.
    pub held_by: Option<String>,
}

/// A host as whoever only looks knows it: nothing here changes it. Tests put stateful stand-ins behind it.
///
/// What plans a proposal that nobody trusts has this alone (`pulls/`), so it cannot be made to change a host.
pub trait HostRead: Send + Sync + 'static {
    /// What is waited for there at this moment, as far as it is known.
    fn waits_for(&self) -> Option<String> {
        None
    }

    /// Looks at everything the question names, in one round trip.
    fn probe(&self, question: &ProbeRequest) -> impl Future<Output = Result<Observation, HostError>> + Send;

    /// Reads small files of ours whole, to show what differs. A file that cannot be read is left out.
    fn read(&self, paths: &[String]) -> impl Future<Output = Result<Vec<(String, Vec<u8>)>, HostError>> + Send;

    /// What is held here before a release is put in place.
    fn holdings(&self, fleet: &FleetName, release: &Digest)
    -> impl Future<Output = Result<Holdings, HostError>> + Send;

    /// What became of a deployment here.
    fn trail(
        &self,
        fleet: &FleetName,
        deployment: &str,
    ) -> impl Future<Output = Result<HostProgress, HostError>> + Send;

    /// Who was there when these files were changed: logins and sudo lines of the minutes before.
    fn traces(&self, paths: &[String]) -> impl Future<Output = Result<Vec<Trace>, HostError>> + Send;

    fn health(&self, check: &HealthCheck) -> impl Future<Output = Checkup> + Send;

    /// The drop-ins that systemd has read for a unit: none of them is evenkeel's.
    fn drop_ins(&self, unit: &str) -> impl Future<Output = Result<Vec<String>, HostError>> + Send;

    /// The last lines a unit logged.
    fn log(&self, unit: &str, lines: u32) -> impl Future<Output = Result<Vec<String>, HostError>> + Send;
}

/// A host as whoever carries a deployment out knows it.
pub trait HostWrite: HostRead {
    /// Puts a release in place; nothing that runs changes.
    fn stage(
        &self,
        fleet: &FleetName,
        transfer: &ReleaseTransfer<'_>,
    ) -> impl Future<Output = Result<Placed, HostError>> + Send;

    /// Has the host read every byte of releases that lie there, when it has time. What is no longer as it was
    /// placed a later look finds changed.
    fn reread(
        &self,
        fleet: &FleetName,
        releases: &BTreeSet<Digest>,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Carries out the steps of one phase as the host's transient unit; on failure the host undoes itself.
    fn apply(
        &self,
        work: &PhaseWork,
        steps: &[&Step],
        events: &mut (dyn FnMut(StepEvent) + Send),
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Puts back what a deployment changed here: in one of its phases, or in all of them, newest first.
    /// A deployment that never came here has nothing to undo.
    fn undo(
        &self,
        fleet: &FleetName,
        deployment: &str,
        phase: Option<u32>,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// As [`Self::undo`] of all phases, unless the deployment has been finished or undone when its turn comes.
    fn heal(&self, fleet: &FleetName, deployment: &str) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Makes the host refuse every deployment older than `generation`, and ends what one of them runs.
    fn fence(&self, fleet: &FleetName, generation: u64) -> impl Future<Output = Result<(), HostError>> + Send;
}

/// Which paths' live content differs from what any of `desired` says and is worth showing. Where one of them seals a
/// path, what lies there is none of the others' business.
pub fn differing(observation: &Observation, desired: &[&Desired]) -> BTreeSet<String> {
    let owned = observation.owned();
    let live = |path: &str| -> Option<Digest> { observation.files.get(path)?.known()?.digest() };
    let files = || desired.iter().flat_map(|desired| desired.all_files());
    let sealed: BTreeSet<&String> =
        files().filter(|(_, file)| file.content.is_sealed()).map(|(path, _)| path).collect();
    let differs = |path: &String, file: &DesiredFile| {
        owned.is_some_and(|manifest| manifest.owns(path)) && live(path).is_some_and(|live| live != file.digest())
    };
    let differing = files().filter(|(path, file)| !sealed.contains(path) && differs(path, file));
    differing.map(|(path, _)| path.clone()).collect()
}
