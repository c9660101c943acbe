//! What systemd keeps a service from, unless the service says that it needs it.
//!
//! Owns the set of directives, in the order in which a unit has them, and which of them a service gets. Keeps
//! true: nothing is in it that a usual Python, Node, Go or GPU service notices, and each directive is known to
//! systemd 247 (Debian 11). Source: systemd.exec(5). Left out on purpose:
//! - `PrivateDevices=` and `ProtectClock=`: both limit devices to a list (`DeviceAllow=`) without `/dev/nvidia*`.
//! - `MemoryDenyWriteExecute=`: Node, Java, PyPy and CUDA compile while they run.
//! - `RestrictNamespaces=`: Chromium's own sandbox, under Puppeteer or Playwright, is made of namespaces.
//! - `RestrictAddressFamilies=`: Go and Python list interfaces over netlink.
//! - `RemoveIPC=`: the user may be a login's as well, whose shared memory would go with the service.
//! - `UMask=`: nginx reads sockets and files of services.
//!
//! Confinement is what `model/confinement.rs` says, one line of a unit each; without those lines a unit is what it
//! was before units were confined, to the byte. That is how a plan knows a unit that changes for this alone, and says
//! once what all of them get. Such a change is in what is rendered, so it is no drift: it has an intent, and is
//! undone as a whole where something does not become healthy. A command that checks health runs with the same lines,
//! and joins the namespace of its unit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fleet::Service;

/// A directive of systemd that confines a service, by its own name.
// Of what each is about the schema says nothing: then a mistake is answered with the list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub enum Confinement {
    // No setuid program (`sudo`), and no file with capabilities, gives it more rights.
    NoNewPrivileges,
    // Its own `/tmp` and `/var/tmp`.
    PrivateTmp,
    // `/usr`, `/boot` and `/etc` are read-only.
    ProtectSystem,
    // `/home`, `/root` and `/run/user` are read-only.
    ProtectHome,
    // Processes of other users are not seen.
    ProtectProc,
    ProtectControlGroups,
    ProtectHostname,
    ProtectKernelLogs,
    ProtectKernelModules,
    ProtectKernelTunables,
    LockPersonality,
    RestrictRealtime,
    #[serde(rename = "RestrictSUIDSGID")]
    RestrictSuidSgid,
    SystemCallArchitectures,
    // No capabilities, whatever happens. A service of root's keeps them: it is root for their sake.
    CapabilityBoundingSet,
}

use Confinement::{
    CapabilityBoundingSet, LockPersonality, NoNewPrivileges, PrivateTmp, ProtectControlGroups, ProtectHome,
    ProtectHostname, ProtectKernelLogs, ProtectKernelModules, ProtectKernelTunables, ProtectProc, ProtectSystem,
    RestrictRealtime, RestrictSuidSgid, SystemCallArchitectures,
};

/// Each with its line of a unit, in the order of the directives.
const LINES: [(Confinement, &str); 15] = [
    (NoNewPrivileges, "NoNewPrivileges=yes"),
    (PrivateTmp, "PrivateTmp=yes"),
    (ProtectSystem, "ProtectSystem=full"),
    (ProtectHome, "ProtectHome=read-only"),
    (ProtectProc, "ProtectProc=invisible"),
    (ProtectControlGroups, "ProtectControlGroups=yes"),
    (ProtectHostname, "ProtectHostname=yes"),
    (ProtectKernelLogs, "ProtectKernelLogs=yes"),
    (ProtectKernelModules, "ProtectKernelModules=yes"),
    (ProtectKernelTunables, "ProtectKernelTunables=yes"),
    (LockPersonality, "LockPersonality=yes"),
    (RestrictRealtime, "RestrictRealtime=yes"),
    (RestrictSuidSgid, "RestrictSUIDSGID=yes"),
    (SystemCallArchitectures, "SystemCallArchitectures=native"),
    (CapabilityBoundingSet, "CapabilityBoundingSet="),
];

const _: () = {
    let mut at = 0;
    while at < LINES.len() {
        assert!(LINES[at].0 as usize == at, "a directive stands at its own place");
        at += 1;
    }
};

/// Folders that `ProtectHome=` is about.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

impl Confinement {
    /// The line of a unit.
    pub fn line(self) -> &'static str {
        LINES[self as usize].1
    }

    /// Whether who is not root can gain no privileges under it, whatever the unit says of `NoNewPrivileges`. systemd
    /// sets that itself for whatever it keeps by a filter of system calls.
    fn bars_new_privileges(self) -> bool {
        match self {
            ProtectHostname
            | ProtectKernelLogs
            | ProtectKernelModules
            | ProtectKernelTunables
            | LockPersonality
            | RestrictRealtime
            | RestrictSuidSgid
            | SystemCallArchitectures
            | CapabilityBoundingSet => true,
            NoNewPrivileges | PrivateTmp | ProtectSystem | ProtectHome | ProtectProc | ProtectControlGroups => false,
        }
    }
}

/// What a service is confined by: everything, but for what it names, what follows from that, and its home where it
/// works there.
pub fn of(service: &Service) -> BTreeSet<Confinement> {
    let is_root = service.user == "root";
    let lifted = |confinement: Confinement| {
        service.unconfined.contains(&confinement)
            || confinement == ProtectHome && works_in_a_home(service)
            || confinement == CapabilityBoundingSet && is_root
            || confinement.bars_new_privileges() && !is_root && service.unconfined.contains(&NoNewPrivileges)
    };
    LINES.into_iter().map(|(confinement, _)| confinement).filter(|confinement| !lifted(*confinement)).collect()
}

/// Whether its command or a variable names a path below a home: what it works with may be written there.
fn works_in_a_home(service: &Service) -> bool {
    let is_below = |path: &str| {
        let below = |home: &str| path.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        HOMES.iter().any(|home| below(home))
    };
    let ends_a_path = |c: char| !c.is_alphanumeric() && !"/._+@~-".contains(c);
    service.exec.iter().chain(service.env.values()).any(|text| text.split(ends_a_path).any(is_below))
}

/// What confines a unit.
pub fn confining(unit: &[u8]) -> impl Iterator<Item = Confinement> {
    unit.split(|byte| *byte == b'\n').filter_map(confines)
}

/// A unit as it was before units were confined.
pub fn without(unit: &[u8]) -> Vec<u8> {
    let others = unit.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        confines(line).is_none()
    });
    others.flatten().copied().collect()
}

fn confines(line: &[u8]) -> Option<Confinement> {
    LINES.into_iter().find(|(_, text)| text.as_bytes() == line).map(|(confinement, _)| confinement)
}
