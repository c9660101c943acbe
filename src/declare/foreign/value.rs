//! A written value on its way into a line to write: a port of Compose's `ports`, a path of a health check's address.
//!
//! Keeps true: what is put in stands on one line, is bounded, and shows no password. Values of variables are shown where
//! they stand on their key's line, which is shown anyway.

use std::fmt::Write as _;

use crate::{
    declare::{
        file::without_passwords,
        yaml::{Node, Value},
    },
    model::text::clipped,
};

/// So many values of a list or mapping are looked at.
const VALUES: usize = 8;
/// So many characters of one value are shown.
const SHOWN: usize = 80;

/// `line` with its places (`<port|8000>`) filled: with what `written` has for them, else with what stands there.
pub fn filled(line: &str, written: Option<(&Node, &Node)>) -> String {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((before, (place, after))) =
        rest.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
    {
        text.push_str(before);
        let (kind, default) = place.split_once('|').unwrap_or((place, "…"));
        let found = written.and_then(|(key, value)| of_kind(kind, key, value));
        text.push_str(found.as_deref().unwrap_or(default));
        rest = after;
    }
    text + rest
}

fn of_kind(kind: &str, key: &Node, value: &Node) -> Option<String> {
    match kind {
        "text" => value.text().filter(|text| !text.is_empty()).map(scalar),
        "words" => words(value),
        "first" => texts(value).iter().find_map(|text| text.split_whitespace().next()).map(scalar),
        "number" => texts(value).first().and_then(|text| text.parse::<u32>().ok()).map(|number| number.to_string()),
        "port" => texts(value).iter().find_map(|text| port(text)).map(|port| port.to_string()),
        "path" => texts(value).iter().find_map(|text| url_path(text)),
        "service" => texts(value).iter().find_map(|text| service(text)),
        "list" => list(value),
        "login" => value.text().and_then(|text| text.split('@').next()).filter(|user| !user.is_empty()).map(scalar),
        "env" => variables(key, value),
        _ => None,
    }
}

/// What may be meant by a text that is not `what` it should be, as other tools take it: `512` or `512MB` of memory, half a
/// processor, the address of a domain, a route without its slash. None where that is not taken either.
pub fn corrected(what: &str, text: &str) -> Option<String> {
    match what {
        _ if text.len() > SHOWN => None,
        "an amount of memory" => {
            let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
            let unit = unit.trim().chars().next().map_or('M', |unit| unit.to_ascii_uppercase());
            (!digits.is_empty() && "KMGT".contains(unit)).then(|| format!("{digits}{unit}"))
        }
        "a share of CPU time in percent" => {
            let share = match text.strip_suffix('m') {
                Some(thousandths) => thousandths.parse::<f64>().ok()? / 10.0,
                // Few mean more processors than that, or fewer percent of one.
                None => text.parse::<f64>().ok().map(|number| if number <= 16.0 { number * 100.0 } else { number })?,
            };
            (1.0..1e5).contains(&share).then(|| format!("{share:.0}%"))
        }
        "a domain" => {
            let host = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', ':']).next()?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            (!host.is_empty() && host.chars().all(is_name)).then(|| host.to_ascii_lowercase())
        }
        "a route's path" => {
            let path = text.trim_matches(['^', '~', '$', ' ']).trim_start_matches('/').trim_end_matches('*');
            let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '~');
            (path.chars().all(is_path) && !path.contains("//")).then(|| format!("/{path}"))
        }
        _ => None,
    }
}

