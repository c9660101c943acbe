//! What people read, as they read it: sample values in, shown text out.

use std::{collections::BTreeMap, error::Error};

use evenkeel::{
    model::{
        change::RecordedChange,
        desired::Resource,
        digest::Digest,
        environment_state::{Barred, Control, EnvironmentState, HistoryEntry, StateEvent},
        event::{Detail, Event, EventKind},
        finding::{Code, Finding},
        name::InstanceName,
        outcome::{Cause, Conclusion, Deployment, Intent, Kind, Outcome, Record, RecordedDeployment},
        plan::{Action, Before, Commits, InstanceState, Plan, StepId, Verb},
        release::{HeldRelease, Listed, Listing},
        status::StatusView,
    },
    report::{
        self, Style,
        release::{Held, Known},
        status,
        why::{self, LastChange, WhyInstance, WhyView},
    },
};
use insta::assert_snapshot;
use samples::*;
use serde_json::Value;

#[path = "report/events.rs"]
mod events;
#[path = "report/hostile.rs"]
mod hostile;
#[path = "report/proposals.rs"]
mod proposals;
#[path = "report/pulls.rs"]
mod pulls;
#[path = "report/samples.rs"]
mod samples;
#[path = "report/sealed.rs"]
mod sealed;
#[path = "report/told.rs"]
mod told;

type Tested = Result<(), Box<dyn Error>>;

const PLAIN: Style = Style(false);

#[test]
fn plans() -> Tested {
    assert_snapshot!("plan_first_deployment", report::plan::text(&first_deployment()?, PLAIN));
    assert_snapshot!("plan_env_change", report::plan::text(&env_change()?, PLAIN));
    assert_snapshot!("plan_deletion", report::plan::text(&deletion()?, PLAIN));
    assert_snapshot!("plan_drift_and_unknown", report::plan::text(&drift()?, PLAIN));
    assert_snapshot!("plan_refused", report::plan::text(&refused()?, PLAIN));
    assert_snapshot!("plan_styled", report::plan::text(&env_change()?, Style(true)).replace('\x1b', "␛"));
    Ok(())
}

#[test]
fn a_plan_without_changes_is_one_line() -> Tested {
    let unknown = || InstanceState::Unknown("timed out".into());
    let as_declared = || InstanceState::AsDeclared;
    let nothing = plan(&[("a", as_declared()), ("b", as_declared())], Vec::new())?;
    assert_eq!(report::plan::text(&nothing, PLAIN), "No changes. 2 instances, 14 services as declared.\n");
    let partly = plan(&[("a", as_declared()), ("b", unknown())], Vec::new())?;
    let text = report::plan::text(&partly, PLAIN);
    let lines: Vec<_> = text.lines().collect();
    let observed = "? b: not observed: timed out; nothing is planned there";
    assert_eq!(lines, [observed, "", "No changes on 1 of 2 instances; 1 could not be observed."]);
    let blind = plan(&[("a", unknown())], Vec::new())?;
    assert_snapshot!(report::plan::headline(&blind), @"Nothing is planned: 1 instance could not be observed.");
    assert_snapshot!(report::plan::headline(&refused()?), @"Refused: 2 reasons. Nothing was touched.");
    assert_snapshot!(report::plan::headline(&first_deployment()?), @"Plan: 4 to create, 0 to update, 0 to restart, 0 to delete on 2 of 3 instances.");
    Ok(())
}

#[test]
fn change_lines() -> Tested {
    let all = [first_deployment()?, env_change()?, deletion()?, drift()?];
    let lines: Vec<String> = all.iter().flat_map(Plan::changes).map(|change| report::change::line(&change)).collect();
    assert_snapshot!(lines.join("\n"));
    for changes in all.iter().map(Plan::changes) {
        let read: Vec<RecordedChange> = serde_json::from_value(serde_json::json!(changes))?;
        assert_eq!(read, changes, "a record reads back as it was written");
    }
    Ok(())
}

