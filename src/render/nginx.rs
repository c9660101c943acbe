//! nginx files: one per site, and one that all of a fleet's sites on an instance share.
//!
//! Source: nginx's documentation of its core, proxy, headers, ssl and upstream modules. Names, paths and
//! addresses that reach here were checked while declaring; they hold no quote, brace, `$` or space.

mod front;
mod frontend;
mod headers;
mod route;
mod shared;

use std::{collections::BTreeMap, fmt::Write as _};

pub(super) use self::{
    front::front,
    shared::{digest_of, shared},
};
use super::{RenderError, made_from};
use crate::model::{
    desired::Resource,
    digest::Digest,
    fleet::{Certificate, Fleet, Instance, Service, Site},
    name::ServiceName,
    nginx::{Proof, UNNAMED, upstream_server},
    paths,
};

/// A site's file, and what shows that its own server answers: the digest of all that the file says besides.
pub(super) fn site(fleet: &Fleet, instance: &Instance, site: &Site) -> Result<(String, Proof), RenderError> {
    let rest = text(fleet, instance, site, "")?;
    let answer = Digest::of_fields([fleet.name.as_str(), site.name.as_str(), rest.as_str()]);
    let host = if site.domain == ANY { UNNAMED } else { site.domain.as_str() };
    let ports = if site.tls.is_some() { vec![80, 443] } else { vec![80] };
    Ok((text(fleet, instance, site, &answer.to_string())?, Proof { host: host.to_owned(), ports, answer }))
}

/// The domain of a site that answers to any name.
const ANY: &str = "_";

fn text(fleet: &Fleet, instance: &Instance, site: &Site, proof: &str) -> Result<String, RenderError> {
    let mut text = made_from(&site.declared_in);
    let upstreams: BTreeMap<&ServiceName, &Service> =
        site.routes.values().filter_map(|route| fleet.services.get_key_value(&route.service)).collect();
    for service in upstreams.values() {
        text += &upstream(fleet, instance, site, service);
    }
    let domain = clean(site, "domain", &site.domain)?;
    let acme = acme(site)?;
    let own = own(proof);
    let (log, format) = (paths::access_log(&fleet.name, &site.name), shared::log_format(fleet));
    let named = format!("    server_name {};\n    access_log {log} {format};\n", server_name(fleet, instance, domain));
    if let Some(certificate) = &site.tls {
        text += &redirect(site, domain, &named, &(acme + &own))?;
        // From nginx 1.25 on `http2` is a directive of its own, which Debian 12's does not know; the parameter
        // goes on working.
        text += &format!("server {{\n    listen 443 ssl http2;\n    listen [::]:443 ssl http2;\n{named}");
        text += &tls(fleet, site, certificate)?;
        text += &own;
    } else {
        text += &format!("server {{\n    listen 80;\n    listen [::]:80;\n{named}{acme}{own}");
    }
    if !site.routes.is_empty() {
        text += &route::of_all(site)?;
    }
    if !site.frontend.is_empty() {
        text += &frontend::locations(fleet, site)?;
    }
    for (path, route) in &site.routes {
        text += &route::location(fleet, site, clean(site, "routes", path)?, route);
    }
    text += "}\n";
    Ok(text)
}

/// nginx keeps names as they are in a hash whose buckets have 64 bytes as it comes, and does not start with
/// a name that fills more. That setting is for the whole of nginx and not ours to change; a pattern needs
/// no bucket. Any name is a pattern too: a distribution's own site is nginx's default and would answer for whatever is
/// nobody's name, and two defaults are an error. Of patterns nginx takes the first that it reads, so this one makes room
/// for those of the fleet's other sites.
fn server_name(fleet: &Fleet, instance: &Instance, domain: &str) -> String {
    const LONGEST: usize = 46; // a bucket without two pointers and a length
    let escaped = |domain: &str| domain.replace('.', "\\.");
    match domain {
        ANY => {
            let others = fleet.sites_on(&instance.name).map(|site| site.domain.as_str());
            let long: Vec<_> = others.filter(|domain| domain.len() > LONGEST).map(escaped).collect();
            if long.is_empty() { "~^".to_owned() } else { format!("~^(?!(?:{})$)", long.join("|")) }
        }
        _ if domain.len() <= LONGEST => domain.to_owned(),
        _ => format!("~^{}$", escaped(domain)),
    }
}

