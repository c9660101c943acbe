//! A file of requirements with those that it includes: what a Python service's virtual environment holds.
//!
//! Keeps true: what is installed depends on nothing but the contents that the digest is over. So files and
//! folders are no requirements, for pip would install what they hold, and what lies at an address is not included.
//! No line is ever part of an error: it may hold a password. Files that include one another are read without
//! recursion, as deep and as much as the [`Budget`] allows.
//! Source: pip's documentation of the requirements file format, and what pip does with a requirement
//! (`_internal/req/constructors.py`).

mod line;

use std::collections::BTreeSet;

use thiserror::Error;

pub use self::line::{Line, Unreadable, lines};
use super::{budget::Budget, digest::Digest, text::name, tree};

/// Paths are those in the source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    #[error("`{}` is no file of the source", name(path))]
    NoFile { path: String },
    #[error("`{}` is {what}, and pip reads requirements, one a line", name(path))]
    OtherFormat { path: String, what: &'static str, exported: &'static str },
    #[error("`{}`, line {line}: `{}` is no file of the source", name(path), name(included))]
    NoIncluded { path: String, line: usize, included: String },
    #[error("`{}` is no text in UTF-8", name(path))]
    NoText { path: String },
    #[error("`{}`, line {line}: what lies at an address may change without a commit", name(path))]
    Address { path: String, line: usize },
    #[error(
        "`{}`, line {line}: a folder or a file is no requirement, for what it holds has no name and version",
        name(path)
    )]
    Local { path: String, line: usize },
    #[error("`{}`, line {line}: an address with a password, which everybody can read in git", name(path))]
    Password { path: String, line: usize },
    #[error(
        "`{}`, line {line}: pip cannot read this line, or reads it by what the host's environment holds",
        name(path)
    )]
    Unreadable { path: String, line: usize },
    #[error("`{}`, line {line}: files of requirements include one another more than {depth} deep", name(path))]
    TooDeep { path: String, line: usize, depth: usize },
    #[error("`{}`: the files of requirements have more than {bytes} bytes together", name(path))]
    TooLarge { path: String, bytes: usize },
}

impl Trouble {
    /// The next move.
    pub fn hint(&self) -> &'static str {
        match self {
            Trouble::OtherFormat { exported, .. } => exported,
            Trouble::NoFile { .. } => "commit it, or correct run.python.requirements",
            Trouble::NoIncluded { .. } => "commit it; a path is relative to the file that includes it",
            Trouble::NoText { .. } => "write it as UTF-8, and name no other `coding`",
            Trouble::Address { .. } => "copy it into the source",
            Trouble::Local { .. } => "name a package of an index; code of the source runs as it is",
            Trouble::Password { .. } => {
                "leave it out, and put it into the file on the host that run.python.netrc names"
            }
            Trouble::Unreadable { .. } => {
                "write options in full, close quotes, and write out what `${…}` stands for; credentials belong into \
                 the file that run.python.netrc names"
            }
            Trouble::TooDeep { .. } => "include them from one file",
            Trouble::TooLarge { .. } => "leave out what is not installed",
        }
    }
}

/// The digest over all that `path` says, where `files` has the contents of the source's files.
pub fn digest<'a>(path: &str, files: &dyn Fn(&str) -> Option<&'a [u8]>, budget: &Budget) -> Result<Digest, Trouble> {
    let mut reading =
        RequirementsReading { files, budget, contents: Vec::new(), bytes: 0, seen: BTreeSet::new(), open: Vec::new() };
    reading.open(path, || Trouble::NoFile { path: path.to_owned() })?;
    while let Some(file) = reading.open.last_mut() {
        let Some(line) = file.lines.next() else {
            reading.open.pop();
            continue;
        };
        let path = file.path.clone();
        let line = line.map_err(|unreadable| Trouble::Unreadable { path: path.clone(), line: unreadable.line })?;
        reading.line(path, &line)?;
    }
    Ok(Digest::of_fields(reading.contents))
}

