//! Checks of sites that do not depend on the environment.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::RangeInclusive,
    time::Duration,
};

use super::services;
use crate::{
    declare::{
        Declaration,
        de::At,
        file::{File, Span},
        findings::{Draft, Findings},
        kinds::{Kind, RouteTo, SiteFile},
        place::Placements,
    },
    model::{finding::Code, headers, text::name as short},
};

/// Where an ACME client's answers are asked for (RFC 8555, 8.3).
const ACME: &str = "/.well-known/acme-challenge";

/// How long nginx may wait for a service. Less is no time to answer in, more it cannot count.
const SILENCE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

pub fn check(declaration: &Declaration, placements: &Placements, findings: &mut Findings) {
    for (name, site) in &declaration.sites {
        let file = &site.file;
        let known = findings.said();
        let overlaid = site.overlays.values();
        for instance in
            site.on.iter().chain(overlaid.clone().filter_map(|overlay| overlay.on.as_ref()).flat_map(|on| on.iter()))
        {
            known_instance(declaration, file, instance, findings);
        }
        let lists = std::iter::once(&site.on).chain(overlaid.clone().filter_map(|overlay| overlay.on.as_ref()));
        lists.for_each(|on| named_twice(file, on, findings));
        for environment in site.overlays.keys() {
            if !declaration.knows(Kind::Environment, environment) {
                let message = format!("there is no environment `{}`", short(environment));
                let hint = declaration.names.hint_for(Kind::Environment, environment);
                let finding = Draft::error(Code::UnknownEnvironment, message);
                findings.say(finding.at(file, environment.span).hint_of(hint));
            }
        }
        let names_unknown = findings.said() > known;
        for routes in std::iter::once(&site.routes).chain(overlaid.filter_map(|overlay| overlay.routes.as_ref())) {
            check_routes(declaration, file, routes, site, findings);
        }
        check_headers(file, site, findings);
        services::replaced(declaration, file, &site.replaces, findings);
        if site.frontend.is_none() && site.routes.is_empty() {
            let message = format!("the site `{name}` serves nothing");
            let finding = Draft::error(Code::EmptySite, message).at(file, site.domain.span);
            findings.say(finding.hint("give it a `frontend` or `routes`"));
        }
        let environments = &declaration.environments;
        if !names_unknown
            && !declaration.any_broken(Kind::Instance)
            && !declaration.any_broken(Kind::Environment)
            && !environments.is_empty()
            && !placements.has_site(name)
            && !findings.is_spent()
        {
            let message = format!("the site `{name}` is on no instance of any environment");
            let finding = Draft::error(Code::PlacedNowhere, message).at(file, site.on.span);
            findings.say(finding.hint("name an instance in `on`"));
        }
    }
}

fn check_routes(
    declaration: &Declaration,
    file: &File,
    routes: &BTreeMap<At<String>, RouteTo>,
    site: &SiteFile,
    findings: &mut Findings,
) {
    for (path, to) in routes {
        if !declaration.knows(Kind::Service, &to.service) {
            let message = format!("there is no service `{}`", short(&to.service));
            let hint = declaration.names.hint_for(Kind::Service, &to.service);
            findings.say(Draft::error(Code::UnknownService, message).at(file, to.service.span).hint_of(hint));
        }
        if site.frontend.is_some() && path.as_str() == "/" {
            let message = "the route `/` and the frontend answer for the same path";
            let finding = Draft::error(Code::RouteTaken, message).at(file, path.span);
            findings.say(finding.hint("give the route a path of its own, or leave the frontend out"));
        }
        if site.acme_root.is_some() && path.trim_end_matches('/') == ACME {
            let message = format!("the route `{}` and `acme_root` answer for the same path", **path);
            let finding = Draft::error(Code::RouteTaken, message).at(file, path.span);
            findings.say(finding.hint("leave one of them out"));
        }
        if let Some(timeout) = to.timeout.as_ref().filter(|timeout| !SILENCE.contains(&timeout.0)) {
            let message = format!("`timeout` is {}; a service may be silent for 1s to 24h", **timeout);
            findings.say(Draft::error(Code::InvalidValue, message).at(file, timeout.span));
        }
    }
}

fn check_headers(file: &File, site: &SiteFile, findings: &mut Findings) {
    let mut seen: BTreeMap<String, &At<String>> = BTreeMap::new();
    for (name, value) in &site.headers {
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        let first = *seen.entry(name.to_ascii_lowercase()).or_insert(name);
        let (code, message, hint) = if let Some(known) = headers::WORKED_OUT.iter().find(|known| is(known)) {
            let hint = "leave it out; how long files may be kept is decided by `frontend.immutable`";
            (Code::ReservedHeader, format!("`{known}` is worked out for each answer"), hint)
        } else if first.span != name.span {
            let message = format!("`{}` and `{}` are one header", **first, **name);
            (Code::DuplicateKey, message, "leave one of them out: case makes no difference")
        } else if value.0.is_none() && !headers::given().any(|given| is(&given)) {
            let message = format!("`{}` is taken away, and evenkeel does not send it", **name);
            (Code::InvalidValue, message, "null is for headers that are sent without being declared")
        } else {
            continue;
        };
        findings.say(Draft::error(code, message).at(file, name.span).hint(hint));
    }
}

/// Says when a list names an instance twice: whoever does so wanted two replicas, or another instance.
pub fn named_twice(file: &File, instances: &[At<String>], findings: &mut Findings) {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    for instance in instances {
        match first.entry(instance.as_str()) {
            Entry::Vacant(entry) => _ = entry.insert(instance.span),
            Entry::Occupied(entry) => {
                let message = format!("the instance `{}` is named twice", short(instance));
                let finding = Draft::error(Code::InvalidValue, message).at(file, instance.span);
                let hint = "take one out, or name another instance: an instance has one replica of a service";
                findings.say(finding.also(file, *entry.get(), "first here").hint(hint));
            }
        }
    }
}

/// Says when an instance that is named does not exist.
pub fn known_instance(declaration: &Declaration, file: &File, instance: &At<String>, findings: &mut Findings) {
    if !declaration.knows(Kind::Instance, instance) {
        let message = format!("there is no instance `{}`", short(instance));
        let hint = declaration.names.hint_for(Kind::Instance, instance);
        findings.say(Draft::error(Code::UnknownInstance, message).at(file, instance.span).hint_of(hint));
    }
}
