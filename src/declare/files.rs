//! Which file of a tree declares what.
//!
//! Keeps true: a name stands for at most one file; what is not read although one would expect it is
//! said. Never does: following a link out of the fleet folder.

use std::collections::BTreeMap;

use super::{
    file::{File, Span},
    findings::{Draft, Findings},
    kinds::Kind,
    similar,
};
use crate::model::{
    finding::Code,
    name::{EnvironmentName, InstanceName, ServiceName, SiteName},
    text::name as short,
    tree::{Entry, MOST_LINKS, Tree, followed},
};

/// The files of a fleet folder by kind and name, those of kinds with their paths. None is a file whose text cannot be
/// had; why is a finding.
#[derive(Default)]
pub struct Files {
    pub fleet: Option<File>,
    pub kinds: BTreeMap<Kind, BTreeMap<String, (String, Option<File>)>>,
}

/// Looks for the files of the fleet in `folder` of `tree`.
pub fn gather(tree: &Tree, folder: &str, findings: &mut Findings) -> Files {
    let mut gathering = Gathering { tree, folder, files: 0, bytes: 0, is_full: false, findings };
    let mut files = Files { fleet: gathering.fleet(), ..Files::default() };
    for kind in Kind::ALL {
        files.kinds.insert(kind, gathering.kind(kind));
    }
    gathering.other_folders();
    files
}

fn path_of(folder: &str, below: &str) -> String {
    if folder.is_empty() { below.to_owned() } else { format!("{folder}/{below}") }
}

struct Gathering<'a> {
    tree: &'a Tree,
    folder: &'a str,
    /// Of what was read so far.
    files: usize,
    bytes: usize,
    /// Whether it was said that no more is read.
    is_full: bool,
    findings: &'a mut Findings,
}

