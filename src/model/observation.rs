//! What a probe saw of one instance.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    content::Content,
    digest::Digest,
    fleet::Certificate,
    manifest::Manifest,
    nginx::LiveNginx,
    run::{Run, Tries},
    seal::Seal,
    seen::Seen,
};

/// What one instance said, part by part. An instance that could not be reached has no observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    pub manifest: Seen<Manifest>,
    /// Whether the manifest tells others anything.
    pub seal: Seal,
    /// Digest of the manifest's bytes: a script refuses to go on when it has changed since.
    pub manifest_digest: Option<Digest>,
    /// The newest generation begun here; 0 where none was.
    pub generation: Seen<u64>,
    /// The directory of a deployment that was begun and neither finished nor undone.
    pub unfinished: Option<String>,
    /// Every path asked about or in the manifest.
    pub files: BTreeMap<String, Seen<LiveFile>>,
    pub units: BTreeMap<String, Seen<LiveUnit>>,
    pub listeners: Seen<Vec<Listener>>,
    /// Who holds a port that was asked about, and is not the unit that should, by process.
    #[serde(default)]
    pub strangers: BTreeMap<u32, Stranger>,
    /// The units that evenkeel's way into the host leads through.
    #[serde(default)]
    pub way_in: BTreeSet<String>,
    /// What each drop-in of units sets, by its path: as many as one look reads.
    #[serde(default)]
    pub drop_ins: BTreeMap<String, Vec<String>>,
    /// Drop-ins that systemd will add to the transient unit in which evenkeel works there.
    #[serde(default)]
    pub own_drop_ins: Vec<String>,
    /// Folders of evenkeel's that were asked about.
    #[serde(default)]
    pub folders: BTreeMap<String, Seen<LiveFolder>>,
    /// Whether nginx is installed and what it serves. Absent: not installed.
    pub nginx: Seen<LiveNginx>,
    /// Installed version by package asked about.
    pub packages: BTreeMap<String, Seen<String>>,
    /// What stands against installing those that are not there.
    #[serde(default)]
    pub installing: Installing,
    pub users: BTreeMap<String, Seen<()>>,
    /// Releases asked about that lie on the instance.
    pub releases: BTreeMap<Digest, Seen<LiveRelease>>,
    /// Virtual environments asked about, by their key.
    pub venvs: BTreeMap<Digest, Seen<LiveVenv>>,
    /// What the interpreters asked about are, as in `cpython-311`.
    pub interpreters: BTreeMap<String, Seen<String>>,
    /// Programs of the host asked about, by path or name.
    #[serde(default)]
    pub programs: BTreeMap<String, Seen<LiveProgram>>,
    /// Folders of releases or virtual environments below evenkeel's own that lie on a mount from which nothing is started
    /// (`noexec`), each with where that is mounted. Looked for where a service starts something from there.
    #[serde(default)]
    pub noexec: BTreeMap<String, String>,
    /// Certificates asked about, each with its key.
    #[serde(with = "super::pairs")]
    pub certificates: BTreeMap<Certificate, Seen<LiveCertificate>>,
}

/// What dpkg and apt say where a package that was asked about is not installed; nothing where all are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installing {
    /// Packages that dpkg left half-way, each with its state.
    pub half_way: BTreeMap<String, String>,
    /// Whether dpkg was interrupted: apt installs nothing until it is told to go on.
    pub interrupted: bool,
    /// Why a simulated installation does not work, from apt's lists as they are.
    pub refused: Option<String>,
}

/// What lies where a program is looked for, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveProgram {
    Executable,
    /// A folder, or a file that nobody may execute.
    NotExecutable,
}

/// A virtual environment, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveVenv {
    /// As it was made, with an interpreter of this kind.
    Whole { made_with: String },
    /// Something of it is no longer as it was made.
    Damaged,
}

/// A certificate and its key, links followed. Of the key nothing is ever read off the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCertificate {
    /// Of the certificate's file.
    pub digest: Seen<Digest>,
    /// Whether the key is there.
    pub key: Seen<()>,
    /// Absent where the instance has no openssl, unknown where that can make nothing of the files.
    pub checked: Seen<Checked>,
}

