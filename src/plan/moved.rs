//! Branches and tags of other repositories that have moved since the last good deployment: why a resource
//! changes although nothing in the config repository does.

use std::collections::BTreeMap;

use crate::model::{
    desired::Resource,
    fleet::Fleet,
    source::{SourceCommits, short_commit},
};

/// By resource, in words. Only what is known of both ends.
pub fn moved(fleet: &Fleet, deployed: &SourceCommits, now: &SourceCommits) -> BTreeMap<Resource, String> {
    let mut found = BTreeMap::new();
    for (source, resources) in fleet.sources() {
        let Some((git, moving)) = source.moving().and_then(|git| Some((git, git.moving()?))) else { continue };
        let (Some(before), Some(after)) = (deployed.get(&moving), now.get(&moving)) else { continue };
        if before != after {
            let (before, after) = (short_commit(before), short_commit(after));
            let words = format!("{} of {} moved from {before} to {after}", git.revision, git.url);
            found.extend(resources.into_iter().map(|resource| (resource, words.clone())));
        }
    }
    found
}
