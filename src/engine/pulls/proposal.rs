//! What a pull request proposes, environment by environment: what is declared with it, and without.
//!
//! Keeps true: a proposal is not trusted. Nothing of it is run or built; nothing is fetched that the base does not
//! fetch already; what it says of instances changes nothing of how they are reached. Its files are those of a
//! merge that is made here.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    decide,
    engine::{
        PrepareError, Prepared, declared, gathered,
        ledger::{GitLedger, Ledger as _},
        reconcile::Reconciler,
        round_error::RoundError,
        wanted,
    },
    git::{Fetched, Merged},
    host::Host,
    model::{
        finding::Finding,
        name::EnvironmentName,
        plan::Commits,
        standing::{Good, Standing},
    },
    release::{Builds, Known},
    report,
};

/// One environment, as it is declared without the pull request and with it.
#[derive(Debug)]
pub struct Pair {
    pub base: Arc<Prepared>,
    pub proposed: Arc<Prepared>,
    pub standing: Standing,
}

impl Pair {
    pub fn environment(&self) -> &EnvironmentName {
        &self.base.fleet.environment.name
    }
}

#[derive(Debug)]
pub enum Proposal {
    /// These paths were changed on both sides.
    Conflict(Vec<String>),
    /// It is not looked at, with the reason.
    Refused(String),
    /// What would be declared does not validate.
    Invalid(Vec<Finding>),
    /// No environment follows the branch that it is proposed for.
    Unfollowed,
    /// The environments of which it changes something.
    Changes(Vec<Pair>),
}

/// What a pull request is compared with.
pub struct Base<'a> {
    pub fetched: &'a Fetched,
    /// The branch that it is proposed for, and the commit there.
    pub branch: &'a str,
    pub commit: &'a str,
}

impl Base<'_> {
    /// Whether it has what is shared by all environments.
    fn is_of_all(&self) -> bool {
        self.branch == self.fetched.default_branch
    }
}

/// Works out what the proposed commit would change.
pub async fn proposal<H: Host>(
    reconciler: &Reconciler<H, GitLedger>,
    base: &Base<'_>,
    head: &str,
) -> Result<Proposal, RoundError> {
    let (onto, proposed) = (base.commit.to_owned(), head.to_owned());
    let merged = match reconciler.ledger.call(move |repository| repository.merged(&onto, &proposed)).await? {
        Merged::Clean(commit) => commit,
        Merged::Conflict(paths) => return Ok(Proposal::Conflict(paths)),
        Merged::TooLarge(why) => return Ok(Proposal::Refused(why)),
    };
    let (mut pairs, mut is_followed) = (Vec::new(), false);
    let mut findings: Vec<Finding> = Vec::new();
    let wants = wanted::wanted(reconciler, base.fetched).await?;
    for (name, wanted) in wants.known {
        if !base.is_of_all() && wanted.commits.environment.as_deref() != Some(base.commit) {
            continue;
        }
        let before = match without(reconciler, &name, &wanted).await {
            Ok(before) => before,
            Err(failure) => {
                let why = format!("what the base holds of {name} cannot be prepared: {}", report::chain(&failure));
                return Ok(Proposal::Refused(why));
            }
        };
        let Some(commits) = with(&merged, &wanted.commits, &before, base) else { continue };
        is_followed = true;
        match propose(reconciler, commits, &before, wanted.said.standing.good.as_ref()).await? {
            Ok(after) if after.digest == before.digest && same_rules(&after, &before) => {}
            Ok(after) => {
                let proposed = Arc::new(after);
                pairs.push(Pair { base: before, proposed, standing: wanted.said.standing });
            }
            Err(PrepareError::Invalid { findings: found }) => {
                findings.extend(found.into_iter().filter(|found| !findings.contains(found)).collect::<Vec<_>>());
            }
            Err(error) => return Ok(Proposal::Refused(report::chain(&error))),
        }
    }
    let untold = wants.untold.into_values().find(|untold| untold.branch == base.branch);
    if let (false, Some(untold)) = (is_followed, untold) {
        return Ok(Proposal::Refused(untold.why));
    }
    Ok(match (is_followed, findings.is_empty()) {
        (false, _) => Proposal::Unfollowed,
        (true, true) => Proposal::Changes(pairs),
        (true, false) => Proposal::Invalid(findings),
    })
}

/// What the base declares. Where that does not validate, which a pull request may be about to mend, what was good
/// last.
async fn without<H: Host>(
    reconciler: &Reconciler<H, GitLedger>,
    name: &EnvironmentName,
    wanted: &decide::Wanted,
) -> Result<Arc<Prepared>, RoundError> {
    match (reconciler.prepared_for(name, &wanted.commits, false).await, wanted.said.standing.kept_up()) {
        (Err(RoundError::Invalid(_)), Some(good)) => reconciler.prepared_for(name, &good.commits, false).await,
        (prepared, _) => prepared,
    }
}

/// The commits of an environment as they would be; none where the branch is none of its.
fn with(merged: &str, wanted: &Commits, before: &Prepared, base: &Base<'_>) -> Option<Commits> {
    let of_default = base.is_of_all();
    let of_environment = base.branch == before.fleet.environment.branch;
    let commit = |moves: bool, was: &Option<String>| if moves { Some(merged.to_owned()) } else { was.clone() };
    (of_default || of_environment).then(|| Commits {
        default: commit(of_default, &wanted.default),
        environment: commit(of_environment, &wanted.environment),
        sources: wanted.sources.clone(),
    })
}

/// What the environment would be. Its builds are looked up and never run.
async fn propose<H: Host>(
    reconciler: &Reconciler<H, GitLedger>,
    commits: Commits,
    before: &Prepared,
    good: Option<&Good>,
) -> Result<Result<Prepared, PrepareError>, RoundError> {
    let (Some(default), Some(environment)) = (&commits.default, &commits.environment) else {
        return Err(RoundError::NoCommits);
    };
    let tree = reconciler.ledger.tree(default, environment, &reconciler.folder).await?;
    let name = before.fleet.environment.name.clone();
    let fleet = match declared(&tree, &reconciler.folder, &name, &reconciler.overrides) {
        Ok(fleet) => fleet,
        Err(error) => return Ok(Err(error)),
    };
    let origins: BTreeSet<_> = before.fleet.sources().into_keys().map(|source| source.origin.clone()).collect();
    let (fetcher, workshop) = (reconciler.fetcher.clone(), reconciler.workshop.clone());
    let recorded = good.map(|good| good.builds.clone()).unwrap_or_default();
    let gather = move || {
        let builds = Builds { workshop: workshop.as_deref(), recorded: Some(&recorded), run: false };
        gathered(fleet, &tree, commits, &Known { fetcher: &*fetcher, origins }, builds)
    };
    Ok(tokio::task::spawn_blocking(gather).await?)
}

/// Whether it is deployed to the same hosts by the same rules, grants among them.
fn same_rules(after: &Prepared, before: &Prepared) -> bool {
    let (after, before) = (&after.fleet, &before.fleet);
    after.environment == before.environment && after.instances == before.instances && after.grants == before.grants
}
