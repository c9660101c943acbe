//! Sample plans and deployments, as the planner and the engine make them.

use std::{collections::BTreeMap, error::Error};

use evenkeel::model::{
    content::Content,
    desired::Resource,
    digest::Digest,
    failure::{Failure, FaultScope},
    finding::{Code, Finding},
    fleet::{Check, Health},
    manifest::Manifest,
    outcome::{Cause, Deployment, Kind, Outcome, RecordVersion},
    plan::{Action, Before, Commits, InstancePlan, InstanceState, Phase, Plan, Step, StepId},
};

pub const COMMIT: &str = "4f3a2b1c5d6e7f8091a2b3c4d5e6f708192a3b4c";
pub const UNIT: &str = "sophia-gong_mcp@8100.service";
pub const UNIT_FILE: &str = "/etc/systemd/system/sophia-gong_mcp@8100.service";
pub const ENV: &str = "/etc/evenkeel/sophia/gong_mcp@8100.env";

pub fn plan(states: &[(&str, InstanceState)], steps: Vec<Step>) -> Result<Plan, Box<dyn Error>> {
    let mut instances = BTreeMap::new();
    for (name, state) in states {
        let plan = InstancePlan {
            state: state.clone(),
            manifest_before: None,
            manifest_digest: None,
            new_key: None,
            manifest_after: Manifest::default(),
            generation: 11,
            drift: Vec::new(),
            slots: Default::default(),
        };
        instances.insert(name.parse()?, plan);
    }
    Ok(Plan {
        environment: "production".parse()?,
        commits: Commits::of_config(Some(COMMIT.into()), Some(COMMIT.into())),
        instances,
        steps,
        findings: Vec::new(),
        services: 14,
        interrupted: Default::default(),
    })
}

pub fn step(
    instance: &str,
    wave: u32,
    resource: Resource,
    action: Action,
    reason: &str,
) -> Result<Step, Box<dyn Error>> {
    let (instance, phase) = (instance.parse()?, Phase { wave, stage: 0 });
    let id = StepId::new(&instance, &resource, action.verb(), &action.subject());
    Ok(Step { id, instance, phase, resource, action, reason: reason.into() })
}

pub fn service(name: &str) -> Result<Resource, Box<dyn Error>> {
    Ok(Resource::Service(name.parse()?))
}

pub fn write(path: &str, before: Before, content: &str) -> Action {
    let mode = if path.ends_with(".env") { 0o600 } else { 0o644 };
    Action::WriteFile { path: path.into(), before, content: Content::Public(content.into()), mode }
}

pub fn live(content: &str, mode: u32) -> Before {
    let (digest, content) = (Digest::of(content), Some(Content::Public(content.into())));
    Before::File { digest, mode, owner: "root:root".into(), content }
}

pub fn await_health(name: &str, unit: &str) -> Result<Action, Box<dyn Error>> {
    let health = Health {
        check: Check::Http("/health".into()),
        interval: "5s".parse()?,
        timeout: "2s".parse()?,
        retries: 3,
        start_period: "30s".parse()?,
        settle: "0s".parse()?,
        successes: 1,
    };
    Ok(Action::AwaitHealth {
        service: name.parse()?,
        port: 8100,
        unit: unit.into(),
        user: "ubuntu".into(),
        directory: "/var/lib/evenkeel/sophia/releases/x".into(),
        env_files: vec![ENV.into()],
        confined_by: Default::default(),
        health,
        held_by: None,
    })
}

pub const NEW: &str = "declared and not there yet";
pub const UNIT_TEXT: &str =
    "[Unit]\nDescription=Gong call transcripts\n\n[Service]\nExecStart=:/usr/bin/python3 server.py\n";
pub const ENV_TEXT: &str = "ENVIRONMENT=\"prod\"\nINSTANCE_NAME=\"business-tools\"\nMEMORY_URL=\"http://10.0.0.2:8000\"\nSERVICE_PORT=\"8100\"\n";

