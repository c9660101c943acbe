//! What the loop holds on to over many passes.

use std::time::Duration;

use crate::{story::Story, tale::lock};

const WARM_UP: u64 = 500;
const PASSES: u64 = 10_000;

/// So many kibibytes the process has grown, from after the first passes to after the last.
pub fn growth() -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut story = Story::new(1, false);
        story.controllers.start(0);
        passes(&mut story, WARM_UP).await;
        let before = resident();
        passes(&mut story, WARM_UP + PASSES).await;
        let after = resident();
        println!("{before} KiB after {WARM_UP} passes, {after} KiB after {PASSES} more: {:#?}", story.tale.tally());
        after.saturating_sub(before)
    })
}

/// Quiet passes, but for a drift now and then, and a commit now and then.
async fn passes(story: &mut Story, until: u64) {
    let instances = story.machines.len() as u64;
    let mut turn = 0_u64;
    while story.tale.counted("probes") / instances < until {
        turn += 1;
        story.pause(Duration::from_secs(1800)).await;
        if turn.is_multiple_of(3) {
            story.drift();
        }
        if turn.is_multiple_of(10) {
            let mut remote = lock(&story.remote);
            let next = remote.declared().mended(&mut story.dice);
            let head = remote.head.clone();
            remote.push(next, Some(head));
        }
    }
}

/// `VmRSS` of this process, in kibibytes (proc_pid_status(5)).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
