//! The Debian root file systems that the hosts of all labs share as the lower layer of their disks, one for each suite.
//!
//! Keeps true: a folder `base-RECIPE` is complete (it is built as `base.partial` and renamed), is what
//! the recipe in this file says (its name is the recipe's digest), and is never changed or removed
//! while a host uses it. Never does: leave a build running when we are killed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    Progress,
    error::{Doing, LabError},
    lock::{Kind, Lock},
    mounts, needs,
    tool::{self, contained},
};

/// Building takes half a minute where the mirror is near, some minutes where it is not.
pub(super) const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The finished base takes 300 MiB, the packages it is made of as much again.
const BUILD_MIB: u64 = 800;

/// The release of Debian that a lab's hosts run, and with it their systemd and nginx.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Suite {
    /// Debian 11: systemd 247, nginx 1.18.
    Bullseye,
    /// Debian 12: systemd 252, nginx 1.22.
    #[default]
    Bookworm,
    /// Debian 13: systemd 257, nginx 1.26.
    Trixie,
}

impl Suite {
    pub const ALL: [Self; 3] = [Suite::Bullseye, Suite::Bookworm, Suite::Trixie];

    pub fn as_str(self) -> &'static str {
        match self {
            Suite::Bullseye => "bullseye",
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
        }
    }
}

impl FromStr for Suite {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|suite| suite.as_str() == name);
        found.ok_or_else(|| format!("labs run none of that name, only {names}"))
    }
}

const PACKAGES: &str = "systemd,systemd-sysv,dbus,openssh-server,nginx-light,sudo,python3,python3-venv,iproute2,curl,\
                        ca-certificates,zstd";

/// What the newest release has that older ones do not, or not whole: coreutils in Rust, which Ubuntu puts in the place of
/// GNU's, and a login shell that reads no line of sh. Neither is used until somebody asks for it.
const PACKAGES_OF_TRIXIE: &str = ",rust-coreutils,csh";

impl Suite {
    fn packages(self) -> String {
        match self {
            Suite::Bullseye | Suite::Bookworm => PACKAGES.to_owned(),
            Suite::Trixie => format!("{PACKAGES}{PACKAGES_OF_TRIXIE}"),
        }
    }
}

/// Run by `sh -e` with the new root as `$1`, once the packages are in.
///
/// sshd keeps its default limits: those are what real hosts have. What is masked either slows booting
/// or runs by itself at some hour; without networkd-wait-online nginx starts at once.
const FINISH: &str = r#"
chroot "$1" useradd --create-home --shell /bin/bash ubuntu
chroot "$1" install -d -m 700 -o ubuntu -g ubuntu /home/ubuntu/.ssh
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >"$1/etc/sudoers.d/ubuntu"
chmod 440 "$1/etc/sudoers.d/ubuntu"
echo 'UseDNS no' >"$1/etc/ssh/sshd_config.d/lab.conf"
rm -f "$1"/etc/ssh/ssh_host_*
: >"$1/etc/machine-id"
: >"$1/etc/resolv.conf"
chroot "$1" systemctl enable systemd-networkd ssh nginx
chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
  man-db.timer dpkg-db-backup.timer fstrim.timer systemd-resolved.service systemd-networkd-wait-online.service \
  console-getty.service
"#;

/// The base, kept in place for as long as this value lives.
#[derive(Debug)]
pub(super) struct Base {
    pub path: PathBuf,
    _kept: Lock,
}

/// The base of today's recipe, built if it is not there.
pub(super) fn ensure(root: &Path, suite: Suite, progress: &dyn Progress) -> Result<Base, LabError> {
    let lock_file = root.join("base.lock");
    let of = |suite| root.join(format!("base-{}", recipe(suite)));
    let (path, todays) = (of(suite), Suite::ALL.map(of));
    // Twice: between building and sharing the lock somebody may purge. A third time nobody is that unlucky.
    for _ in 0..2 {
        let waiting = "another evenkeel builds the base system; waiting for it";
        let kept = Lock::take(&lock_file, Kind::Shared, waiting, progress)?;
        if path.is_dir() {
            return Ok(Base { path, _kept: kept });
        }
        drop(kept);
        let waiting = "another evenkeel uses the base system; waiting for it";
        let lock = Lock::take(&lock_file, Kind::Exclusive, waiting, progress)?;
        if !path.is_dir() {
            build(root, suite, &path, &lock, progress)?;
        }
        for old in all(root)?.into_iter().filter(|old| !todays.contains(old)) {
            if users(&old)?.is_empty() {
                remove(&old)?;
            }
        }
    }
    Err(LabError::Busy { path: lock_file, waited: BUILD_LIMIT })
}

