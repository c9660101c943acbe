//! One host: its disk (an overlay), and its power (a systemd-nspawn).
//!
//! Keeps true: a disk folder is a host only once it holds the file `instance`, which is written last,
//! so a half-made disk is seen and made anew; the disk stays when the power goes. A running host has
//! nothing of ours open: not our terminal, not our folder, not our locks.
//!
//! A host that reboots itself comes back only on a machine run by systemd; elsewhere nspawn leaves the
//! rebooting to whoever started it, and the host is off until `boot`.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Lab,
    cgroup::{self, run_by_systemd},
    error::{Doing, LabError},
    lock::Lock,
    mounts, needs,
    network::BRIDGE,
    process,
    tool::{SHORT, run},
};

/// Joins the control groups named before `--`, closes what we may have inherited, and becomes the rest.
const BECOME: &str = r#"set -e
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs"; shift; done
shift
exec "$@""#;

/// A host of a lab by its number.
#[derive(Debug, Clone)]
pub(super) struct Machine<'a> {
    lab: &'a Lab,
    pub number: u8,
}

impl<'a> Machine<'a> {
    pub fn new(lab: &'a Lab, number: u8) -> Self {
        Self { lab, number }
    }

    /// `h1`, what people call it.
    pub fn lab_name(&self) -> String {
        format!("h{}", self.number)
    }

    /// `evenkeel-h1`: on a machine run by systemd, hosts of all labs share one space of names.
    pub fn name(&self) -> String {
        format!("{}-h{}", self.lab.name, self.number)
    }

    pub fn dir(&self) -> PathBuf {
        self.lab.dir.join(self.lab_name())
    }

    pub fn root(&self) -> PathBuf {
        self.dir().join("root")
    }

    pub fn console(&self) -> PathBuf {
        self.dir().join("console.log")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.dir().join("known_hosts")
    }

    fn cgroup(&self) -> PathBuf {
        self.lab.cgroup().join(self.lab_name())
    }

    /// The instance it plays, once its disk is complete.
    pub fn instance(&self) -> Result<String, LabError> {
        needs::read_line(&self.dir().join("instance"))
    }

    /// `ssh-ed25519 AAAA…`
    pub fn host_key(&self) -> Result<String, LabError> {
        let line = needs::read_line(&self.dir().join("host_key.pub"))?;
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" "))
    }

    pub fn is_running(&self) -> bool {
        !process::supervisors(&self.dir()).is_empty()
    }

    /// Makes its disk from the base.
    pub fn prepare(&self, instance: &str, base: &Path, lock: &Lock) -> Result<(), LabError> {
        let (dir, root) = (self.dir(), self.root());
        // What a killed evenkeel left half-made.
        mounts::release(&dir)?;
        if dir.exists() {
            fs::remove_dir_all(&dir).doing(|| format!("removing {}", dir.display()))?;
        }
        for part in ["upper", "work", "root"] {
            fs::create_dir_all(dir.join(part)).doing(|| format!("creating {}", dir.join(part).display()))?;
        }
        mounts::overlay(base, &dir)?;

        let address = self.lab.network.address(self.number);
        let hostname = instance.replace('_', "-");
        let networkd = format!("[Match]\nName=host0\n[Network]\nAddress={address}/24\nLinkLocalAddressing=no\n");
        write(&root.join("etc/systemd/network/10-lab.network"), networkd)?;
        write(&root.join("etc/hosts"), format!("127.0.0.1 localhost\n127.0.1.1 {hostname}\n"))?;
        write(&root.join("etc/hostname"), format!("{hostname}\n"))?;

        let key = root.join("etc/ssh/ssh_host_ed25519_key");
        keygen(&key, instance, lock)?;
        copy(&key.with_extension("pub"), &dir.join("host_key.pub"))?;
        write(&self.known_hosts(), format!("{address} {}\n", self.host_key()?))?;

        let authorized = root.join("home/ubuntu/.ssh/authorized_keys");
        copy(&self.lab.key_file().with_extension("pub"), &authorized)?;
        let owner = fs::metadata(root.join("home/ubuntu")).doing(|| format!("reading {}", root.display()))?;
        chown(&authorized, Some(owner.uid()), Some(owner.gid()))
            .and_then(|()| fs::set_permissions(&authorized, fs::Permissions::from_mode(0o600)))
            .doing(|| format!("handing {} to its user", authorized.display()))?;

        let partial = dir.join("instance.partial");
        write(&partial, format!("{instance}\n"))?;
        fs::rename(&partial, dir.join("instance")).doing(|| format!("completing {}", dir.display()))
    }

    /// Gives power to a host that is off. To be called inside the lab's namespace: nspawn plugs the cable
    /// in there.
    pub fn power_on(&self) -> Result<(), LabError> {
        // Were its supervisor killed alone, the host would run on with the disk that we hand out anew.
        self.power_off()?;
        let doing = || format!("starting {}", self.lab_name());
        let console = File::create(self.console()).doing(doing)?;
        let mut command = Command::new("setsid");
        command.args(["--fork", "sh", "-c", BECOME, "sh"]).args(cgroup::make(&self.cgroup())?).arg("--");
        command.args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--console=read-only"]);
        command.args(["--timezone=off", "--resolv-conf=off", "--link-journal=no"]);
        command.arg(format!("--network-bridge={BRIDGE}")).arg(format!("--machine={}", self.name()));
        if !run_by_systemd() {
            command.arg("--keep-unit");
        }
        command.arg(format!("--directory={}", self.root().display()));
        // Our environment is not the host's, and our working directory could be a mount that must go.
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        command.env_clear().env("PATH", path).current_dir("/");
        command.stdin(Stdio::null()).stdout(console.try_clone().doing(doing)?).stderr(console);
        let status = command.status().doing(|| "starting `setsid`".to_owned())?;
        if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())).doing(doing) }
    }

    /// Takes its power, as if the plug were pulled. Its disk stays.
    pub fn power_off(&self) -> Result<(), LabError> {
        process::power_off(&self.lab_name(), &self.dir())?;
        cgroup::remove(&self.cgroup())
    }
}

/// A key pair without a passphrase at `path` and `path`.pub.
pub(super) fn keygen(path: &Path, comment: &str, lock: &Lock) -> Result<(), LabError> {
    let path = path.to_string_lossy();
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &path];
    run(&format!("making the key {path}"), "ssh-keygen", arguments, lock, SHORT).map(drop)
}

fn write(path: &Path, text: String) -> Result<(), LabError> {
    fs::write(path, text).doing(|| format!("writing {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), LabError> {
    fs::copy(from, to).map(drop).doing(|| format!("copying {} to {}", from.display(), to.display()))
}
