//! A host in memory: enough of files, systemd, nginx and ports to be observed and to be changed by steps.
//!
//! Keeps true: a step that a real host would refuse panics, so that a plan which could not be carried out
//! fails its test.

use std::collections::{BTreeMap, BTreeSet};

use crate::declared::content;
use evenkeel::{
    host::ProbeRequest,
    model::{
        content::Content,
        desired::{Desired, DesiredNginx},
        digest::Digest,
        fleet::Certificate,
        manifest::{Manifest, StartedWith},
        name::SiteName,
        nginx::{Answer, LiveNginx, NginxFiles, Proof},
        observation::{
            Checked, Installing, Listener, LiveCertificate, LiveFile, LiveFolder, LiveProgram, LiveRelease, LiveUnit,
            LiveVenv, Observation, Stranger,
        },
        run::Tries,
        seal::Seal,
        seen::Seen,
    },
};

const CERTIFICATE: &str = "a certificate";
pub const PYTHON: &str = "cpython-311";
pub const UNITS: &str = "/etc/systemd/system/";

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lies {
    File { content: Vec<u8>, mode: u32, owner: String },
    Link(String),
    Directory,
}

/// A unit that systemd knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub active: String,
    pub enabled: bool,
    pub port: u16,
    /// Where its process runs.
    pub directory: Option<String>,
    pub tries: Tries,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nginx {
    pub running: bool,
    /// The digest in the configuration that is in force.
    pub serving: Option<Digest>,
    /// What it answers for itself at each port of a service that has two copies.
    pub fronts: BTreeMap<u16, Digest>,
}

/// What is odd about a host's nginx.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Odd {
    /// What is answered in a site's name on a port, where it is not the site's own server.
    pub answers: BTreeMap<(String, u16), Answer>,
    pub files: Option<NginxFiles>,
    pub no_log_folder: bool,
    /// What systemd says of its unit file.
    pub unit_file: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    pub manifest: Option<String>,
    pub generation: u64,
    pub files: BTreeMap<String, Lies>,
    pub units: BTreeMap<String, Unit>,
    pub nginx: Option<Nginx>,
    pub odd: Odd,
    pub packages: BTreeSet<String>,
    pub users: BTreeSet<String>,
    pub releases: BTreeSet<Digest>,
    pub venvs: BTreeMap<Digest, LiveVenv>,
    /// What kind of Python `/usr/bin/python3` is; None: it is not there.
    pub python: Option<String>,
    /// What there is of programs that services start; all others are there.
    pub programs: BTreeMap<String, Seen<LiveProgram>>,
    /// Folders of evenkeel's that lie on a mount from which nothing is started, each with that mount.
    pub noexec: BTreeMap<String, String>,
    /// Programs that listen and are nobody's unit here.
    pub listeners: Vec<Listener>,
    /// What is told of processes that listen.
    pub strangers: BTreeMap<u32, Stranger>,
    /// What drop-ins set, by their path, and those of evenkeel's own unit.
    pub drop_ins: BTreeMap<String, Vec<String>>,
    pub own_drop_ins: Vec<String>,
    /// Folders of evenkeel's.
    pub folders: BTreeMap<String, LiveFolder>,
    /// What stands against an installation.
    pub installing: Installing,
    /// Units that evenkeel comes in by.
    pub way_in: BTreeSet<String>,
    /// Certificates, by their path, that are not as they should be.
    pub certificates: BTreeMap<String, LiveCertificate>,
}

/// A file of root's.
pub fn file(content: impl Into<Vec<u8>>, mode: u32) -> Lies {
    Lies::File { content: content.into(), mode, owner: "root:root".to_owned() }
}

/// A unit that runs, from before evenkeel.
pub fn running(port: u16) -> Unit {
    Unit {
        active: "active".to_owned(),
        enabled: true,
        port,
        directory: Some("/opt/old".to_owned()),
        tries: Tries::default(),
    }
}

impl Host {
    /// A host with the users that services run as, and nothing else.
    pub fn empty() -> Self {
        let users = ["ubuntu".to_owned(), "root".to_owned()].into();
        Self { users, python: Some(PYTHON.to_owned()), ..Self::default() }
    }

