//! Texts of one environment: references replaced, literal addresses found.
//!
//! Keeps true: an address that is rendered comes from an instance of this environment, as overridden.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    Declaration,
    file::{File, Span},
    findings::{Draft, Findings},
    kinds::Kind,
    place::Placements,
    reference::{self, Field, Part, Reference},
    similar,
};
use crate::model::{
    finding::Code,
    name::{InstanceName, ServiceName, SiteName},
    rollout::BOUND_PORT,
    text::name as short,
};

/// Where each service runs, and on which port.
pub type Running = BTreeMap<ServiceName, (Arc<BTreeSet<InstanceName>>, u16)>;

/// What references lead to in one environment.
pub struct Targets<'a> {
    pub declaration: &'a Declaration,
    pub placements: &'a Placements,
    pub environment: &'a str,
    /// As overridden.
    pub addresses: BTreeMap<&'a InstanceName, IpAddr>,
    pub services: Arc<Running>,
    /// The URL of each site that is served somewhere; None for one that answers to any name.
    pub sites: BTreeMap<SiteName, Option<String>>,
}

/// One text, where it stands, and whose it is.
#[derive(Clone, Copy)]
pub struct Written<'a> {
    pub file: &'a File,
    pub span: Span,
    pub service: &'a ServiceName,
}

/// What came of the texts so far.
pub struct Outcome<'a> {
    pub findings: &'a mut Findings,
    /// Who refers to whom, and where for the first time: within what is written there, in these words.
    pub edges: BTreeMap<ServiceName, BTreeMap<ServiceName, (File, Span, String)>>,
}

impl Targets<'_> {
    /// `text` with its references replaced. What cannot be replaced is a finding and left out.
    pub fn expand(&self, text: &str, written: Written<'_>, outcome: &mut Outcome<'_>) -> String {
        self.literal_addresses(text, written, outcome);
        let mut expanded = String::with_capacity(text.len());
        for part in reference::parts(text) {
            match part {
                Part::Text(text) => expanded.push_str(text),
                Part::Malformed(raw) => {
                    let message = format!("`{}` is not a reference", short(raw));
                    let hint = reference::instead_of(raw);
                    outcome.say(Code::MalformedReference, message, written, raw, || hint);
                }
                Part::Reference(Reference::Site { name }, raw) => {
                    let url = self.site(name, raw, written, outcome).unwrap_or_default();
                    // A domain may be long, and what refers to it short.
                    if outcome.findings.spend(url.len(), written.file) {
                        expanded.push_str(&url);
                    }
                }
                // Which one it is depends on the copy that binds it.
                Part::Reference(Reference::Port, _) => expanded.push_str(BOUND_PORT),
                Part::Reference(Reference::Service { name, on, field }, raw) => {
                    expanded.push_str(&self.service(name, on, field, raw, written, outcome).unwrap_or_default());
                }
            }
        }
        expanded
    }

    fn site(&self, name: &str, raw: &str, written: Written<'_>, outcome: &mut Outcome<'_>) -> Option<String> {
        if !self.declaration.knows(Kind::Site, name) {
            let hint = self.declaration.names.hint_for(Kind::Site, name);
            outcome.say(Code::UnknownSite, format!("there is no site `{}`", short(name)), written, raw, hint);
            return None;
        }
        match self.sites.get(name) {
            Some(None) if self.declaration.is_broken(Kind::Site, name) => None,
            Some(None) => {
                let message = format!("the site `{name}` answers to any name, so it has no URL");
                outcome.say(Code::MalformedReference, message, written, raw, || "give the site a domain".to_owned());
                None
            }
            Some(url) => url.clone(),
            None => {
                if !self.declaration.is_broken(Kind::Site, name) && !self.declaration.any_broken(Kind::Instance) {
                    let message = format!("the site `{name}` is served nowhere in {}", self.environment);
                    let hint = format!("put it `on` an instance of {}", self.environment);
                    outcome.say(Code::NotPlaced, message, written, raw, || hint);
                }
                None
            }
        }
    }

    fn service(
        &self,
        name: &str,
        on: Option<&str>,
        field: Field,
        raw: &str,
        written: Written<'_>,
        outcome: &mut Outcome<'_>,
    ) -> Option<String> {
        if !self.declaration.knows(Kind::Service, name) {
            let hint = self.declaration.names.hint_for(Kind::Service, name);
            outcome.say(Code::UnknownService, format!("there is no service `{}`", short(name)), written, raw, hint);
            return None;
        }
        let incomplete = self.declaration.is_broken(Kind::Service, name) || self.declaration.any_broken(Kind::Instance);
        let Some((target, (instances, port))) = self.services.get_key_value(name) else {
            if !incomplete {
                let message = format!("the service `{name}` runs nowhere in {}", self.environment);
                let hint = format!("place `{name}` in {}, or leave the reference out there", self.environment);
                outcome.say(Code::NotPlaced, message, written, raw, || hint);
            }
            return None;
        };
        outcome.edge(written, target, raw);
        let instance = match (on, instances.first()) {
            (Some(on), _) => match instances.get(on) {
                Some(instance) => instance,
                None => {
                    if !incomplete {
                        let (code, message) = if self.declaration.knows(Kind::Instance, on) {
                            (Code::NotPlaced, format!("`{name}` does not run on `{on}`"))
                        } else {
                            (Code::UnknownInstance, format!("there is no instance `{}`", short(on)))
                        };
                        let (there, environment, on) =
                            (Arc::clone(instances), self.environment.to_owned(), on.to_owned());
                        let hint = move || {
                            let names: Vec<&str> = there.iter().map(|name| name.as_str()).collect();
                            let runs_on = || format!("in {environment} it runs on {}", similar::list(&names));
                            similar::did_you_mean(&on, names.iter().copied()).unwrap_or_else(runs_on)
                        };
                        outcome.say(code, message, written, raw, hint);
                    }
                    return None;
                }
            },
            (None, Some(only)) if instances.len() == 1 => only,
            (None, _) if self.declaration.is_broken(Kind::Service, name) => return None,
            (None, _) => {
                let replicas = instances.len();
                let message =
                    format!("`{name}` has {replicas} replicas in {}; this names none of them", self.environment);
                let (there, target, word) = (Arc::clone(instances), target.clone(), word_of(field));
                let hint = move || {
                    let form = |instance: &InstanceName| format!("${{service.{target}.on.{instance}.{word}}}");
                    let forms: Vec<String> = there.iter().map(form).collect();
                    let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
                    format!("write {}, or go through a site's route", similar::choice(&forms))
                };
                outcome.say(Code::AmbiguousReference, message, written, raw, hint);
                return None;
            }
        };
        let address = self.addresses.get(instance)?;
        Some(match field {
            Field::Url => format!("http://{}", SocketAddr::new(*address, *port)),
            Field::Host => address.to_string(),
            Field::Port => port.to_string(),
        })
    }

    fn literal_addresses(&self, text: &str, written: Written<'_>, outcome: &mut Outcome<'_>) {
        for (raw, address, port) in addresses(text) {
            let Some(instance) = self.placements.by_address.get(&address) else { continue };
            let message = format!("`{raw}` is the address of `{instance}`, written out");
            let (services, instance) = (Arc::clone(&self.services), instance.clone());
            let hint = move || {
                let is_there = |(_, (on, at)): &(&ServiceName, &(Arc<BTreeSet<InstanceName>>, u16))| {
                    Some(*at) == port && on.contains(&instance)
                };
                match services.iter().find(is_there) {
                    Some((name, (on, _))) if on.len() > 1 => format!("write ${{service.{name}.on.{instance}.url}}"),
                    Some((name, _)) => format!("write ${{service.{name}.url}}, or .host and .port"),
                    None => "write ${service.NAME.url}, or .host and .port, with the service that is meant".to_owned(),
                }
            };
            outcome.say(Code::LiteralAddress, message, written, raw, hint);
        }
    }
}

