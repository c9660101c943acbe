//! What is said of a pull request: its one comment, and its checks.
//!
//! Keeps true: nothing is said twice; only a comment of our own is ever changed; the comment comes first, for people
//! wait for it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{SecondsFormat, Utc};

use super::{PullError, PullRequests, look::Plans, proposal::Pair, told::Told};
use crate::{
    engine::prepare::Prepared,
    git::{PLANS, Repository},
    github::Comment,
    host::HostRead,
    model::{
        desired::Resource,
        digest::Digest,
        environment_state::EnvironmentState,
        finding::Finding,
        name::{InstanceName, ServiceName},
        pull::{Check, PullRequest},
        release::{Making, Release},
        source::Source,
    },
    report::{
        self,
        pull::{Dated, PlannedEnvironment, PullContent, PullView, ReleaseChange, Rest, Unresolved},
    },
};

/// What there is to say of a pull request.
pub enum Content {
    Untouched { followed: bool },
    Fork,
    Conflict(Vec<String>),
    Refused(String),
    Invalid(Vec<Finding>),
    Planned(Vec<(Pair, Plans)>),
}

/// What becomes of a comment where there is none yet.
#[derive(Debug, Clone, Copy)]
enum First {
    Posted,
    /// What there is to say is not worth a new comment.
    Left,
}

/// What was said last.
#[derive(Debug, Clone, Default)]
pub struct Said {
    comment: Option<u64>,
    /// The body, but for when the hosts were looked at.
    body: String,
    checks: Vec<Check>,
    /// The newest commit that the comment tells of.
    told: Option<Told>,
}

impl<H: HostRead> PullRequests<H> {
    /// Says it, as far as that is not said already. `base` is the commit that it was merged with here.
    pub(super) async fn publish(&self, pull: &PullRequest, base: &str, content: Content) -> Result<(), PullError> {
        let when = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let barred = match &content {
            Content::Planned(planned) => planned.iter().map(|(pair, _)| barred(&pair.state)).collect(),
            _ => Vec::new(),
        };
        let warnings = warnings(&content);
        let file = format!("pull-{}.md", pull.number);
        let address = match self.github.is_app() {
            true => None,
            // A commit status has no room for what is too long.
            false => Some(format!("{}/blob/{PLANS}/{file}", self.page().await?)),
        };
        let rest = address.as_deref().map_or(Rest::Check, Rest::File);
        let shown = shown(&content, &barred);
        let view = PullView { pull, base, when: &when, rest, warnings: &warnings, content: shown };
        let report = report::pull::proposal(&view);
        if !self.is_said(pull.number, &report.comment.timeless) {
            if let (Rest::File(_), Some(whole)) = (rest, report.rest) {
                self.keep(pull.number, file, whole).await?;
            }
            let first = match content {
                Content::Untouched { .. } => First::Left,
                _ => First::Posted,
            };
            self.put_comment(pull, report.comment, first).await?;
        }
        for check in report.checks {
            self.put_check(pull.number, check).await?;
        }
        Ok(())
    }

    /// Whatever was said of it is said again, for somebody asked.
    pub(super) fn says_again(&self, number: u64) {
        if let Some(said) = self.said.lock().get_mut(&number) {
            (said.body, said.checks) = (String::new(), Vec::new());
        }
    }

    fn is_said(&self, number: u64, timeless: &str) -> bool {
        self.said.lock().get(&number).is_some_and(|said| said.body == timeless)
    }

    /// Puts a plan that is too long where its comment says that it is.
    async fn keep(&self, number: u64, file: String, whole: String) -> Result<(), PullError> {
        let message = format!("The plan of pull request {number}, whole\n");
        let put = move |repository: &Repository| repository.put_plan(&file, whole.as_bytes(), &message, Utc::now());
        Ok(self.controller.workspace.store.call(put).await?)
    }

    /// Updates our comment. `first` is what becomes of it where there is none.
    async fn put_comment(&self, pull: &PullRequest, comment: Dated<String>, first: First) -> Result<(), PullError> {
        let Dated { posted: body, timeless } = comment;
        let number = pull.number;
        let said = self.said.lock().get(&number).cloned().unwrap_or_default();
        let (known, told) = match said.comment {
            Some(id) => (Some(id), said.told),
            None => {
                let found = self.find_comment(number).await?;
                (found.as_ref().map(|comment| comment.id), found.as_ref().and_then(Told::by))
            }
        };
        let put = match known {
            Some(id) => Some(self.github.update_comment(id, &body).await?),
            None => match first {
                First::Left => None,
                First::Posted => Some(self.github.create_comment(number, &body).await?),
            },
        };
        let mut all = self.said.lock();
        let said = all.entry(number).or_default();
        // Of the same commit it is told since it was told first.
        said.told = match (told, &put) {
            (Some(told), _) if told.head == pull.head => Some(told),
            (_, Some(comment)) => Some(Told { head: pull.head.clone(), since: comment.updated_at }),
            (told, None) => told,
        };
        (said.comment, said.body) = (put.map(|comment| comment.id), timeless);
        Ok(())
    }

    /// The commit that our comment tells of.
    pub(super) async fn told(&self, number: u64) -> Result<Option<Told>, PullError> {
        let known = self.said.lock().get(&number).and_then(|said| said.told.clone());
        match known {
            Some(told) => Ok(Some(told)),
            None => Ok(self.find_comment(number).await?.as_ref().and_then(Told::by)),
        }
    }

