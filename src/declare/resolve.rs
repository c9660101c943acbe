//! One environment's fleet: defaults filled in, placements decided, references replaced.
//!
//! Keeps true: whatever cannot be resolved is a finding; a fleet that comes with errors is for checking
//! only and never leaves `declare`. Everything that depends on the environment is checked here, so that
//! what is checked and what is used are one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Declaration, Declared, calendar, check,
    de::At,
    expand::{Outcome, Running, Targets, Written},
    file::File,
    findings::{Draft, Findings},
    kinds::{
        self, Allow, HealthCheck, InstanceFailureRule, InstanceFile, JumpHost, RolloutKeys, ServiceFile, SiteFile,
        SourceKeys,
    },
    overrides::{InstanceOverride, Overrides},
    place::Placements,
    rollout, source,
};
use crate::model::{
    drift::DriftPolicy,
    finding::Code,
    fleet::{
        Certificate, Check, Environment, Fleet, Health, Instance, Jump, OnInstanceFailure, Python, Route, Service,
        Serving, Site, Ssh,
    },
    name::{EnvironmentName, InstanceName, ServiceName, SiteName},
    quantity::Span,
    run::SETTLE,
    source::Source,
};

/// How many releases stay on an instance to go back to.
const KEEP_RELEASES: u32 = 5;
/// How often an environment that does not say is looked at for drift.
pub(super) const OBSERVE_INTERVAL: Span = seconds(30);

/// A host that reboots, or a network that blinks, is back by then.
const LOST_AFTER: Span = seconds(60);

/// The port that nginx answers its digest on, unless the fleet says otherwise. Out of the way of
/// registered services and of the kernel's ephemeral range.
pub const DIGEST_PORT: u16 = 19_180;

/// What a pattern costs in steps that is parsed.
const PATTERN: usize = 1_000;

/// What one more name in a list of a service costs.
const NAME: usize = 32;

/// What a copy of a service or site for one more instance costs in steps besides its texts: its unit, or its server.
const COPY: usize = 256;

/// Resolves `environment`, of which everything that is wrong is said; None when it is not declared.
pub fn environment(
    declaration: &Declaration,
    placements: &Placements,
    environment: &EnvironmentName,
    overrides: &Overrides,
    findings: &mut Findings,
) -> Option<Arc<Fleet>> {
    let (name, file) = declaration.environments.get_key_value(environment)?;
    let instances = placements.instances(name.as_str()).filter_map(|name| declaration.instances.get_key_value(name));
    let instances: BTreeMap<InstanceName, Instance> =
        instances.map(|(name, file)| (name.clone(), instance(declaration, name, file, overrides))).collect();
    let targets = targets(declaration, placements, name, &instances);
    let outcome = Outcome { findings, edges: BTreeMap::new() };
    let of_environment = file.rollout.as_ref();
    let mut resolver = FleetResolver {
        declaration,
        placements,
        overrides,
        environment: name,
        of_environment,
        targets: &targets,
        outcome,
    };
    let mut services = resolver.services();
    let sites = resolver.sites();
    let mut outcome = resolver.outcome;
    let digest_port = declaration.fleet.digest_port.as_deref().copied().unwrap_or(DIGEST_PORT);
    rollout::assign_ports(&mut services, &instances, &declaration.fleet.name, digest_port);
    let fleet = Arc::new(Fleet {
        name: declaration.fleet.name.value.clone(),
        environment: Environment {
            name: name.clone(),
            branch: file.branch.to_string(),
            observe_interval: file.observe_interval.as_deref().copied().unwrap_or(OBSERVE_INTERVAL),
            drift: DriftPolicy {
                default: file.drift.unwrap_or_default(),
                by_difference: file.drift_of.iter().flatten().map(|(kind, rule)| (*kind, rule.value)).collect(),
            },
            on_instance_failure: match file.on_instance_failure {
                Some(InstanceFailureRule::LeaveOut) => {
                    OnInstanceFailure::LeaveOut { at_most: file.leave_out_at_most.as_deref().copied().unwrap_or(1) }
                }
                Some(InstanceFailureRule::Undo) | None => OnInstanceFailure::Undo,
            },
            rollback_on_failure: file.rollback_on_failure.unwrap_or(true),
            keep_releases: file.keep_releases.unwrap_or(KEEP_RELEASES),
            calendar: calendar::of(file),
            require_checks: file.require_checks.clone().unwrap_or_default(),
            lost_after: file.lost_after.as_deref().copied().unwrap_or(LOST_AFTER),
        },
        digest_port,
        grants: declaration.fleet.allow.as_ref().map(Allow::grants).unwrap_or_default(),
        instances,
        services,
        sites,
    });
    if !outcome.findings.is_spent() {
        check::environment(declaration, &fleet, &mut outcome);
    }
    Some(fleet)
}

