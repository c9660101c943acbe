//! The demo's change: one variable more, as a person would commit it.

use std::{collections::BTreeMap, path::Path};

use chrono::Utc;

use super::{ERROR, Failure, common};
use crate::{
    git::{self, Credentials, Repository},
    model::tree::Entry,
    report,
};

/// Adds a variable to the first service that declares an environment, shows that, and commits it to the branch of the
/// repository `bare`. `mirror` is where it may be fetched to.
pub fn commit(bare: &Path, mirror: &Path, branch: &str) -> Result<(), Failure> {
    let repository = Repository::open(mirror, &bare.display().to_string().parse()?, Credentials::default())?;
    let fetched = repository.fetch()?;
    let commit = fetched.branches.get(branch).ok_or_else(|| Failure::new(ERROR, "the branch has gone"))?;
    let tree = repository.tree(commit)?;
    let files = tree.below("fleet/services").filter_map(|(path, entry)| match entry {
        Entry::File { content, .. } => Some((path.to_owned(), String::from_utf8_lossy(content).into_owned())),
        _ => None,
    });
    let Some((path, text)) = files.into_iter().find(|(_, text)| text.contains("\nenv:")) else {
        return Err(Failure::new(ERROR, "no service declares an environment that the demo could change"));
    };
    let changed = with_variable(&text);
    let path = format!("fleet/services/{path}");
    anstream::print!("{}", report::message::change(&path, &text, &changed, common::style()));
    let changes = BTreeMap::from([(path, Some(changed.into_bytes()))]);
    git::commit_to_bare(bare, branch, &changes, "Greet the newcomer", Utc::now())?;
    Ok(())
}

/// The service's text with one more variable in `env`, in whichever style that is written.
fn with_variable(text: &str) -> String {
    let mut changed = String::new();
    for line in text.lines() {
        match line.strip_prefix("env:") {
            Some(rest) if rest.trim_start().starts_with('{') => {
                changed += &format!("env: {{NEWCOMER: welcome, {}\n", rest.trim_start().trim_start_matches('{'));
            }
            Some(_) => changed += &format!("{line}\n  NEWCOMER: welcome\n"),
            None => changed += &format!("{line}\n"),
        }
    }
    changed
}
