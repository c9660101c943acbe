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
            "stopping; what runs on hosts goes on there, and the next start takes it up".to_owned()
        }
        Kind::ControllerCutShort {} => "ended while something still ran; the next start looks at it again".to_owned(),
        Kind::ControllerStuck {} => {
            "the loop does not turn; systemd's watchdog is not told that it does, and may end this process".to_owned()
        }
        Kind::TaskPanicked { task, why } => format!("{task} ended in a panic, which is a fault of evenkeel: {why}"),
        Kind::SocketFailed { why } => format!("the socket: {why}"),
        Kind::ConnectionsRenewed {} => "connections to instances are made anew".to_owned(),
        Kind::ControllerEnded {} => "ended".to_owned(),
        Kind::CredentialsReread {} => "SIGHUP: keys, tokens and secrets are read anew at their next use".to_owned(),
        Kind::BuildsConfined { build_cgroups: true, .. } => "each build gets a cgroup of its own".to_owned(),
        Kind::BuildsConfined { why, .. } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("builds get no cgroup of their own{why}")
        }
        Kind::SystemdNotifyFailed { why } => format!("systemd cannot be told {why}"),
        Kind::RepositoryUnread { goes_on: true, why } => format!("{why}; going on with what is known"),
        Kind::RepositoryUnread { why, .. } | Kind::EnvironmentUnresolved { why, .. } => why.to_string(),
        Kind::EnvironmentChanged { sync, health, .. } => format!("now {}, {}", sync_word(*sync), health_word(*health)),
        Kind::HistoryRefused { refusal } => match &event.environment {
            Some(environment) => refusal::line(environment, refusal),
            None => "something that a history says does not count".to_owned(),
        },
        Kind::HistoryRestored { commit } => {
            format!("its history branch was gone at the remote; it is restored, at {}", short(commit))
        }
        Kind::HistoryGone { why } => {
            format!("its history branch is gone at the remote, and cannot be restored: {why}")
        }
        Kind::HistoryRewritten { ours, theirs } => format!(
            "its history was rewritten at the remote: {} is not in it; going on from {}",
            short(ours),
            short(theirs)
        ),
        Kind::HistoryUnread { why } => format!("the history: {why}"),
        Kind::RepositoryUnwatched { why } => format!("cannot watch the repository, polling only: {why}"),
        Kind::SourceUnknown { source, goes_on, why } => {
            let then = if *goes_on { "going on with what it was" } else { "nothing is known of it" };
            format!("{source}: {why}; {then}")
        }
        Kind::ChecksUnavailable {} => {
            "checks are required and nobody can ask for them: sign in with --github-app-id or --github-token-file"
                .to_owned()
        }
        Kind::ChecksUnknown { commit, why } => format!("whether {} is green is not known: {why}", short(commit)),
        Kind::HistoryAppended { commit } => format!("its history goes on with {}", short(commit)),
        Kind::HistoryAdvice { advice } => advice.to_string(),
        Kind::CommitsRefused { commit, why } => format!("{} is refused: {why}", of(commit.as_deref())),
        Kind::RefusalUnrecorded { why, .. } => format!("the refusal is not recorded: {why}"),
        Kind::CommitsQuarantined { why, .. } => format!("{why}; they are quarantined"),
        Kind::CommitsPardoned { .. } => "the quarantine was lifted; the commits are tried again".to_owned(),
        Kind::SyncFailed { why } | Kind::SyncSuperseded { why } => why.to_string(),
        Kind::BuildBegun {} => "building what is not built yet".to_owned(),
        Kind::HostBack { .. } => "it answers again".to_owned(),
        Kind::HostUnfenced { why, .. } => format!("could not be fenced off: {why}"),
        Kind::ReleasesUnread { why, .. } => format!("its releases are not read again: {why}"),
        Kind::DeploymentUnprepared { why } => format!("generation {generation}: {why}"),
        Kind::CompletionUnrecorded { why } => format!("that the deployment is complete is not recorded yet: {why}"),
        Kind::DeploymentBegun { plan, .. } | Kind::DriftSeen { plan } => plan::counts(plan),
        Kind::DeploymentEnded { .. } => "deployment ended".to_owned(),
        Kind::DriftRepaired { .. } => "drift repair ended".to_owned(),
        Kind::DeploymentFoundOpen { by } => format!("a deployment was left open by {by}; ending it"),
        Kind::OutcomeUnrecorded { outcome, why } => {
            format!("generation {generation} ended {outcome}; it is recorded later: {why}")
        }
        Kind::OutcomeRecorded { .. } => "its outcome is recorded now".to_owned(),
        Kind::OutcomeLost { outcome, controller, newest, newest_by, why } => {
            let newest = match (newest, newest_by) {
                (Some(newest), Some(by)) => format!("generation {newest} by {by}"),
                _ => "no deployment".to_owned(),
            };
            lost(*outcome, controller.as_str(), why.as_str(), &newest)
        }
        Kind::DriftSuspect { suspect } => format!("possibly: {suspect}"),
        Kind::ControlRecorded { control, by } => format!("{} (asked by {by})", control::line(control)),
        Kind::ControlCancelled { by, reason } => format!("cancelled by {by}: {reason}"),
        Kind::EventsMissed { missed } => {
            format!("{} were missed", count(usize::try_from(*missed).unwrap_or(usize::MAX), "event"))
        }
        kind => about_github(kind),
    }
}

