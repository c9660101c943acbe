//! Foreign words: keys that people know from Compose, Kamal, Ansible, systemd or nginx, and the line to write instead.
//!
//! Owns: which answer a key or a shape of value gets, and how the written value is put into it. `foreign/words.rs` has
//! the tables. Keeps true: an answer is found without a look at all of them, and worked out only for a finding that is kept; it quotes
//! a bounded part of what was written. Never does: reading a foreign key as one of ours.

mod hosts;
mod services;
mod sites;
mod value;
mod words;

use std::{collections::BTreeMap, sync::LazyLock};

pub use value::{corrected, in_one_line};

use super::yaml::Node;
use crate::model::budget::Budget;

/// What is said of foreign words of one meaning.
#[derive(Debug)]
pub struct Answer {
    /// The words, separated by spaces. Case, `_`, `-`, `.` and spaces within a word do not matter.
    foreign: &'static str,
    /// The line to write, with places for the value that was written (`<words|DEFAULT>`). Empty where nothing is.
    write: &'static str,
    /// Why, or what to do where no line is to be written.
    note: &'static str,
}

impl Answer {
    /// The key of ours that its line has.
    pub fn brings(&self) -> Option<&'static str> {
        self.write.split_once(':').map(|(key, _)| key)
    }

    pub fn hint(&self, key: &Node, value: &Node) -> String {
        if self.write.is_empty() {
            return self.note.to_owned();
        }
        let line = value::filled(self.write, Some((key, value)));
        if self.note.is_empty() { format!("write `{line}`") } else { format!("write `{line}`; {}", self.note) }
    }
}

type Table<T> = LazyLock<BTreeMap<(&'static str, String), T>>;

static ANSWERS: Table<&'static Answer> = LazyLock::new(|| {
    let of_place = |(places, answers): &(&'static str, &'static [Answer])| {
        let keys = answers.iter().flat_map(|answer| answer.foreign.split(' ').map(move |word| (normal(word), answer)));
        let keys: Vec<(String, &'static Answer)> = keys.collect();
        places.split(' ').flat_map(move |place| keys.clone().into_iter().map(move |(word, to)| ((place, word), to)))
    };
    words::ANSWERS.iter().flat_map(of_place).collect()
});

static EXAMPLES: Table<&'static str> = LazyLock::new(|| {
    let of_place = |(places, lines): &(&'static str, &'static [&'static str])| {
        let lines = *lines;
        let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        places.split(' ').flat_map(move |place| lines.iter().map(move |line| ((place, key(line)), *line)))
    };
    words::EXAMPLES.iter().flat_map(of_place).collect()
});

/// What to say of `key`, which the mapping called `place` in the schema does not have.
pub fn answer(place: &'static str, key: &str) -> Option<&'static Answer> {
    if key.len() > Budget::STANDARD.name_text {
        return None;
    }
    // `location /api/` is said with its argument.
    let first = || key.split_once(' ').and_then(|(first, _)| ANSWERS.get(&(place, normal(first))));
    ANSWERS.get(&(place, normal(key))).or_else(first).copied()
}

/// Whether others write below `key` what the mapping called `place` has itself.
pub fn holds_the_rest(place: &str, key: &str) -> bool {
    place == "Service" && words::HOLDS_THE_REST.contains(&key)
}

/// A line that gives `key` a value of the right shape in the mapping called `place`, made of `written` where that is
/// there.
pub fn example(place: &'static str, key: &str, written: Option<(&Node, &Node)>) -> Option<String> {
    let line = EXAMPLES.get(&(place, key.to_owned()))?;
    // An address is another kind of source than a folder.
    let is_address = |text: &str| text.contains("://") || text.starts_with("git@");
    let line = match written.and_then(|(_, value)| value.text()) {
        Some(text) if line.starts_with("source: {path: ") && is_address(text) => "source: {git: <text|URL>}",
        _ => line,
    };
    Some(value::filled(line, written))
}

fn normal(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::declare::schema;

    /// The mappings of all schemas by name, with their keys.
    fn mappings() -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::new();
        for (_, text) in schema::schemas() {
            let root: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let definitions = root["$defs"].as_object().into_iter().flatten().map(|(name, of)| (name.as_str(), of));
            let title = root["title"].as_str().expect("a title");
            for (name, of) in definitions.chain([(title, &root)]) {
                let keys = of["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone());
                found.entry(name.to_owned()).or_insert_with(BTreeSet::new).extend(keys);
            }
        }
        found
    }

    #[test]
    fn every_answer_is_of_a_mapping_that_there_is_and_writes_a_key_of_it() {
        let mappings = mappings();
        for (places, answers) in words::ANSWERS {
            for place in places.split(' ') {
                let keys = mappings.get(place).unwrap_or_else(|| panic!("no schema has {place}"));
                let mut seen = BTreeSet::new();
                for answer in *answers {
                    if let Some(key) = answer.brings() {
                        assert!(keys.contains(key) || place.ends_with("Overlay"), "{place}: {}", answer.write);
                    }
                    for word in answer.foreign.split(' ') {
                        assert!(seen.insert(normal(word)), "{place}: {word} stands twice");
                        assert!(!keys.contains(word), "{place} has a key `{word}`");
                    }
                }
            }
        }
        for (places, lines) in words::EXAMPLES {
            for (place, line) in places.split(' ').flat_map(|place| lines.iter().map(move |line| (place, line))) {
                let key = line.split(':').next().expect("a key");
                assert!(mappings[place].contains(key) || place.ends_with("Overlay"), "{place}: {line}");
            }
        }
    }

    #[test]
    fn every_key_that_is_needed_has_an_example() {
        for (_, text) in schema::schemas() {
            let root: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let Some(title) = root["title"].as_str().filter(|title| !matches!(*title, "Override" | "Credentials"))
            else {
                continue;
            };
            for key in root["required"].as_array().into_iter().flatten().filter_map(|key| key.as_str()) {
                assert!(EXAMPLES.keys().any(|(place, of)| *place == title && of == key), "{title}: {key}");
            }
        }
    }
}
