//! What of a history is not believed, in words.

use super::words::{one_line, short};
use crate::model::{
    belief::{Claim, Reason, Refusal},
    name::EnvironmentName,
};

/// One line without a full stop: what is refused, why, and the next move.
pub fn line(environment: &EnvironmentName, refusal: &Refusal) -> String {
    let commit = refusal.commit.as_deref().map_or("no commit".to_owned(), |commit| one_line(&short(commit)));
    let claim = match refusal.claim {
        Claim::Good => format!("{commit} as the last good deployment"),
        Claim::Partial => format!("{commit} as a deployment that is not live everywhere yet"),
        Claim::Pin => format!("the pin to {commit}"),
        Claim::Rewind => format!("the leave to go back to {commit}"),
        Claim::Quarantine => format!("the quarantine of {commit}"),
        Claim::Intent => format!("the open deployment of {commit}"),
        Claim::Deployment => format!("the deployment of {commit}"),
    };
    let why = match refusal.reason {
        Reason::NotOnBranch => {
            format!("the branch of {environment} does not hold {commit}, and never did when this controller looked")
        }
        Reason::NotOnDefaultBranch => {
            format!("the default branch does not hold {commit}, and never did when this controller looked")
        }
        Reason::Generation => {
            let generation = refusal.generation.unwrap_or_default();
            format!("generation {generation} is too far from the one before")
        }
        Reason::OtherEnvironment => "the record names another environment".to_owned(),
    };
    let at = refusal.history.as_deref().map(|commit| format!(" (commit {})", short(commit))).unwrap_or_default();
    let next = match (refusal.claim, refusal.reason) {
        (Claim::Good | Claim::Partial, Reason::NotOnBranch | Reason::NotOnDefaultBranch) => format!(
            "see who wrote it, then merge that commit, or deploy what the branch holds with \
             `evenkeel retry --allow-rewind -e {environment}`"
        ),
        _ => "see who wrote it; the next deployment writes the history without it".to_owned(),
    };
    format!("refused: {claim}, which evenkeel/history/{environment} names{at}, does not count: {why}; {next}")
}
