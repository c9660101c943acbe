//! Who holds a port that evenkeel wants, and which units its way into the host leads through.
//!
//! Keeps true: what may be a secret in a command line is not kept.
//! Source: proc(5), `/proc/PID/stat` (field 22 is when the process began, in ticks after the boot) and `/proc/uptime`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Sections, unescape};
use crate::model::observation::Stranger;

/// In a second, on every Linux that programs see (`USER_HZ`).
const TICKS: u64 = 100;
/// Of a command line so many characters are told.
const COMMAND: usize = 120;
/// An argument of which one of these is a part is followed by a secret, or holds one.
const SECRETS: [&str; 8] = ["pass", "pwd", "secret", "token", "key", "auth", "cred", "private"];

/// The first line is the uptime; each further one a process, the end of its `stat`, its command line, and the programs
/// of its control group, each with a `/` at its end.
pub(super) fn strangers(sections: &Sections) -> BTreeMap<u32, Stranger> {
    let mut lines = sections.one("strangers").unwrap_or_default().lines();
    let uptime = lines.next().and_then(|line| line.split('.').next()?.parse::<u64>().ok());
    lines.filter_map(|line| stranger(line, uptime)).collect()
}

fn stranger(line: &str, uptime: Option<u64>) -> Option<(u32, Stranger)> {
    let mut fields = line.split('\t');
    let (pid, stat) = (fields.next()?.parse().ok()?, fields.next()?);
    let (command, programs) = (fields.next()?, fields.next()?);
    // The first field of what follows the name is the third.
    let began = stat.split(' ').nth(19).and_then(|ticks| ticks.parse::<u64>().ok()).map(|ticks| ticks / TICKS);
    let runs_for = uptime.zip(began).and_then(|(uptime, began)| uptime.checked_sub(began));
    let programs = programs.split('/').filter(|program| !program.is_empty()).map(str::to_owned).collect();
    Some((pid, Stranger { command: told(command), runs_for, programs }))
}

/// A command line without values that may let somebody in: of `NAME=VALUE` and what follows a flag of such a name.
fn told(command: &str) -> String {
    let is_secret = |word: &str| SECRETS.iter().any(|part| word.to_ascii_lowercase().contains(part));
    let mut follows = false;
    let words = command.split_whitespace().map(|word| {
        let hidden = std::mem::replace(&mut follows, word.starts_with('-') && !word.contains('=') && is_secret(word));
        match (hidden, word.split_once('=')) {
            (true, _) => "…".to_owned(),
            (false, Some((name, _))) => format!("{name}=…"),
            // A login in an address.
            (false, None) if word.contains("://") && word.contains('@') => "…".to_owned(),
            (false, None) => word.to_owned(),
        }
    });
    let line = words.collect::<Vec<_>>().join(" ").replace(char::is_control, "\u{fffd}");
    match line.char_indices().nth(COMMAND) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

pub(super) fn way_in(sections: &Sections) -> BTreeSet<String> {
    let units = sections.one("way").unwrap_or_default().lines();
    units.filter(|unit| unit.ends_with(".service")).map(unescape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_told_without_what_lets_somebody_in() {
        let cases = [
            ("python3 -m http.server 8100", "python3 -m http.server 8100"),
            ("app --password hunter2 --port 8100", "app --password … --port 8100"),
            ("app --api-key=abc TOKEN=abc run", "app --api-key=… TOKEN=… run"),
            ("app postgres://ada:hunter2@db/x", "app …"),
            ("  ", ""),
        ];
        for (command, expected) in cases {
            assert_eq!(told(command), expected);
        }
        assert_eq!(told(&"x".repeat(500)).chars().count(), COMMAND + 1);
    }

    #[test]
    fn a_process_is_told_with_its_age_and_the_programs_beside_it() {
        let stat = (0..25).map(|field| if field == 19 { "50000".to_owned() } else { field.to_string() });
        let line = format!("99\t{}\tjava -jar x.jar \tjava/java/sh/", stat.collect::<Vec<_>>().join(" "));
        let programs = ["java".to_owned(), "sh".to_owned()].into();
        let expected = Stranger { command: "java -jar x.jar".to_owned(), runs_for: Some(700), programs };
        assert_eq!(stranger(&line, Some(1200)), Some((99, expected)));
        assert_eq!(
            stranger("99\t\tjava\t", None).map(|(_, told)| (told.runs_for, told.programs.len())),
            Some((None, 0))
        );
        assert_eq!(stranger("what\tis this", None), None);
    }
}
