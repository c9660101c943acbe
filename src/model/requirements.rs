//! A file of requirements with those that it includes: what a Python service's virtual environment holds.
//!
//! Keeps true: what is installed depends on nothing but the contents that the digest is over. So files and
//! folders are no requirements, for pip would install what they hold, and what lies at an address is not included.
//! No line is ever part of an error: it may hold a password.
//! Source: pip's documentation of the requirements file format.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{digest::Digest, tree};

/// Paths are those in the source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    #[error("`{path}` is no file of the source")]
    NoFile { path: String },
    #[error("`{path}`, line {line}: `{included}` is no file of the source")]
    NoIncluded { path: String, line: usize, included: String },
    #[error("`{path}` is no text in UTF-8")]
    NoText { path: String },
    #[error("`{path}`, line {line}: what lies at an address may change without a commit")]
    Address { path: String, line: usize },
    #[error("`{path}`, line {line}: a folder or a file is no requirement, for what it holds has no name and version")]
    Local { path: String, line: usize },
    #[error("`{path}`, line {line}: an address with a password, which everybody can read in git")]
    Password { path: String, line: usize },
}

impl Trouble {
    /// The next move.
    pub fn hint(&self) -> &'static str {
        match self {
            Trouble::NoFile { .. } => "commit it, or correct run.python.requirements",
            Trouble::NoIncluded { .. } => "commit it; a path is relative to the file that includes it",
            Trouble::NoText { .. } => "write it as UTF-8",
            Trouble::Address { .. } => "copy it into the source",
            Trouble::Local { .. } => "name a package of an index; code of the source runs as it is",
            Trouble::Password { .. } => {
                "leave it out, and put it into the file on the host that run.python.netrc names"
            }
        }
    }
}

/// The digest over all that `path` says, where `files` has the contents of the source's files.
pub fn digest<'a>(path: &str, files: &dyn Fn(&str) -> Option<&'a [u8]>) -> Result<Digest, Trouble> {
    let mut reading = Reading { files, contents: Vec::new(), seen: BTreeSet::new() };
    reading.read(path, Trouble::NoFile { path: path.to_owned() })?;
    Ok(Digest::of_fields(reading.contents))
}

struct Reading<'f, 'a> {
    files: &'f dyn Fn(&str) -> Option<&'a [u8]>,
    contents: Vec<&'a [u8]>,
    seen: BTreeSet<String>,
}

impl Reading<'_, '_> {
    fn read(&mut self, path: &str, missing: Trouble) -> Result<(), Trouble> {
        let content = (self.files)(path).ok_or(missing)?;
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.contents.push(content);
        let text = std::str::from_utf8(content).map_err(|_| Trouble::NoText { path: path.to_owned() })?;
        for (line, said) in lines(text) {
            let path = path.to_owned();
            if let Some(included) = included(&said) {
                if included.contains("://") {
                    return Err(Trouble::Address { path, line });
                }
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let file = tree::join(folder, included).unwrap_or_default();
                let included = included.to_owned();
                self.read(&file, Trouble::NoIncluded { path, line, included })?;
            } else if has_password(&said) {
                return Err(Trouble::Password { path, line });
            } else if is_local(&said) {
                return Err(Trouble::Local { path, line });
            }
        }
        Ok(())
    }
}

/// The lines that say something, without comments, each with the number it begins at. A backslash at the end
/// joins the next one to it.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let said = if is_comment { "" } else { line.split(" #").next().unwrap_or_default() };
        let part = said.trim_end().trim_end_matches('\\');
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, begun)) => *begun = format!("{begun} {}", part.trim()),
            None => lines.push((index + 1, part.trim().to_owned())),
        }
        goes_on = line.ends_with('\\') && !is_comment;
    }
    lines.retain(|(_, line)| !line.is_empty());
    lines
}

/// The file that a line includes, as requirements or as constraints.
fn included(line: &str) -> Option<&str> {
    value(line, &["-r", "--requirement", "-c", "--constraint"])
}

/// What follows one of these options: `-r FILE`, `-rFILE`, `--requirement FILE`, `--requirement=FILE`.
fn value<'a>(line: &'a str, options: &[&str]) -> Option<&'a str> {
    options.iter().find_map(|option| {
        let rest = line.strip_prefix(option)?;
        let separated = rest.starts_with(['=', ' ', '\t']);
        (separated || !option.starts_with("--")).then(|| rest.trim_start_matches(['=', ' ', '\t']).trim())
    })
}

/// `scheme://user:password@host`, or a token as the user.
fn has_password(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', '?', '#', ' ', '\t']).next().unwrap_or_default();
        // The user that repositories are reached as by SSH is no secret.
        host.rsplit_once('@').is_some_and(|(user, _)| user != "git")
    })
}

fn is_local(line: &str) -> bool {
    if let Some(source) = value(line, &["-e", "--editable", "-f", "--find-links"]) {
        return !source.contains("://") || source.starts_with("file:");
    }
    let first = line.split([' ', '\t', ';', '[']).next().unwrap_or_default();
    let address = line.split_once('@').map_or(line, |(_, address)| address.trim());
    address.starts_with("file:")
        || !line.starts_with('-')
            && !first.contains("://")
            && (first.contains('/')
                || first.starts_with('.')
                || [".whl", ".gz", ".zip"].iter().any(|end| first.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of `requirements.txt`, were these the files of the source.
    fn read(files: &[(&str, &str)]) -> Result<Digest, Trouble> {
        let content = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes());
        digest("requirements.txt", &content)
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
