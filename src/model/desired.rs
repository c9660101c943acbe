//! What an instance should hold, to the byte. Made by `render`, read by `plan`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use super::{
    confinement::Confinement,
    content::Content,
    digest::Digest,
    fleet::{Certificate, Health},
    name::{InstanceName, ServiceName, SiteName},
    nginx::Proof,
    rollout::{Slot, Slots},
    venv::Venv,
};

/// What a path on a host belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resource {
    Service(ServiceName),
    Site(SiteName),
    /// What all sites of an instance share: the server that answers the digest.
    Nginx,
    Packages,
    /// What evenkeel itself keeps on an instance.
    Manifest,
    /// The folders in which it keeps everything.
    Folders,
    /// Something in the manifest that nothing declares any more, by its unit or file name.
    Leftover(String),
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Resource::Service(name) => write!(f, "service/{name}"),
            Resource::Site(name) => write!(f, "site/{name}"),
            Resource::Nginx => write!(f, "nginx"),
            Resource::Packages => write!(f, "packages"),
            Resource::Manifest => write!(f, "manifest"),
            Resource::Folders => write!(f, "folders"),
            Resource::Leftover(name) => write!(f, "leftover/{name}"),
        }
    }
}

/// Everything one instance should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub instance: InstanceName,
    pub files: BTreeMap<String, DesiredFile>,
    /// Symbolic links (a site's `current`).
    pub links: BTreeMap<String, DesiredLink>,
    pub replicas: BTreeMap<String, Replica>,
    /// Of services that run as one of two copies, both. One of them is among the files and replicas.
    #[serde(default)]
    pub copies: BTreeMap<ServiceName, Copies>,
    pub sites: BTreeSet<SiteName>,
    /// What the sites that speak TLS are served with: files of others, watched.
    pub certificates: BTreeMap<SiteName, Certificate>,
    /// None where no site is: nginx is then no business of ours.
    pub nginx: Option<DesiredNginx>,
    pub packages: BTreeSet<String>,
    /// Users that must exist, each with the services that run as it.
    pub users: BTreeMap<String, BTreeSet<ServiceName>>,
    /// Releases that must be staged.
    pub releases: BTreeSet<Digest>,
    /// Virtual environments that must be there, by their key.
    pub venvs: BTreeMap<Digest, Venv>,
    /// Whether `sites-enabled/default` is unlinked.
    pub replaces_default: bool,
    /// Units that served before nginx does, by the sites that say so.
    pub replaces: BTreeMap<SiteName, Vec<String>>,
}

/// The two copies of a replica, of which one takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    pub blue: ReplicaCopy,
    pub green: ReplicaCopy,
}

impl Copies {
    pub fn in_slot(&self, slot: Slot) -> &ReplicaCopy {
        match slot {
            Slot::Sole | Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }
}

/// A replica in one slot, and what leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaCopy {
    pub replica: Replica,
    /// Its unit, its environment, and nginx at its service's port.
    pub files: BTreeMap<String, DesiredFile>,
    pub front: Front,
}

/// nginx at the port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    pub path: String,
    pub port: u16,
    /// What it answers in a name of its own while it leads to this copy.
    pub proof: Proof,
}

