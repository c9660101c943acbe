//! Events in words: what the log and a command's progress say of each.
//!
//! Keeps true: every kind of event has its words here, and nowhere else; no code reads them.

use super::{
    control, plan, refusal,
    style::Mark,
    words::{count, duration, one_line, short},
};
use crate::model::{
    digest::Digest,
    event::{Event, EventKind},
    outcome::Outcome,
    plan::Verb,
    status::{Health, Sync},
};

/// The event in words, without where and when it happened.
pub fn words(event: &Event) -> String {
    about_hosts(&event.kind).map_or_else(|| about_the_rest(event), |(_, words)| words)
}

/// What happens on hosts, and how it is marked: progress.
pub(super) fn about_hosts(kind: &EventKind) -> Option<(Mark, String)> {
    use EventKind as Kind;
    Some(match kind {
        Kind::HostsAsked { instances } => (Mark::Good, format!("Looking at {} …", count(*instances, "instance"))),
        Kind::HostObserved { ms, .. } => (Mark::Good, format!("observed in {}", duration(*ms))),
        Kind::HostUnreachable { why, .. } => (Mark::Unknown, format!("not reached: {}", one_line(why.as_str()))),
        Kind::PhaseBegun { number, of, title } => {
            (Mark::Good, format!("Phase {number} of {of}: {}", one_line(title.as_str())))
        }
        Kind::StepBegun { verb, subject, .. } => {
            (Mark::Busy, format!("{} {}", forms(*verb)[0], changed(*verb, subject)))
        }
        Kind::StepDone { verb, subject, .. } => {
            (Mark::Good, format!("{} {}", forms(*verb)[1], changed(*verb, subject)))
        }
        Kind::StepFailed { verb, subject, why, .. } => {
            let subject = changed(*verb, subject);
            (Mark::Bad, format!("could not {} {subject}: {}", forms(*verb)[2], one_line(why.as_str())))
        }
        Kind::ServiceHealthy { service, after_ms, .. } => {
            (Mark::Good, format!("{} is healthy after {}", one_line(service), duration(*after_ms)))
        }
        Kind::ServiceGivenUp { unit, times, .. } => {
            (Mark::Bad, format!("{}: {}", one_line(unit), super::status::given_up(*times, None)))
        }
        Kind::ServiceUnhealthy { service, why, .. } => {
            (Mark::Bad, format!("{}: {}", one_line(service), one_line(why.as_str())))
        }
        Kind::RollbackBegun { .. } => (Mark::Busy, "undoing the deployment".to_owned()),
        Kind::RollbackDone { .. } => (Mark::Good, "undone: as it was before".to_owned()),
        Kind::RollbackFailed { instance, why } => {
            (Mark::Bad, format!("{instance} is not undone: {}", one_line(why.as_str())))
        }
        Kind::RollbackStepFailed { subject, why, .. } => {
            (Mark::Bad, one_line(&format!("undoing {subject}: {}", why.as_str())))
        }
        Kind::RollbackStepsFailed { instance, more, why } => {
            (Mark::Bad, one_line(&format!("{instance}: undoing {more} more failed alike: {}", why.as_str())))
        }
        _ => return None,
    })
}

