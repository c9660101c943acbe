//! The foreign words of `fleet.yaml`, environments and instances.
//!
//! Owns: what to write for each. Keeps true: every line is one that its mapping takes (a test of `foreign.rs` holds it against
//! the schemas). Never does: guessing what a value means.

use super::{
    Answer,
    words::{FILE_NAME, NO_CONTAINER, to},
};

const KEYS: &str = "leave it out: evenkeel logs in with the keys of an ssh-agent or with `--ssh-key FILE`; no key or password \
                    stands in git";

pub const INSTANCE: &[Answer] = &[
    to(
        "host ip hostname ansible_host ip_address addr public_ip private_ip ipv4 ipv6 dns endpoint",
        "address: <first|192.0.2.11>",
        "an IP address",
    ),
    to("env stage environments group groups cluster", "environment: <first|production>", ""),
    to("user ansible_user username ssh_user login remote_user", "ssh: {user: <text|ubuntu>}", ""),
    to(
        "port ansible_port ssh_port",
        "ssh: {port: <number|22>}",
        "for sshd's port; `ports: 8000-8099` are those that services may have",
    ),
    to(
        "key ssh_key identity_file ansible_ssh_private_key_file private_key password ansible_password ssh_private_key pem \
         ansible_become_pass",
        "",
        KEYS,
    ),
    to(
        "fingerprint hostkey host_keys known_hosts ssh_host_key public_key ssh_fingerprint",
        "host_key: ssh-ed25519 AAAA…",
        "`ssh-keyscan -t ed25519 ADDRESS` prints it",
    ),
    to(
        "proxy_jump bastion jump jump_host proxy_command gateway ansible_ssh_common_args proxy",
        "ssh: {jump: {address: 192.0.2.1}}",
        "",
    ),
    to("tags roles role tag", "labels: {role: <first|web>}", ""),
    to("apt apt_packages install dependencies pkgs debs", "packages: <list|[jq]>", ""),
    to("port_range range service_ports", "ports: <text|8000-8099>", ""),
    to("architecture cpu platform", "arch: x86_64", ""),
    to(
        "services apps service run sites",
        "",
        "leave it out: a service says where it runs, `place: {on: [INSTANCE]}` in services/NAME.yaml",
    ),
    to(
        "become sudo ansible_become ansible_connection connection ansible_python_interpreter",
        "",
        "leave it out: any user but root uses `sudo` without a password",
    ),
    to("name id", "", FILE_NAME),
    to("vars variables", "", "leave it out: variables are the services', in their `env`"),
    to("memory disk size region zone provider", "labels: {zone: a}", "labels say what `place: {where: …}` looks at"),
];

pub const SSH: &[Answer] = &[
    to("host hostname address ip", "", "write `address: 192.0.2.11` beside `ssh`, not in it"),
    to("key identity_file key_file private_key password keys keys_only key_data", "", KEYS),
    to(
        "proxy_jump bastion jump_host proxy gateway proxy_command",
        "",
        "write `ssh: {jump: {address: 192.0.2.1}}` in the instance's file",
    ),
    to("username login remote_user", "user: <text|ubuntu>", ""),
    to(
        "host_key known_hosts fingerprint",
        "",
        "write `host_key: ssh-ed25519 AAAA…` in the instance's file, beside `ssh`",
    ),
    to(
        "options forward_agent strict_host_key_checking timeout connect_timeout control_master",
        "",
        "leave it out: connections stay open, and keys are those that are pinned",
    ),
];

pub const JUMP: &[Answer] = &[
    to("host hostname ip addr bastion", "address: <first|192.0.2.1>", "an IP address"),
    to("username login", "user: <text|ubuntu>", ""),
    to("fingerprint known_hosts hostkey", "host_key: ssh-ed25519 AAAA…", "`ssh-keyscan -t ed25519 ADDRESS` prints it"),
    to("key identity_file private_key password", "", KEYS),
];