    /// Our comment with the plan, from before this process began.
    async fn find_comment(&self, number: u64) -> Result<Option<Comment>, PullError> {
        let ourselves = self.ourselves().await?;
        let comments = self.github.comments(number).await?;
        let is_ours = |comment: &Comment| comment.author == ourselves && report::pull::is_plan(&comment.body);
        Ok(comments.into_iter().find(is_ours))
    }

    async fn put_check(&self, number: u64, check: Dated<Check>) -> Result<(), PullError> {
        let Dated { posted: check, timeless } = check;
        let said = self.said.lock().get(&number).is_some_and(|said| said.checks.contains(&timeless));
        if said {
            return Ok(());
        }
        self.github.put_check(&check).await?;
        let mut all = self.said.lock();
        let checks = &mut all.entry(number).or_default().checks;
        checks.retain(|before| before.name != timeless.name);
        checks.push(timeless);
        Ok(())
    }
}

/// What was said of what would be declared, each once. What the base is warned of too, be it for another environment,
/// is no news of this proposal.
fn warnings(content: &Content) -> Vec<Finding> {
    let Content::Planned(planned) = content else { return Vec::new() };
    let mut warnings: Vec<Finding> = Vec::new();
    for (pair, _) in planned {
        // Without the place: lines above may have moved it.
        let is_news = |finding: &&Finding| {
            let same = |known: &Finding| (&known.code, &known.message) == (&finding.code, &finding.message);
            !pair.base.findings.iter().any(same)
        };
        for finding in pair.proposed.findings.iter().filter(is_news) {
            if !warnings.contains(finding) {
                warnings.push(finding.clone());
            }
        }
    }
    warnings
}

fn shown<'a>(content: &'a Content, barred: &'a [Option<String>]) -> PullContent<'a> {
    match content {
        Content::Untouched { followed } => PullContent::Untouched { followed: *followed },
        Content::Fork => PullContent::Fork,
        Content::Conflict(paths) => PullContent::Conflict(paths),
        Content::Refused(why) => PullContent::Refused(why),
        Content::Invalid(findings) => PullContent::Invalid(findings),
        Content::Planned(planned) => {
            let each = planned.iter().zip(barred);
            PullContent::Planned(
                each.map(|((pair, plans), barred)| environment(pair, plans, barred.as_deref())).collect(),
            )
        }
    }
}

fn environment<'a>(pair: &'a Pair, plans: &'a Plans, barred: Option<&'a str>) -> PlannedEnvironment<'a> {
    let replicas = pair.proposed.desired.values().flat_map(|desired| desired.replicas.values());
    let mut running: BTreeMap<ServiceName, usize> = BTreeMap::new();
    replicas.for_each(|replica| *running.entry(replica.service.clone()).or_default() += 1);
    PlannedEnvironment {
        environment: pair.environment(),
        plan: &plans.with,
        before: &plans.without,
        releases: releases(&pair.base, &pair.proposed),
        unresolved: unresolved(&pair.proposed),
        replicas: running,
        barred,
    }
}

/// Where each service and site takes its files from, on each instance.
fn used(prepared: &Prepared) -> BTreeMap<(Resource, &InstanceName), &Source> {
    let services = prepared.fleet.services.values().flat_map(|service| {
        let resource = Resource::Service(service.name.clone());
        service.sources.iter().map(move |(instance, source)| ((resource.clone(), instance), source))
    });
    let sites = prepared.fleet.sites.values().flat_map(|site| {
        let resource = Resource::Site(site.name.clone());
        site.frontend.iter().map(move |(instance, source)| ((resource.clone(), instance), source))
    });
    services.chain(sites).collect()
}

fn release<'a>(prepared: &'a Prepared, source: &Source) -> Option<&'a Release> {
    prepared.sources.get(source).and_then(|(_, digest)| prepared.releases.get(digest))
}

/// What would run from another release, or serve one.
fn releases<'a>(base: &'a Prepared, proposed: &'a Prepared) -> Vec<ReleaseChange<'a>> {
    let before = used(base);
    let mut changes: BTreeMap<(Resource, Option<Digest>, Digest), ReleaseChange<'a>> = BTreeMap::new();
    for ((resource, instance), source) in used(proposed) {
        let Some(to) = release(proposed, source).filter(|to| to.making != Making::Unresolved) else { continue };
        let was = before.get(&(resource.clone(), instance));
        let from = was.and_then(|source| release(base, source));
        if from.is_some_and(|from| from.digest == to.digest) {
            continue;
        }
        let key = (resource.clone(), from.map(|from| from.digest), to.digest);
        let change = changes.entry(key).or_insert(ReleaseChange { resource, instances: Vec::new(), from, to });
        change.instances.push(instance.clone());
    }
    changes.into_values().collect()
}

/// Each source that is not resolved, once for each that takes its files from there.
fn unresolved(proposed: &Prepared) -> Vec<Unresolved<'_>> {
    let is = |source: &Source| release(proposed, source).is_some_and(|it| it.making == Making::Unresolved);
    let found = used(proposed).into_iter().filter(|(_, source)| is(source));
    let once: BTreeSet<(Resource, &Source)> = found.map(|((resource, _), source)| (resource, source)).collect();
    once.into_iter().map(|(resource, source)| Unresolved { resource, source }).collect()
}

/// Why what is merged would not be deployed at once.
fn barred(state: &EnvironmentState) -> Option<String> {
    state.hold().map(report::control::held)
}
