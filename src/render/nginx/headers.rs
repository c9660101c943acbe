//! Headers of answers.
//!
//! Keeps true: a `location` that adds a header has all of them, for nginx inherits none as soon as one is
//! added (documentation of `add_header`).

use super::{RenderError, unprintable};
use crate::model::{
    fleet::Site,
    headers::{OF_FRONTENDS, OF_TLS},
};

/// What a service's answers get besides its own: a service knows itself what becomes it, so of what is not
/// declared this is only what belongs to TLS. What a service says by itself makes room.
pub(super) fn of_routes(site: &Site) -> Result<String, RenderError> {
    let headers = merged(site, site.tls.iter().map(|_| OF_TLS));
    let hidden = headers.iter().map(|(name, _)| format!("    proxy_hide_header {name};\n"));
    Ok(hidden.collect::<String>() + &added(site, "    ", &headers)?)
}

/// What a frontend's files get, `cache` for how long they may be kept.
pub(super) fn of_frontend(site: &Site, indent: &str, cache: &str) -> Result<String, RenderError> {
    let headers = merged(site, OF_FRONTENDS.into_iter().chain(site.tls.iter().map(|_| OF_TLS)));
    Ok(added(site, indent, &headers)? + &format!("{indent}add_header Cache-Control {cache} always;\n"))
}

/// The given ones with the declared ones in their place.
fn merged<'a>(site: &'a Site, given: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    let is_declared = |name: &str| site.headers.keys().any(|declared| declared.eq_ignore_ascii_case(name));
    let declared = site.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
    let mut headers: Vec<_> = given.filter(|(name, _)| !is_declared(name)).chain(declared).collect();
    headers.sort_unstable();
    headers
}

/// With `always`, for an answer of 404 is looked at by a browser, too.
fn added(site: &Site, indent: &str, headers: &[(&str, &str)]) -> Result<String, RenderError> {
    headers
        .iter()
        .map(|(name, value)| Ok(format!("{indent}add_header {name} {} always;\n", quoted(site, name, value)?)))
        .collect()
}

/// In quotes nginx reads `\"` and `\\` as what they stand for. Nothing stands for a `$`.
fn quoted(site: &Site, name: &str, value: &str) -> Result<String, RenderError> {
    if !value.chars().all(|c| matches!(c, ' '..='~') && c != '$') {
        return Err(unprintable(site, &format!("headers.{name}"), "a `$` or what is not printable ASCII"));
    }
    Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}
