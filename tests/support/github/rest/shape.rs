//! What a request may hold: each field with what its value is, as GitHub describes it.

use chrono::DateTime;
use serde_json::Value;

use super::{Answer, Asked};

/// A field, by its name.
pub type Field = (&'static str, Kind);

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    /// With at most so many characters.
    Short(usize),
    OneOf(&'static [&'static str]),
    /// As ISO 8601 has it.
    Time,
    Flag,
    Number,
    /// At least 1: a line, a column, a page.
    Counted,
    /// With at most so many of a kind.
    List(usize, &'static Kind),
    Holds(&'static Shape),
    /// Whatever the sender wants to find again.
    Payload,
}

/// The fields of an object: those that have to be there, and all others that may.
#[derive(Debug)]
pub struct Shape {
    pub required: &'static [Field],
    pub optional: &'static [Field],
}

impl Shape {
    /// Refuses what lacks a field, and what has one that GitHub does not describe.
    fn fits(&self, value: &Value, name: &str) -> Result<(), Answer> {
        let Value::Object(fields) = value else {
            return Err(Answer::invalid(&format!("{name} is no object: {value}")));
        };
        if let Some((missing, _)) = self.required.iter().find(|(name, _)| !fields.contains_key(*name)) {
            return Err(Answer::invalid(&format!("{name}: \"{missing}\" wasn't supplied.")));
        }
        fields.iter().try_for_each(|(field, value)| {
            let known = self.required.iter().chain(self.optional).find(|(known, _)| known == field);
            let (_, kind) =
                known.ok_or_else(|| Answer::invalid(&format!("{name}: \"{field}\" is not a permitted key.")))?;
            kind.fits(value, field)
        })
    }
}

impl Kind {
    fn fits(self, value: &Value, name: &str) -> Result<(), Answer> {
        let is_text = |fits: &dyn Fn(&str) -> bool| value.as_str().is_some_and(fits);
        let fits = match self {
            Kind::Text => value.is_string(),
            Kind::Short(most) => is_text(&|text| text.chars().count() <= most),
            Kind::OneOf(known) => is_text(&|text| known.contains(&text)),
            Kind::Time => is_text(&|text| DateTime::parse_from_rfc3339(text).is_ok()),
            Kind::Flag => value.is_boolean(),
            Kind::Number => value.is_u64(),
            Kind::Counted => value.as_u64().is_some_and(|number| number > 0),
            Kind::Payload => value.is_object() || value.is_string(),
            Kind::Holds(shape) => return shape.fits(value, name),
            Kind::List(most, kind) => match value.as_array() {
                Some(items) if items.len() <= most => return items.iter().try_for_each(|item| kind.fits(item, name)),
                _ => false,
            },
        };
        if fits { Ok(()) } else { Err(Answer::invalid(&format!("{name} is not {self:?}: {value:.100}"))) }
    }

    /// In a query everything is text.
    fn fits_query(self, text: &str, name: &str) -> Result<(), Answer> {
        match self {
            Kind::Number | Kind::Counted => {
                let number = text.parse::<u64>().map_or(Value::Null, Value::from);
                self.fits(&number, name)
            }
            _ => self.fits(&text.into(), name),
        }
    }
}

impl Asked {
    /// Refuses a body of another shape.
    pub fn has(&self, shape: &Shape) -> Result<(), Answer> {
        shape.fits(&self.body, "body")
    }

    /// Refuses a query that is none of these, or is of another kind.
    pub fn queries(&self, known: &[Field]) -> Result<(), Answer> {
        self.query.iter().try_for_each(|(name, text)| {
            let known = known.iter().find(|(known, _)| known == name);
            let (_, kind) = known.ok_or_else(|| Answer::invalid(&format!("nobody knows the query {name}")))?;
            kind.fits_query(text, name)
        })
    }

    /// A text of the body, which was found to have one or none.
    pub fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }
}
