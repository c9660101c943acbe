//! What YAML text becomes: one positioned tree. `yaml/parse.rs` makes it.
//!
//! Owns: the tree ([`Node`]), in which a scalar keeps the text that was written, so that `1.10`, `no`
//! and `0808` mean what the field they stand in says they mean. Keeps true: a tree comes from one document
//! without tags, its keys are scalars and stand once in a mapping, and it is no larger and no deeper than the
//! budget allows after aliases are put in, so that whatever walks over it may do so by recursion. Never does:
//! guessing types.
//!
//! YAML. `serde-saphyr` reads: it has positions, refuses a key that stands twice, and limits aliases. `serde_yaml`
//! only writes: its parser does none of these. `clippy.toml` forbids reading with it.

mod parse;

use std::{collections::BTreeSet, sync::Arc};

pub use parse::parse;

use super::file::Span;
use crate::model::text::clipped;

/// A value and where it stands. What an alias names is shared.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    /// `quoted` is true for every style but plain: quoted text is never anything but text.
    Scalar {
        text: Arc<str>,
        quoted: bool,
    },
    Sequence(Arc<Vec<Node>>),
    Mapping(Arc<Mapping>),
}

/// Entries in the order written, found by key. Keys are scalars.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    entries: Vec<(Node, Node)>,
    /// Numbers of entries, by key.
    by_key: Vec<u32>,
}

impl Mapping {
    fn new(entries: Vec<(Node, Node)>) -> Self {
        let mut by_key: Vec<u32> = (0..entries.len()).map(number).collect();
        // Stable, so that of two equal keys the one that stands first stays first.
        by_key.sort_by_key(|at| entries[*at as usize].0.text());
        Self { entries, by_key }
    }

    pub fn entries(&self) -> &[(Node, Node)] {
        &self.entries
    }

    fn position(&self, key: &str) -> Option<usize> {
        let text = |at: &u32| self.entries[*at as usize].0.text().unwrap_or_default();
        let found = self.by_key.binary_search_by(|at| text(at).cmp(key)).ok()?;
        self.by_key.get(found).map(|at| *at as usize)
    }

    pub fn get(&self, key: &str) -> Option<(&Node, &Node)> {
        self.entries.get(self.position(key)?).map(|(key, node)| (key, node))
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let position = self.position(key)?;
        self.entries.get_mut(position).map(|(_, node)| node)
    }

    /// Takes entries out; how many those were.
    pub fn take_out(&mut self, keys: &BTreeSet<&str>) -> usize {
        let (mut entries, all) = (std::mem::take(&mut self.entries), self.by_key.len());
        entries.retain(|(key, _)| !key.text().is_some_and(|text| keys.contains(text)));
        *self = Self::new(entries);
        all - self.entries.len()
    }

    /// Entries by key, each with that of the same key that stands before it, if there is one.
    fn twice(&self) -> impl Iterator<Item = (u32, &Node, &Node)> {
        let key = |at: u32| &self.entries[at as usize].0;
        self.by_key.windows(2).filter_map(move |pair| {
            let [first, again] = pair else { return None };
            (key(*first).text() == key(*again).text()).then(|| (*again, key(*first), key(*again)))
        })
    }
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Plain text, as opposed to quoted.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, quoted: false } => Some(text),
            _ => None,
        }
    }

    /// Nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.plain(), Some("" | "~" | "null"))
    }

    /// What `key` maps to, with the key's own node.
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        match &self.value {
            Value::Mapping(mapping) => mapping.get(key),
            _ => None,
        }
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, quoted: false } => format!("`{}`", shortened(text)),
            Value::Scalar { text, quoted: true } => format!("the text \"{}\"", shortened(text)),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// At most 40 characters of `text`, on one line.
pub fn shortened(text: &str) -> String {
    clipped(text, 40).replace(|c: char| c.is_control(), " ")
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(Span::REST - 1)
}