#[test]
fn hostile_content_is_shown_and_never_obeyed() -> Tested {
    let hostile = format!(
        "A=\"\x1b[2J\x1b]0;pwned\x07`rm -rf /`\"\r\nB=\"\u{202e}evil\u{200b}\"\n\tC=\"```\"\n{}\nno end",
        "x".repeat(5000)
    );
    let reason = "because \x1b[31mof\nthis";
    let mut sample = plan(
        &[("a", InstanceState::Changes), ("b", InstanceState::Unknown("\x1b[2Jgone".into()))],
        vec![
            step(
                "a",
                1,
                Resource::Leftover("\x1b[1mx".into()),
                Action::RemoveFile { path: "/etc/\x1b[1mx".into(), before: Before::Absent },
                reason,
            )?,
            step("a", 1, service("s")?, write("/etc/s.env", live("A=1\n", 0o600), &hostile), reason)?,
            step("a", 1, service("s")?, Action::RestartUnit { unit: "s\x1b.service".into() }, reason)?,
        ],
    )?;
    sample.findings = vec![Finding::warning(Code::Drift, "evil \x1b[31m").hint("and \x07")];
    let text = report::plan::text(&sample, PLAIN);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    assert_snapshot!("plan_hostile", text);
    let mut failed = deployment(Some(Outcome::RolledBack))?;
    failed.triggered_by = "me\nOutcome: applied".into();
    if let Some(failure) = &mut failed.failure {
        failure.log = vec!["\x1b[31mred".into(), "Outcome: applied\n\nOutcome: applied".into()];
        failure.message = "first\x07\n\nOutcome: applied".into();
    }
    failed.changes = vec![RecordedChange::Line("x\n\nOutcome: applied".into())];
    let message = report::deployment::commit_message(&failed, Some("subject\x1b[0m\n\nOutcome: applied"));
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    assert_eq!(last.lines().filter(|line| line.starts_with("Outcome:")).collect::<Vec<_>>(), ["Outcome: rolled-back"]);
    assert_snapshot!("commit_hostile", message);
    Ok(())
}

#[test]
fn a_plan_as_json() -> Tested {
    for plan in [first_deployment()?, env_change()?, deletion()?, drift()?, refused()?] {
        as_its_schema_says("plan", &report::plan::json(&plan))?;
    }
    let mut json: Value = serde_json::from_str(&report::plan::json(&first_deployment()?))?;
    assert_eq!(json["steps"][3]["needs"][0], "ai-core/site/app/stage/".to_owned() + &Digest::of("app").to_string());
    assert_eq!(json["steps"][9]["needs"], serde_json::json!([json["steps"][8]["id"]]));
    json["steps"][0]["phase"] = "first".into();
    assert!(as_its_schema_says("plan", &json.to_string()).is_err(), "a phase is a number");
    assert_snapshot!("plan_json", report::plan::json(&env_change()?));
    Ok(())
}

