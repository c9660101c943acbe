//! What is merged and has to wait, told where people look: a queued deployment, and a queued check.
//!
//! Keeps true: what waits only for a moment is not told; what is told to wait and then never happens is let go; when
//! a deployment begins, `deployed.rs` goes on with what was told here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    PullError, PullRequests,
    pauses::Pauses,
    reason,
    wakes::{Wake, Wakes},
};
use crate::{
    github::{DeploymentState, NewDeployment, NewDeploymentStatus},
    host::HostRead,
    model::{
        commit::CommitId,
        event::EventKind,
        name::EnvironmentName,
        pull::CheckState,
        status::{Health, Waiting},
    },
    report,
};

/// What waits no longer than this is not worth the words.
const PATIENCE: Duration = Duration::from_secs(2);
/// Grace period: nothing is known to wait for a moment between two syncs.
const GONE: Duration = Duration::from_secs(5);

/// What waits in each environment, and what is told of it.
#[derive(Debug, Default)]
pub(super) struct Queue(BTreeMap<EnvironmentName, QueuePlace>);

#[derive(Debug)]
struct QueuePlace {
    waiting: Waiting,
    since: Instant,
    /// What was told of it.
    told: Option<Waiting>,
    /// Since when nothing is known to wait.
    gone: Option<Instant>,
}

/// What is to be told next.
#[derive(Debug, PartialEq, Eq)]
enum NextWord {
    Queued(EnvironmentName, Waiting),
    LetGo(EnvironmentName, Waiting),
}

/// How an environment is at the moment, as far as it matters here.
struct Now {
    waiting: Option<Waiting>,
    is_deploying: bool,
    /// The newest deployment that is known, and its commit.
    deployed: Option<(u64, Option<CommitId>)>,
}

impl Now {
    fn has_deployed(&self, told: &Waiting) -> bool {
        self.deployed
            .as_ref()
            .is_some_and(|(generation, commit)| *generation >= told.generation && commit.as_ref() == Some(&told.commit))
    }

    /// Whether what was told to wait is deployed, or being deployed, now that `next` waits for a later generation.
    fn goes_on_with(&self, told: &Waiting, next: &Waiting) -> bool {
        self.has_deployed(told) || (self.is_deploying && told.generation < next.generation)
    }
}

impl Queue {
    /// What is to be told of one environment.
    fn next(&mut self, environment: &EnvironmentName, now: &Now, at: Instant) -> Option<NextWord> {
        let Some(waiting) = &now.waiting else { return self.ceased(environment, now, at) };
        let place = self.0.entry(environment.clone()).or_insert_with(|| QueuePlace {
            waiting: waiting.clone(),
            since: at,
            told: None,
            gone: None,
        });
        place.gone = None;
        let is_the_same = |other: &Waiting| (&other.commit, other.generation) == (&waiting.commit, waiting.generation);
        if !is_the_same(&place.waiting) {
            place.since = at;
        }
        place.waiting = waiting.clone();
        // It was deployed between two looks, or is just being: its deployment tells of it.
        place.told.take_if(|told| !is_the_same(told) && now.goes_on_with(told, waiting));
        match &place.told {
            Some(told) if told == waiting => None,
            // Something else waits in its place.
            Some(told) if !is_the_same(told) => Some(NextWord::LetGo(environment.clone(), told.clone())),
            _ if at < place.since + PATIENCE => None,
            _ => Some(NextWord::Queued(environment.clone(), waiting.clone())),
        }
    }

    fn ceased(&mut self, environment: &EnvironmentName, now: &Now, at: Instant) -> Option<NextWord> {
        let place = self.0.get_mut(environment)?;
        let Some(told) = &place.told else {
            self.0.remove(environment);
            return None;
        };
        if now.has_deployed(told) {
            self.0.remove(environment);
            return None;
        }
        let gone = *place.gone.get_or_insert(at);
        if now.is_deploying {
            place.gone = None;
            return None;
        }
        (at >= gone + GONE).then(|| NextWord::LetGo(environment.clone(), told.clone()))
    }

    /// When something is to be told although nothing changes.
    fn next_due(&self) -> Option<Instant> {
        let due = |place: &QueuePlace| match (&place.told, place.gone) {
            (None, _) => Some(place.since + PATIENCE),
            (Some(_), Some(gone)) => Some(gone + GONE),
            (Some(_), None) => None,
        };
        self.0.values().filter_map(due).min()
    }

    fn was_told(&mut self, next: &NextWord) {
        match next {
            NextWord::Queued(environment, waiting) => {
                if let Some(place) = self.0.get_mut(environment) {
                    place.told = Some(waiting.clone());
                }
            }
            NextWord::LetGo(environment, told) => {
                let still_waits = self.0.get(environment).is_some_and(|place| place.waiting != *told);
                if !still_waits {
                    self.0.remove(environment);
                } else if let Some(place) = self.0.get_mut(environment) {
                    place.told = None;
                }
            }
        }
    }
}

