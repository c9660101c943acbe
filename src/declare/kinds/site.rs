//! `sites/NAME.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Domain, SourceKeys};
use crate::declare::de::At;

/// An nginx server: a static frontend plus routes to services.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Site")]
pub struct SiteFile {
    /// For people.
    pub description: Option<String>,
    /// The name it is asked for by.
    pub domain: At<Domain>,
    /// The instances whose nginx serves it. In an environment only its own count.
    pub on: At<Vec<At<String>>>,
    /// Files that are served as they are.
    pub frontend: Option<Frontend>,
    /// Which service answers for which path.
    #[serde(default)]
    #[schemars(extend("propertyNames" = route()))]
    pub routes: BTreeMap<At<String>, RouteTo>,
    /// Whether the distribution's default site makes room.
    pub replaces_default: Option<bool>,
    /// What differs in an environment.
    #[serde(default, rename = "in")]
    pub overlays: BTreeMap<At<String>, SiteOverlay>,
}

/// What differs in one environment.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteOverlay {
    pub domain: Option<At<Domain>>,
    pub on: Option<At<Vec<At<String>>>>,
    #[schemars(extend("propertyNames" = route()))]
    pub routes: Option<BTreeMap<At<String>, RouteTo>>,
}

fn route() -> serde_json::Value {
    serde_json::json!({
        "pattern": "^(/|(/\\.{0,2}[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?)$",
        "description": "A route's path: it begins with `/` and has letters, digits, `/`, `_`, `.`, `~` and `-`, but no `//`, `/./` or `/../`, which nginx resolves before it looks."
    })
}

/// Files that are served as they are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frontend {
    /// Where they come from.
    pub source: At<SourceKeys>,
}

/// Where a path leads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Route")]
pub struct RouteTo {
    /// The service that answers.
    pub service: At<String>,
    /// Whether the service sees the whole path; else the route's own part is taken off.
    pub keep_prefix: Option<bool>,
}
