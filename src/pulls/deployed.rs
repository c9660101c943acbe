//! Deployments, told where people look: on GitHub's page of deployments, on the commit, on the pull requests that were
//! merged, and in the one that takes a bad one back.
//!
//! Keeps true: what is told is what the history says, in its order; what could not be told is told later, and nothing
//! twice; only the controller that wrote a record tells of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    PullError, PullRequests,
    pauses::{self, Pauses},
    reason,
    wakes::{Wake, Wakes},
};
use crate::{
    engine::controller::Published,
    engine::{
        history::{log, store::HistoryStore as _},
        requests::rollback,
    },
    github::{self, DeploymentState, NewDeployment, NewDeploymentStatus, NewPull},
    host::HostRead,
    model::{
        commit::CommitId,
        event::EventKind,
        name::EnvironmentName,
        outcome::{Deployment, Kind, Outcome, Record},
        pull::{Check, PullRequest, PullState},
        status::Health,
    },
    report::{
        self,
        pull::{DeployedView, Replicas},
    },
};

/// How far back it is looked for what was not told yet.
const RECORDS: usize = 20;
/// How many commits between two deployments are asked what they brought.
const COMMITS: usize = 30;
/// How many pull requests are told of one deployment.
const TOLD: usize = 10;
/// Of how many commits the checks are known: another environment may be told of one that this one has left behind.
const KEPT_CHECKS: usize = 10;
/// How long the health after a deployment is waited for. It is asked just then.
const HEALTH: Duration = Duration::from_secs(5);

/// A record that is to be told of.
struct Untold {
    record: Record,
    /// The last one before it with which all went well: what was merged since is told of with this one.
    good: Option<Deployment>,
    /// What GitHub shows as live until this one is.
    live: Option<Deployment>,
}

/// The newest generation of each environment that was told of, and as what.
type Told = BTreeMap<EnvironmentName, (u64, Option<Outcome>)>;

