//! The foreign words of services, and of what stands within one.
//!
//! Owns: what to write for each. Keeps true: every line is one that its mapping takes (a test of `foreign.rs` holds it against
//! the schemas). Never does: guessing what a value means.

use super::{
    Answer,
    words::{FILE_NAME, NO_CONTAINER, to},
};

const UNIT: &str =
    "leave it out: evenkeel writes the unit; what a service may set of it is in `run`, `resources` and `env`";
const OWN_FILE: &str =
    "leave it out, and write what stands below each name into a file of its own, `services/NAME.yaml`";
const JOURNAL: &str =
    "leave it out: what a service prints is in the journal of its instance, `journalctl -u 'FLEET-SERVICE@*'`";
const NO_STEP: &str = "leave it out: no command runs before or after the start; put both into a script of the source and \
                       start that with `run: {exec: ./start.sh}`";
const CONFINED: &str = "leave it out: units are confined by default; `run: {unconfined: [DIRECTIVE]}` lifts what a program \
                        cannot bear";
const NO_TIMER: &str = "leave it out: evenkeel keeps programs running and starts none by the clock; a timer of the host's \
                        systemd does";
const IN_A_SITE: &str = "leave it out: a site leads requests to a service; write `sites/NAME.yaml` with `domain`, `on` and \
                         `routes: {/: SERVICE}`";

pub const SERVICE: &[Answer] = &[
    to(
        "command cmd args arguments entrypoint script start execstart exec program binary executable exec_path",
        "run: {exec: <words|/usr/bin/python3 main.py>}",
        "the program is an absolute path, or begins with `./` where the source has it",
    ),
    to("image container docker oci artifact package", "source: {path: app}", NO_CONTAINER),
    to(
        "build builder dockerfile context",
        "source: {path: app, build: {run: make, output: .}}",
        "`output` is the folder that is deployed; without `build` the files are taken as they are",
    ),
    to(
        "ports port_mapping port_mappings listen expose exposed_ports container_port target_port internal_port app_port \
         host_port http_port published",
        "port: <port|8000>",
        "a service has one port, the one its program listens on (it is told `SERVICE_PORT`)",
    ),
    to(
        "environment environments env_vars vars variables environment_variables env_production envs",
        "env: <env|{LOG_LEVEL: info}>",
        "a secret belongs into `env_file`, a file on the host",
    ),
    to(
        "env_files environment_file environment_files dotenv env_from secret secrets configs",
        "env_file: /etc/evenkeel.d/FLEET/SERVICE/env",
        "the file is the host's: evenkeel never writes it, and restarts the service when it changes",
    ),
    to(
        "replicas replica scale count num_instances numprocs desired_count deploy instance_count",
        "place: {where: {role: web}, replicas: <number|2>}",
        "an instance takes one replica; `place: {on: [INSTANCE]}` names instances instead",
    ),
    to(
        "instances instance hosts host servers server machines nodes node targets regions region deploy_to",
        "place: {on: <list|[INSTANCE]>}",
        "instances are the files of `instances/`",
    ),
    to(
        "node_selector constraints constraint selector affinity roles role",
        "place: {where: {role: web}}",
        "`where` looks at the `labels` of instances",
    ),
    to(
        "restart restart_policy auto_restart always_restart restart_sec autostart start_limit_burst \
         start_limit_interval_sec respawn keep_alive",
        "",
        "leave it out: systemd restarts every service that ends (`Restart=always`), and starts it at boot",
    ),
    to(
        "healthcheck healthchecks check checks liveness_probe readiness_probe startup_probe probe probes liveness \
         readiness health_path health_url http_check",
        "health: {http: <path|/health>}",
        "`tcp: true` asks whether the port takes a connection, `exec` runs a command",
    ),
    to(
        "depends_on requires wants needs binds_to part_of links dependencies start_after upholds requisite",
        "after: <list|[SERVICE]>",
        "`after` names services of this fleet",
    ),
    to("before", "", "leave it out, and write `after: [THIS]` in the file of the service that waits"),
    to(
        "volumes volume mounts mount volume_mounts persistence persistent_volumes data disk disks data_dir storage",
        "run: {state: [data]}",
        "systemd makes /var/lib/FLEET/SERVICE/data for it, which survives releases",
    ),
    to(
        "state_directory state_directories statedir",
        "run: {state: <list|[data]>}",
        "systemd makes /var/lib/FLEET/SERVICE/NAME for it, which survives releases",
    ),
    to(
        "user run_as username uid gid group become_user run_as_user owner dynamic_user",
        "run: {user: <text|app>}",
        "the fleet's `defaults: {user: …}` says it for all services",
    ),
    to(
        "working_dir work_dir working_directory cwd chdir directory dir root",
        "",
        "leave it out: a service starts in the folder of its release, where the files of `source` are",
    ),
    to(
        "memory mem mem_limit memory_limit memory_max max_memory max_memory_restart memory_high mem_reservation",
        "resources: {memory: <text|512M>}",
        "",
    ),
    to("cpu cpus cpu_limit cpu_quota cpu_shares cpuset", "resources: {cpu: 100%}", "100% is one processor"),
    to("limits requests quotas", "resources: {memory: 512M, cpu: 100%}", "100% is one processor"),
    to(
        "strategy update_config update rolling_update deployment deployment_strategy rollback_config",
        "rollout: {strategy: rolling}",
        "",
    ),
    to(
        "networks network network_mode dns extra_hosts dns_search links_to aliases",
        "",
        "leave it out: a service has its host's network, and calls another one by `${service.NAME.url}`",
    ),
    to(
        "labels tags annotations metadata",
        "",
        "leave it out: labels are the instances', and `place: {where: …}` looks at them",
    ),
    to(
        "logging log logs log_driver stdout_logfile stderr_logfile standard_output standard_error syslog_identifier \
         log_file log_opt",
        "",
        JOURNAL,
    ),
    to("services containers apps applications processes programs", "", OWN_FILE),
    to(
        "web worker",
        "run: {exec: <words|/usr/bin/python3 main.py>}",
        "each program is a service with a file of its own",
    ),
    to("name container_name service app service_name id", "", FILE_NAME),
    to(
        "version api_version kind",
        "",
        "leave it out: the files of a fleet have no version, and their folder says the kind",
    ),
    to(
        "hostname domain domains virtual_host traefik proxy routes route ingress http_service server_name tls ssl",
        "",
        IN_A_SITE,
    ),
    to(
        "privileged cap_add cap_drop security_opt read_only no_new_privileges protect_system protect_home private_tmp \
         private_devices capabilities security_context read_write_paths protect_kernel_tunables memory_deny_write_execute \
         restrict_address_families system_call_filter capability_bounding_set ambient_capabilities devices",
        "",
        CONFINED,
    ),
    to(
        "python venv virtualenv requirements pip interpreter python_version",
        "run: {exec: python main.py, python: {requirements: requirements.txt}}",
        "with `python`, a bare name is a program of the virtual environment",
    ),
    to("repo repository git git_url remote", "source: {git: <text|URL>}", ""),
    to("path src code folder files copy", "source: {path: <text|app>}", ""),
    to(
        "branch ref tag rev revision commit",
        "source: {git: URL, rev: <text|main>}",
        "without `git`, the environment's own branch is deployed",
    ),
    to("archive url download", "source: {archive: <text|URL>, sha256: DIGEST}", ""),
    to("schedule cron timer on_calendar", "", NO_TIMER),
    to(
        "exec_start_pre exec_start_post exec_stop exec_reload pre_start post_start init_command before_start \
         migrate migrations hooks hook init_containers pre_deploy release_command release",
        "",
        NO_STEP,
    ),
    to(
        "unit install type kill_signal stop_signal stop_grace_period timeout_stop_sec timeout_start_sec stop_timeout \
         kill_mode kill_timeout tty stdin_open init pull_policy platform ulimits limit_nofile sysctls profiles exec_mode \
         watch wanted_by umask nice remain_after_exit pid_file watchdog_sec notify_access job task driver config spec \
         template interpreter_args extends",
        "",
        UNIT,
    ),
];

