//! The fleet folder: YAML in a tree to a resolved [`Fleet`] and findings.
//!
//! Owns: what people may write, what it means, and everything there is to say against it. `read` takes
//! the folder as text, then as types, then checks every file against every other; `resolve` makes one
//! environment's fleet of it. Keeps true: all findings come at once, each with its place, but for what a
//! file that cannot be read hides, and that is said; a fleet is resolved only from a declaration without
//! errors; a hostile folder costs no more than the [`Budget`] says. Never does: I/O; the tree and the overrides are
//! handed in.

mod access;
mod calendar;
mod check;
mod credentials;
mod de;
mod effective;
mod expand;
mod file;
mod files;
mod findings;
mod foreign;
mod kinds;
mod names;
mod overrides;
mod place;
mod reference;
mod refusal;
mod resolve;
mod rollout;
mod schema;
mod shell;
mod similar;
mod source;
mod starter;
mod typed;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;

pub use self::{
    credentials::read_credentials,
    kinds::Arch,
    overrides::{InstanceOverride, Overrides, SshOverride, read_overrides},
    schema::schemas,
    starter::starter,
};
use self::{
    file::File,
    files::Files,
    findings::{Draft, Findings},
    kinds::{EnvironmentFile, FleetFile, InstanceFile, Kind, ServiceFile, SiteFile},
    names::Names,
    place::Placements,
};
use crate::model::{
    budget::Budget,
    calendar::Calendar,
    finding::{Code, Finding},
    fleet::Fleet,
    name::{EnvironmentName, FleetName, InstanceName, ServiceName, SiteName},
    rights::Rights,
    tree::Tree,
    writer::Writer,
};

/// A file and what it says.
#[derive(Debug, Clone)]
struct Declared<T> {
    file: File,
    value: T,
}

impl<T> std::ops::Deref for Declared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A fleet folder that was read. Made by [`read`].
#[derive(Debug, Clone)]
pub struct Declaration {
    /// The fleet folder, from the repository's root.
    folder: String,
    fleet: Declared<FleetFile>,
    environments: BTreeMap<EnvironmentName, Declared<EnvironmentFile>>,
    instances: BTreeMap<InstanceName, Declared<InstanceFile>>,
    services: BTreeMap<ServiceName, Declared<ServiceFile>>,
    sites: BTreeMap<SiteName, Declared<SiteFile>>,
    /// Names whose files have errors of their own: declared, but not all that is meant is known of them. Services and
    /// sites among them that lack no more than keys are among the others as well, to be checked.
    broken: BTreeSet<(Kind, String)>,
    /// What is declared, for hints.
    names: Arc<Names>,
    /// The errors that [`read`] found. While there are any, nothing is resolved.
    errors: Vec<Finding>,
    /// The fleet of each environment as it was checked: without overrides.
    fleets: BTreeMap<EnvironmentName, Arc<Fleet>>,
}

/// Reads the fleet in `folder` (`""` for the root) of `tree`, with what there is to say against it, by place.
/// There is no declaration when some file has errors of its own.
pub fn read(tree: &Tree, folder: &str) -> (Option<Declaration>, Vec<Finding>) {
    read_within(tree, folder, &Budget::STANDARD)
}

/// As [`read`], with limits of one's own.
pub fn read_within(tree: &Tree, folder: &str, budget: &Budget) -> (Option<Declaration>, Vec<Finding>) {
    let folder = folder.trim_matches('/');
    let mut findings = Findings::new(budget);
    let files = files::gather(tree, folder, &mut findings);
    let mut declaration = declared(files, folder, &mut findings);
    if let Some(declaration) = &mut declaration {
        declaration.fleets = check::all(declaration, tree, &mut findings);
    }
    let findings = findings.finish();
    let declaration = declaration.filter(|declaration| declaration.broken.is_empty()).map(|mut declaration| {
        declaration.errors = findings.iter().filter(|finding| finding.is_error()).cloned().collect();
        declaration
    });
    (declaration, findings)
}

/// As [`read`], of what the default branch alone decides: `fleet.yaml`, `environments/` and `instances/`. A
/// service that is broken there is no reason not to know which environments there are.
pub fn read_shared(tree: &Tree, folder: &str) -> (Option<Declaration>, Vec<Finding>) {
    let folder = folder.trim_matches('/');
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut shared = Tree::default();
    for (path, entry) in tree.below(folder) {
        if matches!(path.split('/').next(), Some("fleet.yaml" | "fleet.yml" | "environments" | "instances")) {
            // It lay in a tree already, so it can lie in one.
            let _ = shared.insert(&format!("{prefix}{path}"), entry.clone());
        }
    }
    read(&shared, folder)
}

