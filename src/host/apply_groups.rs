//! Which steps of a phase are carried out as one.
//!
//! Keeps true: steps of one group are of one kind and follow one another in the plan, so that nothing of another kind is
//! to happen between them. Never does: deciding what is changed or in which order, which is the plan's.
//!
//! Steps of one kind that follow one another are carried out as one (`host/apply_groups.rs`), for starting a program
//! and waiting for a disk cost more than all else. Of files each stage ends, synced, for the whole group before the
//! next begins: all are compared with the plan, all are kept, the journal names all, all are written beside their
//! places (in `.evenkeel-new-<fleet>/` of each folder), all are renamed, all folders are synced. A cut among the
//! renames leaves any of them done and any not; each path is as before or as planned, and undoing puts all back. A
//! journal's last line may be cut off: what it was to undo had not begun, and undoing passes over it. Of units
//! systemctl is called once for each kind of thing, with all of them noted before the first is touched; replicas of
//! one service go one after the other. Where a call for all fails, each step is done by itself, so that the events
//! name the step that fails and what was said of it.

use std::collections::BTreeSet;

use crate::model::plan::{Batch, Step};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Group<'a> {
    /// Files and links that change or go.
    Files(Vec<&'a Step>),
    /// Ports that one reload has nginx lead elsewhere.
    Switches(Vec<&'a Step>),
    /// Units that one call of systemctl deals with, by the function that makes it.
    Units(&'static str, Vec<&'a Step>),
    Alone(&'a Step),
}

/// Groups steps in their order.
pub(super) fn group<'a>(steps: &[&'a Step]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for run in steps.chunk_by(|a, b| batch(a) == batch(b)) {
        match run.first().map(|step| batch(step)) {
            Some(Batch::WithFiles) => groups.extend(once_each(run).into_iter().map(Group::Files)),
            Some(Batch::WithSwitches) => groups.push(Group::Switches(run.to_vec())),
            Some(Batch::WithStops) => groups.push(Group::Units("stop_units", run.to_vec())),
            Some(Batch::WithEnables) => groups.push(Group::Units("enable_units", run.to_vec())),
            Some(Batch::WithStarts) => {
                groups.extend(in_turns(run).into_iter().map(|steps| Group::Units("run_units", steps)));
            }
            Some(Batch::Alone) | None => groups.extend(run.iter().map(|step| Group::Alone(step))),
        }
    }
    groups
}

fn batch(step: &Step) -> Batch {
    step.action.traits().batch
}

fn path(step: &Step) -> &str {
    step.action.file().map_or("", |(path, _)| path)
}

/// Splits where a path comes a second time: within a group there is one state of each before it, and one after it.
fn once_each<'a>(run: &[&'a Step]) -> Vec<Vec<&'a Step>> {
    let mut parts: Vec<Vec<&Step>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    for step in run {
        if !seen.insert(path(step)) {
            seen = BTreeSet::from([path(step)]);
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(step);
        }
    }
    parts
}

/// The first replica of each service, then the second of each: while one of them ends and starts, the others answer.
fn in_turns<'a>(run: &[&'a Step]) -> Vec<Vec<&'a Step>> {
    let mut turns: Vec<Vec<&Step>> = Vec::new();
    for step in run {
        let is_here = |turn: &Vec<&Step>| turn.iter().any(|other| other.resource == step.resource);
        match turns.iter_mut().find(|turn| !is_here(turn)) {
            Some(turn) => turn.push(step),
            None => turns.push(vec![step]),
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        desired::Resource,
        plan::{Action, Before, Phase, StepId},
    };

    fn step(service: &str, action: Action) -> Step {
        let resource = Resource::Service(service.parse().unwrap());
        let instance = "h1".parse().unwrap();
        let id = StepId::new(&instance, &resource, action.verb(), &action.subject());
        let phase = Phase { wave: 1, stage: 0 };
        Step { id, instance, phase, resource, action, reason: String::new() }
    }

    fn remove(path: &str) -> Step {
        step("a", Action::RemoveFile { path: path.to_owned(), before: Before::Absent })
    }

    fn restart(service: &str, port: u16) -> Step {
        step(service, Action::RestartUnit { unit: format!("fleet-{service}@{port}.service") })
    }

    /// The subjects of each group.
    fn grouped(steps: &[Step]) -> Vec<Vec<String>> {
        let steps: Vec<&Step> = steps.iter().collect();
        let subjects = |steps: Vec<&Step>| steps.into_iter().map(|step| step.action.subject()).collect();
        let of = |group| match group {
            Group::Files(steps) | Group::Switches(steps) | Group::Units(_, steps) => subjects(steps),
            Group::Alone(step) => subjects(vec![step]),
        };
        group(&steps).into_iter().map(of).collect()
    }

    #[test]
    fn steps_of_one_kind_that_follow_one_another_are_one_group() {
        let seal = || step("a", Action::SealManifest { path: "/m".into() });
        let steps = [remove("/a"), remove("/b"), seal(), seal(), restart("a", 1), restart("b", 2), remove("/c")];
        let (a, b) = (restart("a", 1).action.subject(), restart("b", 2).action.subject());
        let expected = [vec!["/a", "/b"], vec!["/m"], vec!["/m"], vec![&a, &b], vec!["/c"]];
        assert_eq!(grouped(&steps), expected);
    }

    #[test]
    fn a_path_is_in_a_group_once() {
        let steps = [remove("/a"), remove("/b"), remove("/a"), remove("/c")];
        assert_eq!(grouped(&steps), [["/a", "/b"], ["/a", "/c"]]);
    }

    #[test]
    fn replicas_of_one_service_restart_one_after_the_other() {
        let steps = [restart("a", 1), restart("a", 2), restart("b", 3), restart("c", 4), restart("c", 5)];
        let of = |numbers: &[usize]| numbers.iter().map(|n| steps[*n].action.subject()).collect::<Vec<_>>();
        assert_eq!(grouped(&steps), [of(&[0, 2, 3]), of(&[1, 4])]);
    }
}
