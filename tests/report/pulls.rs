//! What is said on a pull request, as people read it: sample values in, Markdown out.

use std::{collections::BTreeSet, error::Error};

use evenkeel::{
    model::{
        desired::Resource,
        digest::Digest,
        finding::{Finding, Place},
        name::{EnvironmentName, InstanceName},
        outcome::{Cause, Outcome},
        plan::{Action, Before, InstanceState, Plan, Step},
        pull::{Check, PullRequest, PullState},
        release::{Making, Release, ReleaseFile},
        source::{Origin, Pinned, Revision, Source},
    },
    report::pull::{
        self, Answer, DeployedView, PlannedEnvironment, PullContent, PullView, ReleaseChange, Replicas, Rest,
        Unresolved,
    },
};
use insta::assert_snapshot;

use super::samples::*;

type Tested = Result<(), Box<dyn Error>>;

pub const BASE: &str = "9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d";

pub fn pull_request() -> PullRequest {
    PullRequest {
        number: 42,
        title: "Point gong at the new memory service".into(),
        author: "ann".into(),
        head: COMMIT.into(),
        base: "main".into(),
        from: Some("sophia/fleet".into()),
        draft: false,
        state: PullState::Open,
        url: "https://github.com/sophia/fleet/pull/42".into(),
    }
}

pub fn view<'a>(pull: &'a PullRequest, content: PullContent<'a>) -> PullView<'a> {
    PullView { pull, base: BASE, when: "2026-11-21T13:14:05Z", rest: Rest::Check, warnings: &[], content }
}

/// An environment, owned, so that a view can borrow it.
pub struct Sample {
    pub environment: EnvironmentName,
    pub plan: Plan,
    pub before: Plan,
    pub releases: Vec<(Resource, Option<Release>, Release)>,
    pub source: Option<Source>,
    pub replicas: usize,
    pub barred: Option<String>,
}

impl Sample {
    pub fn of(plan: Plan) -> Self {
        let mut plan = plan;
        as_written(&mut plan);
        let before = Plan { steps: Vec::new(), findings: Vec::new(), ..plan.clone() };
        let environment = plan.environment.clone();
        Self { environment, plan, before, releases: Vec::new(), source: None, replicas: 1, barred: None }
    }

    pub fn planned(&self) -> PlannedEnvironment<'_> {
        let services = self.plan.steps.iter().filter_map(|step| match &step.resource {
            Resource::Service(name) => Some((name.clone(), self.replicas)),
            _ => None,
        });
        let resource = || Resource::Leftover("x".into());
        PlannedEnvironment {
            environment: &self.environment,
            plan: &self.plan,
            before: &self.before,
            releases: self
                .releases
                .iter()
                .map(|(resource, from, to)| ReleaseChange {
                    resource: resource.clone(),
                    instances: self.instances_of(resource),
                    from: from.as_ref(),
                    to,
                })
                .collect(),
            unresolved: self
                .source
                .iter()
                .map(|source| Unresolved {
                    resource: self.plan.steps.first().map_or_else(resource, |step| step.resource.clone()),
                    source,
                })
                .collect(),
            replicas: services.collect(),
            barred: self.barred.as_deref(),
        }
    }

    fn instances_of(&self, resource: &Resource) -> Vec<InstanceName> {
        let steps = self.plan.steps.iter().filter(|step| step.resource == *resource);
        let names: BTreeSet<InstanceName> = steps.map(|step| step.instance.clone()).collect();
        names.into_iter().collect()
    }

    pub fn comment(&self) -> String {
        let pull = pull_request();
        pull::comment(&view(&pull, PullContent::Planned(vec![self.planned()]))).body
    }
}

/// As if evenkeel had written every live file as it is.
fn as_written(plan: &mut Plan) {
    for step in &plan.steps {
        if let Action::WriteFile { path, before: Before::File { digest, .. }, .. } = &step.action
            && let Some(instance) = plan.instances.get_mut(&step.instance)
        {
            instance.manifest_before.get_or_insert_default().files.insert(path.clone(), *digest);
        }
    }
}

