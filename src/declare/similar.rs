//! Names that resemble a name, for hints. As many are compared, and as long, as the budget allows.

use crate::model::{budget::Budget, text};

/// "did you mean `x`?", when some candidate is near enough to be meant.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// The hint for a name that is not known: the one meant, else all there are.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, none: &str) -> String {
    did_you_mean(name, candidates.clone()).unwrap_or_else(|| {
        let all: Vec<&str> = candidates.into_iter().collect();
        if all.is_empty() { none.to_owned() } else { format!("there is {}", list(&all)) }
    })
}

fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may differ; beyond that a guess misleads more than it helps.
    let Budget { name_text, compared_names, .. } = Budget::STANDARD;
    let length = name.chars().take(name_text + 1).count();
    if length > name_text {
        return None;
    }
    let furthest = (length / 3).max(1);
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .take(compared_names)
        .filter(|candidate| candidate.len() <= 4 * name_text)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= furthest && *distance < length)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`; long lists are cut, for a hint is one line.
pub fn list(names: &[&str]) -> String {
    joined(names, "and", 12)
}

/// As [`list`], of names that are evenkeel's own: they are few, and the one that is needed may be the last.
pub fn all(names: &[&str]) -> String {
    joined(names, "and", names.len())
}

/// `a`, `b` or `c`.
pub fn choice(names: &[&str]) -> String {
    joined(names, "or", 12)
}

fn joined(names: &[&str], word: &str, most: usize) -> String {
    let quoted: Vec<String> = names.iter().take(most).map(|name| format!("`{}`", text::name(name))).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        _ if names.len() > most => format!("{} {word} {} more", quoted.join(", "), names.len() - most),
        [only] => only.clone(),
        [init @ .., last] => format!("{} {word} {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_what_was_meant_or_what_there_is() {
        assert_eq!(hint("gong_mpc", ["gong_mcp", "slack"], ""), "did you mean `gong_mcp`?");
        assert_eq!(hint("zzz", ["a", "b", "c"], ""), "there is `a`, `b` and `c`");
        assert_eq!(hint("zzz", [], "there is none"), "there is none");
    }
}
