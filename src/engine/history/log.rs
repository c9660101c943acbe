//! The history as the engine reads and writes it: the newest record, what stands, and what is appended.
//!
//! Keeps true: what is appended was built on the newest commit there is; when somebody else was faster it
//! is built again on theirs, but for an intent, whose plan is then no longer true. What is read here was believed first
//! (`model/belief.rs`), and what was refused is not written again.

use super::{
    controller_id::ControllerId,
    layout::{self, RECORD, STANDING},
    lease::{Lease, StoreAnswer},
    store::{Files, GitStore, HistoryStore as _, Store, StoreError},
};
use crate::{
    decide::{self, HistorySnapshot},
    engine::prepare::{Prepared, off::off, preparation::Recorded},
    git::Tip,
    model::{
        belief::{self, Belief, Claimed, Doubt, Held, Refusal},
        budget::Budget,
        build::BuiltReleases,
        commit::CommitId,
        environment_state::{EnvironmentState, StateEvent},
        event::logged,
        name::EnvironmentName,
        outcome::{Conclusion, Deployment, Intent, Kind, Outcome, Record, RecordedDeployment},
        plan::Commits,
    },
    report,
};

/// The files of a history commit that say what stands.
const HEAD: [&str; 2] = [STANDING, RECORD];
/// How often something is offered to a history that others write to as well.
const TRIES: u32 = 5;

/// The newest commit of an environment's history, read.
#[derive(Debug, Clone, Default)]
pub struct Newest {
    /// None where there is no history yet.
    pub commit: Option<CommitId>,
    pub files: Files,
    /// What is believed of it.
    pub state: EnvironmentState,
    /// The newest deployment that is believed.
    pub deployment: Option<RecordedDeployment>,
    /// The newest generation that the history tells of, also where its record is refused.
    pub(in crate::engine) generation: u64,
    /// Set where it is not known what is live: a person decides.
    pub doubt: Option<Doubt>,
    /// What of it is not believed.
    pub refusals: Vec<Refusal>,
    /// None for a value that no store said, which grants nothing.
    pub answer: Option<StoreAnswer>,
}

impl Newest {
    /// A deployment that began, and of which nothing says how it ended. Where it is refused it names no commits, and
    /// can only be undone.
    pub fn open(&self) -> Option<&Intent> {
        self.deployment.as_ref().and_then(RecordedDeployment::intent)
    }

    /// The right to clean up and to repair drift; none while a deployment is open.
    pub fn lease_while_idle(&self) -> Option<Lease> {
        let is_idle = self.answer.is_some() && self.open().is_none();
        is_idle.then(|| Lease::while_idle(self.generation(), self.ended()))
    }

    /// The right to go on with the open deployment, where it is this controller's: who sits in its place holds the lock of
    /// its state directory, so nobody else is at it.
    pub fn lease_of_own(&self, identity: &ControllerId) -> Option<Lease> {
        let own = self.open().filter(|open| self.answer.is_some() && open.controller_id == identity.id)?;
        Some(Lease::of_intent(own.generation))
    }

    /// The newest generation that the history tells of; 0: none.
    pub fn generation(&self) -> u64 {
        self.deployment.as_ref().map_or(0, |newest| newest.generation).max(self.generation)
    }

    /// As [`Self::generation`]; None where there is no history.
    pub fn newest_generation(&self) -> Option<u64> {
        self.deployment.as_ref().map(|newest| newest.generation)
    }

    /// The newest generation that is over, as far as is known; none where there is no history.
    pub fn ended(&self) -> Option<u64> {
        let Some(newest) = self.deployment.as_ref() else {
            // A deployment that is refused may be under way.
            return (self.generation > 0).then(|| self.generation - 1);
        };
        Some(match newest {
            RecordedDeployment::Conclusion(conclusion) => conclusion.generation,
            RecordedDeployment::Intent(intent) => intent.generation.saturating_sub(1),
        })
    }

