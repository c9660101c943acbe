//! What services and sites ask of root, against what the default branch grants.
//!
//! Owns who asks for what and where, that `defaults.user` needs no grant unless it is root, and that `allow` of an
//! instance narrows the fleet's. Keeps true: whatever names something of the host, or gives root's power, is asked about here
//! as it is resolved, overlays included; `root` is never granted by a default. Paths are compared as text: the schema
//! takes none with `..`, `//` or a variable, and links on a host are its root's own doing.
//!
//! Whatever a service, site or instance names of a host, or that gives root's power, is a `Request`; its
//! value is asked about where an environment is resolved, so overlays and defaults are in it. The fleet grants, an
//! instance with a list of its own narrows, nothing else counts: a link on the default branch is followed there,
//! before the environment's files are laid beside it (`composed_tree`). `users`, `env_files` and `netrc` add to what
//! is safe, the other lists stand in its place. Root is granted by its name alone, and a kept unit by nothing. A key
//! that names something of a host needs its `Request`.

use std::collections::BTreeMap;

use crate::{
    declare::{
        Declaration,
        file::{File, Span},
        findings::{Draft, Findings},
        kinds::Allow,
    },
    model::{
        budget::Budget,
        finding::Code,
        fleet::Fleet,
        grants::{self, Granted, Request},
        name::InstanceName,
        paths,
    },
};

/// The lists as they are written.
pub fn check(declaration: &Declaration, findings: &mut Findings) {
    let fleet = &declaration.fleet;
    written(&fleet.file, fleet.allow.as_ref(), findings);
    for instance in declaration.instances.values() {
        written(&instance.file, instance.allow.as_ref(), findings);
    }
}

fn written(file: &File, allow: Option<&Allow>, findings: &mut Findings) {
    const MOST: usize = Budget::STANDARD.patterns;
    for list in allow.map(Allow::lists).unwrap_or_default() {
        let key = list.request.key();
        if list.entries.len() > MOST {
            let message = format!("`allow.{key}` has {} entries; {MOST} is the limit", list.entries.len());
            let finding = Draft::error(Code::InvalidValue, message).at(file, list.span);
            findings.say(finding.hint("use patterns, as in `*.env`"));
        }
        for (entry, span) in list.entries.into_iter().take(MOST) {
            if !grants::is_pattern(entry) {
                let message = format!("`{entry}` is not a pattern");
                let finding = Draft::error(Code::InvalidValue, message).at(file, span);
                findings.say(finding.hint("`*` and `?` stand for what is in a name, `**` for folders too"));
            } else if list.request == Request::Replaces && grants::is_kept(entry) {
                let message = format!("`{entry}` cannot be granted: it keeps the host running or reachable");
                findings.say(Draft::error(Code::KeptUnit, message).at(file, span).hint("take it out"));
            }
        }
    }
}

/// Everything that the services, sites and instances of one environment ask for.
pub fn environment(declaration: &Declaration, fleet: &Fleet, findings: &mut Findings) {
    let narrowing = fleet.instances.iter().filter(|(_, instance)| !instance.grants.0.is_empty());
    let narrowing = narrowing.map(|(name, instance)| (name, instance.grants.ready())).collect();
    let mut judge = GrantsJudge { declaration, fleet, granted: fleet.grants.ready(), narrowing, findings };
    judge.services();
    judge.sites();
    judge.packages();
}

/// One thing that is asked for, where it is written.
struct AskedGrants<'a> {
    request: Request,
    value: &'a str,
    file: &'a File,
    span: Span,
    /// The service's own folder, whose files need no grant.
    own_folder: Option<&'a str>,
}

struct GrantsJudge<'a> {
    declaration: &'a Declaration,
    fleet: &'a Fleet,
    granted: Granted,
    /// The lists of those instances that have some.
    narrowing: BTreeMap<&'a InstanceName, Granted>,
    findings: &'a mut Findings,
}

impl<'a> GrantsJudge<'a> {
    fn services(&mut self) {
        let environment = self.fleet.environment.name.as_str();
        for (name, service) in &self.fleet.services {
            let Some(declared) = self.declaration.services.get(name) else { continue };
            let (effective, file) = (declared.within(environment), &declared.file);
            let own_folder = paths::own_folder(&self.fleet.name, name);
            let run = effective.run();
            let asked = |request, value, span| AskedGrants { request, value, file, span, own_folder: None };
            let with_folder = |asked| AskedGrants { own_folder: Some(&own_folder), ..asked };
            let defaults = &self.declaration.fleet;
            let user = run.user.as_ref().map(|user| asked(Request::Users, &***user, user.span));
            let user = user.or(defaults
                .defaults
                .user
                .as_ref()
                .map(|user| AskedGrants { file: &defaults.file, ..asked(Request::Users, &***user, user.span) }));
            let env_file = effective.env_file().map(|path| with_folder(asked(Request::EnvFiles, &***path, path.span)));
            let netrc = run.python.as_ref().and_then(|python| python.netrc.as_ref());
            let netrc = netrc.map(|path| with_folder(asked(Request::Netrc, &***path, path.span)));
            let replaces = effective.replaces().iter().filter(|unit| !grants::is_kept(unit));
            let replaces = replaces.map(|unit| asked(Request::Replaces, &***unit, unit.span));
            for asked in user.into_iter().chain(env_file).chain(netrc).chain(replaces) {
                self.judge(&asked, &service.on);
            }
        }
    }