    /// A host that is exactly as desired, worked out without the planner.
    pub fn as_desired(desired: &Desired) -> Self {
        let mut host = Self::empty();
        let venvs = desired.venvs.keys().copied().collect();
        let mut manifest = Manifest { releases: desired.releases.clone(), venvs, ..Manifest::default() };
        for (path, wanted) in &desired.files {
            host.files.insert(path.clone(), file(content(desired, path), wanted.mode));
            manifest.files.insert(path.clone(), wanted.digest());
        }
        for (path, wanted) in &desired.links {
            host.files.insert(path.clone(), Lies::Link(wanted.target.clone()));
            manifest.links.insert(path.clone(), wanted.target.clone());
        }
        for pair in desired.certificates.values() {
            manifest.certificates.insert(pair.certificate.clone(), Digest::of(CERTIFICATE));
        }
        for (name, replica) in &desired.replicas {
            let directory = Some(replica.directory.clone());
            let unit = Unit {
                active: "active".to_owned(),
                enabled: true,
                port: replica.port,
                directory,
                tries: Tries::default(),
            };
            host.units.insert(name.clone(), unit);
            let env_file = replica.env_file.as_ref().map(|path| {
                host.files.insert(path.clone(), file("SECRET=1\n", 0o600));
                Digest::of("SECRET=1\n")
            });
            let inputs = Digest::of_fields([content(desired, &replica.unit_path), content(desired, &replica.env_path)]);
            manifest.units.insert(name.clone(), StartedWith { inputs: Some(inputs), env_file });
        }
        let fronts = desired.fronts().map(|(_, front)| (front.port, front.proof.answer)).collect();
        let nginx = |nginx: &DesiredNginx| Nginx { running: true, serving: Some(nginx.digest), fronts };
        host.nginx = desired.nginx.as_ref().map(nginx);
        host.packages = desired.packages.clone();
        host.releases = desired.releases.clone();
        let whole = LiveVenv::Whole { made_with: PYTHON.to_owned() };
        host.venvs = desired.venvs.keys().map(|key| (*key, whole.clone())).collect();
        host.users.extend(desired.users.keys().cloned());
        host.manifest = Some(manifest.write());
        host.generation = 7;
        host
    }

    pub fn owned(&self) -> Manifest {
        self.manifest.as_ref().map(|text| Manifest::parse(text).expect("a manifest")).unwrap_or_default()
    }

    pub fn unit(&mut self, name: &str) -> &mut Unit {
        self.units.get_mut(name).unwrap_or_else(|| panic!("there is no unit {name}"))
    }

    /// Someone edits a file in place.
    pub fn edit(&mut self, path: &str, text: &str) {
        match self.files.get_mut(path) {
            Some(Lies::File { content, .. }) => *content = text.as_bytes().to_vec(),
            other => panic!("{path} is {other:?}"),
        }
    }

    pub fn listeners(&self) -> Vec<Listener> {
        let of_unit = |(name, unit): (&String, &Unit)| {
            let runs = unit.active == "active" && unit.port != 0;
            let unit_name = Some(name.clone());
            runs.then(|| Listener { port: unit.port, pid: 4242, process: "python3".to_owned(), unit: unit_name })
        };
        let mut listeners: Vec<_> = self.units.iter().filter_map(of_unit).chain(self.listeners.clone()).collect();
        if let Some(nginx) = self.nginx.as_ref().filter(|nginx| nginx.running) {
            let digest_port = self.digest_server().map(|(_, port)| port);
            for port in [80].into_iter().chain(digest_port).chain(nginx.fronts.keys().copied()) {
                let unit = Some("nginx.service".to_owned());
                listeners.push(Listener { port, pid: 80, process: "nginx".to_owned(), unit });
            }
        }
        listeners
    }

    /// Digest and port as nginx would read them from the file that lies there.
    pub fn digest_server(&self) -> Option<(Digest, u16)> {
        let is_one = |path: &str| path.starts_with("/etc/nginx/conf.d/evenkeel-") && path.ends_with("-00.conf");
        let (_, Lies::File { content, .. }) = self.files.iter().find(|(path, _)| is_one(path))? else { return None };
        let text = std::str::from_utf8(content).ok()?;
        let between = |before: &str, after: &str| text.split(before).nth(1)?.split(after).next();
        let digest = between("return 200 \"", "\\n\";")?.parse().ok()?;
        Some((digest, between("listen 127.0.0.1:", ";")?.parse().ok()?))
    }

