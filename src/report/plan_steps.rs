//! The steps of one resource on one instance, as a paragraph and as a line.

use std::collections::BTreeSet;

use super::{
    diff,
    style::{Mark, Style},
    words::{self, one_line, visible},
};
use crate::model::{
    change::{says_its_reason, shared_reason},
    desired::Resource,
    fleet::{Check, Health},
    name::InstanceName,
    observation::LiveFolder,
    plan::{Action, Fate, Leading, Plan, ReplicaPlace, Step, Verb, fate},
    quantity::Span,
};

/// The steps of one resource on one instance, in the order in which they are carried out.
pub(super) struct Group<'a> {
    resource: &'a Resource,
    steps: Vec<&'a Step>,
}

/// The resources that change on an instance, each where its first step is.
pub(super) fn groups<'a>(plan: &'a Plan, instance: &'a InstanceName) -> Vec<Group<'a>> {
    plan.by_first_step(instance).into_iter().map(|(resource, steps)| Group { resource, steps }).collect()
}

impl Group<'_> {
    pub fn text(&self, style: Style) -> String {
        let mark = self.mark();
        let resource = visible(&self.resource.to_string());
        let reason = shared_reason(&self.steps);
        let heading = match reason {
            Some(reason) => {
                format!("{}  {}", style.as_mark(mark, &format!("{resource:<28}")), style.dim(&one_line(reason)))
            }
            None => style.as_mark(mark, &resource),
        };
        let mut text = format!("  {} {heading}\n", style.mark(mark));
        for step in &self.steps {
            let lines = self.lines(step, style);
            let mut lines = lines.into_iter();
            let Some(first) = lines.next() else { continue };
            let own = Some(step.reason.as_str()).filter(|own| reason != Some(*own) && says_its_reason(&step.action));
            let own = own.map(|own| format!("  {}", style.dim(&format!("({})", one_line(own))))).unwrap_or_default();
            text += &format!("      {first}{own}\n");
            text.extend(lines.map(|line| format!("      {line}\n")));
        }
        text
    }

    /// The marks it is shown with, for the legend.
    pub fn marks(&self) -> Vec<Mark> {
        let steps =
            self.steps.iter().filter(|step| !self.is_told_elsewhere(step)).map(|step| mark_of(step.action.verb()));
        steps.chain([self.mark()]).collect()
    }

    fn mark(&self) -> Mark {
        let starts = |step: &&Step| step.action.started().is_some();
        match fate(&self.steps) {
            Fate::Create => Mark::Create,
            Fate::Update => Mark::Update,
            Fate::Delete => Mark::Delete,
            Fate::Restart if self.steps.iter().any(starts) => Mark::Restart,
            Fate::Restart => Mark::Update,
        }
    }

    /// Whether the step is part of another one's line: a unit that is enabled and started is one line.
    fn is_told_elsewhere(&self, step: &Step) -> bool {
        matches!(&step.action, Action::EnableUnit { unit } if self.has(&Action::StartUnit { unit: unit.clone() }))
    }

    fn has(&self, action: &Action) -> bool {
        self.steps.iter().any(|step| step.action == *action)
    }

    /// What a step does, first what then how; without indentation.
    fn lines(&self, step: &Step, style: Style) -> Vec<String> {
        let line = |words: String| vec![format!("{} {words}", style.mark(mark_of(step.action.verb())))];
        match &step.action {
            _ if self.is_told_elsewhere(step) => Vec::new(),
            Action::WriteFile { path, before, content, mode } => match diff::confined(&step.action) {
                Some(confined) => line(confined),
                None => diff::written(path, before, content, *mode, style),
            },
            Action::WriteLink { path, before, target } => vec![diff::linked(path, before, target, style)],
            Action::RemoveFile { path, .. } => line(style.as_mark(Mark::Delete, &visible(path))),
            Action::InstallPackages { names } => {
                line(format!("installs {} (added, never removed, not undone)", visible(&names.join(", "))))
            }
            Action::StageRelease { source, due: true, .. } => {
                line(format!("a release from {}, which is built when this is applied", visible(source)))
            }
            Action::StageRelease { release, source, files, bytes, due: false } => line(format!(
                "release {} from {}, {}, {}",
                release.short(),
                visible(source),
                words::count(*files, "file"),
                words::size(*bytes)
            )),
            Action::BuildVenv { key, interpreter, requirements, .. } => line(format!(
                "virtual environment {} of {}, made with {}",
                key.short(),
                visible(requirements.rsplit('/').next().unwrap_or(requirements)),
                visible(interpreter)
            )),
            Action::SealManifest { path } => line(format!("{}: root alone reads it", visible(path))),
            Action::MendFolder { path, before, mode } => line(folder(path, before, *mode)),
            Action::ReadUnits { unit } => line(format!("has systemd read the files of {} again", visible(unit))),
            Action::StopUnit { unit, foreign: true } => {
                line(format!("stops and disables {}, which it replaces", visible(unit)))
            }
            Action::StopUnit { unit, foreign: false } => line(format!("stops and disables {}", visible(unit))),
            Action::EnableUnit { unit } => line(format!("enables {}", visible(unit))),
            Action::StartUnit { unit } if self.has(&Action::EnableUnit { unit: unit.clone() }) => {
                line(format!("enables and starts {}", visible(unit)))
            }
            Action::StartUnit { unit } => line(format!("starts {}", visible(unit))),
            Action::RestartUnit { unit } => line(format!("restarts {}", visible(unit))),
            Action::ReloadNginx { .. } => line("reloads nginx, and waits until it serves these files".to_owned()),
            Action::ReleaseNginx => line("reloads nginx, which goes on without our files".to_owned()),
            Action::AwaitHealth { port, health, .. } => {
                vec![format!("  {}", style.dim(&format!("then waits until it is healthy: {}", check(*port, health))))]
            }
            Action::ShiftTraffic { away, back, .. } => line(format!("has nginx lead {}", shifted(away, back))),
            Action::SwitchPort { port, to, .. } => line(format!("has nginx {}", switched(*port, to.as_ref()))),
            Action::Drain { timeout, .. } => vec![format!("  {}", style.dim(&drained(*timeout)))],
            Action::Pause { span, .. } => {
                vec![format!("  {}", style.dim(&format!("then waits for {span}, and sees that it is still healthy")))]
            }
        }
    }
}