pub fn release(source: Pinned, files: &[(&str, &[u8])]) -> Release {
    let file = |(path, content): &(&str, &[u8])| {
        let digest = Digest::of(content);
        (
            (*path).to_owned(),
            ReleaseFile::File { content: (*content).into(), digest, executable: path.ends_with(".sh") },
        )
    };
    Release::new(source, files.iter().map(file).collect())
}

/// What hosts hold that nobody declared, and one that did not answer.
fn drifted(mut plan: Plan) -> Result<Sample, Box<dyn Error>> {
    let secret = ENV_TEXT.replace("SERVICE_PORT", "API_KEY=\"hunter2\"\nSERVICE_PORT").replace("gong", "slack");
    let path = "/etc/evenkeel/sophia/slack_mcp@8101.env";
    let unit = "sophia-slack_mcp@8101.service";
    let slack = || service("slack_mcp");
    let changed = "drift: it was changed on the instance";
    let steps = [
        step("ai-core", 1, slack()?, write(path, live(&secret, 0o600), ENV_TEXT), changed)?,
        step("ai-core", 1, slack()?, Action::RestartUnit { unit: unit.into() }, "drift: its files were changed")?,
    ];
    plan.steps.extend(steps.clone());
    for (name, state) in [
        ("ai-core", InstanceState::Changes),
        ("control", InstanceState::Unknown("connect to 10.0.0.9:22: timed out\nafter 5 s".into())),
    ] {
        let of = plan.instances.values().next().cloned().ok_or("an instance")?;
        plan.instances.insert(name.parse()?, evenkeel::model::plan::InstancePlan { state, ..of });
    }
    let mut sample = Sample::of(plan);
    sample.before.steps = steps.into();
    for instance in sample.plan.instances.values_mut() {
        let written = instance.manifest_before.get_or_insert_default();
        written.files.entry(path.to_owned()).and_modify(|digest| *digest = Digest::of(ENV_TEXT));
    }
    Ok(sample)
}

fn new_code() -> Result<Sample, Box<dyn Error>> {
    let folder = || Pinned::Folder("mcp_servers/gong".into());
    let server = "import os\n\n\ndef serve():\n    return os.environ['MEMORY_URL']\n";
    let png: &[u8] = &[0x89, b'P', b'N', b'G', 0, 1, 2];
    let old: [(&str, &[u8]); 4] =
        [("server.py", server.as_bytes()), ("old.py", b"pass\n"), ("logo.png", png), ("README.md", b"# Gong\n")];
    let timeout = server.replace("return", "# waits for `memory`\n    return");
    let grown = [png, &[7; 4096]].concat();
    let new: [(&str, &[u8]); 4] = [
        ("server.py", timeout.as_bytes()),
        ("start.sh", b"#!/bin/sh\n"),
        ("logo.png", &grown),
        ("README.md", b"# Gong\n"),
    ];
    let (from, to) = (release(folder(), &old), release(folder(), &new));
    let gong = || service("gong_mcp");
    let directory = |release: &Release| format!("/var/lib/evenkeel/sophia/releases/{}", release.digest);
    let unit = |release: &Release| {
        UNIT_TEXT.replace("[Service]", &format!("[Service]\nWorkingDirectory={}", directory(release)))
    };
    let stage =
        Action::StageRelease { release: to.digest, source: to.origin(), files: 4, bytes: to.size(), due: false };
    let steps = vec![
        step("business-tools", 1, gong()?, stage, "the instance does not hold it yet")?,
        step(
            "business-tools",
            2,
            gong()?,
            write(UNIT_FILE, live(&unit(&from), 0o644), &unit(&to)),
            "what is declared has changed",
        )?,
        step(
            "business-tools",
            2,
            gong()?,
            Action::RestartUnit { unit: UNIT.into() },
            "its unit, environment or release changes",
        )?,
        step("business-tools", 2, gong()?, await_health("gong_mcp", UNIT)?, "what comes after waits for it")?,
    ];
    let plan = plan(&[("business-tools", InstanceState::Changes), ("ai-core", InstanceState::AsDeclared)], steps)?;
    let mut sample = Sample::of(plan);
    sample.releases = vec![(gong()?, Some(from), to)];
    Ok(sample)
}

