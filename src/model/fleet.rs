//! The fleet of one environment, resolved: every default filled in, every placement decided, every
//! reference replaced. Made by `declare`, read by `render` and `plan`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    calendar::Calendar,
    confinement::Confinement,
    desired::Resource,
    drift::DriftPolicy,
    grants::Grants,
    name::{EnvironmentName, FleetName, InstanceName, ServiceName, SiteName},
    quantity::{BodySize, CpuShare, Memory, PortRange, Span},
    rollout::Rollout,
    source::Source,
};

/// One environment of the declared fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    pub name: FleetName,
    pub environment: Environment,
    pub instances: BTreeMap<InstanceName, Instance>,
    /// Only the services placed somewhere in this environment.
    pub services: BTreeMap<ServiceName, Service>,
    pub sites: BTreeMap<SiteName, Site>,
    /// The loopback port on which nginx answers the digest of its files.
    pub digest_port: u16,
    /// What services and sites may ask of root.
    pub grants: Grants,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub name: EnvironmentName,
    pub branch: String,
    /// How often the loop looks for drift.
    pub observe_interval: Span,
    pub drift: DriftPolicy,
    /// Whether a deployment that fails is undone; else it stops there, and the environment is held.
    pub rollback_on_failure: bool,
    /// What becomes of the other instances when one fails.
    pub on_instance_failure: OnInstanceFailure,
    /// How long an instance may be out of reach while it is changed before it counts as lost.
    pub lost_after: Span,
    /// How many releases stay on an instance beyond those that are in use.
    pub keep_releases: u32,
    /// When deployments may begin.
    pub calendar: Calendar,
    /// Checks that must be green on a commit before it is deployed.
    pub require_checks: Vec<String>,
}

/// What becomes of a deployment on the other instances when one fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnInstanceFailure {
    /// It is undone everywhere.
    #[default]
    Undo,
    /// It is undone there alone, and goes on without at most so many instances.
    LeaveOut { at_most: u32 },
}

/// One host, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub name: InstanceName,
    pub address: IpAddr,
    pub ssh: Ssh,
    pub ports: PortRange,
    pub labels: BTreeMap<String, String>,
    /// Debian packages that must be there; added, never removed.
    pub packages: BTreeSet<String>,
    /// What of the fleet's grants holds here too.
    pub grants: Grants,
}

/// How to log in. Without `host_key` nothing ever connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    pub user: String,
    pub port: u16,
    /// The pinned public key, `ALGORITHM BASE64`.
    pub host_key: Option<String>,
    /// A private key file for this instance alone (override files set it).
    pub key: Option<PathBuf>,
    /// The host through which alone the instance is reached; None: it is reached directly.
    pub jump: Option<Jump>,
    /// The network namespace of the controller's machine in which the instance, or its jump host, is dialled (override
    /// files set it); None: the controller's own network.
    pub namespace: Option<String>,
}

/// A jump host, and how to log in there. It is trusted with nothing but bytes: the session to the instance goes
/// through it as a whole. Without `host_key` nothing ever connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    pub address: IpAddr,
    pub port: u16,
    pub user: String,
    pub host_key: Option<String>,
}

impl Jump {
    /// Where its sshd listens.
    pub fn end(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// The command that prints its host key.
    pub fn prints_key(&self) -> String {
        keyscan(self.end())
    }
}

impl Instance {
    /// Where its sshd listens, as seen from its jump host where it has one.
    pub fn end(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.ssh.port)
    }

    /// What tells its sshd from all others: an address behind a jump host, or in a network namespace, is another one's
    /// elsewhere.
    pub fn way(&self) -> (Option<&str>, Option<SocketAddr>, SocketAddr) {
        (self.ssh.namespace.as_deref(), self.ssh.jump.as_ref().map(Jump::end), self.end())
    }

    /// The command that prints its host key.
    pub fn prints_key(&self) -> String {
        let Some(jump) = &self.ssh.jump else { return keyscan(self.end()) };
        // ssh-keyscan knows no jump hosts.
        let port = port_flag(self.ssh.port);
        let (through, to) = (format!("{}@{}", jump.user, jump.end()), format!("{}@{}", self.ssh.user, self.address));
        format!("ssh -J {through} {port}{to} cat /etc/ssh/ssh_host_ed25519_key.pub")
    }
}

fn keyscan(end: SocketAddr) -> String {
    format!("ssh-keyscan -t ed25519 {}{}", port_flag(end.port()), end.ip())
}

fn port_flag(port: u16) -> String {
    if port == 22 { String::new() } else { format!("-p {port} ") }
}

/// A program kept running by systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: ServiceName,
    pub description: String,
    /// Where its files come from, on each instance that it runs on: archives may differ by processor.
    pub sources: BTreeMap<InstanceName, Source>,
    /// The command, already split; the first word is an absolute path, or `./…` within the release.
    /// With `python`, a bare name too: a program of its virtual environment.
    pub exec: Vec<String>,
    pub python: Option<Python>,
    pub user: String,
    /// Whether it tells systemd when it serves.
    pub notify: bool,
    /// What of its confinement is lifted.
    pub unconfined: BTreeSet<Confinement>,
    /// Names of state directories, kept across releases.
    pub state: Vec<String>,
    /// Where its replicas run: one per instance.
    pub on: BTreeSet<InstanceName>,
    pub port: u16,
    /// References are replaced already.
    pub env: BTreeMap<String, String>,
    /// An environment file on the host that is not ours: watched by digest.
    pub env_file: Option<String>,
    pub memory: Option<Memory>,
    pub cpu: Option<CpuShare>,
    pub health: Health,
    pub rollout: Rollout,
    pub after: BTreeSet<ServiceName>,
    /// Units that ran before evenkeel; stopped and disabled in the same phase.
    pub replaces: Vec<String>,
    /// The file that declares it, from the repository's root.
    pub declared_in: String,
}

