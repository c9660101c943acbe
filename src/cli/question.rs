//! Which fleet a command is about: the work tree's, or with `--repo` that repository's.
//!
//! Keeps true: what is declared, and the history beside it, are one repository's. Never does: taking the work tree's fleet
//! for another repository's.

use std::path::{Component, Path, PathBuf};

use super::{
    ERROR, Failure, REFUSED, common,
    repository::{Place, RepositoryArgs},
};
use crate::{
    engine::{history::store::HistoryStore as _, requests::control},
    git::{self, RemoteUrl, WorkTree},
    model::plan::Commits,
    report::words::short,
};

/// So many commits before HEAD are looked for in another repository.
const ANCESTORS: usize = 1_000;

/// The fleet in question, and where its history is.
pub struct Question {
    pub tree: WorkTree,
    pub commits: Commits,
    pub place: Place,
    /// Which commit of which repository was read, where it is not the work tree.
    pub read: Option<String>,
}

impl common::HostArgs {
    /// With `--repo` the fleet at the newest commit of the environment's branch there, as a controller composes it.
    pub fn question(&self, repository: &RepositoryArgs) -> Result<Question, Failure> {
        let ssh_key = self.reach.ssh_key.as_deref();
        if repository.repo.is_none() {
            let tree = self.fleet.read()?;
            let place = repository.place(&tree.root, ssh_key)?;
            let commit = if tree.clean { tree.commit.clone() } else { None };
            return Ok(Question { tree, commits: Commits::of_config(commit.clone(), commit), place, read: None });
        }
        let place = repository.place(Path::new("."), ssh_key)?;
        let folder = in_repository(&self.fleet.fleet)?;
        let (tree, commits, read) = common::block_on(async {
            let store = place.store(&folder).await?;
            let (environment, commits) = control::newest_commits(&store, &folder, self.environment.as_ref()).await?;
            let (Some(default), Some(commit)) = (commits.default.clone(), commits.environment.clone()) else {
                return Err(Failure::new(ERROR, format!("{} has no branch that {environment} follows", place.url))
                    .hint("push the branch that environments/ names"));
            };
            let tree = store.tree(&default, &commit, &folder).await?;
            let read = format!("{environment} as {} declares it at {}", place.url, short(&commit));
            let root = PathBuf::from(".");
            Ok((WorkTree { tree, root, fleet: folder.clone(), commit: Some(commit), clean: true }, commits, read))
        })?;
        Ok(Question { tree, commits, place, read: Some(read) })
    }
}

/// The fleet folder's path in a repository.
fn in_repository(folder: &Path) -> Result<String, Failure> {
    let mut parts = Vec::new();
    for part in folder.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => parts.push(name.to_string_lossy()),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let message = format!("--repo is asked, and --fleet {} is a folder of this machine", folder.display());
                return Err(Failure::new(REFUSED, message)
                    .hint("name the folder's path in that repository, as in --fleet fleet; or leave --repo out"));
            }
        }
    }
    Ok(parts.join("/"))
}

impl RepositoryArgs {
    /// Refuses a work tree of which nothing comes from the repository that `--repo` names: what is built, recorded and
    /// fetched there says nothing of it.
    pub fn refuse_mixture(&self, tree: &WorkTree, ssh_key: Option<&Path>) -> Result<(), Failure> {
        let (Some(_), Some(_)) = (&self.repo, &tree.commit) else { return Ok(()) };
        let place = self.place(&tree.root, ssh_key)?;
        let nearest = git::nearest(&tree.root)?.and_then(|url| url.parse::<RemoteUrl>().ok());
        if nearest.as_ref() == Some(&place.url) {
            return Ok(());
        }
        let mirror = place.open()?;
        mirror.fetch()?;
        if git::ancestors(&tree.root, ANCESTORS)?.iter().any(|commit| mirror.has(commit)) {
            return Ok(());
        }
        let message = format!("{} is of another repository than {}", tree.root.join(&tree.fleet).display(), place.url);
        Err(Failure::new(REFUSED, message).hint("run it in a clone of that repository, or leave --repo out"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_folder_of_this_machine_is_none_of_a_repository() {
        for (folder, inside) in [
            ("fleet", Some("fleet")),
            ("./a/fleet/", Some("a/fleet")),
            (".", Some("")),
            ("/srv/fleet", None),
            ("../fleet", None),
        ] {
            assert_eq!(in_repository(Path::new(folder)).ok().as_deref(), inside, "{folder}");
        }
    }
}
