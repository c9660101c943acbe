//! Checks of sites that do not depend on the environment.

use std::collections::BTreeMap;

use crate::{
    declare::{
        Declaration, codes,
        de::At,
        file::File,
        kinds::{Kind, RouteTo},
        place,
    },
    model::finding::Finding,
};

pub fn check(declaration: &Declaration, findings: &mut Vec<Finding>) {
    for (name, site) in &declaration.sites {
        let file = &site.file;
        let known = findings.len();
        let overlaid = site.overlays.values();
        for instance in
            site.on.iter().chain(overlaid.clone().filter_map(|overlay| overlay.on.as_ref()).flat_map(|on| on.iter()))
        {
            known_instance(declaration, file, instance, findings);
        }
        for environment in site.overlays.keys() {
            if !declaration.knows(Kind::Environment, environment) {
                let message = format!("there is no environment `{}`", **environment);
                let hint = declaration.hint_for(Kind::Environment, environment);
                let finding = Finding::error(codes::UNKNOWN_ENVIRONMENT, message);
                findings.push(finding.at(file.place(environment.span)).hint(hint));
            }
        }
        let names_unknown = findings.len() > known;
        for routes in std::iter::once(&site.routes).chain(overlaid.filter_map(|overlay| overlay.routes.as_ref())) {
            check_routes(declaration, file, routes, site.frontend.is_some(), findings);
        }
        if site.frontend.is_none() && site.routes.is_empty() {
            let message = format!("the site `{name}` serves nothing");
            let finding = Finding::error(codes::EMPTY_SITE, message).at(file.place(site.domain.span));
            findings.push(finding.hint("give it a `frontend` or `routes`"));
        }
        let placed =
            |environment| !place::named(declaration, environment, site.within(environment.as_str()).on()).is_empty();
        let environments = &declaration.environments;
        if !names_unknown
            && !declaration.any_broken(Kind::Instance)
            && !environments.is_empty()
            && !environments.keys().any(placed)
        {
            let message = format!("the site `{name}` is on no instance of any environment");
            let finding = Finding::error(codes::PLACED_NOWHERE, message).at(file.place(site.on.span));
            findings.push(finding.hint("name an instance in `on`"));
        }
    }
}

fn check_routes(
    declaration: &Declaration,
    file: &File,
    routes: &BTreeMap<At<String>, RouteTo>,
    frontend: bool,
    findings: &mut Vec<Finding>,
) {
    for (path, to) in routes {
        if !declaration.knows(Kind::Service, &to.service) {
            let message = format!("there is no service `{}`", *to.service);
            let hint = declaration.hint_for(Kind::Service, &to.service);
            findings.push(Finding::error(codes::UNKNOWN_SERVICE, message).at(file.place(to.service.span)).hint(hint));
        }
        if frontend && path.as_str() == "/" {
            let message = "the route `/` and the frontend answer for the same path";
            let finding = Finding::error(codes::ROUTE_TAKEN, message).at(file.place(path.span));
            findings.push(finding.hint("give the route a path of its own, or leave the frontend out"));
        }
    }
}

/// Says when an instance that is named does not exist.
pub fn known_instance(declaration: &Declaration, file: &File, instance: &At<String>, findings: &mut Vec<Finding>) {
    if !declaration.knows(Kind::Instance, instance) {
        let message = format!("there is no instance `{}`", **instance);
        let hint = declaration.hint_for(Kind::Instance, instance);
        findings.push(Finding::error(codes::UNKNOWN_INSTANCE, message).at(file.place(instance.span)).hint(hint));
    }
}
