//! The checks that an environment asks to be green before a commit is deployed.
//!
//! Keeps true: what GitHub does not say is not green; what was green once is not asked for again, and nothing is asked
//! for that is deployed already.

use std::collections::BTreeSet;

use tracing::warn;

use super::Controller;
use crate::{
    decide::Checks,
    engine::history::store::HistoryStore,
    host::Host,
    model::{environment_state::EnvironmentState, plan::Commits, pull::Conclusion},
    report,
};

/// So many commits are known to be green.
const REMEMBERED: usize = 100;

/// How the checks of these names are on the commits; none where there are no names.
pub async fn checks<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    names: &[String],
    commits: &Commits,
    state: &EnvironmentState,
) -> Option<Checks> {
    if names.is_empty() {
        return None;
    }
    Some(Checks { of: commits.clone(), missing: missing(controller, names, commits, state).await })
}

/// Those of the names that are not green on the environment's commit.
async fn missing<H: Host, L: HistoryStore>(
    controller: &Controller<H, L>,
    names: &[String],
    commits: &Commits,
    state: &EnvironmentState,
) -> Vec<String> {
    let Some(commit) = &commits.environment else { return Vec::new() };
    if state.kept_up().is_some_and(|live| live.commits.environment.as_ref() == Some(commit)) {
        return Vec::new();
    }
    let Some(github) = &controller.github else {
        warn!("checks are required and nobody can ask for them: sign in with --github-app-id or --github-token-file");
        return names.to_vec();
    };
    let known = controller.green.lock().get(commit).cloned().unwrap_or_default();
    if names.iter().all(|name| known.contains(name)) {
        return Vec::new();
    }
    let conclusions = match github.conclusions(commit).await {
        Ok(conclusions) => conclusions,
        Err(error) => {
            warn!("whether {commit:.12} is green is not known: {}", report::chain(&error));
            return names.to_vec();
        }
    };
    let is_green = |name: &&String| matches!(conclusions.get(*name), Some(Conclusion::Success | Conclusion::Neutral));
    let green: BTreeSet<String> = names.iter().filter(is_green).cloned().collect();
    let missing = names.iter().filter(|name| !green.contains(*name)).cloned().collect();
    let mut all = controller.green.lock();
    if all.len() >= REMEMBERED {
        all.clear();
    }
    all.insert(commit.clone(), green);
    missing
}