/// A frontend that is built, switched over on two instances.
fn frontend() -> Result<Sample, Box<dyn Error>> {
    let site = || -> Result<Resource, Box<dyn Error>> { Ok(Resource::Site("app".parse()?)) };
    let target = |name: &str| format!("/var/lib/evenkeel/sophia/releases/{}", Digest::of(name));
    let mut steps = Vec::new();
    for instance in ["ai-core", "business-tools"] {
        let due = Action::StageRelease {
            release: Digest::of("new"),
            source: "frontend, to be built".into(),
            files: 0,
            bytes: 0,
            due: true,
        };
        let link = Action::WriteLink {
            path: "/var/lib/evenkeel/sophia/sites/app/current".into(),
            before: Before::Link { target: target("old") },
            target: target("new"),
        };
        let reload = Action::ReloadNginx { digest: Digest::of("n"), port: 8099 };
        steps.push(step(instance, 1, site()?, due, "the instance does not hold it yet")?);
        steps.push(step(instance, 2, site()?, link, "what is declared has changed")?);
        steps.push(step(instance, 2, Resource::Nginx, reload, "its files change")?);
    }
    let states = [("ai-core", InstanceState::Changes), ("business-tools", InstanceState::Changes)];
    let mut sample = Sample::of(plan(&states, steps)?);
    let from = release(Pinned::Folder("frontend".into()), &[("index.html", b"<html>")]);
    let key = Digest::of("key");
    let to = Release::without_files(key, Pinned::Folder("frontend".into()), Making::Due { key });
    sample.releases = vec![(site()?, Some(from), to)];
    Ok(sample)
}

fn findings() -> Vec<Finding> {
    let place = |file: &str, line, column, end_column, text: &str| Place {
        file: file.into(),
        line,
        column,
        end_column,
        text: text.into(),
    };
    vec![
        Finding::error("port-taken", "`gong_mcp` and `slack_mcp` both have port 8100 on `business-tools`")
            .at(place("fleet/services/gong_mcp.yaml", 5, 7, 11, "port: 8100"))
            .also(place("fleet/services/slack_mcp.yaml", 4, 7, 11, "port: 8100"), "`slack_mcp`")
            .hint("8101 is free there"),
        Finding::warning("no-health", "it declares no health: it counts as healthy once its port answers").at(place(
            "fleet/services/gong_mcp.yaml",
            1,
            1,
            1,
            "",
        )),
    ]
}

#[test]
fn a_comment_tells_at_a_glance_what_merging_does() -> Tested {
    assert_snapshot!("first_deployment", Sample::of(first_deployment()?).comment());
    assert_snapshot!("env_change", Sample::of(env_change()?).comment());
    assert_snapshot!("deletion", Sample::of(deletion()?).comment());
    assert_snapshot!("new_code", new_code()?.comment());
    assert_snapshot!("frontend", frontend()?.comment());
    let mut held = Sample::of(refused()?);
    held.barred = Some("held by ann since 2026-11-21 12:00:00 UTC: the demo at noon".into());
    held.source = Some(Source { origin: Origin::Folder("gong".into()), ..Source::folder("gong") });
    assert_snapshot!("refused", held.comment());
    Ok(())
}

