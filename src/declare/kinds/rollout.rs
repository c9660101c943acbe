//! `rollout` in `services/NAME.yaml` and `environments/NAME.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    declare::de::At,
    model::{
        quantity::{Portion, Span},
        rollout::Strategy,
    },
};

/// How a new version takes over. In an environment: for services that do not say it themselves, key by key.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rollout")]
pub struct RolloutKeys {
    /// `recreate` stops each replica and starts it anew, all at once; `rolling` a few at a time, while the others answer.
    /// If not given, `rolling` where several instances run the service, else `recreate`.
    pub strategy: Option<At<Strategy>>,
    /// With `rolling`, how many replicas may be away at the same time: a number or a share of them; 1 if not given.
    pub max_unavailable: Option<At<Portion>>,
    /// With `rolling`, how long those that have changed must stay healthy before the next ones change; 0s if not given.
    pub pause: Option<At<Span>>,
    /// With `rolling`, instances whose replicas change first; the others follow by name.
    pub order: Option<Vec<At<String>>>,
    /// With `rolling`, how long requests that nginx has led to a replica may go on before it restarts; 30s if not given.
    pub drain_timeout: Option<At<Span>>,
}