/// What a service's virtual environment is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The file of the release that says what is installed.
    pub requirements: String,
    /// A path on the host.
    pub interpreter: String,
    /// Where packages come from; None: the public index.
    pub index: Option<String>,
    /// Where on the host the credentials of the index lie.
    pub netrc: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub check: Check,
    /// A text that the answer to an HTTP check has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    pub interval: Span,
    pub timeout: Span,
    /// How many checks in a row may fail, once `start_period` is over, before the replica counts as unhealthy.
    pub retries: u32,
    /// How long after a start failures do not count.
    pub start_period: Span,
    /// How long the main process has to run before a check that passes counts. Where it is no time, plans have the digest
    /// that they had before there was this key.
    #[serde(default = "no_time", skip_serializing_if = "is_no_time")]
    pub settle: Span,
    /// How many checks in a row have to pass after a start. Where one does, plans have the digest of before, too.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub successes: u32,
    /// How many checks in a row have to fail between deployments until the replica counts as unhealthy.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub failures: u32,
    /// For how long it may be unhealthy then until it is restarted; None: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair_after: Option<Span>,
    /// How often it is restarted for that within an hour.
    #[serde(default = "repair_limit", skip_serializing_if = "is_repair_limit")]
    pub repair_limit: u32,
}

/// How often a replica is restarted for its health within an hour where nothing else is declared.
pub const REPAIR_LIMIT: u32 = 3;

fn repair_limit() -> u32 {
    REPAIR_LIMIT
}

fn is_repair_limit(number: &u32) -> bool {
    *number == REPAIR_LIMIT
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn no_time() -> Span {
    Span(Duration::ZERO)
}

fn is_no_time(span: &Span) -> bool {
    span.0.is_zero()
}

impl Check {
    /// Whether a passed check tells that the program serves: it has answered a request. A port takes connections before
    /// its program is ready, and a command need not ask the program at all.
    pub fn tells_that_it_serves(&self) -> bool {
        matches!(self, Check::Http(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// A path that must answer 200 to 399.
    Http(String),
    /// The port takes a connection.
    Tcp,
    /// A command, split, run as the service's user in its release directory; exit code 0 is healthy.
    Exec(Vec<String>),
}

/// An nginx server: a static frontend plus routes to services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    pub name: SiteName,
    pub domain: String,
    pub on: BTreeSet<InstanceName>,
    /// Where the files that it serves come from, on each instance; empty for a site of routes alone.
    pub frontend: BTreeMap<InstanceName, Source>,
    pub serving: Serving,
    /// By path; each begins and ends with `/`, or is exact.
    pub routes: BTreeMap<String, Route>,
    /// None: it speaks plain HTTP.
    pub tls: Option<Certificate>,
    /// A folder on the host, below which an ACME client's answers are.
    pub acme_root: Option<String>,
    /// Headers of every answer; None for one that is taken away.
    pub headers: BTreeMap<String, Option<String>>,
    /// Unlinks `sites-enabled/default`.
    pub replaces_default: bool,
    /// Units that served before nginx does.
    pub replaces: Vec<String>,
    pub declared_in: String,
}

/// How a frontend's files are served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Whether `index.html` answers for every path that is no file.
    pub spa: bool,
    /// Patterns of files whose name changes with their content; None where a hash in the name tells.
    pub immutable: Option<Vec<String>>,
}

/// A certificate and its key: paths on a host, of files that are not ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub service: ServiceName,
    /// Whether the service sees the whole path; else the route's prefix is taken off.
    pub keep_prefix: bool,
    pub websocket: bool,
    /// Whether answers arrive piece by piece.
    pub stream: bool,
    /// How long the service may be silent.
    pub timeout: Option<Span>,
    pub body_size: Option<BodySize>,
}

impl Fleet {
    /// The services that run on `instance`.
    pub fn services_on<'a>(&'a self, instance: &'a InstanceName) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(move |service| service.on.contains(instance))
    }

    pub fn sites_on<'a>(&'a self, instance: &'a InstanceName) -> impl Iterator<Item = &'a Site> {
        self.sites.values().filter(move |site| site.on.contains(instance))
    }

    /// Every source that must become a release, each with the services and sites that need it.
    pub fn sources(&self) -> BTreeMap<&Source, BTreeSet<Resource>> {
        let mut found: BTreeMap<&Source, BTreeSet<Resource>> = BTreeMap::new();
        for service in self.services.values() {
            for source in service.sources.values() {
                found.entry(source).or_default().insert(Resource::Service(service.name.clone()));
            }
        }
        for site in self.sites.values() {
            for source in site.frontend.values() {
                found.entry(source).or_default().insert(Resource::Site(site.name.clone()));
            }
        }
        found
    }
}