pub fn first_deployment() -> Result<Plan, Box<dyn Error>> {
    let gong = || service("gong_mcp");
    let site = || -> Result<Resource, Box<dyn Error>> { Ok(Resource::Site("app".parse()?)) };
    let stage = |digest: &str, source: &str, files, bytes| Action::StageRelease {
        release: Digest::of(digest),
        source: source.into(),
        files,
        bytes,
        due: false,
    };
    let lacks = "the instance does not hold it yet";
    let current = Action::WriteLink {
        path: "/var/lib/evenkeel/sophia/sites/app/current".into(),
        before: Before::Absent,
        target: format!("/var/lib/evenkeel/sophia/releases/{}", Digest::of("app")),
    };
    let unit = || UNIT.to_owned();
    let steps = vec![
        step(
            "ai-core",
            1,
            Resource::Packages,
            Action::InstallPackages { names: vec!["nginx-light".into()] },
            "declared and not installed; added, never removed, and not undone",
        )?,
        step("ai-core", 1, site()?, stage("app", "frontend/build", 5, 3 << 20), lacks)?,
        step("business-tools", 1, gong()?, stage("gong", "mcp_servers/gong", 3, 4198), lacks)?,
        step(
            "business-tools",
            2,
            gong()?,
            Action::StopUnit { unit: "sophia-gong_mcp.service".into(), foreign: true },
            "sophia-gong_mcp@8100.service replaces it",
        )?,
        step("business-tools", 2, gong()?, write(ENV, Before::Absent, ENV_TEXT), NEW)?,
        step("business-tools", 2, gong()?, write(UNIT_FILE, Before::Absent, UNIT_TEXT), NEW)?,
        step("business-tools", 2, gong()?, Action::EnableUnit { unit: unit() }, "it must start after a reboot")?,
        step("business-tools", 2, gong()?, Action::StartUnit { unit: unit() }, NEW)?,
        step(
            "business-tools",
            2,
            gong()?,
            await_health("gong_mcp", UNIT)?,
            "what comes after waits until it is healthy",
        )?,
        step(
            "ai-core",
            3,
            site()?,
            write("/etc/nginx/conf.d/evenkeel-sophia-app.conf", Before::Absent, &lines("location /api/{n}/ {}", 52)),
            NEW,
        )?,
        step("ai-core", 3, site()?, current, NEW)?,
        step(
            "ai-core",
            3,
            Resource::Nginx,
            write("/etc/nginx/conf.d/evenkeel-sophia-00.conf", Before::Absent, "server {}\n"),
            NEW,
        )?,
        step(
            "ai-core",
            3,
            Resource::Nginx,
            Action::ReloadNginx { digest: Digest::of("n"), port: 8099, address: None, sites: BTreeMap::new() },
            "its files change",
        )?,
    ];
    let changes = InstanceState::Changes;
    let states = [("ai-core", changes.clone()), ("business-tools", changes), ("control", InstanceState::AsDeclared)];
    plan(&states, steps)
}

pub fn lines(pattern: &str, number: usize) -> String {
    (0..number).map(|n| pattern.replace("{n}", &n.to_string()) + "\n").collect()
}

pub fn env_change() -> Result<Plan, Box<dyn Error>> {
    let now = ENV_TEXT.replace("10.0.0.2", "10.0.0.7");
    let steps = vec![
        step(
            "business-tools",
            1,
            service("gong_mcp")?,
            write(ENV, live(ENV_TEXT, 0o600), &now),
            "what is declared has changed",
        )?,
        step(
            "business-tools",
            1,
            service("gong_mcp")?,
            Action::RestartUnit { unit: UNIT.into() },
            "its unit, environment or release changes",
        )?,
        step(
            "business-tools",
            1,
            service("gong_mcp")?,
            await_health("gong_mcp", UNIT)?,
            "what comes after waits until it is healthy",
        )?,
    ];
    plan(&[("ai-core", InstanceState::AsDeclared), ("business-tools", InstanceState::Changes)], steps)
}

pub fn drift() -> Result<Plan, Box<dyn Error>> {
    let changed = "drift: it was changed on the instance";
    let not_fetched = Before::File { digest: Digest::of("?"), mode: 0o644, owner: "root:root".into(), content: None };
    let rights =
        Before::File { digest: Digest::of(ENV_TEXT), mode: 0o644, owner: "ubuntu:ubuntu".into(), content: None };
    let binary = Action::WriteFile {
        path: "/etc/x.bin".into(),
        before: live("text", 0o644),
        content: Content::Public(vec![0xff, 0, 1]),
        mode: 0o644,
    };
    let link = Before::Link { target: "/tmp/mine".into() };
    let steps = vec![
        step("ai-core", 1, service("gong_mcp")?, write(ENV, rights, ENV_TEXT), changed)?,
        step(
            "ai-core",
            1,
            service("gong_mcp")?,
            write(UNIT_FILE, not_fetched, UNIT_TEXT),
            "what is declared has changed",
        )?,
        step("ai-core", 1, service("slack_mcp")?, write("/etc/a.conf", link, "a\n"), changed)?,
        step("ai-core", 1, service("slack_mcp")?, binary, changed)?,
        step(
            "ai-core",
            1,
            service("asana_mcp")?,
            Action::StartUnit { unit: "sophia-asana_mcp@8102.service".into() },
            "it should run and is failed",
        )?,
        step(
            "ai-core",
            2,
            Resource::Nginx,
            Action::ReloadNginx { digest: Digest::of("n"), port: 8099, address: None, sites: BTreeMap::new() },
            "drift: it serves an older configuration than its files",
        )?,
    ];
    plan(
        &[
            ("ai-core", InstanceState::Changes),
            ("control", InstanceState::Unknown("connect to 10.0.0.9:22: timed out\nafter 5 s".into())),
        ],
        steps,
    )
}

