//! The key of a host, and what is sealed with it: digests of what is not ours leave the answer in no other form.

use std::collections::BTreeMap;

use super::{ProbeRequest, Sections};
use crate::model::{
    manifest::Manifest,
    observation::LiveFile,
    seal::{Broken, Key},
    seen::Seen,
};

/// The host's key; and again where it is `fresh`, for the host has none yet.
pub(super) fn key(sections: &Sections, fresh: &Key) -> Result<(Key, Option<Key>), String> {
    match sections.one("key").unwrap_or_default() {
        "" => Ok((fresh.clone(), Some(fresh.clone()))),
        text => text.parse().map(|key| (key, None)).map_err(|error| {
            format!("the key beside the manifest: {error}; remove it, and what has an env_file is restarted once")
        }),
    }
}

/// What others can learn, or have root believe.
pub(super) fn broken(sections: &Sections, manifest: &Seen<LiveFile>, key: Option<&Seen<LiveFile>>) -> Option<Broken> {
    let is_open = |file: &Seen<LiveFile>| match file.known() {
        Some(LiveFile::Regular { mode, owner, .. }) => mode & 0o077 != 0 || owner != "root:root",
        _ => false,
    };
    if !matches!(manifest, Seen::Known(_)) {
        None
    } else if Manifest::is_plain(sections.one("manifest").unwrap_or_default()) {
        Some(Broken::Plain)
    } else {
        (is_open(manifest) || key.is_some_and(is_open)).then_some(Broken::Open)
    }
}

/// Seals the digests of files that may hold secrets. Of files that are ours what they hold was declared.
pub(super) fn secrets(
    question: &ProbeRequest,
    manifest: &Seen<Manifest>,
    key: &Key,
    files: &mut BTreeMap<String, Seen<LiveFile>>,
) {
    let is_ours = |path: &str| manifest.known().is_some_and(|manifest| manifest.owns(path));
    for path in question.secrets.iter().filter(|path| !is_ours(path)) {
        if let Some(Seen::Known(LiveFile::Regular { digest, .. })) = files.get_mut(path) {
            *digest = key.seal(digest);
        }
    }
}
