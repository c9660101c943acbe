//! From a tree of files to what every instance should hold: declare, gather, render. No host is needed.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    declare::{self, Overrides},
    model::{
        desired::{self, Desired},
        digest::Digest,
        finding::{Finding, any_error},
        fleet::{Fleet, Source},
        name::{EnvironmentName, InstanceName},
        plan::Commits,
        release::Release,
        tree::Tree,
    },
    release::{self, ReleaseError, RequirementsError},
    render::{self, Made, RenderError},
};

/// One environment, ready to be compared with what is live.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub fleet: Fleet,
    pub commits: Commits,
    pub desired: BTreeMap<InstanceName, Desired>,
    pub releases: BTreeMap<Digest, Release>,
    /// Over all that is desired: other commits with the same one ask for nothing else.
    pub digest: Digest,
    /// Warnings; errors end in [`PrepareError::Invalid`].
    pub findings: Vec<Finding>,
}

#[derive(Debug, Error)]
pub enum PrepareError {
    #[error("the fleet does not validate: {} errors", findings.iter().filter(|finding| finding.is_error()).count())]
    Invalid { findings: Vec<Finding> },
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// `folder` is the fleet folder below the tree's root.
pub fn prepare(
    tree: &Tree,
    folder: &str,
    environment: &EnvironmentName,
    overrides: &Overrides,
    commits: Commits,
) -> Result<Prepared, PrepareError> {
    let (declaration, findings) = declare::read(tree, folder);
    let declaration = match declaration {
        Some(declaration) if !any_error(&findings) => declaration,
        _ => return Err(PrepareError::Invalid { findings }),
    };
    let fleet = declaration.resolve(environment, overrides).map_err(|findings| PrepareError::Invalid { findings })?;
    let releases = release::gather(&fleet, tree)?;
    let digests: BTreeMap<Source, Digest> =
        releases.iter().map(|(source, release)| (source.clone(), release.digest)).collect();
    let requirements = release::requirements(&fleet, &releases)?;
    let desired = render::render(&fleet, &Made { releases: &digests, requirements: &requirements })?;
    let releases = releases.into_values().map(|release| (release.digest, release)).collect();
    let digest = desired::digest(&desired);
    Ok(Prepared { fleet, commits, desired, releases, digest, findings })
}

impl Prepared {
    /// Leaves only the named instances; the others are neither looked at nor changed.
    pub fn only(mut self, instances: &[InstanceName]) -> Self {
        if !instances.is_empty() {
            self.desired.retain(|name, _| instances.contains(name));
            self.digest = desired::digest(&self.desired);
        }
        self
    }
}