impl Desired {
    /// With each service that has two copies in the slot that is given; what is not given is as it is.
    pub fn in_slots(&self, slots: &Slots) -> Cow<'_, Self> {
        if self.slots().iter().all(|(service, slot)| slots.get(service).is_none_or(|wanted| wanted == slot)) {
            return Cow::Borrowed(self);
        }
        let mut desired = self.clone();
        for (service, slot) in slots {
            let Some(copies) = self.copies.get(service) else { continue };
            for copy in [&copies.blue, &copies.green] {
                desired.replicas.remove(&copy.replica.unit);
                desired.files.retain(|path, _| !copy.files.contains_key(path));
            }
            desired.take(copies.in_slot(*slot));
        }
        Cow::Owned(desired)
    }

    /// In which slot each service is that has two copies.
    pub fn slots(&self) -> Slots {
        self.copies.iter().map(|(service, copies)| (service.clone(), self.slot_of(copies))).collect()
    }

    /// In which slot these copies are.
    pub fn slot_of(&self, copies: &Copies) -> Slot {
        match self.replicas.contains_key(&copies.green.replica.unit) {
            true => Slot::Green,
            false => Slot::Blue,
        }
    }

    /// Puts a copy among what runs.
    pub fn take(&mut self, copy: &ReplicaCopy) {
        self.files.extend(copy.files.iter().map(|(path, file)| (path.clone(), file.clone())));
        self.replicas.insert(copy.replica.unit.clone(), copy.replica.clone());
    }

    /// nginx at the ports of services, as it leads to the copies that run.
    pub fn fronts(&self) -> impl Iterator<Item = (&ServiceName, &Front)> {
        self.copies.iter().map(|(service, copies)| (service, &copies.in_slot(self.slot_of(copies)).front))
    }

    /// The copies that do not run.
    fn resting(&self) -> impl Iterator<Item = &ReplicaCopy> {
        self.copies.values().map(|copies| copies.in_slot(self.slot_of(copies).next()))
    }

    /// Every file that may lie there, of whichever copy; a path comes twice where both have it.
    pub fn all_files(&self) -> impl Iterator<Item = (&String, &DesiredFile)> {
        self.files.iter().chain(self.resting().flat_map(|copy| &copy.files))
    }

    /// Every replica that may run there, of whichever copy.
    pub fn all_replicas(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.values().chain(self.resting().map(|copy| &copy.replica))
    }
}

/// Over everything that is on hosts because of it, whichever copies run. Commits that agree in it ask for nothing of one
/// another.
pub fn digest(desired: &BTreeMap<InstanceName, Desired>) -> Digest {
    let mut fields: Vec<String> = Vec::new();
    for (name, desired) in desired {
        let blue = desired.copies.keys().map(|service| (service.clone(), Slot::Blue)).collect();
        let desired = desired.in_slots(&blue);
        fields.push(format!("instance {name} {:?} {:?}", desired.replaces_default, desired.nginx));
        fields
            .extend(desired.files.iter().map(|(path, file)| format!("file {:o} {} {path}", file.mode, file.digest())));
        fields.extend(
            desired
                .links
                .iter()
                .flat_map(|(path, link)| [format!("link {path} {}", link.previous.len()), link.target.clone()]),
        );
        fields.extend(desired.replaces.iter().map(|(site, units)| format!("replaces {site} {units:?}")));
        fields.extend(desired.packages.iter().map(|package| format!("package {package}")));
        fields.extend(desired.releases.iter().map(|release| format!("release {release}")));
        for (unit, replica) in &desired.replicas {
            fields.push(format!("unit {unit} {:?} {:?}", replica.env_file, replica.replaces));
        }
    }
    Digest::of_fields(fields)
}

/// A regular file owned by root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredFile {
    pub resource: Resource,
    pub content: Content,
    /// Permission bits, for example 0o600.
    pub mode: u32,
}

impl DesiredFile {
    pub fn digest(&self) -> Digest {
        self.content.digest()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredLink {
    pub resource: Resource,
    pub target: String,
    /// Links that go on pointing to what it pointed to before, the newest first: the planner says to what.
    pub previous: Vec<String>,
}

/// One running copy of a service. Keyed by its unit's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub service: ServiceName,
    /// What it binds.
    pub port: u16,
    pub slot: Slot,
    pub unit: String,
    pub release: Digest,
    /// The key of its virtual environment.
    pub venv: Option<Digest>,
    pub user: String,
    pub unit_path: String,
    pub env_path: String,
    /// On the host, not ours; a change of its digest restarts.
    pub env_file: Option<String>,
    /// What its unit confines it by, and the command that checks its health.
    pub confined_by: BTreeSet<Confinement>,
    pub health: Health,
    pub after: BTreeSet<ServiceName>,
    pub replaces: Vec<String>,
    /// The directory the release lies in.
    pub directory: String,
}

impl Replica {
    /// The environment files that its process reads, in order: ours, then the one that is not ours.
    pub fn env_files(&self) -> Vec<String> {
        std::iter::once(self.env_path.clone()).chain(self.env_file.clone()).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredNginx {
    /// What the loopback server must answer once these files are in force.
    pub digest: Digest,
    pub digest_port: u16,
    /// What shows that each site's own server answers in its name.
    pub sites: BTreeMap<SiteName, Proof>,
}
