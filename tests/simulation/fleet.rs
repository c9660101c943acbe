//! The fleet that a story's commits declare: a few instances, a few services, one site.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel::model::tree::{Entry, Tree};

use crate::dice::Dice;

pub const ENVIRONMENT: &str = "production";
/// The fleet folder below the repository's root.
pub const FOLDER: &str = "fleet";
pub const NAME: &str = "sim";
const NAMES: [&str; 5] = ["alpha", "beta", "delta", "gamma", "omega"];

/// How a version misbehaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sick {
    #[default]
    No,
    /// It runs, and answers that it is not well.
    Unhealthy,
    /// Its process does not start.
    Dead,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub version: u64,
    pub code: u64,
    /// The version of what its virtual environment holds; None: it has none.
    pub packages: Option<u64>,
    pub sick: Sick,
    pub on: BTreeSet<usize>,
    pub after: Option<&'static str>,
    pub port: u16,
    /// A unit that ran before evenkeel.
    pub replaces: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub instances: usize,
    pub services: BTreeMap<&'static str, Service>,
    /// Where the site is, and the version of what it shows.
    pub site: Option<(usize, u64)>,
    pub rollback_on_failure: bool,
    pub package: bool,
    /// Whether services run as one of two copies, but for some versions of them.
    pub copies: bool,
    /// Why it does not validate.
    pub broken: bool,
}

pub fn instance(number: usize) -> String {
    format!("h{}", number + 1)
}

pub fn address(number: usize) -> String {
    format!("10.0.0.{}", number + 1)
}

impl Declared {
    pub fn first(dice: &mut Dice) -> Self {
        let instances = dice.between(2, 4) as usize;
        let mut declared = Self {
            instances,
            services: BTreeMap::new(),
            site: Some((dice.below(instances as u64) as usize, 1)),
            rollback_on_failure: !dice.chance(8),
            package: false,
            copies: false,
            broken: false,
        };
        for _ in 0..dice.between(2, 4) {
            declared.add(dice);
        }
        declared
    }

    fn add(&mut self, dice: &mut Dice) {
        let free: Vec<_> = NAMES.iter().copied().filter(|name| !self.services.contains_key(name)).collect();
        let Some(name) = free.first().copied() else { return };
        let first = dice.below(self.instances as u64) as usize;
        let mut on = BTreeSet::from([first]);
        if dice.chance(40) {
            on.insert(dice.below(self.instances as u64) as usize);
        }
        let others: Vec<_> = self.services.keys().copied().collect();
        let after = (!others.is_empty() && dice.chance(50)).then(|| *dice.pick(&others));
        // A new service may get the port of one that has gone.
        let taken: BTreeSet<u16> = self.services.values().map(|service| service.port).collect();
        let port = (8001..).find(|port| !taken.contains(port)).unwrap_or(8001);
        let replaces = name == "alpha" && dice.chance(50);
        let packages = dice.chance(40).then_some(1);
        let service = Service { version: 1, code: 1, packages, sick: Sick::No, on, after, port, replaces };
        self.services.insert(name, service);
    }

    /// One commit later.
    pub fn changed(&self, dice: &mut Dice) -> Self {
        let mut next = self.clone();
        next.broken = false;
        for _ in 0..dice.between(1, 2) {
            next.change(dice);
        }
        next
    }

    fn change(&mut self, dice: &mut Dice) {
        let names: Vec<_> = self.services.keys().copied().collect();
        let name = *dice.pick(&names);
        let instances = self.instances as u64;
        match dice.below(11) {
            0..=2 => self.service(name).version += 1,
            3 | 4 => self.service(name).code += 1,
            5 => self.service(name).on = BTreeSet::from([dice.below(instances) as usize]),
            6 if self.services.len() > 2 => {
                self.services.remove(name);
                self.services
                    .values_mut()
                    .filter(|other| other.after == Some(name))
                    .for_each(|other| other.after = None);
            }
            7 => self.add(dice),
            8 => {
                self.site = match self.site {
                    Some(_) if dice.chance(20) => None,
                    Some((on, version)) => Some((on, version + 1)),
                    None => Some((dice.below(instances) as usize, 1)),
                }
            }
            9 => {
                let service = self.service(name);
                service.packages = match service.packages {
                    Some(_) if dice.chance(20) => None,
                    packages => Some(packages.unwrap_or(0) + 1),
                }
            }
            _ if dice.chance(20) => self.package = true,
            _ => self.services.values_mut().for_each(|service| service.version += 1),
        }
    }

