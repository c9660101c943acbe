//! Which names and labels are declared: what a name that is not known is held against.
//!
//! Keeps true: it is made once for a declaration, and a hint is worked out only when somebody reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Declared,
    kinds::{InstanceFile, Kind},
    similar,
};
use crate::model::name::InstanceName;

#[derive(Debug)]
pub struct Names {
    by_kind: BTreeMap<Kind, Vec<String>>,
    /// The labels of all instances, each with its values.
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    pub fn of<E: AsRef<str>, S: AsRef<str>, W: AsRef<str>, F1, F2, F3>(
        environments: &BTreeMap<E, F1>,
        instances: &BTreeMap<InstanceName, Declared<InstanceFile>>,
        services: &BTreeMap<S, F2>,
        sites: &BTreeMap<W, F3>,
    ) -> Self {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, value) in instances.values().flat_map(|instance| &instance.labels) {
            match labels.get_mut(key) {
                Some(values) if values.contains(value) => {}
                Some(values) => drop(values.insert(value.clone())),
                None => drop(labels.insert(key.clone(), BTreeSet::from([value.clone()]))),
            }
        }
        let by_kind = BTreeMap::from([
            (Kind::Environment, owned(environments.keys())),
            (Kind::Instance, owned(instances.keys())),
            (Kind::Service, owned(services.keys())),
            (Kind::Site, owned(sites.keys())),
        ]);
        Self { by_kind, labels }
    }

    /// The values that a label has on some instance; None where no instance has it.
    pub fn label(&self, key: &str) -> Option<&BTreeSet<String>> {
        self.labels.get(key)
    }

    /// The hint for a name of `kind` that is not declared.
    pub fn hint_for(self: &Arc<Self>, kind: Kind, name: &str) -> impl FnOnce() -> String + use<> {
        let (names, name) = (Arc::clone(self), name.to_owned());
        move || {
            let none = format!("the folder {} declares none", kind.folder());
            similar::hint(&name, names.by_kind.get(&kind).into_iter().flatten().map(String::as_str), &none)
        }
    }

    /// The hint for a label that no instance has.
    pub fn hint_for_label(self: &Arc<Self>, key: &str) -> impl FnOnce() -> String + use<> {
        let (names, key) = (Arc::clone(self), key.to_owned());
        move || similar::hint(&key, names.labels.keys().map(String::as_str), "no instance has any label")
    }

    /// The hint for a value that a label has on no instance.
    pub fn hint_for_value(self: &Arc<Self>, key: &str, value: &str) -> impl FnOnce() -> String + use<> {
        let (names, key, value) = (Arc::clone(self), key.to_owned(), value.to_owned());
        move || similar::hint(&value, names.labels.get(&key).into_iter().flatten().map(String::as_str), "")
    }
}

fn owned<'a, N: AsRef<str> + 'a>(names: impl Iterator<Item = &'a N>) -> Vec<String> {
    names.map(|name| name.as_ref().to_owned()).collect()
}