    fn sites(&mut self) {
        let environment = self.fleet.environment.name.as_str();
        for (name, site) in &self.fleet.sites {
            let Some(declared) = self.declaration.sites.get(name) else { continue };
            let tls = declared.within(environment).tls();
            let tls = tls.into_iter().flat_map(|tls| [&tls.certificate, &tls.key]).map(|path| (Request::Tls, path));
            let acme = declared.acme_root.iter().map(|path| (Request::Acme, path));
            let paths = tls.chain(acme).map(|(request, path)| (request, &***path, path.span));
            let replaces = declared.replaces.iter().filter(|unit| !grants::is_kept(unit));
            let replaces = replaces.map(|unit| (Request::Replaces, &***unit, unit.span));
            for (request, value, span) in paths.chain(replaces) {
                let asked = AskedGrants { request, value, file: &declared.file, span, own_folder: None };
                self.judge(&asked, &site.on);
            }
        }
    }

    fn packages(&mut self) {
        for name in self.fleet.instances.keys() {
            let Some(declared) = self.declaration.instances.get(name) else { continue };
            for package in &declared.packages {
                let (value, span) = (&***package, package.span);
                let asked =
                    AskedGrants { request: Request::Packages, value, file: &declared.file, span, own_folder: None };
                self.judge(&asked, [name]);
            }
        }
    }

    /// The fleet has to grant it, then each instance that has a list of its own; of those the first is said.
    fn judge<'n>(&mut self, asked: &AskedGrants<'_>, on: impl IntoIterator<Item = &'n InstanceName>) {
        if !self.is_granted(asked) {
            let fleet = &self.declaration.fleet;
            self.findings.say(refused(asked, &fleet.file, fleet.allow.as_ref(), None));
            return;
        }
        let refuses = |name: &&InstanceName| {
            let lists = self.narrowing.get(*name);
            lists.and_then(|lists| lists.has(asked.request, asked.value)) == Some(false)
        };
        let first = on.into_iter().find(refuses);
        if let Some((name, instance)) = first.and_then(|name| self.declaration.instances.get_key_value(name)) {
            self.findings.say(refused(asked, &instance.file, instance.allow.as_ref(), Some(name)));
        }
    }

    /// By the fleet: it is safe without a grant, or stands in a list.
    fn is_granted(&self, asked: &AskedGrants<'_>) -> bool {
        self.granted.permits(asked.request, asked.value, asked.own_folder)
            || asked.request == Request::Users && self.is_default_user(asked.value)
    }

    fn is_default_user(&self, user: &str) -> bool {
        user != "root" && self.declaration.fleet.defaults.user.as_ref().is_some_and(|default| &***default == user)
    }
}

/// The finding, with the line that would grant it and the file where that line belongs.
fn refused(asked: &AskedGrants<'_>, file: &File, allow: Option<&Allow>, instance: Option<&InstanceName>) -> Draft {
    let (key, value, path) = (asked.request.key(), asked.value, &file.path);
    let what = match asked.request {
        Request::Users => "the user",
        Request::EnvFiles => "the env_file",
        Request::Netrc => "the netrc file",
        Request::Replaces => "replacing the unit",
        Request::Tls => "the certificate file",
        Request::Acme => "the acme_root",
        Request::Packages => "the package",
    };
    let on = instance.map(|name| format!(" on `{name}`")).unwrap_or_default();
    let message = format!("{what} `{value}` is not granted{on}");
    let written = allow.and_then(|allow| allow.lists().into_iter().find(|list| list.request == asked.request));
    let safe: &[&str] = match asked.request {
        Request::Tls => &grants::SAFE_TLS,
        Request::Acme => &grants::SAFE_ACME,
        _ => &[],
    };
    // A list takes the place of these folders, so they go along.
    let entries = safe.iter().map(|folder| format!("{folder}**")).chain([value.to_owned()]);
    let list = entries.map(|entry| yaml(&entry)).collect::<Vec<_>>().join(", ");
    let grant = match (&written, allow) {
        (Some(_), _) => format!("add `{}` to the list `allow.{key}` in {path}", yaml(value)),
        (None, Some(_)) => format!("add `{key}: [{list}]` to `allow` in {path}"),
        (None, None) => format!("add the line `allow: {{{key}: [{list}]}}` to {path}"),
    };
    let instead = match asked.own_folder {
        Some(folder) if instance.is_none() => format!(", or keep the file below {folder}"),
        _ => String::new(),
    };
    let finding = Draft::error(Code::NotGranted, message).at(asked.file, asked.span);
    let finding = finding.hint(format!("{grant} on the default branch{instead}"));
    match written {
        Some(list) => finding.also(file, list.span, "the list"),
        None => finding,
    }
}

/// An entry as it is written into a list in one line.
fn yaml(entry: &str) -> String {
    let plain =
        entry.starts_with(|c: char| c.is_ascii_alphanumeric() || "/_".contains(c)) && !entry.contains([',', ':', '#']);
    if plain { entry.to_owned() } else { format!("\"{entry}\"") }
}
