//! The JSON Schemas of the kinds, generated from their types, and the validators made of them.
//!
//! Keeps true: every mapping that we define refuses unknown keys but for `x-…`; null stands for nothing
//! but a variable taken away. A schema is compiled once in a process, when first needed.

use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::{
    JsonSchema, Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::{Value, json};

use super::kinds::{
    CredentialsFile, EnvironmentFile, FleetFile, InstanceFile, Kind, OverrideFile, ServiceFile, SiteFile,
};

/// A schema and its compiled form.
pub struct Compiled {
    pub schema: Value,
    validator: Option<Validator>,
}

impl Compiled {
    fn of<T: JsonSchema>() -> Self {
        let schema = generated::<T>();
        // Patterns are matched in linear time: files come from pull requests.
        let options = jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex());
        // That each schema compiles is a test; without a validator the types still refuse what is wrong.
        let validator = options.build(&schema).ok();
        Self { schema, validator }
    }

    pub fn errors<'a>(&'a self, value: &'a Value) -> impl Iterator<Item = jsonschema::ValidationError<'a>> {
        self.validator.iter().flat_map(move |validator| validator.iter_errors(value))
    }
}

static FLEET: LazyLock<Compiled> = LazyLock::new(Compiled::of::<FleetFile>);
static ENVIRONMENT: LazyLock<Compiled> = LazyLock::new(Compiled::of::<EnvironmentFile>);
static INSTANCE: LazyLock<Compiled> = LazyLock::new(Compiled::of::<InstanceFile>);
static SERVICE: LazyLock<Compiled> = LazyLock::new(Compiled::of::<ServiceFile>);
static SITE: LazyLock<Compiled> = LazyLock::new(Compiled::of::<SiteFile>);
static OVERRIDE: LazyLock<Compiled> = LazyLock::new(Compiled::of::<OverrideFile>);
static CREDENTIALS: LazyLock<Compiled> = LazyLock::new(Compiled::of::<CredentialsFile>);

pub fn fleet() -> &'static Compiled {
    &FLEET
}

pub fn of(kind: Kind) -> &'static Compiled {
    match kind {
        Kind::Environment => &ENVIRONMENT,
        Kind::Instance => &INSTANCE,
        Kind::Service => &SERVICE,
        Kind::Site => &SITE,
    }
}

pub fn overriding() -> &'static Compiled {
    &OVERRIDE
}

pub fn credentials() -> &'static Compiled {
    &CREDENTIALS
}

/// Every schema by its file name in `schema/`.
pub fn schemas() -> Vec<(&'static str, String)> {
    [
        ("fleet.json", &FLEET),
        ("environment.json", &ENVIRONMENT),
        ("instance.json", &INSTANCE),
        ("service.json", &SERVICE),
        ("site.json", &SITE),
        ("override.json", &OVERRIDE),
        ("credentials.json", &CREDENTIALS),
    ]
    .map(|(name, compiled)| (name, format!("{:#}\n", compiled.schema)))
    .into()
}

fn generated<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(own_rules).transform(&mut schema);
    schema.to_value()
}

fn own_rules(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    // Schemars writes an optional key as "this or null", with null last. A key is optional by being left out.
    if let Some(types) = object.get("type").and_then(Value::as_array)
        && let [only, null] = types.as_slice()
        && null == "null"
    {
        let only = only.clone();
        object.insert("type".to_owned(), only);
    }
    if let Some(any) = object.get("anyOf").and_then(Value::as_array)
        && let [only, null] = any.as_slice()
        && *null == json!({"type": "null"})
        && let Value::Object(only) = only.clone()
    {
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        object.insert("patternProperties".to_owned(), json!({"^x-": true}));
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    // A default that only says "nothing" tells a reader nothing.
    if object.get("default").is_some_and(|default| matches!(default, Value::Null)) {
        object.remove("default");
    }
}

/// Follows `$ref` within `root`. Those that are generated all lead to a definition, and no name of one needs escapes.
pub fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix("#/$defs/"));
    target.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

/// The schema of what `key` maps to in a mapping of `schema`.
pub fn property<'a>(root: &'a Value, schema: &'a Value, key: &str) -> Option<&'a Value> {
    let of_ours = schema.get("properties").and_then(|properties| properties.get(key));
    let of_people = || schema.get("additionalProperties").filter(|any| any.is_object());
    of_ours.or_else(of_people).map(|found| resolved(root, found))
}

/// As [`property`], with the name that the schema has among the definitions; empty where it stands in its place.
pub fn named_property<'a>(root: &'a Value, schema: &'a Value, key: &str) -> Option<(&'a str, &'a Value)> {
    let of_ours = schema.get("properties").and_then(|properties| properties.get(key));
    let found = of_ours.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))?;
    let name = found.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix("#/$defs/"));
    Some((name.unwrap_or_default(), resolved(root, found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_compiles() {
        for compiled in [&FLEET, &ENVIRONMENT, &INSTANCE, &SERVICE, &SITE, &OVERRIDE, &CREDENTIALS] {
            assert!(compiled.validator.is_some(), "{:#}", compiled.schema);
        }
    }

    #[test]
    fn every_reference_of_a_schema_leads_to_a_definition() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").map(|_| value));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        for compiled in [&FLEET, &ENVIRONMENT, &INSTANCE, &SERVICE, &SITE, &OVERRIDE, &CREDENTIALS] {
            let mut found = Vec::new();
            references(&compiled.schema, &mut found);
            for reference in found {
                assert!(!std::ptr::eq(resolved(&compiled.schema, reference), reference), "{reference}");
            }
        }
    }
}
