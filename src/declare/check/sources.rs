//! Checks of sources: what is written makes one; folders of this repository exist, hold what a command
//! starts, and stay within themselves. What lies elsewhere is looked at when it is fetched.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::{
    declare::{
        Declaration,
        de::At,
        file::{File, Span},
        findings::{Draft, Findings},
        kinds::{Archive, ArchiveUrl, Run, SourceKeys},
        source,
    },
    model::{
        archive::ArchiveKind,
        exclude::{Exclude, Excluder, InvalidExclude},
        finding::Code,
        requirements,
        text::name as short,
        tree::{self, Entry, Tree},
    },
};

/// What a file costs in steps besides what its path costs that is held against patterns.
const LOOK: usize = 16;

pub fn check(declaration: &Declaration, tree: &Tree, findings: &mut Findings) {
    let mut sources = Sources {
        declaration,
        tree,
        findings,
        seen: BTreeSet::new(),
        ready: BTreeMap::new(),
        requirements: BTreeMap::new(),
    };
    for service in declaration.services.values() {
        let file = &service.file;
        let folder = sources.folder(file, &service.source);
        sources.program(file, folder.as_ref(), &service.run.exec);
        sources.requirements(file, folder.as_ref(), &service.run);
        for overlay in service.overlays.values() {
            let own = overlay.source.as_ref().map(|source| sources.folder(file, source));
            let changed = own.is_some() || overlay.run.is_some();
            let folder = own.unwrap_or_else(|| folder.clone());
            if changed {
                let run = overlay.run.as_ref().unwrap_or(&service.run);
                sources.program(file, folder.as_ref(), &run.exec);
                sources.requirements(file, folder.as_ref(), run);
            }
        }
    }
    for site in declaration.sites.values() {
        if let Some(frontend) = &site.frontend {
            sources.folder(&site.file, &frontend.source);
        }
    }
}

/// A folder of this repository, and what of it does not travel.
#[derive(Clone)]
struct Folder {
    path: String,
    exclude: Exclude,
    excluder: Rc<Excluder>,
}

/// What is found out once for all that share it, by the folder, its `exclude`, and the file.
type Requirements = BTreeMap<(String, Exclude, String), Result<(), requirements::Trouble>>;

struct Sources<'a> {
    declaration: &'a Declaration,
    tree: &'a Tree,
    findings: &'a mut Findings,
    /// Folders looked through already: many services may share one.
    seen: BTreeSet<(String, Exclude)>,
    ready: BTreeMap<Exclude, Option<Rc<Excluder>>>,
    requirements: Requirements,
}