/// Removes every base, unless a lab uses one.
pub(super) fn purge(root: &Path, progress: &dyn Progress) -> Result<(), LabError> {
    let waiting = "another evenkeel uses the base system; waiting for it";
    let _lock = Lock::take(&root.join("base.lock"), Kind::Exclusive, waiting, progress)?;
    let bases = all(root)?;
    for base in &bases {
        let labs = users(base)?;
        if !labs.is_empty() {
            return Err(LabError::BaseInUse { base: base.clone(), labs });
        }
    }
    bases.iter().try_for_each(|base| remove(base))?;
    remove(&partial(root))?;
    match fs::remove_file(log(root)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .doing(|| format!("removing {}", log(root).display()))
}

fn partial(root: &Path) -> PathBuf {
    root.join("base.partial")
}

fn log(root: &Path) -> PathBuf {
    root.join("base.log")
}

/// A change of any of these makes another base.
fn recipe(suite: Suite) -> String {
    let mut hasher = Sha256::new();
    for part in [suite.as_str(), &suite.packages(), FINISH, std::env::consts::ARCH] {
        hasher.update(part);
        hasher.update([0]);
    }
    hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn build(root: &Path, suite: Suite, path: &Path, lock: &Lock, progress: &dyn Progress) -> Result<(), LabError> {
    let (include, suite) = (format!("--include={}", suite.packages()), suite.as_str());
    let (partial, log) = (partial(root), log(root));
    remove(&partial)?;
    needs::disk_for("building the lab's base system", root, BUILD_MIB)?;
    progress.say(&format!("building the base system of Debian {suite} in {} (once, about a minute)", path.display()));
    let finish = format!("--customize-hook=set -e{FINISH}");
    let target = partial.to_string_lossy();
    let logfile = format!("--logfile={}", log.display());
    let arguments = ["--variant=minbase", &include, &logfile, &finish, suite, &target];
    let output = contained("mmdebstrap", arguments, lock, BUILD_LIMIT)?;
    if !output.status.success() {
        let said = fs::read_to_string(&log).unwrap_or_default() + &String::from_utf8_lossy(&output.stderr);
        remove(&partial)?;
        return Err(LabError::Failed {
            doing: format!("building the base system (whole log in {})", log.display()),
            command: format!("mmdebstrap {suite} {target}"),
            status: output.status.to_string(),
            said: tool::last_lines(&said, 8),
        });
    }
    // The lock is ours and the target does not exist: the rename is the moment it becomes a base.
    fs::rename(&partial, path).doing(|| format!("renaming {} to {}", partial.display(), path.display()))
}

/// Every base below `root`, whatever its recipe.
fn all(root: &Path) -> Result<Vec<PathBuf>, LabError> {
    let entries = fs::read_dir(root).doing(|| format!("reading {}", root.display()))?;
    let named = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("base-"));
    Ok(named.map(|entry| entry.path()).collect())
}

/// The labs that have `base` as a lower layer.
fn users(base: &Path) -> Result<Vec<String>, LabError> {
    let lower = format!("lowerdir={}", base.display());
    let uses = |mount: &mounts::Mount| mount.options.split(',').any(|option| option == lower);
    // An overlay is at LABS/NAME/hK/root.
    let lab = |mount: &mounts::Mount| Some(mount.at.ancestors().nth(2)?.file_name()?.to_string_lossy().into_owned());
    let mut labs: Vec<String> = mounts::list()?.iter().filter(|mount| uses(mount)).filter_map(lab).collect();
    labs.sort();
    labs.dedup();
    Ok(labs)
}

fn remove(dir: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .doing(|| format!("removing {}", dir.display()))
}