impl<H: HostRead> PullRequests<H> {
    /// Tells what has to wait, until `stop`.
    pub async fn tell_what_waits(self: Arc<Self>, stop: CancellationToken) {
        let events = self.controller.workspace.events.subscribe();
        let mut wakes = Wakes::of(events, |kind| matches!(kind, EventKind::EnvironmentChanged { .. }));
        let mut queue = Queue::default();
        let mut pauses = Pauses::default();
        loop {
            let due = match self.tell_the_queue(&mut queue).await {
                Ok(()) => {
                    pauses.begin_anew();
                    queue.next_due()
                }
                Err(error) => {
                    self.emit(EventKind::WaitReportFailed { why: reason(&error) });
                    Some(Instant::now() + pauses.next())
                }
            };
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // After a failure a change does not shorten the pause.
                wake = wakes.next(if pauses.is_failing() { Wake::SignedIn } else { Wake::News }) => {
                    if wake == Wake::SignedIn {
                        pauses.begin_anew();
                    }
                }
                () = is_due => {}
            }
        }
    }

    async fn tell_the_queue(&self, queue: &mut Queue) -> Result<(), PullError> {
        let environments: Vec<EnvironmentName> = self.controller.statuses().keys().cloned().collect();
        let mut result = Ok(());
        for environment in environments {
            // That one cannot be told of keeps nobody from being told of the others.
            result = result.and(self.tell_all(queue, &environment).await);
        }
        result
    }

    async fn tell_all(&self, queue: &mut Queue, environment: &EnvironmentName) -> Result<(), PullError> {
        // Not while a deployment is told of: what waits would be told after it has begun.
        let _turn = self.telling.lock().await;
        while let Some(now) = self.now(environment)
            && let Some(next) = queue.next(environment, &now, Instant::now())
        {
            match &next {
                NextWord::Queued(environment, waiting) => self.tell_queued(environment, waiting).await?,
                NextWord::LetGo(environment, waiting) => self.let_go(environment, waiting).await?,
            }
            queue.was_told(&next);
        }
        Ok(())
    }

    fn now(&self, environment: &EnvironmentName) -> Option<Now> {
        let statuses = self.controller.statuses();
        let view = statuses.get(environment)?;
        Some(Now {
            waiting: view.waiting.clone(),
            is_deploying: view.health == Health::Progressing,
            deployed: view.deployed.as_ref().map(|deployed| (deployed.generation, deployed.commit.clone())),
        })
    }

    async fn tell_queued(&self, environment: &EnvironmentName, waiting: &Waiting) -> Result<(), PullError> {
        let Waiting { commit, generation, why, .. } = waiting;
        let id = match self.find_deployment(environment, commit, &[*generation]).await? {
            // It has begun, or has ended: that is told.
            Some(known) if !self.is_queued(known.id).await? => return Ok(()),
            Some(known) => known.id,
            None => {
                let new = NewDeployment {
                    commit: commit.clone(),
                    environment: environment.to_string(),
                    description: why.clone(),
                    payload: json!({"generation": generation}),
                };
                self.github.create_deployment(&new).await?.id
            }
        };
        self.say(id, DeploymentState::Queued, why).await?;
        self.put_deploy_check(environment, report::pull::queued_check(environment, waiting)).await?;
        self.emit_of(environment, Some(*generation), EventKind::WaitReported {});
        Ok(())
    }

    async fn let_go(&self, environment: &EnvironmentName, waiting: &Waiting) -> Result<(), PullError> {
        if let Some(known) = self.find_deployment(environment, &waiting.commit, &[waiting.generation]).await?
            && self.is_queued(known.id).await?
        {
            self.say(known.id, DeploymentState::Inactive, "not deployed: it is live already, or something newer is")
                .await?;
        }
        if self.deploy_check(environment, &waiting.commit).is_some_and(|known| known.state == CheckState::Queued) {
            self.put_deploy_check(environment, report::pull::let_go_check(environment, &waiting.commit)).await?;
        }
        Ok(())
    }

    /// Whether nothing was told of a deployment but that it waits. One that was just made is not told of yet.
    async fn is_queued(&self, deployment: u64) -> Result<bool, PullError> {
        let newest = self.github.deployment_statuses(deployment).await?.into_iter().next();
        Ok(newest.is_none_or(|status| status.state == DeploymentState::Queued))
    }

    pub(super) async fn say(&self, id: u64, state: DeploymentState, description: &str) -> Result<(), PullError> {
        let status =
            NewDeploymentStatus { state, log_url: None, description: description.to_owned(), auto_inactive: false };
        Ok(self.github.set_deployment_status(id, &status).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::WaitsOn;

    fn environment() -> EnvironmentName {
        "test".parse().expect("a name")
    }

    fn waiting(commit: &str, generation: u64) -> Waiting {
        Waiting { commit: commit.into(), generation, on: WaitsOn::Hold, why: "held".to_owned() }
    }

    fn now(waiting: Option<Waiting>, deployed: Option<(u64, &str)>) -> Now {
        let deployed = deployed.map(|(generation, commit)| (generation, Some(commit.into())));
        Now { waiting, is_deploying: false, deployed }
    }

    struct Clock(Queue, Instant);

    impl Clock {
        /// What is told after so many seconds, and is known to be told then.
        fn after(&mut self, seconds: u64, now: &Now) -> Option<NextWord> {
            self.1 += Duration::from_secs(seconds);
            let next = self.0.next(&environment(), now, self.1);
            next.iter().for_each(|next| self.0.was_told(next));
            next
        }
    }

    fn begins() -> Clock {
        Clock(Queue::default(), Instant::now())
    }

    #[test]
    fn what_waits_is_told_once_and_not_at_once() {
        let mut clock = begins();
        let held = now(Some(waiting("b", 2)), Some((1, "a")));
        assert_eq!(clock.after(0, &held), None);
        assert_eq!(clock.after(1, &held), None);
        assert_eq!(clock.after(1, &held), Some(NextWord::Queued(environment(), waiting("b", 2))));
        assert_eq!(clock.after(100, &held), None);
        let why = Waiting { why: "checks".to_owned(), ..waiting("b", 2) };
        let checks = now(Some(why.clone()), Some((1, "a")));
        assert_eq!(clock.after(1, &checks), Some(NextWord::Queued(environment(), why)));
    }

    #[test]
    fn what_is_deployed_in_time_is_not_told_to_wait() {
        let mut clock = begins();
        clock.after(0, &now(Some(waiting("b", 2)), Some((1, "a"))));
        assert_eq!(clock.after(1, &now(None, Some((2, "b")))), None);
        assert_eq!(clock.after(100, &now(None, Some((2, "b")))), None);
    }

    #[test]
    fn what_waited_and_is_deployed_is_left_to_its_deployment() {
        let mut clock = begins();
        let held = now(Some(waiting("b", 2)), Some((1, "a")));
        clock.after(0, &held);
        clock.after(2, &held).expect("it is told");
        assert_eq!(clock.after(1, &Now { is_deploying: true, ..now(None, Some((1, "a"))) }), None);
        assert_eq!(clock.after(100, &Now { is_deploying: true, ..now(None, Some((1, "a"))) }), None);
        assert_eq!(clock.after(1, &now(None, Some((2, "b")))), None);
        assert_eq!(clock.after(100, &now(None, Some((2, "b")))), None);
    }

    #[test]
    fn what_was_deployed_between_two_looks_is_not_let_go_for_the_next_that_waits() {
        let next = || Some(waiting("c", 3));
        let deploying = Now { is_deploying: true, ..now(next(), Some((1, "a"))) };
        for later in [now(next(), Some((2, "b"))), deploying] {
            let mut clock = begins();
            let held = now(Some(waiting("b", 2)), Some((1, "a")));
            clock.after(0, &held);
            clock.after(2, &held).expect("it is told");
            assert_eq!(clock.after(1, &later), None);
            assert_eq!(clock.after(2, &later), Some(NextWord::Queued(environment(), waiting("c", 3))));
        }
    }

    #[test]
    fn what_waited_and_never_happens_is_let_go() {
        let mut clock = begins();
        let held = now(Some(waiting("b", 2)), Some((1, "a")));
        clock.after(0, &held);
        clock.after(2, &held).expect("it is told");
        let nothing = now(None, Some((1, "a")));
        assert_eq!(clock.after(1, &nothing), None);
        assert_eq!(clock.after(5, &nothing), Some(NextWord::LetGo(environment(), waiting("b", 2))));
        assert_eq!(clock.after(100, &nothing), None);
    }

    #[test]
    fn what_a_newer_commit_takes_the_place_of_is_let_go() {
        let mut clock = begins();
        let held = now(Some(waiting("b", 2)), Some((1, "a")));
        clock.after(0, &held);
        clock.after(2, &held).expect("it is told");
        let newer = now(Some(waiting("c", 2)), Some((1, "a")));
        assert_eq!(clock.after(1, &newer), Some(NextWord::LetGo(environment(), waiting("b", 2))));
        assert_eq!(clock.after(1, &newer), None);
        assert_eq!(clock.after(1, &newer), Some(NextWord::Queued(environment(), waiting("c", 2))));
    }
}
