//! The words for what a file's schema refuses.
//!
//! Owns: which refusals are one finding, and the line to write instead. Keeps true: a value of another shape is one
//! finding; a key that the answer to a foreign word brings is not said to be missing as well. Never does: deciding what
//! is refused.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind},
    paths::LocationSegment,
};
use serde_json::Value as Json;

use super::{
    file::{File, Span, without_passwords},
    findings::{Draft, Findings},
    foreign,
    schema::{self, Compiled},
    similar,
    typed::whole,
    yaml::{Node, Value, shortened},
};
use crate::model::finding::Code;

/// YAML 1.1's merge key, which YAML 1.2 does not have.
const MERGE: &str = "<<";

/// Of so many unknown keys of one mapping it is looked up which keys their answers bring.
const ANSWERED: usize = 64;

/// What is known of one value before its refusals are told.
#[derive(Default)]
struct Spot {
    /// Whether its shape is another: then nothing else is said of it.
    is_of_wrong_type: bool,
    /// Keys that foreign words in it bring, once somebody writes the lines that the findings name.
    brought: BTreeSet<String>,
}

/// Tells everything that the schema refuses.
pub fn say(
    file: &File,
    root: &Node,
    compiled: &'static Compiled,
    errors: &[ValidationError<'_>],
    findings: &mut Findings,
) {
    let mut spots: BTreeMap<&str, Spot> = BTreeMap::new();
    for error in errors {
        let spot = spots.entry(error.instance_path().as_str()).or_default();
        match error.kind() {
            ValidationErrorKind::Type { .. } | ValidationErrorKind::AnyOf { .. } => spot.is_of_wrong_type = true,
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let refusal = SchemaRefusal::new(file, root, compiled, error);
                unexpected.iter().take(ANSWERED).for_each(|key| refusal.brings(key, &mut spot.brought));
            }
            _ => {}
        }
    }
    for error in errors {
        let refusal = SchemaRefusal::new(file, root, compiled, error);
        let Some(spot) = spots.get(error.instance_path().as_str()) else { continue };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                unexpected.iter().for_each(|key| findings.say(refusal.unknown_key(key)));
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().filter(|key| !spot.brought.contains(*key));
                key.into_iter().for_each(|key| findings.say(refusal.missing(key)));
            }
            _ => refusal.finding(error, spot).into_iter().for_each(|finding| findings.say(finding)),
        }
    }
}

/// A mapping on the way to a value: its name in the schema, its schema, and the key that leads to it.
#[derive(Clone, Copy)]
struct Above<'a> {
    name: &'static str,
    schema: &'static Json,
    key: Option<&'a str>,
}

/// One thing that the schema refuses, with what is needed to speak of it.
struct SchemaRefusal<'a> {
    file: &'a File,
    root: &'static Json,
    /// The value it is about.
    node: &'a Node,
    /// The key that leads to the value.
    key: Option<&'a Node>,
    /// The schema that holds the keyword which refused.
    schema: &'static Json,
    /// The value and what it stands in, the file first.
    way: Vec<Above<'a>>,
}

impl<'a> SchemaRefusal<'a> {
    fn new(file: &'a File, root: &'a Node, compiled: &'static Compiled, error: &ValidationError<'_>) -> Self {
        let title = compiled.schema.get("title").and_then(Json::as_str).unwrap_or_default();
        let (mut node, mut key) = (root, None);
        let mut way = vec![Above { name: title, schema: &compiled.schema, key: None }];
        for segment in error.instance_path().segments() {
            let next = match (&segment, &node.value) {
                (LocationSegment::Property(name), _) => node.entry(name).map(|(key, node)| (Some(key), node)),
                (LocationSegment::Index(index), Value::Sequence(items)) => items.get(*index).map(|node| (key, node)),
                (LocationSegment::Index(index), _) => {
                    node.entry(&index.to_string()).map(|(key, node)| (Some(key), node))
                }
            };
            let Some((next_key, next)) = next else { break };
            let last = way.last().map_or(&compiled.schema, |above| above.schema);
            let named = next_key.and_then(Node::text);
            let (name, schema) = named
                .and_then(|named| schema::named_property(&compiled.schema, last, named))
                .unwrap_or(("", &Json::Null));
            way.push(Above { name, schema, key: named });
            (node, key) = (next, next_key);
        }
        let path = error.schema_path().as_str();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let schema = compiled.schema.pointer(parent).unwrap_or(&compiled.schema);
        Self { file, root: &compiled.schema, node, key, schema, way }
    }

