//! How often a controller that has nothing to do reads the history.

use std::time::Duration;

use crate::story::Story;

const HOUR: Duration = Duration::from_secs(3600);

/// In an hour in which nothing happens: how often the history's head was read for syncs, and how many syncs there were.
pub fn of_a_quiet_hour() -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut story = Story::new(1, false);
        story.controllers.start(0);
        story.pause(HOUR).await;
        let instances = story.machines.len() as u64;
        let counted = |story: &Story| {
            let of = |what| story.tale.counted(what);
            // Each fetch reads it once, to know what the history says of what it found.
            (of("reads of the history's head") - of("fetches"), of("probes") / instances)
        };
        let before = counted(&story);
        story.pause(HOUR).await;
        let after = counted(&story);
        (after.0 - before.0, after.1 - before.1)
    })
}