impl Sources<'_> {
    /// The folder of `source` when it is one of this repository.
    fn folder(&mut self, file: &File, source: &At<SourceKeys>) -> Option<Folder> {
        let known = self.findings.said();
        self.keys(file, source);
        let exclude = self.exclude(file, source);
        let elsewhere = source.git.is_some() || source.archive.is_some();
        let (false, true, Some(path), Some((exclude, excluder))) =
            (elsewhere, self.findings.said() == known, &source.path, exclude)
        else {
            return None;
        };
        let Some(folder) = source::folder(self.declaration, path) else {
            let message = format!("`{}` leads out of the repository", short(path));
            let hint = "a path is relative to the fleet folder, or to the repository's root when it begins with `/`";
            self.say(Code::MissingSource, file, path.span, message, hint);
            return None;
        };
        if !self.tree.has_folder(&folder) {
            let (code, what) = match self.tree.get(&folder) {
                Some(Entry::File { .. }) => (Code::MissingSource, "is a file, not a folder"),
                Some(Entry::Symlink { .. }) => (Code::Symlink, "is a link, which is not followed"),
                Some(Entry::Submodule) => (Code::Submodule, "is a git submodule, which is not followed"),
                None => (Code::MissingSource, "does not exist in the repository"),
            };
            let hint = "is it ignored by git? A path is relative to the fleet folder, or to the repository's root when \
                        it begins with `/`";
            self.say(code, file, path.span, format!("`{}` {what}", short(&folder)), hint);
            return None;
        }
        if self.seen.insert((folder.clone(), exclude.clone())) {
            self.entries(file, path, &folder, (&exclude, &excluder));
        }
        // What a build makes is not there to be looked at.
        source.build.is_none().then_some(Folder { path: folder, exclude, excluder })
    }

    fn say(&mut self, code: Code, file: &File, span: Span, message: String, hint: &str) {
        self.findings.say(Draft::error(code, message).at(file, span).hint(hint));
    }

    /// The patterns, made ready once for all sources that have the same. None when they are none, which is said.
    fn exclude(&mut self, file: &File, source: &At<SourceKeys>) -> Option<(Exclude, Rc<Excluder>)> {
        let last = source.exclude.last().map_or(source.span, |pattern| pattern.span);
        let made = source::exclude(source, self.findings.budget());
        let made = made.and_then(|exclude| match self.ready.get(&exclude) {
            Some(ready) => Ok(ready.clone().map(|excluder| (exclude, excluder))),
            None if !self.findings.spend(exclude.steps_to_ready(), file) => Ok(None),
            None => {
                let ready = exclude.try_ready().map(Rc::new);
                self.ready.insert(exclude.clone(), ready.as_ref().ok().cloned());
                Ok(Some((exclude, ready?)))
            }
        });
        match made {
            Ok(made) => made,
            Err(invalid @ InvalidExclude::Pattern { at, .. }) => {
                let span = source.exclude.get(at).map_or(last, |pattern| pattern.span);
                let hint = "see gitignore(5); a range in brackets goes upwards";
                self.say(Code::InvalidValue, file, span, invalid.to_string(), hint);
                None
            }
            Err(invalid @ (InvalidExclude::TooMany { .. } | InvalidExclude::TooComplex)) => {
                let span = source.exclude.first().map_or(last, |pattern| pattern.span);
                let hint = "leave out folders instead of files: `node_modules/` and `*.log` each stand for many";
                self.say(Code::TooManyPatterns, file, span, invalid.to_string(), hint);
                None
            }
        }
    }

    /// Which keys go together.
    fn keys(&mut self, file: &File, source: &At<SourceKeys>) {
        self.origin(file, source);
        self.archive(file, source);
        self.credentials(file, source);
        self.build(file, source);
        let elsewhere = source.git.is_some() || source.archive.is_some();
        if let Some(path) = source.path.as_ref().filter(|path| elsewhere && tree::join("", path).is_none()) {
            let message = format!("`{}` leads out of the source", short(path));
            let hint = "with `git` or `archive` a path begins at the root there";
            self.say(Code::MissingSource, file, path.span, message, hint);
        }
    }

    /// One place for the files, and what belongs to it alone.
    fn origin(&mut self, file: &File, source: &At<SourceKeys>) {
        let one_of = "a source is a folder of this repository (`path`), of another one (`git`), or an archive";
        match (&source.git, &source.archive, &source.path) {
            (None, None, None) => {
                let message = "`source` needs one of path, git and archive".to_owned();
                self.say(Code::OneOf, file, source.span, message, one_of);
            }
            (Some(_), Some(archive), _) => {
                let message = "`git` and `archive` name two places for the same files".to_owned();
                self.say(Code::OneOf, file, archive.span, message, one_of);
            }
            _ => {}
        }
        if let (None, Some(rev)) = (&source.git, &source.rev) {
            let message = format!("`rev: {}` without `git` stands for nothing", short(&rev.value));
            let hint = "a folder of this repository is taken from the commit that is deployed";
            self.say(Code::SourceKeys, file, rev.span, message, hint);
        }
    }

    /// Each archive has its digest, and no digest is without one.
    fn archive(&mut self, file: &File, source: &At<SourceKeys>) {
        let urls: Vec<&ArchiveUrl> = match source.archive.as_deref() {
            Some(Archive::One(url)) => vec![url],
            Some(Archive::ByArch(of)) => of.values().map(|of| &of.url).collect(),
            None => Vec::new(),
        };
        for (url, kind) in urls.into_iter().filter_map(|url| Some((url, ArchiveKind::of_name(url)?))) {
            let span = source.archive.as_ref().map_or(source.span, |archive| archive.span);
            let message = format!("`{}` is {kind} by its name; evenkeel reads tar.gz and tar.zst", short(url));
            let finding = Draft::warning(Code::InvalidValue, message).at_part(file, span, url);
            self.findings.say(finding.hint(kind.way_out()));
        }
        match (source.archive.as_ref().map(|archive| (&archive.value, archive.span)), &source.sha256) {
            (Some((Archive::One(_), span)), None) => {
                let hint = "`sha256sum FILE` prints it; without it, it could be any file";
                self.say(Code::MissingKey, file, span, "the archive has no `sha256`".to_owned(), hint);
            }
            (Some((Archive::ByArch(_), _)), Some(sha256)) => {
                let message = "`sha256` is one archive's, and here is one for each processor".to_owned();
                let hint = "give each archive its own: {url: …, sha256: …}";
                self.say(Code::SourceKeys, file, sha256.span, message, hint);
            }
            (None, Some(sha256)) => {
                let message = "`sha256` without `archive` is the digest of nothing".to_owned();
                self.say(Code::SourceKeys, file, sha256.span, message, "leave it out, or name the archive");
            }
            _ => {}
        }
    }

    /// What lets evenkeel in is for a place where it can.
    fn credentials(&mut self, file: &File, source: &At<SourceKeys>) {
        let Some(credentials) = &source.credentials else { return };
        let git = source.git.as_ref().map(|git| git.to_string());
        let archive = || match &source.archive.as_ref()?.value {
            Archive::One(url) => Some(url.to_string()),
            Archive::ByArch(of) => of.values().next().map(|of| of.url.to_string()),
        };
        let message = match git.or_else(archive) {
            None => "`credentials` are for `git` and `archive`",
            Some(url) if url.starts_with("file://") => "`credentials` are of no use for a file of the controller",
            Some(_) => return,
        };
        self.say(Code::SourceKeys, file, credentials.span, message.to_owned(), "leave it out");
    }

    /// What a build needs is written, and leads nowhere else.
    fn build(&mut self, file: &File, source: &At<SourceKeys>) {
        let Some(build) = &source.build else { return };
        if build.run.trim().is_empty() || build.run.contains('\0') {
            let hint = "write what a shell runs, as in `npm ci && npm run build`";
            self.say(Code::InvalidCommand, file, build.run.span, "`run` of the build is no command".to_owned(), hint);
        }
        if build.output.is_empty() || tree::join("", &build.output).is_none() {
            let message = format!("`{}` is no folder within the source", short(&build.output));
            let hint = "name the folder that the build writes, from the source's folder";
            self.say(Code::MissingSource, file, build.output.span, message, hint);
        }
        if let Some(timeout) = build.timeout.as_ref().filter(|timeout| timeout.value.0.is_zero()) {
            let message = "a build cannot end within 0s".to_owned();
            self.say(Code::InvalidValue, file, timeout.span, message, "leave it out for 10m");
        }
        for (name, value) in &build.env {
            let Some(reference) = reference_in(value) else { continue };
            let message =
                format!("`{}` holds `{reference}`, which no build replaces: it gets this very text", short(name));
            let hint = "what is built is the same on every instance and in every environment; write the address out, or use one \
                        relative to the site, as in `API: /api/`";
            let finding = Draft::warning(Code::MalformedReference, message).at_part(file, value.span, &reference);
            self.findings.say(finding.hint(hint));
        }
        for value in build.env.values().filter(|value| value.contains('\0')) {
            let message = "the value holds a NUL, which no environment can carry".to_owned();
            self.say(Code::InvalidValue, file, value.span, message, "take it out");
        }
    }

    /// Every file of a folder can travel.
    fn entries(&mut self, file: &File, source: &At<String>, folder: &str, (exclude, excluder): (&Exclude, &Excluder)) {
        let mut left = 0;
        for (below, entry) in self.tree.below(folder) {
            if !self.findings.spend(exclude.steps_to_hold(below).saturating_add(LOOK), file) {
                return;
            }
            if excluder.excludes(below) {
                continue;
            }
            left += 1;
            match entry {
                Entry::Submodule => {
                    let message = format!("`{}` is a git submodule, which is not followed", path_of(folder, below));
                    let hint = "put its files into the source, or name another source";
                    self.say(Code::Submodule, file, source.span, message, hint);
                }
                Entry::Symlink { target } if tree::followed(folder, &path_of(folder, below), target).is_none() => {
                    let (path, target) = (path_of(folder, below), short(target));
                    let message = format!("`{path}` is a link to `{target}`, which is outside the source");
                    let hint = "a host has the source alone; put the file itself there";
                    self.say(Code::Symlink, file, source.span, message, hint);
                }
                Entry::Symlink { .. } | Entry::File { .. } => {}
            }
        }
        if left == 0 {
            let message = format!("`exclude` leaves nothing of `{}`", short(folder));
            self.say(Code::MissingSource, file, source.span, message, "leave out less");
        }
    }

    /// What a virtual environment is to hold is said by files of the source.
    fn requirements(&mut self, file: &File, folder: Option<&Folder>, run: &Run) {
        let (Some(folder), Some(python)) = (folder, &run.python) else { return };
        let key = (folder.path.clone(), folder.exclude.clone(), python.requirements.to_string());
        if !self.requirements.contains_key(&key) {
            let found = |path: &str| match self.tree.get(&tree::join(&folder.path, path)?)? {
                Entry::File { content, .. } if !folder.excluder.excludes(path) => Some(&**content),
                Entry::File { .. } | Entry::Symlink { .. } | Entry::Submodule => None,
            };
            let counted = Cell::new(0);
            let content = |path: &str| {
                let content = found(path)?;
                counted.set(counted.get() + content.len());
                Some(content)
            };
            let read = requirements::digest(&python.requirements, &content, self.findings.budget());
            if !self.findings.spend(counted.get(), file) {
                return;
            }
            self.requirements.insert(key.clone(), read.map(drop));
        }
        if let Some(Err(trouble)) = self.requirements.get(&key) {
            let (message, hint) = (format!("in `{}`, {trouble}", short(&folder.path)), trouble.hint());
            self.say(Code::Requirements, file, python.requirements.span, message, hint);
        }
    }

    /// A program that begins with `./` is part of the source, and executable.
    fn program(&mut self, file: &File, folder: Option<&Folder>, exec: &At<String>) {
        let Some(folder) = folder else { return };
        if !self.findings.spend(exec.len(), file) {
            return;
        }
        let Some(program) = shlex::Shlex::new(exec).next() else { return };
        if !program.starts_with("./") || program.contains("${") {
            return;
        }
        let at = |message: String| Draft::error(Code::InvalidCommand, message).at_part(file, exec.span, &program);
        let shown = short(&program);
        if program.split('/').any(|part| part == "..") {
            let hint = "a path with `./` is a file of the source, named straight";
            return self.findings.say(at(format!("`{shown}` has `..` in it")).hint(hint));
        }
        let found = tree::join(&folder.path, &program).and_then(|path| self.tree.get(&path));
        let excluded = tree::join("", &program).is_some_and(|path| folder.excluder.excludes(&path));
        let (message, hint) = match found {
            Some(Entry::File { .. } | Entry::Symlink { .. }) if excluded => {
                (format!("`{shown}` is among what `exclude` leaves out"), "leave out less")
            }
            Some(Entry::File { executable: true, .. } | Entry::Symlink { .. }) => return,
            Some(Entry::File { .. }) => {
                (format!("`{shown}` is not executable"), "run `git update-index --chmod=+x` on it, or `chmod +x`")
            }
            Some(Entry::Submodule) | None => (
                format!("there is no `{shown}` in `{}`", short(&folder.path)),
                "a path with `./` is a file of the source",
            ),
        };
        self.findings.say(at(message).hint(hint));
    }
}

/// The first `${service…}` or `${site…}` in a text, as it is written.
fn reference_in(text: &str) -> Option<String> {
    let at = text.match_indices("${").map(|(at, _)| at).find(|at| {
        let inner = &text[at + 2..];
        ["service.", "site.", "instance."].iter().any(|kind| inner.starts_with(kind))
    })?;
    let end = text[at..].find('}').map_or(text.len(), |end| at + end + 1);
    Some(short(&text[at..end]).into_owned())
}

fn path_of(folder: &str, below: &str) -> String {
    if folder.is_empty() { below.to_owned() } else { format!("{folder}/{below}") }
}
