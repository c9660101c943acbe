//! `rollout` in `services/NAME.yaml` and `environments/NAME.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    declare::de::At,
    model::{
        quantity::{Portion, Span},
        rollout::{PrivatePorts, Strategy},
    },
};

/// How a new version takes over. In an environment: for services that do not say it themselves, key by key.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rollout")]
pub struct RolloutKeys {
    /// `recreate` stops each replica and starts it anew, all at once; `rolling` a few at a time, while the others answer;
    /// `blue-green` starts a second copy beside the first, which takes over once it is healthy. If not given, `rolling` where several instances run the service, else `recreate`.
    pub strategy: Option<At<Strategy>>,
    /// With `rolling`, how many replicas may be away at the same time: a number or a share of them; 1 if not given.
    pub max_unavailable: Option<At<Portion>>,
    /// With `rolling`, how long those that have changed must stay healthy before the next ones change; 0s if not given.
    pub pause: Option<At<Span>>,
    /// With `rolling`, instances whose replicas change first; the others follow by name.
    pub order: Option<Vec<At<String>>>,
    /// How long requests that nginx has led to a replica may go on before it restarts, or to an old copy before it stops;
    /// 30s if not given.
    pub drain_timeout: Option<At<Span>>,
    /// With `blue-green`, how long the new copy must stay healthy with all requests before the old one stops; 0s if not
    /// given.
    pub bake: Option<At<Span>>,
    /// With `blue-green`, the two ports that copies bind, which nginx alone calls. In a service only; if not given, two of
    /// the instance's `ports`.
    pub ports: Option<At<PortPair>>,
}

/// Two ports: blue's, then green's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<u16>")]
pub struct PortPair(pub PrivatePorts);

impl TryFrom<Vec<u16>> for PortPair {
    type Error = &'static str;

    fn try_from(ports: Vec<u16>) -> Result<Self, Self::Error> {
        match ports[..] {
            [blue, green] if blue != 0 && green != 0 => Ok(Self(PrivatePorts { blue, green })),
            _ => Err("two ports are needed, one for each copy, as in `[8190, 8191]`"),
        }
    }
}

impl JsonSchema for PortPair {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PortPair".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let port = schemars::json_schema!({"type": "integer", "minimum": 1, "maximum": 65535});
        schemars::json_schema!({"type": "array", "items": port, "minItems": 2, "maxItems": 2})
    }
}