pub const ENVIRONMENT: &[Answer] = &[
    to("ref git_branch git_ref rev revision target_revision tracks follow", "branch: <text|main>", ""),
    to(
        "instances hosts servers nodes groups children",
        "",
        "leave it out: an instance names its environment, `environment: production` in instances/NAME.yaml",
    ),
    to("interval poll_interval poll refresh sync_interval reconcile_interval", "observe_interval: <text|30s>", ""),
    to(
        "self_heal auto_sync sync_policy drift_policy prune",
        "drift: repair",
        "`report` leaves what differs, `ignore` says nothing of it",
    ),
    to("retain_releases releases keep history_limit revision_history_limit", "keep_releases: <number|5>", ""),
    to("rollback auto_rollback auto_revert", "rollback_on_failure: true", ""),
    to("checks status_checks required_checks required_status_checks ci", "require_checks: <list|[ci]>", ""),
    to("name id", "", FILE_NAME),
    to(
        "auto_deploy deploy_on_push continuous_deployment deploy auto_apply manual",
        "",
        "leave it out: what `branch` holds is deployed; `evenkeel hold` keeps an environment as it is",
    ),
    to(
        "vars variables env environment env_vars",
        "",
        "leave it out: variables are the services', `in: {ENVIRONMENT: {env: {…}}}` in services/NAME.yaml",
    ),
    to("services sites", "", "leave it out: every service is in every environment in which `place` finds an instance"),
    to(
        "sync_windows sync_window schedule deployment_windows",
        "windows: [{days: mon-thu, from: \"09:00\", to: \"17:00\"}]",
        "",
    ),
    to("freeze blackouts", "freezes: [{from: \"2026-12-20\", to: \"2027-01-03\"}]", ""),
    to(
        "approval approvals approvers reviewers protection budget",
        "",
        "leave it out: `commands` says who may do what; approvals are not there yet",
    ),
    to("user ssh port", "", "leave it out: `ssh` stands in fleet.yaml and in instances"),
];

pub const FLEET: &[Answer] = &[
    to(
        "project app service title fleet cluster namespace",
        "name: <text|shop>",
        "1 to 31 lower-case letters, digits and `_`",
    ),
    to("user ssh_user remote_user ansible_user", "ssh: {user: <text|ubuntu>}", ""),
    to("port ssh_port", "ssh: {port: <number|22>}", ""),
    to("services service_defaults apps", "", "leave it out: each service has a file of its own, services/NAME.yaml"),
    to(
        "environments environment stages branch",
        "",
        "leave it out: each environment has a file of its own, environments/NAME.yaml",
    ),
    to(
        "instances hosts servers inventory nodes groups all",
        "",
        "leave it out: each instance has a file of its own, instances/NAME.yaml",
    ),
    to("sites proxy ingress domains", "", "leave it out: each site has a file of its own, sites/NAME.yaml"),
    to("version api_version kind metadata", "", "leave it out: a fleet folder has no version"),
    to("env vars variables secrets", "", "leave it out: variables are the services', in their `env` and `env_file`"),
    to("image registry builder accessories", "", NO_CONTAINER),
    to("users groups_allowed grants permissions", "allow: {users: <list|[app]>}", ""),
    to("writers signers trusted_keys keys controllers", "history_writers: [\"ssh-ed25519 AAAA… NAME\"]", ""),
    to("health healthcheck", "defaults: {health: {interval: 5s}}", ""),
];

pub const DEFAULTS: &[Answer] = &[
    to("run_as username", "user: <text|app>", ""),
    to("healthcheck", "health: {interval: 5s}", ""),
    to(
        "env environment vars resources rollout place restart",
        "",
        "leave it out: `user` and `health` have defaults; the rest stands in each service",
    ),
    to("ssh port", "", "write `ssh: {user: ubuntu, port: 22}` beside `defaults`, not in it"),
];
