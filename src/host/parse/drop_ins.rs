//! Drop-ins of units: where they are, and what they set.
//!
//! Keeps true: no value is kept that may let somebody in. Of commands the program is told, of variables and credentials
//! nothing but that they are set; of what is not understood the name.
//! Source: systemd.syntax(7) for files; bus_print_property for words that `systemctl show` quotes.

use std::collections::{BTreeMap, HashMap};

use super::Sections;
use crate::model::{budget::Budget, text};

const SECTION: &str = "drop-in";
/// Of a value so many characters are told.
const VALUE: usize = 60;
/// Settings whose values are somebody else's text, or name where secrets are.
const HIDDEN: [&str; 10] = [
    "environment",
    "credential",
    "pass",
    "pwd",
    "secret",
    "token",
    "auth",
    "standardinput",
    "logextrafields",
    "signature",
];

/// What each drop-in that was read sets.
pub(super) fn settings(sections: &Sections) -> BTreeMap<String, Vec<String>> {
    let of = |(name, text): (&String, &String)| Some((name.strip_prefix(SECTION)?.to_owned(), told(text)));
    sections.known.iter().filter_map(of).filter(|(path, _)| path.starts_with('/')).collect()
}

/// Lines of paths, and lines of units before each unit's.
pub(super) fn unread(sections: &Sections) -> HashMap<&str, Vec<String>> {
    let mut units: HashMap<&str, Vec<String>> = HashMap::new();
    let mut unit = "";
    for line in sections.one("unread").unwrap_or_default().lines() {
        if line.starts_with('/') {
            let of = units.entry(unit).or_default();
            if of.len() < Budget::STANDARD.drop_ins {
                of.push(line.to_owned());
            }
        } else {
            unit = line;
        }
    }
    units
}

pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with('/')).take(Budget::STANDARD.drop_ins).map(str::to_owned).collect()
}

/// Paths as `systemctl show` writes a list: in quotes where a shell would need them.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => word.extend(characters.next()),
            ('$', None) if characters.peek() == Some(&'\'') => {}
            ('"' | '\'', None) => quote = Some(character),
            (end, Some(begun)) if end == begun => quote = None,
            (' ', None) => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            _ => word.push(character),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words.truncate(Budget::STANDARD.drop_ins);
    words
}

/// Its settings as they may be shown, each once, with how many more there are.
fn told(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '[']));
    let mut all: Vec<String> = Vec::new();
    for setting in lines.filter_map(|line| line.split_once('=')).map(|(name, value)| shown(name.trim(), value.trim())) {
        if !all.contains(&setting) {
            all.push(setting);
        }
    }
    // An empty value before another one takes away what the unit's file says: the next one says what comes instead.
    let is_emptied = |setting: &String| setting.ends_with('=') && all.iter().any(|other| is_more(other, setting));
    let mut told: Vec<String> = all.iter().filter(|setting| !is_emptied(setting)).cloned().collect();
    let most = Budget::STANDARD.drop_in_settings;
    if told.len() > most {
        let more = told.len() - most;
        told.truncate(most);
        told.push(format!("and {more} more"));
    }
    told
}

fn is_more(setting: &str, emptied: &str) -> bool {
    setting.len() > emptied.len() && setting.starts_with(emptied)
}

fn shown(name: &str, value: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let is_plain_name =
        name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let name = text::clipped(name, VALUE).replace(char::is_control, "\u{fffd}");
    let value = value.replace(char::is_control, "\u{fffd}");
    match value.split_whitespace().next() {
        None => format!("{name}="),
        Some(_) if !is_plain_name || HIDDEN.iter().any(|part| lower.contains(part)) => format!("{name}=…"),
        Some(program) if lower.starts_with("exec") => {
            let rest = if program.len() < value.len() { " …" } else { "" };
            let program = if program.contains(['=', '@']) && !program.starts_with(['@', '-', '/', '+', '!', ':', '|']) {
                "…".into()
            } else {
                text::clipped(program, VALUE)
            };
            format!("{name}={program}{rest}")
        }
        // A login in an address.
        Some(_) if value.contains("://") => format!("{name}=…"),
        Some(_) => format!("{name}={}", text::clipped(&value, VALUE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_drop_in_sets_is_told_without_a_secret() {
        let text = "# by somebody\n[Service]\nExecStart=\nExecStart=/usr/bin/python3 -m x --password hunter2\nUser=root\n\
            Environment=TOKEN=hunter2 \\\n  MORE=hunter2\nEnvironmentFile=/etc/hunter2\nSetCredential=a:hunter2\n\
            X-Password=hunter2\nDbPassword=hunter2\nStandardInputText=hunter2\n[Unit]\nAfter=x.service\nhunter2\n";
        let told = told(text);
        assert_eq!(
            told,
            [
                "ExecStart=/usr/bin/python3 …",
                "User=root",
                "Environment=…",
                "EnvironmentFile=…",
                "SetCredential=…",
                "X-Password=…",
                "DbPassword=…",
                "StandardInputText=…",
                "and 1 more",
            ]
        );
        assert!(!told.concat().contains("hunter2"));
        assert_eq!(super::told("# nothing\n\n[Service]\n"), Vec::<String>::new());
        assert_eq!(super::told("[Service]\nExecStart=\n"), ["ExecStart="], "it takes away what the unit's file says");
        let long = super::told(&format!("[Service]\nUser={}\n", "x".repeat(500)));
        assert_eq!(long[0].chars().count(), "User=".len() + VALUE);
    }

    #[test]
    fn paths_are_read_as_systemctl_writes_them() {
        let text = r#"/etc/a.conf "/etc/b c.conf" $'/etc/d\'e.conf' /etc/f.conf"#;
        assert_eq!(words(text), ["/etc/a.conf", "/etc/b c.conf", "/etc/d'e.conf", "/etc/f.conf"]);
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(words(&"/x ".repeat(1_000)).len(), Budget::STANDARD.drop_ins);
    }
}
