//! A plan: the ordered list of changes for one environment, each with its reason.
//!
//! Keeps true: everything is decided here. Carrying a plan out is a match on [`Action`]; reasons
//! inform people and never steer. A plan with an error among its findings is never carried out.

mod step_id;
mod verb;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

pub use step_id::StepId;
pub use verb::Verb;

use super::{
    confinement::{self, Confinement},
    desired::Resource,
    digest::Digest,
    finding::Finding,
    fleet::Health,
    manifest::Manifest,
    name::{EnvironmentName, InstanceName, ServiceName, SiteName},
    nginx::Proof,
    observation::LiveFolder,
    seal::Key,
    source::SourceCommits,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub environment: EnvironmentName,
    pub commits: Commits,
    pub instances: BTreeMap<InstanceName, InstancePlan>,
    /// In the order in which they are carried out: by phase, within a phase by instance.
    pub steps: Vec<Step>,
    /// Refusals (errors) and warnings.
    pub findings: Vec<Finding>,
    /// How many services the environment declares, for the last line.
    pub services: usize,
}

/// What a plan was made from. A work tree has no commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Commits {
    /// Of the default branch: `fleet.yaml`, `environments/`, `instances/`.
    pub default: Option<String>,
    /// Of the environment's branch: services, sites, code.
    pub environment: Option<String>,
    /// Of the other repositories that services and sites take their files from: the commit of each branch
    /// and tag, by its address and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: SourceCommits,
}

impl Commits {
    /// Those of the config repository alone.
    pub fn of_config(default: Option<String>, environment: Option<String>) -> Self {
        Self { default, environment, sources: SourceCommits::new() }
    }

    /// Whether these are `wanted`, and of other repositories what that says.
    pub fn agrees(&self, wanted: &Self) -> bool {
        self.same_config(wanted) && wanted.sources.iter().all(|(name, commit)| self.sources.get(name) == Some(commit))
    }

    /// Whether the config repository is at the same commits, whatever other repositories are at.
    pub fn same_config(&self, other: &Self) -> bool {
        (&self.default, &self.environment) == (&other.default, &other.environment)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePlan {
    pub state: InstanceState,
    /// The manifest as it was seen; what undo restores.
    pub manifest_before: Option<Manifest>,
    pub manifest_digest: Option<Digest>,
    /// With which digests in the manifest are sealed, where the instance has no key yet.
    #[serde(skip)]
    pub new_key: Option<Key>,
    /// The manifest once every step is done.
    pub manifest_after: Manifest,
    /// The newest generation seen on the instance.
    pub generation: u64,
    /// What is not as declared and is left as it is, each resource with why. The findings say the same.
    #[serde(default)]
    pub drift: Vec<(Resource, String)>,
}

/// Of so many resources it is told what is not as declared.
const DRIFT_TOLD: usize = 4;

impl InstancePlan {
    /// Whether nothing is to be done, and nothing is left as it is that is not as declared.
    pub fn is_as_declared(&self) -> bool {
        self.state == InstanceState::AsDeclared && self.drift.is_empty()
    }

    /// What is left as it is, in words: what one drop-in does to fifty services is not said fifty times.
    pub fn drift_told<'a>(&'a self, is_told: impl Fn(&Resource) -> bool + 'a) -> Option<String> {
        let all: Vec<&str> = self.drift.iter().filter(|(of, _)| is_told(of)).map(|(_, why)| why.as_str()).collect();
        let told = all.iter().take(DRIFT_TOLD).map(|why| (*why).to_owned());
        let more = all.len().checked_sub(DRIFT_TOLD + 1).map(|more| format!("and {} more", more + 1));
        let told: Vec<String> = told.chain(more).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Why a resource is not as declared, where it is left as it is.
    pub fn drift_of(&self, resource: &Resource) -> Option<String> {
        self.drift_told(|of| of == resource)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceState {
    /// Nothing is to be done. What is left as it is stands in [`InstancePlan::drift`].
    AsDeclared,
    Changes,
    /// Not reached, or not understood: nothing is planned there.
    Unknown(String),
    /// A guard forbids changes; the findings say why.
    Refused,
}

/// One change on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within the plan and readable: `ai-core/service/gong_mcp/write/etc/…`.
    pub id: StepId,
    pub instance: InstanceName,
    /// Phases are barriers: a phase begins when the one before it is done and healthy everywhere.
    pub phase: u32,
    pub resource: Resource,
    pub action: Action,
    pub reason: String,
}

/// What a step does, with everything needed to do it and to undo it. Serialised for the plan's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    InstallPackages {
        names: Vec<String>,
    },
    /// Sends a release that the instance lacks. No effect on what runs.
    StageRelease {
        release: Digest,
        source: String,
        files: usize,
        bytes: u64,
        /// Whether it is built before; its files are not known yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        due: bool,
    },
    /// Makes a virtual environment where none is as it should be. No effect on what runs until it is started
    /// again; not undone, for it is content, as releases are.
    BuildVenv {
        service: ServiceName,
        key: Digest,
        interpreter: String,
        requirements: String,
        index: Option<String>,
        netrc: Option<String>,
        /// Programs of it that the service starts: without one of them nothing is stopped for it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        programs: Vec<String>,
    },
    WriteFile {
        path: String,
        before: Before,
        content: Vec<u8>,
        mode: u32,
    },
    WriteLink {
        path: String,
        before: Before,
        target: String,
    },
    RemoveFile {
        path: String,
        before: Before,
    },
    /// Stops and disables a unit that ran before evenkeel, or one that is declared no more.
    StopUnit {
        unit: String,
        foreign: bool,
    },
    EnableUnit {
        unit: String,
    },
    /// Has systemd read its units' files again, for this unit's are not what it runs.
    ReadUnits {
        unit: String,
    },
    /// Gives a folder of evenkeel's back to root, with these permission bits.
    MendFolder {
        path: String,
        before: LiveFolder,
        mode: u32,
    },
    StartUnit {
        unit: String,
    },
    RestartUnit {
        unit: String,
    },
    /// Reloads nginx (or starts it), waits until the loopback server answers `digest`, and asks it in each site's
    /// name, at `address` where that is the instance's own.
    ReloadNginx {
        digest: Digest,
        port: u16,
        /// Follow from the files, which the digest is over, and from where the instance is.
        #[serde(skip)]
        address: Option<IpAddr>,
        #[serde(skip)]
        sites: BTreeMap<SiteName, Proof>,
    },
    /// Makes the manifest root's alone, and its digests sealed. Each phase writes it so: the step says why.
    SealManifest {
        path: String,
    },
    /// nginx has no site of ours any more: reload without an answer to wait for.
    ReleaseNginx,
    /// Waits until the replica is healthy.
    AwaitHealth {
        service: ServiceName,
        port: u16,
        unit: String,
        user: String,
        directory: String,
        /// What its process reads at its start, in order.
        env_files: Vec<String>,
        /// What a command that asks for its health is confined by, as the replica is; its unit says the same.
        #[serde(skip)]
        confined_by: BTreeSet<Confinement>,
        health: Health,
    },
}

/// What lay at a path when the plan was made. A host refuses a step whose `before` is no longer so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    Absent,
    /// The content is there to show a diff; None where it was not fetched.
    File {
        digest: Digest,
        mode: u32,
        owner: String,
        content: Option<Vec<u8>>,
    },
    Link {
        target: String,
    },
}

