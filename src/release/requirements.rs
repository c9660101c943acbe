//! What the virtual environments of Python services hold, read from their releases.
//!
//! Keeps true: of a release that is not built yet nothing is made up. Of one that the history tells of, it tells
//! this too, so that what is live is planned without building it.

use std::collections::{BTreeMap, BTreeSet};

use super::{ReleaseError, Trouble};
use crate::model::{
    budget::Budget,
    digest::Digest,
    fleet::Fleet,
    release::{Making, Release, ReleaseFile},
    requirements,
    source::Source,
};

/// The digest of what is installed for every Python service of the fleet, by the file that says so; None where
/// that is known only after a build.
pub fn requirements(
    fleet: &Fleet,
    releases: &BTreeMap<Source, Release>,
) -> Result<BTreeMap<(Source, String), Option<Digest>>, ReleaseError> {
    let mut digests = BTreeMap::new();
    let mut troubles = Vec::new();
    for (source, users) in fleet.sources() {
        let Some(release) = releases.get(source) else { continue };
        for file in named(fleet, source) {
            match digest(release, file) {
                Ok(digest) => drop(digests.insert((source.clone(), file.to_owned()), digest)),
                Err(why) => {
                    let users = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    troubles.push((users, Trouble::Requirements { from: release.origin(), why }));
                }
            }
        }
    }
    if troubles.is_empty() { Ok(digests) } else { Err(ReleaseError { troubles }) }
}

/// The files of a source that say what its services install.
pub(super) fn named<'a>(fleet: &'a Fleet, source: &Source) -> BTreeSet<&'a str> {
    let users = fleet.services.values().filter(|service| service.sources.values().any(|of| of == source));
    users.filter_map(|service| Some(service.python.as_ref()?.requirements.as_str())).collect()
}

fn digest(release: &Release, file: &str) -> Result<Option<Digest>, requirements::Trouble> {
    match &release.making {
        Making::Due { .. } | Making::Unresolved => Ok(None),
        Making::Recorded { requirements, .. } => Ok(requirements.get(file).copied()),
        Making::Taken | Making::Built { .. } => {
            let content = |path: &str| match release.files.get(path) {
                Some(ReleaseFile::File { content, .. }) => Some(&**content),
                Some(ReleaseFile::Symlink { .. }) | None => None,
            };
            requirements::digest(file, &content, &Budget::STANDARD).map(Some)
        }
    }
}