#[test]
fn what_would_be_done_anyway_is_told_apart_and_what_only_a_host_holds_is_not_shown() -> Tested {
    let sample = drifted(env_change()?)?;
    let comment = sample.comment();
    assert!(!comment.contains("hunter2"), "{comment}");
    assert_snapshot!("drift", comment);
    let mut alone = drifted(env_change()?)?;
    alone.plan.steps = alone.before.steps.clone();
    assert_snapshot!("drift_alone", alone.comment());
    Ok(())
}

#[test]
fn a_restart_that_drift_asks_for_too_is_told_with_the_change_that_it_serves() -> Tested {
    let mut sample = Sample::of(env_change()?);
    sample.before.steps = sample.plan.steps[1..].to_vec();
    let comment = sample.comment();
    assert_eq!(comment, Sample::of(env_change()?).comment());
    Ok(())
}

#[test]
fn a_comment_says_which_requests_are_lost_by_how_many_replicas_run() -> Tested {
    for (replicas, told) in [
        (1, "restarts on `business-tools`, its only replica: requests to it fail until it is healthy again"),
        (3, "1 of its 3 replicas: requests to that one fail until healthy again, the rest answers"),
    ] {
        let comment = Sample { replicas, ..Sample::of(env_change()?) }.comment();
        assert!(comment.contains(told), "{comment}");
    }
    let everywhere = many(2, |_| 1)?;
    let mut plan = everywhere.plan.clone();
    for instance in ["h0", "h1"] {
        let restart = Action::RestartUnit { unit: UNIT.into() };
        plan.steps.push(step(instance, 1, service("gong_mcp")?, restart, "its environment changes")?);
    }
    let comment = Sample { replicas: 2, ..Sample::of(plan) }.comment();
    assert!(comment.contains("all 2 replicas at once: requests to it fail until one is healthy again"), "{comment}");
    assert!(frontend()?.comment().contains("- No request is lost: nginx goes on serving while it reloads"));
    Ok(())
}

#[test]
fn a_source_that_lies_elsewhere_is_listed_and_not_shown() -> Tested {
    let mut sample = new_code()?;
    let url = "https://example.com/private.git".to_owned();
    let elsewhere = Pinned::Git { url, commit: COMMIT.into(), revision: Revision::Default, folder: String::new() };
    for (_, from, to) in &mut sample.releases {
        for release in from.iter_mut().chain([to]) {
            release.source = elsewhere.clone();
        }
    }
    let comment = sample.comment();
    assert!(comment.contains("~ server.py (86 B, was 61 B)") && !comment.contains("def serve"), "{comment}");
    Ok(())
}

#[test]
fn a_release_that_was_built_elsewhere_has_files_that_nobody_here_knows() -> Tested {
    let mut sample = new_code()?;
    let key = Digest::of("key");
    let making = Making::Recorded { key, requirements: Default::default() };
    let folder = Pinned::Folder("mcp_servers/gong".into());
    sample.releases[0].2 = Release::without_files(key, folder, making);
    let comment = sample.comment();
    assert!(comment.contains("files: what differs is not known"), "{comment}");
    assert!(comment.contains("those files are not at hand") && !comment.contains("def serve"), "{comment}");
    Ok(())
}

#[test]
fn a_pull_request_that_changes_nothing_is_one_line() -> Tested {
    let nothing = plan(&[("a", InstanceState::AsDeclared), ("b", InstanceState::AsDeclared)], Vec::new())?;
    assert_snapshot!("no_changes", Sample::of(nothing).comment());
    Ok(())
}

#[test]
fn a_pull_request_that_is_not_planned_says_why_and_what_to_do() -> Tested {
    let pull = PullRequest { from: Some("stranger/fleet".into()), ..pull_request() };
    let paths = ["fleet/services/gong_mcp.yaml".to_owned(), "fleet/sites/app.yaml".to_owned()];
    let findings = findings();
    for (name, content) in [
        ("untouched", PullContent::Untouched),
        ("fork", PullContent::Fork),
        ("conflict", PullContent::Conflict(&paths)),
        ("not_looked_at", PullContent::Refused("its tree has 100001 files; 100000 is the limit")),
        ("invalid", PullContent::Invalid(&findings)),
    ] {
        assert_snapshot!(name, pull::comment(&view(&pull, content)).body);
    }
    Ok(())
}

