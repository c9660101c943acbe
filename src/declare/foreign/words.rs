//! The tables of foreign words and of examples, by the names that mappings have in the schemas.
//!
//! Owns: what to write for a word that others use. Keeps true: every line is one that its mapping takes (a test of
//! `foreign.rs` holds it against the schemas). Never does: guessing what a value means.

use super::Answer;

const fn to(foreign: &'static str, write: &'static str, note: &'static str) -> Answer {
    Answer { foreign, write, note }
}

const UNIT: &str =
    "leave it out: evenkeel writes the unit; what a service may set of it is in `run`, `resources` and `env`";
const OWN_FILE: &str =
    "leave it out: each service has a file of its own, `services/NAME.yaml`, and its name is the file's";
const JOURNAL: &str =
    "leave it out: what a service prints is in the journal of its instance, `journalctl -u 'FLEET-SERVICE@*'`";
const FILE_NAME: &str = "leave it out: its name is the name of its file";
const NO_STEP: &str = "leave it out: no command runs before or after the start; put both into a script of the source and \
                       start that with `run: {exec: ./start.sh}`";
const CONFINED: &str = "leave it out: units are confined by default; `run: {unconfined: [DIRECTIVE]}` lifts what a program \
                        cannot bear";
const NO_TIMER: &str = "leave it out: evenkeel keeps programs running and starts none by the clock; a timer of the host's \
                        systemd does";
const NO_CONTAINER: &str = "evenkeel runs no containers: systemd runs the program from the files of `source`";
const IN_A_SITE: &str = "leave it out: a site leads requests to a service; write `sites/NAME.yaml` with `domain`, `on` and \
                         `routes: {/: SERVICE}`";
const HEADERS: &str = "leave it out: the service is told host, address and scheme in `Host`, `X-Forwarded-For` and \
                       `X-Forwarded-Proto`";
const KEYS: &str = "leave it out: evenkeel logs in with the keys of an ssh-agent or with `--ssh-key FILE`; no key or password \
                    stands in git";
const WITH_TLS: &str = "leave it out: with `tls: {certificate: …, key: …}`, plain HTTP is redirected to https";

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

