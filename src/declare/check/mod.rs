//! Every check beyond a single file's schema.
//!
//! `all` runs once over a declaration and, through [`super::resolve`], once per environment. Keeps true:
//! one cause is one finding; nothing is said of a file on the strength of another that has errors of its own.

mod cycle;
mod environment;
mod instances;
mod services;
mod sites;
mod sources;

use std::{collections::BTreeMap, sync::Arc};

pub(super) use self::{
    environment::environment,
    instances::{host_key, own_jump_host, writer},
};
use super::{Declaration, codes, kinds::Kind, overrides::Overrides, resolve};
use crate::model::{finding::Finding, fleet::Fleet, name::EnvironmentName, tree::Tree};

/// Everything against the declaration as a whole and against each of its environments. Answers their fleets as well, as
/// they were checked: without overrides.
pub(super) fn all(declaration: &Declaration, tree: &Tree) -> (Vec<Finding>, BTreeMap<EnvironmentName, Arc<Fleet>>) {
    let mut findings = Vec::new();
    if declaration.environments.is_empty() && !declaration.any_broken(Kind::Environment) {
        let fleet = &declaration.fleet;
        let finding = Finding::error(codes::NO_ENVIRONMENT, "the fleet has no environment");
        let hint = "add environments/production.yaml with `branch: main`";
        findings.push(finding.at(fleet.file.place(fleet.name.span)).hint(hint));
    }
    instances::check(declaration, &mut findings);
    services::check(declaration, &mut findings);
    sites::check(declaration, &mut findings);
    sources::check(declaration, tree, &mut findings);
    let none = Overrides::default();
    let mut fleets = BTreeMap::new();
    for name in declaration.environments.keys() {
        let Some(resolved) = resolve::environment(declaration, name, &none) else { continue };
        findings.extend(resolved.findings);
        fleets.insert(name.clone(), Arc::new(resolved.fleet));
    }
    (findings, fleets)
}
