//! How nginx reads what is rendered, written anew from its documentation and from what its parser does
//! with quotes: not from the code under test.

/// `words;`, or `words { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub words: Vec<String>,
    pub block: Vec<Directive>,
}

impl Directive {
    pub fn name(&self) -> &str {
        &self.words[0]
    }
}

/// The directives of a file. None where nginx would not take it.
pub fn file(text: &str) -> Option<Vec<Directive>> {
    let mut rest = text;
    let read = block(&mut rest, false)?;
    rest.is_empty().then_some(read)
}

fn block(rest: &mut &str, within: bool) -> Option<Vec<Directive>> {
    let mut directives = Vec::new();
    let mut words = Vec::new();
    loop {
        *rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(c) = rest.chars().next() else { return (!within && words.is_empty()).then_some(directives) };
        match c {
            '#' => *rest = rest.find('\n').map_or("", |end| &rest[end..]),
            ';' | '{' => {
                *rest = &rest[1..];
                if words.is_empty() {
                    return None;
                }
                let inner = if c == '{' { block(rest, true)? } else { Vec::new() };
                directives.push(Directive { words: std::mem::take(&mut words), block: inner });
            }
            '}' => {
                *rest = &rest[1..];
                return (within && words.is_empty()).then_some(directives);
            }
            _ => words.push(word(rest)?),
        }
    }
}

fn word(rest: &mut &str) -> Option<String> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut word = String::new();
    let mut chars = rest.char_indices().skip(usize::from(quote.is_some())).peekable();
    let mut after_dollar = false;
    loop {
        let (at, c) = chars.next()?;
        match (c, quote) {
            (c, Some(quote)) if c == quote => {
                *rest = &rest[at + 1..];
                // What follows a string at once is no word of its own.
                return rest.starts_with([' ', '\t', '\r', '\n', ';', '{', ')']).then_some(word);
            }
            ('\\', _) => match chars.next()?.1 {
                c @ ('"' | '\'' | '\\') => word.push(c),
                't' => word.push('\t'),
                'r' => word.push('\r'),
                'n' => word.push('\n'),
                c => word.extend(['\\', c]),
            },
            (' ' | '\t' | '\r' | '\n' | ';', None) => {
                *rest = &rest[at..];
                return Some(word);
            }
            ('{', None) if !after_dollar => {
                *rest = &rest[at..];
                return Some(word);
            }
            (c, _) => word.push(c),
        }
        after_dollar = c == '$';
    }
}

/// The one host name that a `server_name` stands for. None where it stands for others, or where nginx does
/// not start: names as they are lie in a hash whose buckets have 64 bytes, unless the host says otherwise.
pub fn server_name(word: &str) -> Option<String> {
    // Any name at all.
    if word == "~^" {
        return Some("_".to_owned());
    }
    if let Some(pattern) = word.strip_prefix("~^") {
        let name = pattern.strip_suffix('$')?;
        let bare = name.replace("\\.", "");
        return bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '-').then(|| name.replace("\\.", "."));
    }
    let bucket = 8 + (word.len() + 2).next_multiple_of(8) + 8;
    let is_plain = !word.starts_with(['~', '.']) && !word.contains(['*', '$']);
    (is_plain && bucket <= 64).then(|| word.to_owned())
}

/// Which path a `location` matches, and whether it must be the whole: what nginx compares is decoded, with
/// slashes merged and dots resolved, so no other path is ever matched.
pub fn location(words: &[String]) -> Option<(&str, bool)> {
    let (path, exact) = match words {
        [_, path] => (path, false),
        [_, equals, path] if equals == "=" => (path, true),
        _ => return None,
    };
    let is_normal = path.starts_with('/')
        && !path.contains(['%', '?', '#', '\0'])
        && !path.contains("//")
        && !path.split('/').any(|part| matches!(part, "." | ".."));
    is_normal.then_some((path, exact))
}
