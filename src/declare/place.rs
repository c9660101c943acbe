//! Which instances of an environment a service or site is placed on.

use std::collections::BTreeSet;

use super::{Declaration, kinds::Place};
use crate::model::name::{EnvironmentName, InstanceName};

/// Where a placement leads in one environment.
pub struct Placement<'a> {
    pub on: BTreeSet<&'a InstanceName>,
    /// How many instances of the environment match; more than `on` when `replicas` says so.
    pub matching: usize,
}

/// Applies `place` to the instances of `environment`.
pub fn service<'a>(declaration: &'a Declaration, environment: &EnvironmentName, place: &Place) -> Placement<'a> {
    let mut on = match (&place.on, &place.labels) {
        (Some(names), _) => named(declaration, environment, names),
        (None, Some(wanted)) => {
            let of_environment =
                declaration.instances.iter().filter(|(_, file)| *file.environment == environment.as_str());
            of_environment
                .filter(|(_, file)| wanted.iter().all(|(key, value)| file.labels.get(key.as_str()) == Some(&**value)))
                .map(|(name, _)| name)
                .collect()
        }
        (None, None) => BTreeSet::new(),
    };
    let matching = on.len();
    if let Some(replicas) = &place.replicas {
        on = on.into_iter().take(replicas.get() as usize).collect();
    }
    Placement { on, matching }
}

/// Those of `names` that are instances of `environment`.
pub fn named<'a>(
    declaration: &'a Declaration,
    environment: &EnvironmentName,
    names: &[super::de::At<String>],
) -> BTreeSet<&'a InstanceName> {
    let found = names.iter().filter_map(|name| declaration.instances.get_key_value(name.as_str()));
    found.filter(|(_, file)| *file.environment == environment.as_str()).map(|(name, _)| name).collect()
}
