//! What a site's links point to: what it serves, and what it served before.
//!
//! Keeps true: it is told by what evenkeel deployed last, which the manifest says. A link that somebody bent
//! on the instance is put back, and what it was bent to becomes no part of what was served.
//!
//! A switch of a frontend renames links, the oldest first and `current` last. A hashed file is asked for through one
//! link after the other, the newest first, and opened by the look itself. So whoever asks while they move finds it in
//! one of them; `try_files` would look first and open later. nginx never caches open files of a site, which would
//! show a switch late. What the links were is told by the manifest, so a repair of a bent link moves none.

use std::collections::BTreeMap;

use crate::model::{
    desired::{Desired, DesiredLink},
    manifest::Manifest,
};

/// Every link that should be there. A switch moves what was served to the first of the previous links, and
/// each of those one further; one that is back is no previous one any more.
pub(super) fn wanted(desired: &Desired, owned: &Manifest) -> BTreeMap<String, DesiredLink> {
    let mut links = BTreeMap::new();
    for (path, link) in &desired.links {
        let served = std::iter::once(path).chain(&link.previous).filter_map(|path| owned.links.get(path));
        let mut before: Vec<&String> = Vec::new();
        for target in served {
            if *target != link.target && !before.contains(&target) {
                before.push(target);
            }
        }
        for (path, target) in link.previous.iter().zip(before) {
            let previous =
                DesiredLink { resource: link.resource.clone(), target: target.clone(), previous: Vec::new() };
            links.insert(path.clone(), previous);
        }
        links.insert(path.clone(), link.clone());
    }
    links
}