pub fn deletion() -> Result<Plan, Box<dyn Error>> {
    let gone = "no longer declared on this instance";
    let remove = |path: &str| Action::RemoveFile { path: path.into(), before: live("x", 0o644) };
    let steps = vec![
        step("business-tools", 1, service("gong_mcp")?, Action::StopUnit { unit: UNIT.into(), foreign: false }, gone)?,
        step("business-tools", 1, service("gong_mcp")?, remove(ENV), gone)?,
        step("business-tools", 1, service("gong_mcp")?, remove(UNIT_FILE), gone)?,
    ];
    plan(&[("business-tools", InstanceState::Changes)], steps)
}

pub fn refused() -> Result<Plan, Box<dyn Error>> {
    let mut plan = env_change()?;
    if let Some(instance) = plan.instances.get_mut("business-tools") {
        instance.state = InstanceState::Refused;
    }
    let instance = "business-tools".parse()?;
    plan.findings = vec![
        Finding::error(Code::PortTaken, "port 8100 of service/gong_mcp is taken by python3 (pid 812, of old.service)")
            .on(&instance)
            .hint("stop it, choose another port, or declare `replaces: [old.service]`"),
        Finding::error(Code::DeploymentRunning, "another deployment is running there").hint("wait for it to end"),
        Finding::warning(Code::NoEnvFile, "/etc/sophia/gong.env, which service/gong_mcp reads, does not exist"),
    ];
    Ok(plan)
}

/// One that went on without the instance that failed, and is undone there.
pub fn deployment_that_left_out_an_instance() -> Result<Deployment, Box<dyn Error>> {
    let failed: Vec<Failure> = deployment(Some(Outcome::RolledBack))?.failure.into_iter().collect();
    let left_out = failed.iter().filter_map(|failure| failure.instance().cloned()).collect();
    let done = first_deployment()?.without(&left_out);
    let (summary, changes) = (done.summary(), done.changes());
    let (failure, unreached) = (None, BTreeMap::new());
    Ok(Deployment { summary, changes, failure, unreached, failed, ..deployment(Some(Outcome::Partial))? })
}

pub fn deployment(outcome: Option<Outcome>) -> Result<Deployment, Box<dyn Error>> {
    let plan = first_deployment()?;
    let failure = Failure {
        scope: FaultScope::Instance("business-tools".parse()?),
        step: Some("business-tools/service/gong_mcp/await-health/sophia-gong_mcp@8100.service".parse()?),
        message: "service/gong_mcp: not healthy after 45.2 s: GET /health answered 503".into(),
        cause: Cause::Step,
        log: vec!["Traceback (most recent call last):".into(), "KeyError: 'GONG_KEY'".into()],
    };
    let failed = matches!(outcome, Some(Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped));
    let changes = if outcome == Some(Outcome::Unchanged) { Vec::new() } else { plan.changes() };
    let unreached: BTreeMap<_, _> = [("control".parse()?, "connect to 10.0.0.9:22: timed out".to_owned())].into();
    let not_undone = Failure::of_instance(&"ai-core".parse()?, Cause::Lost, "the connection broke: channel closed");
    Ok(Deployment {
        version: RecordVersion::CURRENT,
        environment: "production".parse()?,
        generation: 12,
        kind: Kind::Change,
        commits: plan.commits.clone(),
        plan_digest: plan.digest(),
        desired: None,
        triggered_by: "the controller".into(),
        controller: "control (pid 812)".into(),
        controller_id: "0123456789ab".into(),
        started: "2026-11-21T13:14:05Z".into(),
        outcome,
        duration_ms: outcome.map(|_| 123_400),
        summary: plan.summary(),
        builds: Default::default(),
        touches: plan.steps.iter().map(|step| step.instance.clone()).collect(),
        taken_over: None,
        limit_ms: 600_000,
        suspects: Vec::new(),
        changes,
        refused_for: None,
        failure: failed.then_some(failure),
        unreached: if outcome == Some(Outcome::Partial) { unreached } else { BTreeMap::new() },
        left_out: Default::default(),
        failed: Vec::new(),
        not_undone: if outcome == Some(Outcome::RollbackFailed) { vec![not_undone] } else { Vec::new() },
    })
}
