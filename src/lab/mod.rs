//! The lab: real throw-away hosts on this machine, for tests, the demo and rehearsals.
//!
//! Debian containers with systemd as PID 1, sshd and nginx, in a network namespace of their own. All
//! traffic stays inside it: programs that talk to the hosts run inside it too (`exec`, `enter`).
//!
//! Owns everything under `$EVENKEEL_LAB` (default `/var/lib/evenkeel-lab`):
//! `base-RECIPE/` (a shared root file system, one of each suite), `labs/NAME/` (one tmpfs: keys, the override file and
//! `hK/{root,upper,work,console.log,…}`), and lock files.
//!
//! Keeps true: the tmpfs is the first thing made and the last thing removed, so whatever a killed
//! evenkeel leaves, `down` finds and `up` continues. What runs is read from the machine itself, never
//! from notes. Each wait has a limit.
//!
//! Never does: touch what no lab made; leave a host with our terminal, folder or locks open.

mod base;
mod cgroup;
mod error;
mod hosts;
mod life;
mod lock;
mod login;
mod machine;
mod mounts;
mod needs;
mod network;
mod process;
mod tool;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use serde::Serialize;

pub use base::Suite;
pub use error::{LabError, Missing};

use error::Doing;
use lock::{Kind, Lock};
use machine::Machine;
use network::Network;

/// The lab one gets without naming one.
pub const DEFAULT_NAME: &str = "evenkeel";

/// Who logs in; has sudo without a password.
const USER: &str = "ubuntu";

/// Interface names have 15 characters, of which `vb-`, `-h` and a host's number need seven.
const LONGEST_NAME: usize = 8;

/// Told what happens, as it happens. Waits are announced before they begin.
pub trait Progress {
    fn say(&self, message: &str);
}

impl<F: Fn(&str)> Progress for F {
    fn say(&self, message: &str) {
        self(message);
    }
}

/// A lab by its name, up or not. A value of this type holds nothing on the machine.
#[derive(Debug, Clone)]
pub struct Lab {
    root: PathBuf,
    name: String,
    dir: PathBuf,
    network: Network,
    suite: Suite,
    /// Programs that its user needs besides, each with its package.
    more: Vec<(&'static str, &'static str)>,
}

/// One host of a lab that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabHost {
    /// `h1`
    pub lab_name: String,
    /// The instance it plays; `h1` too where it plays none.
    pub instance: String,
    pub address: Ipv4Addr,
    /// `ssh-ed25519 AAAA…`
    pub host_key: String,
    /// Whether it has power. It may still be booting, or unplugged.
    pub running: bool,
}

