//! One file: from its text to its type, with everything that is wrong in it.
//!
//! Owns: which type a scalar gets on its way into schema validation (the one that the schema expects
//! where the text allows it), and the words for what the schema refuses. Keeps true: every finding
//! stands at the value or key that it is about. What walks over a file's tree here, in the schemas' validators and in
//! serde does so by recursion: `yaml` reads no tree that is deeper than the budget.

use std::{collections::BTreeSet, sync::Arc};

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind},
    paths::{Location, LocationSegment},
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    codes, de,
    file::{File, Span, without_passwords},
    findings::{Draft, Findings},
    schema::{self, Compiled},
    similar,
    yaml::{self, Node, Value, shortened},
};

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
    for error in compiled.errors(&json) {
        Refusal::new(file, &root, compiled, &error).say(&error, findings);
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
        findings.say(Draft::error(codes::INVALID_VALUE, error.message).at(file, error.span.unwrap_or(Span::START)));
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
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && (digits == "0" || !digits.starts_with('0'))).then(|| text.parse().ok()).flatten()
}

/// One thing that the schema refuses, with what is needed to speak of it.
struct Refusal<'a> {
    file: &'a File,
    /// The value it is about.
    node: &'a Node,
    /// The key that leads to the value.
    key: Option<&'a Node>,
    /// The schema that holds the keyword which refused.
    schema: &'static Json,
}

impl<'a> Refusal<'a> {
    fn new(file: &'a File, root: &'a Node, compiled: &'static Compiled, error: &ValidationError<'_>) -> Self {
        let (mut node, mut key) = (root, None);
        for segment in error.instance_path().segments() {
            let next = match (&segment, &node.value) {
                (LocationSegment::Property(name), _) => node.entry(name).map(|(key, node)| (Some(key), node)),
                (LocationSegment::Index(index), Value::Sequence(items)) => items.get(*index).map(|node| (key, node)),
                (LocationSegment::Index(index), _) => {
                    node.entry(&index.to_string()).map(|(key, node)| (Some(key), node))
                }
            };
            let Some((next_key, next)) = next else { break };
            (node, key) = (next, next_key);
        }
        let path = error.schema_path().as_str();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let schema = compiled.schema.pointer(parent).unwrap_or(&compiled.schema);
        Self { file, node, key, schema }
    }

    /// Where it is said of a mapping or list as a whole: at the key that leads to it, else at its first key.
    fn whole_span(&self) -> Span {
        let first = match &self.node.value {
            Value::Mapping(mapping) => mapping.entries().first().map(|(key, _)| key.span),
            _ => None,
        };
        self.key.map(|key| key.span).or(first).unwrap_or(self.node.span)
    }

    fn error(&self, code: &'static str, message: String, span: Span) -> Draft {
        Draft::error(code, message).at(self.file, span)
    }