#[test]
fn several_environments_have_a_section_each() -> Tested {
    let production = Sample::of(env_change()?);
    let mut staging = first_deployment()?;
    staging.environment = "staging".parse()?;
    let staging = Sample::of(staging);
    let pull = pull_request();
    let content = PullContent::Planned(vec![production.planned(), staging.planned()]);
    assert_snapshot!("several_environments", pull::comment(&view(&pull, content)).body);
    Ok(())
}

/// Instances that all change, each by a diff of `lines` lines of 100 characters.
pub fn many(instances: usize, lines: impl Fn(usize) -> usize) -> Result<Sample, Box<dyn Error>> {
    let mut steps: Vec<Step> = Vec::new();
    let names: Vec<String> = (0..instances).map(|number| format!("h{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let line = "x".repeat(99);
        let (old, new): (String, String) =
            (0..lines(number)).map(|at| (format!("a{at}{line}\n"), format!("b{at}{line}\n"))).unzip();
        steps.push(step(name, 1, service("gong_mcp")?, write(ENV, live(&old, 0o600), &new), "it has changed")?);
    }
    let states: Vec<(&str, InstanceState)> = names.iter().map(|name| (name.as_str(), InstanceState::Changes)).collect();
    Ok(Sample::of(plan(&states, steps)?))
}

#[test]
fn a_comment_that_is_too_long_is_shortened_by_whole_instances_the_largest_first() -> Tested {
    let sample = many(7, |number| if number == 3 { 90 } else { 50 })?;
    let pull = pull_request();
    let file = "https://github.com/sophia/fleet/blob/evenkeel/history/production/pulls/42.md";
    let content = PullContent::Planned(vec![sample.planned()]);
    let comment = pull::comment(&PullView { rest: Rest::File(file), ..view(&pull, content) });
    assert!(comment.body.len() <= pull::LONGEST_COMMENT, "{}", comment.body.len());
    let rest = comment.rest.ok_or("all of it is somewhere")?;
    assert!(rest.len() > pull::LONGEST_COMMENT && rest.contains("b89xxx"), "{}", rest.len());
    let folded: Vec<&str> = comment
        .body
        .lines()
        .filter(|line| !line.starts_with(['+', '-', ' ', '@', '~']) || line.starts_with("- `"))
        .collect();
    assert_snapshot!("shortened", folded.join("\n"));
    Ok(())
}

fn merged() -> Vec<PullRequest> {
    let other = PullRequest {
        number: 41,
        title: "Fixes #7: `retry` when slack says no".into(),
        author: "bob".into(),
        url: "https://github.com/sophia/fleet/pull/41".into(),
        ..pull_request()
    };
    vec![pull_request(), other]
}

#[test]
fn a_deployment_is_told_of_where_it_was_merged() -> Tested {
    let merged = merged();
    let revert = PullRequest { number: 43, url: "https://github.com/sophia/fleet/pull/43".into(), ..pull_request() };
    let record = "https://github.com/sophia/fleet/commit/0123456789abcdef0123456789abcdef01234567";
    for outcome in [
        Outcome::Applied,
        Outcome::Partial,
        Outcome::RolledBack,
        Outcome::RollbackFailed,
        Outcome::Stopped,
        Outcome::Refused,
    ] {
        let mut deployment = deployment(Some(outcome))?;
        if outcome == Outcome::Refused {
            deployment.failure = Some(evenkeel::model::outcome::Failure {
                instance: "business-tools".parse()?,
                step: String::new(),
                message: "frontend: `npm run build` ended with 1".into(),
                cause: Cause::Build,
                log: vec!["vite: not found".into()],
            });
        }
        let went_well = outcome == Outcome::Applied;
        let view = DeployedView {
            deployment: &deployment,
            record: Some(record),
            replicas: went_well.then_some(Replicas { healthy: 14, all: 14 }),
            merged: if went_well { &merged } else { &merged[..1] },
            revert: (outcome == Outcome::RolledBack).then_some(&revert),
        };
        assert_snapshot!(format!("deployed_{outcome}"), pull::deployed(&view));
        assert!(pull::deployed(&view).starts_with("<!-- evenkeel:deployed production 12 -->\n"));
    }
    Ok(())
}

#[test]
fn a_revert_tells_what_failed_and_what_merging_it_does() -> Tested {
    let deployment = deployment(Some(Outcome::RolledBack))?;
    let record = Some("https://github.com/sophia/fleet/commit/0123456789abcdef0123456789abcdef01234567");
    let view = DeployedView { deployment: &deployment, record, replicas: None, merged: &[], revert: None };
    let reverted = &merged()[1];
    assert_snapshot!(pull::revert_title(&deployment, reverted), @"Revert #41, which was rolled back in production");
    assert_snapshot!("revert_body", pull::revert_body(&view, reverted));
    Ok(())
}

#[test]
fn answers_say_what_was_done_or_why_not_and_what_to_type() {
    let lines = ["service/gong_mcp on business-tools: as declared".to_owned()];
    let answers = [
        Answer::Help,
        Answer::Unknown { word: "pln" },
        Answer::Unknown { word: "make-coffee" },
        Answer::Misused { command: "why", why: "it takes service/NAME or site/NAME" },
        Answer::NotAllowed { login: "stranger", permission: Some("read") },
        Answer::NotAllowed { login: "stranger", permission: None },
        Answer::Done { command: "why service/gong_mcp", what: "it was deployed by 4f3a2b1", lines: &lines },
        Answer::Refused { command: "cancel", why: "no deployment runs in production" },
    ];
    assert_snapshot!("answers", answers.iter().map(pull::answer).collect::<Vec<_>>().join("=====\n"));
}

fn line(check: &Check) -> String {
    format!("{} {:?} {}", check.name, check.state, check.title)
}

#[test]
fn checks_say_of_each_stage_what_stands_in_the_way() -> Tested {
    let pull = pull_request();
    let (changed, refused) = (Sample::of(env_change()?), Sample::of(refused()?));
    let paths = ["fleet/sites/app.yaml".to_owned()];
    let findings = findings();
    let contents = [
        PullContent::Untouched,
        PullContent::Fork,
        PullContent::Conflict(&paths),
        PullContent::Refused("its tree has 100001 files; 100000 is the limit"),
        PullContent::Invalid(&findings),
        PullContent::Planned(vec![changed.planned()]),
        PullContent::Planned(vec![refused.planned()]),
    ];
    let mut lines = Vec::new();
    for content in contents {
        let view = PullView { warnings: &findings[1..], ..view(&pull, content) };
        let checks = [pull::validate_check(&view), pull::plan_check(&view)];
        assert!(checks.iter().all(|check| check.commit == COMMIT && !check.summary.is_empty()));
        lines.extend(checks.iter().map(line));
    }
    for outcome in
        [None, Some(Outcome::Applied), Some(Outcome::Partial), Some(Outcome::RolledBack), Some(Outcome::Refused)]
    {
        let deployment = deployment(outcome)?;
        let view = DeployedView { deployment: &deployment, record: None, replicas: None, merged: &[], revert: None };
        lines.push(line(&pull::deploy_check(&view, COMMIT)));
    }
    assert_snapshot!("checks", lines.join("\n"));
    let invalid = pull::validate_check(&view(&pull, PullContent::Invalid(&findings)));
    assert_eq!(invalid.findings, findings, "each becomes an annotation at its place");
    Ok(())
}
