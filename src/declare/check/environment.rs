//! Checks of one environment's fleet once it is resolved: who claims the same port or domain, who waits
//! for whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    cycle::{cycles, shown},
    grants,
};
use crate::{
    declare::{
        Declaration,
        expand::Outcome,
        file::{File, Span},
        findings::{Draft, Findings},
        kinds::Kind,
        similar,
    },
    model::{
        finding::Code,
        fleet::{Fleet, Instance, Service, Site},
        name::{InstanceName, ServiceName, SiteName},
        text::name as short,
    },
};

/// What nginx listens on for sites.
const HTTP: u16 = 80;

/// What it listens on besides where a site has `tls`.
const HTTPS: u16 = 443;

pub fn environment(declaration: &Declaration, fleet: &Arc<Fleet>, outcome: &mut Outcome<'_>) {
    let checker = Checker { declaration, fleet };
    let findings = &mut *outcome.findings;
    grants::environment(declaration, fleet, findings);
    checker.ports(findings);
    checker.domains(findings);
    checker.catch_all(findings);
    checker.routes(findings);
    checker.upstreams(findings);
    checker.after(findings);
    checker.rollouts(findings);
    checker.references(outcome);
}

pub(super) struct Checker<'a> {
    pub(super) declaration: &'a Declaration,
    pub(super) fleet: &'a Arc<Fleet>,
}

/// What nginx listens on for an instance's sites.
#[derive(Clone, Copy, Default)]
struct Nginx {
    has_site: bool,
    has_tls: bool,
}

impl<'a> Checker<'a> {
    fn port_place(&self, service: &ServiceName) -> Option<(&'a File, Span)> {
        let file = self.declaration.services.get(service)?;
        Some((&file.file, file.within(self.fleet.environment.name.as_str()).port().span))
    }

    fn ports(&self, findings: &mut Findings) {
        let nginx = self.nginx();
        let mut taken: BTreeMap<(&InstanceName, u16), &ServiceName> = BTreeMap::new();
        for service in self.fleet.services.values() {
            // What is wrong on one instance is as a rule wrong on fifty: it is said of the first.
            let mut said = BTreeSet::new();
            for instance in service.on.iter().filter_map(|name| self.fleet.instances.get(name)) {
                let first = *taken.entry((&instance.name, service.port)).or_insert(&service.name);
                let trouble = if first == &service.name {
                    self.port(service, instance, nginx.get(&instance.name).copied().unwrap_or_default())
                } else {
                    Some(PortTrouble::Taken)
                };
                if let Some(trouble) = trouble.filter(|trouble| said.insert((trouble.code(), first))) {
                    findings.say(self.port_finding(&trouble, first, service, instance));
                }
            }
        }
    }

