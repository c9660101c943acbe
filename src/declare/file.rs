//! One file of the fleet folder: its path, its text, and places in it.
//!
//! Keeps true: a [`Place`] made here shows the very line that it names, but for passwords in addresses:
//! findings are read in more places than the file. Never does: reading; the text
//! is handed in.

use std::sync::Arc;

use crate::model::finding::Place;

/// Where something stands. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    /// One past the last column; [`Span::REST`] when it goes on past the line's end.
    pub end_column: u32,
}

impl Span {
    /// Stands for "to the end of the line".
    pub const REST: u32 = u32::MAX;
    /// The file's first character.
    pub const START: Span = Span { line: 1, column: 1, end_column: 2 };
}

/// A path from the repository's root and the text that is there.
#[derive(Debug, Clone)]
pub struct File {
    pub path: Arc<str>,
    pub text: Arc<str>,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The place of `span`, with its line.
    pub fn place(&self, span: Span) -> Place {
        let index = (span.line as usize).saturating_sub(1);
        let line = self.text.lines().nth(index).unwrap_or_default().trim_start_matches('\u{feff}').trim_end();
        let line = without_passwords(line);
        let width = u32::try_from(line.chars().count()).unwrap_or(Span::REST - 1);
        // A caret needs at least one column, and one past the end is where something is missing.
        let column = span.column.clamp(1, width + 1);
        let end_column = span.end_column.clamp(column + 1, (width + 1).max(column + 1));
        Place { file: self.path.to_string(), line: span.line, column, end_column, text: line }
    }

    /// The place of `part` within `span`, when it stands there in so many words; else all of `span`.
    pub fn place_of(&self, span: Span, part: &str) -> Place {
        let mut place = self.place(span);
        let bytes =
            |column: u32| place.text.char_indices().nth(column as usize - 1).map_or(place.text.len(), |(at, _)| at);
        let (from, to) = (bytes(place.column), bytes(place.end_column));
        if let Some(at) = place.text.get(from..to).and_then(|text| text.find(part)) {
            let before = place.text[..from + at].chars().count();
            place.column = u32::try_from(before).unwrap_or(Span::REST - 2) + 1;
            place.end_column = place.column + u32::try_from(part.chars().count()).unwrap_or(1).max(1);
        }
        place
    }
}

/// The text with the passwords of its addresses as stars, one for each character.
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        shown += before;
        let end = address.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(address.len());
        let login = address[..end].rfind('@').map_or("", |at| &address[..at]);
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        shown += user;
        if !password.is_empty() {
            shown.push(':');
            shown.extend(password.chars().map(|_| '*'));
        }
        rest = &address[user.len() + if password.is_empty() { 0 } else { password.len() + 1 }..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_addresses_are_not_shown() {
        let shown =
            without_passwords("a: \"https://me:s3c@ret@host/x\", b: ssh://git@host:22/y, c: pg://u:ä@h, d: x://:@h");
        assert_eq!(shown, "a: \"https://me:*******@host/x\", b: ssh://git@host:22/y, c: pg://u:*@h, d: x://:@h");
    }

    #[test]
    fn a_place_never_leaves_its_line() {
        let file = File::new("a.yaml", "äb: cd ef\n");
        let place = file.place(Span { line: 1, column: 5, end_column: Span::REST });
        assert_eq!((place.column, place.end_column, place.text.as_str()), (5, 10, "äb: cd ef"));
        let part = file.place_of(Span { line: 1, column: 5, end_column: 10 }, "ef");
        assert_eq!((part.column, part.end_column), (8, 10));
        let beyond = file.place(Span { line: 7, column: 9, end_column: 12 });
        assert_eq!((beyond.column, beyond.end_column), (1, 2));
    }
}
