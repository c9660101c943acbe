//! The tables of foreign words and of examples, by the names that mappings have in the schemas.
//!
//! Owns: which table a mapping has, and the examples. Keeps true: every line is one that its mapping takes (a test of
//! `foreign.rs` holds it against the schemas). Never does: guessing what a value means.

use super::{
    Answer,
    hosts::{DEFAULTS, ENVIRONMENT, FLEET, INSTANCE, JUMP, SSH},
    services::{HEALTH, HEALTH_DEFAULTS, PLACE, PYTHON, RESOURCES, ROLLOUT, RUN, SERVICE},
    sites::{BUILD, FRONTEND, ROUTE, SITE, SOURCE, TLS},
};

pub const fn to(foreign: &'static str, write: &'static str, note: &'static str) -> Answer {
    Answer { foreign, write, note }
}

pub const FILE_NAME: &str = "leave it out: its name is the name of its file";
pub const NO_CONTAINER: &str = "evenkeel runs no containers: systemd runs the program from the files of `source`";

/// Keys below which others write all that a service's file has at its top.
pub const HOLDS_THE_REST: [&str; 7] =
    ["services", "containers", "apps", "applications", "processes", "programs", "spec"];

/// Answers by mappings.
pub const ANSWERS: &[(&str, &[Answer])] = &[
    ("Service ServiceOverlay", SERVICE),
    ("Run", RUN),
    ("Python", PYTHON),
    ("Place", PLACE),
    ("Health", HEALTH),
    ("HealthDefaults", HEALTH_DEFAULTS),
    ("Resources", RESOURCES),
    ("Rollout", ROLLOUT),
    ("Source", SOURCE),
    ("Build", BUILD),
    ("Site SiteOverlay", SITE),
    ("Route", ROUTE),
    ("Frontend", FRONTEND),
    ("Tls", TLS),
    ("Instance", INSTANCE),
    ("Ssh InstanceSsh", SSH),
    ("JumpHost", JUMP),
    ("Environment", ENVIRONMENT),
    ("Fleet", FLEET),
    ("Defaults", DEFAULTS),
];

/// A line for each key whose value may be written in a wrong shape, or that may be missing, by mappings.
pub const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "Service ServiceOverlay",
        &[
            "source: {path: <text|app>}",
            "run: {exec: <words|/usr/bin/python3 main.py>}",
            "place: {on: <list|[INSTANCE]>}",
            "port: <port|8000>",
            "env: <env|{LOG_LEVEL: info}>",
            "env_file: /etc/evenkeel.d/FLEET/SERVICE/env",
            "resources: {memory: 512M, cpu: 100%}",
            "health: {http: <path|/health>}",
            "rollout: {strategy: rolling}",
            "after: <list|[SERVICE]>",
            "replaces: <list|[old.service]>",
            "in: {staging: {env: {LOG_LEVEL: debug}}}",
        ],
    ),
    (
        "Run",
        &[
            "exec: <words|/usr/bin/python3 main.py>",
            "python: {requirements: requirements.txt}",
            "user: <text|app>",
            "state: <list|[data]>",
            "unconfined: <list|[NoNewPrivileges]>",
            "notify: true",
        ],
    ),
    ("Python", &["requirements: <first|requirements.txt>", "interpreter: /usr/bin/python3"]),
    ("Place", &["on: <list|[INSTANCE]>", "where: {role: web}", "replicas: <number|2>"]),
    (
        "Health",
        &[
            "http: <path|/health>",
            "tcp: true",
            "exec: <words|/usr/bin/true>",
            "retries: <number|3>",
            "interval: 5s",
            "timeout: 2s",
        ],
    ),
    (
        "Rollout",
        &[
            "strategy: rolling",
            "max_unavailable: <number|1>",
            "pause: 10s",
            "order: <list|[INSTANCE]>",
            "bake: 30s",
            "ports: <list|[8190, 8191]>",
        ],
    ),
    ("Resources", &["memory: 512M", "cpu: 100%"]),
    (
        "Source",
        &[
            "path: <first|app>",
            "git: <first|URL>",
            "rev: <first|main>",
            "build: {run: <words|make>, output: .}",
            "exclude: <list|[\"tests/**\"]>",
        ],
    ),
    ("Build", &["run: <words|make>", "output: <first|dist>", "env: <env|{NODE_ENV: production}>", "network: true"]),
    (
        "Site SiteOverlay",
        &[
            "domain: <first|www.example.org>",
            "on: <list|[INSTANCE]>",
            "routes: {/: <service|SERVICE>}",
            "frontend: {source: {path: <text|web>}}",
            "tls: {certificate: /etc/ssl/NAME.pem, key: /etc/ssl/NAME.key}",
            "acme_root: /var/www/acme",
            "headers: {X-Frame-Options: DENY}",
            "replaces_default: true",
        ],
    ),
    (
        "Route",
        &["service: <service|SERVICE>", "timeout: 60s", "body_size: 10M", "websocket: true", "keep_prefix: true"],
    ),
    ("Frontend", &["source: {path: <text|web>}", "spa: true", "immutable: <list|[\"assets/**\"]>"]),
    ("Tls", &["certificate: /etc/ssl/NAME.pem", "key: /etc/ssl/NAME.key"]),
    (
        "Instance",
        &[
            "environment: <first|production>",
            "address: <first|192.0.2.11>",
            "host_key: ssh-ed25519 AAAA…",
            "ports: <port|8000>-8099",
            "labels: {role: <first|web>}",
            "packages: <list|[jq]>",
            "ssh: {user: <login|ubuntu>}",
            "allow: {users: <list|[app]>}",
        ],
    ),
    ("InstanceSsh", &["user: <first|ubuntu>", "port: <number|22>", "jump: {address: 192.0.2.1, user: ubuntu}"]),
    ("Ssh", &["user: <first|ubuntu>", "port: <number|22>"]),
    ("JumpHost", &["address: <first|192.0.2.1>", "user: <first|ubuntu>"]),
    (
        "Environment",
        &[
            "branch: <first|main>",
            "observe_interval: 30s",
            "drift: repair",
            "drift_of: {packages: report}",
            "rollback_on_failure: true",
            "require_checks: <list|[ci]>",
            "rollout: {strategy: rolling}",
            "windows: [{days: mon-thu, from: \"09:00\", to: \"17:00\", tz: Europe/Berlin}]",
            "freezes: [{from: \"2026-12-20\", to: \"2027-01-03\", reason: holidays}]",
            "commands: {hold: write}",
            "keep_releases: <number|5>",
        ],
    ),
    (
        "Fleet",
        &[
            "name: <first|shop>",
            "ssh: {user: <text|ubuntu>}",
            "defaults: {user: <text|app>}",
            "allow: {users: <list|[app]>}",
            "history_writers: [\"ssh-ed25519 AAAA… NAME\"]",
            "pull_requests: {plan_forks: false}",
        ],
    ),
    ("Defaults", &["user: <first|app>", "health: {interval: 5s}"]),
];
