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
    content::Content,
    desired::{Copies, Desired, DesiredFile, DesiredLink, Replica, ReplicaCopy, Resource},
    digest::Digest,
    fleet::{Check, Fleet, Instance, Python, Service},
    name::InstanceName,
    paths,
    rollout::{BOUND_PORT, BlueGreen, ReplicaId, Rollout, Slot},
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
        copies: BTreeMap::new(),
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
    let parts = ServiceParts::of(fleet, instance, service, made)?;
    desired.users.entry(service.user.clone()).or_default().insert(service.name.clone());
    desired.releases.insert(parts.release);
    desired.venvs.extend(parts.venv.clone());
    let ports = match &service.rollout {
        Rollout::BlueGreen(BlueGreen { ports, .. }) => ports.get(&instance.name).copied(),
        Rollout::Recreate | Rollout::Rolling(_) => None,
    };
    let Some(ports) = ports else {
        let (replica, files) = parts.replica(Slot::Sole, service.port)?;
        desired.files.extend(files);
        desired.replicas.insert(replica.unit.clone(), replica);
        return Ok(());
    };
    let copy = |slot, port| {
        let (replica, mut files) = parts.replica(slot, port)?;
        let (text, front) = nginx::front(fleet, service, ports, slot);
        files.insert(front.path.clone(), parts.file(text, 0o644));
        Ok::<_, RenderError>(ReplicaCopy { replica, files, front })
    };
    let copies = Copies { blue: copy(Slot::Blue, ports.blue)?, green: copy(Slot::Green, ports.green)? };
    desired.take(&copies.blue);
    desired.copies.insert(service.name.clone(), copies);
    Ok(())
}

/// What all copies of a replica have in common.
struct ServiceParts<'a> {
    fleet: &'a Fleet,
    instance: &'a Instance,
    /// With the programs of its virtual environment by their whole paths.
    service: Cow<'a, Service>,
    release: Digest,
    venv: Option<(Digest, Venv)>,
    /// The folder of the virtual environment's programs.
    programs: Option<String>,
}

impl<'a> ServiceParts<'a> {
    fn of(
        fleet: &'a Fleet,
        instance: &'a Instance,
        service: &'a Service,
        made: &Made<'_>,
    ) -> Result<Self, RenderError> {
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
        let service =
            programs.as_ref().map_or(Cow::Borrowed(service), |programs| Cow::Owned(in_venv(service, programs)));
        Ok(Self { fleet, instance, service, release, venv, programs })
    }

    /// A copy that binds `port`, with its unit and its environment.
    fn replica(&self, slot: Slot, port: u16) -> Result<(Replica, BTreeMap<String, DesiredFile>), RenderError> {
        let (fleet, service) = (self.fleet, bound(&self.service, port));
        let id = ReplicaId { service: service.name.clone(), port: service.port, slot };
        let replica = Replica {
            unit: paths::unit(&fleet.name, &id),
            unit_path: paths::unit_file(&fleet.name, &id),
            env_path: paths::env_file(&fleet.name, &id),
            service: id.service,
            port,
            slot,
            release: self.release,
            venv: self.venv.as_ref().map(|(key, _)| *key),
            user: service.user.clone(),
            env_file: service.env_file.clone(),
            confined_by: confinement::of(&service),
            health: service.health.clone(),
            after: service.after.clone(),
            replaces: service.replaces.clone(),
            directory: paths::release(&fleet.name, &self.release),
        };
        let unit = unit::render(fleet, &service, &replica)?;
        let environment = env_file::render(self.instance, &service, &replica, self.programs.as_deref())?;
        let files = BTreeMap::from([
            (replica.unit_path.clone(), self.file(unit, 0o644)),
            (replica.env_path.clone(), self.file(environment, 0o600)),
        ]);
        Ok((replica, files))
    }

    fn file(&self, content: String, mode: u32) -> DesiredFile {
        let resource = Resource::Service(self.service.name.clone());
        DesiredFile { resource, content: Content::Public(content.into_bytes()), mode }
    }
}

/// The service with the port that a copy of it binds where its texts name that.
fn bound<'a>(service: &'a Service, port: u16) -> Cow<'a, Service> {
    let check = match &service.health.check {
        Check::Exec(words) => words.as_slice(),
        Check::Http(_) | Check::Tcp => &[],
    };
    if !service.exec.iter().chain(service.env.values()).chain(check).any(|text| text.contains(BOUND_PORT)) {
        return Cow::Borrowed(service);
    }
    let (mut service, port) = (service.clone(), port.to_string());
    let check = match &mut service.health.check {
        Check::Exec(words) => words.as_mut_slice(),
        Check::Http(_) | Check::Tcp => &mut [],
    };
    let texts = service.exec.iter_mut().chain(service.env.values_mut()).chain(check);
    texts.for_each(|text| *text = text.replace(BOUND_PORT, &port));
    Cow::Owned(service)
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
        let content = Content::Public(text.into_bytes());
        let file = DesiredFile { resource: resource.clone(), content, mode: 0o644 };
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
    if !desired.sites.is_empty() || !desired.copies.is_empty() {
        let site_files = desired.files.iter().filter(|(_, file)| matches!(file.resource, Resource::Site(_)));
        let site_files = site_files.map(|(path, file)| (path.as_str(), file.content.in_digest()));
        let nginx = nginx::digest_of(fleet, proofs, site_files);
        let content = Content::Public(nginx::shared(fleet, &nginx).into_bytes());
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
