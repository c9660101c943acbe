//! What commands print as JSON, and the schemas of it.
//!
//! Keeps true: a schema is made from the types that are written, so they cannot part. Fields are added, never
//! renamed or given another meaning, within a version.

use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};
use serde::Serialize;
use serde_json::Value;

use super::{findings, plan_json, record, status, why};

/// Of all these formats.
pub(super) const VERSION: u32 = 1;

/// What has no version of its own.
#[derive(Serialize, JsonSchema)]
pub(super) struct Versioned<T> {
    /// Of this format.
    version: u32,
    #[serde(flatten)]
    said: T,
}

impl<T> Versioned<T> {
    pub(super) fn of(said: T) -> Self {
        Self { version: VERSION, said }
    }
}

/// Every schema by its file name in `schema/`, which is that of the command.
pub fn schemas() -> Vec<(&'static str, String)> {
    vec![
        ("validate.json", findings::schema()),
        ("plan.json", plan_json::schema()),
        ("status.json", status::schema()),
        ("history.json", record::schema()),
        ("why.json", why::schema()),
    ]
}

/// Plain data with string keys cannot fail to serialise.
pub(super) fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// On one line.
pub(super) fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

pub(super) fn schema_of<T: JsonSchema>() -> String {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(on_one_line).transform(&mut schema);
    pretty(&schema)
}

/// A line of the source is none of the text.
fn on_one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