    /// With a version that does not work.
    pub fn sickened(&self, dice: &mut Dice) -> Self {
        let mut next = self.changed(dice);
        let names: Vec<_> = next.services.keys().copied().collect();
        let name = *dice.pick(&names);
        let service = next.service(name);
        service.version += 1;
        service.sick = if dice.chance(60) { Sick::Unhealthy } else { Sick::Dead };
        next
    }

    /// With everything well again.
    pub fn mended(&self, dice: &mut Dice) -> Self {
        let mut next = self.changed(dice);
        next.services.values_mut().for_each(|service| service.sick = Sick::No);
        next
    }

    fn service(&mut self, name: &str) -> &mut Service {
        self.services.get_mut(name).expect("it is declared")
    }

    pub fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        let mut write = |path: String, text: String| {
            let entry = Entry::File { content: text.into_bytes().into(), executable: false };
            tree.insert(&path, entry).expect("a plain path");
        };
        let in_fleet = |path: &str| format!("{FOLDER}/{path}");
        write(
            in_fleet("fleet.yaml"),
            format!(
                "name: {NAME}\nallow: {{users: [root], env_files: [/etc/secrets/*.env]}}\ndefaults:\n  user: root\n  \
                 health: {{interval: 1s, timeout: 1s, retries: 2, start_period: 3s}}\n"
            ),
        );
        write(
            in_fleet(&format!("environments/{ENVIRONMENT}.yaml")),
            format!(
                "branch: main\nobserve_interval: 60s\nlost_after: 20s\nrollback_on_failure: {}\n",
                self.rollback_on_failure
            ),
        );
        for number in 0..self.instances {
            let extra = if self.package { ", jq" } else { "" };
            write(
                in_fleet(&format!("instances/{}.yaml", instance(number))),
                format!(
                    "environment: {ENVIRONMENT}\naddress: {}\nports: 8000-8099\npackages: [nginx-light{extra}]\n",
                    address(number)
                ),
            );
        }
        for (name, service) in &self.services {
            write(in_fleet(&format!("services/{name}.yaml")), service.text(name, self.copies, self.broken));
            write(in_fleet(&format!("code/{name}/server.py")), format!("# {name} {}\n", service.code));
            if let Some(version) = service.packages {
                write(in_fleet(&format!("code/{name}/requirements.txt")), format!("{name}=={version}\n"));
            }
        }
        if let Some((on, version)) = self.site {
            let (name, _) = self.services.first_key_value().expect("a service");
            write(
                in_fleet("sites/app.yaml"),
                format!(
                    "domain: app.example.org\non: [{}]\nfrontend: {{source: {{path: front}}}}\n\
                     routes: {{/api/: {{service: {name}}}}}\nreplaces_default: true\n",
                    instance(on)
                ),
            );
            write(in_fleet("front/index.html"), format!("<p>{version}\n"));
        }
        tree
    }
}

impl Service {
    fn text(&self, name: &str, copies: bool, broken: bool) -> String {
        let on: Vec<String> = self.on.iter().map(|number| instance(*number)).collect();
        let run = match self.packages {
            Some(_) => "{exec: python server.py, python: {requirements: requirements.txt}}",
            None => "{exec: /usr/bin/python3 server.py}",
        };
        let mut text = format!(
            "source: {{path: code/{name}}}\nrun: {run}\nplace: {{on: [{}]}}\nport: {}\n\
             health: {{http: /health}}\nenv: {{VERSION: \"{}\", SICK: \"{:?}\"}}\nenv_file: /etc/secrets/{name}.env\n",
            on.join(", "),
            self.port,
            self.version,
            self.sick
        );
        if let Some(after) = self.after {
            text += &format!("after: [{after}]\n");
        }
        if copies && self.version % 5 != 4 {
            text += "rollout: {strategy: blue-green}\n";
        }
        if self.replaces {
            text += "replaces: [old-alpha.service]\n";
        }
        if broken {
            text += "no_such_key: 1\n";
        }
        text
    }
}
