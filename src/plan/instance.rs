//! What differs on one instance.

use std::collections::BTreeMap;

use super::{Inputs, confined, links, order};
use crate::model::{
    desired::{Desired, DesiredLink, Resource},
    finding::{Code, Finding, any_error},
    generation,
    manifest::Manifest,
    name::{InstanceName, ServiceName},
    observation::{LiveFile, LiveRelease, LiveUnit, Observation},
    paths,
    plan::{Action, Before, InstancePlan, InstanceState, Step, StepId},
    release::Making,
    seal::Broken,
    seen::Seen,
};

/// Why something is not known that the probe said nothing of. Never taken for absent.
pub(super) const NOT_ASKED: &str = "it was not asked about";

/// Why a step is taken that a commit asked for, where nothing lies yet and where something does.
const DECLARED: [&str; 2] = ["declared and not there yet", "what is declared has changed"];

/// Of a previous link nothing is declared.
const SERVED: [&str; 2] = ["what was served until now stays at hand for pages that are open"; 2];

/// Collects the steps and findings of one instance.
pub(super) struct Differ<'a> {
    pub inputs: &'a Inputs<'a>,
    pub desired: &'a Desired,
    pub live: &'a Observation,
    pub levels: &'a BTreeMap<ServiceName, u32>,
    pub owned: Manifest,
    /// Every link that should be there.
    pub links: BTreeMap<String, DesiredLink>,
    pub after: Manifest,
    pub steps: Vec<Step>,
    pub findings: Vec<Finding>,
    /// What is left as it is and is not as declared.
    pub drift: Vec<(Resource, String)>,
    /// SyncDurations that did not answer. One is enough for nothing to be planned here.
    pub unknown: Vec<String>,
}

pub(super) struct Found {
    pub instance: InstancePlan,
    pub steps: Vec<Step>,
    pub findings: Vec<Finding>,
}

impl<'a> Differ<'a> {
    pub fn new(
        inputs: &'a Inputs<'a>,
        desired: &'a Desired,
        live: &'a Observation,
        levels: &'a BTreeMap<ServiceName, u32>,
    ) -> Self {
        let owned = live.owned().cloned().unwrap_or_default();
        let after = Manifest::default();
        Self {
            inputs,
            desired,
            live,
            levels,
            links: links::wanted(desired, &owned),
            owned,
            after,
            steps: Vec::new(),
            findings: Vec::new(),
            drift: Vec::new(),
            unknown: Vec::new(),
        }
    }

    pub fn run(mut self) -> Found {
        let generation = self.generation();
        self.known("the manifest", &self.live.manifest);
        self.folders();
        self.seal();
        self.packages();
        self.releases();
        self.venvs();
        self.files();
        self.replicas();
        self.certificates();
        self.nginx();
        self.leftovers();
        self.units();
        self.guards();
        let state = if !self.unknown.is_empty() {
            self.steps.clear();
            self.findings.clear();
            self.drift.clear();
            InstanceState::Unknown(self.unknown.join("; "))
        } else if any_error(&self.findings) {
            InstanceState::Refused
        } else if self.steps.is_empty() {
            InstanceState::AsDeclared
        } else {
            InstanceState::Changes
        };
        let instance = InstancePlan {
            state,
            manifest_before: self.live.owned().cloned(),
            manifest_digest: self.live.manifest_digest,
            new_key: self.live.seal.new_key.clone(),
            manifest_after: self.after,
            generation,
            drift: self.drift,
        };
        Found { instance, steps: self.steps, findings: self.findings }
    }

    /// The newest generation that the instance has seen. One that the history makes implausible is unknown: the number
    /// of the next deployment, which every instance is told, is made from it.
    fn generation(&mut self) -> u64 {
        let Some(seen) = self.known("the generation", &self.live.generation).copied() else { return 0 };
        match generation::believe(seen, self.inputs.newest_generation) {
            Ok(seen) => seen,
            Err(doubt) => {
                let file = paths::generation(&self.inputs.fleet.name);
                self.unknown.push(format!("{doubt}; log in there, and write the last true one to {file}"));
                0
            }
        }
    }

