//! How a new version of a service takes over, from what the service says and what its environment does.
//!
//! Keeps true: what an environment says for all of its services goes as far as it fits one: a service with one replica is
//! not changed a few replicas at a time. The ports of two copies follow from the declaration alone: the same declaration
//! gives the same ports, whatever runs, and a service that comes or goes moves those of few others. A port that is one
//! copy's is never another service's other copy's, so that no copy waits for a port that the one before it still holds.
//! Never does: saying what does not fit (`check/rollouts.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{de::At, kinds::RolloutKeys};
use crate::model::{
    digest::Digest,
    fleet::{Instance, Service},
    name::{FleetName, InstanceName, ServiceName},
    quantity::{Portion, Span},
    rollout::{BlueGreen, PrivatePorts, Rolling, Rollout, Strategy},
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

/// Ports that are not declared are not there yet: see [`assign_ports`].
pub fn resolved(own: Option<&RolloutKeys>, environment: Option<&RolloutKeys>, on: &BTreeSet<InstanceName>) -> Rollout {
    let layers = || own.into_iter().chain(environment);
    let span = |key: fn(&RolloutKeys) -> Option<&At<Span>>, otherwise| {
        layers().find_map(key).map_or(otherwise, |declared| **declared)
    };
    let drain_timeout = span(|keys| keys.drain_timeout.as_ref(), DRAIN_TIMEOUT);
    match strategy(own, environment, on.len()) {
        Strategy::Recreate => Rollout::Recreate,
        Strategy::Rolling => {
            let max_unavailable = layers().find_map(|keys| keys.max_unavailable.as_deref().copied());
            let order = layers().find_map(|keys| keys.order.as_deref()).unwrap_or_default();
            Rollout::Rolling(Rolling {
                max_unavailable: max_unavailable.unwrap_or(Portion::Number(1)),
                pause: span(|keys| keys.pause.as_ref(), Span(Duration::ZERO)),
                drain_timeout,
                order: order.iter().filter_map(|name: &At<String>| on.get(name.as_str()).cloned()).collect(),
            })
        }
        Strategy::BlueGreen => {
            let ports = own.and_then(|keys| keys.ports.as_deref()).map(|ports| ports.0);
            Rollout::BlueGreen(BlueGreen {
                ports: ports.into_iter().flat_map(|ports| on.iter().map(move |name| (name.clone(), ports))).collect(),
                bake: span(|keys| keys.bake.as_ref(), Span(Duration::ZERO)),
                drain_timeout,
            })
        }
    }
}

/// Gives the copies of services ports where none are declared. Where an instance has no two that are free there are none.
pub fn assign_ports(
    services: &mut BTreeMap<ServiceName, Service>,
    instances: &BTreeMap<InstanceName, Instance>,
    fleet: &FleetName,
    digest_port: u16,
) {
    for (name, instance) in instances {
        let here = || services.values().filter(|service| service.on.contains(name));
        let mut taken: BTreeSet<u16> = here().map(|service| service.port).collect();
        taken.extend([digest_port, instance.ssh.port, 80, 443]);
        for service in here() {
            if let Rollout::BlueGreen(BlueGreen { ports, .. }) = &service.rollout {
                taken.extend(ports.get(name).into_iter().flat_map(|ports| [ports.blue, ports.green]));
            }
        }
        for service in services.values_mut().filter(|service| service.on.contains(name)) {
            let Rollout::BlueGreen(BlueGreen { ports, .. }) = &mut service.rollout else { continue };
            if !ports.contains_key(name)
                && let Some(free) = free_pair((fleet, &service.name), instance, &taken)
            {
                taken.extend([free.blue, free.green]);
                ports.insert(name.clone(), free);
            }
        }
    }
}

/// Two neighbours of the instance's range, from where the names lead on: another fleet has others there. The lower of each
/// two is blue's.
fn free_pair(
    (fleet, service): (&FleetName, &ServiceName),
    instance: &Instance,
    taken: &BTreeSet<u16>,
) -> Option<PrivatePorts> {
    let (first, last) = (instance.ports.first, instance.ports.last);
    let pairs = u32::from(last - first).div_ceil(2);
    let from = Digest::of_fields([fleet.as_str(), service.as_str()]).to_bytes();
    let from = u32::from_be_bytes([from[0], from[1], from[2], from[3]]).checked_rem(pairs)?;
    let pair = |number: u32| {
        // Below the range's end, which is a port.
        let blue = u16::try_from(u32::from(first) + 2 * ((from + number) % pairs)).ok()?;
        let green = blue.checked_add(1)?;
        (!taken.contains(&blue) && !taken.contains(&green)).then_some(PrivatePorts { blue, green })
    };
    (0..pairs).find_map(pair)
}
