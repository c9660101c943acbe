//! How a new version of a service takes over, from what the service says and what its environment does.
//!
//! Keeps true: what an environment says for all of its services goes as far as it fits one: a service with one replica is
//! not changed a few replicas at a time. Never does: saying what does not fit (`check/rollouts.rs`).

use std::{collections::BTreeSet, time::Duration};

use super::{de::At, kinds::RolloutKeys};
use crate::model::{
    name::InstanceName,
    quantity::{Portion, Span},
    rollout::{Rolling, Rollout, Strategy},
};

/// Most requests are answered by then; uploads and streams that go on for longer are cut.
const DRAIN_TIMEOUT: Span = Span(Duration::from_secs(30));

/// The strategy of a service that runs on so many instances.
pub fn strategy(own: Option<&RolloutKeys>, environment: Option<&RolloutKeys>, replicas: usize) -> Strategy {
    let declared = |keys: Option<&RolloutKeys>| keys.and_then(|keys| keys.strategy.as_deref().copied());
    let default = if replicas > 1 { Strategy::Rolling } else { Strategy::Recreate };
    let of_environment = declared(environment).filter(|strategy| replicas > 1 || *strategy != Strategy::Rolling);
    declared(own).or(of_environment).unwrap_or(default)
}

pub fn resolved(own: Option<&RolloutKeys>, environment: Option<&RolloutKeys>, on: &BTreeSet<InstanceName>) -> Rollout {
    match strategy(own, environment, on.len()) {
        Strategy::Recreate => Rollout::Recreate,
        Strategy::Rolling => {
            let layers = || own.into_iter().chain(environment);
            let max_unavailable = layers().find_map(|keys| keys.max_unavailable.as_deref().copied());
            let pause = layers().find_map(|keys| keys.pause.as_deref().copied());
            let drain_timeout = layers().find_map(|keys| keys.drain_timeout.as_deref().copied());
            let order = layers().find_map(|keys| keys.order.as_deref()).unwrap_or_default();
            Rollout::Rolling(Rolling {
                max_unavailable: max_unavailable.unwrap_or(Portion::Number(1)),
                pause: pause.unwrap_or(Span(Duration::ZERO)),
                drain_timeout: drain_timeout.unwrap_or(DRAIN_TIMEOUT),
                order: order.iter().filter_map(|name: &At<String>| on.get(name.as_str()).cloned()).collect(),
            })
        }
    }
}