/// `text` as YAML takes it within `[ ]` and `{ }`, on one line.
pub fn in_one_line(text: &str) -> String {
    let starts_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '$' | '(' | '+' | '~');
    let is_plain = text.starts_with(starts_plain)
        && !text.contains([',', '[', ']', '{', '}', '"'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && text.trim() == text;
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn scalar(text: &str) -> String {
    let text = without_passwords(text);
    in_one_line(&clipped(&text, SHOWN).replace(|c: char| c.is_control(), " "))
}

/// The texts in a value: itself, its items, or what its keys map to.
fn texts(value: &Node) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![value];
    // Depth is bounded by the tree's; so is, with it, what is put on the list.
    while let Some(node) = open.pop() {
        if found.len() >= VALUES || open.len() > 16 * VALUES {
            break;
        }
        match &node.value {
            Value::Scalar { text, .. } => found.push(&**text),
            Value::Sequence(items) => open.extend(items.iter().take(VALUES).rev()),
            Value::Mapping(mapping) => {
                open.extend(mapping.entries().iter().take(VALUES).rev().map(|(_, value)| value));
            }
        }
    }
    found
}

/// A command line: as it is written, or of a list its words. Compose's `CMD` and `CMD-SHELL` are no words of it.
fn words(value: &Node) -> Option<String> {
    let named = ["test", "command", "cmd", "exec"].iter().find_map(|key| value.entry(key));
    match &named.map_or(value, |(_, value)| value).value {
        Value::Scalar { text, .. } => Some(&**text).filter(|text| !text.trim().is_empty()).map(scalar),
        Value::Sequence(items) => {
            let words = items.iter().take(8 * VALUES).map(Node::text).collect::<Option<Vec<&str>>>()?;
            match words.as_slice() {
                ["CMD-SHELL", line] => Some(scalar(line)),
                ["CMD", words @ ..] | words if !words.is_empty() => {
                    shlex::try_join(words.iter().copied()).ok().map(|line| scalar(&line))
                }
                _ => None,
            }
        }
        Value::Mapping(_) => None,
    }
}

/// The port a program listens on: of `8080:80/tcp` it is 80.
fn port(text: &str) -> Option<u16> {
    let text = text.split('/').next().unwrap_or_default();
    text.rsplit(':').next()?.trim().parse().ok().filter(|port| *port != 0)
}

/// The path of a URL within a text, or the text where that is a path.
fn url_path(text: &str) -> Option<String> {
    let word =
        |text: &str| text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).next().map(str::to_owned);
    let path = match text.split_once("://") {
        Some((_, rest)) => {
            let rest = word(rest)?;
            rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned())
        }
        None => word(text).filter(|path| path.starts_with('/') && path.len() == text.len())?,
    };
    Some(scalar(&path))
}

/// The service that an address like `http://hello:8000/` names.
fn service(text: &str) -> Option<String> {
    let host = text.rsplit_once("://").map_or(text, |(_, rest)| rest);
    let host = host.split(['/', ':']).next()?;
    let is_name = host.starts_with(|c: char| c.is_ascii_lowercase())
        && host.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        && !matches!(host, "localhost" | "unix" | "true" | "false");
    is_name.then(|| host.to_owned())
}

fn list(value: &Node) -> Option<String> {
    let names: Vec<&str> = match &value.value {
        Value::Scalar { text, .. } => text.split([' ', ',']).filter(|name| !name.is_empty()).take(VALUES).collect(),
        Value::Sequence(items) => items.iter().take(VALUES).filter_map(Node::text).collect(),
        Value::Mapping(mapping) => mapping.entries().iter().take(VALUES).filter_map(|(key, _)| key.text()).collect(),
    };
    let names: Vec<String> = names.into_iter().map(scalar).collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(", ")))
}

fn variables(key: &Node, value: &Node) -> Option<String> {
    const NAMES: usize = 4;
    let is_shown = |node: &Node| node.span.line == key.span.line;
    let all: Vec<(&str, Option<&str>)> = match &value.value {
        Value::Mapping(mapping) => {
            let entries = mapping.entries().iter().take(NAMES + 1);
            entries.filter_map(|(key, value)| Some((key.text()?, value.text().filter(|_| is_shown(value))))).collect()
        }
        Value::Sequence(items) => {
            let pairs = items.iter().take(NAMES + 1).filter_map(|item| Some((item, item.text()?.split_once('=')?)));
            pairs.map(|(item, (name, value))| (name, Some(value).filter(|_| is_shown(item)))).collect()
        }
        // As systemd takes it.
        Value::Scalar { text, .. } if is_shown(value) && text.contains('=') => {
            let words = text.split_whitespace().take(NAMES + 1);
            words.map_while(|word| word.split_once('=')).map(|(name, value)| (name, Some(value))).collect()
        }
        Value::Scalar { .. } => return None,
    };
    let mut text = String::from("{");
    for (at, (name, value)) in all.iter().enumerate() {
        if at == NAMES {
            text += ", …";
            break;
        }
        let comma = if at == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{}: {}", scalar(name), value.map_or_else(|| "…".to_owned(), scalar));
    }
    (!all.is_empty()).then(|| text + "}")
}
