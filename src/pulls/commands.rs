//! `/evenkeel …` in comments: who may ask, and what is done.
//!
//! Keeps true: whether somebody may ask is asked of GitHub each time; a comment is obeyed once, as it was when it was
//! made, also where another process has begun to obey it; what is asked is answered, unless GitHub does not say who may
//! ask, or a process ended in the middle.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    PullError, PullRequests,
    pauses::Pauses,
    reason,
    rights::{Refusal, Ruling},
    told,
};
use crate::{
    engine::prepare::preparation::Build,
    engine::{
        history::{log, store::HistoryStore as _},
        observe::probe,
        requests::{
            control::{self, Ask, ControlError, Request},
            rollback,
            why::{Subject, why},
        },
    },
    github::{GitHubError, NewPull, Reaction},
    host::HostRead,
    model::{
        commit::CommitId,
        event::{Detail, EventKind},
        name::{EnvironmentName, InvalidName},
        plan::Commits,
        pull::PullState,
        rights::Verb,
    },
    report::{
        self, Style,
        pull::{Answer, answer},
        release::Known,
    },
};

/// How many deployments back the last change of something is looked for.
const RECORDS: usize = 200;

/// How long whoever asked still means it, while it is not known whether they may.
pub(super) const MEANT: Duration = Duration::from_secs(600);
/// How long it is tried to say what was done.
const ANSWERED: Duration = Duration::from_secs(24 * 3600);

/// A comment that asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The pull request that it stands on.
    pub number: u64,
    pub comment: u64,
    pub author: String,
    /// What follows `/evenkeel`.
    words: String,
}

/// A plan that somebody who may ask for it has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The commit that the person saw, where it matters: whatever is pushed later was not asked for.
    pub(super) head: Option<CommitId>,
}

/// What a command came to.
enum CommandOutcome {
    /// The plan is its answer.
    Plan(Asked),
    Help,
    Unknown,
    Misused(String),
    NotAllowed(Refusal),
    Refused(String),
    Done(String, Vec<String>),
}

impl Command {
    /// None where a comment asks for nothing.
    pub fn read(number: u64, comment: u64, author: &str, body: &str) -> Option<Self> {
        let first = body.trim_start().lines().next()?;
        let words = first.strip_prefix("/evenkeel").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))?;
        Some(Self { number, comment, author: author.to_owned(), words: words.trim().to_owned() })
    }

    pub(super) fn name(&self) -> &str {
        self.words.split_whitespace().next().unwrap_or("help")
    }

    /// What its answer ends with.
    fn marker(&self) -> String {
        format!("<!-- evenkeel: the answer to comment {} -->", self.comment)
    }

    /// The environment that is named with `-e`, and everything else after the name.
    fn arguments(&self) -> Result<(Option<EnvironmentName>, String), InvalidName> {
        let mut words = self.words.split_whitespace().skip(1);
        let (mut environment, mut rest) = (None, Vec::new());
        while let Some(word) = words.next() {
            match word {
                "-e" | "--environment" => environment = Some(words.next().unwrap_or_default().parse()?),
                word => rest.push(word),
            }
        }
        Ok((environment, rest.join(" ")))
    }
}

/// What follows `/evenkeel rollback`: a generation, then the reason, or one of them. None where its first word would be a
/// number and is none: nothing is brought back on the strength of a slip.
fn generation_and_reason(rest: &str) -> Option<(Option<u64>, Option<&str>)> {
    let said = |reason: &'_ str| !reason.is_empty();
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    if first.starts_with(|c: char| c.is_ascii_digit() || "#+-".contains(c)) {
        return Some((Some(first.parse().ok()?), Some(after).filter(|reason| said(reason))));
    }
    Some((None, Some(rest).filter(|reason| said(reason))))
}

impl<H: HostRead> PullRequests<H> {
    /// Asks GitHub again while it is away or takes no more, for so long.
    pub(super) async fn patiently<T, F: Future<Output = Result<T, GitHubError>>>(
        &self,
        most: Duration,
        command: &Command,
        ask: impl Fn() -> F,
    ) -> Result<T, GitHubError> {
        let began = Instant::now();
        let mut pauses = Pauses::default();
        loop {
            let answer = ask().await;
            let Err(error) = answer.as_ref().map(drop) else { return answer };
            let pause = pauses.next();
            if !error.may_pass() || began.elapsed() + pause >= most {
                return answer;
            }
            let seconds = pause.as_secs();
            self.emit(EventKind::CommandPostponed { pull: command.number, seconds, why: reason(error) });
            sleep(pause).await;
        }
    }

