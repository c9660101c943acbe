//! The foreign words of sites, sources and builds.
//!
//! Owns: what to write for each. Keeps true: every line is one that its mapping takes (a test of `foreign.rs` holds it against
//! the schemas). Never does: guessing what a value means.

use super::{
    Answer,
    words::{FILE_NAME, NO_CONTAINER, to},
};

const HEADERS: &str = "leave it out: the service is told host, address and scheme in `Host`, `X-Forwarded-For` and \
                       `X-Forwarded-Proto`";
const WITH_TLS: &str = "leave it out: with `tls: {certificate: …, key: …}`, plain HTTP is redirected to https";

pub const SITE: &[Answer] = &[
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

pub const ROUTE: &[Answer] = &[
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
    to(
        "alias root static dir directory folder files file_server try_files frontend",
        "",
        "leave it out: a route leads to a service; files are the site's own `frontend`, or the service's to serve",
    ),
    to("on instances instance", "", "leave it out: replicas are those of the service's `place`"),
    to("load_balancing policy lb weight", "", "leave it out: nginx asks the replicas in turn"),
];

pub const FRONTEND: &[Answer] = &[
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

pub const TLS: &[Answer] = &[
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

pub const SOURCE: &[Answer] = &[
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

pub const BUILD: &[Answer] = &[
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