pub const RUN: &[Answer] = &[
    to(
        "command cmd args arguments entrypoint script start exec_start program binary executable run shell",
        "exec: <words|/usr/bin/python3 main.py>",
        "the program is an absolute path, or begins with `./` where the source has it",
    ),
    to("username run_as uid group gid as", "user: <text|app>", ""),
    to(
        "state_directory volumes volume data data_dir state_dir mounts",
        "state: <list|[data]>",
        "each is a folder /var/lib/FLEET/SERVICE/NAME",
    ),
    to("venv virtualenv requirements pip", "python: {requirements: requirements.txt}", ""),
    to(
        "working_dir work_dir working_directory cwd chdir directory dir",
        "",
        "leave it out: a service starts in the folder of its release, where the files of `source` are",
    ),
    to("environment vars variables", "", "write `env: {NAME: value}` beside `run`, not in it"),
    to(
        "restart restart_policy autorestart restart_sec always",
        "",
        "leave it out: systemd restarts every service that ends",
    ),
    to("replicas count instances hosts", "", "write `place: {on: [INSTANCE]}` beside `run`, not in it"),
    to("ports listen", "", "write `port: 8000` beside `run`, not in it"),
    to("mem memory_limit cpus limits", "", "write `resources: {memory: 512M, cpu: 100%}` beside `run`, not in it"),
    to("pre_start exec_start_pre before post_start exec_stop exec_reload", "", NO_STEP),
    to("capabilities privileged cap_add security no_new_privileges protect_system", "", CONFINED),
    to("schedule cron timer", "", NO_TIMER),
    to("image container docker", "", NO_CONTAINER),
    to("type kill_signal timeout_stop_sec umask nice limit_nofile", "", UNIT),
    to("log logs stdout stderr logging", "", JOURNAL),
];

