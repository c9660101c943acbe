//! Who holds a port that evenkeel wants, and which units its way into the host leads through.
//!
//! Keeps true: what may be a secret in a command line is not kept.
//! Source: proc(5), `/proc/PID/stat` (field 22 is when the process began, in ticks after the boot) and `/proc/uptime`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Sections, unescape, units_by_process};
use crate::model::observation::{Listener, Stranger};

/// How long one is, on every Linux that programs see (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
/// Of a command line so many characters are told.
const COMMAND: usize = 120;
/// An argument of which one of these is a part is followed by a secret, or holds one.
const SECRETS: [&str; 8] = ["pass", "pwd", "secret", "token", "key", "auth", "cred", "private"];

/// The first line is the uptime; each further one a process, the end of its `stat`, its command line, and the programs
/// of its control group, each with a `/` at its end.
pub(super) fn strangers(sections: &Sections) -> BTreeMap<u32, Stranger> {
    let mut lines = sections.one("strangers").unwrap_or_default().lines();
    let uptime = lines.next().unwrap_or_default();
    lines.filter_map(|line| stranger(line, uptime)).collect()
}

/// How long a process has run: `stat` is what follows its name in `/proc/PID/stat`.
pub(in crate::host) fn age(stat: &str, uptime: &str) -> Option<Duration> {
    let uptime = Duration::try_from_secs_f64(uptime.trim().parse().ok()?).ok()?;
    // The first field of what follows the name is the third.
    let ticks: u32 = stat.split(' ').nth(19)?.parse().ok()?;
    uptime.checked_sub(TICK * ticks)
}

/// `PID<tab>STAT<tab>COMMAND<tab>PROGRAM/PROGRAM/…`
pub(in crate::host) fn stranger(line: &str, uptime: &str) -> Option<(u32, Stranger)> {
    let mut fields = line.split('\t');
    let (pid, stat) = (fields.next()?.parse().ok()?, fields.next()?);
    let (command, programs) = (fields.next()?, fields.next()?);
    let runs_for = age(stat, uptime).map(|age| age.as_secs());
    let programs = programs.split('/').filter(|program| !program.is_empty()).map(str::to_owned).collect();
    Some((pid, Stranger { command: told(command), runs_for, programs }))
}

/// Who holds the port of a unit that is about to start, of what `port_holder` says (`apply_units.sh`); None for other words.
pub(in crate::host) fn port_held(said: &str) -> Option<String> {
    let mut lines = said.strip_prefix("port-held\n")?.lines();
    let mut next = || lines.next();
    let (port, unit, process, pid) = (next()?, next()?, next()?, next()?);
    let (uptime, stat, command) = (next()?, next()?, next().unwrap_or_default());
    let group = lines.find_map(|line| {
        let (hierarchy, group) = line.split_once(":/")?;
        (hierarchy == "0:" || hierarchy.ends_with(":name=systemd")).then(|| format!("{pid} /{group}"))
    });
    let units = units_by_process(group.as_deref().unwrap_or_default());
    let (_, stranger) = stranger(&format!("{pid}\t{stat}\t{command}\t"), uptime)?;
    let pid = pid.parse().ok()?;
    let unit_of = units.get(&pid).cloned();
    let holder = Listener { port: port.parse().ok()?, pid, process: process.to_owned(), unit: unit_of };
    Some(format!(
        "port {port} of {unit} is held by {}; {unit} is not started beside it: stop that process (`sudo kill {pid}`), or \
         choose another port",
        holder.told(Some(&stranger))
    ))
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
        assert_eq!(stranger(&line, "1200.00"), Some((99, expected)));
        assert_eq!(stranger("99\t\tjava\t", "").map(|(_, told)| (told.runs_for, told.programs.len())), Some((None, 0)));
        assert_eq!(stranger("what\tis this", ""), None);
    }

    #[test]
    fn whoever_holds_the_port_of_a_unit_that_starts_is_named_and_no_secret_of_theirs() {
        let stat = (0..25).map(|field| if field == 19 { "50000".to_owned() } else { field.to_string() });
        let stat = stat.collect::<Vec<_>>().join(" ");
        let said = |group: &str| {
            format!("port-held\n8100\nodd-a@8100.service\npython3\n7\n1200.00\n{stat}\napp --token hunter2 \n{group}\n")
        };
        let told = |group: &str| port_held(&said(group)).expect("somebody holds it");
        assert_eq!(
            told("0::/system.slice/legacy.service"),
            "port 8100 of odd-a@8100.service is held by python3 (pid 7, of legacy.service, for 11 min): `app --token …`; \
             odd-a@8100.service is not started beside it: stop that process (`sudo kill 7`), or choose another port"
        );
        let hybrid = "12:cpu:/\n1:name=systemd:/system.slice/legacy.service/child\n0::/other.service";
        assert!(told(hybrid).contains(", of legacy.service, for"), "{}", told(hybrid));
        assert!(told("0::/").contains("python3 (pid 7, for 11 min)"));
        assert_eq!(port_held("Job for a.service failed"), None);
        for cut in 0..said("0::/").len() {
            let _ = port_held(&said("0::/")[..cut]);
        }
    }
}
