//! What the virtual environments of Python services hold, read from their releases.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::model::{
    digest::Digest,
    fleet::{Fleet, Source},
    name::ServiceName,
    release::{Release, ReleaseFile},
    requirements::{self, Trouble},
};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{trouble}, which service/{service} runs from; {}", trouble.hint())]
pub struct RequirementsError {
    pub service: ServiceName,
    pub trouble: Trouble,
}

/// The digest of what is installed for every Python service of the fleet, by the file that says so.
pub fn requirements(
    fleet: &Fleet,
    releases: &BTreeMap<Source, Release>,
) -> Result<BTreeMap<(Source, String), Digest>, RequirementsError> {
    let mut digests = BTreeMap::new();
    for service in fleet.services.values() {
        let (Some(python), Some(release)) = (&service.python, releases.get(&service.source)) else { continue };
        let content = |path: &str| match release.files.get(path) {
            Some(ReleaseFile::File { content, .. }) => Some(&**content),
            Some(ReleaseFile::Symlink { .. }) | None => None,
        };
        let digest = requirements::digest(&python.requirements, &content)
            .map_err(|trouble| RequirementsError { service: service.name.clone(), trouble })?;
        digests.insert((service.source.clone(), python.requirements.clone()), digest);
    }
    Ok(digests)
}