pub const PYTHON: &[Answer] = &[
    to(
        "version python executable python_version bin",
        "interpreter: /usr/bin/python3",
        "an interpreter that is on the host",
    ),
    to("file path requirements_file requirement requirements_txt", "requirements: <text|requirements.txt>", ""),
    to(
        "packages dependencies install deps",
        "requirements: requirements.txt",
        "write the packages into that file of the source",
    ),
    to("index_url extra_index_url pip_index registry source", "index: <text|https://pypi.example.org/simple/>", ""),
    to(
        "credentials auth token username password",
        "netrc: /etc/evenkeel.d/FLEET/SERVICE/netrc",
        "the file is the host's",
    ),
    to(
        "venv virtualenv path_to_venv directory",
        "",
        "leave it out: evenkeel makes the virtual environment and keeps it",
    ),
    to(
        "poetry uv pipenv pyproject lock lockfile",
        "requirements: requirements.txt",
        "export them first, as in `uv export -o requirements.txt`",
    ),
];

pub const PLACE: &[Answer] = &[
    to("hosts host instances instance servers server nodes node names machines targets", "on: <list|[INSTANCE]>", ""),
    to(
        "labels label selector match match_labels tags node_selector role roles group groups constraints",
        "where: {role: web}",
        "`where` looks at the `labels` of instances",
    ),
    to("count scale number instances_count", "replicas: <number|2>", "`replicas` goes with `where`"),
    to(
        "environment environments env",
        "",
        "leave it out: an instance belongs to an environment; `in: {staging: {place: …}}` differs by it",
    ),
    to("region regions zone zones datacenters", "where: {zone: a}", "`where` looks at the `labels` of instances"),
];

pub const HEALTH: &[Answer] = &[
    to("path url uri endpoint http_get http_path get target", "http: <path|/health>", ""),
    to(
        "cmd command test script run shell program",
        "exec: <words|/usr/bin/true>",
        "the program is an absolute path, or begins with `./`",
    ),
    to("port tcp_socket socket connect", "tcp: true", "a health check asks the service's own port"),
    to("period period_seconds every interval_seconds check_interval", "interval: 5s", ""),
    to("timeout_seconds wait max_time", "timeout: 2s", ""),
    to(
        "failure_threshold attempts max_attempts threshold tries unhealthy_threshold max_retries",
        "retries: <number|3>",
        "",
    ),
    to(
        "initial_delay_seconds initial_delay grace grace_period startup start_interval start_delay delay start_timeout",
        "start_period: 30s",
        "",
    ),
    to("success_threshold healthy_threshold", "successes: <number|1>", ""),
    to(
        "status expected_status status_code expect success_codes code",
        "",
        "leave it out: a status of 200 to 399 is healthy",
    ),
    to(
        "disable disabled enabled",
        "",
        "leave it out: without `health`, a service is healthy when its port takes a connection",
    ),
    to(
        "method headers body scheme host",
        "",
        "leave it out: the check is a GET of the path at 127.0.0.1 and the service's port",
    ),
];

pub const HEALTH_DEFAULTS: &[Answer] = &[
    to(
        "http tcp exec path url command test",
        "",
        "leave it out: each service says in its own `health` what is asked; here stand times",
    ),
    to("period period_seconds every", "interval: 5s", ""),
    to("timeout_seconds wait", "timeout: 2s", ""),
    to("failure_threshold attempts threshold", "retries: <number|3>", ""),
    to("initial_delay_seconds grace grace_period delay", "start_period: 30s", ""),
    to("success_threshold healthy_threshold", "successes: <number|1>", ""),
];

pub const RESOURCES: &[Answer] = &[
    to("mem ram memory_limit memory_max mem_limit limit max_memory", "memory: <text|512M>", ""),
    to("cpus cpu_limit cpu_quota processors cores", "cpu: 100%", "100% is one processor"),
    to(
        "limits requests reservations",
        "memory: 512M",
        "`memory` and `cpu` stand in `resources` itself, and are limits",
    ),
    to("disk storage gpu gpus pids nofile tasks", "", "leave it out: `memory` and `cpu` are what systemd limits here"),
];

pub const ROLLOUT: &[Answer] = &[
    to("type kind method mode policy", "strategy: rolling", ""),
    to("parallelism batch_size serial max_parallel", "max_unavailable: <number|1>", ""),
    to("delay wait stagger min_ready_seconds", "pause: 10s", ""),
    to("first instances", "order: <list|[INSTANCE]>", ""),
    to(
        "max_surge monitor failure_action max_failure_ratio canary steps",
        "",
        "leave it out: `recreate` restarts all replicas at once, `rolling` a few at a time",
    ),
];
