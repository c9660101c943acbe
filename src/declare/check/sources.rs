//! Checks of source folders against the tree: they exist, hold what a command starts, and stay within
//! themselves.

use std::collections::BTreeSet;

use crate::{
    declare::{
        Declaration, codes,
        de::At,
        file::File,
        files,
        kinds::{Run, SourceFolder},
        resolve,
    },
    model::{
        finding::Finding,
        requirements,
        tree::{self, Entry, Tree},
    },
};

pub fn check(declaration: &Declaration, tree: &Tree, findings: &mut Vec<Finding>) {
    let mut sources = Sources { declaration, tree, findings, seen: BTreeSet::new() };
    for service in declaration.services.values() {
        let file = &service.file;
        let folder = sources.folder(file, &service.source);
        sources.program(file, folder.as_deref(), &service.run.exec);
        sources.requirements(file, folder.as_deref(), &service.run);
        for overlay in service.overlays.values() {
            let own = overlay.source.as_ref().map(|source| sources.folder(file, source));
            let changed = own.is_some() || overlay.run.is_some();
            let folder = own.unwrap_or_else(|| folder.clone());
            if changed {
                let run = overlay.run.as_ref().unwrap_or(&service.run);
                sources.program(file, folder.as_deref(), &run.exec);
                sources.requirements(file, folder.as_deref(), run);
            }
        }
    }
    for site in declaration.sites.values() {
        if let Some(frontend) = &site.frontend {
            sources.folder(&site.file, &frontend.source);
        }
    }
}

struct Sources<'a> {
    declaration: &'a Declaration,
    tree: &'a Tree,
    findings: &'a mut Vec<Finding>,
    /// Folders looked through already: many services may share one.
    seen: BTreeSet<String>,
}

impl Sources<'_> {
    /// The folder of `source` when it is one.
    fn folder(&mut self, file: &File, source: &SourceFolder) -> Option<String> {
        let path = &source.path;
        let place = || file.place(path.span);
        let Some(folder) = resolve::source(self.declaration, source) else {
            let message = format!("`{}` leads out of the repository", **path);
            let hint = "a path is relative to the fleet folder, or to the repository's root when it begins with `/`";
            self.findings.push(Finding::error(codes::MISSING_SOURCE, message).at(place()).hint(hint));
            return None;
        };
        if !self.tree.has_folder(&folder) {
            let (code, what) = match self.tree.get(&folder) {
                Some(Entry::File { .. }) => (codes::MISSING_SOURCE, "is a file, not a folder"),
                Some(Entry::Symlink { .. }) => (codes::SYMLINK, "is a link, which is not followed"),
                Some(Entry::Submodule) => (codes::SUBMODULE, "is a git submodule, which is not followed"),
                None => (codes::MISSING_SOURCE, "does not exist in the repository"),
            };
            let hint = "is it ignored by git? A path is relative to the fleet folder, or to the repository's root when \
                        it begins with `/`";
            self.findings.push(Finding::error(code, format!("`{folder}` {what}")).at(place()).hint(hint));
            return None;
        }
        if self.seen.insert(folder.clone()) {
            for (below, entry) in self.tree.below(&folder) {
                let path = if folder.is_empty() { below.to_owned() } else { format!("{folder}/{below}") };
                match entry {
                    Entry::Submodule => {
                        let message = format!("`{path}` is a git submodule, which is not followed");
                        let finding = Finding::error(codes::SUBMODULE, message).at(place());
                        self.findings.push(finding.hint("put its files into the source, or name another source"));
                    }
                    Entry::Symlink { target } if files::followed(&folder, &path, target).is_none() => {
                        let message = format!("`{path}` is a link to `{target}`, which is outside the source");
                        let finding = Finding::error(codes::SYMLINK, message).at(place());
                        self.findings.push(finding.hint("a host has the source alone; put the file itself there"));
                    }
                    Entry::Symlink { .. } | Entry::File { .. } => {}
                }
            }
        }
        Some(folder)
    }

    /// What a virtual environment is to hold is said by files of the source.
    fn requirements(&mut self, file: &File, folder: Option<&str>, run: &Run) {
        let (Some(folder), Some(python)) = (folder, &run.python) else { return };
        let content = |path: &str| match self.tree.get(&tree::join(folder, path)?)? {
            Entry::File { content, .. } => Some(&**content),
            Entry::Symlink { .. } | Entry::Submodule => None,
        };
        if let Err(trouble) = requirements::digest(&python.requirements, &content) {
            let finding = Finding::error(codes::REQUIREMENTS, format!("in `{folder}`, {trouble}"));
            self.findings.push(finding.at(file.place(python.requirements.span)).hint(trouble.hint()));
        }
    }

    /// A program that begins with `./` is part of the source, and executable.
    fn program(&mut self, file: &File, folder: Option<&str>, exec: &At<String>) {
        let Some(folder) = folder else { return };
        let Some(program) = shlex::split(exec).and_then(|words| words.into_iter().next()) else { return };
        if !program.starts_with("./") || program.contains("${") {
            return;
        }
        if program.split('/').any(|part| part == "..") {
            let message = format!("`{program}` has `..` in it");
            let hint = "a path with `./` is a file of the source, named straight";
            let place = file.place_of(exec.span, &program);
            return self.findings.push(Finding::error(codes::INVALID_COMMAND, message).at(place).hint(hint));
        }
        let found = tree::join(folder, &program).and_then(|path| self.tree.get(&path));
        let (message, hint) = match found {
            Some(Entry::File { executable: true, .. } | Entry::Symlink { .. }) => return,
            Some(Entry::File { .. }) => {
                (format!("`{program}` is not executable"), "run `git update-index --chmod=+x` on it, or `chmod +x`")
            }
            Some(Entry::Submodule) | None => {
                (format!("there is no `{program}` in `{folder}`"), "a path with `./` is a file of the source")
            }
        };
        let place = file.place_of(exec.span, &program);
        self.findings.push(Finding::error(codes::INVALID_COMMAND, message).at(place).hint(hint));
    }
}
