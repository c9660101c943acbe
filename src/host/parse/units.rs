//! What the probe says of units, from blocks of `systemctl show`.
//!
//! Keeps true: a unit is absent where systemd says that it does not find it; or where none of systemd's folders has a file
//! for it and systemd, asked, has loaded nothing of that name.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{Sections, drop_ins, strangers};
use crate::model::{observation::LiveUnit, run::Tries, seen::Seen};

type Fields<'a> = HashMap<&'a str, &'a str>;

/// First a block for each unit with a file, in the order of their names; then one for each other that is loaded.
pub(super) fn units(
    sections: &Sections,
    directories: &HashMap<u32, &str>,
) -> Result<BTreeMap<String, Seen<LiveUnit>>, String> {
    let named = |section: &str| sections.one(section).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let (with_file, without_file) = (named("units"), named("units-without-file"));
    let all = || with_file.iter().chain(&without_file).map(|name| (*name).to_owned());
    if with_file.is_empty() && without_file.is_empty() {
        return Ok(BTreeMap::new());
    }
    let states = match sections.told("states") {
        Ok(states) => states,
        Err(why) => return Ok(all().map(|name| (name, Seen::Unknown(why.clone()))).collect()),
    };
    let mut blocks = states.split("\n\n").filter(|block| !block.trim().is_empty()).map(fields);
    let (ages, unread) = (ages(sections), drop_ins::unread(sections));
    let of = |name: &str, fields: &Fields<'_>| {
        unit(fields, directories, &ages, unread.get(name).cloned().unwrap_or_default())
    };
    let mut units: BTreeMap<String, Seen<LiveUnit>> = BTreeMap::new();
    for name in &with_file {
        let block = blocks.next().filter(|block| !block.is_empty());
        let block = block.ok_or_else(|| format!("systemctl answered nothing of {name}"))?;
        units.insert((*name).to_owned(), of(name, &block));
    }
    for block in blocks {
        let name = block.get("Id").copied().unwrap_or_default();
        let is_new = without_file.contains(&name) && units.insert(name.to_owned(), of(name, &block)).is_none();
        if !is_new {
            return Err(format!("systemctl answered of `{name:.100}`, which was not asked about"));
        }
    }
    for name in without_file {
        units.entry(name.to_owned()).or_insert(Seen::Absent);
    }
    Ok(units)
}

fn fields(block: &str) -> Fields<'_> {
    block.lines().filter_map(|line| line.split_once('=')).collect()
}

/// Lines `PID STAT`, after one with the uptime, of the processes that systemd has started again.
fn ages(sections: &Sections) -> HashMap<u32, Duration> {
    let mut lines = sections.one("ages").unwrap_or_default().lines();
    let uptime = lines.next().unwrap_or_default();
    let age = |line: &str| {
        let (pid, stat) = line.split_once(' ')?;
        Some((pid.parse().ok()?, strangers::age(stat, uptime)?))
    };
    lines.filter_map(age).collect()
}

/// What became of the starts of a unit.
pub(in crate::host) fn tries(fields: &Fields<'_>, runs_for: Option<Duration>) -> Tries {
    let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    let restarts = field("NRestarts").parse().unwrap_or(0);
    Tries { restarts, result: field("Result"), status: field("ExecMainStatus"), runs_for }
}

fn unit(
    fields: &Fields<'_>,
    directories: &HashMap<u32, &str>,
    ages: &HashMap<u32, Duration>,
    unread: Vec<String>,
) -> Seen<LiveUnit> {
    let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    let main_pid = field("MainPID").parse().unwrap_or(0);
    match field("LoadState").as_str() {
        "" => Seen::Unknown("systemctl did not say its LoadState".to_owned()),
        // A unit whose file has gone may still run.
        "not-found" if main_pid == 0 => Seen::Absent,
        _ => Seen::Known(LiveUnit {
            active: field("ActiveState"),
            sub: field("SubState"),
            enabled: field("UnitFileState"),
            main_pid,
            directory: directories.get(&main_pid).map(|path| (*path).to_owned()),
            fragment: field("FragmentPath"),
            drop_ins: drop_ins::words(&field("DropInPaths")),
            needs_reload: field("NeedDaemonReload") == "yes",
            unread,
            tries: tries(fields, ages.get(&main_pid).copied()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sections: &[(&str, &str)]) -> Result<BTreeMap<String, Seen<LiveUnit>>, String> {
        let known = sections.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        units(&Sections { known, unknown: BTreeMap::new() }, &HashMap::new())
    }

    fn block(name: &str, state: &str) -> String {
        format!("MainPID=7\nId={name}\nLoadState=loaded\nActiveState={state}\n")
    }

    #[test]
    fn an_answer_that_names_no_unit_is_none() {
        let why = seen(&[("units", " a.service"), ("states", "perhaps\n\n\n")]).expect_err("it is not understood");
        assert_eq!(why, "systemctl answered nothing of a.service");
    }

    #[test]
    fn a_unit_without_a_file_is_absent_only_where_systemd_has_not_loaded_it() {
        let asked = [("units", " a.service"), ("units-without-file", " b.service c.service")];
        let with = |states: &str| seen(&[asked[0], asked[1], ("states", states)]);
        let active = |units: &BTreeMap<String, Seen<LiveUnit>>, name: &str| {
            units[name].known().map(|unit| unit.active.clone()).unwrap_or_default()
        };

        let all = with(&[block("a.service", "active"), block("c.service", "failed")].join("\n")).expect("an answer");
        assert_eq!((active(&all, "a.service"), active(&all, "c.service")), ("active".into(), "failed".into()));
        assert!(all["b.service"].is_absent());

        // A unit is asked about by another of its names.
        let aliased = with(&block("d.service", "active")).expect("an answer");
        assert_eq!(active(&aliased, "a.service"), "active");
        assert!(aliased["c.service"].is_absent());

        assert!(with("").is_err(), "nothing of a unit that has a file");
        let strange = [block("a.service", "active"), block("d.service", "active")].join("\n");
        assert!(with(&strange).is_err(), "of a unit that nobody asked about");
        let twice = [block("a.service", "active"), block("b.service", "active"), block("b.service", "failed")];
        assert!(with(&twice.join("\n")).is_err(), "two answers about one");
    }

    #[test]
    fn units_without_files_are_unknown_where_systemctl_did_not_answer() {
        let asked = ("units-without-file", " b.service");
        assert!(seen(&[asked, ("states", "")]).expect("an answer")["b.service"].is_absent());
        assert!(seen(&[asked]).expect("an answer")["b.service"].unknown().is_some());
        assert_eq!(seen(&[]), Ok(BTreeMap::new()));
    }
}
