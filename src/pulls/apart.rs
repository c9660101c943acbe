//! What is asked of the process that reads a proposal, and what it answers: values, and the program in that process.
//!
//! The process merges, declares and renders the proposal from the mirror and from what was fetched for the base, and
//! plans it with what hosts said to the controller. Keeps true: it goes nowhere and holds no credential; of file contents
//! it sends those that are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    path::PathBuf,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    declare::Overrides,
    engine::{
        observe::probe::plan_from,
        prepare::{
            PrepareError, Prepared, confined, declared,
            fetch::CachedFetcher,
            gathered,
            overrides::{self, OverridesError},
        },
    },
    git::{Credentials, Merged, Proposed, RemoteUrl, Repository, compose},
    model::{
        budget::Budget,
        build::BuiltReleases,
        commit::CommitId,
        desired::Desired,
        digest::Digest,
        finding::Finding,
        fleet::Fleet,
        name::{EnvironmentName, InstanceName},
        plan::{Commits, Plan},
        release::{Listing, Making, Release, ReleaseFile},
        source::{Origin, Pinned, Source, SourceCommits},
        tree::Tree,
    },
    plan::Observed,
    release::{BuildCache, Builds, Known},
    report,
};

/// The command that is [`serve`].
pub const COMMAND: &str = "internal-read-proposal";

#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// First of all, once.
    Read(Reading),
    /// The contents of files, each an answer of its own.
    Contents(Vec<Digest>),
    Plan {
        environment: EnvironmentName,
        observed: Observed,
        newest_generation: Option<u64>,
    },
}

/// A proposal, and where what is needed to read it lies.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reading {
    pub mirror: PathBuf,
    /// The address that the mirror is of.
    pub url: String,
    pub state: PathBuf,
    pub builds: Option<PathBuf>,
    pub overrides: Option<PathBuf>,
    pub folder: String,
    pub base: CommitId,
    pub head: CommitId,
    pub environments: Vec<Asked>,
}

/// One environment that the proposal may change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    pub name: EnvironmentName,
    /// None: the merge.
    pub default: Option<CommitId>,
    /// None: the merge.
    pub environment: Option<CommitId>,
    pub sources: SourceCommits,
    /// What the base takes files from: nothing else is looked at.
    pub origins: BTreeSet<Origin>,
    pub recorded: BuiltReleases,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Conflict(Vec<String>),
    Refused(String),
    Environments(Vec<(EnvironmentName, Outcome)>),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Outcome {
    Prepared(Box<Row>),
    Invalid(Vec<Finding>),
    Refused(String),
}

/// [`Prepared`] without the contents of releases.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    fleet: Arc<Fleet>,
    commits: Commits,
    desired: BTreeMap<InstanceName, Desired>,
    releases: Vec<(Digest, Pinned, Making, Listing)>,
    sources: Vec<(Source, (Pinned, Digest))>,
    requirements: Vec<((Source, String), Option<Digest>)>,
    digest: Digest,
    findings: Vec<Finding>,
}

/// Contents of files by their digest.
pub type Contents = BTreeMap<Digest, Arc<[u8]>>;

impl Row {
    fn of(prepared: &Prepared) -> Self {
        let row =
            |release: &Release| (release.digest, release.source.clone(), release.making.clone(), release.listed());
        Self {
            fleet: prepared.fleet.clone(),
            commits: prepared.commits.clone(),
            desired: prepared.desired.clone(),
            releases: prepared.releases.values().map(row).collect(),
            sources: prepared.sources.clone().into_iter().collect(),
            requirements: prepared.requirements.clone().into_iter().collect(),
            digest: prepared.digest,
            findings: prepared.findings.clone(),
        }
    }

    /// The contents that its releases are made of.
    pub fn contents(&self) -> BTreeSet<Digest> {
        use crate::model::release::Listed;
        let listed = self.releases.iter().flat_map(|(_, _, _, listing)| listing.0.values());
        let digest = |listed: &Listed| match listed {
            Listed::File { digest, .. } => Some(*digest),
            Listed::Symlink { .. } => None,
        };
        listed.filter_map(digest).collect()
    }

    /// With the contents, of which none may lack.
    pub fn with(self, contents: &Contents) -> Option<Prepared> {
        use crate::model::release::Listed;
        let file = |listed: Listed| {
            Some(match listed {
                Listed::Symlink { target } => ReleaseFile::Symlink { target },
                Listed::File { digest, executable } => {
                    ReleaseFile::File { content: contents.get(&digest)?.clone(), digest, executable }
                }
            })
        };
        let mut releases = BTreeMap::new();
        for (digest, source, making, listing) in self.releases {
            let files = listing.0.into_iter().map(|(path, listed)| Some((path, file(listed)?)));
            releases.insert(digest, Release { digest, source, files: files.collect::<Option<_>>()?, making });
        }
        Some(Prepared {
            fleet: self.fleet,
            commits: self.commits,
            desired: self.desired,
            releases,
            sources: self.sources.into_iter().collect(),
            requirements: self.requirements.into_iter().collect(),
            deployed: SourceCommits::new(),
            digest: self.digest,
            findings: self.findings,
        })
    }
}