impl Lab {
    /// Names a lab; touches nothing. Labs of different names live side by side.
    ///
    /// # Errors
    /// A name that cannot be part of an interface name, or an `EVENKEEL_LAB` that cannot be mounted from.
    pub fn open(name: &str) -> Result<Self, LabError> {
        let refuse = |why| Err(LabError::Name { name: name.to_owned(), why });
        if name.is_empty() || name.len() > LONGEST_NAME {
            return refuse("a lab's name has 1 to 8 characters");
        }
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return refuse("only a-z and 0-9 can stand in it");
        }
        let root = env::var_os("EVENKEEL_LAB").map_or_else(|| "/var/lib/evenkeel-lab".into(), PathBuf::from);
        let refuse = |why| Err(LabError::Folder { path: root.clone(), why });
        if !root.is_absolute() {
            return refuse("is not an absolute path");
        }
        if root.to_string_lossy().contains([',', ':', '\\', '"', '\u{fffd}']) {
            return refuse("has a comma, colon, backslash or quote in it, which an overlay's options cannot carry");
        }
        // The kernel lists mounts by their real paths.
        let root = real(&root);
        let dir = root.join("labs").join(name);
        Ok(Self {
            root,
            name: name.to_owned(),
            dir,
            network: Network::of(name),
            suite: Suite::default(),
            more: Vec::new(),
        })
    }

    /// Hosts that are made from now on run this release of Debian.
    pub fn with_suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Programs that are needed besides, each with the Debian package that has it.
    pub fn with_programs(mut self, more: Vec<(&'static str, &'static str)>) -> Self {
        self.more = more;
        self
    }

    /// A folder that is kept when the lab is taken down.
    pub fn kept(&self, name: &str) -> PathBuf {
        self.root.join("kept").join(name)
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What this machine lacks, each with the command that installs it. Empty: ready.
    pub fn missing(&self) -> Vec<Missing> {
        needs::missing(&self.more)
    }

    /// Installs what is missing with apt-get.
    pub fn install(&self, progress: &dyn Progress) -> Result<(), LabError> {
        needs::root("installing what a lab needs")?;
        needs::install_missing(&self.more, &self.lock(progress)?, progress)
    }

    /// The lab's hosts, by number; none when it is not up.
    pub fn hosts(&self) -> Result<Vec<LabHost>, LabError> {
        let host = |(number, instance)| {
            let machine = Machine::new(self, number);
            Ok(LabHost {
                lab_name: machine.lab_name(),
                instance,
                address: self.network.address(number),
                host_key: machine.host_key()?,
                running: machine.is_running(),
            })
        };
        self.instances()?.into_iter().map(host).collect()
    }

    /// Runs a program of this machine inside the lab's network, with our standard streams.
    pub fn exec(&self, command: &[OsString]) -> Result<ExitStatus, LabError> {
        needs::root("running inside a lab")?;
        self.require_up()?;
        let Some((program, arguments)) = command.split_first() else {
            return Err(LabError::NoCommand { lab: self.name.clone() });
        };
        self.network.inside(|| {
            let status = Command::new(program).args(arguments).status();
            status.doing(|| format!("running `{}` inside lab {}", program.display(), self.name))
        })
    }

    /// Moves the *calling thread*, and what it starts from now on, into the lab's network. Call it
    /// before a runtime starts its threads.
    pub fn enter(&self) -> Result<(), LabError> {
        needs::root("entering a lab")?;
        self.require_up()?;
        self.network.enter()
    }

    /// Unplugs a host (`h1`, or its instance): it runs on, and nothing reaches it.
    pub fn cut(&self, host: &str) -> Result<(), LabError> {
        self.plug(host, "down")
    }

    /// Plugs it in again. Booting a host does so too: its cable is a new one.
    pub fn mend(&self, host: &str) -> Result<(), LabError> {
        self.plug(host, "up")
    }

    /// The override file that points instances at this lab's hosts; there once `up` has ended well.
    pub fn override_file(&self) -> PathBuf {
        self.dir.join("override.yaml")
    }

    /// The private key that logs in to every host.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// The lab's network namespace, by its name.
    pub fn namespace(&self) -> String {
        self.network.namespace()
    }

    /// Our end of the lab's network: what listens there, inside the namespace, the hosts can reach.
    pub fn gateway(&self) -> Ipv4Addr {
        self.network.gateway()
    }

    fn cgroup(&self) -> PathBuf {
        PathBuf::from(self.network.namespace())
    }

    fn lock(&self, progress: &dyn Progress) -> Result<Lock, LabError> {
        let waiting = format!("another evenkeel is busy with lab {}; waiting for it", self.name);
        Lock::take(&self.root.join(format!("{}.lock", self.name)), Kind::Exclusive, &waiting, progress)
    }

    fn is_up(&self) -> Result<bool, LabError> {
        mounts::is_mounted(&self.dir)
    }

    fn require_up(&self) -> Result<(), LabError> {
        if self.is_up()? && self.network.exists() { Ok(()) } else { Err(LabError::NotUp { lab: self.name.clone() }) }
    }

    /// The complete hosts, by number.
    fn instances(&self) -> Result<BTreeMap<u8, String>, LabError> {
        let mut found = BTreeMap::new();
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries.doing(|| format!("reading {}", self.dir.display()))?,
        };
        for number in entries.flatten().filter_map(|entry| hosts::number(entry.file_name().to_str()?)) {
            let machine = Machine::new(self, number);
            if machine.dir().join("instance").exists() {
                found.insert(number, machine.instance()?);
            }
        }
        Ok(found)
    }

    fn machine(&self, host: &str) -> Result<Machine<'_>, LabError> {
        self.require_up()?;
        let instances = self.instances()?;
        let found = instances.iter().find(|(number, name)| *name == host || hosts::number(host) == Some(**number));
        match found {
            Some((number, _)) => Ok(Machine::new(self, *number)),
            None => {
                let known: Vec<String> = instances.iter().map(|(number, name)| format!("h{number} ({name})")).collect();
                Err(LabError::NoHost { lab: self.name.clone(), host: host.to_owned(), known: known.join(", ") })
            }
        }
    }

    fn plug(&self, host: &str, state: &str) -> Result<(), LabError> {
        needs::root("plugging a host")?;
        let machine = self.machine(host)?;
        if !machine.is_running() {
            return Err(LabError::HostOff { lab: self.name.clone(), host: machine.lab_name() });
        }
        self.network.plug(&machine.name(), state, &self.lock(&|_: &str| ())?)
    }
}

/// The path without symbolic links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}
