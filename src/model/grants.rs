//! What services and sites may ask of root: the lists that grant it, and the units that nobody may stop.
//!
//! Owns the kinds of request, what each has without a grant, the patterns of grants and the built-in list of kept
//! units. Keeps true: a `*` never crosses a `/`; a pattern that does not compile grants nothing; no default grants a
//! user. Never does: knowing who asks and where, which is `declare::check::grants`.

use std::collections::BTreeMap;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};

use super::budget::Budget;

/// A kind of request, named as the key of `allow` that grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Request {
    /// A user that a service runs as.
    Users,
    /// A file that systemd reads as root for a service.
    EnvFiles,
    /// A file with credentials that systemd hands to pip.
    Netrc,
    /// A unit that is stopped and disabled.
    Replaces,
    /// A certificate or key that nginx reads as root.
    Tls,
    /// A folder whose ACME answers nginx serves.
    Acme,
    /// A Debian package.
    Packages,
}

impl Request {
    pub fn key(self) -> &'static str {
        match self {
            Request::Users => "users",
            Request::EnvFiles => "env_files",
            Request::Netrc => "netrc",
            Request::Replaces => "replaces",
            Request::Tls => "tls",
            Request::Acme => "acme",
            Request::Packages => "packages",
        }
    }
}

/// The lists of one `allow`; a kind of request without a list is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants(pub BTreeMap<Request, Vec<String>>);

impl Grants {
    /// The lists, ready to be asked.
    pub fn ready(&self) -> Granted {
        Granted(self.0.iter().map(|(request, patterns)| (*request, compiled(patterns))).collect())
    }
}

/// Folders whose certificates and keys need no grant.
pub const SAFE_TLS: [&str; 2] = ["/etc/ssl/", "/etc/letsencrypt/live/"];

/// Folders of ACME answers that need no grant.
pub const SAFE_ACME: [&str; 4] = ["/srv/", "/var/www/", "/var/lib/acme/", "/var/lib/letsencrypt/"];

/// The lists of one `allow`, compiled.
pub struct Granted(BTreeMap<Request, Gitignore>);

impl Granted {
    /// Whether the fleet whose lists these are lets somebody have `value`: it stands in a list, or needs none.
    /// `own_folder` is the service's, whose files need none.
    pub fn permits(&self, request: Request, value: &str, own_folder: Option<&str>) -> bool {
        let listed = self.has(request, value);
        let below = |folders: &[&str]| folders.iter().any(|folder| value.starts_with(folder));
        match request {
            Request::Users => listed == Some(true),
            Request::EnvFiles | Request::Netrc => listed == Some(true) || own_folder.is_some_and(|own| below(&[own])),
            Request::Replaces | Request::Packages => listed != Some(false),
            Request::Tls => listed.unwrap_or_else(|| below(&SAFE_TLS)),
            Request::Acme => listed.unwrap_or_else(|| below(&SAFE_ACME)),
        }
    }

    /// Whether the list of this kind has `value`; None without a list.
    pub fn has(&self, request: Request, value: &str) -> Option<bool> {
        self.0.get(&request).map(|list| list.matched(value, false).is_ignore())
    }
}

/// Whether one pattern of a grant can be compiled.
pub fn is_pattern(pattern: &str) -> bool {
    let mut builder = GitignoreBuilder::new("");
    builder.add_line(None, pattern).is_ok() && builder.build().is_ok()
}

