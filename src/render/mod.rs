//! An instance's declared state to exact bytes: units, environment files, nginx files.
//!
//! Keeps true: the same fleet and releases give the same bytes; every value reaches systemd and nginx
//! quoted for it. Never does: I/O; looking at what is live.

mod env_file;
mod nginx;
mod unit;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use thiserror::Error;

use crate::model::{
    confinement,
    desired::{Desired, DesiredFile, DesiredLink, Replica, Resource},
    digest::Digest,
    fleet::{Check, Fleet, Instance, Python, Service},
    name::InstanceName,
    paths,
    rollout::{ReplicaId, Slot},
    source::Source,
    venv::{self, Venv},
};

/// The release of every source, as `release` worked them out.
pub type Releases = BTreeMap<Source, Digest>;

/// What is installed, by the source and its file that says so, as `release` worked it out. None: it is known
/// after the build.
pub type Requirements = BTreeMap<(Source, String), Option<Digest>>;

/// What was made of the sources.
pub struct Made<'a> {
    pub releases: &'a Releases,
    pub requirements: &'a Requirements,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    #[error("no release was made of the source that {resource} has on {instance}")]
    NoRelease { instance: InstanceName, resource: String },
    #[error("{resource}: {what} holds {character}, which {format} cannot carry")]
    Unprintable { resource: String, what: String, character: &'static str, format: &'static str },
}

/// What every instance of the environment should hold.
pub fn render(fleet: &Fleet, made: &Made<'_>) -> Result<BTreeMap<InstanceName, Desired>, RenderError> {
    fleet.instances.values().map(|instance| Ok((instance.name.clone(), one(fleet, instance, made)?))).collect()
}

fn one(fleet: &Fleet, instance: &Instance, made: &Made<'_>) -> Result<Desired, RenderError> {
    let mut desired = Desired {
        instance: instance.name.clone(),
        files: BTreeMap::new(),
        links: BTreeMap::new(),
        replicas: BTreeMap::new(),
        sites: BTreeSet::new(),
        certificates: BTreeMap::new(),
        nginx: None,
        packages: instance.packages.clone(),
        users: BTreeMap::new(),
        releases: BTreeSet::new(),
        venvs: BTreeMap::new(),
        replaces_default: fleet.sites_on(&instance.name).any(|site| site.replaces_default),
        replaces: BTreeMap::new(),
    };
    for service in fleet.services_on(&instance.name) {
        add_service(&mut desired, fleet, instance, service, made)?;
    }
    add_sites(&mut desired, fleet, instance, made.releases)?;
    Ok(desired)
}

fn add_service(
    desired: &mut Desired,
    fleet: &Fleet,
    instance: &Instance,
    service: &Service,
    made: &Made<'_>,
) -> Result<(), RenderError> {
    let resource = Resource::Service(service.name.clone());
    let source = service.sources.get(&instance.name);
    let release = release_of(source, made.releases, &instance.name, &resource)?;
    let directory = paths::release(&fleet.name, &release);
    let installed = service.python.as_ref().zip(source);
    let installed = installed.map(|(python, source)| installed_by(python, source, made, &instance.name, &resource));
    let requirements = installed.transpose()?.flatten();
    let venv = service.python.as_ref().zip(requirements).map(|(python, of)| venv(python, &directory, &of));
    let programs = service.python.as_ref().map(|_| match &venv {
        Some((key, _)) => format!("{}/bin", paths::venv(&fleet.name, key)),
        None => format!("{}/bin", paths::unknown_venv(&fleet.name)),
    });
    let service = &*programs.as_ref().map_or(Cow::Borrowed(service), |programs| Cow::Owned(in_venv(service, programs)));
    let id = ReplicaId { service: service.name.clone(), port: service.port, slot: Slot::Sole };
    let replica = Replica {
        unit: paths::unit(&fleet.name, &id),
        unit_path: paths::unit_file(&fleet.name, &id),
        env_path: paths::env_file(&fleet.name, &id),
        service: id.service,
        port: id.port,
        slot: id.slot,
        release,
        venv: venv.as_ref().map(|(key, _)| *key),
        user: service.user.clone(),
        env_file: service.env_file.clone(),
        confined_by: confinement::of(service),
        health: service.health.clone(),
        after: service.after.clone(),
        replaces: service.replaces.clone(),
        directory,
    };
    let unit = unit::render(fleet, service, &replica)?;
    let environment = env_file::render(instance, service, &replica, programs.as_deref())?;
    let file = |content: String, mode| DesiredFile { resource: resource.clone(), content: content.into_bytes(), mode };
    desired.files.insert(replica.unit_path.clone(), file(unit, 0o644));
    desired.files.insert(replica.env_path.clone(), file(environment, 0o600));
    desired.users.entry(service.user.clone()).or_default().insert(service.name.clone());
    desired.releases.insert(release);
    desired.venvs.extend(venv);
    desired.replicas.insert(replica.unit.clone(), replica);
    Ok(())
}

