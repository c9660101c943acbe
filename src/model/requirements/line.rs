//! The lines of a file of requirements, as pip reads them.
//!
//! Owns: how lines are joined, where comments end, what is a requirement and what an option. Keeps true: what pip
//! would read otherwise than it is read here is [`Unreadable`], so nothing reaches a host unseen. Never does:
//! deciding what is allowed.
//! Source: pip's `_internal/req/req_file.py` (the same from 20.0 to 25) and Python's `optparse` and `shlex`.

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins, counted from 1.
    pub number: usize,
    /// What stands before the first option: a requirement, or nothing.
    pub requirement: String,
    /// Options by their long names, each with its value, which is empty for those that take none.
    pub options: Vec<(&'static str, String)>,
    /// The whole of it, joined and without its comment.
    pub text: String,
}

/// A line that pip refuses, or would read otherwise: an option it does not have or that is shortened, quotes that do
/// not end, a variable of the host's environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable {
    pub line: usize,
}

/// The options that pip takes, with their other names, and whether they take a value.
const OPTIONS: [(&str, &[&str], bool); 16] = [
    ("--requirement", &["-r"], true),
    ("--constraint", &["-c"], true),
    ("--editable", &["-e"], true),
    ("--index-url", &["-i", "--pypi-url"], true),
    ("--extra-index-url", &[], true),
    ("--find-links", &["-f"], true),
    ("--no-index", &[], false),
    ("--no-binary", &[], true),
    ("--only-binary", &[], true),
    ("--prefer-binary", &[], false),
    ("--require-hashes", &[], false),
    ("--pre", &[], false),
    ("--trusted-host", &[], true),
    ("--use-feature", &[], true),
    ("--hash", &[], true),
    // Both stand behind a requirement.
    ("--config-settings", &["-C", "--config-setting", "--global-option"], true),
];

/// The lines of `text` that say something, without comments.
pub fn lines(text: &str) -> impl Iterator<Item = Result<Line, Unreadable>> + '_ {
    let said = |(number, joined): (usize, String)| {
        let text = trimmed(without_comment(&joined));
        (!text.is_empty()).then(|| line(number, text).ok_or(Unreadable { line: number }))
    };
    Joined { lines: split_lines(text).enumerate(), begun: None }.filter_map(said)
}

fn line(number: usize, text: &str) -> Option<Line> {
    if names_variable(text) {
        return None;
    }
    // As pip does, at single spaces: a tab before an option makes it part of the requirement.
    let starts = std::iter::once(0).chain(text.match_indices(' ').map(|(at, _)| at + 1));
    let options_at = starts.into_iter().find(|at| text[*at..].starts_with('-')).unwrap_or(text.len());
    let (requirement, options) = text.split_at(options_at);
    let requirement = requirement.strip_suffix(' ').unwrap_or(requirement).to_owned();
    Some(Line { number, requirement, options: parsed(words(options)?)?, text: text.to_owned() })
}

/// `${NAME}` in capitals: pip puts in what the environment holds where it runs.
fn names_variable(text: &str) -> bool {
    let of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices("${").any(|(at, _)| {
        let name = text[at + 2..].trim_start_matches(of_name);
        name.starts_with('}') && !text[at + 2..].starts_with('}')
    })
}

/// Lines as Python's `str.splitlines` ends them.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(ends).unwrap_or(rest.len());
        let (line, from) = rest.split_at(end);
        let ending = from.chars().next().map_or(0, |c| if from.starts_with("\r\n") { 2 } else { c.len_utf8() });
        rest = &from[ending..];
        Some(line)
    })
}

/// Lines with those that a backslash at their end joins to them, each with the number it begins at. They are joined as
/// they are: nothing is between, and what is indented stays so. A comment ends it.
struct Joined<I> {
    lines: I,
    /// Begun, and not ended yet.
    begun: Option<(usize, String)>,
}

impl<'a, I: Iterator<Item = (usize, &'a str)>> Iterator for Joined<I> {
    type Item = (usize, String);