const fn seconds(number: u64) -> Span {
    Span(Duration::from_secs(number))
}

/// How an instance is reached and what it is like, here or as the override file says.
pub(super) fn instance(
    declaration: &Declaration,
    name: &InstanceName,
    file: &InstanceFile,
    overrides: &Overrides,
) -> Instance {
    let overridden = overrides.instances.get(name);
    let fleet = &declaration.fleet.ssh;
    let own = &file.ssh;
    let user = || own.user.as_ref().or(fleet.user.as_ref()).map_or_else(|| "root".to_owned(), ToString::to_string);
    let host_key = || file.host_key.as_ref().and_then(|key| check::host_key(key).ok());
    let by = |pick: fn(&InstanceOverride) -> Option<String>| overridden.and_then(pick);
    let user = by(|o| o.ssh.user.clone()).unwrap_or_else(user);
    let address = overridden.and_then(|o| o.address).unwrap_or(*file.address);
    // A jump host leads to the declared address, and to no other.
    let declared_jump = own.jump.as_ref().filter(|_| address == *file.address);
    let jump = overridden.and_then(|o| o.ssh.jump.as_ref()).or(declared_jump).map(|written| jump(written, &user));
    Instance {
        name: name.clone(),
        address,
        ssh: Ssh {
            user,
            port: overridden.and_then(|o| o.ssh.port).or(own.port).or(fleet.port).unwrap_or(22),
            host_key: by(|o| o.host_key.clone()).or_else(host_key),
            key: overridden.and_then(|o| o.ssh.key.clone()),
            jump,
            namespace: by(|o| o.network_namespace.clone()).or_else(|| overrides.network_namespace.clone()),
        },
        ports: *file.ports,
        labels: file.labels.clone(),
        packages: file.packages.iter().map(ToString::to_string).collect(),
        grants: file.allow.as_ref().map(Allow::grants).unwrap_or_default(),
    }
}

fn jump(written: &JumpHost, instance_user: &str) -> Jump {
    Jump {
        address: *written.address,
        port: written.port.unwrap_or(22),
        user: written.user.as_ref().map_or_else(|| instance_user.to_owned(), ToString::to_string),
        host_key: written.host_key.as_ref().and_then(|key| check::host_key(key).ok()),
    }
}

fn targets<'a>(
    declaration: &'a Declaration,
    placements: &'a Placements,
    environment: &'a EnvironmentName,
    instances: &BTreeMap<InstanceName, Instance>,
) -> Targets<'a> {
    let running: Running = placements
        .services(environment.as_str())
        .filter_map(|(name, placement)| {
            let port = **declaration.services.get(name)?.within(environment.as_str()).port();
            Some((name.clone(), (Arc::clone(&placement.on), port)))
        })
        .collect();
    let sites = placements.sites(environment.as_str()).filter_map(|(name, _)| {
        let effective = declaration.sites.get(name)?.within(environment.as_str());
        let scheme = if effective.tls().is_some() { "https" } else { "http" };
        let domain = Some(effective.domain()).filter(|domain| ****domain != *"_");
        Some((name.clone(), domain.map(|domain| format!("{scheme}://{}", **domain))))
    });
    let here = placements.instances(environment.as_str());
    Targets {
        declaration,
        placements,
        environment: environment.as_str(),
        addresses: here.filter_map(|name| instances.get(name).map(|instance| (name, instance.address))).collect(),
        services: Arc::new(running),
        sites: sites.collect(),
    }
}

fn python(python: &kinds::Python) -> Python {
    Python {
        requirements: python.requirements.to_string(),
        interpreter: python.interpreter.as_ref().map_or("/usr/bin/python3".to_owned(), ToString::to_string),
        index: python.index.as_ref().map(ToString::to_string),
        netrc: python.netrc.as_ref().map(ToString::to_string),
    }
}