    /// Does what a comment asks for. Answers the plan that is to be made for it.
    pub(super) async fn obey(&self, command: &Command) -> Result<Option<Asked>, PullError> {
        let name = command.name();
        if self.patiently(MEANT, command, || self.was_seen(command)).await? {
            let (pull, comment, command) = (command.number, command.comment, Detail::of(name));
            self.emit(EventKind::CommandRepeated { pull, comment, command });
            return Ok(None);
        }
        let see = async {
            if let Err(error) = self.github.react(command.comment, Reaction::Eyes).await {
                self.emit(EventKind::CommandUnmarked { pull: command.number, why: reason(&error) });
            }
        };
        // That it was seen keeps the next process from doing it again. But writes take turns and may have to wait for
        // long: what stops something does not wait with them.
        let done = if matches!(name, "hold" | "cancel") {
            tokio::join!(see, self.done(command)).1?
        } else {
            see.await;
            self.done(command).await?
        };
        let said = match &done {
            CommandOutcome::Plan(asked) => {
                self.says_again(command.number);
                return Ok(Some(asked.clone()));
            }
            CommandOutcome::Help => Answer::Help,
            CommandOutcome::Unknown => Answer::Unknown { word: name },
            CommandOutcome::Misused(why) => Answer::Misused { command: name, why },
            CommandOutcome::NotAllowed(refusal) => Answer::NotAllowed {
                command: name,
                login: &command.author,
                permission: refusal.permission,
                needed: &refusal.needed,
                unknown: &refusal.unknown,
                unread: refusal.is_unread,
            },
            CommandOutcome::Refused(why) => Answer::Refused { command: name, why },
            CommandOutcome::Done(what, lines) => Answer::Done { command: name, what, lines },
        };
        self.answer(command, &answer(&said)).await?;
        Ok(None)
    }

    /// Whether evenkeel has begun to obey it, as GitHub knows: the process before, or one elsewhere.
    async fn was_seen(&self, command: &Command) -> Result<bool, GitHubError> {
        let ourselves = self.ourselves().await?;
        let seen = self.github.reacted(command.comment, Reaction::Eyes).await?;
        Ok(seen.iter().any(|login| login == ourselves) || self.is_answered(command).await?)
    }

    async fn is_answered(&self, command: &Command) -> Result<bool, GitHubError> {
        let (ourselves, marker) = (self.ourselves().await?, command.marker());
        let there = self.github.comments(command.number).await?;
        Ok(there.iter().any(|comment| comment.author == ourselves && comment.body.ends_with(&marker)))
    }

    /// A comment that GitHub took and never said so is found by its marker, and not made again.
    async fn answer(&self, command: &Command, said: &str) -> Result<(), GitHubError> {
        let body = format!("{said}\n\n{}", command.marker());
        let was_tried = AtomicBool::new(false);
        self.patiently(ANSWERED, command, || async {
            if was_tried.swap(true, Ordering::Relaxed) && self.is_answered(command).await? {
                return Ok(());
            }
            self.github.create_comment(command.number, &body).await.map(drop)
        })
        .await
    }

    async fn done(&self, command: &Command) -> Result<CommandOutcome, PullError> {
        let verb = Verb::named(command.name());
        let arguments = command.arguments();
        let named = arguments.as_ref().ok().and_then(|(environment, _)| environment.as_ref());
        let environment = match self.rule(command, verb, named).await? {
            Ruling::Refused(refusal) => return Ok(CommandOutcome::NotAllowed(refusal)),
            // From here on it is about the environment whose rules allowed it, whatever is pushed meanwhile.
            Ruling::Allowed { environment } => environment.or_else(|| named.cloned()),
        };
        let (Some(verb), Ok((_, rest))) = (verb, &arguments) else {
            let misused = arguments.err().map(|error| CommandOutcome::Misused(error.to_string()));
            return Ok(misused.filter(|_| verb.is_some()).unwrap_or(CommandOutcome::Unknown));
        };
        Ok(self.outcome(command, verb, environment, rest.clone()).await.unwrap_or_else(|error| {
            self.emit(EventKind::CommandFailed { pull: command.number, why: reason(&error) });
            CommandOutcome::Refused(report::chain(&error))
        }))
    }

