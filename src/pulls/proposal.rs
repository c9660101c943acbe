//! What a pull request proposes, environment by environment: what is declared with it, and without.
//!
//! Keeps true: a proposal is not trusted. Nothing of it is run or built; nothing is fetched that the base does not
//! fetch already; what it says of instances changes nothing of how they are reached. Its files are those of a
//! merge that is made here. A process of its own reads and plans it (`apart.rs`): what that runs into is told on the pull
//! request, and is no trouble for the controller.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    apart::{Answer, Asked, Outcome, Reading, contents_of},
    reader::{Reader, ReaderError, ReaderSetup},
};
use crate::{
    decide,
    engine::prepare::preparation::Build,
    engine::{
        controller::{Handle, checks, targets::Resolver},
        history::store::GitStore,
        prepare::Prepared,
        sync::error::SyncError,
    },
    git::Fetched,
    host::HostRead,
    model::{commit::CommitId, environment_state::EnvironmentState, finding::Finding, name::EnvironmentName},
    report,
};

/// One environment, as it is declared without the pull request and with it.
#[derive(Debug)]
pub struct Pair {
    pub base: Arc<Prepared>,
    pub proposed: Arc<Prepared>,
    pub state: EnvironmentState,
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
    pub commit: &'a CommitId,
}

impl Base<'_> {
    /// Whether it has what is shared by all environments.
    fn is_of_all(&self) -> bool {
        self.branch == self.fetched.default_branch
    }
}

/// One environment that a proposal may change, as the base has it.
struct FollowedEnvironment {
    before: Arc<Prepared>,
    wanted: decide::Target,
    asked: Asked,
}

/// Works out what the proposed commit would change. What reads it goes on to plan what it changes.
pub async fn proposal<H: HostRead>(
    controller: &Handle<H, GitStore>,
    setup: &ReaderSetup,
    base: &Base<'_>,
    head: &CommitId,
) -> Result<(Proposal, Option<Reader>), SyncError> {
    let mut resolver = Resolver::default();
    // What waits for checks is planned all the same.
    let wants = resolver.resolve(&controller.workspace, checks::CheckSource::NotNeeded, base.fetched).await?;
    let mut followed = Vec::new();
    for (name, wanted) in wants.known {
        if !base.is_of_all() && wanted.commits.environment.as_ref() != Some(base.commit) {
            continue;
        }
        let before = match without(controller, &name, &wanted).await {
            Ok(before) => before,
            Err(failure) => {
                let why = format!("what the base holds of {name} cannot be prepared: {}", report::chain(&failure));
                return Ok((Proposal::Refused(why), None));
            }
        };
        followed.extend(asked(&wanted, &before, base).map(|asked| FollowedEnvironment { before, wanted, asked }));
    }
    let (mirror, url) = controller.workspace.store.place();
    let reading = Reading {
        mirror,
        url,
        state: setup.state.clone(),
        builds: setup.builds.clone(),
        overrides: setup.overrides.clone(),
        folder: controller.workspace.preparation.folder.clone(),
        base: base.commit.clone(),
        head: head.clone(),
        environments: followed.iter().map(|followed| followed.asked.clone()).collect(),
    };
    let (reader, outcomes) = match Reader::start(setup, reading).await {
        Ok((reader, Answer::Environments(outcomes))) => (reader, outcomes),
        Ok((_, Answer::Conflict(paths))) => return Ok((Proposal::Conflict(paths), None)),
        Ok((_, Answer::Refused(why))) => return Ok((Proposal::Refused(why), None)),
        Err(error) => return Ok((Proposal::Refused(report::chain(&error)), None)),
    };
    let untold = wants.unresolved.into_values().find(|unresolved| unresolved.branch == base.branch);
    let proposal = match (followed.is_empty(), untold) {
        (true, Some(untold)) => Proposal::Refused(untold.why),
        (true, None) => Proposal::Unfollowed,
        (false, _) => match changes(&reader, followed, outcomes).await {
            Ok(proposal) => proposal,
            Err(error) => Proposal::Refused(report::chain(&error)),
        },
    };
    Ok((proposal, Some(reader)))
}

/// What of the environments is another than it is without the proposal.
async fn changes(
    reader: &Reader,
    followed: Vec<FollowedEnvironment>,
    outcomes: Vec<(EnvironmentName, Outcome)>,
) -> Result<Proposal, ReaderError> {
    let known = contents_of(followed.iter().map(|followed| &*followed.before));
    let mut outcomes: BTreeMap<EnvironmentName, Outcome> = outcomes.into_iter().collect();
    let (mut pairs, mut findings) = (Vec::new(), Vec::<Finding>::new());
    for FollowedEnvironment { before, wanted, asked } in followed {
        match outcomes.remove(&asked.name).ok_or(ReaderError::Lacking)? {
            Outcome::Prepared(row) => {
                let lacking = row.contents().into_iter().filter(|digest| !known.contains_key(digest)).collect();
                let mut contents = reader.contents(lacking).await?;
                contents.extend(known.iter().map(|(digest, content)| (*digest, content.clone())));
                let after = row.with(&contents).ok_or(ReaderError::Lacking)?;
                if after.digest != before.digest || !same_rules(&after, &before) {
                    let (proposed, environment_state) = (Arc::new(after), wanted.history.state);
                    pairs.push(Pair { base: before, proposed, state: environment_state });
                }
            }
            Outcome::Invalid(found) => {
                findings.extend(found.into_iter().filter(|found| !findings.contains(found)).collect::<Vec<_>>());
            }
            Outcome::Refused(why) => return Ok(Proposal::Refused(why)),
        }
    }
    Ok(if findings.is_empty() { Proposal::Changes(pairs) } else { Proposal::Invalid(findings) })
}

/// What the base declares. Where that does not validate, which a pull request may be about to mend, what was good
/// last.
async fn without<H: HostRead>(
    controller: &Handle<H, GitStore>,
    name: &EnvironmentName,
    wanted: &decide::Target,
) -> Result<Arc<Prepared>, SyncError> {
    let workspace = &controller.workspace;
    let newest = workspace.newest(name).await?;
    let prepared = async |commits| workspace.prepared(name, commits, &newest, Build::LookUp).await;
    match (prepared(&wanted.commits).await, wanted.history.state.kept_up()) {
        (Err(SyncError::Invalid { .. }), Some(good)) => prepared(&good.commits).await,
        (prepared, _) => prepared,
    }
}

/// The environment as the reader is asked for it; none where the branch is none of its.
fn asked(wanted: &decide::Target, before: &Prepared, base: &Base<'_>) -> Option<Asked> {
    let of_default = base.is_of_all();
    let of_environment = base.branch == before.fleet.environment.branch;
    let kept = |moves: bool, was: &Option<CommitId>| if moves { None } else { was.clone() };
    let recorded = wanted.history.state.good.as_ref().map(|good| good.builds.clone()).unwrap_or_default();
    (of_default || of_environment).then(|| Asked {
        name: before.fleet.environment.name.clone(),
        default: kept(of_default, &wanted.commits.default),
        environment: kept(of_environment, &wanted.commits.environment),
        sources: wanted.commits.sources.clone(),
        origins: before.fleet.sources().into_keys().map(|source| source.origin.clone()).collect(),
        recorded,
    })
}

/// Whether it is deployed to the same hosts by the same rules, grants among them.
fn same_rules(after: &Prepared, before: &Prepared) -> bool {
    let (after, before) = (&after.fleet, &before.fleet);
    after.environment == before.environment && after.instances == before.instances && after.grants == before.grants
}