    /// What was made of builds, as far as it matters still: what is live is what the last good one says.
    pub fn builds(&self) -> BuiltReleases {
        let mut builds = self.deployment.as_ref().map(|newest| newest.builds.clone()).unwrap_or_default();
        let live = self.state.partial.iter().chain(&self.state.good);
        builds.extend(live.flat_map(|live| live.builds.clone()));
        builds
    }

    /// What a preparation has to know of it.
    pub fn recorded(&self) -> Recorded {
        let sources = self.state.good.as_ref().map(|good| good.commits.sources.clone()).unwrap_or_default();
        Recorded { builds: self.builds(), sources }
    }

    /// What the loop has to know of it.
    pub fn snapshot(&self, identity: &ControllerId) -> HistorySnapshot {
        let open = self.open().map(|open| decide::Open {
            generation: open.generation,
            commits: open.commits.clone(),
            started: open.taken_over.as_ref().map_or(&open.started, |taken_over| &taken_over.at).clone(),
            ours: open.controller_id == identity.id,
            counts: open.commits.environment.is_some(),
            limit: open.limit_ms,
        });
        let led_elsewhere = self.deployment.as_ref().is_some_and(|newest| newest.controller_id != identity.id);
        HistorySnapshot { state: self.state.clone(), open, led_elsewhere, doubted: self.doubt.is_some() }
    }

    /// The outcome as it is numbered here. What ends nothing that was begun has the number of what came before
    /// it, be that newer by now than when it was planned: generations never go back.
    fn numbered(&self, conclusion: &Conclusion) -> Conclusion {
        let ends = conclusion.kind == Kind::Change && conclusion.outcome() != Outcome::Refused;
        let generation = if ends { conclusion.generation } else { conclusion.generation.max(self.generation()) };
        conclusion.clone().numbered(generation)
    }

    /// Whether this outcome is what comes next. A deployment is ended once, whoever ends it; what was repaired
    /// or refused must not hide one that has begun, nor bring back what was good before it.
    fn awaits(&self, conclusion: &Conclusion) -> bool {
        match (conclusion.kind, conclusion.outcome()) {
            (Kind::DriftRepair, _) => {
                let good = self.state.good.as_ref();
                self.open().is_none() && good.is_some_and(|good| good.desired == conclusion.desired)
            }
            (Kind::Change, Outcome::Refused) => self.open().is_none(),
            (Kind::Change, _) => self.open().is_some_and(|open| {
                (open.generation, &open.controller_id) == (conclusion.generation, &conclusion.controller_id)
            }),
        }
    }

    /// What the next commit says. Deployed commits that are in doubt stay written until somebody decides.
    fn carried(&self) -> EnvironmentState {
        let mut state = self.state.clone();
        if let Some(doubt) = &self.doubt {
            state.good.clone_from(&doubt.good);
            state.partial.clone_from(&doubt.partial);
        }
        state
    }

    /// Takes what is refused out of the files, so that what is appended does not say it again.
    fn purge(&mut self, claimed: Option<&Deployment>) {
        let carried = self.carried();
        layout::put(&mut self.files, STANDING, &carried);
        let of = |deployment: &Deployment| (deployment.environment.clone(), deployment.generation);
        if self.deployment.as_deref().map(of) != claimed.map(of) {
            match self.deployment.as_deref() {
                Some(deployment) => layout::put(&mut self.files, RECORD, deployment),
                None => drop(self.files.remove(RECORD)),
            }
        }
    }
}

fn claimed(files: &Files) -> Result<Claimed, StoreError> {
    let parse = |path| move |source| StoreError::Unreadable { path, source };
    let state = files.get(STANDING).map(|text| serde_json::from_slice(text)).transpose();
    let deployment = files.get(RECORD).map(|text| serde_json::from_slice(text)).transpose();
    let state = state.map_err(parse(STANDING))?.unwrap_or_default();
    Ok(Claimed { state, deployment: deployment.map_err(parse(RECORD))? })
}

