//! nginx files: one per site, and one that answers the digest of them all.
//!
//! Source: nginx's documentation of `server`, `location`, `upstream` and `proxy_pass`. Names, paths and
//! addresses that reach here were checked while declaring; they hold no quote, brace, `$` or space.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use super::{RenderError, made_from};
use crate::model::{
    desired::{DesiredNginx, Resource},
    digest::Digest,
    fleet::{Fleet, Instance, Route, Service, Site},
    name::ServiceName,
    paths,
};

/// Digest over the fleet's nginx files on one instance, but for the file that carries it.
pub(super) fn digest_of<'a>(fleet: &Fleet, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> DesiredNginx {
    let fields = files.flat_map(|(path, content)| [path.as_bytes(), content]);
    let port = fleet.digest_port.to_string();
    DesiredNginx { digest: Digest::of_fields(fields.chain([port.as_bytes()])), digest_port: fleet.digest_port }
}

/// The loopback server. A reload counts only when this answers the new digest: `nginx -t` and
/// `systemctl reload` can both succeed while the old configuration goes on serving.
pub(super) fn digest_server(fleet: &Fleet, nginx: &DesiredNginx) -> String {
    format!(
        "# Made by evenkeel for the fleet {fleet}; a change made here is undone.\n\
         server {{\n    \
             listen 127.0.0.1:{port};\n    \
             access_log off;\n    \
             location = /.evenkeel/digest {{\n        \
                 default_type text/plain;\n        \
                 return 200 \"{digest}\\n\";\n    \
             }}\n    \
             location / {{ return 404; }}\n\
         }}\n",
        fleet = fleet.name,
        port = nginx.digest_port,
        digest = nginx.digest,
    )
}

pub(super) fn site(fleet: &Fleet, instance: &Instance, site: &Site) -> Result<String, RenderError> {
    let mut text = made_from(&site.declared_in);
    let upstreams: BTreeMap<&ServiceName, &Service> =
        site.routes.values().filter_map(|route| fleet.services.get_key_value(&route.service)).collect();
    for service in upstreams.values() {
        text += &upstream(fleet, instance, site, service);
    }
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "server {{\n    listen 80;\n    listen [::]:80;\n    server_name {};\n",
        server_name(clean(site, "domain", &site.domain)?)
    );
    if !site.frontend.is_empty() {
        let _ = write!(
            text,
            "\n    root {};\n    index index.html;\n    location / {{\n        try_files $uri $uri/ =404;\n    }}\n",
            paths::site_current(&fleet.name, &site.name)
        );
    }
    for (path, route) in &site.routes {
        text += &location(fleet, site, clean(site, "routes", path)?, route);
    }
    text += "}\n";
    Ok(text)
}

/// nginx keeps names as they are in a hash whose buckets have 64 bytes as it comes, and does not start with
/// a name that fills more. That setting is for the whole of nginx and not ours to change; a pattern needs
/// no bucket.
fn server_name(domain: &str) -> String {
    const LONGEST: usize = 46; // a bucket without two pointers and a length
    if domain.len() <= LONGEST { domain.to_owned() } else { format!("~^{}$", domain.replace('.', "\\.")) }
}

fn upstream_name(fleet: &Fleet, site: &Site, service: &ServiceName) -> String {
    format!("evenkeel-{}-{}-{service}", fleet.name, site.name)
}

fn upstream(fleet: &Fleet, instance: &Instance, site: &Site, service: &Service) -> String {
    let mut text = format!("upstream {} {{\n", upstream_name(fleet, site, &service.name));
    for replica in service.on.iter().filter_map(|name| fleet.instances.get(name)) {
        // On the same instance the loopback address works whatever the firewall says.
        let address = match replica.address {
            _ if replica.name == instance.name => "127.0.0.1".to_owned(),
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let _ = writeln!(text, "    server {address}:{};", service.port);
    }
    text += "    keepalive 16;\n}\n";
    text
}

fn location(fleet: &Fleet, site: &Site, path: &str, route: &Route) -> String {
    let upstream = upstream_name(fleet, site, &route.service);
    // With a path behind the upstream, nginx puts it in the place of the location's own.
    let replacement = if route.keep_prefix { "" } else { "/" };
    // A route that does not end with `/` is exact: as a prefix, `/api` would take `/apiary` too.
    let path = if path.ends_with('/') { path.to_owned() } else { format!("= {path}") };
    format!(
        "\n    location {path} {{\n        \
             proxy_pass http://{upstream}{replacement};\n        \
             proxy_http_version 1.1;\n        \
             proxy_set_header Connection \"\";\n        \
             proxy_set_header Host $host;\n        \
             proxy_set_header X-Real-IP $remote_addr;\n        \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        \
             proxy_set_header X-Forwarded-Proto $scheme;\n    \
         }}\n"
    )
}

fn clean<'a>(site: &Site, what: &str, value: &'a str) -> Result<&'a str, RenderError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._~-*".contains(c);
    if !value.is_empty() && value.chars().all(allowed) {
        return Ok(value);
    }
    Err(RenderError::Unprintable {
        resource: Resource::Site(site.name.clone()).to_string(),
        what: what.to_owned(),
        character: "a character outside letters, digits and /._~-*",
        format: "an nginx file",
    })
}
