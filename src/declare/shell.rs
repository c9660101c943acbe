//! What only a shell understands, in commands that no shell reads.
//!
//! Owns: finding `$VAR`, `$(…)`, `&&`, `|`, `;` and `>` where a shell would act on them, and the line to write instead.
//! Keeps true: what stands within quotes, and a reference (`${service.NAME.url}`), is nothing of that. Never does:
//! refusing a command: a program may take such a word.

use std::fmt;

use crate::model::text::name as short;

/// Something that a shell would act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// `$NAME`, by its name, and as it is written.
    Variable { name: String, written: String },
    /// `$(…)` or a command within backquotes.
    Substitution(&'static str),
    /// `&&`, `|`, `>`, …
    Operator(String),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", short(self.part()))
    }
}

impl Found {
    /// As it stands in the command.
    pub fn part(&self) -> &str {
        match self {
            Found::Variable { written, .. } => written,
            Found::Substitution(written) => written,
            Found::Operator(written) => written,
        }
    }

    /// What to write in `key` instead of `exec`, which is a command of a service with this port.
    pub fn hint(&self, key: &str, exec: &str, port: u16) -> String {
        // The shell makes way for the program, so that systemd stops that; of several programs it cannot.
        let begin = if matches!(self, Found::Operator(_)) { "" } else { "exec " };
        let through_shell = through_shell(key, &format!("{begin}{}", exec.trim()));
        match self {
            Found::Variable { name, written } if name == "SERVICE_PORT" || name == "PORT" => {
                format!("write {port} for `{written}`; or, for a shell, {through_shell}")
            }
            _ => format!("{through_shell}, or start a script of the source, `./NAME.sh`"),
        }
    }
}

/// The line that has a shell read `line`.
pub fn through_shell(key: &str, line: &str) -> String {
    const LONGEST: usize = 160;
    let quoted = shlex::try_quote(line).ok().filter(|quoted| quoted.len() <= LONGEST);
    match quoted {
        Some(quoted) => format!("write `{key}: {}`", in_yaml(&format!("/bin/sh -c {quoted}"))),
        None => format!("write `/bin/sh -c '…'` in {key}"),
    }
}

/// Whether a word is one that only a shell knows, so that no program has its name.
pub fn is_builtin(word: &str) -> bool {
    const BUILTINS: [&str; 17] = [
        ".", "alias", "cd", "eval", "exec", "export", "for", "if", "set", "source", "trap", "ulimit", "umask", "until",
        "wait", "while", "{",
    ];
    BUILTINS.contains(&word)
}

/// Within double quotes where YAML needs them.
fn in_yaml(text: &str) -> String {
    if text.contains(": ") || text.contains(" #") { serde_json::Value::from(text).to_string() } else { text.to_owned() }
}

/// Whether a word is the program of a shell, which reads the words after it itself.
pub fn is_shell(word: &str) -> bool {
    let program = word.rsplit('/').next().unwrap_or(word);
    matches!(program, "sh" | "bash" | "dash" | "zsh" | "ash" | "ksh" | "fish" | "busybox")
}

/// The first of what a shell would act on in `exec`.
pub fn unquoted(exec: &str) -> Option<Found> {
    let characters: Vec<char> = exec.chars().collect();
    let (mut at, mut in_double) = (0, false);
    // Whether a word begins here, but for the digit of `2>`.
    let mut begins = true;
    while let Some(c) = characters.get(at).copied() {
        let rest = characters.get(at + 1..).unwrap_or_default();
        let mut next = at + 1;
        match c {
            '\\' => next += 1,
            '\'' if !in_double => next += rest.iter().position(|c| *c == '\'').map_or(rest.len(), |end| end + 1),
            '"' => in_double = !in_double,
            '`' => return Some(Found::Substitution("`")),
            // A doubled one is the escape of a reference, `$${`.
            '$' if rest.first() == Some(&'$') => next += 1,
            '$' => match variable(rest) {
                Some(found) => return Some(found),
                None => next += usize::from(rest.first() == Some(&'{')),
            },
            '&' | '|' | ';' | '<' | '>' if !in_double && (begins || ends_word(c, rest)) => {
                let operator = characters[at..].iter().take_while(|c| "&|;<>".contains(**c)).take(3);
                return Some(Found::Operator(operator.collect()));
            }
            _ => {}
        }
        let is_descriptor = begins && c.is_ascii_digit() && matches!(rest.first(), Some('<' | '>'));
        begins = !in_double && (c.is_whitespace() || is_descriptor);
        at = next;
    }
    None
}

/// `;` and `&` also end a word: `a; b`.
fn ends_word(c: char, rest: &[char]) -> bool {
    matches!(c, ';') && rest.first().is_none_or(|next| next.is_whitespace())
}

/// The variable whose name comes after a `$`, or the command.
fn variable(rest: &[char]) -> Option<Found> {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let (inner, braces) = match rest.first()? {
        '(' => return Some(Found::Substitution("$(")),
        '{' => (&rest[1..], true),
        _ => (rest, false),
    };
    let name: String = inner.iter().copied().take_while(is_name).collect();
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    // What has a dot in braces is a reference, and what else stands in them is said to be none.
    if braces || !name.starts_with(begins) {
        return None;
    }
    Some(Found::Variable { written: format!("${name}"), name })
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn what_a_shell_would_act_on_is_found_outside_of_quotes() {
        for (exec, found) in [
            ("/bin/a --port=$SERVICE_PORT && b", "$SERVICE_PORT"),
            ("/bin/a \"$HOME\"", "$HOME"),
            ("/bin/a && b", "&&"),
            ("/bin/a | tee log", "|"),
            ("/bin/a > log", ">"),
            ("/bin/a 2>&1", ">&"),
            ("/bin/a >>log", ">>"),
            ("/bin/a; b", ";"),
            ("/bin/a $(date)", "$("),
            ("/bin/a `date`", "`"),
            ("/bin/a &", "&"),
        ] {
            assert_eq!(unquoted(exec).as_ref().map(super::Found::part), Some(found), "{exec}");
        }
    }

    #[test]
    fn what_is_quoted_or_part_of_a_word_is_left_alone() {
        for exec in [
            "/usr/bin/python3 main.py --peer ${service.a.url} --at '${service.b.host}:1'",
            "/bin/sh -c 'exec a $HOME && b | c > d'",
            "/usr/bin/awk '{print $1}' \"a|b\" a\\>b \\$HOME",
            "/usr/bin/curl http://127.0.0.1:8000/?a=1&b=2",
            "/bin/a $1 cost$ $$HOME $${HOME} x>=3",
        ] {
            assert_eq!(unquoted(exec), None, "{exec}");
        }
    }
}