impl<H: HostRead> PullRequests<H> {
    /// Tells of deployments as they are recorded, until `stop`.
    pub async fn tell(self: Arc<Self>, stop: CancellationToken) {
        let events = self.controller.workspace.events.subscribe();
        let mut wakes = Wakes::of(events, |kind| matches!(kind, EventKind::HistoryAppended { .. }));
        let mut told = Told::new();
        let mut pauses = Pauses::default();
        loop {
            let next = match self.tell_what_is_new(&mut told).await {
                Ok(()) => {
                    pauses.begin_anew();
                    pauses::LONGEST
                }
                Err(error) => {
                    self.emit(EventKind::DeploymentReportFailed { why: reason(&error) });
                    pauses.next()
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                wake = wakes.next(Wake::News) => if wake == Wake::SignedIn {
                    pauses.begin_anew();
                },
                () = sleep(next) => {}
            }
        }
    }

    async fn tell_what_is_new(&self, told: &mut Told) -> Result<(), PullError> {
        for environment in self.controller.workspace.store.histories().await? {
            let records = log::records(&self.controller.workspace.store, &environment, RECORDS).await?;
            for untold in self.untold(&environment, records, told).await? {
                let _turn = self.telling.lock().await;
                self.tell_one(&untold).await?;
                let deployment = &untold.record.deployment;
                told.insert(environment.clone(), (deployment.generation, deployment.outcome));
            }
        }
        Ok(())
    }

    /// What there is to tell of, the oldest first.
    async fn untold(
        &self,
        environment: &EnvironmentName,
        records: Vec<Record>,
        told: &mut Told,
    ) -> Result<Vec<Untold>, PullError> {
        let newest = records.first().map(|record| record.commit.clone());
        let changes: Vec<Record> = records
            .into_iter()
            .filter(|record| record.deployment.kind == Kind::Change && record.deployment.commits.environment.is_some())
            // What was intended is told by how it ended, once it has.
            .filter(|record| record.deployment.conclusion().is_some() || Some(&record.commit) == newest.as_ref())
            .collect();
        if !told.contains_key(environment) {
            // What was before this process began is told already, but for the last one, maybe.
            let mut all = changes.iter().map(|record| &*record.deployment);
            let Some(last) = all.next() else { return Ok(Vec::new()) };
            let known = if self.is_told(last).await? { (last.generation, last.outcome) } else { before(last) };
            told.insert(environment.clone(), known);
        }
        let known = told.get(environment).copied().unwrap_or_default();
        let is_new = |deployment: &Deployment| {
            deployment.generation > known.0 || (deployment.generation == known.0 && deployment.outcome != known.1)
        };
        let mut untold = Vec::new();
        for (number, record) in changes.iter().enumerate() {
            let ours = record.deployment.controller_id == self.controller.workspace.identity.id;
            if ours && is_new(&record.deployment) {
                let older = || changes[number + 1..].iter().map(|record| &*record.deployment);
                let good = older().find(|older| older.outcome == Some(Outcome::Applied)).cloned();
                let live = older().find(|older| state(older) == DeploymentState::Success).cloned();
                untold.push(Untold { record: record.clone(), good, live });
            }
        }
        untold.reverse();
        Ok(untold)
    }

    async fn tell_one(&self, Untold { record, good, live }: &Untold) -> Result<(), PullError> {
        let deployment: &Deployment = &record.deployment;
        let Some(commit) = deployment.commits.environment.clone() else { return Ok(()) };
        let address = format!("{}/commit/{}", self.page().await?, record.commit);
        let mut view = DeployedView { deployment, record: Some(&address), replicas: None, merged: &[], revert: None };
        let told = self.tell_deployment(deployment, &commit, &address).await?;
        if let Some(live) =
            live.as_ref().filter(|_| told.is_production && state(deployment) == DeploymentState::Success)
        {
            self.takes_the_place_of(live).await?;
        }
        if deployment.outcome.is_none() {
            let check = report::pull::deploy_check(&view, &commit, report::pull::deployed(&view));
            return self.put_deploy_check(&deployment.environment, check).await;
        }
        view.replicas = self.health_after(deployment).await;
        let merged = self.merged_since(good.as_ref(), &commit).await?;
        view.merged = &merged;
        let revert = self.revert(&view, merged.first()).await;
        view.revert = revert.as_ref();
        let body = report::pull::deployed(&view);
        let marker = report::pull::deployed_marker(deployment);
        for pull in merged.iter().take(TOLD) {
            self.tell_pull(pull.number, &marker, &body).await?;
        }
        self.put_deploy_check(&deployment.environment, report::pull::deploy_check(&view, &commit, body)).await?;
        self.emit_of(&deployment.environment, Some(deployment.generation), EventKind::DeploymentReported {});
        Ok(())
    }

    /// On the page of deployments.
    async fn tell_deployment(
        &self,
        deployment: &Deployment,
        commit: &CommitId,
        address: &str,
    ) -> Result<github::Deployment, PullError> {
        let description = report::deployment::headline(deployment);
        let known = match self.find_deployment(&deployment.environment, commit, &told_as(deployment)).await? {
            Some(known) => known,
            None => {
                let new = NewDeployment {
                    commit: commit.clone(),
                    environment: deployment.environment.to_string(),
                    description: description.clone(),
                    payload: json!({"generation": deployment.generation}),
                };
                self.github.create_deployment(&new).await?
            }
        };
        let status = NewDeploymentStatus {
            state: state(deployment),
            log_url: Some(address.to_owned()),
            description,
            auto_inactive: true,
        };
        self.github.set_deployment_status(known.id, &status).await?;
        Ok(known)
    }

    /// What was live before is so no more. GitHub knows by itself, but for production.
    async fn takes_the_place_of(&self, before: &Deployment) -> Result<(), PullError> {
        let Some(commit) = &before.commits.environment else { return Ok(()) };
        match self.find_deployment(&before.environment, commit, &[before.generation]).await? {
            Some(known) => self.say(known.id, DeploymentState::Inactive, "something newer is live").await,
            None => Ok(()),
        }
    }

    /// One of these generations, on the page of deployments.
    pub(super) async fn find_deployment(
        &self,
        environment: &EnvironmentName,
        commit: &CommitId,
        generations: &[u64],
    ) -> Result<Option<github::Deployment>, PullError> {
        let known = self.github.deployments(environment.as_str(), Some(commit)).await?;
        let is_one =
            |payload: &serde_json::Value| payload["generation"].as_u64().is_some_and(|it| generations.contains(&it));
        Ok(known.into_iter().find(|known| is_one(&known.payload)))
    }

    /// What a commit's deployment comes to. Where several environments follow one branch it is told of all of them,
    /// for GitHub shows the newest check of a name and no other.
    pub(super) async fn put_deploy_check(&self, environment: &EnvironmentName, check: Check) -> Result<(), PullError> {
        let check = {
            let mut all = self.deploys.lock();
            let own = all.entry(environment.clone()).or_default();
            own.retain(|known| known.commit != check.commit);
            own.push_front(check.clone());
            own.truncate(KEPT_CHECKS);
            let of_commit = all.values().flatten().filter(|known| known.commit == check.commit);
            report::pull::together(&of_commit.collect::<Vec<_>>()).unwrap_or(check)
        };
        Ok(self.github.put_check(&check).await?)
    }

    /// What was told last of a commit's deployment to one environment.
    pub(super) fn deploy_check(&self, environment: &EnvironmentName, commit: &CommitId) -> Option<Check> {
        self.deploys.lock().get(environment)?.iter().find(|known| known.commit == *commit).cloned()
    }

    /// Whether a process before this one has told of it to the end.
    async fn is_told(&self, deployment: &Deployment) -> Result<bool, PullError> {
        let Some(commit) = &deployment.commits.environment else { return Ok(true) };
        let found = self.find_deployment(&deployment.environment, commit, &told_as(deployment)).await?;
        let Some(known) = found else { return Ok(false) };
        let statuses = self.github.deployment_statuses(known.id).await?;
        // A success that something newer has replaced was told of once.
        let last = statuses.first().map(|status| status.state);
        Ok(last == Some(state(deployment)) || last == Some(DeploymentState::Inactive))
    }

    /// As the loop asked for it after the deployment. None where it has not yet.
    async fn health_after(&self, deployment: &Deployment) -> Option<Replicas> {
        let seen = |published: &Published| {
            let view = published.statuses.get(&deployment.environment).filter(|view| {
                let deployed = view.deployed.as_ref();
                deployed.is_some_and(|it| it.generation == deployment.generation && it.outcome.is_some())
            })?;
            let services = || view.instances.iter().flat_map(|instance| &instance.services);
            let healthy = services().filter(|service| service.health == Health::Healthy).count();
            Some(Replicas { healthy, all: services().count() })
        };
        let mut published = self.controller.published();
        let asked = published.wait_for(|published| seen(published).is_some());
        let asked = tokio::time::timeout(HEALTH, asked).await.ok()?.ok()?;
        seen(&asked).filter(|seen| seen.all > 0)
    }

    /// The pull requests whose merge came since the deployment before, the newest first. Messages of commits name
    /// them, and GitHub says whether that is so.
    async fn merged_since(
        &self,
        before: Option<&Deployment>,
        commit: &CommitId,
    ) -> Result<Vec<PullRequest>, PullError> {
        let from = before.and_then(|before| before.commits.environment.clone());
        let to = commit.clone();
        let commits =
            self.controller.workspace.store.call(move |repository| repository.between(from.as_ref(), &to, COMMITS));
        let mut merged: Vec<PullRequest> = Vec::new();
        for commit in commits.await? {
            let of = self.github.pulls_of_commit(&commit).await?;
            let of = of.into_iter().filter(|pull| matches!(pull.state, PullState::Merged { .. }));
            for pull in of {
                if !merged.iter().any(|known| known.number == pull.number) {
                    merged.push(pull);
                }
            }
        }
        Ok(merged)
    }

    async fn tell_pull(&self, number: u64, marker: &str, body: &str) -> Result<(), PullError> {
        let ourselves = self.ourselves().await?;
        let comments = self.github.comments(number).await?;
        let ours = comments.iter().find(|comment| comment.author == ourselves && comment.body.starts_with(marker));
        match ours {
            Some(comment) if comment.body == body => {}
            Some(comment) => _ = self.github.update_comment(comment.id, body).await?,
            None => _ = self.github.create_comment(number, body).await?,
        }
        Ok(())
    }

    /// A pull request that takes back what failed. That there is none keeps nobody from being told of the rest.
    async fn revert(&self, view: &DeployedView<'_>, reverted: Option<&PullRequest>) -> Option<PullRequest> {
        let failed = matches!(view.deployment.outcome, Some(Outcome::RolledBack | Outcome::RollbackFailed));
        let condemned = view.deployment.failure.as_ref().is_some_and(|failure| failure.cause.condemns());
        let reverted = reverted.filter(|_| failed && condemned)?;
        let environment = &view.deployment.environment;
        match self.open_revert(environment, view, reverted).await {
            Ok(pull) => pull,
            Err(error) => {
                self.emit_of(
                    environment,
                    Some(view.deployment.generation),
                    EventKind::RevertFailed { why: reason(&error) },
                );
                None
            }
        }
    }

    async fn open_revert(
        &self,
        environment: &EnvironmentName,
        view: &DeployedView<'_>,
        reverted: &PullRequest,
    ) -> Result<Option<PullRequest>, PullError> {
        let store = &self.controller.workspace.store;
        let Some(target) = rollback::last_good(store, environment).await? else { return Ok(None) };
        let restored = rollback::restore(store, &self.controller.workspace.preparation.folder, &target, None).await?;
        let new = NewPull {
            title: report::pull::revert_title(view.deployment, reverted),
            body: report::pull::revert_body(view, reverted),
            head: restored.branch,
            base: restored.base,
        };
        Ok(Some(self.github.create_pull(&new).await?))
    }

    /// Where people look at the repository.
    pub(super) async fn page(&self) -> Result<&str, PullError> {
        let page = self.page.get_or_try_init(|| async { Ok::<_, PullError>(self.github.repository().await?.html_url) });
        page.await.map(String::as_str)
    }
}

/// The generations that it may be found by. What is refused got none of its own, but may have been queued as the next.
fn told_as(deployment: &Deployment) -> Vec<u64> {
    let generation = deployment.generation;
    if deployment.outcome == Some(Outcome::Refused) {
        vec![generation, generation.saturating_add(1)]
    } else {
        vec![generation]
    }
}

/// As if all but this one had been told.
fn before(deployment: &Deployment) -> (u64, Option<Outcome>) {
    (deployment.generation.saturating_sub(1), deployment.outcome)
}

fn state(deployment: &Deployment) -> DeploymentState {
    match deployment.outcome {
        None => DeploymentState::InProgress,
        Some(Outcome::Applied | Outcome::Unchanged | Outcome::Partial) => DeploymentState::Success,
        Some(Outcome::RolledBack | Outcome::RollbackFailed | Outcome::Stopped) => DeploymentState::Failure,
        Some(Outcome::Refused) => DeploymentState::Error,
    }
}