    fn say(&self, error: &ValidationError<'_>, findings: &mut Findings) {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                unexpected.iter().for_each(|key| findings.say(self.unknown_key(key)));
            }
            _ => self.findings(error).into_iter().for_each(|finding| findings.say(finding)),
        }
    }

    fn findings(&self, error: &ValidationError<'_>) -> Option<Draft> {
        Some(match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let message = match self.key.and_then(Node::text) {
                    Some(key) => format!("`{key}` has no `{name}`"),
                    None => format!("`{name}` is missing"),
                };
                let finding = self.error(codes::MISSING_KEY, message, self.whole_span());
                with_hint(finding, self.description_of(name).map(|text| format!("`{name}`: {text}")))
            }
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. } => {
                let branches = self.schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
                let constants: Vec<&str> = branches.filter_map(|branch| branch.get("const")?.as_str()).collect();
                if !constants.is_empty() {
                    return Some(self.not_among(&constants));
                }
                let owner = self.key.and_then(Node::text).unwrap_or("this");
                let message = format!("`{owner}` needs exactly one of {}", self.alternatives());
                self.error(codes::ONE_OF, message, self.whole_span())
            }
            ValidationErrorKind::Type { kind } => self.wrong_type(kind),
            ValidationErrorKind::PropertyNames { error } => {
                let name = error.instance().as_str().unwrap_or_default();
                let span = self.node.entry(name).map_or(self.node.span, |(key, _)| key.span);
                self.refused(name, self.schema.get("propertyNames").unwrap_or(self.schema), span)
            }
            ValidationErrorKind::Pattern { .. } => {
                let text = self.node.text().unwrap_or_default();
                self.refused(text, self.schema, self.node.span)
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                self.not_among(&options)
            }
            ValidationErrorKind::Constant { expected_value } => match expected_value.as_str() {
                Some(only) => self.not_among(&[only]),
                // That it is of another type is said already.
                None if self.node.plain().is_none_or(|text| text.parse::<bool>().is_err()) => return None,
                None => {
                    let message = format!("{} is not taken here, only `{expected_value}`", self.node.describe());
                    self.error(codes::INVALID_VALUE, message, self.node.span)
                }
            },
            ValidationErrorKind::Minimum { limit } => self.bound("less", limit),
            ValidationErrorKind::Maximum { limit } => self.bound("more", limit),
            _ => {
                let message = format!("{} is not taken here: {}", self.node.describe(), error.masked());
                self.error(codes::INVALID_VALUE, message, self.node.span)
            }
        })
    }

    fn unknown_key(&self, key: &str) -> Draft {
        let span = self.node.entry(key).map_or(self.node.span, |(key, _)| key.span);
        let (schema, unknown) = (self.schema, key.to_owned());
        let hint = move || {
            let known = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
            let known: Vec<&str> = known.map(|(key, _)| key.as_str()).collect();
            similar::did_you_mean(&unknown, known.iter().copied())
                .unwrap_or_else(|| format!("known here: {}; keys that begin with `x-` are free", similar::list(&known)))
        };
        self.error(codes::UNKNOWN_KEY, format!("the key `{}` is not known", shortened(key)), span).hint_of(hint)
    }

    fn wrong_type(&self, kind: &TypeKind) -> Draft {
        let expected = match kind {
            TypeKind::Single(kind) => type_name(&kind.to_string()).to_owned(),
            TypeKind::Multiple(kinds) => {
                let names: Vec<String> = kinds.iter().map(|kind| type_name(&kind.to_string()).to_owned()).collect();
                names.join(" or ")
            }
        };
        let message = format!("expected {expected}, found {}", self.node.describe());
        let finding = self.error(
            codes::WRONG_TYPE,
            message,
            if self.node.is_null() { self.whole_span() } else { self.node.span },
        );
        let text = self.node.text().unwrap_or_default();
        let hint = match (expected.as_str(), self.node.plain()) {
            ("text", Some(_)) => Some("write \"\" for an empty text, or leave the key out".to_owned()),
            ("a whole number", Some(plain)) if plain.trim_start_matches('0').parse::<u32>().is_ok() => {
                Some(format!("write {}", plain.trim_start_matches('0')))
            }
            ("a whole number", None) if whole(text).is_some() => Some(format!("write {text} without quotes")),
            ("true or false", _) => self.schema.get("const").map(|only| format!("write {only}")),
            ("a list", _) if !text.is_empty() => Some(format!("write [{}]", shortened(text))),
            _ => None,
        };
        with_hint(finding, hint)
    }

    /// A text that breaks the rule of `schema`, whose description says what the text should be.
    fn refused(&self, text: &str, schema: &Json, span: Span) -> Draft {
        let description = schema.get("description").and_then(Json::as_str);
        let what = description.and_then(|text| text.split([':', ',', ';']).next()).map(uncapitalised);
        let text = without_passwords(text);
        let message = match what {
            Some(what) => format!("`{}` is not {what}", shortened(&text)),
            None => format!("`{}` is not taken here", shortened(&text)),
        };
        with_hint(self.error(codes::INVALID_VALUE, message, span), description.map(str::to_owned))
    }

    fn not_among(&self, options: &[&str]) -> Draft {
        let message = format!("{} is not taken here, only {}", self.node.describe(), similar::list(options));
        let finding = self.error(codes::INVALID_VALUE, message, self.node.span);
        with_hint(finding, similar::did_you_mean(self.node.text().unwrap_or_default(), options.iter().copied()))
    }

    fn bound(&self, word: &str, limit: &Json) -> Draft {
        let message = format!("{} is {word} than {limit}", self.node.describe());
        self.error(codes::INVALID_VALUE, message, self.node.span)
    }

    /// The keys of which `oneOf` wants one.
    fn alternatives(&self) -> String {
        let branches = self.schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        let required = branches.filter_map(|branch| branch.get("required")?.get(0)?.as_str());
        similar::list(&required.collect::<Vec<_>>())
    }

    fn description_of(&self, property: &str) -> Option<String> {
        let found = self.schema.get("properties")?.get(property)?;
        Some(found.get("description")?.as_str()?.replace('\n', " "))
    }
}

fn with_hint(finding: Draft, hint: Option<String>) -> Draft {
    match hint {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn type_name(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" | "number" => "a whole number",
        "boolean" => "true or false",
        "object" => "a mapping",
        "array" => "a list",
        "null" => "nothing",
        other => other,
    }
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
