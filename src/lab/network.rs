//! The network of a lab: a namespace with one bridge in it, to which nspawn plugs each host.
//!
//! Keeps true: nothing of it shows in the machine's own network, and hosts have no way out. Never
//! does: touch a namespace of another name.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    os::fd::AsFd,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sha2::{Digest, Sha256};

use super::{
    DEFAULT_NAME,
    error::{Doing, LabError},
    lock::Lock,
    mounts,
    tool::{SHORT, attempt, run},
};

/// The bridge's name inside the namespace. Each lab has its own namespace, so one name does for all.
pub(super) const BRIDGE: &str = "br-lab";

/// Hosts begin at .11; what is below is for things served to them.
const BEFORE_FIRST: u8 = 10;

/// How soon an unanswered address is asked for again, in milliseconds: the kernel's own value, and ours
/// while hosts boot.
pub(super) const PATIENT: u32 = 1000;
pub(super) const IMPATIENT: u32 = 50;

/// The last number whose address is below the /24's broadcast address.
pub(super) const MOST_HOSTS: u8 = 254 - BEFORE_FIRST;

#[derive(Debug, Clone)]
pub(super) struct Network {
    lab: String,
    subnet: u8,
}

impl Network {
    pub fn of(lab: &str) -> Self {
        // Two names may share a /24; as no namespace reaches another, that harms nobody. It only keeps
        // addresses in logs apart. The default lab has a /24 that no other gets.
        let subnet = match lab {
            DEFAULT_NAME => 0,
            other => 1 + Sha256::digest(other)[0] % 255,
        };
        Self { lab: lab.to_owned(), subnet }
    }

    pub fn namespace(&self) -> String {
        format!("ek-{}", self.lab)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace())
    }

    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, 1)
    }

    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, BEFORE_FIRST.saturating_add(host))
    }

    /// Whether the name is taken, be it by a namespace or by what a killed `ip netns add` left.
    pub fn exists(&self) -> bool {
        self.path().symlink_metadata().is_ok()
    }

    /// Makes what is missing of namespace and bridge.
    pub fn up(&self, lock: &Lock) -> Result<(), LabError> {
        let namespace = self.namespace();
        let doing = "setting up the lab's network";
        if self.exists() && !mounts::is_mounted(&self.path())? {
            fs::remove_file(self.path()).doing(|| format!("removing {}", self.path().display()))?;
        }
        if !self.exists() {
            run(doing, "ip", ["netns", "add", &namespace], lock, SHORT)?;
        }
        let ip = |arguments: &[&str]| {
            run(doing, "ip", ["-n", &namespace].into_iter().chain(arguments.iter().copied()), lock, SHORT)
        };
        ip(&["link", "set", "lo", "up"])?;
        if !attempt("ip", ["-n", &namespace, "link", "show", BRIDGE], lock, SHORT)?.status.success() {
            ip(&["link", "add", BRIDGE, "type", "bridge"])?;
        }
        ip(&["address", "replace", &format!("{}/24", self.gateway()), "dev", BRIDGE])?;
        ip(&["link", "set", BRIDGE, "up"]).map(drop)
    }

    /// Removes bridge and namespace. A process that somebody still has inside keeps an empty
    /// namespace without a name; see `inhabitants`.
    pub fn down(&self, lock: &Lock) -> Result<(), LabError> {
        if !self.exists() {
            return Ok(());
        }
        let namespace = self.namespace();
        // Fails when it was never made, which is as good.
        attempt("ip", ["-n", &namespace, "link", "delete", BRIDGE], lock, SHORT)?;
        run("removing the lab's network", "ip", ["netns", "delete", &namespace], lock, SHORT).map(drop)
    }

    /// Plugs (`up`) or unplugs (`down`) a host's cable. Needs no lock: it is one request to the kernel.
    pub fn plug(&self, machine: &str, state: &str, lock: &Lock) -> Result<(), LabError> {
        let cable = format!("vb-{machine}");
        let arguments = ["-n", &self.namespace(), "link", "set", &cable, state];
        run(&format!("setting the cable of {machine} {state}"), "ip", arguments, lock, SHORT).map(drop)
    }

    /// How soon an address that did not answer is asked for again.
    ///
    /// Usually after a second, so a connect that is a moment too early costs a second per boot. While
    /// hosts boot we ask more often; at other times a host that is off must be as slow to tell as real
    /// ones are. Not being able to set it costs that second and nothing else.
    pub fn ask_again_after(&self, milliseconds: u32) {
        let path = format!("/proc/sys/net/ipv4/neigh/{BRIDGE}/retrans_time_ms");
        let _ = self.inside(|| fs::write(&path, milliseconds.to_string()).doing(|| format!("writing {path}")));
    }

    /// Moves the calling thread, and what it starts from now on, into the namespace.
    ///
    /// Not as `ip netns exec` does it, which also remounts /sys: nspawn then finds no cgroups.
    #[expect(clippy::disallowed_methods, reason = "what boots a lab and what tests do in there has threads of its own")]
    pub fn enter(&self) -> Result<(), LabError> {
        let doing = || format!("entering the network namespace {}", self.namespace());
        let namespace = File::open(self.path()).doing(doing)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).doing(doing)
    }

    /// Runs `work` inside the namespace, on a thread of its own.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T, LabError> + Send) -> Result<T, LabError> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.enter()?;
                work()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Processes inside the namespace.
    pub fn inhabitants(&self) -> Vec<u32> {
        let Ok(wanted) = self.path().metadata() else { return Vec::new() };
        let same = |pid: &u32| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
        };
        super::process::pids().filter(same).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let network = Network::of("evenkeel");
        assert_eq!(network.gateway(), Ipv4Addr::new(10, 77, 0, 1));
        assert_eq!(network.address(1), Ipv4Addr::new(10, 77, 0, 11));
        assert_eq!(network.address(MOST_HOSTS), Ipv4Addr::new(10, 77, 0, 254));
        assert_ne!(Network::of("other").gateway(), network.gateway());
    }
}
