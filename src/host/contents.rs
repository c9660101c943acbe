//! Contents of files on a host, for people to see how they differ.
//!
//! Keeps true: a file that is not there, or too large to be worth a diff, is left out; so are all of an answer whose bytes
//! are not as many as it says, for a file may change while it is read.

use std::collections::BTreeSet;

use super::{quote::word, scripts::script};

pub(super) fn script(paths: &[String]) -> String {
    let words: String = paths.iter().map(|path| format!(" {}", word(path))).collect();
    script!("contents.sh") + &format!("contents{words}\n")
}

/// The files of these paths in what [`script`] printed.
pub(super) fn parse(paths: &[String], answer: &[u8]) -> Vec<(String, Vec<u8>)> {
    parse_whole(paths, answer).unwrap_or_default()
}

/// None where the answer is cut, or is not what it says it is.
fn parse_whole(paths: &[String], mut answer: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let asked: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let mut sizes: Vec<(&str, usize)> = Vec::new();
    loop {
        let end = answer.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&answer[..end]).ok()?;
        answer = &answer[end + 1..];
        if line.is_empty() {
            break;
        }
        let (size, path) = line.split_once(' ')?;
        sizes.push((asked.get(path)?, size.parse().ok()?));
    }
    let mut files = Vec::new();
    for (path, size) in sizes {
        let (content, rest) = answer.split_at_checked(size)?;
        answer = rest;
        files.push((path.to_owned(), content.to_vec()));
    }
    answer.is_empty().then_some(files)
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    #[test]
    fn what_a_shell_reads_of_files_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("it is written");
            path.to_str().expect("it is UTF-8").to_owned()
        };
        let (odd, empty) = (write("it's \"odd\" $(id)", b"5\n\0\xffno line break at the end"), write("empty", b""));
        let (large, last) = (write("large", &[b'x'; 65_537]), write("last", b"-\n"));
        let absent = format!("{empty}.absent");
        let paths = [odd, absent, empty, large, last];
        let shell = Command::new("sh").arg("-c").arg(script(&paths)).output().expect("a shell");
        let read = |answer: &[u8]| {
            let files = parse(&paths, answer);
            files.into_iter().map(|(path, content)| (path, String::from_utf8_lossy(&content).into_owned())).collect()
        };
        let all: Vec<(String, String)> = read(&shell.stdout);
        let told = |at: usize, text: &str| (paths[at].clone(), text.to_owned());
        let expected = [told(0, "5\n\0\u{fffd}no line break at the end"), told(2, ""), told(4, "-\n")];
        assert_eq!(all, expected);
        for other in [&shell.stdout[..shell.stdout.len() - 1], &[&shell.stdout[..], b"x"].concat()] {
            let none: Vec<(String, String)> = read(other);
            assert_eq!(none, [], "a file changed while it was read, so where each begins is not known");
        }
    }

    #[test]
    fn however_many_files_are_read_by_two_programs() {
        let folder = tempfile::tempdir().expect("a folder");
        let programs = folder.path().join("programs");
        fs::create_dir(&programs).expect("a folder");
        for program in ["stat", "head"] {
            let text =
                format!("#!/bin/sh\necho {program} >>{}/started\nexec /usr/bin/{program} \"$@\"\n", programs.display());
            let path = programs.join(program);
            // By a process of its own, as in `health`'s tests.
            let write = r#"printf '%s' "$1" >"$0" && chmod 755 "$0""#;
            assert!(
                Command::new("/bin/sh")
                    .args(["-c", write])
                    .args([path.as_os_str(), text.as_ref()])
                    .status()
                    .expect("a shell")
                    .success()
            );
        }
        let paths: Vec<String> = (0..50).map(|number| format!("{}/{number}.env", folder.path().display())).collect();
        for path in &paths {
            fs::write(path, "A=1\n").expect("it is written");
        }
        let shell =
            Command::new("/bin/sh").arg("-c").arg(script(&paths)).env("PATH", &programs).output().expect("a shell");
        assert_eq!(parse(&paths, &shell.stdout).len(), 50);
        let started = fs::read_to_string(programs.join("started")).expect("they were started");
        assert_eq!(started, "stat\nhead\n");
    }
}
