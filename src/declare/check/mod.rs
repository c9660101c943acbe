//! Every check beyond a single file's schema.
//!
//! `all` runs once over a declaration and, through [`super::resolve`], once per environment. Keeps true:
//! one cause is one finding; nothing is said of a file on the strength of another that has errors of its own.
//!
//! All findings come at once, each with its place, but for these. Syntax and the limits end the reading of
//! their file, and a few rules of the types wait until its schema is content. A service or site whose only errors of
//! its own are keys that are not known or stand twice is checked against the rest without them; with other errors of
//! its own it is not, nor is an environment or instance with any, and a broken `fleet.yaml` hides every check of one
//! file against another. One warning at the end, `not-checked`, names these files. Nothing is said of a file on the
//! strength of another with errors of its own, and a fleet is resolved only from a declaration without errors.
//! `fleet.yaml`, `environments/` and `instances/` are read from the default branch; services, sites and their code
//! from the environment's branch. So a branch cannot move where it is deployed to.

mod cycle;
mod environment;
mod grants;
mod instances;
mod rollouts;
mod services;
mod sites;
mod sources;
mod upstreams;

use std::{collections::BTreeMap, sync::Arc};

pub(super) use self::{
    environment::environment,
    instances::{host_key, own_jump_host, writer},
};
use super::{
    Declaration,
    findings::{Draft, Findings},
    kinds::Kind,
    overrides::Overrides,
    place::Placements,
    resolve,
};
use crate::model::{finding::Code, fleet::Fleet, name::EnvironmentName, tree::Tree};

/// Says everything against the declaration as a whole and against each of its environments. Answers their fleets, as
/// they were checked: without overrides. Ends early when the budget's steps are spent, which is said then.
pub(super) fn all(
    declaration: &Declaration,
    tree: &Tree,
    findings: &mut Findings,
) -> BTreeMap<EnvironmentName, Arc<Fleet>> {
    if declaration.environments.is_empty() && !declaration.any_broken(Kind::Environment) {
        let fleet = &declaration.fleet;
        let finding = Draft::error(Code::NoEnvironment, "the fleet has no environment");
        let hint = "add environments/production.yaml with `branch: main`";
        findings.say(finding.at(&fleet.file, fleet.name.span).hint(hint));
    }
    let placements = Placements::of(declaration, findings);
    instances::check(declaration, findings);
    services::check(declaration, &placements, findings);
    sites::check(declaration, &placements, findings);
    sources::check(declaration, tree, findings);
    grants::check(declaration, findings);
    let none = Overrides::default();
    let mut fleets = BTreeMap::new();
    for name in declaration.environments.keys() {
        if findings.is_spent() {
            break;
        }
        let fleet = resolve::environment(declaration, &placements, name, &none, findings);
        fleets.extend(fleet.map(|fleet| (name.clone(), fleet)));
    }
    fleets
}
