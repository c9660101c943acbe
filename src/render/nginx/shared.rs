//! What all of a fleet's sites on an instance share: the server that answers the digest, and what nginx
//! wants defined once.
//!
//! Its file's name sorts before every site's, for nginx wants a log's format defined before it is named.

use std::{borrow::Cow, collections::BTreeMap};

use crate::model::{desired::DesiredNginx, digest::Digest, fleet::Fleet, name::SiteName, nginx::Proof};

/// Digest over the fleet's nginx files on one instance, but for the line that carries it.
pub fn digest_of<'a>(
    fleet: &Fleet,
    sites: BTreeMap<SiteName, Proof>,
    files: impl Iterator<Item = (&'a str, Cow<'a, [u8]>)>,
) -> DesiredNginx {
    let definitions = definitions(fleet);
    let fields = files.flat_map(|(path, content)| [Cow::Borrowed(path.as_bytes()), content]);
    let port = fleet.digest_port.to_string();
    let fields = fields.chain([definitions.as_bytes(), port.as_bytes()].map(Cow::Borrowed));
    DesiredNginx { digest: Digest::of_fields(fields), digest_port: fleet.digest_port, sites }
}

/// The loopback server. A reload counts only when this answers the new digest: `nginx -t` and
/// `systemctl reload` can both succeed while the old configuration goes on serving. By its name it is told from that of
/// another fleet on the same port.
pub fn shared(fleet: &Fleet, nginx: &DesiredNginx) -> String {
    format!(
        "# Made by evenkeel for the fleet {fleet}; a change made here is undone.\n\
         {definitions}\
         server {{\n    \
             listen 127.0.0.1:{port};\n    \
             server_name evenkeel-{fleet};\n    \
             access_log off;\n    \
             location = /.evenkeel/digest {{\n        \
                 default_type text/plain;\n        \
                 return 200 \"{digest}\\n\";\n    \
             }}\n    \
             location / {{ return 404; }}\n\
         }}\n",
        fleet = fleet.name,
        definitions = definitions(fleet),
        port = nginx.digest_port,
        digest = nginx.digest,
    )
}

pub fn log_format(fleet: &Fleet) -> String {
    format!("evenkeel-{}", fleet.name)
}

/// The variable that holds what a service is told in `Connection`: to change the protocol when the request
/// asks for it, else nothing, so that the connection stays open. Names of variables lie in a hash whose
/// buckets have no room for more than 46 characters as it comes; a fleet's name has 31 at most.
pub fn connection(fleet: &Fleet) -> String {
    format!("evenkeel_{}_up", fleet.name)
}

/// The variable that holds how long a hashed file may be kept: for ever, but not that it is missing.
pub fn age(fleet: &Fleet) -> String {
    format!("evenkeel_{}_age", fleet.name)
}

/// One record a line, as JSON. With several upstreams tried, each has its time, separated by commas.
fn definitions(fleet: &Fleet) -> String {
    const LOGGED: [(&str, &str); 16] = [
        ("time", "time_iso8601"),
        ("request_id", "request_id"),
        ("client", "remote_addr"),
        ("method", "request_method"),
        ("host", "host"),
        ("uri", "request_uri"),
        ("protocol", "server_protocol"),
        ("status", "status"),
        ("bytes", "body_bytes_sent"),
        ("seconds", "request_time"),
        ("upstream", "upstream_addr"),
        ("upstream_status", "upstream_status"),
        ("upstream_connect_seconds", "upstream_connect_time"),
        ("upstream_header_seconds", "upstream_header_time"),
        ("upstream_seconds", "upstream_response_time"),
        ("agent", "http_user_agent"),
    ];
    let fields: Vec<String> = LOGGED.iter().map(|(key, variable)| format!("\"{key}\":\"${variable}\"")).collect();
    format!(
        "log_format {} escape=json '{{{}}}';\n\
         map $http_upgrade ${} {{\n    default upgrade;\n    \"\" \"\";\n}}\n\
         map $status ${} {{\n    default no-cache;\n    ~^(200|206|304)$ \"public, max-age=31536000, immutable\";\n}}\n",
        log_format(fleet),
        fields.join(","),
        connection(fleet),
        age(fleet),
    )
}
