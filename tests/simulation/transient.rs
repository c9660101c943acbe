//! The transient unit that runs scripts: one at a time, whoever asks, and what comes after them.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    deployments::{Line, Order},
    machine::{Machine, Transient},
    restore, script,
};

/// Status of a script that found another one running (EX_TEMPFAIL).
pub const BUSY: i32 = 75;

enum Job {
    Phase(Order),
    /// Of one phase or of all; whether only if it is open then.
    Undo(String, Option<u32>, bool),
}

/// Begins a phase, unless it was begun already. The status of the script that does so.
pub async fn launch(machine: Arc<Machine>, order: Order) -> i32 {
    {
        let mut state = machine.state();
        let name = &order.work.name;
        if state.directory(name).is_none() {
            let directory = crate::deployments::Directory { name: name.clone(), ..Default::default() };
            state.deployments.push(directory);
        }
        let directory = state.directory(name).expect("it is there now");
        if directory.phases.entry(order.work.phase).or_default().events.is_some() {
            return 0;
        }
    }
    run(&machine, Job::Phase(order)).await
}

/// Undoes a deployment, or one of its phases, and waits for it.
pub async fn undo(machine: Arc<Machine>, name: String, phase: Option<u32>, if_open: bool) -> i32 {
    if machine.state().directory(&name).is_none() {
        return 0;
    }
    while machine.state().transient.is_some() {
        sleep(Duration::from_millis(20)).await;
    }
    {
        let mut state = machine.state();
        let Some(directory) = state.directory(&name) else { return 0 };
        let begun = |phase: u32| directory.phases.get(&phase).is_some_and(|phase| phase.journal.is_some());
        if (directory.undone && directory.is_whole(None)) || phase.is_some_and(|phase| !begun(phase)) {
            return 0;
        }
    }
    let status = run(&machine, Job::Undo(name.clone(), phase, if_open)).await;
    if status != 0 {
        return status;
    }
    while machine.state().transient.is_some() {
        sleep(Duration::from_millis(20)).await;
    }
    let mut state = machine.state();
    let Some(directory) = state.directory(&name) else { return 0 };
    if directory.is_whole(phase) || (if_open && !directory.undoing) { 0 } else { 1 }
}

/// systemd-run, as often as its name is taken by one that ends.
async fn run(machine: &Arc<Machine>, job: Job) -> i32 {
    loop {
        let taken = machine.state().transient.as_ref().map(|transient| transient.active);
        match taken {
            Some(true) => return BUSY,
            Some(false) => sleep(Duration::from_millis(50)).await,
            None => break,
        }
    }
    let stop = match &job {
        Job::Phase(order) => Some((order.work.name.clone(), order.work.phase, order.work.undo_on_failure)),
        Job::Undo(..) => None,
    };
    let (Job::Phase(Order { work: evenkeel::host::PhaseWork { name, .. }, .. }) | Job::Undo(name, ..)) = &job;
    machine.state().worked.insert(name.clone(), Instant::now());
    // Its name is taken from here on.
    machine.state().transient = Some(Transient { active: true, task: None, stop: stop.clone() });
    let runs = machine.clone();
    let task = tokio::spawn(async move {
        let succeeded = match job {
            Job::Phase(order) => script::run(&runs, &order).await,
            Job::Undo(name, _, true) if !is_broken(&runs, &name) => true,
            Job::Undo(name, phase, _) => restore::undo(&runs, &name, phase).await,
        };
        if let Some(transient) = &mut runs.state().transient {
            transient.active = false;
        }
        after(&runs, stop, if succeeded { "success" } else { "exit-code" }).await;
    });
    if let Some(transient) = &mut machine.state().transient {
        transient.task = Some(task.abort_handle());
    }
    0
}

/// Whether it is neither finished nor undone. One that is finished is open no more.
fn is_broken(machine: &Machine, name: &str) -> bool {
    let mut state = machine.state();
    let open = state.open.as_deref() == Some(name);
    if open && state.directory(name).is_some_and(|directory| directory.finished && !directory.undoing) {
        state.open = None;
        return false;
    }
    open
}

/// What systemd runs after a script, however it ended.
pub async fn after(machine: &Arc<Machine>, stop: Option<(String, u32, bool)>, result: &'static str) {
    if let Some((name, phase, undo_on_failure)) = stop {
        if result != "success" && undo_on_failure {
            restore::undo(machine, &name, Some(phase)).await;
        }
        let mut state = machine.state();
        if let Some(directory) = state.directory(&name) {
            directory.phases.entry(phase).or_default().say(Line::End(result));
        }
    }
    machine.state().transient = None;
}
