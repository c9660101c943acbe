//! What the probe says of virtual environments: lines `KEY absent`, `KEY damaged` or `KEY whole KIND`; and of
//! interpreters: `PATH absent`, `PATH is KIND`, or `PATH fails WHAT IT SAID`.

use std::collections::BTreeMap;

use super::{ProbeRequest, Sections};
use crate::model::{digest::Digest, observation::LiveVenv, seen::Seen};

pub(super) fn venvs(sections: &Sections, question: &ProbeRequest) -> BTreeMap<Digest, Seen<LiveVenv>> {
    let seen = |key: &Digest| match said(sections, "venvs", &key.to_string()) {
        Err(why) => Seen::Unknown(why),
        Ok("absent") => Seen::Absent,
        Ok("damaged") => Seen::Known(LiveVenv::Damaged),
        Ok(said) => match said.strip_prefix("whole ").filter(|kind| is_kind(kind)) {
            Some(kind) => Seen::Known(LiveVenv::Whole { made_with: kind.to_owned() }),
            // What it says of itself is nothing that was ever noted in one.
            None => Seen::Known(LiveVenv::Damaged),
        },
    };
    question.venvs.iter().map(|key| (*key, seen(key))).collect()
}

pub(super) fn interpreters(sections: &Sections, question: &ProbeRequest) -> BTreeMap<String, Seen<String>> {
    let seen = |path: &String| match said(sections, "interpreters", path) {
        Err(why) => Seen::Unknown(why),
        Ok("absent") => Seen::Absent,
        Ok(said) => match said.strip_prefix("is ") {
            Some(kind) if is_kind(kind) => Seen::Known(kind.to_owned()),
            _ => {
                let said = said.trim_start_matches("is ").trim_start_matches("fails").trim();
                Seen::Unknown(format!("it does not say what kind of Python it is ({said:.200})"))
            }
        },
    };
    question.interpreters.iter().map(|path| (path.clone(), seen(path))).collect()
}

fn said<'a>(sections: &'a Sections, section: &str, of: &str) -> Result<&'a str, String> {
    let mut lines = sections.told(section)?.lines();
    lines.find_map(|line| line.strip_prefix(of)?.strip_prefix(' ')).ok_or_else(|| format!("nothing was said of {of}"))
}

/// As in `cpython-311`.
fn is_kind(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
