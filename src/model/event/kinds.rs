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
    /// The controller begins to follow a repository.
    "controller.started" Info ControllerStarted { repository: Detail, state: Detail }
    /// The key that the controller signs the history with.
    "controller.key" Info ControllerKey { key: Detail }
    /// The controller is told to end. What runs on hosts goes on there.
    "controller.stopping" Info ControllerStopping {}
    /// The controller ends while something still runs. The next start looks at it again.
    "controller.cut-short" Warning ControllerCutShort {}
    /// The loop does not turn, so systemd's watchdog may end the process.
    "controller.stuck" Error ControllerStuck {}
    /// The controller has ended.
    "controller.ended" Info ControllerEnded {}
    /// A task panicked, which is a fault of evenkeel.
    "task.panicked" Error TaskPanicked { task: Detail, why: Detail }
    /// The controller's socket answers no longer.
    "socket.failed" Warning SocketFailed { why: Detail }
    /// Keys, tokens and secrets are read anew at their next use.
    "credentials.reread" Info CredentialsReread {}
    /// Connections to instances are made anew.
    "connections.renewed" Info ConnectionsRenewed {}
    /// Whether each build gets a cgroup of its own.
    "builds.confined" Info BuildsConfined { build_cgroups: bool, why: Option<Detail> }
    /// systemd does not take what it is told.
    "systemd.untold" Warning SystemdUntold { why: Detail }

    /// The repository does not say what is declared.
    "repository.unread" Warning RepositoryUnread {
        /// Whether something is known to go on with.
        goes_on: bool, why: Detail,
    }
    /// Changes of a local repository are found by polling alone.
    "repository.unwatched" Warning RepositoryUnwatched { why: Detail }
    /// Which commit another repository has is not known.
    "source.unknown" Warning SourceUnknown {
        source: Detail,
        /// Whether its last known commit takes the place.
        goes_on: bool, why: Detail,
    }
    /// Checks are required, and nobody can ask GitHub for them.
    "checks.unasked" Warning ChecksUnasked {}
    /// GitHub does not say how the checks of a commit are.
    "checks.unknown" Warning ChecksUnknown { commit: CommitId, why: Detail }
    /// The newest commits of an environment cannot be told.
    "environment.unresolved" Warning EnvironmentUnresolved { branch: Detail, why: Detail }
    /// The status of an environment is another one.
    "environment.changed" Debug EnvironmentChanged {
        commit: Option<CommitId>, sync: Sync, health: Health,
        /// What a merged commit waits for.
        waits_on: Option<WaitsOn>,
    }
    /// Something that the history says does not count.
    "history.refused" Warning HistoryRefused { refusal: Refusal }
    /// A history branch was gone at the remote, and is restored.
    "history.restored" Warning HistoryRestored { commit: CommitId }
    /// A history branch is gone at the remote, and cannot be restored.
    "history.gone" Warning HistoryGone { why: Detail }
    /// A history branch was rewritten at the remote.
    "history.rewritten" Warning HistoryRewritten { ours: String, theirs: String }
    /// The history, or who may write it, cannot be read.
    "history.unread" Warning HistoryUnread { why: Detail }
    /// What would make the history safer.
    "history.advice" Warning HistoryAdvice { advice: Detail }
    /// The controller appended a commit to a history.
    "history.appended" Debug HistoryAppended { commit: CommitId }
    /// Commits are refused before anything is touched.
    "commits.refused" Warning CommitsRefused { commit: Option<CommitId>, why: Detail }
    /// That commits are refused cannot be recorded now.
    "refusal.unrecorded" Warning RefusalUnrecorded { commit: Option<CommitId>, why: Detail }
    /// Commits are quarantined, for the controller died of them.
    "commits.quarantined" Error CommitsQuarantined { commit: Option<CommitId>, why: Detail }
    /// Somebody lifted the quarantine of commits that the controller died of.
    "commits.pardoned" Info CommitsPardoned { commit: Option<CommitId> }

    /// A sync failed.
    "sync.failed" Error SyncFailed { why: Detail }
    /// A sync ended because something newer is to be done.
    "sync.superseded" Info SyncSuperseded { why: Detail }
    /// What is not built yet is built.
    "build.begun" Info BuildBegun {}
    /// So many instances are looked at.
    "hosts.asked" Debug HostsAsked { instances: usize }
    /// An instance told what is live there.
    "host.observed" Debug HostObserved { instance: InstanceName, ms: u64 }
    /// An instance cannot be looked at.
    "host.unreachable" Warning HostUnreachable { instance: InstanceName, why: Detail }
    /// An instance that did not answer does again.
    "host.back" Info HostBack { instance: InstanceName }
    /// An instance cannot be told to refuse what an earlier controller may still send.
    "host.unfenced" Warning HostUnfenced { instance: InstanceName, why: Detail }
    /// An instance cannot be asked to read its releases again.
    "releases.unread" Warning ReleasesUnread { instance: InstanceName, why: Detail }

    /// A deployment was decided, and begins.
    "deployment.begun" Info DeploymentBegun { commit: Option<CommitId>, plan: Summary }
    /// A deployment ended, in whatever way.
    "deployment.ended" Info DeploymentEnded {
        outcome: Outcome, ms: Option<u64>,
        /// Of what failed first, as the fields after it.
        cause: Option<Cause>, instance: Option<InstanceName>, step: Option<StepId>, why: Option<Detail>,
    }
    /// A deployment was left open by a controller that is gone, and is ended.
    "deployment.found-open" Info DeploymentFoundOpen { by: Detail }
    /// The commits of a deployment that was left open cannot be prepared.
    "deployment.unprepared" Warning DeploymentUnprepared { why: Detail }
    /// That a deployment is live on every instance by now cannot be recorded yet.
    "completion.unrecorded" Warning CompletionUnrecorded { why: Detail }
    /// How a deployment ended cannot be recorded now.
    "outcome.unrecorded" Warning OutcomeUnrecorded { outcome: Outcome, why: Detail }
    /// How a deployment ended is recorded at last.
    "outcome.recorded" Info OutcomeRecorded { outcome: Outcome }
    /// How a deployment ended is never recorded: another controller wrote in its place.
    "outcome.lost" Warning OutcomeLost {
        outcome: Outcome, controller: Detail,
        /// The generation that the history has in its place.
        newest: Option<u64>, newest_by: Option<Detail>, why: Detail,
    }
    /// Drift was seen, and its repair begins.
    "drift.seen" Info DriftSeen { plan: Summary }
    /// Who may have caused the drift.
    "drift.suspect" Info DriftSuspect { suspect: Detail }
    /// The repair of drift ended, in whatever way.
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
    /// A replica that is unhealthy was restarted as often as it may be, and is left so.
    "service.given-up" Warning ServiceGivenUp { instance: InstanceName, unit: String, times: u32 }
    /// A deployment is rolled back on an instance.
    "rollback.begun" Info RollbackBegun { instance: InstanceName }
    /// An instance is as it was before.
    "rollback.done" Info RollbackDone { instance: InstanceName }
    /// An instance is left half-way.
    "rollback.failed" Warning RollbackFailed { instance: InstanceName, why: Detail }
    /// One change is not rolled back.
    "rollback.step-failed" Warning RollbackStepFailed { instance: InstanceName, subject: String, why: Detail }
    /// More changes are not rolled back, all for the same reason.
    "rollback.steps-failed" Warning RollbackStepsFailed { instance: InstanceName, more: usize, why: Detail }

    /// What a person asked for is recorded, and is done.
    "control.recorded" Info ControlRecorded { control: Control, by: Detail }
    /// A person cancelled what runs.
    "control.cancelled" Info ControlCancelled { by: Detail, reason: Detail }

    /// GitHub's webhook is taken at an address.
    "webhook.listening" Info WebhookListening { address: String }
    /// The webhook takes no connection.
    "webhook.unreachable" Warning WebhookUnreachable { why: Detail }
    /// A file with the webhook's secret cannot be read.
    "webhook.secret-unread" Warning WebhookSecretUnread { why: Detail }
    /// The webhook cannot tell whose a delivery is, so it takes none.
    "webhook.unchecked" Error WebhookUnchecked { why: Detail }
    /// GitHub has found the webhook.
    "webhook.pinged" Info WebhookPinged { delivery: Detail }
    /// A delivery that no secret vouches for is turned away. Told once a minute.
    "webhook.refused" Warning WebhookRefused {}
    /// A push wakes the loop.
    "webhook.pushed" Info WebhookPushed { delivery: Detail, reference: Detail }
    /// A delivery is handed on to whom it is for.
    "webhook.delivered" Info WebhookDelivered { delivery: Detail, github_event: Detail }
    /// A delivery came once more.
    "webhook.repeated" Info WebhookRepeated { delivery: Detail, github_event: Detail }
    /// A delivery cannot be handed on. Polling finds what it told.
    "webhook.dropped" Warning WebhookDropped { delivery: Detail, github_event: Detail, why: Detail }

    /// The plan of a pull request stands in its comment.
    "pull.planned" Info PullPlanned { pull: u64 }
    /// A pull request is planned later.
    "pull.postponed" Warning PullPostponed { pull: u64, seconds: u64, why: Detail }
    /// Which pull requests are open is not known.
    "pulls.unknown" Warning PullsUnknown { why: Detail }
    /// What was kept of pull requests that are closed cannot be removed.
    "pulls.kept" Warning PullsKept { why: Detail }
    /// Which comments are new is not known.
    "comments.unknown" Warning CommentsUnknown { why: Detail }
    /// A person gives a command in a pull request.
    "command.asked" Info CommandAsked { pull: u64, by: Detail, permission: Permission, command: Detail }
    /// Who gave a command does not see that it was read.
    "command.unmarked" Warning CommandUnmarked { pull: u64, why: Detail }
    /// A command failed, and its answer says so.
    "command.failed" Warning CommandFailed { pull: u64, why: Detail }
    /// GitHub does not say whether a person is in a team.
    "team.unknown" Warning TeamUnknown { pull: u64, by: Detail, team: Detail, why: Detail }
    /// A command was handled by the process before.
    "command.repeated" Info CommandRepeated { pull: u64, comment: u64, command: Detail }
    /// A command waits for GitHub.
    "command.postponed" Warning CommandPostponed { pull: u64, seconds: u64, why: Detail }
    /// A command is not answered.
    "command.unanswered" Warning CommandUnanswered { pull: u64, why: Detail }
    /// The App's installation was changed, and evenkeel has signed in again.
    "github.signed-in" Info GitHubSignedIn { action: Detail }
    /// The App's installation was changed, and GitHub does not answer.
    "github.silent" Warning GitHubSilent { action: Detail, why: Detail }
    /// GitHub lets evenkeel in no longer. It takes a person.
    "github.shut-out" Error GitHubShutOut { action: Detail, why: Detail }
    /// A deployment is told of on GitHub.
    "deployment.told" Info DeploymentTold {}
    /// A deployment is told of on GitHub later.
    "deployment.untold" Warning DeploymentUntold { why: Detail }
    /// There is no pull request that reverts what failed.
    "revert.unmade" Warning RevertUnmade { why: Detail }
    /// That a merged commit waits is told on GitHub.
    "wait.told" Info WaitTold {}
    /// That a merged commit waits is told on GitHub later.
    "wait.untold" Warning WaitUntold { why: Detail }

    /// A subscriber was too slow for so many events. What it knows is to be asked for anew.
    "events.missed" Warning EventsMissed { missed: u64 }
}