/// What a file of another tool is, by its name, and how to make requirements of it.
fn other_format(path: &str) -> Option<(&'static str, &'static str)> {
    let file = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    Some(match (file.as_str(), ending) {
        ("uv.lock", _) => {
            ("uv's lock file", "write `uv export --no-emit-project -o requirements.txt`, commit that file, and name it")
        }
        ("poetry.lock", _) => (
            "Poetry's lock file",
            "write `poetry export -o requirements.txt` (poetry-plugin-export), commit that file, and name it",
        ),
        ("pdm.lock", _) => ("PDM's lock file", "write `pdm export -o requirements.txt`, commit that file, and name it"),
        ("pipfile" | "pipfile.lock", _) => {
            ("Pipenv's file", "write `pipenv requirements > requirements.txt`, commit that file, and name it")
        }
        ("environment.yml" | "environment.yaml", _) => (
            "an environment of conda's",
            "write `pip list --format=freeze > requirements.txt` in it, commit that file, and name it",
        ),
        ("setup.py" | "setup.cfg", _) => {
            ("a project's setup", "write `pip-compile -o requirements.txt` (pip-tools), commit that file, and name it")
        }
        (_, "toml") => (
            "a TOML file",
            "write `uv export --no-emit-project -o requirements.txt` or `pip-compile -o requirements.txt pyproject.toml`, \
             commit that file, and name it",
        ),
        (_, "lock") => (
            "a lock file of another tool",
            "export it as requirements.txt (`uv export`, `poetry export`), commit that file, and name it",
        ),
        (_, "yml" | "yaml" | "json") => {
            ("no text of requirements", "write requirements.txt with one package a line, as in `flask==3.1.0`")
        }
        _ => return None,
    })
}

/// A file that is read, as far as it is.
struct OpenFile<'a> {
    path: String,
    lines: Box<dyn Iterator<Item = Result<Line, Unreadable>> + 'a>,
}

struct RequirementsReading<'f, 'a> {
    files: &'f dyn Fn(&str) -> Option<&'a [u8]>,
    budget: &'f Budget,
    contents: Vec<&'a [u8]>,
    bytes: usize,
    seen: BTreeSet<String>,
    /// The file that is read, below it the one that includes it, and so on.
    open: Vec<OpenFile<'a>>,
}

impl<'a> RequirementsReading<'_, 'a> {
    fn open(&mut self, path: &str, missing: impl FnOnce() -> Trouble) -> Result<(), Trouble> {
        if let Some((what, exported)) = other_format(path) {
            return Err(Trouble::OtherFormat { path: path.to_owned(), what, exported });
        }
        let content = (self.files)(path).ok_or_else(missing)?;
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let limit = self.budget.included_bytes;
        self.bytes = self.bytes.saturating_add(content.len());
        if self.bytes > limit {
            return Err(Trouble::TooLarge { path: path.to_owned(), bytes: limit });
        }
        self.contents.push(content);
        let text = decoded(content).ok_or_else(|| Trouble::NoText { path: path.to_owned() })?;
        self.open.push(OpenFile { path: path.to_owned(), lines: Box::new(lines(text)) });
        Ok(())
    }

    fn line(&mut self, path: String, said: &Line) -> Result<(), Trouble> {
        let line = said.number;
        let included = included(said);
        if included.is_some_and(is_address) {
            return Err(Trouble::Address { path, line });
        }
        if has_password(&said.text) {
            return Err(Trouble::Password { path, line });
        }
        if is_local(said) {
            return Err(Trouble::Local { path, line });
        }
        let Some(included) = included else { return Ok(()) };
        if self.open.len() >= self.budget.depth {
            return Err(Trouble::TooDeep { path, line, depth: self.budget.depth });
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        // One that begins at the root is no file of the source, whatever lies there.
        let file = if included.starts_with('/') { None } else { tree::join(folder, included) };
        let missing = || Trouble::NoIncluded { path: path.clone(), line, included: included.to_owned() };
        match file {
            Some(file) => self.open(&file, missing),
            None => Err(missing()),
        }
    }
}

/// The text as pip decodes it: it heeds what the first two lines say of the encoding.
fn decoded(content: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content)).ok()?;
    let mut first = text.split('\n').take(2).filter(|line| line.starts_with('#'));
    let coding = first.find_map(|line| {
        let (_, named) = line.split_once("coding:").or_else(|| line.split_once("coding="))?;
        let named = named.trim_start();
        Some(named.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next().unwrap_or_default())
    });
    let is_utf8 =
        |name: &str| ["", "utf-8", "utf8", "utf_8", "ascii", "us-ascii"].contains(&&*name.to_ascii_lowercase());
    coding.is_none_or(is_utf8).then_some(text)
}

/// The file that a line includes, as requirements or as constraints: of several options one counts.
fn included(line: &Line) -> Option<&str> {
    let of = |name: &str| line.options.iter().find(|(option, _)| *option == name).map(|(_, value)| value.as_str());
    let counts = line.requirement.is_empty() && of("--editable").is_none();
    counts.then(|| of("--requirement").or_else(|| of("--constraint"))).flatten()
}

