//! A service or site as one environment sees it: the file with that environment's overlay laid over.

use std::collections::BTreeMap;

use super::{
    de::At,
    kinds::{
        Domain, EnvFile, HealthCheck, Overlay, Place, Resources, RolloutKeys, RouteTo, Run, ServiceFile, SiteFile,
        SiteOverlay, SourceKeys, Tls, UnitName,
    },
};

/// A service with an overlay laid over.
pub struct Effective<'a> {
    base: &'a ServiceFile,
    overlay: Option<&'a Overlay>,
}

impl ServiceFile {
    pub fn within(&self, environment: &str) -> Effective<'_> {
        Effective { base: self, overlay: self.overlays.get(environment) }
    }
}

impl<'a> Effective<'a> {
    fn pick<T: ?Sized>(&self, base: &'a T, overlay: impl FnOnce(&'a Overlay) -> Option<&'a T>) -> &'a T {
        self.overlay.and_then(overlay).unwrap_or(base)
    }

    fn optional<T>(&self, base: &'a Option<T>, overlay: impl FnOnce(&'a Overlay) -> Option<&'a T>) -> Option<&'a T> {
        self.overlay.and_then(overlay).or(base.as_ref())
    }

    pub fn description(&self) -> Option<&'a At<String>> {
        self.optional(&self.base.description, |overlay| overlay.description.as_ref())
    }

    pub fn source(&self) -> &'a At<SourceKeys> {
        self.pick(&self.base.source, |overlay| overlay.source.as_ref())
    }

    pub fn run(&self) -> &'a Run {
        self.pick(&self.base.run, |overlay| overlay.run.as_ref())
    }

    pub fn place(&self) -> &'a At<Place> {
        self.pick(&self.base.place, |overlay| overlay.place.as_ref())
    }

    pub fn port(&self) -> &'a At<u16> {
        self.pick(&self.base.port, |overlay| overlay.port.as_ref())
    }

    pub fn env_file(&self) -> Option<&'a At<EnvFile>> {
        self.optional(&self.base.env_file, |overlay| overlay.env_file.as_ref())
    }

    pub fn resources(&self) -> Option<&'a Resources> {
        self.optional(&self.base.resources, |overlay| overlay.resources.as_ref())
    }

    pub fn health(&self) -> Option<&'a At<HealthCheck>> {
        self.optional(&self.base.health, |overlay| overlay.health.as_ref())
    }

    pub fn rollout(&self) -> Option<&'a RolloutKeys> {
        self.optional(&self.base.rollout, |overlay| overlay.rollout.as_ref())
    }

    pub fn after(&self) -> &'a [At<String>] {
        self.pick(self.base.after.as_slice(), |overlay| overlay.after.as_deref())
    }

    pub fn replaces(&self) -> &'a [At<UnitName>] {
        self.pick(self.base.replaces.as_slice(), |overlay| overlay.replaces.as_deref())
    }

    /// Merged by key. A value is placed where it is written.
    pub fn env(&self) -> BTreeMap<&'a str, (&'a str, super::file::Span)> {
        let mut env: BTreeMap<_, _> =
            self.base.env.iter().map(|(key, text)| (key.as_str(), (text.as_str(), text.span))).collect();
        for (key, change) in self.overlay.iter().flat_map(|overlay| &overlay.env) {
            match &change.0 {
                Some(text) => drop(env.insert(key.as_str(), (text.as_str(), change.span))),
                None => drop(env.remove(key.as_str())),
            }
        }
        env
    }
}

/// A site with an overlay laid over.
pub struct EffectiveSite<'a> {
    base: &'a SiteFile,
    overlay: Option<&'a SiteOverlay>,
}

impl SiteFile {
    pub fn within(&self, environment: &str) -> EffectiveSite<'_> {
        EffectiveSite { base: self, overlay: self.overlays.get(environment) }
    }
}

impl<'a> EffectiveSite<'a> {
    pub fn domain(&self) -> &'a At<Domain> {
        self.overlay.and_then(|overlay| overlay.domain.as_ref()).unwrap_or(&self.base.domain)
    }

    pub fn routes(&self) -> &'a BTreeMap<At<String>, RouteTo> {
        self.overlay.and_then(|overlay| overlay.routes.as_ref()).unwrap_or(&self.base.routes)
    }

    pub fn tls(&self) -> Option<&'a Tls> {
        self.overlay.and_then(|overlay| overlay.tls.as_ref()).or(self.base.tls.as_ref())
    }
}
