//! Why something is as it is: from the host back to the commit that asked for it.

use std::{collections::BTreeMap, str::FromStr};

use thiserror::Error;

use crate::{
    engine::prepare::Prepared,
    model::{
        desired::{Desired, Resource},
        digest::Digest,
        name::{InstanceName, ServiceName, SiteName},
        outcome::Record,
        paths,
        plan::{InstanceState, Plan},
        seen::Seen,
    },
    plan::Observed,
    report::{
        self,
        why::{LastChange, WhyInstance, WhyView},
    },
};

/// What may be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Service(ServiceName),
    Site(SiteName),
    /// A path or a unit on a host.
    Path(String),
}

#[derive(Debug, Error)]
#[error("`{0}` is no service, site, unit or path: write service/NAME, site/NAME, a unit's name or an absolute path")]
pub struct InvalidSubject(String);

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let invalid = || InvalidSubject(text.to_owned());
        if text.starts_with('/') {
            return Ok(Subject::Path(text.to_owned()));
        }
        if text.ends_with(".service") {
            return Ok(Subject::Path(format!("/etc/systemd/system/{text}")));
        }
        match text.split_once('/') {
            Some(("site", name)) => name.parse().map(Subject::Site).map_err(|_| invalid()),
            Some(("service", name)) => name.parse().map(Subject::Service).map_err(|_| invalid()),
            Some(_) => Err(invalid()),
            None => text.parse().map(Subject::Service).map_err(|_| invalid()),
        }
    }
}

/// Answers from what is declared, what is live, and what was done.
pub fn why(
    subject: &Subject,
    prepared: &Prepared,
    plan: &Plan,
    observed: &Observed,
    records: &[Record],
    logs: &BTreeMap<Digest, String>,
) -> WhyView {
    let prepared = &*prepared.in_slots(&plan.slots());
    let resource = match subject {
        Subject::Service(name) => Resource::Service(name.clone()),
        Subject::Site(name) => Resource::Site(name.clone()),
        Subject::Path(path) => paths::resource_of(&prepared.fleet.name, path),
    };
    let concerns = |name: &InstanceName, desired: &Desired| match subject {
        Subject::Path(path) => {
            let owned = observed.get(name).and_then(|seen| seen.as_ref().ok()?.owned());
            desired.files.contains_key(path)
                || desired.links.contains_key(path)
                || owned.is_some_and(|manifest| manifest.owns(path))
        }
        _ => {
            desired.files.values().any(|file| file.resource == resource)
                || plan.steps.iter().any(|step| step.instance == *name && step.resource == resource)
        }
    };
    let instances = prepared.desired.iter().filter(|(name, desired)| concerns(name, desired));
    let subject = match subject {
        Subject::Path(path) => format!("{path} ({resource})"),
        _ => resource.to_string(),
    };
    WhyView {
        subject,
        instances: instances.map(|(_, d)| instance(&resource, d, prepared, plan, observed, records, logs)).collect(),
    }
}

fn instance(
    resource: &Resource,
    desired: &Desired,
    prepared: &Prepared,
    plan: &Plan,
    observed: &Observed,
    records: &[Record],
    logs: &BTreeMap<Digest, String>,
) -> WhyInstance {
    let name = &desired.instance;
    let replica = desired.replicas.values().find(|replica| Resource::Service(replica.service.clone()) == *resource);
    let site = match resource {
        Resource::Site(site) => prepared.fleet.sites.get(site),
        _ => None,
    };
    let source = match resource {
        Resource::Service(service) => prepared.fleet.services.get(service).and_then(|of| of.sources.get(name)),
        _ => site.and_then(|site| site.frontend.get(name)),
    };
    let (source, release) = source.and_then(|source| prepared.sources.get(source)).cloned().unzip();
    let declared_in = match resource {
        Resource::Service(service) => prepared.fleet.services.get(service).map(|service| service.declared_in.clone()),
        Resource::Nginx => {
            let sites = prepared.fleet.sites_on(name).map(|site| site.declared_in.clone());
            Some(sites.collect::<Vec<_>>().join(", "))
        }
        _ => site.map(|site| site.declared_in.clone()),
    };
    let build_log = release.and_then(|release| logs.get(&release)).map(|log| last_lines(log)).unwrap_or_default();
    let files = desired.files.iter().filter(|(_, file)| file.resource == *resource).map(|(path, _)| path.clone());
    let links = desired.links.iter().filter(|(_, link)| link.resource == *resource).map(|(path, _)| path.clone());
    WhyInstance {
        instance: name.clone(),
        unit: replica.map(|replica| replica.unit.clone()),
        // Of two copies each binds a port that nobody calls.
        port: replica.and_then(|replica| prepared.fleet.services.get(&replica.service)).map(|service| service.port),
        release: release.map(|release| release.to_string()),
        source: source.map(|source| source.to_string()),
        build_log,
        files: files.chain(links).collect(),
        declared_in,
        last_change: last_change(name, resource, records),
        live: live(name, resource, replica.map(|replica| replica.unit.as_str()), plan, observed),
    }
}

/// So much of a build's log as tells how it ended.
fn last_lines(log: &str) -> Vec<String> {
    const LINES: usize = 5;
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The newest deployment that changed the resource on the instance.
fn last_change(name: &InstanceName, resource: &Resource, records: &[Record]) -> Option<LastChange> {
    let ended = records.iter().filter(|record| record.deployment.conclusion().is_some());
    ended.into_iter().find_map(|record| {
        let change = record.deployment.changes.iter().find(|change| change.names(name, resource))?;
        Some(LastChange {
            generation: record.deployment.generation,
            commit: record.deployment.commits.environment.clone(),
            when: record.deployment.started.clone(),
            outcome: record.deployment.outcome,
            reason: report::change::what(change),
        })
    })
}

fn live(name: &InstanceName, resource: &Resource, unit: Option<&str>, plan: &Plan, observed: &Observed) -> String {
    let observation = match observed.get(name) {
        Some(Ok(observation)) => observation,
        Some(Err(why)) => return format!("not known: {why}"),
        None => return "not known: it was not asked".to_owned(),
    };
    let process = unit.map(|unit| match observation.units.get(unit) {
        Some(Seen::Known(unit)) => format!("{} ({}), process {}; ", unit.active, unit.sub, unit.main_pid),
        Some(Seen::Absent) | None => "no such unit; ".to_owned(),
        Some(Seen::Unknown(why)) => format!("its unit is not known: {why}; "),
    });
    let state = plan.instances.get(name).map(|instance| &instance.state);
    let step = plan.steps.iter().find(|step| step.instance == *name && step.resource == *resource);
    let drift = plan.instances.get(name).and_then(|instance| instance.drift_of(resource));
    let sync = match (step, state) {
        (Some(step), _) if drift.is_some() => format!("differs: {}; {}", step.reason, drift.unwrap_or_default()),
        (Some(step), _) => format!("differs: {}", step.reason),
        (None, Some(InstanceState::Unknown(why))) => format!("not known: {why}"),
        (None, Some(InstanceState::Held(why))) if drift.is_some() => format!("differs, and stays so: {why}"),
        (None, _) => drift.map_or("as declared".to_owned(), |why| format!("differs: {why}")),
    };
    process.unwrap_or_default() + &sync
}