/// The contents of the files of releases.
pub fn contents_of<'a>(prepared: impl Iterator<Item = &'a Prepared>) -> Contents {
    let files = prepared.flat_map(|prepared| prepared.releases.values()).flat_map(|release| release.files.values());
    let content = |file: &ReleaseFile| match file {
        ReleaseFile::File { content, digest, .. } => Some((*digest, content.clone())),
        ReleaseFile::Symlink { .. } => None,
    };
    files.filter_map(content).collect()
}

/// Answers until there are no more questions.
pub fn serve(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut prepared: BTreeMap<EnvironmentName, Prepared> = BTreeMap::new();
    while let Some(question) = confined::read(&mut from, Budget::STANDARD.answer_bytes)? {
        match serde_json::from_slice(&question)? {
            Question::Read(reading) => {
                let answer = read(&reading, &mut prepared).unwrap_or_else(Answer::Refused);
                confined::write(&mut to, &serde_json::to_vec(&answer)?)?;
            }
            Question::Contents(digests) => {
                let contents = contents_of(prepared.values());
                for digest in digests {
                    confined::write(&mut to, contents.get(&digest).map(|content| &**content).unwrap_or_default())?;
                }
            }
            Question::Plan { environment, observed, newest_generation } => {
                let plan: Option<Plan> =
                    prepared.get(&environment).map(|prepared| plan_from(prepared, &observed, newest_generation));
                confined::write(&mut to, &serde_json::to_vec(&plan)?)?;
            }
        }
    }
    Ok(())
}

/// An error is a reason not to look at the proposal.
fn read(reading: &Reading, prepared: &mut BTreeMap<EnvironmentName, Prepared>) -> Result<Answer, String> {
    let url: RemoteUrl = reading.url.parse().map_err(|error| report::chain(&error))?;
    let overrides = overrides(reading)?;
    let repository = Repository::open(&reading.mirror, &url, Credentials::default());
    let merged = repository.and_then(|repository| repository.merged(&reading.base, &reading.head));
    let merged = match merged.map_err(|error| report::chain(&error))? {
        Merged::Conflict(paths) => return Ok(Answer::Conflict(paths)),
        Merged::Clean(merged) => *merged,
    };
    let mut trees = Trees { merged, read: BTreeMap::new() };
    let reader = ProposalReader {
        folder: &reading.folder,
        overrides,
        fetcher: CachedFetcher::new(&reading.state),
        build_cache: reading.builds.clone().map(BuildCache::new),
    };
    let mut outcomes = Vec::new();
    for asked in &reading.environments {
        let outcome = match reader.prepare(asked, &mut trees)? {
            Ok(found) => {
                let row = Row::of(&found);
                prepared.insert(asked.name.clone(), found);
                Outcome::Prepared(Box::new(row))
            }
            Err(PrepareError::Invalid { findings }) => Outcome::Invalid(findings),
            Err(error) => Outcome::Refused(report::chain(&error)),
        };
        outcomes.push((asked.name.clone(), outcome));
    }
    Ok(Answer::Environments(outcomes))
}

fn overrides(reading: &Reading) -> Result<Overrides, String> {
    let Some(path) = &reading.overrides else { return Ok(Overrides::default()) };
    overrides::read(path).map_err(|error| match &error {
        OverridesError::Invalid { findings, .. } => format!("{error}: {}", report::findings::first(findings)),
        OverridesError::File { .. } => report::chain(&error),
    })
}

/// Commits are read once each: environments share them.
struct Trees {
    merged: Proposed,
    read: BTreeMap<CommitId, Tree>,
}

impl Trees {
    fn composed(&mut self, default: &CommitId, environment: &CommitId, folder: &str) -> Result<Tree, String> {
        for commit in [default, environment] {
            if !self.read.contains_key(commit) {
                let tree = self.merged.tree(commit).map_err(|error| report::chain(&error))?;
                self.read.insert(commit.clone(), tree);
            }
        }
        let (own, default) = (&self.read[environment], &self.read[default]);
        compose(own, default, folder).map_err(|error| report::chain(&error))
    }
}

struct ProposalReader<'a> {
    folder: &'a str,
    overrides: Overrides,
    fetcher: CachedFetcher,
    build_cache: Option<BuildCache>,
}

impl ProposalReader<'_> {
    /// What the environment would be. Its builds are looked up and never run.
    fn prepare(&self, asked: &Asked, trees: &mut Trees) -> Result<Result<Prepared, PrepareError>, String> {
        let merged = trees.merged.commit.clone();
        let default = asked.default.clone().unwrap_or_else(|| merged.clone());
        let environment = asked.environment.clone().unwrap_or(merged);
        let tree = trees.composed(&default, &environment, self.folder)?;
        let fleet = match declared(&tree, self.folder, &asked.name, &self.overrides) {
            Ok(fleet) => fleet,
            Err(error) => return Ok(Err(error)),
        };
        let mut commits = Commits::of_config(Some(default), Some(environment));
        commits.sources = asked.sources.clone();
        let known = Known { fetcher: &self.fetcher, origins: asked.origins.clone() };
        let builds = Builds { build_cache: self.build_cache.as_ref(), recorded: Some(&asked.recorded), run: false };
        Ok(gathered(fleet, &tree, commits, &known, builds))
    }
}
