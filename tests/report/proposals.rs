//! Pull requests as the tests of what is said on them have them: sample values.

use std::{collections::BTreeSet, error::Error};

use evenkeel::{
    model::{
        desired::Resource,
        digest::Digest,
        finding::{Code, Finding, Place},
        name::{EnvironmentName, InstanceName},
        plan::{Action, Before, InstanceState, Plan, Step},
        pull::{PullRequest, PullState},
        release::{Making, Release, ReleaseFile},
        source::{Pinned, Source},
    },
    report::pull::{self, PlannedEnvironment, PullContent, PullView, ReleaseChange, Rest, Unresolved},
};

use super::samples::*;

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
        pull::proposal(&view(&pull, PullContent::Planned(vec![self.planned()]))).comment.posted
    }
}

/// As if evenkeel had written every live file as it is.
pub fn as_written(plan: &mut Plan) {
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
pub fn drifted(mut plan: Plan) -> Result<Sample, Box<dyn Error>> {
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

pub fn new_code() -> Result<Sample, Box<dyn Error>> {
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
pub fn frontend() -> Result<Sample, Box<dyn Error>> {
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
        let reload =
            Action::ReloadNginx { digest: Digest::of("n"), port: 8099, address: None, sites: Default::default() };
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

pub fn findings() -> Vec<Finding> {
    let place = |file: &str, line, column, end_column, text: &str| Place {
        file: file.into(),
        line,
        column,
        end_column,
        text: text.into(),
        ..Place::default()
    };
    vec![
        Finding::error(Code::PortTaken, "`gong_mcp` and `slack_mcp` both have port 8100 on `business-tools`")
            .at(place("fleet/services/gong_mcp.yaml", 5, 7, 11, "port: 8100"))
            .also(place("fleet/services/slack_mcp.yaml", 4, 7, 11, "port: 8100"), "`slack_mcp`")
            .hint("8101 is free there"),
        Finding::warning(Code::UnexpectedFile, "nothing reads this file").at(place(
            "fleet/services/gong_mcp.yaml",
            1,
            1,
            1,
            "",
        )),
    ]
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