/// The newest commit as last fetched or written, without what it keeps of instances.
pub async fn newest<S: Store>(store: &S, environment: &EnvironmentName) -> Result<Newest, StoreError> {
    let tip = store.head(environment, &HEAD).await?;
    believed(store, environment, tip).await
}

/// What is believed of a history whose newest commit is `tip`. Every reader of what a history says comes by here.
async fn believed<S: Store>(store: &S, environment: &EnvironmentName, tip: Option<Tip>) -> Result<Newest, StoreError> {
    let answer = Some(StoreAnswer::read());
    let Some(Tip { commit, files }) = tip else { return Ok(Newest { answer, ..Newest::default() }) };
    let remembered = store.remembers(environment, &commit);
    if !remembered {
        store.vouched(environment, &commit).await?;
    }
    let (claimed, files) = off(move || (claimed(&files), files)).await?;
    let claimed = claimed?;
    if remembered {
        let Claimed { state, deployment } = claimed;
        let deployment = deployment.map(Into::into);
        return Ok(Newest { commit: Some(commit), files, state, deployment, answer, ..Newest::default() });
    }
    let held = store.held(environment, Held::asked(claimed.commits())).await?;
    // What was believed once can be read.
    let before = store.believed_before(environment, &commit, &HEAD).await?;
    let before = match before {
        Some(before) => off(move || self::claimed(&before.files)).await?.ok(),
        None => None,
    };
    let raw = claimed.deployment.clone();
    let belief = belief::believe(environment, claimed, before, &held, &Budget::STANDARD);
    let Belief { state, deployment, generation, doubt, mut refusals } = belief;
    refusals.iter_mut().for_each(|refusal| refusal.history = Some(commit.clone()));
    if refusals.is_empty()
        && let Err(error) = store.believe(environment, &commit).await
    {
        tracing::warn!(event = logged::HISTORY_UNREMEMBERED, %environment, "what is believed of the history is not remembered: {}", report::chain(&error));
    }
    let deployment = deployment.map(Into::into);
    let mut newest = Newest { commit: Some(commit), files, state, deployment, generation, doubt, refusals, answer };
    if !newest.refusals.is_empty() {
        newest.purge(raw.as_ref());
    }
    Ok(newest)
}

/// Records of deployments whose commits count, newest first, of the newest `limit`.
pub async fn records(store: &GitStore, environment: &EnvironmentName, limit: usize) -> Result<Vec<Record>, StoreError> {
    let name = environment.clone();
    let mut records = store.call(move |repository| repository.records(&name, limit)).await?;
    let held = store.held(environment, Held::asked(records.iter().map(|record| &record.deployment.commits))).await?;
    records.retain(|record| held.refuses(&record.deployment.commits).is_none());
    Ok(records)
}

/// Appends an intent to the history that the plan was made on, and to no other. So the deployment may begin.
pub async fn intend<S: Store>(store: &S, on: &Newest, deployment: &Intent) -> Result<Lease, StoreError> {
    let files = layout::intent_files(&whole(store, &deployment.environment, on).await?, deployment);
    let message = message(store, deployment).await;
    store.append(&deployment.environment, on.commit.clone(), files, message).await?;
    Ok(Lease::of_intent(deployment.generation))
}

/// All files of the commit that something is built on; none when the mirror has moved on, which the append then
/// finds out.
async fn whole<S: Store>(store: &S, environment: &EnvironmentName, on: &Newest) -> Result<Files, StoreError> {
    let tip = store.tip(environment).await?.filter(|tip| on.commit.as_ref() == Some(&tip.commit));
    let mut files = tip.map(|tip| tip.files).unwrap_or_default();
    // Without what is refused.
    HEAD.iter().for_each(|name| drop(files.remove(*name)));
    files.extend(on.files.clone());
    Ok(files)
}

