//! The checks that an environment asks to be green before a commit is deployed.
//!
//! Keeps true: what GitHub does not say is not green; what was green once is not asked for again, and nothing is asked
//! for that is deployed already.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    decide::Checks,
    engine::Watch,
    github::GitHub,
    model::{
        commit::CommitId,
        environment_state::EnvironmentState,
        event::{Detail, EventKind},
        plan::Commits,
        pull::Conclusion,
    },
    report,
};

/// So many commits are known to be green.
const REMEMBERED: usize = 100;

/// Which checks are green, by commit.
pub type Green = BTreeMap<CommitId, BTreeSet<String>>;

/// Who is asked for checks.
#[derive(Clone, Copy)]
pub enum CheckSource<'a> {
    GitHub(&'a GitHub),
    /// Nobody can be, so none is green.
    Nobody,
    /// Nobody needs to be: what is asked for does not depend on checks.
    NotNeeded,
}

/// How the checks of these names are on the commits; none where there are no names.
pub async fn checks(
    asked: CheckSource<'_>,
    green: &mut Green,
    names: &[String],
    commits: &Commits,
    state: &EnvironmentState,
    watch: &Watch<'_>,
) -> Option<Checks> {
    if names.is_empty() || matches!(asked, CheckSource::NotNeeded) {
        return None;
    }
    Some(Checks { of: commits.clone(), missing: missing(asked, green, names, commits, state, watch).await })
}

/// Those of the names that are not green on the environment's commit.
async fn missing(
    asked: CheckSource<'_>,
    known: &mut Green,
    names: &[String],
    commits: &Commits,
    state: &EnvironmentState,
    watch: &Watch<'_>,
) -> Vec<String> {
    let Some(commit) = &commits.environment else { return Vec::new() };
    if state.kept_up().is_some_and(|live| live.commits.environment.as_ref() == Some(commit)) {
        return Vec::new();
    }
    let CheckSource::GitHub(github) = asked else {
        watch(EventKind::ChecksUnavailable {});
        return names.to_vec();
    };
    if known.get(commit).is_some_and(|green| names.iter().all(|name| green.contains(name))) {
        return Vec::new();
    }
    let conclusions = match github.conclusions(commit).await {
        Ok(conclusions) => conclusions,
        Err(error) => {
            watch(EventKind::ChecksUnknown { commit: commit.clone(), why: Detail::of(report::chain(&error)) });
            return names.to_vec();
        }
    };
    let is_green = |name: &&String| matches!(conclusions.get(*name), Some(Conclusion::Success | Conclusion::Neutral));
    let green: BTreeSet<String> = names.iter().filter(is_green).cloned().collect();
    let missing = names.iter().filter(|name| !green.contains(*name)).cloned().collect();
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(commit.clone(), green);
    missing
}