    /// The name that the value has in the schema.
    fn name(&self) -> &'static str {
        self.way.last().map_or("", |above| above.name)
    }

    /// Where it is said of a mapping or list as a whole: at the key that leads to it, else at its first key.
    fn whole_span(&self) -> Span {
        let first = match &self.node.value {
            Value::Mapping(mapping) => mapping.entries().first().map(|(key, _)| key.span),
            _ => None,
        };
        self.key.map(|key| key.span).or(first).unwrap_or(self.node.span)
    }

    fn error(&self, code: Code, message: String, span: Span) -> Draft {
        Draft::error(code, message).at(self.file, span)
    }

    /// Which keys of ours the answer to an unknown one has.
    fn brings(&self, key: &str, brought: &mut BTreeSet<String>) {
        if key == MERGE {
            let merged = self.node.entry(key).map(|(_, merged)| merged_keys(merged)).unwrap_or_default();
            brought.extend(merged.into_iter().map(str::to_owned));
        } else if foreign::holds_the_rest(self.name(), key) {
            let required = self.schema.get("required").and_then(Json::as_array).into_iter().flatten();
            brought.extend(required.filter_map(Json::as_str).map(str::to_owned));
        } else if let Some(answer) = foreign::answer(self.name(), key) {
            brought.extend(answer.brings().map(str::to_owned));
        } else if let Some(within) = self.one_below(key) {
            brought.insert(within.to_owned());
        }
    }

    fn finding(&self, error: &ValidationError<'_>, spot: &Spot) -> Option<Draft> {
        Some(match error.kind() {
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. } => {
                let branches = self.schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
                let constants: Vec<&str> = branches.filter_map(|branch| branch.get("const")?.as_str()).collect();
                if !constants.is_empty() {
                    return Some(self.not_among(&constants));
                }
                let alternatives = self.alternatives();
                // The finding about its shape has the example, and one about a foreign word the line to write.
                if spot.is_of_wrong_type || alternatives.iter().any(|key| spot.brought.contains(*key)) {
                    return None;
                }
                let owner = self.key.and_then(Node::text).unwrap_or("this");
                let message = format!("`{owner}` needs exactly one of {}", similar::list(&alternatives));
                with_hint(self.error(Code::OneOf, message, self.whole_span()), self.example(false))
            }
            ValidationErrorKind::Type { kind } => self.wrong_type(kind),
            ValidationErrorKind::AnyOf { .. } => {
                let message = format!("expected text or a mapping, found {}", self.node.describe());
                let span = if self.node.is_null() { self.whole_span() } else { self.node.span };
                with_hint(self.error(Code::WrongType, message, span), self.example(true))
            }
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
                    self.error(Code::InvalidValue, message, self.node.span)
                }
            },
            ValidationErrorKind::Minimum { limit } => self.bound("less", limit),
            ValidationErrorKind::Maximum { limit } => self.bound("more", limit),
            _ => {
                let message = format!("{} is not taken here: {}", self.node.describe(), error.masked());
                self.error(Code::InvalidValue, message, self.node.span)
            }
        })
    }

    fn missing(&self, key: &str) -> Draft {
        let message = match self.key.and_then(Node::text) {
            Some(owner) => format!("`{}` has no `{key}`", shortened(owner)),
            None => format!("`{key}` is missing"),
        };
        let described = self.description_of(key);
        let hint = match (foreign::example(self.name(), key, None), described) {
            (Some(line), Some(text)) => Some(format!("write `{line}`. {text}")),
            (None, Some(text)) => Some(format!("`{key}`: {text}")),
            (line, None) => line.map(|line| format!("write `{line}`")),
        };
        with_hint(self.error(Code::MissingKey, message, self.whole_span()), hint)
    }

    fn unknown_key(&self, key: &str) -> Draft {
        let (key_node, value) = match self.node.entry(key) {
            Some((key, value)) => (key, value),
            None => (self.node, self.node),
        };
        let message = format!("the key `{}` is not known", shortened(key));
        let finding = self.error(Code::UnknownKey, message, key_node.span);
        if key == MERGE {
            let value = value.clone();
            return finding.hint_of(move || merge_hint(&value));
        }
        let (key_node, value) = (key_node.clone(), value.clone());
        if let Some(answer) = foreign::answer(self.name(), key) {
            return finding.hint_of(move || answer.hint(&key_node, &value));
        }
        let (schema, unknown) = (self.schema, key.to_owned());
        let (below, above) = (self.one_below(key), self.above(key));
        finding.hint_of(move || {
            let known: Vec<&str> = keys_of(schema).collect();
            let line = || match value.text() {
                Some(text) if !text.is_empty() => {
                    format!("{unknown}: {}", foreign::in_one_line(&without_passwords(&shortened(text))))
                }
                _ => format!("{unknown}: …"),
            };
            if let Some(hint) = similar::did_you_mean(&unknown, known.iter().copied()) {
                return hint;
            }
            match (below, above) {
                (Some(within), _) => format!("write `{within}: {{{}}}`", line()),
                (None, Some(beside)) => format!("write `{}` {beside}", line()),
                (None, None) => {
                    format!("known here: {}; keys that begin with `x-` are free", similar::all(&known))
                }
            }
        })
    }

    /// The only key of the mapping whose own mapping has `key`.
    fn one_below(&self, key: &str) -> Option<&'static str> {
        let properties = self.schema.get("properties").and_then(Json::as_object)?;
        let below = properties.iter().map(|(name, of)| (name.as_str(), schema::resolved(self.root, of)));
        let mut found = below.filter(|(_, of)| has_key(of, key)).map(|(name, _)| name);
        found.next().filter(|_| found.next().is_none())
    }

    /// Beside which of the mappings that the value stands in `key` belongs.
    fn above(&self, key: &str) -> Option<String> {
        let at = self.way.iter().rposition(|above| has_key(above.schema, key))?;
        let inner = self.way.get(at + 1)?.key?;
        Some(format!("beside `{}`, not in it", shortened(inner)))
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
        let finding =
            self.error(Code::WrongType, message, if self.node.is_null() { self.whole_span() } else { self.node.span });
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
        // Where the whole shape is another, what the value should be.
        let described = || self.schema.get("description").and_then(Json::as_str).map(str::to_owned);
        let is_other = expected == "text" && self.node.text().is_none();
        with_hint(finding, hint.or_else(|| self.example(true)).or_else(|| described().filter(|_| is_other)))
    }

    /// The line to write in place of the value, made of it where that is `as_written`.
    fn example(&self, as_written: bool) -> Option<String> {
        let [.., above, _] = self.way.as_slice() else { return None };
        let key = self.key?;
        let written = Some((key, self.node)).filter(|_| as_written);
        let line = foreign::example(above.name, key.text()?, written)?;
        Some(if as_written { format!("write `{line}`") } else { format!("as in `{line}`") })
    }

    /// A text that breaks the rule of `schema`, whose description says what the text should be.
    fn refused(&self, text: &str, schema: &Json, span: Span) -> Draft {
        let description = schema.get("description").and_then(Json::as_str);
        let what = description.and_then(|text| text.split([':', ',', ';']).next()).map(uncapitalised);
        let text = without_passwords(text);
        let message = match what {
            Some(ref what) => format!("`{}` is not {what}", shortened(&text)),
            None => format!("`{}` is not taken here", shortened(&text)),
        };
        let corrected = what.as_deref().and_then(|what| foreign::corrected(what, &text));
        let hint = match (corrected, description) {
            (Some(corrected), Some(description)) => Some(format!("write `{corrected}`. {description}")),
            (_, description) => description.map(str::to_owned),
        };
        with_hint(self.error(Code::InvalidValue, message, span), hint)
    }

    fn not_among(&self, options: &[&str]) -> Draft {
        let message = format!("{} is not taken here, only {}", self.node.describe(), similar::list(options));
        let finding = self.error(Code::InvalidValue, message, self.node.span);
        with_hint(finding, similar::did_you_mean(self.node.text().unwrap_or_default(), options.iter().copied()))
    }

    fn bound(&self, word: &str, limit: &Json) -> Draft {
        let message = format!("{} is {word} than {limit}", self.node.describe());
        self.error(Code::InvalidValue, message, self.node.span)
    }

    /// The keys of which `oneOf` wants one.
    fn alternatives(&self) -> Vec<&'static str> {
        let branches = self.schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
        branches.filter_map(|branch| branch.get("required")?.get(0)?.as_str()).collect()
    }

    fn description_of(&self, property: &str) -> Option<String> {
        let found = self.schema.get("properties")?.get(property)?;
        Some(found.get("description")?.as_str()?.replace('\n', " "))
    }
}