fn lost(outcome: Outcome, controller: &str, why: &str, newest: &str) -> String {
    format!("it ended {outcome} under {controller}, which is not recorded: {why}; the newest there is {newest}")
}

fn about_github(kind: &EventKind) -> String {
    use EventKind as Kind;
    match kind {
        Kind::WebhookListening { address } => format!("the webhook listens on {address}"),
        Kind::WebhookUnreachable { why } => format!("cannot take a connection: {why}"),
        Kind::WebhookSecretUnread { why } => why.to_string(),
        Kind::WebhookUnchecked { why } => format!("the webhook cannot check deliveries: {why}"),
        Kind::WebhookPinged { .. } => "GitHub has found the webhook".to_owned(),
        Kind::WebhookRefused {} => "a delivery without a valid signature was turned away; if it is GitHub's, compare the \
                                    webhook's secret there with the files of --webhook-secret-file (this is told once a \
                                    minute)"
            .to_owned(),
        Kind::WebhookPushed { .. } => "the webhook wakes the loop".to_owned(),
        Kind::WebhookDelivered { .. } => "the webhook hands on what it is told".to_owned(),
        Kind::WebhookRepeated { .. } => "the webhook knows this delivery already".to_owned(),
        Kind::WebhookDropped { why, .. } => format!("the webhook cannot hand on what it is told: {why}"),
        Kind::PullPlanned { .. } => "its plan is told".to_owned(),
        Kind::PullPostponed { seconds, why, .. } => format!("not planned, tried again in {seconds} s: {why}"),
        Kind::PullsUnknown { why } => format!("the open pull requests are not known: {why}"),
        Kind::PullsKept { why } => format!("what was closed is kept: {why}"),
        Kind::CommentsUnknown { why } => format!("new comments are not known: {why}"),
        Kind::CommandUnmarked { why, .. } => format!("not said that a command was seen: {why}"),
        Kind::CommandFailed { why, .. } => why.to_string(),
        Kind::TeamUnknown { by, team, why, .. } => format!("GitHub does not say whether {by} is in {team}: {why}"),
        Kind::CommandAsked { command, .. } => format!("asked for {command}"),
        Kind::CommandRepeated { command, .. } => format!("{command} was already handled; ignoring the repeat"),
        Kind::CommandPostponed { seconds, why, .. } => format!("a command is tried again in {seconds} s: {why}"),
        Kind::CommandUnanswered { why, .. } => format!("not answered: {why}"),
        Kind::GitHubSignedIn { .. } => "the App's installation was changed: signed in to GitHub anew".to_owned(),
        Kind::GitHubSilent { why, .. } => {
            format!("the App's installation was changed, and is asked about later: {why}")
        }
        Kind::GitHubShutOut { why, .. } => format!("GitHub lets evenkeel in no longer: {why}"),
        Kind::DeploymentReported {} => "told of on GitHub".to_owned(),
        Kind::DeploymentReportFailed { why } => format!("a deployment is told of later: {why}"),
        Kind::RevertFailed { why } => format!("there is no pull request that reverts it: {why}"),
        Kind::WaitReported {} => "told on GitHub that it waits".to_owned(),
        Kind::WaitReportFailed { why } => format!("what waits is told of later: {why}"),
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
