//! Contents of files on a host, for people to see how they differ.
//!
//! Keeps true: a file that is not there, or too large to be worth a diff, is left out.

use super::{quote::word, scripts::script};

pub(super) fn script(paths: &[String]) -> String {
    let calls = paths.iter().map(|path| format!("content {}\n", word(path)));
    script!("contents.sh") + &calls.collect::<String>()
}

/// What [`script`] of these paths printed. Of an answer that is cut the rest is left out.
pub(super) fn parse(paths: &[String], mut answer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for path in paths {
        let Some(end) = answer.iter().position(|byte| *byte == b'\n') else { break };
        let size = std::str::from_utf8(&answer[..end]).ok().and_then(|size| size.parse::<usize>().ok());
        answer = &answer[end + 1..];
        let Some(size) = size else { continue };
        let Some((content, rest)) = answer.split_at_checked(size) else { break };
        files.push((path.clone(), content.to_vec()));
        answer = rest;
    }
    files
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
        let cut: Vec<(String, String)> = read(&shell.stdout[..10]);
        assert_eq!(cut, []);
    }
}