impl Gathering<'_> {
    fn say(&mut self, finding: Draft, path: &str) {
        self.findings.say(finding.of_file(path));
    }

    /// `fleet.yaml`, and no other name: the default branch is asked for that one.
    fn fleet(&mut self) -> Option<File> {
        let [long, short] = ["fleet.yaml", "fleet.yml"].map(|name| path_of(self.folder, name));
        let is_there = self.tree.get(&long).is_some();
        match (is_there, self.tree.get(&short)) {
            (true, Some(_)) => {
                let message = format!("`{short}` stands beside `{long}`: there is one fleet");
                self.say(Draft::error(Code::NameTwice, message).hint(format!("remove `{short}`")), &short);
            }
            (true, None) => {}
            (false, Some(_)) => {
                let message = format!("`{short}` is not read: the fleet's file has the name fleet.yaml");
                let hint = format!("rename it: `git mv {short} {long}`");
                self.say(Draft::error(Code::MissingFleetFile, message).hint(hint), &short);
            }
            (false, None) => {
                let shown = if self.folder.is_empty() { "the repository's root" } else { self.folder };
                let message = format!("there is no fleet.yaml in {shown}");
                let hint = "name the folder with --fleet, or make a fleet with `evenkeel init`";
                self.say(Draft::error(Code::MissingFleetFile, message).hint(hint), &long);
            }
        }
        is_there.then(|| self.text(&long)).flatten()
    }

    fn kind(&mut self, kind: Kind) -> BTreeMap<String, (String, Option<File>)> {
        let folder_of_kind = path_of(self.folder, kind.folder());
        let mut paths: BTreeMap<String, String> = BTreeMap::new();
        if matches!(self.tree.get(&folder_of_kind), Some(Entry::Symlink { .. } | Entry::Submodule)) {
            let message = format!("`{folder_of_kind}` is not a folder of this repository");
            let hint = "a link or a submodule in its place is not followed";
            self.say(Draft::error(Code::Symlink, message).hint(hint), &folder_of_kind);
        }
        for (below, _) in self.tree.below(&folder_of_kind) {
            let path = format!("{folder_of_kind}/{below}");
            let name = below.strip_suffix(".yaml").or_else(|| below.strip_suffix(".yml"));
            let Some(name) = name.filter(|name| !name.contains('/')) else {
                if !below.starts_with('.') {
                    let message = format!("`{path}` is not read: {} are files that end in .yaml", kind.folder());
                    self.say(Draft::warning(Code::UnexpectedFile, message), &path);
                }
                continue;
            };
            if let Some(reason) = refused_name(kind, name) {
                self.say(Draft::error(Code::InvalidName, reason).hint("rename the file"), &path);
            } else if let Some(first) = paths.get(name) {
                let message = format!("`{path}` and `{first}` declare one name");
                self.say(Draft::error(Code::NameTwice, message).hint("remove one of the two"), &path);
            } else {
                paths.insert(name.to_owned(), path);
            }
        }
        let files = paths.into_iter().map(|(name, path)| {
            let file = self.text(&path);
            (name, (path, file))
        });
        files.collect()
    }

    /// `service/` for `services/` would otherwise silently be nothing.
    fn other_folders(&mut self) {
        let mut said = None;
        for (below, _) in self.tree.below(self.folder) {
            let Some((top, rest)) = below.split_once('/') else { continue };
            let known = Kind::ALL.map(Kind::folder);
            if known.contains(&top) || said == Some(top) || !(rest.ends_with(".yaml") || rest.ends_with(".yml")) {
                continue;
            }
            if !rest.contains('/')
                && let Some(hint) = similar::did_you_mean(top, known)
            {
                said = Some(top);
                let path = path_of(self.folder, top);
                let message = format!("the folder `{path}` is not read");
                self.say(Draft::warning(Code::UnexpectedFile, message).hint(hint), &path);
            }
        }
    }

    /// The text at `path`, through links that stay within the folder.
    fn text(&mut self, path: &str) -> Option<File> {
        let mut at = path.to_owned();
        for _ in 0..MOST_LINKS {
            match self.tree.get(&at) {
                Some(Entry::File { content, .. }) => return self.utf8(path, content),
                Some(Entry::Symlink { target }) => match followed(self.folder, &at, target) {
                    Some(next) => at = next,
                    None => {
                        let target = short(target);
                        let message = format!("`{path}` is a link to `{target}`, which is outside the fleet folder");
                        self.say(Draft::error(Code::Symlink, message).hint("put the file itself here"), path);
                        return None;
                    }
                },
                Some(Entry::Submodule) => {
                    let message = format!("`{path}` is a git submodule, which is not followed");
                    self.say(Draft::error(Code::Submodule, message).hint("put the file itself here"), path);
                    return None;
                }
                None => break,
            }
        }
        let message = format!("`{path}` is a link that leads to no file");
        self.say(Draft::error(Code::Symlink, message).hint("put the file itself here"), path);
        None
    }

    /// Whether the folder's budget has room for one more file; where it has none, that is said once.
    fn has_room(&mut self, path: &str, bytes: usize) -> bool {
        let (most_files, most_bytes) = (self.findings.budget().fleet_files, self.findings.budget().fleet_bytes);
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let message = if self.files > most_files {
            format!("the fleet folder has more than {most_files} files; this one and those after it are not read")
        } else if self.bytes > most_bytes {
            format!("the fleet's files have more than {most_bytes} bytes; this one and those after it are not read")
        } else {
            return true;
        };
        if !std::mem::replace(&mut self.is_full, true) {
            let hint = "make several fleets of it, each in a folder of its own";
            self.say(Draft::error(Code::FleetTooLarge, message).hint(hint), path);
        }
        false
    }

    fn utf8(&mut self, path: &str, content: &[u8]) -> Option<File> {
        let most = self.findings.budget().file_bytes;
        if content.len() > most {
            let message = format!("the file has {} bytes; {most} are allowed", content.len());
            self.say(Draft::error(Code::FileTooLarge, message), path);
            return None;
        }
        if !self.has_room(path, content.len()) {
            return None;
        }
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
                let finding = Draft::error(Code::NotUtf8, message).at(&place, span);
                self.findings.say(finding.hint("save the file as UTF-8"));
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
