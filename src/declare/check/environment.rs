//! Checks of one environment's fleet once it is resolved: who claims the same port or domain, who waits
//! for whom.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cycle::{cycles, shown},
    grants,
};
use crate::{
    declare::{Declaration, codes, expand::Outcome, kinds::Kind, similar},
    model::{
        finding::{Finding, Place},
        fleet::{Fleet, Instance, Service, Site},
        name::{InstanceName, ServiceName, SiteName},
    },
};

/// What nginx listens on for sites.
const HTTP: u16 = 80;

/// What it listens on besides where a site has `tls`.
const HTTPS: u16 = 443;

pub fn environment(declaration: &Declaration, fleet: &Fleet, outcome: &mut Outcome) {
    let checker = Checker { declaration, fleet };
    let findings = &mut outcome.findings;
    grants::environment(declaration, fleet, findings);
    checker.ports(findings);
    checker.domains(findings);
    checker.routes(findings);
    checker.after(findings);
    checker.references(outcome);
}

struct Checker<'a> {
    declaration: &'a Declaration,
    fleet: &'a Fleet,
}

impl Checker<'_> {
    fn port_place(&self, service: &ServiceName) -> Option<Place> {
        let file = self.declaration.services.get(service)?;
        Some(file.file.place(file.within(self.fleet.environment.name.as_str()).port().span))
    }

    fn ports(&self, findings: &mut Vec<Finding>) {
        let mut taken: BTreeMap<(&InstanceName, u16), &ServiceName> = BTreeMap::new();
        for service in self.fleet.services.values() {
            // What is wrong on one instance is as a rule wrong on fifty: it is said of the first.
            let mut said = BTreeSet::new();
            for instance in service.on.iter().filter_map(|name| self.fleet.instances.get(name)) {
                let first = *taken.entry((&instance.name, service.port)).or_insert(&service.name);
                let found = if first == &service.name {
                    let found = self.port(service, instance);
                    found.map(|finding| Finding { place: self.port_place(&service.name), ..finding })
                } else {
                    Some(self.port_taken(first, service, instance))
                };
                findings.extend(found.filter(|finding| said.insert((finding.code.clone(), first))));
            }
        }
    }

    /// Of two that claim one thing, the one at which it is said, and the other. The second, unless the first alone has
    /// errors of its own: then what it claims may not be what is meant.
    fn at_one<'n, N: AsRef<str>>(&self, kind: Kind, first: &'n N, second: &'n N) -> (&'n N, &'n N) {
        let broken = |name: &N| self.declaration.is_broken(kind, name.as_ref());
        if broken(first) && !broken(second) { (first, second) } else { (second, first) }
    }

    fn port_taken(&self, first: &ServiceName, service: &Service, instance: &Instance) -> Finding {
        let message =
            format!("`{first}` and `{}` both have port {} on `{}`", service.name, service.port, instance.name);
        let (at, other) = self.at_one(Kind::Service, first, &service.name);
        let mut finding = Finding::error(codes::PORT_TAKEN, message).hint(self.free_port(instance));
        finding.place = self.port_place(at);
        finding.related.extend(self.port_place(other).map(|place| (place, format!("`{other}`"))));
        finding
    }

    /// Whether a service may have its port on `instance`, other services aside.
    fn port(&self, service: &Service, instance: &Instance) -> Option<Finding> {
        let (port, name) = (service.port, &instance.name);
        let sites = || {
            let known = |site: &&Site| !self.declaration.is_broken(Kind::Site, site.name.as_str());
            self.fleet.sites_on(name).filter(known)
        };
        let has_site = sites().next().is_some();
        let has_tls = sites().any(|site| site.tls.is_some());
        let declared = self.declaration.instances.get(name).and_then(|file| file.ssh.port);
        let ssh = declared.or(self.declaration.fleet.ssh.port).unwrap_or(22);
        let holder = match port {
            _ if port == self.fleet.digest_port => Some("nginx answers its digest there (`digest_port`)"),
            _ if port == ssh => Some("sshd listens there"),
            HTTP if has_site => Some("nginx listens there for sites"),
            HTTPS if has_tls => Some("nginx listens there for sites with `tls`"),
            _ => None,
        };
        if let Some(holder) = holder {
            let message = format!("port {port} is not free on `{name}`: {holder}");
            return Some(Finding::error(codes::PORT_RESERVED, message).hint(self.free_port(instance)));
        }
        (!instance.ports.contains(port)).then(|| {
            let message = format!("port {port} is outside {}, the ports of `{name}`", instance.ports);
            let finding = Finding::error(codes::PORT_OUTSIDE_RANGE, message).hint(self.free_port(instance));
            match self.declaration.instances.get(name) {
                Some(file) => finding.also(file.file.place(file.ports.span), format!("`{name}`")),
                None => finding,
            }
        })
    }

    fn free_port(&self, instance: &Instance) -> String {
        let taken: BTreeSet<u16> = self.fleet.services_on(&instance.name).map(|service| service.port).collect();
        let reserved = [HTTP, HTTPS, 22, self.fleet.digest_port];
        let mut free = (instance.ports.first..=instance.ports.last)
            .filter(|port| !taken.contains(port) && !reserved.contains(port));
        match free.next() {
            Some(port) => format!("{port} is free there"),
            None => format!("every port of `{}` is taken; widen its `ports`", instance.name),
        }
    }

    fn domains(&self, findings: &mut Vec<Finding>) {
        let mut domains: BTreeMap<(&InstanceName, &str), &Site> = BTreeMap::new();
        for site in self.fleet.sites.values() {
            let mut said = BTreeSet::new();
            for instance in &site.on {
                let first = *domains.entry((instance, &site.domain)).or_insert(site);
                if first.name != site.name && said.insert(&first.name) {
                    findings.push(self.domain_taken(first, site, instance));
                }
            }
        }
    }

    fn domain_taken(&self, first: &Site, site: &Site, instance: &InstanceName) -> Finding {
        let shared = site.routes.keys().filter(|path| first.routes.contains_key(*path)).map(String::as_str);
        let shared: Vec<&str> = shared.collect();
        let both = format!("the sites `{}` and `{}` both", first.name, site.name);
        let mut finding = if shared.is_empty() {
            Finding::error(codes::DOMAIN_TAKEN, format!("{both} have the domain `{}` on `{instance}`", site.domain))
        } else {
            let paths = similar::list(&shared);
            Finding::error(
                codes::ROUTE_TAKEN,
                format!("{both} answer for {paths} of `{}` on `{instance}`", site.domain),
            )
        };
        let place = |name: &SiteName| {
            let file = self.declaration.sites.get(name)?;
            Some(file.file.place(file.within(self.fleet.environment.name.as_str()).domain().span))
        };
        let (at, other) = self.at_one(Kind::Site, &first.name, &site.name);
        finding.place = place(at);
        finding.related.extend(place(other).map(|place| (place, format!("`{other}`"))));
        finding.hint("make one site of the two, or give each a domain")
    }

    /// A route to a service that runs nowhere would answer 502 forever.
    fn routes(&self, findings: &mut Vec<Finding>) {
        let environment = self.fleet.environment.name.as_str();
        if self.declaration.any_broken(Kind::Instance) {
            return;
        }
        for file in self.fleet.sites.keys().filter_map(|name| self.declaration.sites.get(name)) {
            for (path, to) in file.within(environment).routes() {
                let service = to.service.as_str();
                let known = self.declaration.services.contains_key(service)
                    && !self.declaration.is_broken(Kind::Service, service);
                if known && !self.fleet.services.contains_key(service) {
                    let message = format!("`{path}` leads to `{}`, which runs nowhere in {environment}", to.service);
                    let hint = format!("place `{}` in {environment}, or leave the route out there", to.service);
                    let place = file.file.place(to.service.span);
                    findings.push(Finding::error(codes::NOT_PLACED, message).at(place).hint(hint));
                }
            }
        }
    }

    /// Circles, each from a service on whose file there is something else to do, if there is one.
    fn circles(&self, edges: &BTreeMap<ServiceName, BTreeSet<ServiceName>>) -> Vec<Vec<ServiceName>> {
        let mut circles = cycles(edges);
        for circle in &mut circles {
            let broken = |name: &ServiceName| self.declaration.is_broken(Kind::Service, name.as_str());
            let first = circle.iter().position(broken).unwrap_or(0);
            circle.rotate_left(first);
        }
        circles
    }

    fn after(&self, findings: &mut Vec<Finding>) {
        let services = self.fleet.services.values();
        let edges = services.map(|service| (service.name.clone(), service.after.clone())).collect();
        for circle in self.circles(&edges) {
            let Some((first, file)) = circle.first().and_then(|name| self.declaration.services.get_key_value(name))
            else {
                continue;
            };
            let next = circle.get(1).unwrap_or(first);
            let effective = file.within(self.fleet.environment.name.as_str());
            let span = effective.after().iter().find(|after| after.as_str() == next.as_str()).map(|after| after.span);
            let message = format!("each of these waits for the next: {}", shown(&circle));
            let finding = Finding::error(codes::AFTER_CYCLE, message).hint("take one of them out of an `after`");
            findings.push(Finding { place: span.map(|span| file.file.place(span)), ..finding });
        }
    }

    /// Addresses are settled before anything starts, so a circle of references does no harm by itself.
    fn references(&self, outcome: &mut Outcome) {
        let places = &outcome.edges;
        let edges = places.iter().map(|(from, to)| (from.clone(), to.keys().cloned().collect())).collect();
        for circle in self.circles(&edges) {
            let place = match circle.as_slice() {
                [first, next, ..] => places.get(first).and_then(|to| to.get(next)),
                _ => None,
            };
            let message = format!("references go round in a circle: {}", shown(&circle));
            let hint = "whichever starts first finds the next one not there yet; each must bear that";
            let place = place.map(|(file, span, raw)| file.place_of(*span, raw));
            outcome.findings.push(Finding { place, ..Finding::warning(codes::REFERENCE_CYCLE, message).hint(hint) });
        }
    }
}