/// Whether pip takes the path of an included file for an address.
fn is_address(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    first.contains(':') || path.contains(char::is_control)
}

/// `scheme://user:password@host`, or a token as the user.
fn has_password(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', '?', '#', ' ', '\t']).next().unwrap_or_default();
        // The user that repositories are reached as by SSH is no secret.
        host.rsplit_once('@').is_some_and(|(user, _)| user != "git")
    })
}

/// Whether a line has pip install what lies on the host, or look for packages there.
fn is_local(line: &Line) -> bool {
    let options = line.options.iter().map(|(option, value)| (*option, value.as_str()));
    let is_local_option = |(option, value): (&str, &str)| match option {
        "--editable" => !is_remote(value.split_once('@').map_or(value, |(name, address)| {
            // `NAME @ ADDRESS`, as opposed to a user in an address.
            if name.contains(':') { value } else { address.trim() }
        })),
        "--index-url" | "--extra-index-url" | "--find-links" => !is_web(value),
        _ => false,
    };
    options.into_iter().any(is_local_option) || is_local_requirement(&line.requirement)
}

fn is_local_requirement(requirement: &str) -> bool {
    if requirement.is_empty() || is_remote(requirement) {
        return false;
    }
    // What comes after `;` says where it is installed, and what stands in brackets which extras.
    let named = requirement.split(';').next().unwrap_or_default().trim();
    if let Some((name, address)) = named.split_once('@') {
        return !is_remote(address.trim()) || name.contains(['/', '\\']) || name.starts_with('.');
    }
    let without_extras = named.split('[').next().unwrap_or_default().trim_end();
    let is_archive = |path: &str| {
        let path = path.to_ascii_lowercase();
        ARCHIVES.iter().any(|ending| path.ends_with(ending))
    };
    named.contains(['/', '\\', ':']) || named.starts_with('.') || is_archive(named) || is_archive(without_extras)
}

/// What pip unpacks (`_internal/utils/filetypes.py`), and `.gz` alone besides.
const ARCHIVES: [&str; 11] = [".zip", ".whl", ".bz2", ".tbz", ".gz", ".tgz", ".tar", ".xz", ".txz", ".tlz", ".lzma"];

/// An address that pip fetches from somewhere else than the host: `https://…`, `git+ssh://…`.
fn is_remote(address: &str) -> bool {
    const SYSTEMS: [&str; 4] = ["git", "hg", "svn", "bzr"];
    const WAYS: [&str; 7] = ["http", "https", "ssh", "git", "svn", "sftp", "ftp"];
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let scheme = scheme.to_ascii_lowercase();
    let known = match scheme.split_once('+') {
        Some((system, way)) => SYSTEMS.contains(&system) && WAYS.contains(&way),
        None => WAYS.contains(&&*scheme),
    };
    known && !rest.starts_with('/')
}