/// Where requests no longer go, and where they go again: `no requests to web on h2, and those to web on h1 there again`.
pub(super) fn shifted(away: &BTreeSet<ReplicaPlace>, back: &BTreeSet<ReplicaPlace>) -> String {
    let places = |places: &BTreeSet<ReplicaPlace>| {
        let names: Vec<String> = places.iter().map(|(service, instance)| format!("{service} on {instance}")).collect();
        names.join(", ")
    };
    match (away.is_empty(), back.is_empty()) {
        (_, true) => format!("no requests to {}", places(away)),
        (true, false) => format!("requests to {} again", places(back)),
        (false, false) => format!("requests to {} again, and none to {}", places(back), places(away)),
    }
}

/// Where a port leads: `lead port 8100 to the green copy`.
pub(super) fn switched(port: u16, to: Option<&Leading>) -> String {
    match to {
        Some(Leading { slot, .. }) => format!("lead port {port} to the {} copy", slot.as_str()),
        None => format!("leave port {port}"),
    }
}

pub(super) fn drained(timeout: Span) -> String {
    format!("waits until requests that nginx has led there are answered, {timeout} at most")
}

fn mark_of(verb: Verb) -> Mark {
    match verb {
        Verb::Create | Verb::Install | Verb::Stage | Verb::Build => Mark::Create,
        Verb::Update | Verb::Enable | Verb::Reload => Mark::Update,
        Verb::Delete | Verb::Stop => Mark::Delete,
        Verb::Start | Verb::Restart => Mark::Restart,
        Verb::Shift | Verb::Switch => Mark::Update,
        Verb::AwaitHealth | Verb::Drain | Verb::Pause => Mark::Busy,
    }
}

/// A folder's rights, as they are and as they will be.
pub(super) fn folder(path: &str, before: &LiveFolder, mode: u32) -> String {
    let is_roots = before.owner.split(':').next() == Some("root");
    let owner = if is_roots { String::new() } else { format!(" of {}", visible(&before.owner)) };
    let to = if is_roots { "" } else { " of root" };
    format!("{}: mode {:04o}{owner} becomes {mode:04o}{to}", visible(path), before.mode)
}

/// What is asked of a replica.
pub(super) fn check(port: u16, health: &Health) -> String {
    match &health.check {
        Check::Http(path) => format!("GET {} on port {port}", visible(path)),
        Check::Tcp => format!("port {port} takes a connection"),
        Check::Exec(command) => format!("`{}` ends well", visible(&command.join(" "))),
    }
}