fn about_the_rest(event: &Event) -> String {
    use EventKind as Kind;
    let generation = event.deployment.unwrap_or_default();
    match &event.kind {
        Kind::ControllerStarted { repository, state } => format!("following {repository}, state in {state}"),
        Kind::ControllerKey { key } => format!("the history is signed with {key}"),
        Kind::ControllerStopping {} => {
            "stopping; scripts that run on hosts continue, and the next start resumes the deployment".to_owned()
        }
        Kind::ControllerCutShort {} => "exited while a deployment was running; the next start resumes it".to_owned(),
        Kind::ControllerStuck {} => "the loop makes no progress; systemd's watchdog may kill this process".to_owned(),
        Kind::TaskPanicked { task, why } => format!("{task} panicked, which is a bug in evenkeel: {why}"),
        Kind::SocketFailed { why } => format!("the control socket failed: {why}"),
        Kind::ConnectionsRenewed {} => "reconnecting to all instances".to_owned(),
        Kind::ControllerEnded {} => "ended".to_owned(),
        Kind::CredentialsReread {} => {
            "SIGHUP: keys, tokens and secrets will be read again at their next use".to_owned()
        }
        Kind::BuildsConfined { build_cgroups: true, .. } => "each build gets its own cgroup".to_owned(),
        Kind::BuildsConfined { why, .. } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("builds run without their own cgroup{why}")
        }
        Kind::SystemdNotifyFailed { why } => format!("systemd was not notified: {why}"),
        Kind::RepositoryUnread { goes_on: true, why } => format!("{why}; continuing with the last known state"),
        Kind::RepositoryUnread { why, .. } | Kind::EnvironmentUnresolved { why, .. } => why.to_string(),
        Kind::EnvironmentChanged { sync, health, .. } => format!("now {}, {}", sync_word(*sync), health_word(*health)),
        Kind::HistoryRefused { refusal } => match &event.environment {
            Some(environment) => refusal::line(environment, refusal),
            None => "an entry of the history is not trusted".to_owned(),
        },
        Kind::HistoryRestored { commit } => {
            format!("the history branch was deleted at the remote and is restored at {}", short(commit))
        }
        Kind::HistoryGone { why } => {
            format!("the history branch was deleted at the remote and cannot be restored: {why}")
        }
        Kind::HistoryRewritten { ours, theirs } => format!(
            "the history was rewritten at the remote: it lacks {}; continuing from {}",
            short(ours),
            short(theirs)
        ),
        Kind::HistoryUnread { why } => format!("the history cannot be read: {why}"),
        Kind::RepositoryUnwatched { why } => format!("the repository cannot be watched, so it is polled: {why}"),
        Kind::SourceUnknown { source, goes_on, why } => {
            let then = if *goes_on { "continuing with its last known commit" } else { "its commit is unknown" };
            format!("{source}: {why}; {then}")
        }
        Kind::ChecksUnavailable {} => {
            "the environment requires checks, which needs GitHub: sign in with --github-app-id or --github-token-file"
                .to_owned()
        }
        Kind::ChecksUnknown { commit, why } => format!("the checks of {} are unknown: {why}", short(commit)),
        Kind::HistoryAppended { commit } => format!("the history advanced to {}", short(commit)),
        Kind::HistoryAdvice { advice } => advice.to_string(),
        Kind::CommitsRefused { commit, why } => format!("{} is refused: {why}", of(commit.as_deref())),
        Kind::RefusalUnrecorded { why, .. } => format!("the refusal could not be recorded: {why}"),
        Kind::CommitsQuarantined { why, .. } => format!("{why}; the commits are quarantined"),
        Kind::CommitsPardoned { .. } => "the quarantine was lifted; the commits are tried again".to_owned(),
        Kind::SyncFailed { why } | Kind::SyncSuperseded { why } => why.to_string(),
        Kind::BuildBegun {} => "building the releases that are not built yet".to_owned(),
        Kind::HostBack { .. } => "reachable again".to_owned(),
        Kind::HostUnfenced { why, .. } => format!("could not be fenced: {why}"),
        Kind::ReleasesUnread { why, .. } => format!("its releases could not be scrubbed: {why}"),
        Kind::DeploymentUnprepared { why } => format!("generation {generation}: {why}"),
        Kind::CompletionUnrecorded { why } => format!("the completed deployment could not be recorded yet: {why}"),
        Kind::DeploymentBegun { plan, .. } | Kind::DriftSeen { plan } => plan::counts(plan),
        Kind::DeploymentEnded { .. } => "deployment ended".to_owned(),
        Kind::DriftRepaired { .. } => "drift repair ended".to_owned(),
        Kind::DeploymentFoundOpen { by } => format!("ending a deployment that {by} left open"),
        Kind::OutcomeUnrecorded { outcome, why } => {
            format!("generation {generation} ended {outcome}, which could not be recorded yet: {why}")
        }
        Kind::OutcomeRecorded { .. } => "the outcome is recorded now".to_owned(),
        Kind::OutcomeLost { outcome, controller, newest, newest_by, why } => {
            let newest = match (newest, newest_by) {
                (Some(newest), Some(by)) => format!("generation {newest} by {by}"),
                _ => "no deployment".to_owned(),
            };
            lost(*outcome, controller.as_str(), why.as_str(), &newest)
        }
        Kind::DriftSuspect { suspect } => format!("possible cause: {suspect}"),
        Kind::ControlRecorded { control, by } => format!("{} (asked by {by})", control::line(control)),
        Kind::ControlCancelled { by, reason } => format!("cancelled by {by}: {reason}"),
        Kind::EventsMissed { missed } => {
            format!("{} were missed", count(usize::try_from(*missed).unwrap_or(usize::MAX), "event"))
        }
        kind => about_github(kind),
    }
}

fn lost(outcome: Outcome, controller: &str, why: &str, newest: &str) -> String {
    format!("the outcome {outcome} of {controller} is not recorded: {why}; the newest entry is {newest}")
}

