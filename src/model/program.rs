//! Which programs a service's commands start: the host's, and those that the service brings along.
//!
//! Keeps true: what lies in a release or a virtual environment is none of the host's. Never does: looking.

use super::{
    desired::Replica,
    fleet::{Check, Service},
    name::FleetName,
    paths,
};

/// A program of the host, and the key of the service's file that starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostProgram {
    /// A path, or the name alone of one that is looked for in systemd's own `PATH`.
    pub program: String,
    /// `run.exec` or `health.exec`.
    pub key: &'static str,
}

/// A program that a service brings along, and the key of the service's file that starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProgram {
    /// As it is written: `./run`, or the name of a program of the virtual environment.
    pub program: String,
    pub key: &'static str,
    pub lies_in: Lies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lies {
    Release,
    Venv,
}

impl Lies {
    /// The name of the folder that has all of them, below the fleet's own.
    pub fn folder(self) -> &'static str {
        match self {
            Lies::Release => "releases",
            Lies::Venv => "venvs",
        }
    }
}

/// What each command begins with, where that lies in the service's release or in its virtual environment.
pub fn own(service: &Service) -> Vec<OwnProgram> {
    let own = |(words, key): (&[String], &'static str)| {
        let program = words.first()?.clone();
        let lies_in = match program.starts_with("./") {
            true => Lies::Release,
            false if service.python.is_some() && !program.contains('/') => Lies::Venv,
            false => return None,
        };
        Some(OwnProgram { program, key, lies_in })
    };
    commands(service).into_iter().filter_map(own).collect()
}

/// Where the programs of its virtual environment lie that a replica starts.
pub fn in_venv(fleet: &FleetName, service: &Service, replica: &Replica) -> Vec<String> {
    let of_venv = own(service).into_iter().filter(|own| own.lies_in == Lies::Venv);
    let place = |own: OwnProgram| Some(paths::venv_program(fleet, replica.venv.as_ref()?, &own.program));
    of_venv.filter_map(place).collect()
}

/// Each command of a service, and its key.
fn commands(service: &Service) -> [(&[String], &'static str); 2] {
    let health = match &service.health.check {
        Check::Exec(words) => words.as_slice(),
        Check::Http(_) | Check::Tcp => &[],
    };
    [(service.exec.as_slice(), "run.exec"), (health, "health.exec")]
}

/// What a service needs of its hosts: what each command begins with, and what `env` there begins with.
pub fn of_host(fleet: &FleetName, service: &Service) -> Vec<HostProgram> {
    let mut found = Vec::new();
    for (words, key) in commands(service) {
        let Some(first) = words.first().filter(|first| first.starts_with('/')) else { continue };
        let own = format!("{}/", paths::base(fleet));
        if !first.starts_with(&own) {
            found.push(HostProgram { program: first.clone(), key });
        }
        found.extend(behind_env(words, service).map(|program| HostProgram { program, key }));
    }
    found
}

/// The program that `/usr/bin/env` starts, where it is told by the command alone.
fn behind_env(words: &[String], service: &Service) -> Option<String> {
    let (first, rest) = words.split_first()?;
    if !matches!(first.as_str(), "/usr/bin/env" | "/bin/env") {
        return None;
    }
    let program = rest.iter().find(|word| !word.contains('='))?;
    let is_name = program.chars().all(|c| c.is_ascii_alphanumeric() || "._+-/".contains(c));
    // With a virtual environment or a `PATH` of its own, a name is looked for elsewhere.
    let is_elsewhere = service.python.is_some()
        || service.env_file.is_some()
        || service.env.contains_key("PATH")
        || rest.iter().any(|word| word.starts_with("PATH=") || word.starts_with('-'));
    (is_name && program.starts_with('/') || is_name && !program.contains('/') && !is_elsewhere).then(|| program.clone())
}

/// The Debian package that has a program, where a hint can name one.
pub fn package_of(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    Some(match name {
        "java" => "default-jre-headless",
        "node" | "nodejs" => "nodejs",
        "npm" | "npx" => "npm",
        "python3" => "python3",
        "ruby" => "ruby",
        "php" => "php-cli",
        "perl" => "perl",
        "curl" => "curl",
        "wget" => "wget",
        "gunicorn" => "gunicorn",
        "uvicorn" => "uvicorn",
        "redis-server" | "redis-cli" => "redis",
        "psql" | "pg_isready" => "postgresql-client",
        "nc" | "netcat" => "netcat-openbsd",
        "socat" => "socat",
        "jq" => "jq",
        "bash" => "bash",
        "caddy" => "caddy",
        "docker" => "docker.io",
        _ => return None,
    })
}
