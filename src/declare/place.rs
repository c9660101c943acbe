//! Where services run and sites are served: the placements of all environments, worked out once.
//!
//! Keeps true: the work grows with what is placed, not with services times instances times environments; what
//! is placed beyond the budget's steps is a finding, and nothing is placed then.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Declaration,
    de::At,
    file::File,
    findings::Findings,
    kinds::{InstanceFile, Place},
};
use crate::model::name::{EnvironmentName, InstanceName, ServiceName, SiteName};

/// What an instance that is looked at costs in steps, and what one costs that matches.
const LOOK: usize = 8;
const MATCH: usize = 64;

/// Where a placement leads in one environment.
#[derive(Debug, Clone)]
pub struct Placement {
    pub on: Arc<BTreeSet<InstanceName>>,
    /// How many instances of the environment match; more than `on` when `replicas` says so.
    pub matching: usize,
}

/// What runs where, by environment: only what runs somewhere there.
#[derive(Debug, Default)]
pub struct Placements {
    instances: BTreeMap<EnvironmentName, BTreeSet<InstanceName>>,
    services: BTreeMap<EnvironmentName, BTreeMap<ServiceName, Placement>>,
    sites: BTreeMap<EnvironmentName, BTreeMap<SiteName, Placement>>,
    placed_services: BTreeSet<ServiceName>,
    placed_sites: BTreeSet<SiteName>,
    /// Every declared instance by its declared address: what may not be written out.
    pub by_address: BTreeMap<IpAddr, InstanceName>,
}

impl Placements {
    pub fn of(declaration: &Declaration, findings: &mut Findings) -> Self {
        let mut placements = Self::default();
        for (name, file) in &declaration.instances {
            placements.by_address.insert(*file.address, name.clone());
            if let Some((environment, _)) = declaration.environments.get_key_value(file.environment.as_str()) {
                placements.instances.entry(environment.clone()).or_default().insert(name.clone());
            }
        }
        let index = Index::of(declaration);
        for (name, service) in &declaration.services {
            let overlays = service.overlays.iter();
            let overlaid = overlays.filter_map(|(at, overlay)| Some((at.as_str(), &overlay.place.as_ref()?.value)));
            let place = |place: &Place, findings: &mut Findings| index.placed(place, &service.file, findings);
            let placed = layered(&service.place.value, overlaid.collect(), place, findings);
            for (environment, (names, replicas)) in placed {
                let matching = names.len();
                let on = names.into_iter().take(replicas.unwrap_or(matching)).cloned().collect();
                let placement = Placement { on: Arc::new(on), matching };
                placements.services.entry(environment.clone()).or_default().insert(name.clone(), placement);
                placements.placed_services.insert(name.clone());
            }
        }
        for (name, site) in &declaration.sites {
            let overlays = site.overlays.iter();
            let overlaid = overlays.filter_map(|(at, overlay)| Some((at.as_str(), &overlay.on.as_ref()?.value)));
            let place = |on: &Vec<At<String>>, findings: &mut Findings| (index.named(on, &site.file, findings), None);
            let placed = layered(&site.on.value, overlaid.collect(), place, findings);
            for (environment, (names, _)) in placed {
                let matching = names.len();
                let placement = Placement { on: Arc::new(names.into_iter().cloned().collect()), matching };
                placements.sites.entry(environment.clone()).or_default().insert(name.clone(), placement);
                placements.placed_sites.insert(name.clone());
            }
        }
        if findings.is_spent() { Self::default() } else { placements }
    }

    /// The instances of an environment.
    pub fn instances(&self, environment: &str) -> impl Iterator<Item = &InstanceName> {
        self.instances.get(environment).into_iter().flatten()
    }

    /// What runs somewhere in an environment.
    pub fn services(&self, environment: &str) -> impl Iterator<Item = (&ServiceName, &Placement)> {
        self.services.get(environment).into_iter().flatten()
    }

    /// What is served somewhere in an environment.
    pub fn sites(&self, environment: &str) -> impl Iterator<Item = (&SiteName, &Placement)> {
        self.sites.get(environment).into_iter().flatten()
    }

    pub fn service(&self, environment: &str, name: &ServiceName) -> Option<&Placement> {
        self.services.get(environment)?.get(name)
    }

    pub fn site(&self, environment: &str, name: &SiteName) -> Option<&Placement> {
        self.sites.get(environment)?.get(name)
    }

    /// Whether it is placed in any environment.
    pub fn has_service(&self, name: &ServiceName) -> bool {
        self.placed_services.contains(name)
    }