/// Appends an outcome, unless the history has gone on without it; answers whether it is there. `live` is what the
/// instances hold now, if it was carried out.
pub async fn conclude<S: Store>(
    store: &S,
    deployment: &Conclusion,
    live: Option<&Prepared>,
) -> Result<bool, StoreError> {
    let message = message(store, deployment).await;
    let appended = appended(store, &deployment.environment, |newest| {
        let deployment = newest.numbered(deployment);
        let state = newest.carried().concluded(&deployment);
        newest
            .awaits(&deployment)
            .then(|| (layout::outcome_files(&newest.files, &state, &deployment, live), message.clone()))
    });
    // A push whose answer was lost has made it there all the same.
    let there = appended.await?.is_some()
        || newest(store, &deployment.environment).await?.deployment.as_ref().and_then(RecordedDeployment::conclusion)
            == Some(deployment);
    if !there {
        tracing::warn!(
            event = logged::HISTORY_OUTPACED,
            deployment = deployment.generation,
            "the history has gone on meanwhile; what it says stands"
        );
        return Ok(false);
    }
    if deployment.outcome() == Outcome::Applied {
        mark_good(store, &deployment.environment, &deployment.commits).await;
    }
    Ok(true)
}

/// Appends what somebody asked for, and answers what stands then.
pub async fn note<S: Store>(
    store: &S,
    environment: &EnvironmentName,
    event: &StateEvent,
) -> Result<EnvironmentState, StoreError> {
    let message = report::control::commit_message(environment, event);
    let newest = appended(store, environment, |newest| {
        let state = newest.carried().after(event);
        Some((layout::event_files(&newest.files, &state, event), message.clone()))
    })
    .await?
    .unwrap_or_default();
    Ok(newest.state.after(event))
}

/// Appends that what was deployed in part is live everywhere, to the history that it was found on, and to no
/// other: what has begun since is live nowhere for sure.
pub async fn complete<S: Store>(
    store: &S,
    environment: &EnvironmentName,
    on: &Newest,
    event: &StateEvent,
) -> Result<(), StoreError> {
    let files = whole(store, environment, on).await?;
    let state = on.carried().after(event);
    let files = layout::event_files(&files, &state, event);
    let message = report::control::commit_message(environment, event);
    store.append(environment, on.commit.clone(), files, message).await?;
    if let Some(good) = state.good {
        mark_good(store, environment, &good.commits).await;
    }
    Ok(())
}

/// What is recorded stands without it, and the next that is applied moves the mark as well.
async fn mark_good<S: Store>(store: &S, environment: &EnvironmentName, commits: &Commits) {
    if let Err(error) = store.mark_good(environment, commits).await {
        tracing::warn!(event = logged::HISTORY_UNMARKED, %environment, "what is live is not marked as the last good commit: {}", report::chain(&error));
    }
}

/// Builds on the newest commit and appends; again on top of what others appended meanwhile. Answers what
/// it was built on; none where there was nothing to append.
async fn appended<S: Store>(
    store: &S,
    environment: &EnvironmentName,
    build: impl Fn(&Newest) -> Option<(Files, String)>,
) -> Result<Option<Newest>, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let newest = believed(store, environment, store.tip(environment).await?).await?;
        let Some((files, message)) = build(&newest) else { return Ok(None) };
        match store.append(environment, newest.commit.clone(), files, message).await {
            Ok(_) => return Ok(Some(newest)),
            Err(error) if error.is_diverged() && tries < TRIES => store.fetch().await.map(|_| ())?,
            Err(error) => return Err(error),
        }
    }
}