fn compiled(patterns: &[String]) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns.iter().take(Budget::STANDARD.patterns) {
        // A pattern that is none is an error of its own; until it is mended it grants nothing.
        let _ = builder.add_line(None, pattern);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// The units that `replaces` never names, without `.service` and instance; `*` stands for any end. They hold the way
/// in, the network, the log and what guards a host. No grant takes one off this list.
const KEPT_UNITS: &[&str] = &[
    // The way in.
    "ssh*",
    "dropbear*",
    "getty*",
    "serial-getty*",
    "console-getty*",
    "container-getty*",
    "autovt*",
    "user",
    "user-runtime-dir",
    "rescue*",
    "emergency*",
    "tailscaled",
    "wg-quick*",
    "openvpn*",
    "strongswan*",
    "qemu-guest-agent",
    "google-guest-agent*",
    "amazon-ssm-agent*",
    "walinuxagent*",
    // The host's own manager and bus.
    "systemd-*",
    "initrd-*",
    "dbus*",
    "polkit*",
    // The network.
    "network*",
    "netplan*",
    "ifup*",
    "wpa_supplicant*",
    "dhcpcd*",
    "dhclient*",
    "connman*",
    "iwd",
    "resolvconf*",
    "cloud-*",
    // What guards it.
    "nftables",
    "iptables*",
    "netfilter-persistent",
    "firewalld",
    "ufw",
    "fail2ban",
    "apparmor*",
    "auditd",
    "apt-daily*",
    "unattended-upgrades",
    // The log and the clockwork.
    "rsyslog*",
    "syslog*",
    "cron",
    "crond",
    "cronie",
    "anacron",
    // What evenkeel works with.
    "nginx",
    "evenkeel*",
];

/// Units in which others live than the program that they are named for: to stop one stops what nobody asked about.
/// Nobody is ever told to replace one; who really means it may.
const LIVED_IN_UNITS: &[&str] = &[
    "docker*",
    "containerd*",
    "podman*",
    "crio",
    "k3s*",
    "kubelet",
    "snap*",
    "lxc*",
    "lxd*",
    "incus*",
    "libvirt*",
    "supervisor*",
    "pm2*",
    "user@*",
    "session-*",
    "atd",
    "tmux*",
    "screen*",
    "jenkins-agent*",
    "actions.runner*",
    "gitlab-runner*",
];

/// Whether a hint may name a unit as one to stop for good: it is a service that is neither kept nor lived in.
pub fn may_be_suggested(unit: &str) -> bool {
    unit.ends_with(".service") && !is_kept(unit) && !is_any_of(unit, LIVED_IN_UNITS)
}

/// Whether a unit is kept running, whatever is granted. By its name alone: a host's aliases are its script's part.
pub fn is_kept(unit: &str) -> bool {
    is_any_of(unit, KEPT_UNITS)
}

fn is_any_of(unit: &str, list: &[&str]) -> bool {
    let unit = unit.to_ascii_lowercase();
    let stem = unit.strip_suffix(".service").unwrap_or(&unit);
    let name = stem.split_once('@').map_or(stem, |(name, _)| name);
    list.iter().any(|kept| match kept.strip_suffix('*') {
        Some(beginning) => stem.starts_with(beginning),
        None => name == *kept,
    })
}

/// The same list as patterns of a shell's `case`, separated by spaces.
pub fn kept_as_shell_patterns() -> String {
    let patterns = KEPT_UNITS
        .iter()
        .map(|kept| if kept.ends_with('*') { (*kept).to_owned() } else { format!("{kept}.service {kept}@*") });
    patterns.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(pattern: &str, value: &str) -> bool {
        let lists = BTreeMap::from([(Request::EnvFiles, vec![pattern.to_owned()])]);
        Grants(lists).ready().has(Request::EnvFiles, value).expect("a list")
    }

    #[test]
    fn a_star_in_a_grant_stays_within_its_folder() {
        assert!(has("/etc/sophia/*.env", "/etc/sophia/gong.env"));
        assert!(!has("/etc/sophia/*.env", "/etc/sophia/private/gong.env"));
        assert!(!has("/etc/*", "/etc/sophia/gong.env"), "a folder is not all that it holds");
        assert!(!has("/etc/sophia", "/etc/sophia/gong.env"));
        assert!(!has("/etc/sophia/*.env", "/srv/etc/sophia/gong.env"));
        assert!(has("/etc/sophia/**", "/etc/sophia/private/gong.env"));
        assert!(!has("/etc/sophia/**", "/etc/sophia.env"));
        assert!(has("/etc/sophia/?.env", "/etc/sophia/a.env") && !has("/etc/sophia/?.env", "/etc/sophia/ab.env"));
        assert!(has("sophia-*.service", "sophia-gong.service") && !has("sophia-*.service", "x-sophia-a.service"));
        assert!(has("gong", "gong") && !has("gong", "gong2"));
    }

    #[test]
    fn what_is_not_listed_is_told_from_what_has_no_list() {
        let granted = Grants(BTreeMap::from([(Request::Users, Vec::new())])).ready();
        assert_eq!(granted.has(Request::Users, "gong"), Some(false));
        assert_eq!(granted.has(Request::Tls, "/etc/ssl/a.pem"), None);
    }

    #[test]
    fn the_way_into_a_host_is_kept_under_every_name() {
        let kept = [
            "ssh.service",
            "sshd.service",
            "ssh@1.service",
            "SSH.service",
            "systemd-journald.service",
            "dbus.service",
            "dbus-broker.service",
            "dbus-org.freedesktop.login1.service",
            "nginx.service",
            "cron.service",
            "getty@tty1.service",
            "autovt@tty1.service",
            "serial-getty@ttyS0.service",
            "NetworkManager.service",
            "network-manager.service",
            "networking.service",
            "ifup@eth0.service",
            "wpa_supplicant@wlan0.service",
            "cloud-init-local.service",
            "netplan-wpa-wlan0.service",
            "dhcpcd@eth0.service",
            "connman.service",
            "user@0.service",
            "evenkeel.service",
            "evenkeel-sophia.service",
            "ssh",
            "ssh.service.service",
        ];
        for unit in kept {
            assert!(is_kept(unit), "{unit}");
        }
        for unit in ["sophia-gong_mcp.service", "nginx-exporter.service", "cron-backup.service", "users.service"] {
            assert!(!is_kept(unit), "{unit}");
        }
    }

    #[test]
    fn no_unit_that_others_live_in_is_suggested() {
        for unit in
            ["docker.service", "user@1000.service", "session-3.scope", "pm2-ada.service", "ssh.service", "x.slice"]
        {
            assert!(!may_be_suggested(unit), "{unit}");
        }
        assert!(may_be_suggested("jenkins.service") && may_be_suggested("apache2.service"));
    }
}