    /// What a probe would say. `desired` tells which contents a look fetches.
    pub fn observe(&self, question: &ProbeRequest, desired: &Desired) -> Observation {
        let owned = self.owned();
        let paths = question.paths.iter().chain(owned.files.keys()).chain(owned.links.keys());
        let units = question.units.iter().chain(owned.units.keys());
        Observation {
            manifest: if self.manifest.is_some() { Seen::Known(owned.clone()) } else { Seen::Absent },
            seal: Seal::default(),
            manifest_digest: self.manifest.as_ref().map(Digest::of),
            generation: Seen::Known(self.generation),
            unfinished: None,
            files: paths.map(|path| (path.clone(), self.live_file(path, &owned, desired))).collect(),
            units: units.map(|name| (name.clone(), self.live_unit(name))).collect(),
            listeners: Seen::Known(self.listeners()),
            strangers: self.strangers.clone(),
            way_in: self.way_in.clone(),
            drop_ins: self.drop_ins.clone(),
            own_drop_ins: self.own_drop_ins.clone(),
            folders: question
                .folders
                .iter()
                .map(|path| (path.clone(), self.folders.get(path).cloned().map_or(Seen::Absent, Seen::Known)))
                .collect(),
            nginx: self.nginx.as_ref().map_or(Seen::Absent, |nginx| {
                let digest = nginx.serving.filter(|_| nginx.running).map_or(Seen::Absent, Seen::Known);
                Seen::Known(LiveNginx {
                    running: nginx.running,
                    digest,
                    answers: question
                        .sites
                        .iter()
                        .map(|(site, proof)| (site.clone(), self.answers(site, proof)))
                        .collect(),
                    fronts: question
                        .fronts
                        .keys()
                        .map(|port| (*port, nginx.fronts.get(port).map_or(Seen::Absent, |digest| Seen::Known(*digest))))
                        .collect(),
                    has_log_folder: !self.odd.no_log_folder,
                    files: self.odd.files.clone(),
                })
            }),
            packages: question
                .packages
                .iter()
                .map(|name| (name.clone(), seen(self.packages.contains(name), "1.0".to_owned())))
                .collect(),
            installing: self.installing.clone(),
            users: question.users.iter().map(|name| (name.clone(), seen(self.users.contains(name), ()))).collect(),
            releases: question
                .releases
                .iter()
                .map(|digest| (*digest, seen(self.releases.contains(digest), LiveRelease::Whole)))
                .collect(),
            venvs: question
                .venvs
                .iter()
                .map(|key| (*key, self.venvs.get(key).cloned().map_or(Seen::Absent, Seen::Known)))
                .collect(),
            interpreters: question
                .interpreters
                .iter()
                .map(|path| (path.clone(), self.python.clone().map_or(Seen::Absent, Seen::Known)))
                .collect(),
            programs: question
                .programs
                .iter()
                .map(|program| {
                    (
                        program.clone(),
                        self.programs.get(program).cloned().unwrap_or(Seen::Known(LiveProgram::Executable)),
                    )
                })
                .collect(),
            noexec: if question.executes { self.noexec.clone() } else { BTreeMap::new() },
            certificates: question.certificates.iter().map(|pair| (pair.clone(), self.certificate(pair))).collect(),
        }
    }

    fn answers(&self, site: &SiteName, proof: &Proof) -> BTreeMap<u16, Answer> {
        let odd = |port: &u16| self.odd.answers.get(&(site.to_string(), *port)).copied();
        proof.ports.iter().map(|port| (*port, odd(port).unwrap_or(Answer::Own))).collect()
    }

    fn live_file(&self, path: &str, owned: &Manifest, desired: &Desired) -> Seen<LiveFile> {
        Seen::Known(match self.files.get(path) {
            None => return Seen::Absent,
            Some(Lies::Directory) => LiveFile::Other { kind: "directory".to_owned() },
            Some(Lies::Link(target)) => LiveFile::Symlink { target: target.clone() },
            Some(Lies::File { content, mode, owner }) => {
                let digest = Digest::of(content);
                let differs = desired.all_files().any(|(other, wanted)| other == path && wanted.digest() != digest);
                let content = (owned.owns(path) && differs).then(|| Content::Public(content.clone()));
                LiveFile::Regular { digest, mode: *mode, owner: owner.clone(), content }
            }
        })
    }

    /// As the test says, else one that is fine.
    fn certificate(&self, pair: &Certificate) -> Seen<LiveCertificate> {
        let until = "Nov 21 16:47:49 2027 GMT".to_owned();
        let names = vec!["app.sophia-intel.ai".to_owned()];
        let checked = Checked { belong_together: true, until, seconds_left: 365 * 24 * 3600, names };
        let fine = LiveCertificate {
            digest: Seen::Known(Digest::of(CERTIFICATE)),
            key: Seen::Known(()),
            checked: Seen::Known(checked),
        };
        Seen::Known(self.certificates.get(&pair.certificate).cloned().unwrap_or(fine))
    }

    fn live_unit(&self, name: &str) -> Seen<LiveUnit> {
        if let Some(enabled) = self.odd.unit_file.clone().filter(|_| name == "nginx.service") {
            let (active, sub) = ("active".to_owned(), "running".to_owned());
            return Seen::Known(LiveUnit { active, sub, enabled, main_pid: 80, ..LiveUnit::default() });
        }
        let unit = match self.units.get(name) {
            Some(unit) => unit.clone(),
            None if self.files.contains_key(&format!("{UNITS}{name}")) => stopped(0),
            None => return Seen::Absent,
        };
        let main_pid = if unit.active == "active" { 4242 } else { 0 };
        Seen::Known(LiveUnit {
            sub: if unit.active == "activating" { "auto-restart" } else { "running" }.to_owned(),
            enabled: if unit.enabled { "enabled" } else { "disabled" }.to_owned(),
            main_pid,
            directory: unit.directory.filter(|_| main_pid != 0),
            active: unit.active,
            tries: unit.tries,
            ..LiveUnit::default()
        })
    }
}

pub fn stopped(port: u16) -> Unit {
    Unit { active: "inactive".to_owned(), enabled: false, port, directory: None, tries: Tries::default() }
}

fn seen<T>(is: bool, value: T) -> Seen<T> {
    if is { Seen::Known(value) } else { Seen::Absent }
}
