//! A text in parts, so that it can be shortened by whole ones, and told from another that differs in its time alone.
//!
//! Keeps true: nothing is cut inside of a part; what is left out is named in a line; the largest goes first, so
//! that as much as possible of what differs stays; the whole text is made once.

use std::{cmp::Reverse, ops::Range};

use super::markdown::{Fold, details, paragraphs};
use crate::report::words::count;

/// What the line takes that says that something was left out, at most.
const NOTICE: usize = 600;

const LEFT_OUT: &str = "Left out here:";

#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    pub head: String,
    pub sections: Vec<Section>,
    pub foot: Foot,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    pub title: String,
    pub head: String,
    pub pieces: Vec<Piece>,
    /// A line in its place.
    pub brief: String,
}

#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub whole: Block,
    /// A line in its place.
    pub brief: String,
}

/// Markdown that goes with its neighbours or not at all.
#[derive(Debug, Clone)]
pub(super) enum Block {
    Plain(String),
    /// A part that people can fold.
    Details {
        /// HTML of ours.
        summary: String,
        body: String,
        fold: Fold,
    },
}

/// The end of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Foot {
    text: String,
    /// Where the text has the time of what it tells.
    time: Option<Range<usize>>,
}

/// The text of a document.
#[derive(Debug, Clone)]
pub(super) struct Text {
    text: String,
    time: Option<Range<usize>>,
}

/// A document with its whole text.
pub(super) struct Rendered {
    document: Document,
    whole: Text,
}

pub(super) struct Shortened {
    pub text: Text,
    /// What was left out, with a head of its own.
    pub left_out: Option<Document>,
}

/// What stands of a section.
struct KeptBlocks {
    section: bool,
    pieces: Vec<bool>,
}

impl Rendered {
    pub fn whole(&self) -> &str {
        &self.whole.text
    }

    /// The text in at most `limit` bytes, which are never fewer than characters. `where_it_is` says where what is
    /// left out can be read.
    pub fn within(&self, limit: usize, where_it_is: &str) -> Shortened {
        if self.whole.text.len() <= limit {
            return Shortened { text: self.whole.clone(), left_out: None };
        }
        let kept = self.kept(limit.saturating_sub(NOTICE));
        let document = &self.document;
        let pieces = kept.iter().flat_map(|kept| &kept.pieces).filter(|kept| !**kept).count();
        let notice = format!(
            "**Shortened:** {} left out, the longest first. {where_it_is}",
            if pieces == 1 { "1 part is".to_owned() } else { format!("{} are", count(pieces, "part")) }
        );
        let (text, left_out) = (document.text(&kept, &notice), Some(document.left_out(&kept)));
        if text.text.len() <= limit {
            return Shortened { text, left_out };
        }
        // So many that not even a line for each has room.
        Shortened { text: document.text(&[], &notice), left_out }
    }

    /// What to keep so that it fits: without the largest pieces, and if that is not enough without the largest
    /// sections.
    fn kept(&self, limit: usize) -> Vec<KeptBlocks> {
        let sections = &self.document.sections;
        let mut kept: Vec<KeptBlocks> = sections.iter().map(KeptBlocks::all).collect();
        let mut size = self.whole.text.len();
        let mut pieces: Vec<(usize, usize, usize)> = Vec::new();
        for (at, section) in sections.iter().enumerate() {
            pieces.extend(section.pieces.iter().enumerate().map(|(piece, it)| (it.saved(), at, piece)));
        }
        pieces.sort_by_key(|(saved, at, piece)| (Reverse(*saved), *at, *piece));
        for (saved, at, piece) in pieces {
            if size <= limit {
                return kept;
            }
            kept[at].pieces[piece] = false;
            size = size.saturating_sub(saved);
        }
        let lengths = sections.iter().zip(&kept).map(|(section, kept)| section.text(kept).len());
        let mut largest: Vec<(usize, usize)> = lengths.enumerate().collect();
        largest.sort_by_key(|(at, length)| (Reverse(*length), *at));
        for (at, length) in largest {
            if size <= limit {
                return kept;
            }
            size = size.saturating_sub(length);
            size += sections[at].brief.len() + LEFT_OUT.len();
            kept[at].section = false;
        }
        kept
    }
}