    async fn outcome(
        &self,
        command: &Command,
        verb: Verb,
        environment: Option<EnvironmentName>,
        rest: String,
    ) -> Result<CommandOutcome, PullError> {
        let mut reason = None;
        let ask = match verb {
            Verb::Help => return Ok(CommandOutcome::Help),
            Verb::Plan => return self.plan_again(command, &rest).await,
            Verb::Apply => return self.apply(command, environment).await,
            Verb::Rollback => return self.roll_back(environment, &rest).await,
            Verb::Why => return self.why(environment, &rest).await,
            Verb::Hold if rest.is_empty() => return Ok(CommandOutcome::Misused("a hold needs a reason".to_owned())),
            Verb::Hold => Ask::Hold { instance: None, reason: rest },
            Verb::Resume | Verb::Retry => {
                reason = Some(rest).filter(|rest| !rest.is_empty());
                match verb {
                    Verb::Resume => Ask::Resume { instance: None },
                    _ => Ask::Retry { allow_rewind: false, take_over: false },
                }
            }
            Verb::Cancel => {
                let reason =
                    if rest.is_empty() { format!("asked for on pull request {}", command.number) } else { rest };
                Ask::Cancel { reason }
            }
        };
        let by = format!("{} on GitHub", command.author);
        Ok(match self.controller.asked(&Request { environment, by, ask, reason }).await {
            Ok(said) => CommandOutcome::Done(said, Vec::new()),
            Err(error) => CommandOutcome::Refused(report::chain(&error)),
        })
    }

    /// A pull request of this repository is planned as it is now. One from a fork is planned as the person saw it:
    /// the commit that follows the command, or else the one that was told here before the command was written.
    async fn plan_again(&self, command: &Command, rest: &str) -> Result<CommandOutcome, PullError> {
        let pull = self.github.pull(command.number).await?;
        match pull.state {
            PullState::Open => {}
            PullState::Closed => {
                return Ok(CommandOutcome::Refused("it is closed, so there is nothing to plan; reopen it".to_owned()));
            }
            PullState::Merged { .. } => {
                let why = "it is merged, so there is nothing to plan; what was deployed is told here";
                return Ok(CommandOutcome::Refused(why.to_owned()));
            }
        }
        let named = match rest {
            "" => None,
            rest => match CommitId::named(rest) {
                Some(commit) => Some(commit),
                None => {
                    return Ok(CommandOutcome::Misused("what follows is a commit, with all of its digits".to_owned()));
                }
            },
        };
        let is_fork = self.is_fork(&pull);
        if named.is_none() && (!is_fork || self.plans_forks_now().await?) {
            return Ok(CommandOutcome::Plan(Asked { head: None }));
        }
        let told = self.told(command.number).await?;
        let written = self.github.comment(command.comment).await?.created_at;
        if told::meant(named.as_ref(), told.as_ref(), written) == Some(&pull.head) {
            return Ok(CommandOutcome::Plan(Asked { head: Some(pull.head) }));
        }
        Ok(CommandOutcome::Refused(format!(
            "the newest commit is {head}, and the command does not mean that one; look at it, then write \
             /evenkeel plan {head}",
            head = pull.head
        )))
    }

    /// What is merged is deployed without waiting for the next look. What is not is never.
    async fn apply(
        &self,
        command: &Command,
        environment: Option<EnvironmentName>,
    ) -> Result<CommandOutcome, PullError> {
        let pull = self.github.pull(command.number).await?;
        if !matches!(pull.state, PullState::Merged { .. }) {
            let why = "it is not merged: what is deployed is what the branch holds, so merge it to deploy it";
            return Ok(CommandOutcome::Refused(why.to_owned()));
        }
        let environment = match self.environment(environment).await {
            Ok(environment) => environment,
            Err(error) => return Ok(CommandOutcome::Refused(report::chain(&error))),
        };
        self.controller.retry(&environment);
        Ok(CommandOutcome::Done(format!("{environment} is looked at now, and what is merged is deployed"), Vec::new()))
    }

    async fn environment(&self, named: Option<EnvironmentName>) -> Result<EnvironmentName, ControlError> {
        control::environment(
            &self.controller.workspace.store,
            &self.controller.workspace.preparation.folder,
            named.as_ref(),
        )
        .await
    }