    pub fn name(&self) -> &'a InstanceName {
        &self.desired.instance
    }

    /// The value when it is known; notes an unknown, on which nothing may be planned.
    pub fn known<'s, T>(&mut self, what: &str, seen: &'s Seen<T>) -> Option<&'s T> {
        if let Some(why) = seen.unknown() {
            self.unknown.push(format!("{what}: {why}"));
        }
        seen.known()
    }

    /// What systemd says of a unit, when it is known and there.
    pub fn unit(&mut self, name: &str) -> Option<&'a LiveUnit> {
        match self.live.units.get(name) {
            Some(Seen::Known(unit)) => Some(unit),
            Some(Seen::Absent) => None,
            Some(Seen::Unknown(why)) => {
                self.unknown.push(format!("{name}: {why}"));
                None
            }
            None => {
                self.unknown.push(format!("{name}: {NOT_ASKED}"));
                None
            }
        }
    }

    pub fn step(&mut self, phase: u32, resource: &Resource, action: Action, reason: impl Into<String>) {
        let id = StepId::new(self.name(), resource, action.verb(), &action.subject());
        self.steps.push(Step {
            id,
            instance: self.name().clone(),
            phase,
            resource: resource.clone(),
            action,
            reason: reason.into(),
        });
    }

    /// The phase in which a resource's files change.
    pub fn phase_of(&self, resource: &Resource) -> u32 {
        match resource {
            Resource::Packages | Resource::Manifest | Resource::Folders => order::PREPARE,
            Resource::Service(service) => self.levels.get(service).copied().unwrap_or(order::PRUNE),
            Resource::Site(_) | Resource::Nginx => order::TRAFFIC,
            Resource::Leftover(_) => order::PRUNE,
        }
    }

    /// What others can learn from the manifest, or have it say.
    fn seal(&mut self) {
        let reason = match self.live.seal.broken {
            None => return,
            Some(Broken::Plain) => "from now on nobody guesses a secret by the digests in it",
            Some(Broken::Open) => "drift: others than root can read it",
        };
        let action = Action::SealManifest { path: paths::manifest(&self.inputs.fleet.name) };
        self.step(order::PREPARE, &Resource::Manifest, action, reason);
    }

    fn packages(&mut self) {
        let live = self.live;
        let mut missing = Vec::new();
        for package in &self.desired.packages {
            match live.packages.get(package) {
                Some(Seen::Known(_)) => {}
                Some(Seen::Absent) => missing.push(package.clone()),
                Some(Seen::Unknown(why)) => self.unknown.push(format!("package {package}: {why}")),
                None => self.unknown.push(format!("package {package}: {NOT_ASKED}")),
            }
        }
        if !missing.is_empty() {
            self.installing(&missing);
            let reason = "declared and not installed; added, never removed, and not undone";
            self.step(order::PREPARE, &Resource::Packages, Action::InstallPackages { names: missing }, reason);
        }
    }

    /// What stands against installing: nothing of it is this commit's.
    fn installing(&mut self, missing: &[String]) {
        let installing = &self.live.installing;
        let missing = missing.join(", ");
        if installing.interrupted {
            let message = format!("dpkg was interrupted, so apt installs nothing, {missing} neither");
            self.refuse(
                Code::DpkgInterrupted,
                message,
                "`sudo dpkg --configure -a` there ends it, or says why not".into(),
            );
            return;
        }
        if !installing.half_way.is_empty() {
            let named = installing.half_way.iter().map(|(package, state)| format!("{package} ({state})"));
            let message = format!("dpkg left half-way: {}", named.collect::<Vec<_>>().join(", "));
            let hint = "`sudo dpkg --configure -a` there ends it, or says why not; each installation tries it again";
            self.findings.push(Finding::warning(Code::HalfInstalled, message).on(self.name()).hint(hint));
        }
        if let Some(why) = &installing.refused {
            let message = format!("apt cannot install {missing} from its lists as they are: {why}");
            let hint =
                "its lists are fetched anew for this; look at `apt-cache policy` and /etc/apt/sources.list there";
            self.findings.push(Finding::warning(Code::NotInstallable, message).on(self.name()).hint(hint));
        }
    }

    fn releases(&mut self) {
        let live = self.live;
        for digest in &self.desired.releases {
            self.after.releases.insert(*digest);
            let reason = match live.releases.get(digest) {
                Some(Seen::Known(LiveRelease::Whole | LiveRelease::There)) => continue,
                Some(Seen::Known(LiveRelease::Touched)) => {
                    "it was touched on the instance: it is checked, and noted anew"
                }
                Some(Seen::Known(LiveRelease::Changed)) => "drift: files of it were changed on the instance",
                Some(Seen::Unknown(why)) => {
                    self.unknown.push(format!("release {}: {why}", digest.short()));
                    continue;
                }
                Some(Seen::Absent) => "the instance does not hold it yet",
                None => {
                    self.unknown.push(format!("release {}: {NOT_ASKED}", digest.short()));
                    continue;
                }
            };
            let Some(release) = self.inputs.releases.get(digest) else { continue };
            let users = self.desired.replicas.values().filter(|replica| replica.release == *digest);
            let resource = users
                .map(|replica| Resource::Service(replica.service.clone()))
                .next()
                .or_else(|| self.desired.sites.first().map(|site| Resource::Site(site.clone())));
            let Some(resource) = resource else { continue };
            let action = Action::StageRelease {
                release: *digest,
                source: release.origin(),
                files: release.files.len(),
                bytes: release.size(),
                due: !release.is_at_hand(),
            };
            if let Making::Due { .. } = release.making {
                let message = format!("the release of {resource} is not built yet");
                let hint = match self.waits_for_requirements(digest) {
                    true => {
                        "it is when this is applied; until then its digest stands for one that nobody knows, and \
                             which virtual environment it runs in is known after the build"
                    }
                    false => "it is when this is applied; until then its digest stands for one that nobody knows",
                };
                self.findings.push(Finding::warning(Code::NotBuilt, message).on(self.name()).hint(hint));
            }
            if release.making == Making::Unresolved {
                let message = format!(
                    "{} is new to {resource}, and nothing is fetched of it before it is merged",
                    release.source
                );
                let hint = "until then its digest stands for one that nobody knows";
                self.findings.push(Finding::warning(Code::NotFetched, message).on(self.name()).hint(hint));
            }
            let moved = self.inputs.moved.get(&resource).map(String::as_str);
            let moved = moved.filter(|_| live.releases.get(digest) == Some(&Seen::Absent));
            self.step(order::PREPARE, &resource, action, moved.unwrap_or(reason));
        }
    }

    fn files(&mut self) {
        let desired = self.desired;
        for (path, file) in &desired.files {
            let digest = file.digest();
            self.after.files.insert(path.clone(), digest);
            let owned = self.owned.files.get(path).copied();
            let Some(before) = self.before(path, owned.is_some()) else { continue };
            if let Before::File { digest: live, mode, owner, .. } = &before
                && (*live, *mode, owner.as_str()) == (digest, file.mode, "root:root")
            {
                continue;
            }
            let reason = reason(&before, owned.is_some(), DECLARED, |live| {
                // With the declared content only its mode or owner can differ, and those are never declared.
                owned != live.digest() || live.digest() == Some(digest)
            });
            let reason = self.declared(&file.resource, reason);
            let action =
                Action::WriteFile { path: path.clone(), before, content: file.content.clone(), mode: file.mode };
            let reason = if action.only_confines().is_some() { confined::REASON } else { reason };
            self.step(self.phase_of(&file.resource), &file.resource, action, reason);
        }
        for path in desired.links.values().flat_map(|link| &link.previous) {
            let seen = self.live.files.get(path).cloned().unwrap_or_else(|| Seen::Unknown(NOT_ASKED.to_owned()));
            self.known(path, &seen);
        }
        for (path, link) in &self.links.clone() {
            self.after.links.insert(path.clone(), link.target.clone());
            // What a link points to stays.
            self.after.releases.extend(paths::release_at(&self.inputs.fleet.name, &link.target));
            let owned = self.owned.links.get(path).cloned();
            let Some(before) = self.before(path, owned.is_some()) else { continue };
            if before == (Before::Link { target: link.target.clone() }) {
                continue;
            }
            let asked = if desired.links.contains_key(path) { DECLARED } else { SERVED };
            let reason = reason(&before, owned.is_some(), asked, |live| match live {
                Before::Link { target } => owned.as_ref() != Some(target),
                Before::Absent | Before::File { .. } => true,
            });
            let reason = self.declared(&link.resource, reason);
            let action = Action::WriteLink { path: path.clone(), before, target: link.target.clone() };
            self.step(self.phase_of(&link.resource), &link.resource, action, reason);
        }
    }

    /// What is declared may have changed in another repository than the config repository.
    fn declared(&self, resource: &Resource, reason: &'static str) -> &'a str {
        match self.inputs.moved.get(resource) {
            Some(moved) if reason == DECLARED[1] => moved,
            _ => reason,
        }
    }

    /// What lies at a path that is to be ours. None when that forbids a step: it is then a finding, or unknown.
    pub fn before(&mut self, path: &str, owned: bool) -> Option<Before> {
        let live = match self.live.files.get(path) {
            Some(Seen::Known(live)) => live,
            Some(Seen::Absent) => return Some(Before::Absent),
            Some(Seen::Unknown(why)) => {
                self.unknown.push(format!("{path}: {why}"));
                return None;
            }
            None => {
                self.unknown.push(format!("{path}: {NOT_ASKED}"));
                return None;
            }
        };
        if !owned {
            let finding = Finding::error(Code::ForeignFile, format!("{path} exists and evenkeel did not make it"));
            let hint = "look at it, then move it away; evenkeel never touches what it did not make";
            self.findings.push(finding.on(self.name()).hint(hint));
            return None;
        }
        match live {
            LiveFile::Regular { digest, mode, owner, content } => {
                Some(Before::File { digest: *digest, mode: *mode, owner: owner.clone(), content: content.clone() })
            }
            LiveFile::Symlink { target } => Some(Before::Link { target: target.clone() }),
            LiveFile::Other { kind } => {
                let message = format!("{path} was a file of evenkeel's and is now a {kind}");
                self.findings.push(Finding::error(Code::ForeignFile, message).on(self.name()).hint("move it away"));
                None
            }
        }
    }

    /// Files, links and units in the manifest that nothing declares any more.
    fn leftovers(&mut self) {
        let fleet = &self.inputs.fleet.name;
        let owned = self.owned.clone();
        for unit in owned.units.keys().filter(|unit| !self.desired.replicas.contains_key(*unit)) {
            let resource = match paths::service_of_unit(fleet, unit) {
                Some((service, _)) => Resource::Service(service),
                None => Resource::Leftover(unit.clone()),
            };
            if self.unit(unit).is_some_and(|live| live.is_up() || live.is_enabled()) {
                let phase = self.removal_phase(unit);
                let action = Action::StopUnit { unit: unit.clone(), foreign: false };
                self.step(phase, &resource, action, "no longer declared on this instance");
            }
        }
        let links = self.links.clone();
        let paths = owned.files.keys().chain(owned.links.keys());
        for path in paths.filter(|path| !self.desired.files.contains_key(*path) && !links.contains_key(*path)) {
            let resource = paths::resource_of(fleet, path);
            let Some(before) = self.before(path, true) else { continue };
            let phase = match &resource {
                Resource::Site(_) | Resource::Nginx => order::TRAFFIC,
                _ => match path.strip_prefix("/etc/systemd/system/") {
                    Some(unit) => self.removal_phase(unit),
                    None => order::PRUNE,
                },
            };
            let reason = match before {
                Before::Absent => "no longer declared, and gone already: evenkeel forgets it",
                Before::File { .. } | Before::Link { .. } => "no longer declared on this instance",
            };
            self.step(phase, &resource, Action::RemoveFile { path: path.clone(), before }, reason);
        }
    }

    /// When a unit that is declared no more goes: with the replica that needs its port or takes its
    /// place, else at the very end, when no traffic goes there any more.
    fn removal_phase(&self, unit: &str) -> u32 {
        let Some((service, port)) = paths::service_of_unit(&self.inputs.fleet.name, unit) else { return order::PRUNE };
        let successors = self.desired.replicas.values().filter(|next| next.port == port || next.service == service);
        successors.map(|next| self.phase_of(&Resource::Service(next.service.clone()))).min().unwrap_or(order::PRUNE)
    }
}

fn reason(
    before: &Before,
    owned: bool,
    [new, changed]: [&'static str; 2],
    drifted: impl Fn(&Before) -> bool,
) -> &'static str {
    match before {
        Before::Absent if owned => "drift: it was removed on the instance",
        Before::Absent => new,
        Before::File { .. } | Before::Link { .. } if drifted(before) => "drift: it was changed on the instance",
        Before::File { .. } | Before::Link { .. } => changed,
    }
}
