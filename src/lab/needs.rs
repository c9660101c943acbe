//! What a lab needs of this machine: programs, room, and kernel limits.
//!
//! Never does: install something unasked. The only lasting change is that kernel limits are raised.

use std::{env, fs, path::Path, process::Command};

use super::{
    Progress,
    error::{Doing, LabError, Missing},
    lock::Lock,
    tool::{self, run},
};

/// Program, or file when it begins with `/`; and the Debian package that has it.
const NEEDED: [(&str, &str); 10] = [
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("timeout", "coreutils"),
    // Only Debian itself comes with it; without it mmdebstrap cannot verify what it fetches.
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];

/// Kernel limits that are too low for fifty hosts, with the value we raise them to.
const LIMITS: [(&str, u64); 4] = [
    // Its default of 128 stops systemd at about the 20th host.
    ("fs.inotify.max_user_instances", 8192),
    ("fs.inotify.max_user_watches", 1_048_576),
    ("kernel.pty.max", 8192),
    ("net.ipv4.neigh.default.gc_thresh3", 8192),
];

/// What a host that runs a few services takes; the bare system takes some 16 MiB.
const MIB_PER_HOST: u64 = 64;

pub(super) fn root(action: &'static str) -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot { action }) }
}

pub(super) fn missing(more: &[(&'static str, &'static str)]) -> Vec<Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    // A user's PATH often lacks the sbin folders, root's has them.
    let folders: Vec<_> = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let here = |what: &str| match what.starts_with('/') {
        true => Path::new(what).exists(),
        false => folders.iter().any(|folder| folder.join(what).is_file()),
    };
    let lacking = NEEDED.iter().chain(more).filter(|(what, _)| !here(what));
    lacking.map(|&(what, package)| Missing { what: what.to_owned(), package, install: install([package]) }).collect()
}

/// The command that installs `packages`.
fn install<'a>(packages: impl IntoIterator<Item = &'a str>) -> String {
    let mut packages: Vec<&str> = packages.into_iter().collect();
    packages.sort_unstable();
    packages.dedup();
    format!("apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// All that is missing as one error.
pub(super) fn require(more: &[(&'static str, &'static str)]) -> Result<(), LabError> {
    let missing = missing(more);
    if missing.is_empty() {
        return Ok(());
    }
    let install = install(missing.iter().map(|missing| missing.package));
    Err(LabError::Missing { what: missing.into_iter().map(|missing| missing.what).collect(), install })
}

/// Installs what is missing with apt-get.
pub(super) fn install_missing(
    more: &[(&'static str, &'static str)],
    lock: &Lock,
    progress: &dyn Progress,
) -> Result<(), LabError> {
    let missing = missing(more);
    if missing.is_empty() {
        return Ok(());
    }
    if Command::new("apt-get").arg("--version").output().is_err() {
        // No Debian: the names of programs are all we can give.
        return require(more);
    }
    let command = install(missing.iter().map(|missing| missing.package));
    let doing = "installing what the lab needs";
    let apt = |words: &str| {
        let quiet = ["DEBIAN_FRONTEND=noninteractive"].into_iter().chain(words.split(' '));
        run(doing, "env", quiet, lock, super::base::BUILD_LIMIT).map(drop)
    };
    progress.say("apt-get update");
    apt("apt-get update")?;
    progress.say(&command);
    apt(&command)?;
    require(more)
}

/// Refuses to fill the machine's memory.
pub(super) fn memory_for(hosts: usize) -> Result<(), LabError> {
    let info = fs::read_to_string("/proc/meminfo").doing(|| "reading /proc/meminfo".to_owned())?;
    let kib = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().split(' ').next()?.parse().ok());
    // Kernels older than 3.14 do not say; they are not ours to refuse.
    let have_mib = kib.map_or(u64::MAX, |kib: u64| kib / 1024);
    let need_mib = MIB_PER_HOST * hosts as u64;
    if have_mib >= need_mib {
        return Ok(());
    }
    let what = format!("booting {hosts} hosts");
    let place = "this machine".to_owned();
    Err(LabError::NoRoom { kind: "memory", place, what, need_mib, have_mib, or: "ask for fewer hosts" })
}

/// Refuses to fill the file system that holds `dir`.
pub(super) fn disk_for(what: &str, dir: &Path, need_mib: u64) -> Result<(), LabError> {
    let space = rustix::fs::statvfs(dir).doing(|| format!("measuring the free space of {}", dir.display()))?;
    let have_mib = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
    if have_mib >= need_mib {
        return Ok(());
    }
    let or = "set EVENKEEL_LAB to a folder elsewhere";
    let place = dir.display().to_string();
    Err(LabError::NoRoom { kind: "room", place, what: what.to_owned(), need_mib, have_mib, or })
}

/// Raises kernel limits that are too low. They stay raised: lowering them could harm others.
pub(super) fn raise_limits(progress: &dyn Progress) {
    for (name, wanted) in LIMITS {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        // In a container some of them are not there.
        let Some(now) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
            continue;
        };
        if now < wanted {
            match fs::write(&path, wanted.to_string()) {
                Ok(()) => progress.say(&format!("raised {name} from {now} to {wanted}")),
                Err(error) => progress.say(&format!("could not raise {name} from {now} to {wanted}: {error}")),
            }
        }
    }
}

/// Reads a one-line file.
pub(super) fn read_line(path: &Path) -> Result<String, LabError> {
    let text = fs::read_to_string(path).doing(|| format!("reading {}", path.display()))?;
    Ok(tool::last_lines(&text, 1))
}