    async fn roll_back(&self, environment: Option<EnvironmentName>, rest: &str) -> Result<CommandOutcome, PullError> {
        let Some((generation, reason)) = generation_and_reason(rest) else {
            return Ok(CommandOutcome::Misused(
                "what follows is a generation, a number, or the reason, or both".to_owned(),
            ));
        };
        let environment = match self.environment(environment).await {
            Ok(environment) => environment,
            Err(error) => return Ok(CommandOutcome::Refused(report::chain(&error))),
        };
        let store = &self.controller.workspace.store;
        let target = rollback::earlier(store, &environment, generation).await?;
        let restored = rollback::restore(store, &self.controller.workspace.preparation.folder, &target, reason).await?;
        let title = format!("Go back to what generation {} deployed to {environment}", target.generation);
        let new = NewPull {
            body: report::deployment::restore_message(&target.environment, target.generation, &target.commits, reason),
            title,
            head: restored.branch,
            base: restored.base,
        };
        let pull = self.github.create_pull(&new).await?;
        Ok(CommandOutcome::Done(
            format!("#{} brings back what generation {} deployed", pull.number, target.generation),
            vec![pull.url],
        ))
    }

    async fn why(&self, environment: Option<EnvironmentName>, rest: &str) -> Result<CommandOutcome, PullError> {
        let subject: Subject = match rest.parse() {
            Ok(subject) if !rest.is_empty() => subject,
            Ok(_) => return Ok(CommandOutcome::Misused("it needs a service, a site, a unit or a path".to_owned())),
            Err(error) => return Ok(CommandOutcome::Misused(error.to_string())),
        };
        let environment = match self.environment(environment).await {
            Ok(environment) => environment,
            Err(error) => return Ok(CommandOutcome::Refused(report::chain(&error))),
        };
        let newest = log::newest(&self.controller.workspace.store, &environment).await?;
        let Some(good) = newest.state.kept_up().map(|good| good.commits.clone()) else {
            return Ok(CommandOutcome::Refused("nothing was deployed there yet".to_owned()));
        };
        let lines = self.reasons(&subject, &environment, &good).await?;
        Ok(CommandOutcome::Done("it is so because".to_owned(), lines))
    }

    async fn reasons(
        &self,
        subject: &Subject,
        environment: &EnvironmentName,
        commits: &Commits,
    ) -> Result<Vec<String>, PullError> {
        let newest = self.controller.workspace.newest(environment).await?;
        let prepared = self.controller.workspace.prepared(environment, commits, &newest, Build::LookUp).await?;
        let hosts = self.connections.hosts(&prepared.fleet);
        let observed = probe::observe(&prepared, &hosts, &|_| {}).await;
        let plan = probe::plan_from(&prepared, &observed, newest.newest_generation());
        let records = log::records(&self.controller.workspace.store, environment, RECORDS).await?;
        let mut known = Known::default();
        let files = self.controller.workspace.store.tip(environment).await?.map(|tip| tip.files).unwrap_or_default();
        files.iter().for_each(|(path, text)| known.learn(path, &String::from_utf8_lossy(text)));
        let view = why(subject, &prepared, &plan, &observed, &records, &known.logs);
        Ok(report::why::text(&view, Style(false)).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_asks_for_something_only_where_it_begins_so() {
        let words = |body| Command::read(7, 8, "ann", body).map(|command| command.words);
        assert_eq!(words("/evenkeel plan\nplease").as_deref(), Some("plan"));
        assert_eq!(words("\n  /evenkeel   hold -e staging the demo").as_deref(), Some("hold -e staging the demo"));
        assert_eq!(words("/evenkeel").as_deref(), Some(""));
        for body in ["", "please /evenkeel plan", "> /evenkeel apply", "/evenkeeler plan", "`/evenkeel plan`"] {
            assert_eq!(words(body), None, "{body}");
        }
    }

    #[test]
    fn a_rollback_takes_a_generation_and_a_reason() {
        assert_eq!(generation_and_reason(""), Some((None, None)));
        assert_eq!(generation_and_reason("41"), Some((Some(41), None)));
        assert_eq!(generation_and_reason("41 the cart is empty"), Some((Some(41), Some("the cart is empty"))));
        assert_eq!(generation_and_reason("the cart is empty"), Some((None, Some("the cart is empty"))));
        for slip in ["4l", "#41", "-1", "41, the cart", "99999999999999999999"] {
            assert_eq!(generation_and_reason(slip), None, "{slip}");
        }
    }

    #[test]
    fn an_environment_is_named_anywhere_and_the_rest_stays() -> Result<(), InvalidName> {
        let command = Command::read(7, 8, "ann", "/evenkeel hold the -e staging demo").expect("a command");
        assert_eq!(command.name(), "hold");
        assert_eq!(command.arguments()?, (Some("staging".parse()?), "the demo".to_owned()));
        assert!(Command::read(7, 8, "ann", "/evenkeel hold -e").expect("a command").arguments().is_err());
        Ok(())
    }
}
