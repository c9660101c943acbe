//! What of a history is not believed, in words.

use super::words::{one_line, short};
use crate::model::{
    belief::{Claim, Reason, Refusal},
    name::EnvironmentName,
    writer::{Unlisted, Unvouched},
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

/// A commit that no listed key vouches for: which one, why, and the next move.
pub fn unlisted(environment: &EnvironmentName, unlisted: &Unlisted) -> String {
    let commit = one_line(&unlisted.commit);
    let why = match &unlisted.why {
        Unvouched::Unsigned => "is not signed".to_owned(),
        Unvouched::Key(key) => {
            format!("is signed by {}, which `history_writers` of fleet.yaml does not list", one_line(key))
        }
        Unvouched::Broken => "has a signature that does not fit it".to_owned(),
        Unvouched::OtherHistory => {
            format!("was signed for something else: its message has no line `Environment: {environment}`")
        }
    };
    let branch = format!("evenkeel/history/{environment}");
    let next = match &unlisted.believed {
        Some(believed) => format!(
            "`git push --force ORIGIN {}:refs/heads/{branch}` drops it and all that came after",
            one_line(believed)
        ),
        None => format!(
            "if it is right, sign on with a listed key: `git commit --allow-empty -S -m 'Sign on' -m 'Environment: \
             {environment}'` on that branch, with gpg.format=ssh"
        ),
    };
    format!(
        "commit {commit} of {branch} {why}; nothing is deployed or repaired until a listed key vouches for it: {next}"
    )
}

/// Nothing that is written from here would count.
pub fn no_writer(line: Option<&str>) -> String {
    match line {
        Some(line) => format!(
            "`history_writers` of fleet.yaml lists no key that signs here, so nothing can be recorded; add this line to it \
             on the default branch: \"{}\"",
            one_line(line)
        ),
        None => "`history_writers` of fleet.yaml lists who may write, and no key is at hand here, so nothing can be \
                 recorded; give a listed key to the ssh-agent with `ssh-add`, or name its file with --history-key"
            .to_owned(),
    }
}

/// What a fleet without a list of writers should add.
pub fn no_list(line: Option<&str>) -> String {
    let add = line.map_or("the public keys of those who may".to_owned(), |line| format!("\"{}\"", one_line(line)));
    format!(
        "fleet.yaml lists no history_writers, so whoever may push evenkeel/history/ writes the history; add: \
         history_writers: [{add}]"
    )
}