/// As it is written at the end of a reference.
fn word_of(field: Field) -> &'static str {
    match field {
        Field::Url => "url",
        Field::Host => "host",
        Field::Port => "port",
    }
}

impl Outcome<'_> {
    /// An error at `raw` within what is written.
    pub fn say(
        &mut self,
        code: Code,
        message: String,
        written: Written<'_>,
        raw: &str,
        hint: impl FnOnce() -> String + 'static,
    ) {
        self.findings.say(Draft::error(code, message).at_part(written.file, written.span, raw).hint_of(hint));
    }

    fn edge(&mut self, written: Written<'_>, target: &ServiceName, raw: &str) {
        // A service may well name itself: that is its public URL, not a circle.
        if written.service != target {
            let edges = self.edges.entry(written.service.clone()).or_default();
            if !edges.contains_key(target) {
                edges.insert(target.clone(), (written.file.clone(), written.span, raw.to_owned()));
            }
        }
    }
}

/// The IP addresses that stand in `text`, with the port that follows, if any.
fn addresses(text: &str) -> impl Iterator<Item = (&str, IpAddr, Option<u16>)> {
    let part_of_address = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    text.split(move |c| !part_of_address(c)).filter_map(|word| {
        let word = word.trim_matches(['.', ':']);
        if word.len() < 3 || !word.contains(['.', ':']) {
            return None;
        }
        if let Ok(socket) = word.parse::<SocketAddr>() {
            return Some((word, socket.ip(), Some(socket.port())));
        }
        let bare = word.trim_start_matches('[').trim_end_matches(']');
        bare.parse().ok().map(|address| (bare, address, None))
    })
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn addresses_are_seen_in_whatever_surrounds_them() {
        let found =
            |text| addresses(text).map(|(raw, _, port)| format!("{raw} {port:?}")).collect::<Vec<_>>().join(", ");
        assert_eq!(found("http://10.0.0.1:8100/x"), "10.0.0.1:8100 Some(8100)");
        assert_eq!(
            found("a@10.0.0.1, [fd00::1]:80 and fd00::2."),
            "10.0.0.1 None, [fd00::1]:80 Some(80), fd00::2 None"
        );
        assert_eq!(found("version 1.10 at 12:30, face, 10.0.0.1.2, 256.1.1.1"), "");
    }
}
