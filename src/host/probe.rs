//! The question a probe asks, and the script that asks it.
//!
//! The probe asks everything in one script: owned files, units, listeners and whose they are, what nginx really
//! serves, packages, users, releases. It answers in sections with their length. A look that changes nothing costs a
//! host as little as the truth allows. Who listens is asked once a plan starts something or a service fails: the plan
//! is unknown without, and the instance is looked at again. systemd is asked by name of units that have a file in its
//! folders; for all others it is asked what it has loaded, for it searches anew for each name that it does not find.
//! What dpkg said and the digest of the releases' signatures go along with the question (`Remembered`), and the host
//! compares them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{parse, quote::assign, scripts::script};
use crate::model::{
    budget::Budget,
    desired::Desired,
    digest::Digest,
    fleet::{Certificate, Fleet},
    folders,
    name::SiteName,
    nginx::Proof,
    observation::Observation,
    paths, program,
    seal::Key,
};

/// Everything to look at on one instance, besides what its manifest names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Where evenkeel keeps its own there.
    pub base: String,
    pub paths: BTreeSet<String>,
    /// Those of the paths that are not ours, and may hold secrets: their digests are sealed.
    pub secrets: BTreeSet<String>,
    pub units: BTreeSet<String>,
    /// The unit in which evenkeel works there.
    pub own_unit: String,
    /// Folders of evenkeel's, with those that it passes through.
    pub folders: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub packages: BTreeSet<String>,
    pub releases: BTreeSet<Digest>,
    /// Those of them that are only looked for, and not compared this time.
    pub spared: BTreeSet<Digest>,
    pub venvs: BTreeSet<Digest>,
    /// With which virtual environments are made.
    pub interpreters: BTreeSet<String>,
    /// Programs of the host that services start: a path, or a name that is looked for.
    pub programs: BTreeSet<String>,
    /// Whether services start something from their releases or virtual environments.
    pub executes: bool,
    pub certificates: BTreeSet<Certificate>,
    /// Where nginx answers the digest; None where no site is declared.
    pub digest_port: Option<u16>,
    /// Whether who listens is asked, too. It is a third of what a look takes of a host, and a plan needs it only where
    /// something starts or fails to: it is looked again then (`engine/observe/probe.rs`).
    pub listeners: bool,
    /// Of each of them it is told who holds it, where that is of no unit asked about.
    pub ports: BTreeSet<u16>,
    /// The digest that it should answer: where it answers another one, its files are looked at too.
    pub nginx_digest: Option<Digest>,
    /// What nginx is asked in each site's name, and at which address where that is the host's own.
    pub sites: BTreeMap<SiteName, Proof>,
    /// In which name nginx is asked what it answers for itself at each port of a service that has two copies.
    pub fronts: BTreeMap<u16, String>,
    pub address: Option<IpAddr>,
}

/// What has to be seen to plan `desired`.
pub fn question(fleet: &Fleet, desired: &Desired) -> ProbeRequest {
    let fronts: BTreeMap<u16, String> =
        desired.fronts().map(|(_, front)| (front.port, front.proof.host.clone())).collect();
    let mut question = ProbeRequest {
        base: paths::base(&fleet.name),
        paths: desired.all_files().map(|(path, _)| path).chain(desired.links.keys()).cloned().collect(),
        secrets: BTreeSet::new(),
        units: desired.all_replicas().map(|replica| replica.unit.clone()).collect(),
        own_unit: paths::apply_unit(&fleet.name),
        folders: folders::of(&fleet.name, desired).into_keys().collect(),
        users: desired.users.keys().cloned().collect(),
        packages: desired.packages.clone(),
        releases: desired.releases.clone(),
        spared: BTreeSet::new(),
        venvs: desired.venvs.keys().copied().collect(),
        interpreters: desired.venvs.values().map(|venv| venv.interpreter.clone()).collect(),
        programs: fleet
            .services_on(&desired.instance)
            .flat_map(|service| program::of_host(&fleet.name, service))
            .map(|needed| needed.program)
            .collect(),
        executes: fleet.services_on(&desired.instance).any(|service| !program::own(service).is_empty()),
        certificates: desired.certificates.values().cloned().collect(),
        digest_port: desired.nginx.as_ref().map(|nginx| nginx.digest_port),
        listeners: false,
        ports: desired.all_replicas().map(|replica| replica.port).chain(fronts.keys().copied()).collect(),
        nginx_digest: desired.nginx.as_ref().map(|nginx| nginx.digest),
        sites: desired.nginx.as_ref().map(|nginx| nginx.sites.clone()).unwrap_or_default(),
        fronts,
        address: fleet.instances.get(&desired.instance).map(|instance| instance.address),
    };
    question.paths.extend(desired.links.values().flat_map(|link| link.previous.clone()));
    question.units.insert(paths::apply_unit(&fleet.name));
    for replica in desired.all_replicas() {
        question.paths.extend(replica.env_file.clone());
        question.secrets.extend(replica.env_file.clone().filter(|path| !desired.files.contains_key(path)));
        question.units.extend(replica.replaces.iter().cloned());
        if let Some(service) = fleet.services.get(&replica.service) {
            question.paths.extend(paths::made_for(&fleet.name, &service.name, &service.state));
            question.programs.extend(program::in_venv(&fleet.name, service, replica));
        }
    }
    question.units.extend(desired.replaces.values().flatten().cloned());
    if let Some(nginx) = &desired.nginx {
        question.ports.extend([80, 443, nginx.digest_port]);
        question.units.insert("nginx.service".to_owned());
    }
    if desired.replaces_default {
        question.paths.insert(paths::NGINX_DEFAULT.to_owned());
    }
    question
}