const SERVICE: &[Answer] = &[
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
        "rollout: {strategy: recreate}",
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
    to("version api_version kind name container_name service app service_name id", "", OWN_FILE),
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

const RUN: &[Answer] = &[
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

const PYTHON: &[Answer] = &[
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

const PLACE: &[Answer] = &[
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

const HEALTH: &[Answer] = &[
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
    to(
        "status expected_status status_code expect success_codes code success_threshold",
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

const HEALTH_DEFAULTS: &[Answer] = &[
    to(
        "http tcp exec path url command test",
        "",
        "leave it out: each service says in its own `health` what is asked; here stand times",
    ),
    to("period period_seconds every", "interval: 5s", ""),
    to("timeout_seconds wait", "timeout: 2s", ""),
    to("failure_threshold attempts threshold", "retries: <number|3>", ""),
    to("initial_delay_seconds grace grace_period delay", "start_period: 30s", ""),
];

const RESOURCES: &[Answer] = &[
    to("mem ram memory_limit memory_max mem_limit limit max_memory", "memory: <text|512M>", ""),
    to("cpus cpu_limit cpu_quota processors cores", "cpu: 100%", "100% is one processor"),
    to(
        "limits requests reservations",
        "memory: 512M",
        "`memory` and `cpu` stand in `resources` itself, and are limits",
    ),
    to("disk storage gpu gpus pids nofile tasks", "", "leave it out: `memory` and `cpu` are what systemd limits here"),
];

const ROLLOUT: &[Answer] = &[
    to("type kind method mode policy", "strategy: recreate", ""),
    to(
        "max_unavailable max_surge parallelism order delay bake monitor failure_action max_failure_ratio canary steps \
         batch_size wait",
        "",
        "leave it out: `recreate` stops the old one, then starts the new one",
    ),
];

const SOURCE: &[Answer] = &[
    to(
        "directory dir folder local root context src files",
        "path: <text|app>",
        "relative to the fleet folder, or with a `/` first to the repository's root",
    ),
    to("repo repository remote git_url clone github", "git: <text|URL>", ""),
    to(
        "url uri download tarball zip",
        "archive: <text|URL>",
        "an archive needs `sha256` too; another repository is `git: URL`",
    ),
    to("branch tag ref commit revision version", "rev: <text|main>", "`rev` goes with `git`"),
    to("checksum hash digest sha sum sha256sum", "sha256: DIGEST", "as `sha256sum FILE` prints it"),
    to("ignore excludes docker_ignore ignores skip without", "exclude: <list|[\"tests/**\"]>", ""),
    to("include includes only", "", "leave it out: `exclude` says what does not travel, and `path` which folder does"),
    to(
        "token auth ssh_key deploy_key username password key credential",
        "credentials: NAME",
        "a name of the file given with `--credentials` on the controller",
    ),
    to("image container docker registry", "path: app", NO_CONTAINER),
    to("subdir subdirectory subfolder sub_path workdir", "path: <text|app>", ""),
    to(
        "command commands script dockerfile steps",
        "build: {run: <words|make>, output: .}",
        "`output` is the folder that is deployed",
    ),
    to("submodules depth recursive lfs", "", "leave it out: submodules and files of Git LFS are not fetched"),
];

const BUILD: &[Answer] = &[
    to(
        "command cmd script steps commands exec shell args entrypoint",
        "run: <words|make>",
        "one line for the shell, as in `npm ci && npm run build`",
    ),
    to(
        "out dist dir directory artifact artifacts publish output_dir target build_dir output_directory",
        "output: <first|dist>",
        "",
    ),
    to("environment vars variables arg build_args", "env: <env|{NODE_ENV: production}>", ""),
    to("internet online egress allow_network", "network: true", ""),
    to("mem memory_limit", "memory: <text|1G>", ""),
    to("cpus cpu_limit", "cpu: 100%", "100% is one processor"),
    to("timeout_seconds max_time deadline", "timeout: 10m", ""),
    to(
        "context path working_dir cwd",
        "",
        "leave it out: a build runs in the folder of its source; `source: {path: …}` says which",
    ),
    to("cache caches", "", "leave it out: what was built is kept by what it was built of"),
    to(
        "image dockerfile container node_version platform builder version engine tool tools",
        "",
        "leave it out: a build runs in a sandbox with the programs of the machine that runs evenkeel",
    ),
];

const SITE: &[Answer] = &[
    to(
        "server_name server_names host hosts hostname hostnames domains name names fqdn virtual_host url address",
        "domain: <first|www.example.org>",
        "a site has one domain; `_` answers for whatever name is asked for",
    ),
    to("listen port ports bind http_port https_port", "", "leave it out: nginx listens on 80, and with `tls` on 443"),
    to(
        "location locations path paths proxy proxy_pass upstream upstreams backend backends reverse_proxy rules handle \
         service services target targets forward route app apps fastcgi_pass uwsgi_pass grpc_pass handle_path rule to",
        "routes: {/: <service|SERVICE>}",
        "a path that ends with `/` answers for all below it",
    ),
    to(
        "strip_prefix strip_path rewrite rewrites path_rewrite keep_prefix",
        "routes: {/api/: SERVICE}",
        "a route's own part is taken off; `{service: SERVICE, keep_prefix: true}` leaves it",
    ),
    to(
        "root alias index static public dir directory folder dist document_root file_server files static_dir web_root \
         assets source path_to_files",
        "frontend: {source: {path: <text|web>}}",
        "a folder of the repository, not of the host",
    ),
    to("build output command", "frontend: {source: {path: web, build: {run: npm run build, output: dist}}}", ""),
    to(
        "spa try_files fallback single_page error_page",
        "frontend: {source: {path: web}, spa: true}",
        "`index.html` then answers for every path that is no file",
    ),
    to(
        "ssl ssl_certificate ssl_certificate_key certificate certificates cert key https certs crt pem ssl_cert ssl_key",
        "tls: {certificate: /etc/ssl/NAME.pem, key: /etc/ssl/NAME.key}",
        "both are files on the host, which evenkeel does not write",
    ),
    to(
        "letsencrypt acme certbot auto_https auto_tls acme_email email",
        "acme_root: /var/www/acme",
        "an ACME client on the host puts its answers there; evenkeel gets no certificates itself",
    ),
    to("add_header header cors hsts response_headers more_set_headers", "headers: {X-Frame-Options: DENY}", ""),
    to("proxy_set_header request_headers proxy_http_version proxy_redirect", "", HEADERS),
    to(
        "instances instance place placement servers where nodes machines",
        "on: <list|[INSTANCE]>",
        "instances are the files of `instances/`",
    ),
    to("default default_server replace_default", "replaces_default: true", "for the distribution's own default site"),
    to(
        "client_max_body_size max_body_size body_size upload_limit",
        "routes: {/: {service: SERVICE, body_size: <text|10M>}}",
        "",
    ),
    to(
        "proxy_read_timeout timeout read_timeout proxy_connect_timeout proxy_send_timeout",
        "routes: {/: {service: SERVICE, timeout: <text|60s>}}",
        "",
    ),
    to("websocket websockets ws upgrade", "routes: {/: {service: SERVICE, websocket: true}}", ""),
    to("proxy_buffering buffering stream sse", "routes: {/: {service: SERVICE, stream: true}}", ""),
    to("redirect redirects return force_ssl http_redirect redirect_to_https", "", WITH_TLS),
    to(
        "gzip compression brotli encode expires cache gzip_types",
        "",
        "leave it out: answers are compressed, and hashed files are kept by browsers",
    ),
    to(
        "access_log error_log log logs logging",
        "",
        "leave it out: its log is /var/log/nginx/FLEET-SITE.access.log on the instance",
    ),
    to(
        "auth auth_basic basic_auth allow deny auth_basic_user_file limit_req",
        "",
        "leave it out: a site asks nobody who he is; the service has to",
    ),
    to(
        "server http nginx load_balancer",
        "",
        "leave it out: evenkeel writes nginx's server of `domain`, `on`, `routes` and `frontend`",
    ),
    to("version kind api_version id", "", FILE_NAME),
    to(
        "environment env",
        "",
        "leave it out: `on` says where it is served; `in: {staging: {domain: …}}` differs by environment",
    ),
];

const ROUTE: &[Answer] = &[
    to(
        "proxy_pass upstream backend target to url host service_name name app reverse_proxy destination handler server",
        "service: <service|SERVICE>",
        "a service of this fleet, by its name",
    ),
    to(
        "strip_prefix strip_path rewrite strip handle_path remove_prefix path_rewrite",
        "keep_prefix: true",
        "only where the service is to see the whole path: else the route's own part is taken off",
    ),
    to("preserve_path preserve_prefix keep_path", "keep_prefix: true", ""),
    to("port path_port upstream_port", "", "leave it out: it is the service's `port`"),
    to(
        "path prefix location match",
        "",
        "leave it out: the path is the route's own key, as in `routes: {/api/: SERVICE}`",
    ),
    to("ws websockets upgrade proxy_http_version", "websocket: true", ""),
    to("sse buffering proxy_buffering streaming flush_interval", "stream: true", ""),
    to(
        "proxy_read_timeout read_timeout proxy_timeout proxy_send_timeout proxy_connect_timeout",
        "timeout: <text|60s>",
        "",
    ),
    to("client_max_body_size max_body_size max_upload upload_limit max_body", "body_size: <text|10M>", ""),
    to("headers proxy_set_header header request_headers add_header", "", HEADERS),
    to("on instances instance", "", "leave it out: replicas are those of the service's `place`"),
    to("load_balancing policy lb weight", "", "leave it out: nginx asks the replicas in turn"),
];

const FRONTEND: &[Answer] = &[
    to(
        "path dir root folder directory static public alias document_root files",
        "source: {path: <text|web>}",
        "a folder of the repository, not of the host",
    ),
    to(
        "build output dist command out out_dir",
        "source: {path: web, build: {run: npm run build, output: dist}}",
        "`output` is the folder that is served",
    ),
    to("git repo", "source: {git: <text|URL>}", ""),
    to("fallback history try_files single_page index history_api_fallback", "spa: true", ""),
    to(
        "cache hashed expires cache_control assets",
        "immutable: [\"assets/**\"]",
        "only where hashes in names do not tell",
    ),
    to("service port proxy", "", "leave it out: a service answers through `routes`, beside `frontend`"),
];

const TLS: &[Answer] = &[
    to(
        "cert crt ssl_certificate fullchain chain pem certificate_file cert_file",
        "certificate: <text|/etc/ssl/NAME.pem>",
        "",
    ),
    to("private_key ssl_certificate_key certificate_key key_file privkey", "key: <text|/etc/ssl/NAME.key>", ""),
    to(
        "letsencrypt auto acme email cert_resolver issuer enabled challenge",
        "",
        "leave it out: evenkeel gets no certificates; an ACME client on the host does, answering through the site's `acme_root`",
    ),
    to(
        "protocols ciphers min_version versions ssl_protocols hsts redirect",
        "",
        "leave it out: evenkeel sets protocols and the redirect to https",
    ),
];

const INSTANCE: &[Answer] = &[
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

const SSH: &[Answer] = &[
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

const JUMP: &[Answer] = &[
    to("host hostname ip addr bastion", "address: <first|192.0.2.1>", "an IP address"),
    to("username login", "user: <text|ubuntu>", ""),
    to("fingerprint known_hosts hostkey", "host_key: ssh-ed25519 AAAA…", "`ssh-keyscan -t ed25519 ADDRESS` prints it"),
    to("key identity_file private_key password", "", KEYS),
];

const ENVIRONMENT: &[Answer] = &[
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
        "vars variables env environment env_vars",
        "",
        "leave it out: variables are the services', `in: {ENVIRONMENT: {env: {…}}}` in services/NAME.yaml",
    ),
    to("services sites", "", "leave it out: every service is in every environment in which `place` finds an instance"),
    to(
        "approval approvals reviewers windows freeze protection schedule budget",
        "",
        "leave it out: `commands` says who may do what; approvals and windows are not there yet",
    ),
    to("user ssh port", "", "leave it out: `ssh` stands in fleet.yaml and in instances"),
];

const FLEET: &[Answer] = &[
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

const DEFAULTS: &[Answer] = &[
    to("run_as username", "user: <text|app>", ""),
    to("healthcheck", "health: {interval: 5s}", ""),
    to(
        "env environment vars resources rollout place restart",
        "",
        "leave it out: `user` and `health` have defaults; the rest stands in each service",
    ),
    to("ssh port", "", "write `ssh: {user: ubuntu, port: 22}` beside `defaults`, not in it"),
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
            "rollout: {strategy: recreate}",
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
    ("Rollout", &["strategy: recreate"]),
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
            "ssh: {user: <text|ubuntu>}",
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
