//! The record: intents and outcomes as commits of the history branch.
//!
//! Keeps true: an intent is pushed before the first step; every deployment that began gets exactly one
//! outcome; rendered files and release listings are kept, never contents of releases, never secrets.

use std::collections::BTreeMap;

use super::Prepared;
use crate::model::{
    name::InstanceName,
    outcome::{Deployment, Outcome},
};

/// Files of a history commit, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

const RECORD: &str = "deployment.json";

/// The tree of an intent: what is live does not change yet.
pub fn intent_files(previous: &Files, deployment: &Deployment) -> Files {
    with_record(previous.clone(), deployment)
}

/// The tree of an outcome: what is live now. An instance that was not reached keeps what it had.
pub fn outcome_files(previous: &Files, prepared: &Prepared, deployment: &Deployment) -> Files {
    let carried_out = matches!(deployment.outcome, Some(Outcome::Applied | Outcome::Partial));
    if !carried_out {
        return with_record(previous.clone(), deployment);
    }
    let mut files: Files = previous
        .iter()
        .filter(|(path, _)| keeps(path, prepared, deployment))
        .map(|(path, content)| (path.clone(), content.clone()))
        .collect();
    for (name, desired) in prepared.desired.iter().filter(|(name, _)| !deployment.unreached.contains_key(*name)) {
        for (path, file) in &desired.files {
            files.insert(format!("{}files{path}", folder(name)), file.content.clone());
        }
        for (path, link) in &desired.links {
            files.insert(format!("{}links{path}", folder(name)), format!("{}\n", link.target).into_bytes());
        }
        for release in desired.releases.iter().filter_map(|digest| prepared.releases.get(digest)) {
            let path = format!("{}releases/{}", folder(name), release.digest);
            let text = format!("# from {}\n{}", release.source, release.listing());
            files.insert(path, text.into_bytes());
        }
    }
    with_record(files, deployment)
}

fn folder(instance: &InstanceName) -> String {
    format!("instances/{instance}/")
}

/// Whether an earlier record's file stands: that of an instance which was not reached, or not asked.
fn keeps(path: &str, prepared: &Prepared, deployment: &Deployment) -> bool {
    let Some(name) = path.strip_prefix("instances/").and_then(|rest| rest.split('/').next()) else { return false };
    let declared = prepared.fleet.instances.keys().any(|instance| instance.as_str() == name);
    let changed = prepared.desired.keys().any(|instance| instance.as_str() == name)
        && !deployment.unreached.keys().any(|instance| instance.as_str() == name);
    declared && !changed
}

fn with_record(mut files: Files, deployment: &Deployment) -> Files {
    // A Deployment is plain data; it cannot fail to serialise.
    let json = serde_json::to_string_pretty(deployment).unwrap_or_default() + "\n";
    files.insert(RECORD.to_owned(), json.into_bytes());
    files
}
