//! What a step does: every kind of action, with everything needed to do it and to undo it.
//!
//! Never does: saying what holds for a kind as such, which is one table in `traits.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{Batch, Verb};
use crate::model::{
    confinement::{self, Confinement},
    content::Content,
    desired::Replica,
    digest::Digest,
    fleet::Health,
    name::{InstanceName, ServiceName, SiteName},
    nginx::Proof,
    observation::LiveFolder,
    quantity::Span,
    rollout::Slot,
};

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
        content: Content,
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
        /// The unit that has the port, where another than the replica's own leads to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_by: Option<String>,
    },
    /// Has nginx lead no requests to some replicas, or lead them there again, until the next such step: changes their lines
    /// in sites' files, reloads, and waits until it serves them so and no older worker takes connections.
    ShiftTraffic {
        away: BTreeSet<ReplicaPlace>,
        back: BTreeSet<ReplicaPlace>,
        files: Vec<ShiftedFile>,
        digest: Digest,
        port: u16,
    },
    /// Has nginx lead a service's port to one of its two copies, as its file there says by now, or leave the port.
    SwitchPort {
        path: String,
        port: u16,
        /// None: nginx leaves the port.
        to: Option<Leading>,
    },
    /// Waits until no request that nginx has led to a port is under way there, for so long at most.
    Drain {
        unit: String,
        port: u16,
        /// Where nginx comes from.
        from: BTreeSet<IpAddr>,
        timeout: Span,
    },
    /// Waits, and makes sure that the replica has stayed healthy.
    Pause {
        unit: String,
        span: Span,
    },
}

/// Where nginx leads the port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leading {
    pub slot: Slot,
    /// The port of that copy.
    pub at: u16,
    /// That of the copy which had the requests until then, where one did.
    pub instead_of: Option<u16>,
    /// How long requests may go on at this copy when it is undone that it has them.
    pub drain_timeout: Span,
    /// Follow from the file, and from where the instance is.
    #[serde(skip)]
    pub proof: Option<Proof>,
    #[serde(skip)]
    pub address: Option<IpAddr>,
}

/// A service on an instance.
pub type ReplicaPlace = (ServiceName, InstanceName);

/// A file as it is while traffic is shifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftedFile {
    pub path: String,
    pub before: Before,
    pub content: Content,
    pub mode: u32,
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
        content: Option<Content>,
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
    /// What waits until a replica is healthy.
    pub fn await_health(replica: &Replica) -> Self {
        Self::await_health_at(replica, replica.port, None)
    }

    /// As [`Self::await_health`], asked at another port, where another unit leads to it.
    pub fn await_health_at(replica: &Replica, port: u16, held_by: Option<String>) -> Self {
        Action::AwaitHealth {
            service: replica.service.clone(),
            port,
            unit: replica.unit.clone(),
            user: replica.user.clone(),
            directory: replica.directory.clone(),
            env_files: replica.env_files(),
            confined_by: replica.confined_by.clone(),
            health: replica.health.clone(),
            held_by,
        }
    }

    /// Of a unit that nothing changes but what confines it since units are confined by default: how many lines.
    pub fn only_confines(&self) -> Option<usize> {
        let Action::WriteFile { path, before: Before::File { digest, .. }, content, .. } = self else { return None };
        let content = content.public().filter(|_| path.starts_with("/etc/systemd/system/"))?;
        let unit = confinement::without(content);
        let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
        let added = lines(content) - lines(&unit);
        (added > 0 && *digest == Digest::of(unit)).then_some(added)
    }

    pub const fn verb(&self) -> Verb {
        self.traits().verb
    }

    /// The file or link that it writes or removes, and what lay there.
    pub fn file(&self) -> Option<(&str, &Before)> {
        match self.object() {
            Object::File(path, before) => Some((path, before)),
            _ => None,
        }
    }

    /// The unit that it starts or restarts.
    pub fn started(&self) -> Option<&str> {
        match self.object() {
            Object::Unit(unit) if self.traits().batch == Batch::WithStarts => Some(unit),
            _ => None,
        }
    }

    /// The unit that does not run for a while, or no more.
    pub fn stopped(&self) -> Option<&str> {
        match self {
            Action::StopUnit { unit, .. } | Action::RestartUnit { unit } => Some(unit),
            _ => None,
        }
    }

    /// The unit whose replica has to become healthy.
    pub fn awaited(&self) -> Option<&str> {
        match self {
            Action::AwaitHealth { unit, .. } => Some(unit),
            _ => None,
        }
    }

    /// The unit whose log says more of a step that failed.
    pub fn unit(&self) -> Option<&str> {
        match self.object() {
            Object::Unit(unit) => Some(unit),
            Object::Packages(_) | Object::Content(_) | Object::File(..) | Object::Path(_) => None,
        }
    }

    /// The path, unit, release or package list it is about.
    pub fn subject(&self) -> String {
        match self.object() {
            Object::Packages(names) => names.join(" "),
            Object::Content(digest) => digest.to_string(),
            Object::File(name, _) | Object::Path(name) | Object::Unit(name) => name.to_owned(),
        }
    }

    fn object(&self) -> Object<'_> {
        match self {
            Action::InstallPackages { names } => Object::Packages(names),
            Action::StageRelease { release: digest, .. } | Action::BuildVenv { key: digest, .. } => {
                Object::Content(digest)
            }
            Action::WriteFile { path, before, .. }
            | Action::WriteLink { path, before, .. }
            | Action::RemoveFile { path, before } => Object::File(path, before),
            Action::SealManifest { path } | Action::MendFolder { path, .. } | Action::SwitchPort { path, .. } => {
                Object::Path(path)
            }
            Action::StopUnit { unit, .. }
            | Action::ReadUnits { unit }
            | Action::EnableUnit { unit }
            | Action::StartUnit { unit }
            | Action::RestartUnit { unit }
            | Action::AwaitHealth { unit, .. }
            | Action::Drain { unit, .. }
            | Action::Pause { unit, .. } => Object::Unit(unit),
            Action::ShiftTraffic { .. } | Action::ReloadNginx { .. } | Action::ReleaseNginx => {
                Object::Unit("nginx.service")
            }
        }
    }
}

/// What an action is about.
enum Object<'a> {
    Packages(&'a [String]),
    /// A release or a virtual environment.
    Content(&'a Digest),
    /// A file or link that is written or removed.
    File(&'a str, &'a Before),
    /// A path that only changes hands.
    Path(&'a str),
    Unit(&'a str),
}