/// What openssl says of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub belong_together: bool,
    /// For which names it is, as it says them; `*.` stands for one label.
    pub names: Vec<String>,
    /// When the certificate ends, as openssl writes it.
    pub until: String,
    /// How far that is by the instance's clock; negative when it is over.
    pub seconds_left: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveFile {
    Regular {
        digest: Digest,
        mode: u32,
        owner: String,
        /// Fetched only for files that are ours and differ from what is desired, to show the diff.
        content: Option<Content>,
    },
    Symlink {
        target: String,
    },
    /// A directory, a device, …: never ours.
    Other {
        kind: String,
    },
}

impl LiveFile {
    pub fn digest(&self) -> Option<Digest> {
        match self {
            LiveFile::Regular { digest, .. } => Some(*digest),
            LiveFile::Symlink { .. } | LiveFile::Other { .. } => None,
        }
    }
}

/// A release that lies on the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveRelease {
    /// Nobody has touched it since every byte of it was checked.
    Whole,
    /// It is there, and was not compared in this look: together they are too large for one, and take turns.
    There,
    /// Every byte is as it should be, and somebody or something has been at it.
    Touched,
    Changed,
}

/// `systemctl show` of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveUnit {
    /// `active`, `activating`, `inactive`, `failed`, …
    pub active: String,
    pub sub: String,
    /// `enabled`, `disabled`, `static`, … (`UnitFileState`)
    pub enabled: String,
    /// 0 where nothing runs.
    pub main_pid: u32,
    /// The working directory of the main process, where it could be read.
    pub directory: Option<String>,
    /// The unit file that systemd has read (`FragmentPath`). Empty: none, or it was not told.
    #[serde(default)]
    pub fragment: String,
    /// The drop-ins that systemd has read.
    #[serde(default)]
    pub drop_ins: Vec<String>,
    /// Whether systemd runs it from another state of its files than the one on disk.
    #[serde(default)]
    pub needs_reload: bool,
    /// The drop-ins on disk, looked for where it needs to be read again.
    #[serde(default)]
    pub unread: Vec<String>,
    #[serde(default)]
    pub tries: Tries,
}

/// A folder's permission bits and owner (`USER:GROUP`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFolder {
    pub mode: u32,
    pub owner: String,
}

impl LiveUnit {
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    pub fn run(&self) -> Run {
        Run { active: self.active.clone(), sub: self.sub.clone(), tries: self.tries.clone() }
    }

    /// Whether anything of it runs, is being started, or will be: a crash loop has moments without a process.
    pub fn is_up(&self) -> bool {
        self.main_pid != 0 || !matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// Linked to /dev/null: systemd starts it for nobody.
    pub fn is_masked(&self) -> bool {
        self.enabled.starts_with("masked")
    }

    pub fn is_enabled(&self) -> bool {
        // `enabled-runtime` is gone after a reboot.
        self.enabled == "enabled"
    }
}

/// A TCP port that something listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub port: u16,
    pub pid: u32,
    pub process: String,
    /// The unit its process belongs to, where it belongs to one.
    pub unit: Option<String>,
}

impl Listener {
    /// `java (pid 99, of jenkins.service, for 11 min): `java -jar ci.war``, as far as it is known.
    pub fn told(&self, stranger: Option<&Stranger>) -> String {
        let unit = self.unit.as_ref().map(|unit| format!(", of {unit}")).unwrap_or_default();
        let age = stranger.and_then(|stranger| stranger.runs_for).map(|age| format!(", for {}", span(age)));
        let command = stranger.map(|stranger| &stranger.command).filter(|command| !command.is_empty());
        let command = command.map(|command| format!(": `{command}`")).unwrap_or_default();
        format!("{} (pid {}{unit}{}){command}", self.process, self.pid, age.unwrap_or_default())
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A process that evenkeel has nothing to do with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    /// Its command line, without what may let somebody in.
    pub command: String,
    /// For how many seconds it has run.
    pub runs_for: Option<u64>,
    /// The programs of all processes in its control group. Empty: not known.
    pub programs: BTreeSet<String>,
}

impl Observation {
    pub fn owned(&self) -> Option<&Manifest> {
        self.manifest.known()
    }

    pub fn unit(&self, name: &str) -> Option<&LiveUnit> {
        self.units.get(name).and_then(Seen::known)
    }
}
