//! A sample of every kind of event: its words, its form in JSON, and its row in the README.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write as _,
};

use evenkeel::{
    model::{
        belief::{Claim, Reason, Refusal},
        desired::Resource,
        environment_state::Control,
        event::{Detail, Event, EventKind, EventName, Level, logged},
        name::InstanceName,
        outcome::{Cause, Outcome},
        plan::{StepId, Summary, Verb},
        rights::Permission,
        status::{Health, Sync, WaitsOn},
    },
    report,
};
use insta::assert_snapshot;
use serde_json::Value;

use super::samples::{COMMIT, ENV};

type Tested = Result<(), Box<dyn Error>>;

/// Another commit.
const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";
/// What no record of the log may be about.
const RESERVED: &[&str] = &["at", "level", "message", "timestamp", "fields", "event", "environment", "deployment"];

/// One of each kind, in the table's order.
fn samples() -> Result<Vec<EventKind>, Box<dyn Error>> {
    let instance: InstanceName = "ai-core".parse()?;
    let step = StepId::new(&instance, &Resource::Service("gong_mcp".parse()?), Verb::Create, ENV);
    let (why, detail) = (Detail::of("it broke off"), |text: &str| Detail::of(text));
    let summary = Summary {
        create: 1,
        update: 2,
        restart: 3,
        changed_instances: 2,
        instances: 5,
        services: 14,
        ..Summary::default()
    };
    let commit = Some(COMMIT.to_owned());
    let refusal =
        Refusal { claim: Claim::Pin, reason: Reason::NotOnBranch, commit, generation: Some(12), history: None };
    let control = Control::Hold { instance: None, reason: "an audit".to_owned() };
    Ok(vec![
        EventKind::ControllerStarted {
            repository: detail("https://github.com/sophia/fleet.git"),
            state: detail("/var/lib/evenkeel"),
        },
        EventKind::ControllerKey { key: detail("ssh-ed25519 AAAAC3Nz evenkeel@control") },
        EventKind::ControllerStopping {},
        EventKind::ControllerCutShort {},
        EventKind::ControllerStuck {},
        EventKind::ControllerEnded {},
        EventKind::TaskPanicked { task: detail("planning a pull request"), why: why.clone() },
        EventKind::SocketFailed { why: why.clone() },
        EventKind::CredentialsReread {},
        EventKind::ConnectionsRenewed {},
        EventKind::BuildsConfined { build_cgroups: true, why: Some(why.clone()) },
        EventKind::SystemdNotifyFailed { why: why.clone() },
        EventKind::RepositoryUnread { goes_on: true, why: why.clone() },
        EventKind::RepositoryUnwatched { why: why.clone() },
        EventKind::SourceUnknown { source: detail("tools"), goes_on: true, why: why.clone() },
        EventKind::ChecksUnavailable {},
        EventKind::ChecksUnknown { commit: COMMIT.into(), why: why.clone() },
        EventKind::EnvironmentUnresolved { branch: detail("staging"), why: why.clone() },
        EventKind::EnvironmentChanged {
            commit: Some(COMMIT.into()),
            sync: Sync::OutOfSync,
            health: Health::Degraded,
            waits_on: Some(WaitsOn::Checks),
        },
        EventKind::HistoryRefused { refusal: refusal.clone() },
        EventKind::HistoryRestored { commit: COMMIT.into() },
        EventKind::HistoryGone { why: why.clone() },
        EventKind::HistoryRewritten { ours: COMMIT.to_owned(), theirs: OTHER.to_owned() },
        EventKind::HistoryUnread { why: why.clone() },
        EventKind::HistoryAdvice { advice: detail("fleet.yaml lists no history_writers") },
        EventKind::HistoryAppended { commit: COMMIT.into() },
        EventKind::CommitsRefused { commit: Some(COMMIT.into()), why: why.clone() },
        EventKind::RefusalUnrecorded { commit: Some(COMMIT.into()), why: why.clone() },
        EventKind::CommitsQuarantined { commit: Some(COMMIT.into()), why: why.clone() },
        EventKind::CommitsPardoned { commit: Some(COMMIT.into()) },
        EventKind::SyncFailed { why: why.clone() },
        EventKind::SyncSuperseded { why: why.clone() },
        EventKind::BuildBegun {},
        EventKind::HostsAsked { instances: 5 },
        EventKind::HostObserved { instance: instance.clone(), ms: 182 },
        EventKind::HostUnreachable { instance: instance.clone(), why: why.clone() },
        EventKind::HostBack { instance: instance.clone() },
        EventKind::HostUnfenced { instance: instance.clone(), why: why.clone() },
        EventKind::ReleasesUnread { instance: instance.clone(), why: why.clone() },
        EventKind::DeploymentBegun { commit: Some(COMMIT.into()), plan: summary },
        EventKind::DeploymentEnded {
            outcome: Outcome::RolledBack,
            ms: Some(182),
            cause: Some(Cause::Step),
            instance: Some(instance.clone()),
            step: Some(step.clone()),
            why: Some(why.clone()),
        },
        EventKind::DeploymentFoundOpen { by: detail("alice") },
        EventKind::DeploymentUnprepared { why: why.clone() },
        EventKind::CompletionUnrecorded { why: why.clone() },
        EventKind::OutcomeUnrecorded { outcome: Outcome::RolledBack, why: why.clone() },
        EventKind::OutcomeRecorded { outcome: Outcome::RolledBack },
        EventKind::OutcomeLost {
            outcome: Outcome::RolledBack,
            controller: detail("evenkeel@control"),
            newest: Some(13),
            newest_by: Some(detail("evenkeel@spare")),
            why: why.clone(),
        },
        EventKind::DriftSeen { plan: summary },
        EventKind::DriftSuspect { suspect: detail("sudo: bob on ai-core") },
        EventKind::DriftRepaired {
            outcome: Outcome::RolledBack,
            ms: Some(182),
            cause: Some(Cause::Step),
            instance: Some(instance.clone()),
            step: Some(step.clone()),
            why: Some(why.clone()),
        },
        EventKind::PhaseBegun { number: 2, of: 3, title: detail("service/gong_mcp") },
        EventKind::StepBegun {
            instance: instance.clone(),
            step: step.clone(),
            verb: Verb::Create,
            subject: ENV.to_owned(),
        },
        EventKind::StepDone {
            instance: instance.clone(),
            step: step.clone(),
            verb: Verb::Create,
            subject: ENV.to_owned(),
        },
        EventKind::StepFailed {
            instance: instance.clone(),
            step: step.clone(),
            verb: Verb::Create,
            subject: ENV.to_owned(),
            why: why.clone(),
        },
        EventKind::ServiceHealthy {
            instance: instance.clone(),
            service: "service/gong_mcp".to_owned(),
            after_ms: 1380,
        },
        EventKind::ServiceUnhealthy {
            instance: instance.clone(),
            service: "service/gong_mcp".to_owned(),
            why: why.clone(),
        },
        EventKind::ServiceGivenUp {
            instance: instance.clone(),
            unit: "sophia-gong_mcp@8100.service".to_owned(),
            times: 3,
        },
        EventKind::RollbackBegun { instance: instance.clone() },
        EventKind::RollbackDone { instance: instance.clone() },
        EventKind::RollbackFailed { instance: instance.clone(), why: why.clone() },
        EventKind::RollbackStepFailed { instance: instance.clone(), subject: ENV.to_owned(), why: why.clone() },
        EventKind::RollbackStepsFailed { instance: instance.clone(), more: 5, why: why.clone() },
        EventKind::ControlRecorded { control: control.clone(), by: detail("alice") },
        EventKind::ControlCancelled { by: detail("alice"), reason: detail("it is the wrong one") },
        EventKind::WebhookListening { address: "127.0.0.1:8080".to_owned() },
        EventKind::WebhookUnreachable { why: why.clone() },
        EventKind::WebhookSecretUnread { why: why.clone() },
        EventKind::WebhookUnchecked { why: why.clone() },
        EventKind::WebhookPinged { delivery: detail("72d3162e-cc78-11e3-81ab-4c9367dc0958") },
        EventKind::WebhookRefused {},
        EventKind::WebhookPushed {
            delivery: detail("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            reference: detail("refs/heads/main"),
        },
        EventKind::WebhookDelivered {
            delivery: detail("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            github_event: detail("check_run"),
        },
        EventKind::WebhookRepeated {
            delivery: detail("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            github_event: detail("check_run"),
        },
        EventKind::WebhookDropped {
            delivery: detail("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            github_event: detail("check_run"),
            why: why.clone(),
        },
        EventKind::PullPlanned { pull: 42 },
        EventKind::PullPostponed { pull: 42, seconds: 30, why: why.clone() },
        EventKind::PullsUnknown { why: why.clone() },
        EventKind::PullsKept { why: why.clone() },
        EventKind::CommentsUnknown { why: why.clone() },
        EventKind::CommandAsked {
            pull: 42,
            by: detail("alice"),
            permission: Permission::Write,
            command: detail("hold"),
        },
        EventKind::CommandUnmarked { pull: 42, why: why.clone() },
        EventKind::CommandFailed { pull: 42, why: why.clone() },
        EventKind::TeamUnknown { pull: 42, by: detail("alice"), team: detail("acme/ops"), why: why.clone() },
        EventKind::CommandRepeated { pull: 42, comment: 7, command: detail("hold") },
        EventKind::CommandPostponed { pull: 42, seconds: 30, why: why.clone() },
        EventKind::CommandUnanswered { pull: 42, why: why.clone() },
        EventKind::GitHubSignedIn { action: detail("suspend") },
        EventKind::GitHubSilent { action: detail("suspend"), why: why.clone() },
        EventKind::GitHubShutOut { action: detail("suspend"), why: why.clone() },
        EventKind::DeploymentReported {},
        EventKind::DeploymentReportFailed { why: why.clone() },
        EventKind::RevertFailed { why: why.clone() },
        EventKind::WaitReported {},
        EventKind::WaitReportFailed { why: why.clone() },
        EventKind::EventsMissed { missed: 3 },
    ])
}

/// Of the environment and the deployment that the samples are about.
fn event(kind: EventKind) -> Result<Event, Box<dyn Error>> {
    let (at, environment) = ("2026-11-21T13:14:05.000Z".to_owned(), Some("production".parse()?));
    Ok(Event { at, environment, deployment: Some(12), kind })
}

#[test]
fn each_kind_has_a_sample_and_a_name_of_its_own() -> Tested {
    let names: Vec<EventName> = samples()?.iter().map(EventKind::name).collect();
    assert_eq!(names, EventName::ALL, "the samples on the left");
    let all = names.iter().map(|name| name.as_str()).chain(logged::ALL.iter().map(|(name, ..)| *name));
    let mut seen = BTreeSet::new();
    for name in all {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.split('-').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase()))
        };
        assert!(name.split('.').all(is_word), "{name}");
        assert!(seen.insert(name), "two have the name {name}");
    }
    Ok(())
}

#[test]
fn each_kind_has_words_of_its_own() -> Tested {
    let mut told = String::new();
    for kind in samples()? {
        let event = event(kind)?;
        let (name, words) = (event.kind.name(), report::event::words(&event));
        assert_ne!(words, name.as_str(), "the words of {name:?} are missing");
        assert!(!words.is_empty(), "{name:?}");
        writeln!(told, "{:7} {:<24} {words}", level(name.level()), name.as_str())?;
    }
    assert_snapshot!("events", told);
    Ok(())
}

#[test]
fn each_kind_is_read_back_from_its_json_and_no_field_passes_for_one_of_the_log() -> Tested {
    for kind in samples()? {
        let (name, fields) = (kind.name(), fields(&kind)?);
        assert!(fields.iter().all(|field| !RESERVED.contains(&field.as_str())), "{name:?} has {fields:?}");
        let event = event(kind)?;
        let json = serde_json::to_string(&event)?;
        assert_eq!(serde_json::from_str::<Value>(&json)?["event"], name.as_str());
        assert_eq!(serde_json::from_str::<Event>(&json)?, event);
    }
    let long: Detail = "x".repeat(1 << 20).into();
    assert!(long.as_str().len() < 1 << 14, "what others said is not bounded");
    Ok(())
}

#[test]
fn the_readme_lists_every_event_with_its_level_and_fields() -> Tested {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?;
    let (_, section) = readme.split_once("\n### Events\n").ok_or("the README has no section on events")?;
    let section = section.split("\n#").next().unwrap_or_default();
    let mut listed = BTreeMap::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [name, level, _, fields] = cells[..] else { return Err(format!("not four cells: {row}").into()) };
        let fields: BTreeSet<String> = fields.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        listed.insert(name.trim_end_matches('`').to_owned(), (level.to_owned(), fields));
    }
    let mut expected = BTreeMap::new();
    for kind in samples()? {
        expected.insert(kind.name().as_str().to_owned(), (level(kind.name().level()).to_owned(), fields(&kind)?));
    }
    for (name, of, fields) in logged::ALL {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        expected.insert((*name).to_owned(), (level(*of).to_owned(), fields));
    }
    assert_eq!(listed, expected, "the README on the left");
    Ok(())
}

fn fields(kind: &EventKind) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let Value::Object(fields) = serde_json::to_value(kind)? else { return Err("no object".into()) };
    Ok(fields.into_iter().map(|(name, _)| name).filter(|name| name != "event").collect())
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}
