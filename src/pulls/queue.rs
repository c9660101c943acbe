//! Which pull requests are planned next, and what people ask for: the state of the loop, without I/O.
//!
//! Keeps true: deliveries and polling say the same, and what both tell happens once; what is planned is of the newest
//! commit that is known.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tracing::{Instrument as _, debug, info_span};

use super::{
    EndedPlan, PlanEnd, PullRequests,
    commands::{Asked, Command},
    pauses::Pauses,
    reason,
};
use crate::{
    github::{Changed, Comment, event::Event},
    host::HostRead,
    model::{commit::CommitId, event::EventKind},
};

/// Deliveries come in bunches: a push, its checks, its labels.
const BUNCH: Duration = Duration::from_millis(100);
/// So long a bunch may hold up the plan.
const LONGEST_BUNCH: Duration = Duration::from_secs(1);
/// What was written so long before this process began is heard of too. GitHub does not repeat a delivery that nobody
/// took, as while evenkeel or its machine was started again; and this machine's clock may run ahead. Whoever asked for
/// something longer ago has seen that nothing came of it.
const MISSED: TimeDelta = TimeDelta::minutes(10);
/// So many comments are known to be obeyed.
const REMEMBERED: usize = 1000;
/// How many are planned at a time.
const AT_ONCE: usize = 2;

/// What becomes of the plan that is being made when another one is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    /// It is of an older commit.
    Aborted,
    Kept,
}

/// What a plan was made of: another commit on either side makes another plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) head: CommitId,
    pub(super) base: String,
    pub(super) commit: CommitId,
}

/// The commit that somebody who may ask for it has asked to have looked at. It is what that person saw: of what is
/// pushed before or later nobody has said anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Approved(Option<CommitId>);

impl Approved {
    pub(super) fn is_for(&self, head: &CommitId) -> bool {
        self.0.as_ref() == Some(head)
    }
}

/// One pull request, between its plans.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// When to plan it, and since when that waits.
    due: Option<(Instant, Instant)>,
    running: Option<AbortHandle>,
    made: Option<Made>,
    /// The head and the base branch as last heard of.
    heard: Option<(String, String)>,
    approved: Approved,
    pauses: Pauses,
}

#[derive(Default)]
pub(super) struct State {
    known: BTreeMap<u64, Known>,
    /// What the list of open ones had when it was last asked for.
    pub(super) list: Option<String>,
    pub(super) open: BTreeSet<u64>,
    /// What people ask for, to be done next.
    pub(super) commands: Vec<Command>,
    /// Comments that were obeyed, the newest last.
    obeyed: VecDeque<u64>,
    pub(super) comments: Option<Comments>,
}

/// How far comments are read. It moves with them and not with the clock: the same question has the same answer, which
/// costs nothing when it is asked again.
#[derive(Debug)]
pub(super) struct Comments {
    /// From when on they are read.
    pub(super) began: DateTime<Utc>,
    pub(super) since: DateTime<Utc>,
    pub(super) etag: Option<String>,
}

impl Comments {
    pub(super) fn begin() -> Self {
        let began = Utc::now() - MISSED;
        Self { began, since: began, etag: None }
    }

    pub(super) fn takes(&mut self, changed: Changed<Vec<Comment>>) -> Vec<Comment> {
        match changed.now.iter().map(|comment| comment.updated_at).max().filter(|newest| *newest > self.since) {
            // Of the same second there may be more.
            Some(newest) => (self.since, self.etag) = (newest, None),
            None => self.etag = changed.etag,
        }
        changed.now
    }
}

impl Known {
    fn is_idle(&self) -> bool {
        self.running.as_ref().is_none_or(AbortHandle::is_finished)
    }
}

impl State {
    /// An event says that something may have changed.
    pub(super) fn heard(&mut self, event: &Event) {
        match event {
            Event::PullRequest(event) => {
                debug!(pull = event.number, action = event.action, "a pull request was changed");
                match event.action.as_str() {
                    "synchronize" | "opened" | "reopened" | "ready_for_review" | "edited" => {}
                    "closed" => {
                        // What runs ends; the next look finds it closed, and lets go of it.
                        self.known.entry(event.number).or_default().heard = None;
                        return self.is_due(event.number, Running::Aborted);
                    }
                    _ => return,
                }
                self.is(event.number, &event.head.commit, &event.base.branch);
            }
            Event::IssueComment(event)
                if event.action == "created" && event.on_pull_request && event.author_type != "Bot" =>
            {
                self.commented(event.number, event.id, &event.author, &event.body);
            }
            Event::CheckRun(event) | Event::CheckSuite(event) if event.action == "rerequested" => {
                event.pulls.iter().for_each(|number| self.asked_again(*number));
            }
            _ => {}
        }
    }

    /// Once: GitHub delivers it, and the list of comments has it too.
    pub(super) fn commented(&mut self, number: u64, comment: u64, author: &str, body: &str) {
        let Some(command) = Command::read(number, comment, author, body) else { return };
        if self.obeyed.contains(&comment) {
            return;
        }
        if self.obeyed.len() == REMEMBERED {
            self.obeyed.pop_front();
        }
        self.obeyed.push_back(comment);
        self.commands.push(command);
    }

