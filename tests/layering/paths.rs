//! The paths that a source names. Knows of Rust what it takes to tell a path from a comment, a literal or a
//! field, and no more.

/// `text` without comments and with empty literals; lines stay lines.
pub fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = comment(rest).or_else(|| literal(rest, code.chars().next_back()));
        match length {
            Some(length) => {
                let (gone, after) = rest.split_at(length);
                code.extend(gone.chars().filter(|c| *c == '\n'));
                code.push(' ');
                rest = after;
            }
            None => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    code
}

/// The literals of `text`, as they are written.
pub fn literals(text: &str) -> Vec<&str> {
    let (mut rest, mut before, mut literals) = (text, None, Vec::new());
    while let Some(first) = rest.chars().next() {
        let (length, is_literal) = match comment(rest) {
            Some(length) => (length, false),
            None => literal(rest, before).map_or((first.len_utf8(), false), |length| (length, true)),
        };
        if is_literal {
            literals.push(&rest[..length]);
        }
        before = rest[..length].chars().next_back();
        rest = &rest[length..];
    }
    literals
}

/// The length of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = if text[at..].starts_with("/*") {
            depth += 1;
            2
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// The length of the string or character that `text` begins with. A lifetime is neither.
fn literal(text: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 1 + hashes + 1;
            return Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()));
        }
    }
    if text.starts_with('"') {
        return Some(closing(text, '"'));
    }
    let mut characters = text.strip_prefix('\'')?.chars();
    match (characters.next()?, characters.next()) {
        ('\\', _) => Some(closing(text, '\'')),
        (only, Some('\'')) => Some(only.len_utf8() + 2),
        _ => None,
    }
}

fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Blanks modules of tests, from `#[cfg(test)]` to the brace in the first column: rustfmt puts it there.
pub fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let inline = |next: &&str| next.starts_with("mod ") && next.trim_end().ends_with('{');
        if line.trim_end() == "#[cfg(test)]" && lines.peek().is_some_and(inline) {
            out.push('\n');
            for skipped in lines.by_ref() {
                out.push('\n');
                if skipped.starts_with('}') {
                    break;
                }
            }
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Every path in `code`, groups taken apart, with the line it begins on.
pub fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut scanner = Scanner { code: code.as_bytes(), at: 0, line: 1 };
    while scanner.at < scanner.code.len() {
        // A field or a method is no path.
        let field = scanner.at > 0 && scanner.code[scanner.at - 1] == b'.';
        match scanner.word() {
            Some(word) if !field => scanner.path(word, &mut found),
            Some(_) => {}
            None => scanner.skip(),
        }
    }
    found
}

struct Scanner<'a> {
    code: &'a [u8],
    at: usize,
    line: usize,
}

impl Scanner<'_> {
    fn skip(&mut self) {
        self.line += usize::from(self.code.get(self.at) == Some(&b'\n'));
        self.at += 1;
    }

    fn space(&mut self) {
        while self.code.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.skip();
        }
    }

    fn takes(&mut self, text: &str) -> bool {
        let takes = self.code[self.at.min(self.code.len())..].starts_with(text.as_bytes());
        self.at += if takes { text.len() } else { 0 };
        takes
    }

    fn word(&mut self) -> Option<String> {
        let of_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80;
        let length = self.code[self.at..].iter().take_while(of_word).count();
        let word = String::from_utf8_lossy(&self.code[self.at..self.at + length]).into_owned();
        self.at += length;
        (length > 0).then_some(word)
    }

    /// What follows a path's first words: more words, a group, or nothing.
    fn path(&mut self, mut path: String, found: &mut Vec<(usize, String)>) {
        let line = self.line;
        while self.takes("::") {
            self.space();
            if self.takes("{") {
                return self.group(&path, found);
            }
            if self.takes("*") {
                path += "::*";
                break;
            }
            // `::<` gives types to a call: they are paths of their own.
            let Some(word) = self.word() else { break };
            // `self` in a group is the module itself.
            if word != "self" {
                path = format!("{path}::{word}");
            }
        }
        found.push((line, path));
    }

    fn group(&mut self, prefix: &str, found: &mut Vec<(usize, String)>) {
        while self.at < self.code.len() && !self.takes("}") {
            match self.word() {
                Some(word) if word == "self" => found.push((self.line, prefix.to_owned())),
                Some(word) if word == "as" => {
                    self.space();
                    self.word();
                }
                Some(word) => self.path(format!("{prefix}::{word}"), found),
                None if self.takes("*") => found.push((self.line, format!("{prefix}::*"))),
                None => self.skip(),
            }
        }
    }
}
