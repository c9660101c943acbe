//! Colours and symbols, or neither.
//!
//! Keeps true: without style the text is ASCII but for what came from outside and the ellipsis.

use anstyle::{AnsiColor, Effects};

/// Whether the text is for a terminal that shows colours and symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style(pub bool);

/// What a mark at the beginning of a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Create,
    Update,
    Delete,
    Restart,
    Unknown,
    Good,
    Bad,
    Busy,
}

impl Style {
    pub fn bold(self, text: &str) -> String {
        self.paint(anstyle::Style::new().effects(Effects::BOLD), text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint(anstyle::Style::new().effects(Effects::DIMMED), text)
    }

    pub fn good(self, text: &str) -> String {
        self.colour(AnsiColor::Green, text)
    }

    pub fn bad(self, text: &str) -> String {
        self.colour(AnsiColor::Red, text)
    }

    pub fn warn(self, text: &str) -> String {
        self.colour(AnsiColor::Yellow, text)
    }

    pub fn note(self, text: &str) -> String {
        self.colour(AnsiColor::Cyan, text)
    }

    /// A text in the colour of what is said by `mark`.
    pub fn as_mark(self, mark: Mark, text: &str) -> String {
        match mark {
            Mark::Create | Mark::Good => self.good(text),
            Mark::Update | Mark::Unknown => self.warn(text),
            Mark::Delete | Mark::Bad => self.bad(text),
            Mark::Restart => self.note(text),
            Mark::Busy => self.dim(text),
        }
    }

    pub fn mark(self, mark: Mark) -> String {
        self.as_mark(mark, self.symbol(mark))
    }

    fn symbol(self, mark: Mark) -> &'static str {
        match (mark, self.0) {
            (Mark::Create, _) => "+",
            (Mark::Update, _) => "~",
            (Mark::Delete, _) => "-",
            (Mark::Unknown, _) => "?",
            (Mark::Restart, true) => "↻",
            (Mark::Restart, false) => "!",
            (Mark::Good, true) => "✓",
            (Mark::Good, false) => "*",
            (Mark::Bad, true) => "✗",
            (Mark::Bad, false) => "x",
            (Mark::Busy, true) => "·",
            (Mark::Busy, false) => ".",
        }
    }

    fn colour(self, colour: AnsiColor, text: &str) -> String {
        self.paint(colour.on_default(), text)
    }

    fn paint(self, style: anstyle::Style, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
