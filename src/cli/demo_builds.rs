//! What the demo's fleet has to have built: made out here, for a lab's network leads nowhere, while its hosts boot.
//! The controller inside finds it where it is kept.

use std::{path::PathBuf, sync::Arc};

use super::{ERROR, Failure, common::FleetArgs};
use crate::{
    declare::{self, Declaration},
    engine::prepare::{access::AccessFile, fetch::NetworkFetcher},
    git::{Credentials, WorkTree},
    lab::Lab,
    model::{build::Build, fleet::Fleet, name::EnvironmentName},
    release::{self, BuildCache, Builds},
};

/// The environment that the demo shows: the first by name.
pub struct Shown {
    pub tree: WorkTree,
    pub environment: EnvironmentName,
    pub branch: String,
    pub fleet: Arc<Fleet>,
}

impl Shown {
    pub fn read(args: &FleetArgs) -> Result<Self, Failure> {
        let invalid = |message: &str, findings| {
            let mut failure = Failure::new(ERROR, message);
            failure.findings = findings;
            failure
        };
        let tree = args.read()?;
        let (declaration, findings) = declare::read(&tree.tree, &tree.fleet);
        let first = |declaration: &Declaration| {
            let environment = declaration.environments().into_iter().next()?.clone();
            let branch = declaration.environment_branch(&environment)?.to_owned();
            Some((environment, branch))
        };
        let Some((declaration, (environment, branch))) = declaration.and_then(|read| first(&read).map(|of| (read, of)))
        else {
            return Err(invalid("the fleet declares no environment to show", findings));
        };
        let fleet = declaration.resolve(&environment, &Default::default());
        let fleet = fleet.map_err(|findings| invalid("the fleet does not validate", findings))?;
        Ok(Self { tree, environment, branch, fleet })
    }

    fn builds(&self) -> impl Iterator<Item = &Build> {
        self.fleet.sources().into_keys().filter_map(|source| source.build.as_ref())
    }

    pub fn is_built(&self) -> bool {
        self.builds().next().is_some()
    }

    /// Programs that building takes, each with its Debian package.
    pub fn needs(&self) -> Vec<(&'static str, &'static str)> {
        let npm = self.builds().any(|build| build.run.split_whitespace().any(|word| word == "npm"));
        let sandbox = self.is_built().then_some(("bwrap", "bubblewrap"));
        sandbox.into_iter().chain(npm.then_some(("npm", "npm"))).collect()
    }

    /// Builds what is not kept from an earlier demo.
    pub fn build(&self, lab: &Lab) -> Result<(), Failure> {
        if !self.is_built() {
            return Ok(());
        }
        let fetcher = NetworkFetcher::new(&lab.kept("demo"), &Credentials::default(), AccessFile::default());
        let build_cache = build_cache(lab);
        let builds = Builds { build_cache: Some(&build_cache), recorded: None, run: true };
        release::gather(&self.fleet, &self.tree.tree, &Default::default(), &fetcher, builds)
            .map(drop)
            .map_err(|error| Failure::of(&error))
    }
}

/// Where the demo's builds are kept, from one demo to the next.
pub fn build_cache(lab: &Lab) -> BuildCache {
    let folder: PathBuf = lab.kept("demo").join("builds");
    BuildCache::new(folder)
}
