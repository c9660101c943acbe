//! The checks that an environment asks to be green before a commit is deployed.
//!
//! Keeps true: what GitHub does not say is not green; what was green once is not asked for again, and nothing is asked
//! for that is deployed already.

use std::collections::BTreeSet;

use tracing::warn;

use super::Reconciler;
use crate::{
    decide::Checks,
    engine::history::store::Ledger,
    host::Host,
    model::{plan::Commits, pull::Conclusion, standing::Standing},
    report,
};

/// So many commits are known to be green.
const REMEMBERED: usize = 100;

/// How the checks of these names are on the commits; none where there are no names.
pub async fn checks<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    names: &[String],
    commits: &Commits,
    standing: &Standing,
) -> Option<Checks> {
    if names.is_empty() {
        return None;
    }
    Some(Checks { of: commits.clone(), missing: missing(reconciler, names, commits, standing).await })
}

/// Those of the names that are not green on the environment's commit.
async fn missing<H: Host, L: Ledger>(
    reconciler: &Reconciler<H, L>,
    names: &[String],
    commits: &Commits,
    standing: &Standing,
) -> Vec<String> {
    let Some(commit) = &commits.environment else { return Vec::new() };
    if standing.kept_up().is_some_and(|live| live.commits.environment.as_ref() == Some(commit)) {
        return Vec::new();
    }
    let Some(github) = &reconciler.github else {
        warn!("checks are required and nobody can ask for them: sign in with --github-app-id or --github-token-file");
        return names.to_vec();
    };
    let known = reconciler.green.lock().get(commit).cloned().unwrap_or_default();
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
    let mut all = reconciler.green.lock();
    if all.len() >= REMEMBERED {
        all.clear();
    }
    all.insert(commit.clone(), green);
    missing
}