fn is_web(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    ["https://", "http://"].iter().any(|scheme| lower.strip_prefix(scheme).is_some_and(|rest| !rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `requirements.txt`, were these the files of the source.
    fn read(files: &[(&str, &str)]) -> Result<Digest, Trouble> {
        let content = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes());
        digest("requirements.txt", &content, &Budget::STANDARD)
    }

    fn of(text: &str) -> Result<Digest, Trouble> {
        read(&[("requirements.txt", text), ("requirements/base.txt", "a"), ("c.txt", "-r requirements.txt")])
    }

    #[test]
    fn what_is_included_is_in_the_digest() {
        for include in ["-r d/b.txt", "-rd/b.txt", "--requirement=d/b.txt", "-c d/b.txt", "--constraint d/b.txt # why"]
        {
            let with = |text: &str| read(&[("requirements.txt", include), ("d/b.txt", "-r c.txt"), ("d/c.txt", text)]);
            assert_eq!(with("a==1"), with("a==1"), "{include}");
            assert_ne!(with("a==1").expect("it is read"), with("a==2").expect("it is read"), "{include}");
        }
        assert!(of("-c c.txt").is_ok(), "one that includes the other");
    }

    #[test]
    fn files_that_include_one_another_are_read_as_deep_as_the_budget_allows() {
        let files: Vec<(String, String)> =
            (0..6_000).map(|at| (format!("{at}.txt"), format!("-r {}.txt", at + 1))).collect();
        let read = move |depth: usize| {
            let content = |path: &str| match path {
                "last.txt" => Some(&b"a"[..]),
                path => {
                    let at: usize = path.strip_suffix(".txt")?.parse().ok()?;
                    Some(if at + 1 == depth { b"-r last.txt" } else { files.get(at)?.1.as_bytes() })
                }
            };
            digest("0.txt", &content, &Budget::STANDARD)
        };
        // With a stack on which recursion over them would end the process.
        let found = std::thread::Builder::new().stack_size(128 << 10).spawn(move || (read(63), read(64), read(6_000)));
        let (taken, deeper, deepest) = found.expect("a thread").join().expect("it ends");
        assert!(taken.is_ok(), "{taken:?}");
        let refused = Err(Trouble::TooDeep { path: "63.txt".to_owned(), line: 1, depth: 64 });
        assert_eq!((deeper, deepest), (refused.clone(), refused));
    }

    #[test]
    fn files_of_requirements_are_read_as_far_as_the_budget_allows() {
        let budget = Budget { included_bytes: 40, ..Budget::STANDARD };
        let content = |path: &str| {
            Some(if path == "a.txt" { "-r b.txt\n" } else { "# thirty-one characters of it.\n" }.as_bytes())
        };
        assert!(digest("a.txt", &content, &budget).is_ok());
        let budget = Budget { included_bytes: 39, ..budget };
        let refused = Trouble::TooLarge { path: "b.txt".to_owned(), bytes: 39 };
        assert_eq!(digest("a.txt", &content, &budget), Err(refused));
    }

    #[test]
    fn packages_of_an_index_are_requirements() {
        for text in [
            "",
            "# ./a comment /with/slashes\n\n",
            "a==1.0 --hash=sha256:00 \\\n    --hash=sha256:11",
            "a[b,c]>=1,<2; python_version < '3.12' # see ./why",
            "a @ https://example.org/a-1.0-py3-none-any.whl",
            "a @ git+ssh://git@example.org/a.git@v1",
            "--index-url https://example.org/simple/\n--require-hashes\na.b-c_d",
        ] {
            assert!(of(text).is_ok(), "{text}: {:?}", of(text));
        }
    }

    #[test]
    fn whatever_can_change_without_a_commit_is_refused_with_its_line() {
        let path = || "requirements.txt".to_owned();
        for text in [
            "./\\\na",
            ".\\\n/a",
            "-i file:///srv/simple",
            "--index-url /srv/simple",
            "--pypi-url=simple",
            "--extra-index-url 'file:///srv'",
            "-ffile:///srv",
            "-e git+file:///srv/a",
            "a @ git+file:///srv/a",
            "a@FILE:///srv/a",
            "a @ /srv/a",
            "A.WHL",
            "a.tgz ; python_version > '3'",
            "a.tar.xz[x]",
            "C:a",
            "./a",
            "../a",
            "a/b",
            "-e .",
            "--editable=./a",
            "-e file:///srv/a",
            "a @ file:///srv/a",
            "a.whl",
            "-f wheels",
            ".[dev]",
        ] {
            let line = 2;
            assert_eq!(of(&format!("b==1\n{text}")), Err(Trouble::Local { path: path(), line }), "{text}");
        }
        for text in ["-r file:///etc/a", "-c FILE:a", "-r fi\\\nle:///etc/a", "--requirement 'file:a'"] {
            assert_eq!(of(&format!("b\n{text}")), Err(Trouble::Address { path: path(), line: 2 }), "{text}");
        }
        let included = "/requirements/base.txt".to_owned();
        assert_eq!(of(&format!("-r {included}")), Err(Trouble::NoIncluded { path: path(), line: 1, included }));
        assert_eq!(of("a\n-r ${HOME}/a"), Err(Trouble::Unreadable { path: path(), line: 2 }));
        assert_eq!(of("# coding: utf-7\na"), Err(Trouble::NoText { path: path() }));
        assert!(of("\u{feff}# -*- coding: utf-8 -*-\na").is_ok());
        assert_eq!(of("a\n-r https://example.org/a.txt"), Err(Trouble::Address { path: path(), line: 2 }));
        let included = "gone.txt".to_owned();
        assert_eq!(of("a \\\n b\n-r gone.txt"), Err(Trouble::NoIncluded { path: path(), line: 3, included }));
        assert_eq!(read(&[]), Err(Trouble::NoFile { path: path() }));
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in [
            "--index-url https://user:sesame@example.org/",
            "a @ git+https://sesame@example.org/a",
            "-r https://u:sesame@h/a",
        ] {
            let error = of(text).expect_err("it is refused");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("sesame"), "{error:?}");
        }
        assert_eq!(of("-i https://u:p@h/"), Err(Trouble::Password { path: "requirements.txt".to_owned(), line: 1 }));
    }
}
