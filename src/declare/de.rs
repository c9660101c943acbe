//! The positioned tree as a serde data format, and [`At`], a value that knows where it stands.
//!
//! Keeps true: a field's type decides what its text means; keys that begin with `x-` never reach a
//! struct. An error carries the place of the innermost value that it is about.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    ops::Deref,
};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor, value::U32Deserializer},
    forward_to_deserialize_any,
};

use super::{
    file::Span,
    yaml::{Node, Value},
};

/// A value and its place. Compares and hashes as the value alone.
#[derive(Debug, Clone)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T: Hash> Hash for At<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl Borrow<str> for At<String> {
    fn borrow(&self) -> &str {
        &self.value
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// The name by which [`At`] asks [`Node`] for a place next to the value.
const AT: &str = "evenkeel::At";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
                let mut part = || seq.next_element::<u32>()?.ok_or_else(|| de::Error::custom("no place"));
                let span = Span { line: part()?, column: part()?, end_column: part()? };
                let value = seq.next_element()?.ok_or_else(|| de::Error::custom("no value"))?;
                Ok(At { value, span })
            }
        }

        deserializer.deserialize_tuple_struct(AT, 4, AtVisitor(PhantomData))
    }
}

/// Why a tree is not a value of the type asked for.
#[derive(Debug)]
pub struct Error {
    pub span: Option<Span>,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { span: None, message: message.to_string() }
    }
}

/// Reads a tree as `T`.
pub fn from_node<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Error> {
    T::deserialize(node)
}

impl Node {
    fn place<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| {
            if error.span.is_some() {
                return error;
            }
            let named = self.text().is_none_or(|text| error.message.contains(text));
            let message = if named { error.message } else { format!("{}: {}", self.describe(), error.message) };
            Error { span: Some(self.span), message }
        })
    }

    fn parsed<T: std::str::FromStr>(&self, expected: &str) -> Result<T, Error> {
        let number = self.plain().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Error {
            span: Some(self.span),
            message: format!("expected {expected}, found {}", self.describe()),
        })
    }

    fn visit_mapping<'de, V: Visitor<'de>>(&'de self, visitor: V, all: bool) -> Result<V::Value, Error> {
        let Value::Mapping(mapping) = &self.value else {
            return self.place(Err(de::Error::custom(format!("expected a mapping, found {}", self.describe()))));
        };
        self.place(visitor.visit_map(Entries { entries: mapping.entries().iter(), value: None, all }))
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => self.place(visitor.visit_unit()),
            Value::Scalar { text, .. } => self.place(visitor.visit_borrowed_str(text)),
            Value::Sequence(items) => self.place(visitor.visit_seq(Items(items.iter()))),
            Value::Mapping(_) => self.visit_mapping(visitor, true),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.parsed("true or false")?;
        self.place(visitor.visit_bool(value))
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.parsed("a whole number")?;
        self.place(visitor.visit_u64(value))
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.parsed("a whole number")?;
        self.place(visitor.visit_u64(value))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) };
        self.place(result)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.place(visitor.visit_newtype_struct(self))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == AT { visitor.visit_seq(PlacedValue { node: self, part: 0 }) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_mapping(visitor, false)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text = self.text().unwrap_or_default();
        self.place(visitor.visit_enum(text.into_deserializer()))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple map identifier ignored_any
    }
}

/// Line, column, end column, then the value itself.
struct PlacedValue<'de> {
    node: &'de Node,
    part: u8,
}

impl<'de> SeqAccess<'de> for PlacedValue<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let span = self.node.span;
        let number = |value: u32| -> U32Deserializer<Error> { value.into_deserializer() };
        self.part += 1;
        match self.part {
            1 => seed.deserialize(number(span.line)),
            2 => seed.deserialize(number(span.column)),
            3 => seed.deserialize(number(span.end_column)),
            _ => self.node.place(seed.deserialize(self.node)),
        }
        .map(Some)
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|node| node.place(seed.deserialize(node))).transpose()
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Node, Node)>,
    value: Option<&'de Node>,
    /// Whether keys that begin with `x-` count, as they do in a mapping whose keys are people's own.
    all: bool,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, value) in self.entries.by_ref() {
            if self.all || !key.text().is_some_and(|text| text.starts_with("x-")) {
                self.value = Some(value);
                return key.place(seed.deserialize(key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.value.take() {
            Some(node) => node.place(seed.deserialize(node)),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}
