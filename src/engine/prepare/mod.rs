//! From a tree of files to what every instance should hold: declare, gather, render. No host is needed.
//!
//! Keeps true: what is declared is told before anything is fetched, and nothing is fetched but by the
//! [`Fetcher`] that is handed in.

pub mod access;
pub mod attempts;
pub mod config;
pub mod confined;
pub mod fetch;
pub mod off;
pub mod overrides;
pub mod preparation;
pub mod sign_in;
pub mod sources;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use thiserror::Error;

use crate::{
    declare::{self, Overrides},
    model::{
        build::{BuiltRelease, BuiltReleases},
        commit::CommitId,
        desired::{self, Desired},
        digest::Digest,
        failure::Refused,
        finding::{Finding, any_error},
        fleet::Fleet,
        name::{EnvironmentName, InstanceName},
        outcome::Cause,
        plan::Commits,
        release::{Making, Release},
        rollout::Slots,
        source::{Pinned, Source, SourceCommits},
        tree::Tree,
    },
    release::{self, BuildError, Builds, Fetcher, ReleaseError},
    render::{self, Made, RenderError, Requirements},
};

/// One environment, ready to be compared with what is live.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub fleet: Arc<Fleet>,
    pub commits: Commits,
    pub desired: BTreeMap<InstanceName, Desired>,
    pub releases: BTreeMap<Digest, Release>,
    /// What each source resolved to, and the release that was made of it.
    pub sources: BTreeMap<Source, (Pinned, Digest)>,
    /// What is installed for Python services.
    pub requirements: Requirements,
    /// Where the branches and tags of other repositories were when the last good deployment was made, as
    /// far as that is known.
    pub deployed: SourceCommits,
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
    Render(#[from] RenderError),
}

impl PrepareError {
    /// A build that failed by its own fault, as its record says it. `triggered_by` is who asked.
    pub fn failed_build(&self, triggered_by: &str) -> Option<Refused> {
        let PrepareError::Release(error) = self else { return None };
        let (users, BuildError::Failed { command, fault, last_lines, .. }) = error.failed_build()? else { return None };
        let why = format!("the build of {users} failed: {command} {fault}");
        let grounds = Digest::of_fields([users, command.as_str()]);
        let (log, triggered_by) = (last_lines.clone(), triggered_by.to_owned());
        Some(Refused { why, cause: Cause::Build, grounds, log, triggered_by })
    }
}

/// The environment's fleet, and what is to be said of it. Needs nothing but the tree.
pub fn declared(
    tree: &Tree,
    folder: &str,
    environment: &EnvironmentName,
    overrides: &Overrides,
) -> Result<(Arc<Fleet>, Vec<Finding>), PrepareError> {
    let (declaration, findings) = declare::read(tree, folder);
    let declaration = match declaration {
        Some(declaration) if !any_error(&findings) => declaration,
        _ => return Err(PrepareError::Invalid { findings }),
    };
    let fleet = declaration.resolve(environment, overrides).map_err(|findings| PrepareError::Invalid { findings })?;
    Ok((fleet, findings))
}

/// A declared fleet with all its files. What `commits` does not say of other repositories is asked for, and
/// `builds` says how far to go for what is built. Blocks, and may wait for the network or a build.
pub fn gathered(
    (fleet, findings): (Arc<Fleet>, Vec<Finding>),
    tree: &Tree,
    mut commits: Commits,
    fetcher: &dyn Fetcher,
    builds: Builds<'_>,
) -> Result<Prepared, PrepareError> {
    let made = release::gather(&fleet, tree, &commits.sources, fetcher, builds)?;
    let digests: BTreeMap<Source, Digest> =
        made.iter().map(|(source, release)| (source.clone(), release.digest)).collect();
    let requirements = release::requirements(&fleet, &made)?;
    let desired = render::render(&fleet, &Made { releases: &digests, requirements: &requirements })?;
    let sources: BTreeMap<Source, (Pinned, Digest)> =
        made.iter().map(|(source, release)| (source.clone(), (release.source.clone(), release.digest))).collect();
    commits.sources = sources.iter().filter_map(|(source, (pinned, _))| moving(source, pinned)).collect();
    let releases = made.into_values().map(|release| (release.digest, release)).collect();
    let digest = desired::digest(&desired);
    let deployed = SourceCommits::new();
    Ok(Prepared { fleet, commits, desired, releases, sources, requirements, deployed, digest, findings })
}

/// Both, one after the other; nothing is built. `folder` is the fleet folder below the tree's root.
pub fn prepare(
    tree: &Tree,
    folder: &str,
    environment: &EnvironmentName,
    overrides: &Overrides,
    commits: Commits,
    fetcher: &dyn Fetcher,
) -> Result<Prepared, PrepareError> {
    gathered(declared(tree, folder, environment, overrides)?, tree, commits, fetcher, Builds::default())
}

fn moving(source: &Source, pinned: &Pinned) -> Option<(String, CommitId)> {
    match (source.moving().and_then(|git| git.moving()), pinned) {
        (Some(moving), Pinned::Git { commit, .. }) => Some((moving, commit.clone())),
        _ => None,
    }
}

impl Prepared {
    /// What was made of each build, as far as it is known.
    pub fn builds(&self) -> BuiltReleases {
        let made =
            self.releases.values().filter(|release| !matches!(release.making, Making::Due { .. } | Making::Unresolved));
        let built = |release: &Release| BuiltRelease {
            release: release.digest,
            from: release.source.to_string(),
            requirements: self.requirements_in(&release.digest),
        };
        made.filter_map(|release| Some((release.build_key()?, built(release)))).collect()
    }

    /// What the files of a release say that virtual environments hold, as far as services ask for it.
    fn requirements_in(&self, release: &Digest) -> BTreeMap<String, Digest> {
        let in_it = |source: &Source| self.sources.get(source).is_some_and(|(_, made)| made == release);
        let files = self.requirements.iter().filter(|((source, _), _)| in_it(source));
        files.filter_map(|((_, file), digest)| Some((file.clone(), (*digest)?))).collect()
    }

    /// Whether what is built is what the history says was made of it.
    pub fn is_as_recorded(&self, recorded: &BuiltReleases) -> bool {
        self.releases.values().all(|release| {
            let recorded = release.build_key().and_then(|key| recorded.get(&key));
            recorded.is_none_or(|recorded| recorded.release == release.digest)
        })
    }

    /// Whether a build would change nothing of it: all files are at hand.
    pub fn is_built(&self) -> bool {
        self.releases.values().all(Release::is_at_hand)
    }

    /// Leaves only the named instances; the others are neither looked at nor changed.
    pub fn only(mut self, instances: &[InstanceName]) -> Self {
        if !instances.is_empty() {
            self.desired.retain(|name, _| instances.contains(name));
            self.digest = desired::digest(&self.desired);
        }
        self
    }

    /// With each service that has two copies in the slot that a plan gives it.
    pub fn in_slots(&self, slots: &BTreeMap<InstanceName, Slots>) -> Cow<'_, Self> {
        let mut moved = BTreeMap::new();
        for (name, slots) in slots {
            if let Some(Cow::Owned(desired)) = self.desired.get(name).map(|desired| desired.in_slots(slots)) {
                moved.insert(name.clone(), desired);
            }
        }
        if moved.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut prepared = self.clone();
        prepared.desired.extend(moved);
        Cow::Owned(prepared)
    }

    /// With what is known of the last good deployment, which tells what has moved since.
    pub fn after(mut self, deployed: SourceCommits) -> Self {
        self.deployed = deployed;
        self
    }
}