async fn message<S: Store>(store: &S, deployment: &Deployment) -> String {
    // A commit whose subject cannot be read is named by its id alone.
    let subject = match &deployment.commits.environment {
        Some(commit) => store.subject(commit).await,
        None => None,
    };
    report::deployment::commit_message(deployment, subject.as_deref())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::Utc;

    use super::*;
    use crate::engine::history::store::ConfigSource as _;
    use crate::git::{Credentials, Repository, commit_to_bare, create_bare_from_folder};

    /// What a store says whose newest record is this deployment.
    fn said(deployment: Option<RecordedDeployment>) -> Newest {
        Newest { deployment, answer: Some(StoreAnswer::read()), ..Newest::default() }
    }

    fn deployment(generation: u64, controller_id: &str, outcome: Option<&str>) -> Option<RecordedDeployment> {
        let deployment = serde_json::json!({
            "version": 1, "environment": "test", "generation": generation, "kind": "change", "commits": {"sources": {}},
            "plan_digest": crate::model::digest::Digest::of("a plan"), "triggered_by": "the controller",
            "controller": "control (pid 7)", "seat": controller_id, "started": "2026-11-21T13:14:05Z",
            "outcome": outcome, "summary": crate::model::plan::Summary::default(), "changes": [], "unreached": {},
        });
        Some(serde_json::from_value(deployment).expect("a deployment"))
    }

    #[test]
    fn while_a_deployment_is_open_its_own_controller_alone_may_change_hosts() {
        let [ours, theirs] = ["ours", "theirs"].map(|id| ControllerId { name: id.to_owned(), id: id.to_owned() });
        let open = said(deployment(7, "ours", None));
        assert!(open.lease_while_idle().is_none(), "what is under way is neither cleaned up nor repaired");
        assert!(open.lease_of_own(&theirs).is_none(), "it is taken over in the history first");
        assert_eq!(open.lease_of_own(&ours).map(|lease| lease.generation()), Some(7));

        let ended = said(deployment(7, "theirs", Some("applied")));
        assert!(ended.lease_of_own(&theirs).is_none(), "there is nothing to go on with");
        let lease = ended.lease_while_idle().expect("nothing is open");
        assert_eq!((lease.generation(), lease.covers(7), lease.covers(8)), (7, true, false));
        assert!(said(None).lease_while_idle().expect("nothing is open").covers(9), "no history tells of another's");
    }

    #[test]
    fn what_no_store_said_lets_nobody_change_hosts() {
        let ours = ControllerId { name: "ours".to_owned(), id: "ours".to_owned() };
        for deployment in [None, deployment(7, "ours", None), deployment(7, "ours", Some("applied"))] {
            let made_up = Newest { deployment, ..Newest::default() };
            assert!(made_up.lease_while_idle().is_none() && made_up.lease_of_own(&ours).is_none(), "{made_up:?}");
        }
    }

    #[test]
    fn what_a_history_says_is_parsed_away_from_the_runtimes_threads() {
        let folder = tempfile::tempdir().expect("a folder");
        let (fleet, bare) = (folder.path().join("fleet"), folder.path().join("config.git"));
        std::fs::create_dir_all(fleet.join("environments")).expect("a folder");
        std::fs::write(fleet.join("fleet.yaml"), "name: demo\n").expect("it is written");
        std::fs::write(fleet.join("environments/production.yaml"), "branch: main\n").expect("it is written");
        let when = Utc::now();
        create_bare_from_folder(&bare, &[(&fleet, "fleet")], "main", "First", when).expect("it is made");
        // Takes long to parse, and leaves nothing.
        let state = format!("{{\"filler\": [{}1]}}", "1,".repeat(7 << 20));
        let changes = [(STANDING.to_owned(), Some(state.into_bytes()))].into();
        commit_to_bare(&bare, "evenkeel/history/production", &changes, "Large", when).expect("it is pushed");

        let url = bare.to_str().and_then(|path| path.parse().ok()).expect("an address");
        let repository = Repository::open(&folder.path().join("mirror"), &url, Credentials::default());
        let store = GitStore::new(repository.expect("it opens"), "fleet");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let production = "production".parse().expect("a name");
        let read = runtime.spawn(async move {
            store.fetch().await.expect("it is fetched");
            let began = Instant::now();
            let newest = newest(&store, &production).await.expect("it is read");
            (newest, began.elapsed())
        });
        let (newest, took) = runtime.block_on(read).expect("it ends");
        assert_eq!((newest.commit.is_some(), newest.state), (true, EnvironmentState::default()));
        let busy = runtime.metrics().worker_total_busy_duration(0);
        assert!(busy < took / 4, "the runtime's thread was busy for {busy:?} of {took:?}");
    }
}