fn keys_of(schema: &'static Json) -> impl Iterator<Item = &'static str> {
    let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    properties.map(|(key, _)| key.as_str())
}

fn has_key(schema: &Json, key: &str) -> bool {
    schema.get("properties").is_some_and(|properties| properties.get(key).is_some())
}

/// The keys that a merge would bring: of a mapping, or of a list of them.
fn merged_keys(value: &Node) -> Vec<&str> {
    const MOST: usize = 32;
    let all = match &value.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mappings = all.iter().take(MOST).filter_map(|node| match &node.value {
        Value::Mapping(mapping) => Some(mapping),
        _ => None,
    });
    mappings.flat_map(|mapping| mapping.entries()).filter_map(|(key, _)| key.text()).take(MOST).collect()
}

fn merge_hint(value: &Node) -> String {
    let keys = merged_keys(value);
    let Some(first) = keys.first().map(|key| shortened(key)) else {
        return "leave it out: merge keys are not taken, and this one brings nothing".to_owned();
    };
    let lines: Vec<String> = keys.iter().map(|key| shortened(key)).map(|key| format!("`{key}: *{key}`")).collect();
    format!(
        "merge keys are not taken: write {} here, each an alias of its own value, as in `x-common: {{{first}: &{first} …}}`; \
         or write the values out",
        lines.join(", ")
    )
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
