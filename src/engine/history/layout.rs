//! The record: what a commit of the history branch holds.
//!
//! Keeps true: rendered files and release listings of what is live are kept, never contents of releases,
//! never secrets; a commit is a deployment's, or has an event.
//!
//! The intent is pushed before the first step, by compare-and-swap on the commit it was built on, so two
//! controllers cannot both begin. Nothing of the history is lost: a branch of it that vanishes at the remote, or is
//! set back there, stays in the mirror and is pushed back by the next fetch; one that was rewritten there is appended
//! to as it is, never overwritten. Outcomes are distinct: `applied`, `partial`, `rolled-back`, `rollback-failed`,
//! `stopped`, `refused`; a record is never called better than it was. A record has the version of its format: an
//! older one is read and kept as it is (`tests/fixtures/history`), a newer one is refused. A record keeps rendered
//! files and the listings of releases, never their contents. Of rendered files it keeps the public ones: sealed
//! content has bytes for the payload of its host alone, and for a record, a plan or a digest only its keyed digest
//! (`model/content.rs`). `env_file`s are the host's and never read, only digested; and their digests, by which a
//! short secret could be guessed, are sealed where an answer is read: HMAC-SHA-256 of the digest, with a key of that
//! host. What is plain leaves neither the connection nor the parser. So a manifest of before, with plain digests, is
//! sealed as it is read: nothing is restarted for it, and `SealManifest` is the step that has it written anew, as it
//! has one that others could read. The key is made while a host is looked at that has none, and put there by the
//! first phase: one that another put there meanwhile is refused.

use super::store::Files;
use crate::{
    engine::prepare::Prepared,
    model::{
        digest::Digest,
        environment_state::{EnvironmentState, StateEvent},
        name::InstanceName,
        outcome::{Conclusion, Deployment, Intent, Outcome},
        release::Making,
    },
};

pub const RECORD: &str = "deployment.json";
pub const STANDING: &str = "standing.json";
pub const EVENT: &str = "event.json";

/// The tree of an intent: what is live does not change yet.
pub fn intent_files(previous: &Files, intent: &Intent) -> Files {
    let mut files = previous.clone();
    files.remove(EVENT);
    put(&mut files, RECORD, &**intent);
    files
}

/// The tree of a control: the newest deployment's record stays beside it.
pub fn event_files(previous: &Files, state: &EnvironmentState, event: &StateEvent) -> Files {
    let mut files = previous.clone();
    put(&mut files, EVENT, event);
    put(&mut files, STANDING, state);
    files
}

/// The tree of an outcome: what is live now, which is what `live` was prepared as where it was carried out.
/// An instance that was not reached keeps what it had.
pub fn outcome_files(
    previous: &Files,
    state: &EnvironmentState,
    deployment: &Conclusion,
    live: Option<&Prepared>,
) -> Files {
    let carried_out = matches!(deployment.outcome(), Outcome::Applied | Outcome::Partial);
    let mut files = match live.filter(|_| carried_out) {
        Some(prepared) => live_files(previous, prepared, deployment),
        None => previous.clone(),
    };
    files.remove(EVENT);
    put(&mut files, RECORD, &**deployment);
    put(&mut files, STANDING, state);
    files
}

fn live_files(previous: &Files, prepared: &Prepared, deployment: &Deployment) -> Files {
    let mut files: Files = previous
        .iter()
        .filter(|(path, _)| keeps(path, prepared, deployment))
        .map(|(path, content)| (path.clone(), content.clone()))
        .collect();
    for (name, desired) in prepared.desired.iter().filter(|(name, _)| !deployment.unreached.contains_key(*name)) {
        let public = desired.files.iter().filter_map(|(path, file)| Some((path, file.content.public()?)));
        for (path, content) in public {
            files.insert(format!("{}files{path}", folder(name)), content.to_vec());
        }
        for (path, link) in &desired.links {
            files.insert(format!("{}links{path}", folder(name)), format!("{}\n", link.target).into_bytes());
        }
        for release in desired.releases.iter().filter_map(|digest| prepared.releases.get(digest)) {
            let path = format!("{}releases/{}", folder(name), release.digest);
            if let (false, Some(known)) = (release.is_at_hand(), previous.get(&path)) {
                files.insert(path, known.clone());
                continue;
            }
            let text = format!("# from {}\n{}", release.origin(), release.listing());
            files.insert(path, text.into_bytes());
        }
    }
    for release in prepared.releases.values() {
        if let Making::Built { log, .. } = &release.making {
            files.insert(build_log(&release.digest), log.as_bytes().to_vec());
        }
    }
    files
}

/// Where a record keeps what the build of a release said.
pub fn build_log(release: &Digest) -> String {
    format!("builds/{release}.log")
}

fn folder(instance: &InstanceName) -> String {
    format!("instances/{instance}/")
}

/// Whether an earlier record's file stands: that of an instance which was not reached, or not asked.
fn keeps(path: &str, prepared: &Prepared, deployment: &Deployment) -> bool {
    if path.starts_with("builds/") {
        return prepared.releases.keys().any(|release| *path == build_log(release));
    }
    let Some(name) = path.strip_prefix("instances/").and_then(|rest| rest.split('/').next()) else { return false };
    let declared = prepared.fleet.instances.keys().any(|instance| instance.as_str() == name);
    let changed = prepared.desired.keys().any(|instance| instance.as_str() == name)
        && !deployment.unreached.keys().any(|instance| instance.as_str() == name);
    declared && !changed
}

pub(in crate::engine) fn put(files: &mut Files, path: &str, value: &impl serde::Serialize) {
    // Plain data; it cannot fail to serialise.
    let json = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    files.insert(path.to_owned(), json.into_bytes());
}