    fn nginx(&self) -> BTreeMap<&'a InstanceName, Nginx> {
        let known = |site: &&Site| !self.declaration.is_broken(Kind::Site, site.name.as_str());
        let mut nginx: BTreeMap<&InstanceName, Nginx> = BTreeMap::new();
        for site in self.fleet.sites.values().filter(known) {
            for instance in &site.on {
                let there = nginx.entry(instance).or_default();
                there.has_site = true;
                there.has_tls |= site.tls.is_some();
            }
        }
        nginx
    }

    /// Of two that claim one thing, the one at which it is said, and the other. The second, unless the first alone has
    /// errors of its own: then what it claims may not be what is meant.
    fn at_one<'n, N: AsRef<str>>(&self, kind: Kind, first: &'n N, second: &'n N) -> (&'n N, &'n N) {
        let broken = |name: &N| self.declaration.is_broken(kind, name.as_ref());
        if broken(first) && !broken(second) { (first, second) } else { (second, first) }
    }

    fn port_finding(
        &self,
        trouble: &PortTrouble,
        first: &ServiceName,
        service: &Service,
        instance: &Instance,
    ) -> Draft {
        let (port, name) = (service.port, &instance.name);
        let (message, at, also) = match trouble {
            PortTrouble::Taken => {
                let (at, other) = self.at_one(Kind::Service, first, &service.name);
                let message = format!("`{first}` and `{}` both have port {port} on `{name}`", service.name);
                let also = self.port_place(other).map(|(file, span)| (file, span, format!("`{other}`")));
                (message, at, also)
            }
            PortTrouble::Reserved(holder) => {
                (format!("port {port} is not free on `{name}`: {holder}"), &service.name, None)
            }
            PortTrouble::Outside => {
                let file = self.declaration.instances.get(name);
                let also = file.map(|file| (&file.file, file.ports.span, format!("`{name}`")));
                (format!("port {port} is outside {}, the ports of `{name}`", instance.ports), &service.name, also)
            }
        };
        let (fleet, instance) = (Arc::clone(self.fleet), name.clone());
        let finding = Draft::error(trouble.code(), message).hint_of(move || free_port(&fleet, &instance));
        let finding = also.into_iter().fold(finding, |finding, (file, span, why)| finding.also(file, span, why));
        self.port_place(at).into_iter().fold(finding, |finding, (file, span)| finding.at(file, span))
    }

    /// Why a service may not have its port on `instance`, other services aside.
    fn port(&self, service: &Service, instance: &Instance, nginx: Nginx) -> Option<PortTrouble> {
        let (port, name) = (service.port, &instance.name);
        let declared = self.declaration.instances.get(name).and_then(|file| file.ssh.port);
        let ssh = declared.or(self.declaration.fleet.ssh.port).unwrap_or(22);
        let holder = match port {
            _ if port == self.fleet.digest_port => "nginx answers its digest there (`digest_port`)",
            _ if port == ssh => "sshd listens there",
            HTTP if nginx.has_site => "nginx listens there for sites",
            HTTPS if nginx.has_tls => "nginx listens there for sites with `tls`",
            _ => return (!instance.ports.contains(port)).then_some(PortTrouble::Outside),
        };
        Some(PortTrouble::Reserved(holder))
    }

    fn domains(&self, findings: &mut Findings) {
        let mut domains: BTreeMap<(&InstanceName, &str), &Site> = BTreeMap::new();
        for site in self.fleet.sites.values() {
            let mut said = BTreeSet::new();
            for instance in &site.on {
                let first = *domains.entry((instance, &site.domain)).or_insert(site);
                if first.name != site.name && said.insert(&first.name) {
                    if !findings.spend(8 * (1 + site.routes.len()), self.site_file(site)) {
                        return;
                    }
                    findings.say(self.domain_taken(first, site, instance));
                }
            }
        }
    }

    fn domain_taken(&self, first: &Site, site: &Site, instance: &InstanceName) -> Draft {
        let shared = site.routes.keys().filter(|path| first.routes.contains_key(*path)).map(String::as_str);
        let shared: Vec<&str> = shared.collect();
        let both = format!("the sites `{}` and `{}` both", first.name, site.name);
        let domain = short(&site.domain);
        let finding = if shared.is_empty() {
            Draft::error(Code::DomainTaken, format!("{both} have the domain `{domain}` on `{instance}`"))
        } else {
            let paths = similar::list(&shared);
            Draft::error(Code::RouteTaken, format!("{both} answer for {paths} of `{domain}` on `{instance}`"))
        };
        let (at, other) = self.at_one(Kind::Site, &first.name, &site.name);
        let finding = self.domain_place(at).into_iter().fold(finding, |finding, (file, span)| finding.at(file, span));
        let also = |finding: Draft, (file, span)| finding.also(file, span, format!("`{other}`"));
        self.domain_place(other).into_iter().fold(finding, also).hint("make one site of the two, or give each a domain")
    }

    /// Plain HTTP redirects to the name that a site has. One that answers to any has none, and what a request says its
    /// host is may lead anywhere.
    fn catch_all(&self, findings: &mut Findings) {
        for site in self.fleet.sites.values().filter(|site| site.tls.is_some() && site.domain == "_") {
            let message = format!("the site `{}` has `tls` and no name that plain HTTP could redirect to", site.name);
            let hint = "write a name of its certificate, as in `domain: www.example.org`, or leave `tls` out";
            let finding = Draft::error(Code::CatchAllTls, message).hint(hint);
            let place = self.domain_place(&site.name).into_iter();
            findings.say(place.fold(finding, |finding, (file, span)| finding.at(file, span)));
        }
    }

    fn domain_place(&self, site: &SiteName) -> Option<(&'a File, Span)> {
        let file = self.declaration.sites.get(site)?;
        Some((&file.file, file.within(self.fleet.environment.name.as_str()).domain().span))
    }

    /// A route to a service that runs nowhere would answer 502 forever.
    fn routes(&self, findings: &mut Findings) {
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
                    let path = short(path);
                    let message = format!("`{path}` leads to `{}`, which runs nowhere in {environment}", to.service);
                    let hint = format!("place `{}` in {environment}, or leave the route out there", to.service);
                    let finding = Draft::error(Code::NotPlaced, message).at(&file.file, to.service.span);
                    findings.say(finding.hint(hint));
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

    fn after(&self, findings: &mut Findings) {
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
            let finding = Draft::error(Code::AfterCycle, message).hint("take one of them out of an `after`");
            findings.say(span.into_iter().fold(finding, |finding, span| finding.at(&file.file, span)));
        }
    }

    /// Addresses are settled before anything starts, so a circle of references does no harm by itself.
    fn references(&self, outcome: &mut Outcome<'_>) {
        let places = &outcome.edges;
        let edges = places.iter().map(|(from, to)| (from.clone(), to.keys().cloned().collect())).collect();
        for circle in self.circles(&edges) {
            let place = match circle.as_slice() {
                [first, next, ..] => places.get(first).and_then(|to| to.get(next)),
                _ => None,
            };
            let message = format!("references go round in a circle: {}", shown(&circle));
            let hint = "whichever starts first finds the next one not there yet; each must bear that";
            let finding = Draft::warning(Code::ReferenceCycle, message).hint(hint);
            let at = |finding: Draft, (file, span, raw): &(File, Span, String)| finding.at_part(file, *span, raw);
            outcome.findings.say(place.into_iter().fold(finding, at));
        }
    }

    fn site_file(&self, site: &Site) -> &'a File {
        self.declaration.sites.get(&site.name).map_or(&self.declaration.fleet.file, |declared| &declared.file)
    }
}

/// Why a service may not have its port.
enum PortTrouble {
    /// Another service has it.
    Taken,
    /// What listens there.
    Reserved(&'static str),
    /// It is none of the instance's.
    Outside,
}

impl PortTrouble {
    fn code(&self) -> Code {
        match self {
            PortTrouble::Taken => Code::PortTaken,
            PortTrouble::Reserved(_) => Code::PortReserved,
            PortTrouble::Outside => Code::PortOutsideRange,
        }
    }
}

/// The hint where a port is not to be had.
fn free_port(fleet: &Fleet, instance: &InstanceName) -> String {
    let Some(ports) = fleet.instances.get(instance).map(|instance| instance.ports) else { return String::new() };
    let taken: BTreeSet<u16> = fleet.services_on(instance).map(|service| service.port).collect();
    let reserved = [HTTP, HTTPS, 22, fleet.digest_port];
    let mut free = (ports.first..=ports.last).filter(|port| !taken.contains(port) && !reserved.contains(port));
    match free.next() {
        Some(port) => format!("{port} is free there"),
        None => format!("every port of `{instance}` is taken; widen its `ports`"),
    }
}