/// Every file as its type. None without a `fleet.yaml` that can be read: the rest hangs in the air then.
fn declared(mut files: Files, folder: &str, findings: &mut Findings) -> Option<Declaration> {
    let alone = files.kinds.values().all(BTreeMap::is_empty);
    let fleet = files.fleet.take();
    let (mut broken, mut unread) = (BTreeSet::new(), Vec::new());
    let mut reader =
        FleetReader { files, findings, broken: &mut broken, unread: &mut unread, nodes: 0, bytes: 0, is_full: false };
    let fleet = fleet.and_then(|file| {
        let value = reader.typed(&file, schema::fleet()).whole()?;
        Some(Declared { file, value })
    });
    let environments = reader.kind(Kind::Environment);
    let instances = reader.kind(Kind::Instance);
    let services = reader.kind(Kind::Service);
    let sites = reader.kind(Kind::Site);
    if !alone && let Some(finding) = not_checked(fleet.is_some(), &unread) {
        findings.say(finding);
    }
    let fleet = fleet?;
    let folder = folder.to_owned();
    let names = Arc::new(Names::of(&environments, &instances, &services, &sites));
    Some(Declaration {
        folder,
        fleet,
        environments,
        instances,
        services,
        sites,
        broken,
        names,
        errors: Vec::new(),
        fleets: BTreeMap::new(),
    })
}

struct FleetReader<'a> {
    files: Files,
    findings: &'a mut Findings,
    broken: &'a mut BTreeSet<(Kind, String)>,
    /// The paths of those among `broken` of which nothing is known.
    unread: &'a mut Vec<String>,
    /// Of the trees of all files so far: nodes, and bytes of texts.
    nodes: usize,
    bytes: usize,
    /// Whether it was said that no more is read.
    is_full: bool,
}

impl FleetReader<'_> {
    fn kind<N, T>(&mut self, kind: Kind) -> BTreeMap<N, Declared<T>>
    where
        N: Ord + std::str::FromStr,
        T: for<'de> Deserialize<'de>,
    {
        let mut found = BTreeMap::new();
        for (name, (path, file)) in self.files.kinds.remove(&kind).unwrap_or_default() {
            let read = file.and_then(|file| Some((name.parse().ok()?, self.file(kind, &name, file)?)));
            match read {
                Some((name, declared)) => drop(found.insert(name, declared)),
                None => {
                    self.broken.insert((kind, name));
                    self.unread.push(path);
                }
            }
        }
        found
    }

    /// What `file` says, as far as checks may take it for what is meant.
    fn file<T: for<'de> Deserialize<'de>>(&mut self, kind: Kind, name: &str, file: File) -> Option<Declared<T>> {
        let read = self.typed(&file, schema::of(kind));
        if !read.is_whole {
            self.broken.insert((kind, name.to_owned()));
        }
        read.value.filter(|_| read.is_whole || kind.is_checked_in_part()).map(|value| Declared { file, value })
    }

    /// Reads a file, as long as all of them together are no larger than the budget allows.
    fn typed<T: for<'de> Deserialize<'de>>(
        &mut self,
        file: &File,
        schema: &'static schema::Compiled,
    ) -> typed::Read<T> {
        if self.is_full {
            return typed::Read { value: None, is_whole: false, size: (0, 0) };
        }
        let mut read = typed::read(file, schema, self.findings);
        self.nodes = self.nodes.saturating_add(read.size.0);
        self.bytes = self.bytes.saturating_add(read.size.1);
        let (most_nodes, most_bytes) = (self.findings.budget().fleet_nodes, self.findings.budget().fleet_bytes);
        if self.nodes > most_nodes || self.bytes > most_bytes {
            self.is_full = true;
            let message = format!(
                "the fleet's files have more than {most_nodes} values or {most_bytes} bytes of text; this one and those \
                 after it are not read"
            );
            let hint = "make several fleets of it, each in a folder of its own";
            self.findings.say(Draft::error(Code::FleetTooLarge, message).of_file(&file.path).hint(hint));
            (read.value, read.is_whole) = (None, false);
        }
        read
    }
}

/// What nobody may take for checked: files that cannot be read, and the others as far as they need them. It is said
/// once, for it is about no line.
fn not_checked(has_fleet: bool, unread: &[String]) -> Option<Draft> {
    let unread: Vec<&str> = unread.iter().map(String::as_str).collect();
    let message = match unread.as_slice() {
        _ if !has_fleet => "`fleet.yaml` cannot be read yet, so no file was checked against the others".to_owned(),
        [] => return None,
        [only] => {
            format!("`{only}` cannot be read yet, so it was not checked against the rest, nor the rest against it")
        }
        several => {
            let files = similar::list(several);
            format!("{files} cannot be read yet, so they were not checked against the rest, nor the rest against them")
        }
    };
    Some(Draft::warning(Code::NotChecked, message))
}

