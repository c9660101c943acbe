//! The README's file reference names every key that a kind has, and no other.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

/// Sections of the README and the schemas they describe.
const SECTIONS: &[(&str, &str)] = &[
    ("### `fleet.yaml`", "fleet"),
    ("### `environments/NAME.yaml`", "environment"),
    ("### `instances/NAME.yaml`", "instance"),
    ("### `services/NAME.yaml`", "service"),
    ("### `sites/NAME.yaml`", "site"),
    ("### Override files", "override"),
    ("### Credentials file", "credentials"),
];

#[test]
fn the_file_reference_is_complete() {
    let readme = read("README.md");
    for (heading, kind) in SECTIONS {
        let schema: Value = serde_json::from_str(&read(&format!("schema/{kind}.json"))).expect("a schema is JSON");
        let mut declared = BTreeSet::new();
        keys(&schema, &schema, "", &mut declared);
        assert_eq!(described(&readme, heading), declared, "{heading}: the README on the left");
    }
}

/// The keys in the first column of the section's table.
fn described(readme: &str, heading: &str) -> BTreeSet<String> {
    let from = readme.find(heading).unwrap_or_else(|| panic!("the README has no section {heading}"));
    let section = &readme[from + heading.len()..];
    let section = &section[..section.find("\n#").unwrap_or(section.len())];
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let quoted = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

/// The keys that hold a value, as people would name them: `health.http`, `routes.PATH.service`.
fn keys(root: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let schema = resolved(root, schema);
    // What may also be a plain text is told as one key.
    let text_too = schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "string"));
    let Some(properties) = schema["properties"].as_object().filter(|_| !text_too) else {
        found.insert(path.to_owned());
        return;
    };
    if let Some(of) = schema.get("additionalProperties").filter(|of| resolved(root, of).get("properties").is_some()) {
        keys(root, of, &if path.is_empty() { "NAME".to_owned() } else { format!("{path}.NAME") }, found);
    }
    for (key, below) in properties {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let below = resolved(root, below);
        // An overlay has the keys of what it is laid over.
        if key == "in" {
            found.insert(path);
        } else if let Some(of) =
            below.get("additionalProperties").filter(|of| resolved(root, of).get("properties").is_some())
        {
            let name = if key == "routes" { "PATH" } else { "NAME" };
            keys(root, of, &format!("{path}.{name}"), found);
        } else {
            keys(root, below, &path, found);
        }
    }
}

/// What a reference, or one that may be null, stands for.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(pointer) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        return resolved(root, root.pointer(pointer).expect("a reference leads somewhere"));
    }
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([one, null]) if null["type"] == "null" => resolved(root, one),
        _ => schema,
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the repository can be read")
}
