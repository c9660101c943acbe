//! All kinds of events: a table, each with its name, its level and its fields.
//!
//! Owns the table. Keeps true: a name is said once, and every name has one kind. The README has the same table, for
//! people (`tests/report/events.rs`).

use serde::{Deserialize, Serialize};

use super::{Detail, Level};
use crate::model::{
    belief::Refusal,
    commit::CommitId,
    environment_state::Control,
    name::InstanceName,
    outcome::{Cause, Outcome},
    plan::{StepId, Summary, Verb},
    rights::Permission,
    status::{Health, Sync, WaitsOn},
};

macro_rules! events {
    ($($(#[doc = $meaning:literal])+ $name:literal $level:ident $kind:ident {
        $($(#[$about:meta])* $field:ident: $type:ty),* $(,)?
    })+) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "event")]
        pub enum EventKind {
            $($(#[doc = $meaning])+ #[serde(rename = $name)] $kind { $($(#[$about])* $field: $type,)* },)+
        }

        /// The name of a kind of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventName {
            $($(#[doc = $meaning])+ $kind,)+
        }

        impl EventName {
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            pub const fn level(self) -> Level {
                match self {
                    $(Self::$kind => Level::$level,)+
                }
            }
        }

        impl EventKind {
            pub const fn name(&self) -> EventName {
                match self {
                    $(Self::$kind { .. } => EventName::$kind,)+
                }
            }
        }
    };
}

events! {
    /// The controller starts following a repository.
    "controller.started" Info ControllerStarted { repository: Detail, state: Detail }
    /// The public key that the controller signs the history with.
    "controller.key" Info ControllerKey { key: Detail }
    /// The controller received a signal to stop. Scripts that run on hosts continue.
    "controller.stopping" Info ControllerStopping {}
    /// The controller exits while a deployment runs. The next controller resumes it.
    "controller.cut-short" Warning ControllerCutShort {}
    /// The loop has stopped making progress; systemd's watchdog may kill the process.
    "controller.stuck" Error ControllerStuck {}
    /// The controller has stopped.
    "controller.ended" Info ControllerEnded {}
    /// A task panicked. This is a bug in evenkeel.
    "task.panicked" Error TaskPanicked { task: Detail, why: Detail }
    /// The controller's socket stopped accepting requests.
    "socket.failed" Warning SocketFailed { why: Detail }
    /// The controller reads keys, tokens and secrets again at their next use.
    "credentials.reread" Info CredentialsReread {}
    /// The controller reconnects to all instances.
    "connections.renewed" Info ConnectionsRenewed {}
    /// Whether each build gets a cgroup of its own.
    "builds.confined" Info BuildsConfined { build_cgroups: bool, why: Option<Detail> }
    /// systemd did not accept a notification from the controller.
    "systemd.notify-failed" Warning SystemdNotifyFailed { why: Detail }

    /// The controller cannot read the repository.
    "repository.unread" Warning RepositoryUnread {
        /// Whether something is known to go on with.
        goes_on: bool, why: Detail,
    }
    /// The controller cannot watch a local repository and polls it instead.
    "repository.unwatched" Warning RepositoryUnwatched { why: Detail }
    /// The current commit of another repository is unknown.
    "source.unknown" Warning SourceUnknown {
        source: Detail,
        /// Whether its last known commit takes the place.
        goes_on: bool, why: Detail,
    }
    /// The environment requires checks, and the controller has no access to GitHub.
    "checks.unavailable" Warning ChecksUnavailable {}
    /// GitHub did not report the checks of a commit.
    "checks.unknown" Warning ChecksUnknown { commit: CommitId, why: Detail }
    /// The target commits of an environment cannot be resolved.
    "environment.unresolved" Warning EnvironmentUnresolved { branch: Detail, why: Detail }
    /// The status of an environment changed.
    "environment.changed" Debug EnvironmentChanged {
        commit: Option<CommitId>, sync: Sync, health: Health,
        /// What a merged commit waits for.
        waits_on: Option<WaitsOn>,
    }
    /// The controller ignores an untrusted entry of the history.
    "history.refused" Warning HistoryRefused { refusal: Refusal }
    /// The controller restored a history branch that was deleted at the remote.
    "history.restored" Warning HistoryRestored { commit: CommitId }
    /// A history branch was deleted at the remote and cannot be restored.
    "history.gone" Warning HistoryGone { why: Detail }
    /// A history branch was rewritten at the remote.
    "history.rewritten" Warning HistoryRewritten { ours: String, theirs: String }
    /// The history, or the list of its writers, cannot be read.
    "history.unread" Warning HistoryUnread { why: Detail }
    /// A setting that would make the history safer.
    "history.advice" Warning HistoryAdvice { advice: Detail }
    /// The controller appended a commit to a history.
    "history.appended" Debug HistoryAppended { commit: CommitId }
    /// The plan of the target commits is refused; no host was changed.
    "commits.refused" Warning CommitsRefused { commit: Option<CommitId>, why: Detail }
    /// The controller cannot record a refusal yet.
    "refusal.unrecorded" Warning RefusalUnrecorded { commit: Option<CommitId>, why: Detail }
    /// The controller quarantines commits because it crashed while reading them.
    "commits.quarantined" Error CommitsQuarantined { commit: Option<CommitId>, why: Detail }
    /// A person lifted the quarantine of commits that crashed the controller.
    "commits.pardoned" Info CommitsPardoned { commit: Option<CommitId> }

    /// A sync failed.
    "sync.failed" Error SyncFailed { why: Detail }
    /// A newer commit or request superseded the sync.
    "sync.superseded" Info SyncSuperseded { why: Detail }
    /// The builds of a commit start.
    "build.begun" Info BuildBegun {}
    /// The controller observes the instances.
    "hosts.asked" Debug HostsAsked { instances: usize }
    /// An instance was observed.
    "host.observed" Debug HostObserved { instance: InstanceName, ms: u64 }
    /// An instance cannot be observed.
    "host.unreachable" Warning HostUnreachable { instance: InstanceName, why: Detail }
    /// An instance is reachable again.
    "host.back" Info HostBack { instance: InstanceName }
    /// An instance cannot be fenced against an earlier controller.
    "host.unfenced" Warning HostUnfenced { instance: InstanceName, why: Detail }
    /// An instance cannot be asked to scrub its releases.
    "releases.unread" Warning ReleasesUnread { instance: InstanceName, why: Detail }

    /// A deployment begins.
    "deployment.begun" Info DeploymentBegun { commit: Option<CommitId>, plan: Summary }
    /// A deployment ended, with whatever outcome.
    "deployment.ended" Info DeploymentEnded {
        outcome: Outcome, ms: Option<u64>,
        /// Of what failed first, as the fields after it.
        cause: Option<Cause>, instance: Option<InstanceName>, step: Option<StepId>, why: Option<Detail>,
    }
    /// The controller ends a deployment that another process left open.
    "deployment.found-open" Info DeploymentFoundOpen { by: Detail }
    /// The commits of an open deployment cannot be prepared.
    "deployment.unprepared" Warning DeploymentUnprepared { why: Detail }
    /// The controller cannot record yet that a partial deployment is complete.
    "completion.unrecorded" Warning CompletionUnrecorded { why: Detail }
    /// The controller cannot record the outcome of a deployment yet.
    "outcome.unrecorded" Warning OutcomeUnrecorded { outcome: Outcome, why: Detail }
    /// The controller recorded an outcome that it could not record earlier.
    "outcome.recorded" Info OutcomeRecorded { outcome: Outcome }
    /// Another controller wrote to the history first, so an outcome is never recorded.
    "outcome.lost" Warning OutcomeLost {
        outcome: Outcome, controller: Detail,
        /// The generation that the history has in its place.
        newest: Option<u64>, newest_by: Option<Detail>, why: Detail,
    }
    /// The repair of drift begins.
    "drift.seen" Info DriftSeen { plan: Summary }
    /// A login or command that may have caused the drift.
    "drift.suspect" Info DriftSuspect { suspect: Detail }
    /// The repair of drift ended, with whatever outcome.
    "drift.repaired" Info DriftRepaired {
        outcome: Outcome, ms: Option<u64>,
        /// Of what failed first, as the fields after it.
        cause: Option<Cause>, instance: Option<InstanceName>, step: Option<StepId>, why: Option<Detail>,
    }
    /// A phase of a deployment begins on all its instances.
    "phase.begun" Info PhaseBegun { number: u32, of: u32, title: Detail }
    /// A step begins.
    "step.begun" Debug StepBegun { instance: InstanceName, step: StepId, verb: Verb, subject: String }
    /// A step is done.
    "step.done" Info StepDone { instance: InstanceName, step: StepId, verb: Verb, subject: String }
    /// A step failed.
    "step.failed" Error StepFailed { instance: InstanceName, step: StepId, verb: Verb, subject: String, why: Detail }
    /// A replica of a service passed its health check.
    "service.healthy" Info ServiceHealthy { instance: InstanceName, service: String, after_ms: u64 }
    /// A replica of a service did not become healthy in time.
    "service.unhealthy" Warning ServiceUnhealthy { instance: InstanceName, service: String, why: Detail }
    /// An unhealthy replica reached its `repair_limit`; the controller stops restarting it.
    "service.given-up" Warning ServiceGivenUp { instance: InstanceName, unit: String, times: u32 }
    /// The rollback of an instance begins.
    "rollback.begun" Info RollbackBegun { instance: InstanceName }
    /// The rollback of an instance is complete.
    "rollback.done" Info RollbackDone { instance: InstanceName }
    /// The rollback of an instance failed; the instance is left half-way.
    "rollback.failed" Warning RollbackFailed { instance: InstanceName, why: Detail }
    /// One change could not be rolled back.
    "rollback.step-failed" Warning RollbackStepFailed { instance: InstanceName, subject: String, why: Detail }
    /// More changes could not be rolled back, all for the same reason.
    "rollback.steps-failed" Warning RollbackStepsFailed { instance: InstanceName, more: usize, why: Detail }

    /// The controller recorded a control (hold, resume, retry, pin) and follows it.
    "control.recorded" Info ControlRecorded { control: Control, by: Detail }
    /// A person cancelled the running deployment.
    "control.cancelled" Info ControlCancelled { by: Detail, reason: Detail }

    /// The webhook listens on an address.
    "webhook.listening" Info WebhookListening { address: String }
    /// The webhook cannot accept connections.
    "webhook.unreachable" Warning WebhookUnreachable { why: Detail }
    /// A file with a webhook secret cannot be read.
    "webhook.secret-unread" Warning WebhookSecretUnread { why: Detail }
    /// No webhook secret can be read, so every delivery is rejected.
    "webhook.unchecked" Error WebhookUnchecked { why: Detail }
    /// GitHub pinged the webhook.
    "webhook.pinged" Info WebhookPinged { delivery: Detail }
    /// A delivery without a valid signature was rejected. Logged at most once a minute.
    "webhook.refused" Warning WebhookRefused {}
    /// A push triggers a sync.
    "webhook.pushed" Info WebhookPushed { delivery: Detail, reference: Detail }
    /// The webhook queued a delivery.
    "webhook.delivered" Info WebhookDelivered { delivery: Detail, github_event: Detail }
    /// GitHub sent a delivery again; it is ignored.
    "webhook.repeated" Info WebhookRepeated { delivery: Detail, github_event: Detail }
    /// The queue is full and a delivery was dropped. Polling catches up.
    "webhook.dropped" Warning WebhookDropped { delivery: Detail, github_event: Detail, why: Detail }

    /// The plan of a pull request is in its comment.
    "pull.planned" Info PullPlanned { pull: u64 }
    /// The plan of a pull request is postponed.
    "pull.postponed" Warning PullPostponed { pull: u64, seconds: u64, why: Detail }
    /// GitHub did not list the open pull requests.
    "pulls.unknown" Warning PullsUnknown { why: Detail }
    /// Refs of closed pull requests cannot be deleted.
    "pulls.kept" Warning PullsKept { why: Detail }
    /// GitHub did not list new comments.
    "comments.unknown" Warning CommentsUnknown { why: Detail }
    /// A person gave a command in a pull request.
    "command.asked" Info CommandAsked { pull: u64, by: Detail, permission: Permission, command: Detail }
    /// The comment with a command could not get its reaction.
    "command.unmarked" Warning CommandUnmarked { pull: u64, why: Detail }
    /// A command failed; the reply says why.
    "command.failed" Warning CommandFailed { pull: u64, why: Detail }
    /// GitHub did not say whether a person is in a team.
    "team.unknown" Warning TeamUnknown { pull: u64, by: Detail, team: Detail, why: Detail }
    /// A command was already handled; the repeat is ignored.
    "command.repeated" Info CommandRepeated { pull: u64, comment: u64, command: Detail }
    /// A command is postponed until GitHub answers.
    "command.postponed" Warning CommandPostponed { pull: u64, seconds: u64, why: Detail }
    /// The reply to a command could not be posted.
    "command.unanswered" Warning CommandUnanswered { pull: u64, why: Detail }
    /// The App's installation changed, and evenkeel signed in again.
    "github.signed-in" Info GitHubSignedIn { action: Detail }
    /// The App's installation changed, and GitHub does not answer.
    "github.silent" Warning GitHubSilent { action: Detail, why: Detail }
    /// GitHub no longer grants access. A person has to restore it.
    "github.shut-out" Error GitHubShutOut { action: Detail, why: Detail }
    /// A deployment is reported on GitHub.
    "deployment.reported" Info DeploymentReported {}
    /// A deployment could not be reported on GitHub yet.
    "deployment.report-failed" Warning DeploymentReportFailed { why: Detail }
    /// The pull request that reverts a failed commit could not be opened.
    "revert.failed" Warning RevertFailed { why: Detail }
    /// A pending deployment is reported on GitHub.
    "wait.reported" Info WaitReported {}
    /// A pending deployment could not be reported on GitHub yet.
    "wait.report-failed" Warning WaitReportFailed { why: Detail }

    /// A subscriber was too slow and missed events.
    "events.missed" Warning EventsMissed { missed: u64 }
}