fn about_github(kind: &EventKind) -> String {
    use EventKind as Kind;
    match kind {
        Kind::WebhookListening { address } => format!("the webhook listens on {address}"),
        Kind::WebhookUnreachable { why } => format!("the webhook cannot accept connections: {why}"),
        Kind::WebhookSecretUnread { why } => why.to_string(),
        Kind::WebhookUnchecked { why } => format!("the webhook cannot verify deliveries and rejects them: {why}"),
        Kind::WebhookPinged { .. } => "GitHub pinged the webhook".to_owned(),
        Kind::WebhookRefused {} => "a delivery without a valid signature was rejected; if it is GitHub's, compare the \
                                    webhook's secret there with the files of --webhook-secret-file (logged once a \
                                    minute)"
            .to_owned(),
        Kind::WebhookPushed { .. } => "a push triggers a sync".to_owned(),
        Kind::WebhookDelivered { .. } => "delivery queued".to_owned(),
        Kind::WebhookRepeated { .. } => "repeated delivery ignored".to_owned(),
        Kind::WebhookDropped { why, .. } => format!("a delivery was dropped: {why}"),
        Kind::PullPlanned { .. } => "the plan is in the comment".to_owned(),
        Kind::PullPostponed { seconds, why, .. } => format!("not planned, retrying in {seconds} s: {why}"),
        Kind::PullsUnknown { why } => format!("the open pull requests could not be listed: {why}"),
        Kind::PullsKept { why } => format!("refs of closed pull requests could not be deleted: {why}"),
        Kind::CommentsUnknown { why } => format!("new comments could not be listed: {why}"),
        Kind::CommandUnmarked { why, .. } => format!("the reaction to a command could not be set: {why}"),
        Kind::CommandFailed { why, .. } => why.to_string(),
        Kind::TeamUnknown { by, team, why, .. } => format!("GitHub did not say whether {by} is in {team}: {why}"),
        Kind::CommandAsked { command, .. } => format!("asked for {command}"),
        Kind::CommandRepeated { command, .. } => format!("{command} was already handled; ignoring the repeat"),
        Kind::CommandPostponed { seconds, why, .. } => format!("retrying a command in {seconds} s: {why}"),
        Kind::CommandUnanswered { why, .. } => format!("the reply could not be posted: {why}"),
        Kind::GitHubSignedIn { .. } => "the App's installation changed; signed in to GitHub again".to_owned(),
        Kind::GitHubSilent { why, .. } => {
            format!("the App's installation changed, and GitHub does not answer yet: {why}")
        }
        Kind::GitHubShutOut { why, .. } => format!("GitHub no longer grants access: {why}"),
        Kind::DeploymentReported {} => "reported on GitHub".to_owned(),
        Kind::DeploymentReportFailed { why } => format!("the deployment could not be reported on GitHub yet: {why}"),
        Kind::RevertFailed { why } => format!("the revert pull request could not be opened: {why}"),
        Kind::WaitReported {} => "the pending deployment is reported on GitHub".to_owned(),
        Kind::WaitReportFailed { why } => format!("the pending deployment could not be reported on GitHub yet: {why}"),
        other => other.name().as_str().to_owned(),
    }
}

fn of(commit: Option<&str>) -> String {
    commit.map_or("the work tree".to_owned(), short)
}

fn sync_word(sync: Sync) -> &'static str {
    match sync {
        Sync::Synced => "synced",
        Sync::OutOfSync => "out of sync",
        Sync::Unknown => "unknown",
    }
}

fn health_word(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Progressing => "progressing",
        Health::Degraded => "degraded",
        Health::Unknown => "unknown",
    }
}

/// What a step changes.
fn changed(verb: Verb, subject: &str) -> String {
    match (verb, subject.parse::<Digest>()) {
        (Verb::Stage, Ok(release)) => format!("release {}", release.short()),
        (Verb::Build, Ok(key)) => format!("virtual environment {}", key.short()),
        _ => one_line(subject),
    }
}

/// A plan's verb as it is going on, as it is done, and as it should have been.
fn forms(verb: Verb) -> [&'static str; 3] {
    match verb {
        Verb::Install => ["installing", "installed", "install"],
        Verb::Stage => ["sending", "sent", "send"],
        Verb::Build => ["building", "built", "build"],
        Verb::Create => ["writing", "created", "create"],
        Verb::Update => ["writing", "updated", "update"],
        Verb::Delete => ["deleting", "deleted", "delete"],
        Verb::Stop => ["stopping", "stopped", "stop"],
        Verb::Enable => ["enabling", "enabled", "enable"],
        Verb::Start => ["starting", "started", "start"],
        Verb::Restart => ["restarting", "restarted", "restart"],
        Verb::Reload => ["reloading", "reloaded", "reload"],
        Verb::AwaitHealth => ["waiting for", "healthy:", "see healthy"],
        Verb::Shift => ["shifting traffic:", "shifted traffic:", "shift traffic:"],
        Verb::Switch => ["switching", "switched", "switch"],
        Verb::Drain => ["draining", "drained", "drain"],
        Verb::Pause => ["pausing after", "still healthy:", "see still healthy"],
    }
}
