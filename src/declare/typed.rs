//! One file: from its text to its type, with everything that is wrong in it.
//!
//! Owns: which type a scalar gets on its way into schema validation (the one that the schema expects
//! where the text allows it), and how much of a file with errors is checked all the same. `refusal.rs` has the words for
//! what the schema refuses. Keeps true: every finding stands at the value or key that it is about. What walks over a
//! file's tree here, in the schemas' validators and in serde does so by recursion: `yaml` reads no tree that is deeper
//! than the budget.
//!
//! All findings at once. serde stops at its first error. So one positioned tree feeds the JSON Schema, which finds
//! all, and then the types.

use std::{collections::BTreeSet, sync::Arc};

use jsonschema::{
    ValidationError,
    error::ValidationErrorKind,
    paths::{Location, LocationSegment},
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    de,
    file::{File, Span},
    findings::{Draft, Findings},
    refusal,
    schema::{self, Compiled},
    yaml::{self, Node, Value},
};
use crate::model::finding::Code;

/// What came of a file.
pub struct Read<T> {
    /// Whole where nothing is found. Where all that is wrong are keys that are not known or stand twice, what the file
    /// says without those: for checks, and for nothing else. None with any other finding.
    pub value: Option<T>,
    /// Whether nothing was found.
    pub is_whole: bool,
    /// How large its tree is: nodes, and bytes of texts.
    pub size: (usize, usize),
}

impl<T> Read<T> {
    /// The value, when there is nothing to say against it.
    pub fn whole(self) -> Option<T> {
        self.value.filter(|_| self.is_whole)
    }
}

/// Reads `file` as a `T`, which `compiled` describes.
pub fn read<T: for<'de> Deserialize<'de>>(
    file: &File,
    compiled: &'static Compiled,
    findings: &mut Findings,
) -> Read<T> {
    let known = findings.said();
    let Some(parsed) = yaml::parse(file, findings) else {
        return Read { value: None, is_whole: false, size: (0, 0) };
    };
    let (mut root, size) = (parsed.root, (parsed.nodes, parsed.bytes));
    let json = typed(&root, &compiled.schema, &compiled.schema);
    let (mut unknown, mut is_known_otherwise) = (Vec::new(), true);
    let errors: Vec<ValidationError<'_>> = compiled.errors(&json).collect();
    refusal::say(file, &root, compiled, &errors, findings);
    for error in &errors {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                unknown.push((error.instance_path().clone(), unexpected.clone()));
            }
            _ => is_known_otherwise = false,
        }
    }
    if !is_known_otherwise || !unknown.iter().all(|(path, keys)| without_keys(&mut root, path, keys)) {
        return Read { value: None, is_whole: false, size };
    }
    let value = de::from_node(&root).map_err(|error| {
        findings.say(Draft::error(Code::InvalidValue, error.message).at(file, error.span.unwrap_or(Span::START)));
    });
    Read { value: value.ok(), is_whole: findings.said() == known, size }
}

/// Takes keys out of the mapping at `path`. False when they are not all there.
fn without_keys(root: &mut Node, path: &Location, keys: &[String]) -> bool {
    let Some(Node { value: Value::Mapping(mapping), .. }) = node_at(root, path) else { return false };
    let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    Arc::make_mut(mapping).take_out(&keys) == keys.len()
}

fn node_at<'a>(root: &'a mut Node, path: &Location) -> Option<&'a mut Node> {
    path.segments().try_fold(root, |node, segment| match (&segment, &mut node.value) {
        (LocationSegment::Index(index), Value::Sequence(items)) => Arc::make_mut(items).get_mut(*index),
        (_, Value::Mapping(mapping)) => Arc::make_mut(mapping).get_mut(&segment.to_string()),
        _ => None,
    })
}

/// The tree as JSON. `true`, whole numbers and null are such only where text is not expected, so that
/// `version: 1.10` stays what it is.
fn typed(node: &Node, root: &Json, schema: &Json) -> Json {
    match &node.value {
        Value::Mapping(mapping) => mapping
            .entries()
            .iter()
            .filter_map(|(key, value)| {
                let key = key.text()?;
                let schema = schema::property(root, schema, key).unwrap_or(&Json::Null);
                Some((key.to_owned(), typed(value, root, schema)))
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Sequence(items) => {
            let schema = schema.get("items").map_or(&Json::Null, |items| schema::resolved(root, items));
            items.iter().map(|item| typed(item, root, schema)).collect::<Vec<_>>().into()
        }
        Value::Scalar { .. } if node.is_null() => Json::Null,
        Value::Scalar { text, .. } => {
            let text = &**text;
            let expected = schema.get("type").and_then(Json::as_str);
            let value = match (expected, node.plain()) {
                (Some("integer"), Some(text)) => whole(text).map(Json::from),
                (Some("boolean"), Some("true")) => Some(true.into()),
                (Some("boolean"), Some("false")) => Some(false.into()),
                _ => None,
            };
            value.unwrap_or_else(|| text.into())
        }
    }
}

/// A whole number as one writes it by hand: `0808`, `1_000` and `0x10` are refused, for readers of YAML
/// do not agree on what they are.
pub fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && (digits == "0" || !digits.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_whole_number_is_what_one_writes_by_hand() {
        assert_eq!([whole("8100"), whole("0"), whole("-3")], [Some(8100), Some(0), Some(-3)]);
        for text in ["", "0808", "1_000", "0x10", "1.0", "1e3", "-", "+1", "99999999999999999999"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