fn add_sites(
    desired: &mut Desired,
    fleet: &Fleet,
    instance: &Instance,
    releases: &Releases,
) -> Result<(), RenderError> {
    let mut proofs = BTreeMap::new();
    for site in fleet.sites_on(&instance.name) {
        let resource = Resource::Site(site.name.clone());
        let (text, proof) = nginx::site(fleet, instance, site)?;
        proofs.insert(site.name.clone(), proof);
        let file = DesiredFile { resource: resource.clone(), content: text.into_bytes(), mode: 0o644 };
        desired.files.insert(paths::site_file(&fleet.name, &site.name), file);
        if let Some(source) = site.frontend.get(&instance.name) {
            let release = release_of(Some(source), releases, &instance.name, &resource)?;
            desired.releases.insert(release);
            let target = paths::release(&fleet.name, &release);
            let previous = (1..=paths::PREVIOUS).map(|number| paths::site_previous(&fleet.name, &site.name, number));
            let link = DesiredLink { resource, target, previous: previous.collect() };
            desired.links.insert(paths::site_current(&fleet.name, &site.name), link);
        }
        if let Some(certificate) = &site.tls {
            desired.certificates.insert(site.name.clone(), certificate.clone());
        }
        if !site.replaces.is_empty() {
            desired.replaces.insert(site.name.clone(), site.replaces.clone());
        }
        desired.sites.insert(site.name.clone());
    }
    if !desired.sites.is_empty() {
        let site_files = desired.files.iter().filter(|(_, file)| matches!(file.resource, Resource::Site(_)));
        let site_files = site_files.map(|(path, file)| (path.as_str(), file.content.as_slice()));
        let nginx = nginx::digest_of(fleet, proofs, site_files);
        let content = nginx::shared(fleet, &nginx).into_bytes();
        let file = DesiredFile { resource: Resource::Nginx, content, mode: 0o644 };
        desired.files.insert(paths::digest_file(&fleet.name), file);
        desired.nginx = Some(nginx);
    }
    Ok(())
}

/// The digest of what is installed; None where a build has to tell first.
fn installed_by(
    python: &Python,
    source: &Source,
    made: &Made<'_>,
    instance: &InstanceName,
    resource: &Resource,
) -> Result<Option<Digest>, RenderError> {
    let lacking = || RenderError::NoRelease { instance: instance.clone(), resource: resource.to_string() };
    made.requirements.get(&(source.clone(), python.requirements.clone())).copied().ok_or_else(lacking)
}

fn venv(python: &Python, directory: &str, requirements: &Digest) -> (Digest, Venv) {
    let key = venv::key(&python.interpreter, python.index.as_deref(), requirements);
    let venv = Venv {
        interpreter: python.interpreter.clone(),
        requirements: format!("{directory}/{}", python.requirements),
        index: python.index.clone(),
        netrc: python.netrc.clone(),
    };
    (key, venv)
}

/// The service with the programs of its virtual environment by their whole paths.
fn in_venv(service: &Service, programs: &str) -> Service {
    let mut service = service.clone();
    let whole = |words: &mut Vec<String>| {
        if let Some(program) = words.first_mut().filter(|program| !program.contains('/')) {
            *program = format!("{programs}/{program}");
        }
    };
    whole(&mut service.exec);
    if let Check::Exec(words) = &mut service.health.check {
        whole(words);
    }
    service
}

/// The first line of a file. The path is a comment whatever the folder is called.
fn made_from(declared_in: &str) -> String {
    let path = declared_in.replace(char::is_control, "?");
    format!("# Made by evenkeel from {path}; a change made here is undone.\n")
}

fn release_of(
    source: Option<&Source>,
    releases: &Releases,
    instance: &InstanceName,
    resource: &Resource,
) -> Result<Digest, RenderError> {
    let lacking = || RenderError::NoRelease { instance: instance.clone(), resource: resource.to_string() };
    source.and_then(|source| releases.get(source)).copied().ok_or_else(lacking)
}
