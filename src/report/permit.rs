//! Why a person may not deploy now, in words: what stands against it, and the next move.

use super::{
    control::held,
    words::{one_line, short},
};
use crate::model::{
    environment_state::{Barred, EnvironmentState, NotPermitted, Pin},
    name::EnvironmentName,
    plan::Commits,
};

/// What is refused and why, and the next move.
pub fn refused(
    environment: &EnvironmentName,
    refusal: &NotPermitted,
    commits: &Commits,
    state: &EnvironmentState,
) -> (String, &'static str) {
    match refusal {
        NotPermitted::Checks(missing) => (
            format!("{environment} asks for checks to be green first: {}", missing.join(", ")),
            "a controller that is signed in to GitHub looks at them, and deploys",
        ),
        NotPermitted::Doubted => (
            format!("it is not known what is live in {environment}: the history names commits that do not count"),
            "look at `evenkeel history`, then deploy this commit all the same: --allow-rewind",
        ),
        NotPermitted::Barred(Barred::Rewind) => (
            "this commit leaves out the deployed one".to_owned(),
            "merge the deployed commit, or say that it is meant: --allow-rewind",
        ),
        NotPermitted::Barred(Barred::Quarantined) => {
            let failed = state.quarantined(commits);
            let (generation, why) = failed.map_or((0, ""), |failed| (failed.generation, failed.why.as_str()));
            (
                format!("this commit is quarantined: generation {generation} failed: {}", one_line(why)),
                "commit what mends it, or `evenkeel retry`",
            )
        }
        NotPermitted::Barred(Barred::Closed { until }) => (
            format!("no deployment to {environment} may begin {}", closed(*until)),
            "wait until then, or deploy all the same: --now",
        ),
        NotPermitted::Barred(why) => {
            let hold = state.hold().filter(|_| *why == Barred::Held).map(held);
            let what = hold.unwrap_or_else(|| "not to be deployed to now".to_owned());
            (format!("{environment} is {what}"), "`evenkeel resume`")
        }
    }
}

/// Until when no deployment may begin.
pub(super) fn closed(until: Option<i64>) -> String {
    let until = until.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    match until {
        Some(until) => {
            format!("before {} UTC (`windows` and `freezes` of the environment)", until.format("%Y-%m-%d %H:%M"))
        }
        None => "as far as `windows` and `freezes` of the environment tell".to_owned(),
    }
}

/// As [`refused`], of commits that were rolled back from.
pub fn pinned(environment: &EnvironmentName, pin: &Pin) -> (String, &'static str) {
    let commit = pin.commits.environment.as_deref().map_or("the work tree".to_owned(), short);
    (
        format!("{environment} was rolled back from this commit by {}, and is kept at {commit}", one_line(&pin.owner)),
        "commit what mends it, or deploy this commit all the same: --allow-rewind",
    )
}