impl Before {
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Before::File { digest, .. } => Some(*digest),
            Before::Absent | Before::Link { .. } => None,
        }
    }
}

impl Action {
    /// Of a unit that nothing changes but what confines it since units are confined by default: how many lines.
    pub fn only_confines(&self) -> Option<usize> {
        let Action::WriteFile { path, before: Before::File { digest, .. }, content, .. } = self else { return None };
        let unit = path.starts_with("/etc/systemd/system/").then(|| confinement::without(content))?;
        let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
        let added = lines(content) - lines(&unit);
        (added > 0 && *digest == Digest::of(unit)).then_some(added)
    }

    /// The path, unit, release or package list it is about.
    pub fn subject(&self) -> String {
        match self {
            Action::InstallPackages { names } => names.join(" "),
            Action::StageRelease { release, .. } => release.to_string(),
            Action::BuildVenv { key, .. } => key.to_string(),
            Action::WriteFile { path, .. }
            | Action::WriteLink { path, .. }
            | Action::RemoveFile { path, .. }
            | Action::SealManifest { path }
            | Action::MendFolder { path, .. } => path.clone(),
            Action::StopUnit { unit, .. }
            | Action::ReadUnits { unit }
            | Action::EnableUnit { unit }
            | Action::StartUnit { unit }
            | Action::RestartUnit { unit }
            | Action::AwaitHealth { unit, .. } => unit.clone(),
            Action::ReloadNginx { .. } | Action::ReleaseNginx => NGINX_UNIT.to_owned(),
        }
    }

    /// The unit whose log says more of a step that failed.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Action::StopUnit { unit, .. }
            | Action::ReadUnits { unit }
            | Action::EnableUnit { unit }
            | Action::StartUnit { unit }
            | Action::RestartUnit { unit }
            | Action::AwaitHealth { unit, .. } => Some(unit),
            Action::ReloadNginx { .. } | Action::ReleaseNginx => Some(NGINX_UNIT),
            Action::InstallPackages { .. }
            | Action::StageRelease { .. }
            | Action::BuildVenv { .. }
            | Action::WriteFile { .. }
            | Action::WriteLink { .. }
            | Action::RemoveFile { .. }
            | Action::SealManifest { .. }
            | Action::MendFolder { .. } => None,
        }
    }
}

const NGINX_UNIT: &str = "nginx.service";