/// Where `ask_nginx` asks for sites. Only IPv4 is told apart: what listens on one address of IPv6 is not looked for.
pub(super) fn site_address(address: Option<IpAddr>) -> String {
    address.filter(IpAddr::is_ipv4).map(|address| address.to_string()).unwrap_or_default()
}

/// As `ask_nginx` takes them: `SITE HOST PORT ANSWER` a line.
pub(super) fn site_proofs(sites: &BTreeMap<SiteName, Proof>) -> String {
    let lines = sites.iter().flat_map(|(site, Proof { host, ports, answer })| {
        ports.iter().map(move |port| format!("{site} {host} {port} {answer}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same for ports of services, in whose place no site can be; `-`: whatever is answered is told.
fn front_questions(fronts: &BTreeMap<u16, String>) -> String {
    fronts.iter().fold(String::new(), |lines, (port, host)| format!("{lines}\n:{port} {host} {port} -"))
}

/// And with the answers that are expected.
pub(super) fn front_proofs<'a>(proofs: impl Iterator<Item = &'a Proof>) -> String {
    let lines = proofs.flat_map(|Proof { host, ports, answer }| {
        ports.iter().map(move |port| format!(":{port} {host} {port} {answer}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What an earlier answer of a host said, and what it was true of: while that looks the same, no program is asked again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// What dpkg said of packages, and of which state of its database.
    pub(super) packages: BTreeSet<String>,
    pub(super) said: String,
    pub(super) database: String,
    /// The digest of the signatures of all releases that were compared. They have the releases' names in them, so it fits no
    /// other ones.
    pub(super) releases_signed: String,
}

impl Remembered {
    /// What an answer leaves to remember for the next question.
    pub fn of(question: &ProbeRequest, answer: &[u8]) -> Self {
        parse::remembered(question, answer)
    }
}

impl ProbeRequest {
    /// What an answer says; `fresh` is a host's key where it has none yet.
    pub fn understand(&self, answer: &[u8], fresh: &Key) -> Result<Observation, String> {
        parse::observation(self, answer, fresh)
    }

    /// What is sent: the question as variables, what is remembered of an earlier answer of that host, and the script
    /// that answers.
    pub fn script(&self, remembered: &Remembered) -> String {
        let of_packages =
            |text: &str| if remembered.packages == self.packages { text.to_owned() } else { String::new() };
        let joined = |values: &BTreeSet<String>, with: &str| values.iter().cloned().collect::<Vec<_>>().join(with);
        let digests = |digests: &BTreeSet<Digest>| digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(" ");
        let pairs = self.certificates.iter().map(|pair| format!("{}\t{}", pair.certificate, pair.key));
        let certificates = pairs.collect::<Vec<_>>().join("\n");
        let port = self.digest_port.map(|port| port.to_string()).unwrap_or_default();
        [
            assign("base", &self.base),
            assign("paths", &joined(&self.paths, "\n")),
            assign("units", &joined(&self.units, " ")),
            assign("own_unit", &self.own_unit),
            assign("folders", &joined(&self.folders, "\n")),
            assign("drop_ins", &Budget::STANDARD.drop_ins.to_string()),
            assign("drop_in_bytes", &Budget::STANDARD.drop_in_bytes.to_string()),
            assign("users", &joined(&self.users, " ")),
            assign("packages", &joined(&self.packages, " ")),
            assign("packages_said", &of_packages(&remembered.said)),
            assign("packages_database", &of_packages(&remembered.database)),
            assign("releases", &digests(&self.releases)),
            assign("releases_signed", &remembered.releases_signed),
            assign("spared", &digests(&self.spared)),
            assign("venvs", &digests(&self.venvs)),
            assign("interpreters", &joined(&self.interpreters, " ")),
            assign("programs", &joined(&self.programs, "\n")),
            assign("executes", if self.executes { "yes" } else { "" }),
            assign("certificates", &certificates),
            assign("fleet", self.base.rsplit('/').next().unwrap_or_default()),
            assign("digest_port", &port),
            assign("ports", &self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")),
            assign("nginx_digest", &self.nginx_digest.map(|digest| digest.to_string()).unwrap_or_default()),
            assign("site_address", &site_address(self.address)),
            assign("site_proofs", &(site_proofs(&self.sites) + &front_questions(&self.fronts))),
            if self.interpreters.is_empty() { String::new() } else { script!("venv.sh") },
            script!("drop_ins.sh"),
            script!("signature.sh"),
            script!("verify.sh"),
            if self.digest_port.is_none() { String::new() } else { script!("nginx.sh") },
            script!("way_in.sh"),
            script!("probe.sh"),
            script!("probe_units.sh"),
            script!("probe_files.sh"),
            if self.listeners { script!("probe_ports.sh") } else { String::new() },
            script!("probe_programs.sh"),
            script!("probe_packages.sh"),
        ]
        .concat()
    }
}