impl Declaration {
    pub fn fleet_name(&self) -> &FleetName {
        &self.fleet.name
    }

    pub fn environments(&self) -> Vec<&EnvironmentName> {
        self.environments.keys().collect()
    }

    /// Whether some environment's file cannot be read: whom it is about is declared all the same.
    pub fn has_broken_environments(&self) -> bool {
        self.broken.iter().any(|(kind, _)| *kind == Kind::Environment)
    }

    /// The keys whose commits of the history count; none where the fleet lists none. What is no key counts for nobody,
    /// and is a list all the same.
    pub fn history_writers(&self) -> Option<Vec<Writer>> {
        let lines = self.fleet.history_writers.as_ref()?;
        Some(lines.iter().filter_map(|line| check::writer(line).ok()).collect())
    }

    /// What is no fault of the fleet, and that somebody who validates it should know.
    pub fn advice(&self) -> Vec<Finding> {
        if self.fleet.history_writers.is_some() {
            return Vec::new();
        }
        let message = "the fleet lists no `history_writers`, so whoever may push evenkeel/history/ decides what of the \
                       merged commits is deployed";
        let hint = "add `history_writers: [\"ssh-ed25519 AAAA… NAME\"]`; a controller prints its line when it starts, and \
                    in `evenkeel status`";
        let mut findings = Findings::new(&Budget::STANDARD);
        findings
            .say(Draft::warning(Code::NoHistoryWriters, message).at(&self.fleet.file, self.fleet.name.span).hint(hint));
        findings.finish()
    }

    /// The branch that `environment` follows.
    pub fn environment_branch(&self, environment: &EnvironmentName) -> Option<&str> {
        self.environments.get(environment).map(|declared| &*declared.branch)
    }

    /// The checks that must be green on a commit before it is deployed to `environment`.
    pub fn required_checks(&self, environment: &EnvironmentName) -> &[String] {
        let declared = self.environments.get(environment);
        declared.and_then(|declared| declared.require_checks.as_deref()).unwrap_or_default()
    }

    /// When deployments to `environment` may begin.
    pub fn calendar(&self, environment: &EnvironmentName) -> Calendar {
        self.environments.get(environment).map(|declared| calendar::of(declared)).unwrap_or_default()
    }

    /// Who may give which command in a comment for `environment`. None where it is not declared.
    pub fn rights(&self, environment: &EnvironmentName) -> Option<Rights> {
        self.environments.get(environment).map(|declared| declared.commands.rights())
    }

    /// Whether a pull request from a fork is planned before somebody who may write here asks for it.
    pub fn plans_forks(&self) -> bool {
        self.fleet.pull_requests.plan_forks.unwrap_or(false)
    }

    /// The fleet of one environment. `overrides` replaces how instances are reached, and with that every
    /// address that is rendered.
    pub fn resolve(&self, environment: &EnvironmentName, overrides: &Overrides) -> Result<Arc<Fleet>, Vec<Finding>> {
        if !self.errors.is_empty() {
            return Err(self.errors.clone());
        }
        if overrides.instances.is_empty()
            && let Some(fleet) = self.fleets.get(environment)
        {
            return Ok(Arc::clone(fleet));
        }
        let mut findings = Findings::new(&Budget::STANDARD);
        overrides::unknown_instances(self, overrides, &mut findings);
        let placements = Placements::of(self, &mut findings);
        let Some(fleet) = resolve::environment(self, &placements, environment, overrides, &mut findings) else {
            let message = format!("there is no environment `{environment}`");
            let hint = self.names.hint_for(Kind::Environment, environment.as_str());
            let mut unknown = Findings::new(&Budget::STANDARD);
            unknown.say(Draft::error(Code::UnknownEnvironment, message).hint_of(hint));
            return Err(unknown.finish());
        };
        overrides::led_astray(&fleet, overrides, &mut findings);
        findings.finish_or(fleet)
    }

    /// Whether `name` is declared, be it in a file with errors.
    fn knows(&self, kind: Kind, name: &str) -> bool {
        let read = match kind {
            Kind::Environment => self.environments.contains_key(name),
            Kind::Instance => self.instances.contains_key(name),
            Kind::Service => self.services.contains_key(name),
            Kind::Site => self.sites.contains_key(name),
        };
        read || self.is_broken(kind, name)
    }

    /// Whether the file of `name` has errors of its own: then nothing is said of another file on its strength.
    fn is_broken(&self, kind: Kind, name: &str) -> bool {
        !self.broken.is_empty() && self.broken.contains(&(kind, name.to_owned()))
    }

    fn any_broken(&self, kind: Kind) -> bool {
        self.broken.range((kind, String::new())..).next().is_some_and(|(of, _)| *of == kind)
    }
}