    fn next(&mut self) -> Option<(usize, String)> {
        loop {
            let Some((index, line)) = self.lines.next() else { return self.begun.take() };
            let is_comment = trimmed(line).starts_with('#');
            if line.ends_with('\\') && !is_comment {
                let (_, begun) = self.begun.get_or_insert((index + 1, String::new()));
                begun.push_str(line.trim_matches('\\'));
                continue;
            }
            let (number, mut joined) = self.begun.take().unwrap_or((index + 1, String::new()));
            if is_comment {
                joined.push(' ');
            }
            joined.push_str(line);
            return Some((number, joined));
        }
    }
}

/// A comment begins with a `#` at the start or behind a space.
fn without_comment(line: &str) -> &str {
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(is_space);
    let at = line.match_indices('#').map(|(at, _)| at).find(|at| begins(*at));
    &line[..at.unwrap_or(line.len())]
}

/// What Python takes for a space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Words as Python's `shlex.split` makes them; None where quotes do not end. `#` is nothing special there.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().push(chars.next()?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Options as Python's `optparse` tells them; what is none is left out, as pip leaves it out. Shortened names, which
/// `optparse` takes, are refused: what they stand for depends on pip's version.
fn parsed(words: Vec<String>) -> Option<Vec<(&'static str, String)>> {
    let mut options = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if word == "-" || !word.starts_with('-') {
            continue;
        }
        let (name, attached) = if word.starts_with("--") {
            word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)))
        } else {
            let end = word.char_indices().nth(2).map_or(word.len(), |(at, _)| at);
            (&word[..end], Some(&word[end..]).filter(|value| !value.is_empty()))
        };
        let (long, _, takes_value) =
            OPTIONS.iter().find(|(long, others, _)| *long == name || others.contains(&name))?;
        let value = match (takes_value, attached) {
            (true, Some(value)) => value.to_owned(),
            (true, None) => words.next()?,
            (false, Some(_)) => return None,
            (false, None) => String::new(),
        };
        options.push((*long, value));
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (usize, String, Vec<(&'static str, String)>);

    fn of(text: &str) -> Vec<Read> {
        let line = |line: Result<Line, Unreadable>| {
            let line = line.expect("pip reads it");
            (line.number, line.requirement, line.options)
        };
        lines(text).map(line).collect()
    }

    #[test]
    fn a_backslash_joins_lines_before_anything_else_is_looked_at() {
        let option = |name, value: &str| (name, value.to_owned());
        assert_eq!(of("-r fi\\\nle:///etc/a"), [(1, String::new(), vec![option("--requirement", "file:///etc/a")])]);
        assert_eq!(of("\n./\\\na"), [(2, "./a".to_owned(), vec![])]);
        assert_eq!(of("a \\\n# a comment\nb"), [(1, "a".to_owned(), vec![]), (3, "b".to_owned(), vec![])]);
        assert_eq!(of("a\u{2028}b\\"), [(1, "a".to_owned(), vec![]), (2, "b".to_owned(), vec![])]);
    }

    #[test]
    fn options_are_told_apart_as_pip_does() {
        let names = |text: &str| -> Vec<String> {
            of(text)
                .into_iter()
                .flat_map(|(_, _, options)| options)
                .map(|(name, value)| format!("{name} {value}"))
                .collect()
        };
        assert_eq!(names("-rb.txt"), ["--requirement b.txt"]);
        assert_eq!(names("-r 'a b' -i\tx --pre"), ["--requirement a b", "--index-url x", "--pre "]);
        assert_eq!(names("--requirement=b --hash -r"), ["--requirement b", "--hash -r"]);
        assert_eq!(names("-r a # b"), ["--requirement a"]);
        assert_eq!(names("-r a#b"), ["--requirement a#b"]);
        assert_eq!(names("a==1 --hash=sha256:0 \\\n --hash=sha256:1"), ["--hash sha256:0", "--hash sha256:1"]);
    }

    #[test]
    fn what_pip_would_read_otherwise_is_unreadable() {
        for text in ["--requ x", "-r", "-r 'a", "--pre=1", "-x", "-r ${HOME}/a", "a @ https://${TOKEN}@h/"] {
            let found = lines(&format!("a\n{text}")).find_map(Result::err);
            assert_eq!(found, Some(Unreadable { line: 2 }), "{text}");
        }
        assert!(lines("a # ${HOME}\nb${x}").all(|line| line.is_ok()), "a comment, and no name of a variable");
    }
}
