//! Where a release's symbolic links lead.

use std::collections::BTreeMap;

use crate::model::release::ReleaseFile;

/// As many links as Linux follows in one path (path_resolution(7)).
const FOLLOWED: u32 = 40;

/// Whether a link leads to a place in the release, also by way of other links: after `d -> .`, the
/// target `d/..` is outside. One that leads nowhere, or in circles, stays.
pub(super) fn stays(files: &BTreeMap<String, ReleaseFile>, path: &str, target: &str) -> bool {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut at: Vec<String> = parent.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if target.starts_with('/') {
        return false;
    }
    // What is still to be walked, the next part last.
    let mut rest: Vec<String> = target.split('/').rev().map(str::to_owned).collect();
    let mut followed = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => match at.pop() {
                Some(_) => continue,
                None => return false,
            },
            _ => at.push(part),
        }
        if let Some(ReleaseFile::Symlink { target }) = files.get(&at.join("/")) {
            followed += 1;
            if target.starts_with('/') {
                return false;
            }
            if followed > FOLLOWED {
                return true;
            }
            at.pop();
            rest.extend(target.split('/').rev().map(str::to_owned));
        }
    }
    true
}