/// The counts of the plan's last line. A resource is one service, site or package list on one instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub restart: usize,
    pub delete: usize,
    /// Instances with changes.
    pub changed_instances: usize,
    pub instances: usize,
    pub services: usize,
    /// Instances that could not be observed.
    pub unknown_instances: usize,
}

/// What becomes of one resource on one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Create,
    Update,
    Delete,
    /// No file of it changes, only what runs: a restart, a start, a reload, an enable.
    Restart,
}

impl Plan {
    pub fn is_refused(&self) -> bool {
        super::finding::any_error(&self.findings)
    }

    pub fn has_changes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether something has to be built before it can be carried out.
    pub fn needs_builds(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::StageRelease { due: true, .. }))
    }

    pub fn unknown_instances(&self) -> impl Iterator<Item = (&InstanceName, &str)> {
        self.instances.iter().filter_map(|(name, instance)| match &instance.state {
            InstanceState::Unknown(why) => Some((name, why.as_str())),
            InstanceState::AsDeclared | InstanceState::Changes | InstanceState::Refused => None,
        })
    }

    /// What is not as declared and is left as it is: how many resources, on how many instances.
    pub fn drifted(&self) -> (usize, usize) {
        let of = |instance: &InstancePlan| {
            instance.drift.iter().map(|(resource, _)| resource.clone()).collect::<BTreeSet<Resource>>().len()
        };
        let counts: Vec<usize> = self.instances.values().map(of).filter(|count| *count > 0).collect();
        (counts.iter().sum(), counts.len())
    }

    /// The steps of each resource on each instance, in order.
    pub fn by_resource(&self) -> BTreeMap<(&InstanceName, &Resource), Vec<&Step>> {
        let mut groups: BTreeMap<_, Vec<&Step>> = BTreeMap::new();
        for step in &self.steps {
            groups.entry((&step.instance, &step.resource)).or_default().push(step);
        }
        groups
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            changed_instances: self.instances.values().filter(|i| i.state == InstanceState::Changes).count(),
            instances: self.instances.len(),
            services: self.services,
            unknown_instances: self.unknown_instances().count(),
            ..Summary::default()
        };
        for steps in self.by_resource().values() {
            let fate = fate(steps);
            // A start belongs to a creation; of something that was there, it starts again.
            let restarts = |step: &&&Step| match step.action {
                Action::RestartUnit { .. } => true,
                Action::StartUnit { .. } => fate == Fate::Restart,
                _ => false,
            };
            let restarted = steps.iter().filter(restarts).count();
            summary.restart += restarted;
            match fate {
                Fate::Create => summary.create += 1,
                Fate::Update => summary.update += 1,
                Fate::Delete => summary.delete += 1,
                // Enabled, stopped, reloaded or staged again: a plan with changes never counts none.
                Fate::Restart if restarted == 0 => summary.update += 1,
                Fate::Restart => {}
            }
        }
        summary
    }

    /// What is done of the plan where these instances are left out.
    pub fn without(&self, left_out: &BTreeSet<InstanceName>) -> Self {
        let mut plan = self.clone();
        plan.steps.retain(|step| !left_out.contains(&step.instance));
        plan.instances.retain(|name, _| !left_out.contains(name));
        plan
    }

    /// Over the steps and their preconditions: what an approval is bound to.
    pub fn digest(&self) -> Digest {
        Digest::of_fields(self.steps.iter().flat_map(|step| {
            // Plain data: it cannot fail to serialise.
            let action = serde_json::to_string(&step.action).unwrap_or_default();
            [step.id.to_string(), step.phase.to_string(), action]
        }))
    }
}

/// What a resource's steps amount to. Told by files: a resource all of whose files are new is
/// created, one all of whose files go is deleted.
pub fn fate(steps: &[&Step]) -> Fate {
    let mut created = false;
    let mut updated = false;
    let mut deleted = false;
    for step in steps {
        match &step.action {
            Action::WriteFile { before: Before::Absent, .. } | Action::WriteLink { before: Before::Absent, .. } => {
                created = true;
            }
            Action::InstallPackages { .. } => created = true,
            Action::WriteFile { .. }
            | Action::WriteLink { .. }
            | Action::SealManifest { .. }
            | Action::MendFolder { .. } => updated = true,
            Action::RemoveFile { .. } => deleted = true,
            Action::StageRelease { .. }
            | Action::BuildVenv { .. }
            | Action::StopUnit { .. }
            | Action::EnableUnit { .. }
            | Action::ReadUnits { .. }
            | Action::StartUnit { .. }
            | Action::RestartUnit { .. }
            | Action::ReloadNginx { .. }
            | Action::ReleaseNginx
            | Action::AwaitHealth { .. } => {}
        }
    }
    match (created, updated, deleted) {
        (true, false, false) => Fate::Create,
        (false, false, true) => Fate::Delete,
        (false, false, false) => Fate::Restart,
        _ => Fate::Update,
    }
}