    pub fn has_site(&self, name: &SiteName) -> bool {
        self.placed_sites.contains(name)
    }
}

/// The instances of one environment that match, and how many of them are taken.
type Placed<'a> = (BTreeSet<&'a InstanceName>, Option<usize>);
/// Those of all environments.
type ByEnvironment<'a> = (BTreeMap<&'a EnvironmentName, BTreeSet<&'a InstanceName>>, Option<usize>);

/// What a file says of every environment but those with a placement of their own.
fn layered<'a, P: ?Sized>(
    base: &P,
    overlaid: BTreeMap<&str, &P>,
    place: impl Fn(&P, &mut Findings) -> ByEnvironment<'a>,
    findings: &mut Findings,
) -> BTreeMap<&'a EnvironmentName, Placed<'a>> {
    let (by_environment, replicas) = place(base, findings);
    let of_base = by_environment.into_iter().filter(|(environment, _)| !overlaid.contains_key(environment.as_str()));
    let mut placed: BTreeMap<_, _> = of_base.map(|(environment, on)| (environment, (on, replicas))).collect();
    for (environment, own) in &overlaid {
        let (by_environment, replicas) = place(own, findings);
        let here = by_environment.into_iter().find(|(name, _)| name.as_str() == *environment);
        placed.extend(here.map(|(name, on)| (name, (on, replicas))));
    }
    placed
}

/// Instances as placements look for them.
struct Index<'a> {
    declaration: &'a Declaration,
    by_label: BTreeMap<(&'a str, &'a str), Vec<(&'a InstanceName, &'a InstanceFile)>>,
}

impl<'a> Index<'a> {
    fn of(declaration: &'a Declaration) -> Self {
        let mut by_label: BTreeMap<(&str, &str), Vec<_>> = BTreeMap::new();
        for (name, file) in &declaration.instances {
            for (key, value) in &file.labels {
                by_label.entry((key.as_str(), value.as_str())).or_default().push((name, &file.value));
            }
        }
        Self { declaration, by_label }
    }

    fn with_label<'s>(&'s self, key: &'s str, value: &'s str) -> &'s [(&'a InstanceName, &'a InstanceFile)] {
        let by_label: &BTreeMap<(&'s str, &'s str), Vec<(&'a InstanceName, &'a InstanceFile)>> = &self.by_label;
        by_label.get(&(key, value)).map_or(&[], Vec::as_slice)
    }

    fn placed(&self, place: &Place, file: &File, findings: &mut Findings) -> ByEnvironment<'a> {
        let by_environment = match (&place.on, &place.labels) {
            (Some(names), _) => self.named(names, file, findings),
            (None, Some(wanted)) => {
                let fewest =
                    match wanted.iter().map(|(key, value)| self.with_label(key, value)).min_by_key(|found| found.len())
                    {
                        Some(fewest) => fewest.to_vec(),
                        // No label is asked for, so every instance has all that are.
                        None => self.declaration.instances.iter().map(|(name, file)| (name, &file.value)).collect(),
                    };
                let has_all = |file: &InstanceFile| {
                    wanted.iter().all(|(key, value)| file.labels.get(key.as_str()) == Some(&**value))
                };
                let looks = fewest.len().saturating_mul(LOOK * wanted.len().max(1));
                let is_within = findings.spend(looks, file);
                let matching = fewest.into_iter().filter(|(_, file)| is_within && has_all(file));
                self.grouped(matching, file, findings)
            }
            (None, None) => BTreeMap::new(),
        };
        (by_environment, place.replicas.as_ref().map(|replicas| replicas.get() as usize))
    }

    /// Those of `names` that are instances.
    fn named(
        &self,
        names: &[At<String>],
        file: &File,
        findings: &mut Findings,
    ) -> BTreeMap<&'a EnvironmentName, BTreeSet<&'a InstanceName>> {
        let found = names.iter().filter_map(|name| self.declaration.instances.get_key_value(name.as_str()));
        self.grouped(found.map(|(name, file)| (name, &file.value)), file, findings)
    }

    fn grouped(
        &self,
        found: impl Iterator<Item = (&'a InstanceName, &'a InstanceFile)>,
        file: &File,
        findings: &mut Findings,
    ) -> BTreeMap<&'a EnvironmentName, BTreeSet<&'a InstanceName>> {
        let mut by_environment: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, instance) in found {
            let environment = self.declaration.environments.get_key_value(instance.environment.as_str());
            if let Some((environment, _)) = environment
                && findings.spend(MATCH, file)
            {
                by_environment.entry(environment).or_default().insert(name);
            }
        }
        by_environment
    }
}
