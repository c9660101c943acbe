//! Whether a site's instance can reach the replicas that its routes lead to, as far as what is declared tells.
//!
//! Keeps true: a replica on the site's own instance is reached in any case. Never does: guessing at networks and firewalls;
//! nothing is said of addresses that may be routed.

use std::net::IpAddr;

use super::environment::Checker;
use crate::{
    declare::findings::{Draft, Findings},
    model::{finding::Code, fleet::Service, name::InstanceName, text::name as short},
};

/// Flags after which servers take the address that they listen on.
const FLAGS: [&str; 12] = [
    "--host",
    "--bind",
    "-b",
    "--listen",
    "--address",
    "--addr",
    "-H",
    "--hostname",
    "--bind-address",
    "--listen-address",
    "--ip",
    "-h",
];
/// Parts of variables' names that say the same.
const NAMES: [&str; 6] = ["BIND", "LISTEN", "HOST", "HOSTNAME", "ADDR", "ADDRESS"];

impl Checker<'_> {
    /// Said once for each route: what is wrong from one instance is as a rule wrong from fifty.
    pub(super) fn upstreams(&self, findings: &mut Findings) {
        let environment = self.fleet.environment.name.as_str();
        for site in self.fleet.sites.values() {
            let Some(file) = self.declaration.sites.get(&site.name) else { continue };
            for (path, to) in file.within(environment).routes() {
                let Some(service) = self.fleet.services.get(to.service.as_str()) else { continue };
                if !findings.spend(site.on.len().saturating_mul(service.on.len()), &file.file) {
                    return;
                }
                let pairs = site.on.iter().flat_map(|from| service.on.iter().map(move |at| (from, at)));
                let Some((from, at, why)) = pairs
                    .filter(|(from, at)| from != at)
                    .find_map(|(from, at)| Some((from, at, self.out_of_reach(service, at)?)))
                else {
                    continue;
                };
                let message = format!(
                    "`{}` leads from `{from}` to `{}` on `{at}`, which `{from}` cannot reach: {}",
                    short(path),
                    service.name,
                    why.0
                );
                let finding = Draft::warning(Code::UnreachableUpstream, message).at(&file.file, to.service.span);
                findings.say(finding.hint(why.1));
            }
        }
    }

    /// Why no other instance reaches a service's replica there, and what to do.
    fn out_of_reach(&self, service: &Service, at: &InstanceName) -> Option<(String, String)> {
        let address = self.fleet.instances.get(at)?.address;
        if is_local(address) {
            let why = format!("{address} leads to itself on every host");
            return Some((
                why,
                format!("write the address at which other instances reach it into instances/{at}.yaml"),
            ));
        }
        let bound = bound_to_loopback(service)?;
        let why = format!("it listens on loopback alone, as {bound} says");
        Some((why, "let it listen on every address (0.0.0.0, or `::`), or place it on the site's instance".to_owned()))
    }
}

/// Whether an address means the host that uses it, or its own link.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// What of a service's command or variables has it listen on loopback alone.
fn bound_to_loopback(service: &Service) -> Option<String> {
    let port = service.port;
    let is_bound = |text: &str| {
        let text = text.trim_start_matches("http://").trim_start_matches("tcp://");
        let host = text.strip_suffix(&format!(":{port}")).unwrap_or(text).trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let mut words = service.exec.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let found = match word.split_once('=') {
            Some((flag, value)) if FLAGS.contains(&flag) => is_bound(value).then(|| word.clone()),
            _ if FLAGS.contains(&word.as_str()) => {
                words.peek().filter(|value| is_bound(value)).map(|value| format!("{word} {value}"))
            }
            _ => None,
        };
        if let Some(found) = found {
            return Some(format!("`{}` of run.exec", short(&found)));
        }
    }
    let is_named = |name: &str| name.split('_').any(|part| NAMES.contains(&part.to_ascii_uppercase().as_str()));
    // `DB_HOST` says where something else is: a name of two parts counts with the port, or where the other is of a server.
    let is_own = |name: &str, value: &str| {
        let server = [
            "SERVER", "SERVICE", "APP", "HTTP", "WEB", "UVICORN", "FLASK", "RUN", "IP", "PORT", "API", "LISTEN", "BIND",
        ];
        let mut parts = name.split('_').map(str::to_ascii_uppercase);
        value.ends_with(&format!(":{port}"))
            || parts.all(|part| NAMES.contains(&part.as_str()) || server.contains(&part.as_str()))
    };
    let bound = service.env.iter().find(|(name, value)| is_named(name) && is_bound(value) && is_own(name, value));
    bound.map(|(name, value)| format!("`{}: {}` of env", short(name), short(value)))
}