impl Document {
    pub fn rendered(self) -> Rendered {
        let kept: Vec<KeptBlocks> = self.sections.iter().map(KeptBlocks::all).collect();
        let whole = self.text(&kept, "");
        Rendered { document: self, whole }
    }

    fn left_out(&self, kept: &[KeptBlocks]) -> Self {
        let mut sections = Vec::new();
        for (section, kept) in self.sections.iter().zip(kept) {
            let whole = !kept.section;
            let pieces: Vec<Piece> = section
                .pieces
                .iter()
                .zip(&kept.pieces)
                .filter(|(_, kept)| whole || !**kept)
                .map(|(piece, _)| piece.clone())
                .collect();
            if whole || !pieces.is_empty() {
                let (title, head) = match whole {
                    true => (section.title.clone(), section.head.clone()),
                    false => (String::new(), section.brief.clone()),
                };
                sections.push(Section { title, head, pieces, brief: section.brief.clone() });
            }
        }
        Self { head: "What the comment leaves out.".to_owned(), sections, foot: Foot::default() }
    }

    fn text(&self, kept: &[KeptBlocks], notice: &str) -> Text {
        let sections = self.sections.iter().zip(kept).map(|(section, kept)| section.text(kept));
        let parts = [self.head.clone(), notice.to_owned()].into_iter().chain(sections);
        let text = paragraphs(parts.chain([self.foot.text.clone()]));
        // The foot is what the text ends with.
        let begins = text.len().saturating_sub(self.foot.text.len());
        let time = self.foot.time.as_ref().map(|time| begins + time.start..begins + time.end);
        Text { text: text + "\n", time }
    }
}

impl Foot {
    pub fn of(text: &str) -> Self {
        Self { text: text.trim_end().to_owned(), time: None }
    }

    /// With a time, and with what stands between it and what came before.
    pub fn with_time(mut self, before: &str, time: &str) -> Self {
        self.text += before;
        let begins = self.text.len();
        self.text += time;
        self.time = Some(begins..self.text.len());
        self
    }

    pub fn with(mut self, more: &str) -> Self {
        self.text += more;
        self
    }
}

impl Text {
    /// The text but for its time: two that are alike in this say the same.
    pub fn timeless(&self) -> String {
        let mut text = self.text.clone();
        if let Some(time) = self.time.clone() {
            text.replace_range(time, "");
        }
        text
    }

    pub fn into_string(self) -> String {
        self.text
    }
}

impl Block {
    fn markdown(&self) -> String {
        match self {
            Block::Plain(text) => text.clone(),
            Block::Details { summary, body, fold } => details(summary, body, *fold),
        }
    }

    pub fn details(summary: String, body: String) -> Self {
        Block::Details { summary, body, fold: Fold::Closed }
    }

    pub fn unfold(&mut self) {
        if let Block::Details { fold, .. } = self {
            *fold = Fold::Open;
        }
    }

    pub fn lines(&self) -> usize {
        self.markdown().lines().count()
    }
}

impl Section {
    fn text(&self, kept: &KeptBlocks) -> String {
        if !kept.section {
            return self.brief.clone();
        }
        let (kept, left_out): (Vec<_>, Vec<_>) = self.pieces.iter().zip(&kept.pieces).partition(|(_, kept)| **kept);
        let whole = kept.into_iter().map(|(piece, _)| piece.whole.markdown());
        let briefs: Vec<&str> = left_out.into_iter().map(|(piece, _)| piece.brief.as_str()).collect();
        let title = if briefs.is_empty() { "" } else { LEFT_OUT };
        let heads = [self.title.clone(), self.head.clone()];
        paragraphs(heads.into_iter().chain(whole).chain([title.to_owned(), briefs.join("\n")]))
    }
}

impl Piece {
    fn saved(&self) -> usize {
        self.whole.markdown().len().saturating_sub(self.brief.len())
    }
}

impl KeptBlocks {
    fn all(section: &Section) -> Self {
        Self { section: true, pieces: vec![true; section.pieces.len()] }
    }
}
