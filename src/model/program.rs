//! Which programs of a host a service's commands start.
//!
//! Keeps true: what lies in a release or a virtual environment is none of the host's. Never does: looking.

use super::{
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

/// What a service needs of its hosts: what each command begins with, and what `env` there begins with.
pub fn of_host(fleet: &FleetName, service: &Service) -> Vec<HostProgram> {
    let mut found = Vec::new();
    let health = match &service.health.check {
        Check::Exec(words) => words.as_slice(),
        Check::Http(_) | Check::Tcp => &[],
    };
    for (words, key) in [(service.exec.as_slice(), "run.exec"), (health, "health.exec")] {
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