struct FleetResolver<'a, 'f> {
    declaration: &'a Declaration,
    placements: &'a Placements,
    overrides: &'a Overrides,
    environment: &'a EnvironmentName,
    /// What it says of how new versions take over.
    of_environment: Option<&'a RolloutKeys>,
    targets: &'a Targets<'a>,
    outcome: Outcome<'f>,
}

impl<'a> FleetResolver<'a, '_> {
    /// Counts what is copied for each of `copies` instances, before it is. False when that is too much.
    fn copies(&mut self, file: &File, bytes: usize, copies: usize) -> bool {
        self.outcome.findings.spend(bytes.saturating_add(COPY).saturating_mul(copies), file)
    }

    fn services(&mut self) -> BTreeMap<ServiceName, Service> {
        let placed = self.targets.services.iter();
        placed
            .filter_map(|(name, (on, port))| {
                let file = self.declaration.services.get(name)?;
                let effective = file.within(self.environment.as_str());
                let env = effective.env().into_iter().map(|(key, (text, _))| key.len() + text.len()).sum::<usize>();
                let names = effective.after().len() + effective.replaces().len() + effective.run().state.len();
                let bytes = env + effective.run().exec.len() + source::weight(effective.source()) + NAME * names;
                self.copies(&file.file, bytes, on.len()).then(|| (name.clone(), self.service(name, file, on, *port)))
            })
            .collect()
    }

    fn service(
        &mut self,
        name: &'a ServiceName,
        file: &'a Declared<ServiceFile>,
        on: &BTreeSet<InstanceName>,
        port: u16,
    ) -> Service {
        let effective = file.within(self.environment.as_str());
        let written = |span| Written { file: &file.file, span, service: name };
        let run = effective.run();
        let exec = self.command(&run.exec, written(run.exec.span));
        let user = run.user.as_ref().or(self.declaration.fleet.defaults.user.as_ref()).map(|user| &***user);
        if user.is_none() {
            let message = format!("nothing says which user runs `{name}`");
            let hint =
                "add `defaults: {user: …}` to fleet.yaml, or `user` to `run` and `allow: {users: […]}` to fleet.yaml";
            let finding = Draft::error(Code::MissingUser, message).at(&file.file, run.exec.span);
            self.outcome.findings.say(finding.hint(hint));
        }
        let env = effective
            .env()
            .into_iter()
            .map(|(key, (text, span))| (key.to_owned(), self.targets.expand(text, written(span), &mut self.outcome)));
        let env = env.collect();
        let health = self.health(effective.health().map(|health| &**health), &file.file, name);
        let resources = effective.resources();
        let is_placed = |after: &ServiceName| self.targets.services.contains_key(after);
        Service {
            name: name.clone(),
            description: one_line(effective.description().map_or(name.as_str(), |description| description.as_str())),
            sources: self.sources(&file.file, effective.source(), on),
            exec,
            python: run.python.as_ref().map(python),
            user: user.unwrap_or_default().to_owned(),
            notify: run.notify.unwrap_or_default(),
            unconfined: run.unconfined.iter().copied().collect(),
            state: run.state.iter().map(ToString::to_string).collect(),
            on: on.clone(),
            port,
            env,
            env_file: effective.env_file().map(ToString::to_string),
            memory: resources.and_then(|resources| resources.memory.clone()),
            cpu: resources.and_then(|resources| resources.cpu),
            health,
            rollout: rollout::resolved(effective.rollout(), self.of_environment, on),
            after: effective.after().iter().filter_map(|after| after.parse().ok()).filter(is_placed).collect(),
            replaces: effective.replaces().iter().map(ToString::to_string).collect(),
            declared_in: file.file.path.to_string(),
        }
    }

    /// Where the files come from on each of the instances.
    fn sources(
        &mut self,
        file: &File,
        keys: &At<SourceKeys>,
        on: &BTreeSet<InstanceName>,
    ) -> BTreeMap<InstanceName, Source> {
        let findings = &mut *self.outcome.findings;
        // Patterns are parsed anew for each processor.
        if !findings.spend(keys.exclude.len().saturating_mul(PATTERN), file) {
            return BTreeMap::new();
        }
        let mut made = BTreeMap::new();
        let chosen = on.iter().filter_map(|name| {
            let source = source::choose(self.declaration, self.overrides, (file, keys), name, &mut made, findings)?;
            Some((name.clone(), source))
        });
        chosen.collect()
    }

    /// A command as words, references replaced after splitting: what a reference yields is one word.
    fn command(&mut self, text: &str, written: Written<'_>) -> Vec<String> {
        let words = shlex::split(text).unwrap_or_default();
        words.iter().map(|word| self.targets.expand(word, written, &mut self.outcome)).collect()
    }

    /// A service that declares none is healthy when its port takes a connection.
    fn health(&mut self, declared: Option<&HealthCheck>, file: &File, service: &ServiceName) -> Health {
        let nothing = HealthCheck::default();
        let health = declared.unwrap_or(&nothing);
        let defaults = &self.declaration.fleet.defaults.health;
        let check = match (&health.http, &health.exec) {
            (Some(path), _) => Check::Http(path.to_string()),
            (None, Some(exec)) => Check::Exec(self.command(exec, Written { file, span: exec.span, service })),
            (None, None) => Check::Tcp,
        };
        let pick = |own: &Option<At<Span>>, fleet: &Option<At<Span>>, last| {
            own.as_deref().or(fleet.as_deref()).copied().unwrap_or(last)
        };
        // Where nothing else tells, the process has to run for a while.
        let settle = if check.tells_that_it_serves() { Duration::ZERO } else { SETTLE };
        Health {
            check,
            interval: pick(&health.interval, &defaults.interval, seconds(5)),
            timeout: pick(&health.timeout, &defaults.timeout, seconds(2)),
            retries: health.retries.or(defaults.retries).unwrap_or(3),
            start_period: health.start_period.or(defaults.start_period).unwrap_or(seconds(30)),
            settle: health.settle.or(defaults.settle).unwrap_or(Span(settle)),
            successes: health.successes.as_deref().or(defaults.successes.as_deref()).copied().unwrap_or(1),
        }
    }

    fn sites(&mut self) -> BTreeMap<SiteName, Site> {
        let names = self.targets.sites.keys();
        let served = names.filter_map(|name| {
            let file = self.declaration.sites.get(name)?;
            let on = &self.placements.site(self.environment.as_str(), name)?.on;
            let effective = file.within(self.environment.as_str());
            let routes =
                effective.routes().iter().map(|(path, to)| path.len() + to.service.len() + COPY).sum::<usize>();
            let headers = file.headers.iter().map(|(name, value)| name.len() + value.0.as_ref().map_or(0, String::len));
            let frontend = file.frontend.as_ref().map_or(0, |frontend| source::weight(&frontend.source));
            let bytes = routes + headers.sum::<usize>() + frontend + effective.domain().len();
            self.copies(&file.file, bytes, on.len()).then(|| (name.clone(), self.site(name, file, on)))
        });
        served.collect()
    }

    fn site(&mut self, name: &SiteName, file: &Declared<SiteFile>, on: &BTreeSet<InstanceName>) -> Site {
        let effective = file.within(self.environment.as_str());
        let routes = effective.routes().iter().filter_map(|(path, to)| {
            // A service that is not known is an error of its own.
            let route = Route {
                service: to.service.parse().ok()?,
                keep_prefix: to.keep_prefix.unwrap_or(false),
                websocket: to.websocket.unwrap_or(false),
                stream: to.stream.unwrap_or(false),
                timeout: to.timeout.as_deref().copied(),
                body_size: to.body_size.clone(),
            };
            Some((path.value.clone(), route))
        });
        let frontend = file.frontend.as_ref().map(|frontend| self.sources(&file.file, &frontend.source, on));
        let serving = file.frontend.as_ref().map(|frontend| Serving {
            spa: frontend.spa.unwrap_or(false),
            immutable: frontend.immutable.as_ref().map(|globs| globs.iter().map(ToString::to_string).collect()),
        });
        let tls = effective
            .tls()
            .map(|tls| Certificate { certificate: tls.certificate.to_string(), key: tls.key.to_string() });
        Site {
            name: name.clone(),
            domain: effective.domain().to_string(),
            on: on.clone(),
            frontend: frontend.unwrap_or_default(),
            serving: serving.unwrap_or_default(),
            routes: routes.collect(),
            tls,
            acme_root: file.acme_root.as_ref().map(ToString::to_string),
            headers: file.headers.iter().map(|(name, value)| (name.value.clone(), value.0.clone())).collect(),
            replaces_default: file.replaces_default.unwrap_or(false),
            replaces: file.replaces.iter().map(ToString::to_string).collect(),
            declared_in: file.file.path.to_string(),
        }
    }
}

/// A description may be folded over lines; a unit's may not.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
