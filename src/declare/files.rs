//! Which file of a tree declares what.
//!
//! Keeps true: a name stands for at most one file; what is not read although one would expect it is
//! said. Never does: following a link out of the fleet folder.

use std::collections::BTreeMap;

use super::{
    codes,
    file::{File, Span},
    kinds::Kind,
    similar,
};
use crate::model::{
    finding::{Finding, Place},
    name::{EnvironmentName, InstanceName, ServiceName, SiteName},
    tree::{Entry, MOST_LINKS, Tree, followed},
};

/// The files of a fleet folder by kind and name, those of kinds with their paths. None is a file whose text cannot be
/// had; why is a finding.
#[derive(Default)]
pub struct Files {
    pub fleet: Option<File>,
    pub kinds: BTreeMap<Kind, BTreeMap<String, (String, Option<File>)>>,
    pub findings: Vec<Finding>,
}

/// Looks for the files of the fleet in `folder` of `tree`.
pub fn gather(tree: &Tree, folder: &str) -> Files {
    let mut files = Files::default();
    files.fleet(tree, folder);
    for kind in Kind::ALL {
        files.kind(tree, folder, kind);
    }
    files.other_folders(tree, folder);
    files
}

/// A place for what is said of a file as such.
pub fn whole_file(path: &str) -> Place {
    Place { file: path.to_owned(), line: 1, column: 1, end_column: 2, text: String::new() }
}

fn path_of(folder: &str, below: &str) -> String {
    if folder.is_empty() { below.to_owned() } else { format!("{folder}/{below}") }
}

impl Files {
    fn say(&mut self, finding: Finding, path: &str) {
        self.findings.push(finding.at(whole_file(path)));
    }

    fn fleet(&mut self, tree: &Tree, folder: &str) {
        let [long, short] = ["fleet.yaml", "fleet.yml"].map(|name| path_of(folder, name));
        match (tree.get(&long), tree.get(&short)) {
            (Some(_), Some(_)) => {
                let message = format!("`{short}` stands beside `{long}`: there is one fleet");
                self.say(Finding::error(codes::NAME_TWICE, message).hint("remove one of the two"), &short);
                self.fleet = self.text(tree, folder, &long);
            }
            (Some(_), None) => self.fleet = self.text(tree, folder, &long),
            (None, Some(_)) => self.fleet = self.text(tree, folder, &short),
            (None, None) => {
                let shown = if folder.is_empty() { "the repository's root" } else { folder };
                let message = format!("there is no fleet.yaml in {shown}");
                let hint = "name the folder with --fleet, or make a fleet with `evenkeel init`";
                self.say(Finding::error(codes::MISSING_FLEET_FILE, message).hint(hint), &long);
            }
        }
    }

    fn kind(&mut self, tree: &Tree, folder: &str, kind: Kind) {
        let folder_of_kind = path_of(folder, kind.folder());
        let mut paths: BTreeMap<String, String> = BTreeMap::new();
        if matches!(tree.get(&folder_of_kind), Some(Entry::Symlink { .. } | Entry::Submodule)) {
            let message = format!("`{folder_of_kind}` is not a folder of this repository");
            let hint = "a link or a submodule in its place is not followed";
            self.say(Finding::error(codes::SYMLINK, message).hint(hint), &folder_of_kind);
        }
        for (below, _) in tree.below(&folder_of_kind) {
            let path = format!("{folder_of_kind}/{below}");
            let name = below.strip_suffix(".yaml").or_else(|| below.strip_suffix(".yml"));
            let Some(name) = name.filter(|name| !name.contains('/')) else {
                if !below.starts_with('.') {
                    let message = format!("`{path}` is not read: {} are files that end in .yaml", kind.folder());
                    self.say(Finding::warning(codes::UNEXPECTED_FILE, message), &path);
                }
                continue;
            };
            if let Some(reason) = refused_name(kind, name) {
                self.say(Finding::error(codes::INVALID_NAME, reason).hint("rename the file"), &path);
            } else if let Some(first) = paths.get(name) {
                let message = format!("`{path}` and `{first}` declare one name");
                self.say(Finding::error(codes::NAME_TWICE, message).hint("remove one of the two"), &path);
            } else {
                paths.insert(name.to_owned(), path);
            }
        }
        let files = paths.into_iter().map(|(name, path)| {
            let file = self.text(tree, folder, &path);
            (name, (path, file))
        });
        let files = files.collect();
        self.kinds.insert(kind, files);
    }

    /// `service/` for `services/` would otherwise silently be nothing.
    fn other_folders(&mut self, tree: &Tree, folder: &str) {
        let mut said = None;
        for (below, _) in tree.below(folder) {
            let Some((top, rest)) = below.split_once('/') else { continue };
            let known = Kind::ALL.map(Kind::folder);
            if known.contains(&top) || said == Some(top) || !(rest.ends_with(".yaml") || rest.ends_with(".yml")) {
                continue;
            }
            if !rest.contains('/')
                && let Some(hint) = similar::did_you_mean(top, known)
            {
                said = Some(top);
                let path = path_of(folder, top);
                let message = format!("the folder `{path}` is not read");
                self.say(Finding::warning(codes::UNEXPECTED_FILE, message).hint(hint), &path);
            }
        }
    }

    /// The text at `path`, through links that stay within `folder`.
    fn text(&mut self, tree: &Tree, folder: &str, path: &str) -> Option<File> {
        let mut at = path.to_owned();
        for _ in 0..MOST_LINKS {
            match tree.get(&at) {
                Some(Entry::File { content, .. }) => return self.utf8(path, content),
                Some(Entry::Symlink { target }) => match followed(folder, &at, target) {
                    Some(next) => at = next,
                    None => {
                        let message = format!("`{path}` is a link to `{target}`, which is outside the fleet folder");
                        self.say(Finding::error(codes::SYMLINK, message).hint("put the file itself here"), path);
                        return None;
                    }
                },
                Some(Entry::Submodule) => {
                    let message = format!("`{path}` is a git submodule, which is not followed");
                    self.say(Finding::error(codes::SUBMODULE, message).hint("put the file itself here"), path);
                    return None;
                }
                None => break,
            }
        }
        let message = format!("`{path}` is a link that leads to no file");
        self.say(Finding::error(codes::SYMLINK, message).hint("put the file itself here"), path);
        None
    }

    fn utf8(&mut self, path: &str, content: &[u8]) -> Option<File> {
        match std::str::from_utf8(content) {
            Ok(text) => Some(File::new(path, text)),
            Err(error) => {
                let valid = String::from_utf8_lossy(content.get(..error.valid_up_to()).unwrap_or_default());
                let line = valid.matches('\n').count() + 1;
                let column = valid.chars().rev().take_while(|c| *c != '\n').count() + 1;
                let number = |value: usize| u32::try_from(value).unwrap_or(Span::REST - 1);
                let place = File::new(path, &String::from_utf8_lossy(content));
                let span = Span { line: number(line), column: number(column), end_column: number(column + 1) };
                let message = format!("line {line} is not UTF-8 text");
                let hint = "save the file as UTF-8";
                self.findings.push(Finding::error(codes::NOT_UTF8, message).at(place.place(span)).hint(hint));
                None
            }
        }
    }
}

fn refused_name(kind: Kind, name: &str) -> Option<String> {
    match kind {
        Kind::Environment => name.parse::<EnvironmentName>().err(),
        Kind::Instance => name.parse::<InstanceName>().err(),
        Kind::Service => name.parse::<ServiceName>().err(),
        Kind::Site => name.parse::<SiteName>().err(),
    }
    .map(|error| error.to_string())
}
