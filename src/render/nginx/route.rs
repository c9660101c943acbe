//! Routes: what of a site's paths a service answers.
//!
//! Source: nginx's documentation of its proxy module and of WebSocket proxying.

use std::fmt::Write as _;

use super::{RenderError, headers, shared, upstream_name};
use crate::model::{
    fleet::{Fleet, Route, Site},
    quantity::Span,
};

/// How long a connection that stays open by its nature may be silent.
const LONG: Span = Span(std::time::Duration::from_secs(3600));

/// What a service is told of the request that reached nginx, `connection` aside.
const TOLD: [(&str, &str); 7] = [
    ("Host", "$host"),
    ("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
    ("X-Forwarded-Host", "$host"),
    ("X-Forwarded-Port", "$server_port"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Request-ID", "$request_id"),
];

/// What holds for all routes of a site. Connections to services stay open: HTTP/1.1 without `Connection: close`. A
/// replica that cannot be reached makes room for another; one that is slow has the request, and keeps it (nginx's default
/// is `error timeout`, which has the next replica do the same work again). No replica is ever left out for a while, so
/// whoever is led to a host that is off waits for the connection: five seconds, not sixty.
pub(super) fn of_all(site: &Site) -> Result<String, RenderError> {
    let text = format!(
        "\n    proxy_http_version 1.1;\n    proxy_connect_timeout 5s;\n    proxy_next_upstream error;\n{}",
        told("    ", "\"\"")
    );
    Ok(text + &headers::of_routes(site)?)
}

/// All of them together, for a `location` that sets one inherits none.
fn told(indent: &str, connection: &str) -> String {
    let connection = [("Connection", connection)];
    let lines = connection.iter().chain(&TOLD);
    lines.map(|(name, value)| format!("{indent}proxy_set_header {name} {value};\n")).collect()
}

pub(super) fn location(fleet: &Fleet, site: &Site, path: &str, route: &Route) -> String {
    let upstream = upstream_name(fleet, site, &route.service);
    let mut text = match path.strip_suffix('/') {
        // A route that does not end with `/` is exact: as a prefix, `/api` would take `/apiary` too.
        None => {
            let whole = if route.keep_prefix { "" } else { "/" };
            format!("\n    location = {path} {{\n        proxy_pass http://{upstream}{whole};\n")
        }
        Some(prefix) if route.keep_prefix || prefix.is_empty() => {
            format!("\n    location {path} {{\n        proxy_pass http://{upstream};\n")
        }
        Some(prefix) => format!("\n    location {path} {{\n{}", stripped(&upstream, prefix)),
    };
    // Writing to a String cannot fail.
    if route.websocket {
        text += &told("        ", &format!("${}", shared::connection(fleet)));
        text += "        proxy_set_header Upgrade $http_upgrade;\n";
    }
    if route.stream {
        text += "        proxy_buffering off;\n        gzip off;\n";
    }
    let is_long = route.websocket || route.stream;
    if let Some(timeout) = route.timeout.or(is_long.then_some(LONG)) {
        let _ = write!(text, "        proxy_read_timeout {timeout};\n        proxy_send_timeout {timeout};\n");
    }
    if let Some(size) = &route.body_size {
        let _ = writeln!(text, "        client_max_body_size {size};");
    }
    text + "    }\n"
}

/// The route's own part is taken off the path as it was sent. With a path behind the upstream nginx writes the decoded
/// path anew, and `%2F` would arrive as `/`. That is left for paths that are sent in another spelling of the prefix.
fn stripped(upstream: &str, prefix: &str) -> String {
    let pattern = prefix.replace('.', "\\.").replace('/', "/+");
    format!(
        "        proxy_pass http://{upstream}/;\n        \
             if ($request_uri ~ \"^{pattern}(?<evenkeel_rest>/.*)$\") {{\n            \
                 proxy_pass http://{upstream}$evenkeel_rest;\n        \
             }}\n"
    )
}