/// Whether what a command prints is what `schema/COMMAND.json` says; as it was read.
fn as_its_schema_says(command: &str, json: &str) -> Result<Value, Box<dyn Error>> {
    let file = format!("{}/schema/{command}.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    let value = serde_json::from_str(json)?;
    jsonschema::validate(&schema, &value).map_err(|error| format!("{file}: {error} at {}", error.instance_path()))?;
    Ok(value)
}

const OUTCOMES: [Option<Outcome>; 8] = [
    None,
    Some(Outcome::Applied),
    Some(Outcome::Unchanged),
    Some(Outcome::RolledBack),
    Some(Outcome::RollbackFailed),
    Some(Outcome::Partial),
    Some(Outcome::Stopped),
    Some(Outcome::Refused),
];

/// What `apply` ends with.
fn ending(deployment: Deployment) -> Option<String> {
    let recorded = RecordedDeployment::from(deployment);
    recorded.conclusion().map(|conclusion| report::deployment::outcome(conclusion, PLAIN))
}

#[test]
fn commit_messages_and_last_lines() -> Tested {
    let mut messages = Vec::new();
    let mut endings = Vec::new();
    for outcome in OUTCOMES {
        let deployment = deployment(outcome)?;
        messages.push(report::deployment::commit_message(&deployment, Some("Point gong at the new memory service")));
        endings.extend(ending(deployment));
    }
    let mut repair = deployment(Some(Outcome::Applied))?;
    repair.kind = Kind::DriftRepair;
    repair.commits = Commits::default();
    repair.suspects = vec!["ann ran vim as root on business-tools at 13:12:40 UTC".into()];
    for cause in [Cause::Cancelled, Cause::Lost, Cause::Interrupted] {
        let mut deployment = deployment(Some(Outcome::RolledBack))?;
        let failure = deployment.failure.as_mut().ok_or("it failed")?;
        (failure.cause, failure.step, failure.log) = (cause, None, Vec::new());
        failure.message = match cause {
            Cause::Cancelled => "by ann@laptop: wrong branch",
            Cause::Lost => "lost while applying a phase: no answer within 60 s",
            _ => "generation 12 was cut off there in the middle of a phase",
        }
        .to_owned();
        messages.push(report::deployment::commit_message(&deployment, None));
    }
    messages.push(report::deployment::commit_message(&repair, None));
    let mut large = deployment(Some(Outcome::Partial))?;
    (large.summary.create, large.summary.update, large.summary.restart, large.summary.delete) = (14, 13, 12, 11);
    let subject = report::deployment::commit_message(&large, None).lines().next().unwrap_or_default().to_owned();
    assert_eq!(subject, "partly applied 4f3a2b1: 14 created, 13 updated, 12 restarted, 11…");
    for message in &messages {
        let subject = message.lines().next().unwrap_or_default();
        assert!(subject.chars().count() <= 72 && !subject.ends_with('…'), "{subject}");
    }
    assert_snapshot!("commit_messages", messages.join("\n=====\n"));
    assert_snapshot!("last_lines", endings.join("\n=====\n"));
    Ok(())
}

#[test]
fn a_deployment_that_left_out_an_instance_tells_what_was_done_on_the_others() -> Tested {
    let deployment = deployment_that_left_out_an_instance()?;
    assert_eq!(deployment.failed.len(), 1);
    let message = report::deployment::commit_message(&deployment, Some("Point gong at the new memory service"));
    let ending = ending(deployment).ok_or("it is over")?;
    assert_snapshot!("left_out", [message, ending].join("\n=====\n"));
    Ok(())
}

#[test]
fn history_and_show() -> Tested {
    let mut records = Vec::new();
    for (index, outcome) in OUTCOMES.into_iter().enumerate() {
        let mut deployment = deployment(outcome)?;
        deployment.generation = 20 - index as u64;
        records.push(Record { commit: format!("{index}9a8b7c6").into(), deployment: deployment.into() });
    }
    let mut intent = records[1].clone();
    intent.deployment = Intent::begun(Deployment::clone(&intent.deployment)).into();
    records.insert(2, intent);
    let mut elsewhere = Deployment::clone(&records[7].deployment);
    elsewhere.commits.default = Some("0".repeat(40).into());
    records[7].deployment = elsewhere.into();
    let of_an_end = HistoryEntry::Deployment(Box::new(records[3].clone()));
    assert_snapshot!("history_json", report::deployment::json(&of_an_end));
    let show: Vec<String> = [0, 1, 5].iter().map(|index| report::deployment::show(&records[*index], PLAIN)).collect();
    let mut entries: Vec<HistoryEntry> =
        records.into_iter().map(|record| HistoryEntry::Deployment(Box::new(record))).collect();
    for (index, event) in controls()?.into_iter().enumerate() {
        entries.insert(index, HistoryEntry::Control { commit: format!("{index}f00").into(), event: Box::new(event) });
    }
    assert_snapshot!("history", report::deployment::history(&entries, PLAIN));
    assert_snapshot!("show", show.join("\n=====\n"));
    for entry in &entries {
        as_its_schema_says("history", &report::deployment::json(entry))?;
    }
    assert!(as_its_schema_says("history", r#"{"commit": "0f00", "by": "ann@laptop"}"#).is_err(), "it is nothing");
    assert_eq!(report::deployment::history(&[], PLAIN), "No deployments yet.\n");
    Ok(())
}

fn controls() -> Result<Vec<StateEvent>, Box<dyn Error>> {
    let old = Commits::of_config(Some(COMMIT.into()), Some(COMMIT.into()));
    let instance = || "ai-core".parse().map(Some);
    let controls = [
        Control::Hold { instance: None, reason: "the demo\nat noon".into() },
        Control::Hold { instance: instance()?, reason: "a disk is replaced".into() },
        Control::Resume { instance: None },
        Control::Resume { instance: instance()? },
        Control::Retry { commits: old.clone(), allow_rewind: false },
        Control::Retry { commits: old.clone(), allow_rewind: true },
        Control::Cancel { reason: "wrong branch".into() },
        Control::Pin { commits: old.clone(), instead_of: Commits::default(), generation: 11 },
    ];
    let event =
        |control| StateEvent { control, by: "ann@laptop".into(), reason: None, when: "2026-11-21T13:14:05Z".into() };
    Ok(controls.into_iter().map(event).collect())
}

#[test]
fn controls_and_what_stands() -> Tested {
    let environment = "production".parse()?;
    let events = controls()?;
    let messages: Vec<String> =
        events.iter().map(|event| report::control::commit_message(&environment, event)).collect();
    assert_snapshot!("controls", messages.join("=====\n"));

    let commits = Commits::of_config(Some(COMMIT.into()), Some(COMMIT.into()));
    let failed = deployment(Some(Outcome::RolledBack))?;
    let held = events.iter().fold(EnvironmentState::default(), |state, event| state.after(event));
    let hold = events[..2].iter().fold(held, |state, event| state.after(event));
    let state = EnvironmentState {
        quarantine: EnvironmentState::default()
            .concluded(&Conclusion::new(failed.clone(), Outcome::RolledBack))
            .quarantine,
        ..hold
    };
    let open = deployment(None)?;
    let barred = [
        Barred::ObserveOnly,
        Barred::Held,
        Barred::StoodBack,
        Barred::StandsBy,
        Barred::Quarantined,
        Barred::Rewind,
        Barred::Later,
    ];
    let barred = barred.iter().filter_map(|why| status::barred(*why, &failed.commits, Some(&open), &state));
    let notes: Vec<String> = barred.chain(status::state(&state)).chain([status::does_not_hold(3)]).collect();
    assert_snapshot!("notes", notes.join("\n"));
    assert_eq!(state.quarantined(&commits).map(|quarantined| quarantined.generation), Some(12));
    assert_eq!(state.clone().after(&events[4]).quarantined(&commits), None, "retry lifts it");
    Ok(())
}

#[test]
fn status_and_why() -> Tested {
    let service = |name: &str, port: u16, sync: &str, health: &str, why: Option<&str>| {
        let unit = format!("sophia-{name}@{port}.service");
        serde_json::json!({"name": name, "port": port, "unit": unit, "sync": sync, "health": health, "why": why})
    };
    let view: StatusView = serde_json::from_value(serde_json::json!({
        "environment": "production", "branch": "main", "commit": COMMIT, "sync": "out-of-sync", "health": "degraded",
        "deployed": {"commit": COMMIT, "generation": 12, "when": "2026-11-21T13:14:05Z", "outcome": "applied"},
        "controller": "control (pid 812)", "last_error": "the repository: could not resolve host", "notes": ["held by ann since today: a look"],
        "observed_at": "2026-11-21T14:00:00+01:00",
        "instances": [
            {"name": "ai-core", "address": "192.0.2.5", "sync": "out-of-sync", "why": "1 change is planned", "services": [
                service("ai_memory_mcp", 8000, "synced", "healthy", None),
                service("chat", 8001, "out-of-sync", "healthy", Some("its environment file was changed")),
                service("prompt_library_mcp", 8002, "synced", "degraded", Some("GET /health answered 503")),
                service("slow", 8003, "synced", "progressing", None),
            ]},
            {"name": "business-tools", "address": "192.0.2.113", "sync": "unknown", "why": "timed out", "services": [
                service("gong_mcp", 8100, "unknown", "unknown", None),
            ]},
        ],
    }))?;
    assert_snapshot!("status", status::text(&view, PLAIN));
    let json = as_its_schema_says("status", &status::json(&view))?;
    assert_eq!((json["version"].as_u64(), serde_json::from_value::<StatusView>(json)?), (Some(1), view));
    let change = LastChange {
        generation: 12,
        commit: Some(COMMIT.into()),
        when: "2026-11-21T13:14:05Z".into(),
        outcome: Some(Outcome::Applied),
        reason: "what is declared has changed".into(),
    };
    let instance = WhyInstance {
        instance: "business-tools".parse()?,
        unit: Some(UNIT.into()),
        port: Some(8100),
        release: Some(Digest::of("gong").to_string()),
        source: Some("mcp_servers/gong".into()),
        build_log: vec!["vite v7.1.2 building for production".into(), "✓ built in 1.21s \u{1b}[0m".into()],
        files: vec![ENV.into(), UNIT_FILE.into()],
        declared_in: Some("fleet/services/gong_mcp.yaml".into()),
        last_change: Some(change),
        live: "as declared, healthy, running since 13:14".into(),
    };
    let mut why = WhyView { subject: "service/gong_mcp".into(), instances: vec![instance] };
    assert_snapshot!("why", why::text(&why, PLAIN));
    let json = as_its_schema_says("why", &why::json(&why))?;
    assert_eq!((json["version"].as_u64(), serde_json::from_value::<WhyView>(json)?), (Some(1), why.clone()));
    why.instances.clear();
    assert_snapshot!(why::text(&why, PLAIN), @"service/gong_mcp is on no instance: nothing declares it, and nothing of it was left behind.");
    Ok(())
}

#[test]
fn progress() -> Tested {
    let instance: InstanceName = "business-tools".parse()?;
    let step = |verb, subject: &str| (StepId::new(&instance, &Resource::Nginx, verb, subject), subject.to_owned());
    let done = |verb, subject: &str| {
        let (step, subject) = step(verb, subject);
        EventKind::StepDone { instance: instance.clone(), step, verb, subject }
    };
    let (reload, nginx) = step(Verb::Reload, "nginx.service");
    let why = Detail::of;
    let events = [
        EventKind::HostsAsked { instances: 5 },
        EventKind::HostObserved { instance: "ai-core".parse()?, ms: 182 },
        EventKind::HostUnreachable { instance: "control".parse()?, why: why("connect: timed out\n(after 5 s)") },
        EventKind::PhaseBegun { number: 2, of: 3, title: why(&report::plan::phase_title(&first_deployment()?, 2)) },
        done(Verb::Stage, &Digest::of("gong").to_string()),
        done(Verb::Create, ENV),
        EventKind::StepBegun {
            instance: instance.clone(),
            step: reload.clone(),
            verb: Verb::Reload,
            subject: nginx.clone(),
        },
        done(Verb::Restart, UNIT),
        EventKind::StepFailed {
            instance: instance.clone(),
            step: reload,
            verb: Verb::Reload,
            subject: nginx,
            why: why("bind() failed\n\x1b[1m"),
        },
        EventKind::ServiceHealthy { instance: instance.clone(), service: "service/gong_mcp".into(), after_ms: 1380 },
        EventKind::ServiceUnhealthy {
            instance: "ai-core".parse()?,
            service: "service/chat".into(),
            why: why("not healthy after 45.2 s: 503"),
        },
        EventKind::RollbackBegun { instance: "ai-core".parse()? },
        EventKind::RollbackDone { instance: "ai-core".parse()? },
        EventKind::RollbackStepFailed {
            instance: "ai-core".parse()?,
            subject: "/etc/x".into(),
            why: why("gone\nalready"),
        },
        EventKind::DeploymentReported {},
        EventKind::HistoryUnread { why: why("no such\nbranch") },
    ];
    let at = || "2026-11-21T13:14:05.000Z".to_owned();
    let events = events.map(|kind| Event { at: at(), environment: None, deployment: None, kind });
    let lines =
        |style| events.iter().filter_map(|event| report::progress::line(event, style)).collect::<Vec<_>>().join("\n");
    assert_snapshot!("progress", lines(PLAIN));
    assert_snapshot!("progress_styled", lines(Style(true)).replace('\x1b', "␛"));
    Ok(())
}

#[test]
fn quantities() {
    use report::words::{clip, duration, short, size, time};
    let durations = [0, 999, 1000, 1449, 59_949, 59_950, 123_400, 3_599_499, 3_900_000];
    assert_snapshot!(durations.map(duration).join(", "), @"0 ms, 999 ms, 1.0 s, 1.4 s, 59.9 s, 1 min 0 s, 2 min 3 s, 59 min 59 s, 1 h 5 min");
    assert_snapshot!([0, 1023, 1024, 4198, 1 << 20, (1 << 20) - 1, u64::MAX].map(size).join(", "), @"0 B, 1023 B, 1.0 KiB, 4.1 KiB, 1.0 MiB, 1.0 MiB, 16777216.0 TiB");
    assert_eq!((clip("abcdef", 3), clip("äöü", 3), short("ä")), ("ab…".into(), "äöü".into(), "ä".into()));
    assert_eq!((time("2026-11-21T14:00:00+01:00"), time("soon")), ("2026-11-21 13:00:00".into(), "soon".into()));
}

#[test]
fn the_schemas_in_the_repository_are_the_generated_ones() -> Tested {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schema");
    let mut written = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_str().ok_or("a name that is not UTF-8")?.to_owned();
        written.insert(name, std::fs::read_to_string(file.path())?);
    }
    let generated = evenkeel::declare::schemas().into_iter().chain(report::json::schemas());
    let generated: BTreeMap<_, _> = generated.map(|(name, text)| (name.to_owned(), text)).collect();
    assert!(written.keys().eq(generated.keys()), "{:?} {:?}", written.keys(), generated.keys());
    let other: Vec<_> =
        generated.iter().filter(|(name, text)| written[*name] != **text).map(|(name, _)| name).collect();
    assert!(other.is_empty(), "{other:?} differ: run `evenkeel schema --write` and commit");
    Ok(())
}

#[test]
fn releases_on_instances() -> Tested {
    let content = |text: &str| Listed::File { digest: Digest::of(text), executable: text == "run" };
    let listing = |files: &[(&str, Listed)]| {
        Listing(files.iter().map(|(path, listed)| ((*path).to_owned(), listed.clone())).collect())
    };
    let to = |target: &str| Listed::Symlink { target: target.to_owned() };
    let old =
        listing(&[("app.py", content("one")), ("gone", content("x")), ("l", to("app.py")), ("run", content("run"))]);
    let new =
        listing(&[("app.py", content("two")), ("l", to("run")), ("new\n", content("y")), ("run", content("run"))]);
    let (first, second, third) = (Digest::of("first"), Digest::of("second"), Digest::of("third"));
    let release = |digest, in_use, since, listing| HeldRelease { digest, in_use, since, bytes: 1536, listing };
    let held: Held = [
        (
            "ai-core".parse()?,
            Ok(vec![
                release(third, false, 0, None),
                release(first, false, 1_700_000_000, Some(old.clone())),
                release(second, true, 1_700_000_900, Some(new.clone())),
            ]),
        ),
        ("business-tools".parse()?, Err("ubuntu@192.0.2.1: refuses the login\nso".to_owned())),
    ]
    .into();
    let mut known = Known::default();
    known.learn(&format!("instances/ai-core/releases/{second}"), "# from fleet/mcp_servers/gong\n0444 …\n");
    known.learn(&format!("instances/ai-core/releases/{second}"), "# from where it was before\n");
    known.learn(&format!("instances/ai-core/releases/{first}"), "# from \u{1b}[31mred\n");
    known.learn(&format!("builds/{second}.log"), "$ npm run build\n\u{1b}[1mdone\n");
    assert_snapshot!(report::release::table(&held, &known.origins, PLAIN));
    assert_snapshot!(report::release::show(&second, &held, &known, PLAIN));
    assert_snapshot!(report::release::show(&third, &held, &known, PLAIN));
    assert_snapshot!(report::release::diff((&first, &old), (&second, &new), PLAIN));
    Ok(())
}
