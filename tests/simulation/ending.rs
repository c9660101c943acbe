//! The end of a story: every fault ends, one controller lives, and time goes on until all is quiet.

use std::time::Duration;

use evenkeel::engine::{prepare::Prepared, requests::control::Ask};
use tokio::time::Instant;

use crate::{
    judge::deployment,
    machine::{Lies, Machine, State},
    story::Story,
    tale::lock,
    truth,
};

/// So long it may take until all is as it should be: another's deployment must first count as abandoned.
const LONGEST: Duration = Duration::from_secs(4 * 3600);
const LOOK: Duration = Duration::from_secs(20);

pub async fn end(story: &mut Story) {
    story.tale.tell(|| "all faults end".to_owned());
    mend(story);
    let one = story.dice.below(2) as usize;
    story.controllers.crash(1 - one);
    story.controllers.start(one);
    story.pause(Duration::from_secs(30)).await;
    // What was armed for an operation that never came must not go off now.
    mend(story);
    let declared = lock(&story.remote).declared().clone();
    if !declared.rollback_on_failure || declared.broken || story.dice.chance(40) {
        let mended = declared.mended(&mut story.dice);
        let mut remote = lock(&story.remote);
        let head = remote.head.clone();
        remote.push(mended, Some(head));
    }
    let began = Instant::now();
    let mut quiet = 0;
    let mut why = Vec::new();
    while quiet < 2 && began.elapsed() < LONGEST {
        story.pause(LOOK).await;
        why = unsettled(story, one);
        quiet = if why.is_empty() { quiet + 1 } else { 0 };
        resume(story);
        dispel(story, one);
        story.controllers.start(one);
    }
    for why in why {
        story.tale.wrong(format!("it does not come to rest: {why}"));
    }
    lock(&story.judge).concludes();
    for machine in story.machines.values() {
        stays(story, machine);
    }
}

fn mend(story: &mut Story) {
    for machine in story.machines.values() {
        let mut state = machine.state();
        state.fuses.clear();
        (state.slow, state.deaf, state.garbled) = (1, 0, 0);
        drop(state);
        machine.power_on();
    }
    story.controllers.mend();
    let mut remote = lock(&story.remote);
    (remote.down, remote.slow, remote.unmarkable, remote.lost_answers) = (false, false, false, 0);
    remote.cut_off.clear();
}

/// What people hold they let go at last.
fn resume(story: &Story) {
    let text = lock(&story.remote).tip_files().get("standing.json").cloned();
    let Some(text) = text else { return };
    let state: evenkeel::model::environment_state::EnvironmentState = serde_json::from_slice(&text).expect("a state");
    for hold in state.holds {
        story.controllers.ask(Ask::Resume { instance: hold.instance });
    }
}

/// Where the controller never saw what is live on the branch, a person says that the newest commit may be deployed.
fn dispel(story: &Story, number: usize) {
    let is_doubted = {
        let remote = lock(&story.remote);
        let Some(text) = remote.tip_files().get("standing.json").cloned() else { return };
        let state: evenkeel::model::environment_state::EnvironmentState =
            serde_json::from_slice(&text).expect("a state");
        let live = state.good.iter().chain(&state.partial).filter_map(|live| live.commits.environment.as_ref());
        let is_meant = state.rewind_to.is_some_and(|to| to.environment.as_deref() == Some(remote.head.as_str()));
        let identity = story.controllers.identity(number);
        let is_doubted = live.into_iter().any(|commit| !remote.saw(&identity, commit));
        is_doubted && !is_meant
    };
    if is_doubted {
        story.tale.count("doubts of what is live");
        story.controllers.ask(Ask::Retry { allow_rewind: true, take_over: false });
    }
}

/// Why the fleet is not at rest as its last good or its newest commit.
fn unsettled(story: &Story, number: usize) -> Vec<String> {
    let mut remote = lock(&story.remote);
    let files = remote.tip_files();
    let newest = deployment(&files);
    if let Some(open) = newest.filter(|newest| newest.outcome.is_none()) {
        return vec![format!("generation {} is open", open.generation)];
    }
    let text = files.get("standing.json").cloned().unwrap_or_else(|| b"{}".to_vec());
    let state: evenkeel::model::environment_state::EnvironmentState = serde_json::from_slice(&text).expect("a state");
    let head = remote.head.clone();
    let good = state.good.as_ref().and_then(|good| good.commits.environment.clone());
    let barred = state.quarantine.iter().any(|bad| bad.commits.environment.as_ref() == Some(&head.as_str().into()));
    let meant = state.rewind_to.as_ref().is_some_and(|to| to.environment.as_ref() == Some(&head.as_str().into()));
    let rewinds = !meant && good.as_ref().is_some_and(|good| !remote.is_ancestor(good, &head));
    // What changes nothing is not recorded: then the fleet is as its newest commit all the same.
    let wanted = if barred || rewinds { None } else { remote.prepared(&head) };
    // Where nothing was ever good, as far as the controller can know, nothing is promised.
    let identity = story.controllers.identity(number);
    let good = good.filter(|good| remote.saw(&identity, good));
    let Some(prepared) = wanted.or_else(|| good.and_then(|good| remote.prepared(&good))) else { return Vec::new() };
    drop(remote);
    story.machines.values().flat_map(|machine| differs(machine, &prepared)).collect()
}

fn differs(machine: &Machine, prepared: &Prepared) -> Vec<String> {
    let state = machine.state();
    let desired = prepared.desired.iter().find(|(name, _)| name.as_str() == machine.name);
    let differs = desired.map(|(_, desired)| truth::differs(&state, desired, Instant::now())).unwrap_or_default();
    let open = state.open.iter().map(|open| format!("deployment {open} is open"));
    differs.into_iter().chain(open).map(|what| format!("{}: {what}", machine.name)).collect()
}

/// What is not evenkeel's is as it was at the beginning, or as people made it.
fn stays(story: &Story, machine: &Machine) {
    let state = machine.state();
    let wrong = |what: String| story.tale.wrong(format!("{}: {what}", machine.name));
    let text = |state: &State, path: &str| match state.files.get(path) {
        Some(Lies::File { content, .. }) => String::from_utf8_lossy(content).into_owned(),
        Some(Lies::Link(_)) | None => String::new(),
    };
    for (path, before) in [
        ("/etc/nginx/nginx.conf", "events {}\n"),
        ("/etc/nginx/conf.d/somebody.conf", "# not ours\n"),
        ("/etc/systemd/system/somebody.service", "[Service]\n"),
        ("/etc/systemd/system/old-alpha.service", "[Service]\n"),
        ("/etc/secrets/beta.env", "TOKEN=1\n"),
    ] {
        if !state.by_hand.contains_key(path) && text(&state, path) != before {
            wrong(format!("{path} was changed, and is not ours"));
        }
    }
    match state.systemd.process("somebody.service") {
        // The host has booted since.
        Some(_) if state.boot > 1 => {}
        Some(process) if process.invocation == 2 => {}
        _ => wrong("somebody.service was stopped or restarted, and is not ours".to_owned()),
    }
}
