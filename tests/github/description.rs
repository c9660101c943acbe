//! GitHub's own description of its API, as far as anything of ours asks for it: in OpenAPI 3.0, and as JSON Schema.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::npm;

/// What the client asks, and the fake answers. Anything else is no path of the pruned description.
pub const OPERATIONS: &[&str] = &[
    "GET /app",
    "GET /user",
    "POST /app/installations/{installation_id}/access_tokens",
    "GET /repos/{owner}/{repo}",
    "GET /repos/{owner}/{repo}/installation",
    "GET /repos/{owner}/{repo}/pulls",
    "POST /repos/{owner}/{repo}/pulls",
    "GET /repos/{owner}/{repo}/pulls/{pull_number}",
    "GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls",
    "GET /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "GET /repos/{owner}/{repo}/issues/comments",
    "GET /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    "POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
    "POST /repos/{owner}/{repo}/check-runs",
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "GET /repos/{owner}/{repo}/commits/{ref}/check-runs",
    "GET /repos/{owner}/{repo}/commits/{ref}/status",
    "POST /repos/{owner}/{repo}/statuses/{sha}",
    "GET /repos/{owner}/{repo}/deployments",
    "POST /repos/{owner}/{repo}/deployments",
    "GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
    "POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission",
    "GET /orgs/{org}/teams/{team_slug}/memberships/{username}",
    "GET /repos/{owner}/{repo}/rules/branches/{branch}",
    "GET /repos/{owner}/{repo}/rulesets/{ruleset_id}",
];

/// What people are told to ask by themselves.
const BY_PEOPLE: &[&str] = &["POST /repos/{owner}/{repo}/rulesets"];

/// Those of them, with all that they refer to.
pub fn of_github() -> &'static Value {
    static PRUNED: OnceLock<Value> = OnceLock::new();
    PRUNED.get_or_init(|| {
        let whole = npm::modules().join("node_modules/@octokit/openapi/generated/api.github.com.json");
        let whole = whole.to_str().expect("it is UTF-8");
        let arguments: Vec<&str> = [whole].into_iter().chain(OPERATIONS.iter().chain(BY_PEOPLE).copied()).collect();
        serde_json::from_slice(&npm::node("prune.mjs", &arguments)).expect("it is JSON")
    })
}

/// The operation that a request is one of.
pub fn operation(method: &str, path: &str) -> Option<&'static str> {
    let path: Vec<&str> = path.split('/').collect();
    OPERATIONS.iter().copied().find(|operation| {
        let (its_method, template) = operation.split_once(' ').expect("it has a method");
        let template: Vec<&str> = template.split('/').collect();
        let fits = |(one, other): (&&str, &&str)| one.starts_with('{') || one == other;
        its_method == method && template.len() == path.len() && template.iter().zip(&path).all(fits)
    })
}

fn described(operation: &str) -> &'static Value {
    let (method, path) = operation.split_once(' ').expect("it has a method");
    &of_github()["paths"][path][method.to_lowercase()]
}

/// What is behind a reference.
fn followed(value: &'static Value) -> &'static Value {
    let to = value["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    to.and_then(|to| of_github().pointer(to)).unwrap_or(value)
}

/// What GitHub answers to an operation, with a status: nothing but what is described, with all of `needed` that is
/// described to be always there. None where it does not describe that it would answer so.
pub fn answer(operation: &str, status: u16, needed: &[&str]) -> Option<Validator> {
    let answers = followed(described(operation).get("responses")?.get(status.to_string())?);
    // Of some refusals it says only that they are answered so.
    validator(answers.pointer("/content/application~1json/schema")?, Some(needed))
}

/// What is described by a name.
pub fn component(name: &str, needed: &[&str]) -> Option<Validator> {
    validator(&json!({"$ref": format!("#/components/schemas/{name}")}), Some(needed))
}

/// What an operation takes.
pub fn body(operation: &str) -> Option<Validator> {
    validator(described(operation).pointer("/requestBody/content/application~1json/schema")?, None)
}

/// What a query of an operation may be, by its name.
pub fn queries(operation: &str) -> Vec<(&'static str, &'static Value)> {
    let all = described(operation)["parameters"].as_array().map_or(&[][..], Vec::as_slice).iter().map(followed);
    let queries = all.filter(|parameter| parameter["in"] == "query");
    queries.filter_map(|query| Some((query["name"].as_str()?, &query["schema"]))).collect()
}

fn validator(schema: &Value, needed: Option<&[&str]>) -> Option<Validator> {
    let (mut schema, mut components) = (schema.clone(), of_github()["components"]["schemas"].clone());
    as_json_schema(&mut schema, needed);
    components.as_object_mut()?.values_mut().for_each(|component| as_json_schema(component, needed));
    let whole = json!({"allOf": [schema], "components": {"schemas": components}});
    Some(jsonschema::options().should_validate_formats(true).build(&whole).expect("it is a schema"))
}

/// Several descriptions of one object, as one: none of them alone knows all that may be there.
fn together(all: &Value) -> Option<serde_json::Map<String, Value>> {
    let all = all.as_array().filter(|all| all.len() > 1)?;
    let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
    for part in all {
        let part = part["$ref"].as_str().and_then(|to| of_github().pointer(to.strip_prefix('#')?)).unwrap_or(part);
        properties.extend(part["properties"].as_object()?.clone());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let whole = json!({"type": "object", "properties": properties, "required": required});
    whole.as_object().cloned()
}

/// Where `needed` is named, nothing else needs to be there, and nothing may be there that is not described.
fn as_json_schema(schema: &mut Value, needed: Option<&[&str]>) {
    let Some(object) = schema.as_object_mut() else { return };
    if needed.is_some()
        && let Some(together) = object.get("allOf").and_then(together)
    {
        object.remove("allOf");
        object.extend(together);
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(|property| as_json_schema(property, needed));
    }
    for key in ["items", "additionalProperties"] {
        object.get_mut(key).into_iter().for_each(|inner| as_json_schema(inner, needed));
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        let all = object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        all.for_each(|inner| as_json_schema(inner, needed));
    }
    if let Some(needed) = needed {
        if object.contains_key("properties") {
            object.entry("additionalProperties").or_insert(false.into());
        }
        if let Some(Value::Array(required)) = object.get_mut("required") {
            required.retain(|name| needed.iter().any(|needed| name == needed));
        }
        // What lacks something may be several of them.
        if let Some(one) = object.remove("oneOf") {
            object.insert("anyOf".to_owned(), one);
        }
    }
    if object.remove("nullable") == Some(Value::Bool(true)) {
        *schema = json!({"anyOf": [schema.take(), {"type": "null"}]});
    }
}
