//! The folders that evenkeel makes on a host: what each needs, so that root alone writes there and everybody who has to
//! gets through.
//!
//! Keeps true: nothing is asked of a folder that is not needed, so whoever closes one on purpose where nobody has to
//! pass is left alone.
//!
//! Folders of evenkeel's are root's, nobody else writes there, and others pass where they must; they are mended from
//! the outermost on, no link is followed, and no further than needed. What a release's folders are is compared with
//! its files.

use std::collections::BTreeMap;

use super::{desired::Desired, name::FleetName, observation::LiveFolder, paths};

/// Who besides root needs a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nobody: what lies in it is read by root alone.
    Nobody,
    /// Users of services, and nginx, pass through it to files that they know by name.
    Pass,
    /// They look at what is in it, too: programs list the folders that they are started from.
    List,
}

/// Whom others can write to, they can replace what root runs in.
const OTHERS_WRITE: u32 = 0o022;

impl Need {
    /// The permission bits that a folder must have at least.
    fn bits(self) -> u32 {
        match self {
            Need::Nobody => 0,
            Need::Pass => 0o111,
            Need::List => 0o555,
        }
    }

    /// The permission bits with which the folder does what is needed: as they are where they do.
    pub fn mended(self, mode: u32) -> u32 {
        (mode | self.bits()) & !OTHERS_WRITE
    }

    /// Whether it is as it must be. A group other than root's has no say.
    pub fn is_met(self, folder: &LiveFolder) -> bool {
        self.mended(folder.mode) == folder.mode && folder.owner.split(':').next() == Some("root")
    }
}

/// The folders of an instance. Those that are not there yet are made when they are needed. `/etc/evenkeel.d` is not
/// among them: its administrator makes it.
pub fn of(fleet: &FleetName, desired: &Desired) -> BTreeMap<String, Need> {
    let base = paths::base(fleet);
    // Root passes everywhere, as the owner.
    let has_others = !desired.sites.is_empty() || desired.replicas.values().any(|replica| replica.user != "root");
    let others = |need| if has_others { need } else { Need::Nobody };
    let mut folders = BTreeMap::from([
        (paths::ALL_FLEETS.to_owned(), others(Need::Pass)),
        (base.clone(), others(Need::Pass)),
        // Who writes there has root run it, when a deployment is undone.
        (format!("{base}/deployments"), Need::Nobody),
        (format!("{base}/listings"), Need::Nobody),
    ]);
    if !desired.releases.is_empty() {
        folders.insert(format!("{base}/releases"), others(Need::Pass));
        folders.extend(desired.releases.iter().map(|release| (paths::release(fleet, release), others(Need::List))));
    }
    if !desired.sites.is_empty() {
        folders.insert(format!("{base}/sites"), Need::Pass);
        folders.extend(desired.sites.iter().map(|site| (paths::site_folder(fleet, site), Need::Pass)));
    }
    if !desired.venvs.is_empty() {
        folders.insert(format!("{base}/venvs"), others(Need::Pass));
    }
    if !desired.replicas.is_empty() {
        // systemd reads what lies there, as root.
        folders.insert("/etc/evenkeel".to_owned(), Need::Nobody);
        folders.insert(format!("/etc/evenkeel/{fleet}"), Need::Nobody);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_mended_no_further_than_it_is_needed() {
        let folder = |mode, owner: &str| LiveFolder { mode, owner: owner.to_owned() };
        for (need, mode, mended) in [
            (Need::Pass, 0o700, 0o711),
            (Need::Pass, 0o750, 0o751),
            (Need::Pass, 0o755, 0o755),
            (Need::Pass, 0o777, 0o755),
            (Need::List, 0o711, 0o755),
            (Need::Nobody, 0o700, 0o700),
            (Need::Nobody, 0o770, 0o750),
            // A group that its files inherit is somebody's own business.
            (Need::Pass, 0o2755, 0o2755),
        ] {
            assert_eq!(need.mended(mode), mended, "{mode:o}");
            assert_eq!(need.is_met(&folder(mode, "root:root")), mode == mended, "{mode:o}");
        }
        assert!(!Need::Nobody.is_met(&folder(0o700, "mallory:root")));
        assert!(Need::Nobody.is_met(&folder(0o750, "root:staff")));
    }
}