/// What only this server answers, while it has this content. Not in the log: it is asked at each look.
fn own(proof: &str) -> String {
    format!(
        "\n    location = /.evenkeel/site {{\n        \
             access_log off;\n        \
             default_type text/plain;\n        \
             add_header Cache-Control no-store always;\n        \
             return 200 \"{proof}\\n\";\n    \
         }}\n"
    )
}

/// Where an ACME client's answers are asked for. `^~` keeps patterns out of it.
fn acme(site: &Site) -> Result<String, RenderError> {
    let Some(root) = &site.acme_root else { return Ok(String::new()) };
    let root = host_path(site, "acme_root", root)?;
    Ok(format!(
        "\n    location ^~ /.well-known/acme-challenge/ {{\n        root {root};\n        default_type text/plain;\n    }}\n"
    ))
}

/// Plain HTTP leads to TLS, of a name that is declared: what a request says its host is can be anything. 308 keeps the
/// method and the body, where 301 makes a GET of a POST.
fn redirect(site: &Site, domain: &str, named: &str, acme: &str) -> Result<String, RenderError> {
    if domain == ANY {
        return Err(unprintable(site, "domain", "`_` beside `tls`"));
    }
    Ok(format!(
        "server {{\n    listen 80;\n    listen [::]:80;\n{named}{acme}\n    \
             location / {{ return 308 https://{domain}$request_uri; }}\n\
         }}\n"
    ))
}

/// The protocols and ciphers of Mozilla's intermediate configuration, which every browser of the last years
/// speaks. Of tickets the key would live as long as nginx does, so sessions are kept here.
fn tls(fleet: &Fleet, site: &Site, certificate: &Certificate) -> Result<String, RenderError> {
    const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                           ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
    Ok(format!(
        "    ssl_certificate {};\n    \
             ssl_certificate_key {};\n    \
             ssl_protocols TLSv1.2 TLSv1.3;\n    \
             ssl_ciphers {CIPHERS};\n    \
             ssl_prefer_server_ciphers off;\n    \
             ssl_session_cache shared:evenkeel-{}:10m;\n    \
             ssl_session_timeout 1d;\n    \
             ssl_session_tickets off;\n",
        host_path(site, "tls.certificate", &certificate.certificate)?,
        host_path(site, "tls.key", &certificate.key)?,
        fleet.name,
    ))
}

fn upstream_name(fleet: &Fleet, site: &Site, service: &ServiceName) -> String {
    format!("evenkeel-{}-{}-{service}", fleet.name, site.name)
}

/// Connections are closed before services close them: uvicorn and node do after five seconds, and a request on one that
/// closes meanwhile is lost (nginx waits for sixty).
fn upstream(fleet: &Fleet, instance: &Instance, site: &Site, service: &Service) -> String {
    let mut text = format!("upstream {} {{\n", upstream_name(fleet, site, &service.name));
    for replica in service.on.iter().filter_map(|name| fleet.instances.get(name)) {
        let _ = writeln!(text, "    {}", upstream_server(&instance.name, replica, service.port));
    }
    text += "    keepalive 16;\n    keepalive_timeout 4s;\n}\n";
    text
}

fn clean<'a>(site: &Site, what: &str, value: &'a str) -> Result<&'a str, RenderError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._~-*".contains(c);
    if !value.is_empty() && value.chars().all(allowed) {
        return Ok(value);
    }
    Err(unprintable(site, what, "a character outside letters, digits and /._~-*"))
}

fn host_path<'a>(site: &Site, what: &str, value: &'a str) -> Result<&'a str, RenderError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._@+=:,-".contains(c);
    if value.starts_with('/') && value.chars().all(allowed) {
        return Ok(value);
    }
    Err(unprintable(site, what, "a character outside letters, digits and /._@+=:,-"))
}

fn unprintable(site: &Site, what: &str, character: &'static str) -> RenderError {
    RenderError::Unprintable {
        resource: Resource::Site(site.name.clone()).to_string(),
        what: what.to_owned(),
        character,
        format: "an nginx file",
    }
}
