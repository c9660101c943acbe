//! A text in parts, so that it can be shortened by whole ones.
//!
//! Keeps true: nothing is cut inside of a part; what is left out is named in a line; the largest goes first, so
//! that as much as possible of what differs stays.

use std::cmp::Reverse;

use super::markdown::paragraphs;
use crate::report::words::count;

/// What the line takes that says that something was left out, at most.
const NOTICE: usize = 600;

const LEFT_OUT: &str = "Left out here:";

#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    pub head: String,
    pub sections: Vec<Section>,
    pub foot: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    pub head: String,
    pub pieces: Vec<Piece>,
    /// A line in its place.
    pub brief: String,
}

#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub whole: String,
    /// A line in its place.
    pub brief: String,
}

pub(super) struct Shortened {
    pub text: String,
    /// What was left out, with a head of its own.
    pub left_out: Option<Document>,
}

/// What stands of a section.
struct Kept {
    section: bool,
    pieces: Vec<bool>,
}

impl Document {
    pub fn whole(&self) -> String {
        let kept: Vec<Kept> = self.sections.iter().map(Kept::all).collect();
        self.text(&kept, "")
    }

    /// The text in at most `limit` bytes, which are never fewer than characters. `where_it_is` says where what is
    /// left out can be read.
    pub fn within(&self, limit: usize, where_it_is: &str) -> Shortened {
        let whole = self.whole();
        if whole.len() <= limit {
            return Shortened { text: whole, left_out: None };
        }
        let kept = self.kept(limit.saturating_sub(NOTICE));
        let pieces = kept.iter().flat_map(|kept| &kept.pieces).filter(|kept| !**kept).count();
        let notice = format!(
            "**Shortened:** {} left out, the longest first. {where_it_is}",
            if pieces == 1 { "1 part is".to_owned() } else { format!("{} are", count(pieces, "part")) }
        );
        let text = self.text(&kept, &notice);
        if text.len() <= limit {
            return Shortened { text, left_out: Some(self.left_out(&kept)) };
        }
        // So many that not even a line for each has room.
        let none: Vec<Kept> = Vec::new();
        Shortened { text: self.text(&none, &notice), left_out: Some(self.left_out(&kept)) }
    }

    /// What to keep so that it fits: without the largest pieces, and if that is not enough without the largest
    /// sections.
    fn kept(&self, limit: usize) -> Vec<Kept> {
        let mut kept: Vec<Kept> = self.sections.iter().map(Kept::all).collect();
        let mut size = self.whole().len();
        let mut pieces: Vec<(usize, usize, usize)> = Vec::new();
        for (at, section) in self.sections.iter().enumerate() {
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
        let mut sections: Vec<usize> = (0..self.sections.len()).collect();
        sections.sort_by_key(|at| Reverse(self.sections[*at].text(&kept[*at]).len()));
        for at in sections {
            if size <= limit {
                return kept;
            }
            size = size.saturating_sub(self.sections[at].text(&kept[at]).len());
            size += self.sections[at].brief.len() + LEFT_OUT.len();
            kept[at].section = false;
        }
        kept
    }

    fn left_out(&self, kept: &[Kept]) -> Self {
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
                let head = if whole { section.head.clone() } else { section.brief.clone() };
                sections.push(Section { head, pieces, brief: section.brief.clone() });
            }
        }
        Self { head: "What the comment leaves out.".to_owned(), sections, foot: String::new() }
    }

    fn text(&self, kept: &[Kept], notice: &str) -> String {
        let sections = self.sections.iter().zip(kept).map(|(section, kept)| section.text(kept));
        let parts = [self.head.clone(), notice.to_owned()].into_iter().chain(sections).chain([self.foot.clone()]);
        paragraphs(parts) + "\n"
    }
}

impl Section {
    fn text(&self, kept: &Kept) -> String {
        if !kept.section {
            return self.brief.clone();
        }
        let with = |wanted: bool| self.pieces.iter().zip(&kept.pieces).filter(move |(_, kept)| **kept == wanted);
        let whole = with(true).map(|(piece, _)| piece.whole.as_str());
        let briefs: Vec<&str> = with(false).map(|(piece, _)| piece.brief.as_str()).collect();
        let title = if briefs.is_empty() { "" } else { LEFT_OUT };
        paragraphs(std::iter::once(self.head.as_str()).chain(whole).chain([title, briefs.join("\n").as_str()]))
    }
}

impl Piece {
    fn saved(&self) -> usize {
        self.whole.len().saturating_sub(self.brief.len())
    }
}

impl Kept {
    fn all(section: &Section) -> Self {
        Self { section: true, pieces: vec![true; section.pieces.len()] }
    }
}
