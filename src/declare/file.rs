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

    #[cfg(test)]
    pub fn place(&self, span: Span, longest: usize) -> Place {
        self.place_of(span, "", longest)
    }

    /// The place of `part` within `span`, when it stands there in so many words; else all of `span`. With as much of
    /// its line as `longest` characters hold.
    #[cfg(test)]
    pub fn place_of(&self, span: Span, part: &str, longest: usize) -> Place {
        self.place_in(&self.line(span.line), span, part, longest)
    }

    /// A line as findings show it.
    pub fn line(&self, number: u32) -> String {
        let index = (number as usize).saturating_sub(1);
        let line = self.text.lines().nth(index).unwrap_or_default().trim_start_matches('\u{feff}').trim_end();
        without_passwords(line)
    }

    /// As [`Self::place_of`], where `line` is the span's.
    pub fn place_in(&self, line: &str, span: Span, part: &str, longest: usize) -> Place {
        let chars = Chars { line, is_ascii: line.is_ascii() };
        let width = number(chars.before(line.len()));
        // A caret needs at least one column, and one past the end is where something is missing.
        let mut column = span.column.clamp(1, width + 1);
        let mut end_column = span.end_column.clamp(column + 1, (width + 1).max(column + 1));
        let (from, to) = (chars.byte(column as usize - 1), chars.byte(end_column as usize - 1));
        if let Some(at) = line.get(from..to).filter(|_| !part.is_empty()).and_then(|text| text.find(part)) {
            column = number(chars.before(from + at)) + 1;
            end_column = column + number(part.chars().count());
        }
        let (text, text_offset) = excerpt(&chars, width as usize, column, longest);
        Place { file: self.path.to_string(), line: span.line, column, end_column, text, text_offset }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(Span::REST - 2)
}

/// Characters of a line by number. The line may be long, so one without any but ASCII is not walked through.
struct Chars<'a> {
    line: &'a str,
    is_ascii: bool,
}

impl Chars<'_> {
    /// Where a character begins; the end of the line for one past it.
    fn byte(&self, number: usize) -> usize {
        let end = self.line.len();
        if self.is_ascii { number.min(end) } else { self.line.char_indices().nth(number).map_or(end, |(at, _)| at) }
    }

    /// How many characters stand before a byte.
    fn before(&self, byte: usize) -> usize {
        if self.is_ascii { byte } else { self.line[..byte].chars().count() }
    }
}

/// At most `longest` characters of a line with `column` among them, and how many stand before. What is cut off is an
/// `…` in the place of the first or last character.
fn excerpt(chars: &Chars<'_>, width: usize, column: u32, longest: usize) -> (String, u32) {
    if width <= longest {
        return (chars.line.to_owned(), 0);
    }
    let before = (column as usize).saturating_sub(1 + longest / 2).min(width - longest);
    let shown = chars.line[chars.byte(before)..].chars().take(longest).enumerate();
    let is_cut = |at: usize| at == 0 && before > 0 || at + 1 == longest && before + longest < width;
    (shown.map(|(at, c)| if is_cut(at) { '…' } else { c }).collect(), number(before))
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
        let place = file.place(Span { line: 1, column: 5, end_column: Span::REST }, 200);
        assert_eq!((place.column, place.end_column, place.text.as_str()), (5, 10, "äb: cd ef"));
        let part = file.place_of(Span { line: 1, column: 5, end_column: 10 }, "ef", 200);
        assert_eq!((part.column, part.end_column), (8, 10));
        let beyond = file.place(Span { line: 7, column: 9, end_column: 12 }, 200);
        assert_eq!((beyond.column, beyond.end_column), (1, 2));
    }

    #[test]
    fn of_a_long_line_only_what_surrounds_the_column_is_in_a_place() {
        let text = format!("a: {}X{}\n", "ä".repeat(1_000), "b".repeat(1_000));
        let file = File::new("a.yaml", &text);
        let at = |column: u32| file.place(Span { line: 1, column, end_column: column + 1 }, 20);
        for column in [1, 9, 1_004, 1_995, 2_004] {
            let place = at(column);
            let (shown, written) = (&place.text, |at: u32| text.chars().nth(at as usize - 1));
            assert_eq!(shown.chars().count(), 20, "{place:?}");
            // The caret stands where it would in the whole line.
            assert_eq!(shown.chars().nth((column - place.text_offset) as usize - 1), written(column), "{place:?}");
            assert_eq!((shown.starts_with('…'), shown.ends_with('…')), (column > 11, column < 1_990), "{place:?}");
        }
        let whole = file.place(Span { line: 1, column: 4, end_column: Span::REST }, 20);
        assert_eq!((whole.column, whole.end_column), (4, 2_005));
        let part = file.place_of(Span { line: 1, column: 4, end_column: Span::REST }, "X", 20);
        assert_eq!((part.column, part.end_column), (1_004, 1_005));
    }
}