    /// Somebody who may has asked for its plan.
    pub(super) fn asked(&mut self, number: u64, asked: Asked) {
        if asked.head.is_some() {
            self.known.entry(number).or_default().approved = Approved(asked.head);
        }
        self.asked_again(number);
    }

    /// What failed need not wait any longer: its cause may be gone.
    pub(super) fn try_again(&mut self, now: Instant) {
        for known in self.known.values_mut().filter(|known| known.pauses.is_failing()) {
            known.due = known.due.map(|(_, since)| (now, since));
        }
    }

    fn asked_again(&mut self, number: u64) {
        self.known.entry(number).or_default().made = None;
        self.is_due(number, Running::Aborted);
    }

    /// One that is open, as the list has it.
    pub(super) fn is(&mut self, number: u64, head: &str, base: &str) {
        let known = self.known.entry(number).or_default();
        let heard = (head.to_owned(), base.to_owned());
        if known.heard.as_ref() != Some(&heard) {
            known.heard = Some(heard);
            self.is_due(number, Running::Aborted);
        }
    }

    /// What is planned on top of a commit that is the newest no more is planned again.
    pub(super) fn bases_moved(&mut self, branches: &BTreeMap<String, CommitId>) {
        let moved = self.known.iter().filter(|(number, known)| {
            let made = known.made.as_ref().filter(|_| self.open.contains(number) && known.due.is_none());
            made.is_some_and(|made| branches.get(&made.base).is_some_and(|commit| *commit != made.commit))
        });
        for number in moved.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.is_due(number, Running::Kept);
        }
    }

    fn is_due(&mut self, number: u64, plan: Running) {
        self.open.insert(number);
        let known = self.known.entry(number).or_default();
        if plan == Running::Aborted
            && let Some(running) = known.running.take()
        {
            running.abort();
        }
        let now = Instant::now();
        let since = known.due.map_or(now, |(_, since)| since);
        known.due = Some(((now + BUNCH).min(since + LONGEST_BUNCH), since));
        known.pauses.begin_anew();
    }

    /// What the list of open ones has no more is looked at: it was closed, and no delivery said so.
    pub(super) fn missed_the_end(&mut self) {
        let gone: Vec<u64> = self.known.keys().filter(|number| !self.open.contains(number)).copied().collect();
        gone.into_iter().for_each(|number| self.is_due(number, Running::Aborted));
    }

    fn closed(&mut self, number: u64) {
        self.known.remove(&number);
        self.open.remove(&number);
    }

    /// Answers when the next one is due.
    pub(super) fn start_what_is_due<H: HostRead>(
        &mut self,
        pulls: &Arc<PullRequests<H>>,
        plans: &mut JoinSet<EndedPlan>,
    ) -> Option<Instant> {
        let now = Instant::now();
        for (number, known) in &mut self.known {
            let is_due = known.due.is_some_and(|(at, _)| at <= now) && known.is_idle();
            if !is_due || plans.len() >= AT_ONCE {
                continue;
            }
            known.due = None;
            let (pulls, number, approved) = (pulls.clone(), *number, known.approved.clone());
            let span = info_span!("pull", pull = number);
            let plan = async move { EndedPlan { number, result: pulls.plan(number, &approved).await } };
            known.running = Some(plans.spawn(plan.instrument(span)));
        }
        let room = plans.len() < AT_ONCE;
        let waiting = self.known.values().filter(|known| known.is_idle());
        waiting.filter_map(|known| known.due.map(|(at, _)| at)).min().filter(|_| room)
    }

    /// Answers what there is to tell of it.
    pub(super) fn ended(&mut self, ended: EndedPlan) -> Option<EventKind> {
        let known = self.known.get_mut(&ended.number)?;
        match ended.result {
            Ok(PlanEnd::Told(made)) => {
                known.made = Some(made);
                known.pauses.begin_anew();
                return Some(EventKind::PullPlanned { pull: ended.number });
            }
            Ok(PlanEnd::NoBase) => {
                known.made = None;
                known.pauses.begin_anew();
            }
            // Unless it was opened again since.
            Ok(PlanEnd::Closed) if known.due.is_none() => self.closed(ended.number),
            Ok(PlanEnd::Closed) => {}
            Err(error) => {
                let pause = known.pauses.next();
                let now = Instant::now();
                known.due.get_or_insert((now + pause, now));
                return Some(EventKind::PullPostponed {
                    pull: ended.number,
                    seconds: pause.as_secs(),
                    why: reason(&error),
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{github::GitHubError, pulls::PullError};

    #[tokio::test(start_paused = true)]
    async fn what_failed_waits_until_its_cause_may_be_gone() {
        let mut state = State::default();
        for number in [7, 8] {
            state.is(number, "head", "main");
            // As when its plan is begun.
            state.known.entry(number).or_default().due = None;
        }
        let suspended = GitHubError::Suspended { app: 1, repository: "o/r".to_owned() };
        state.ended(EndedPlan { number: 7, result: Err(PullError::GitHub(suspended)) });
        let due = |state: &State, number| state.known.get(&number).and_then(|known| known.due).map(|(at, _)| at);
        let now = Instant::now();
        assert_eq!(due(&state, 7), Some(now + super::super::pauses::FIRST));
        state.try_again(now);
        assert_eq!((due(&state, 7), due(&state, 8)), (Some(now), None), "the other one has not failed");
    }
}
