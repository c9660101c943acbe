//! `sites/NAME.yaml`.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Domain, Glob, HostPath, SourceKeys, UnitName};
use crate::{
    declare::de::At,
    model::quantity::{BodySize, Span},
};

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
    /// Where the host keeps its certificate; without it the site speaks plain HTTP.
    pub tls: Option<Tls>,
    /// A folder on the host below which an ACME client puts its answers, in `.well-known/acme-challenge/`.
    pub acme_root: Option<At<HostPath>>,
    /// Headers of every answer. A frontend has some without being told; null takes one of those away.
    #[serde(default)]
    #[schemars(extend("propertyNames" = header()))]
    pub headers: BTreeMap<At<String>, HeaderValue>,
    /// Whether the distribution's default site makes room.
    pub replaces_default: Option<bool>,
    /// Units that served before nginx does, as Apache's; stopped and disabled in the same phase.
    #[serde(default)]
    pub replaces: Vec<At<UnitName>>,
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
    pub tls: Option<Tls>,
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
    /// Whether `index.html` answers for every path that is no file: the page itself looks at the address.
    pub spa: Option<bool>,
    /// Files whose name changes with their content, so that a browser need never ask again. Without it
    /// evenkeel tells them by a hash in their name.
    pub immutable: Option<Vec<Glob>>,
}

/// A certificate and its key, kept on the host by someone else.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate with those that vouch for it, PEM. A change of it reloads nginx.
    pub certificate: At<HostPath>,
    /// Its key, PEM.
    pub key: At<HostPath>,
}

fn header() -> serde_json::Value {
    serde_json::json!({
        "pattern": "^[A-Za-z][A-Za-z0-9-]*$",
        "description": "The name of a header: letters, digits and `-`."
    })
}

/// A header's value, or nothing to take one away that evenkeel sends by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct HeaderValue(pub Option<String>);

impl JsonSchema for HeaderValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeaderValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // Null comes first: that is how `schema` tells it from an optional key, where null is refused.
        schemars::json_schema!({
            "type": ["null", "string"],
            "pattern": "^[!-#%-~]([ -#%-~]*[!-#%-~])?$",
            "description": "A header's value: printable ASCII without `$`, no space at its ends."
        })
    }
}

/// Where a path leads: a service by its name, or with what is set for this route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Route")]
pub struct RouteKeys {
    /// The service that answers.
    pub service: At<String>,
    /// Whether the service sees the whole path; else the route's own part is taken off.
    pub keep_prefix: Option<bool>,
    /// Whether a WebSocket may be opened there.
    pub websocket: Option<bool>,
    /// Whether answers arrive piece by piece (server-sent events): nothing is held back or compressed.
    pub stream: Option<bool>,
    /// How long the service may be silent; 60s if not given, 1h for a `websocket` or `stream`.
    pub timeout: Option<At<Span>>,
    /// How much a request may carry; 1M if not given.
    pub body_size: Option<BodySize>,
}

/// A route, read from its keys or from a service's name alone.
#[derive(Debug, Clone)]
pub struct RouteTo(RouteKeys);

impl std::ops::Deref for RouteTo {
    type Target = RouteKeys;

    fn deref(&self) -> &RouteKeys {
        &self.0
    }
}

/// A route as it is written.
enum WrittenSite {
    Name(String),
    Keys(RouteKeys),
}

impl<'de> Deserialize<'de> for WrittenSite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WrittenVisitor;

        impl<'de> Visitor<'de> for WrittenVisitor {
            type Value = WrittenSite;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a service, or a mapping with `service`")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<WrittenSite, E> {
                Ok(WrittenSite::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenSite, A::Error> {
                RouteKeys::deserialize(MapAccessDeserializer::new(map)).map(WrittenSite::Keys)
            }
        }

        deserializer.deserialize_any(WrittenVisitor)
    }
}

impl<'de> Deserialize<'de> for RouteTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let At { value, span } = At::<WrittenSite>::deserialize(deserializer)?;
        Ok(Self(match value {
            WrittenSite::Keys(keys) => keys,
            WrittenSite::Name(value) => RouteKeys {
                service: At { value, span },
                keep_prefix: None,
                websocket: None,
                stream: None,
                timeout: None,
                body_size: None,
            },
        }))
    }
}

impl JsonSchema for RouteTo {
    fn schema_name() -> Cow<'static, str> {
        RouteKeys::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = RouteKeys::json_schema(generator);
        // Keywords about a mapping say nothing of a text.
        schema.remove("type");
        schema.insert("anyOf".to_owned(), serde_json::json!([{"type": "string"}, {"type": "object"}]));
        schema
    }
}
