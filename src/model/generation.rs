//! Generations as instances and the history tell them.
//!
//! Owns: which text is a generation, which generation of an instance is believed, and which comes next. Keeps true: an
//! instance's number decides nothing for the other instances unless the history makes it plausible, and arithmetic
//! never wraps.

use thiserror::Error;

/// The largest generation: 15 digits are exact in a shell's arithmetic (dash's `[ -gt ]` fails beyond 2^63, which
/// would switch a comparison off) and in JSON's (2^53).
pub const LAST: u64 = 999_999_999_999_999;

/// How far an instance may be ahead of the history. Another controller's deployments, and those of a history that was
/// set back, are a few; so many more than the history tells of are nobody's.
const AHEAD: u64 = 1_000;

/// How far an instance may be where there is no history to compare with: one deployment a minute for two years.
const AHEAD_OF_NOTHING: u64 = 1_000_000;

/// Why the generation of an instance is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Doubt {
    #[error("`{0}` is no generation (a number of at most 15 digits)")]
    NoNumber(String),
    #[error("generation {seen} is far from {newest}, the newest that the history tells of")]
    Far { seen: u64, newest: u64 },
}

/// A generation as an instance writes it.
pub fn parse(text: &str) -> Result<u64, Doubt> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok().filter(|number| *number <= LAST) } else { None };
    number.ok_or_else(|| Doubt::NoNumber(text.chars().take(40).collect()))
}

/// Whether an instance can have seen this generation where the history's newest is `newest`; None: there is none.
pub fn believe(seen: u64, newest: Option<u64>) -> Result<u64, Doubt> {
    let limit = newest.map_or(AHEAD_OF_NOTHING, |newest| newest.saturating_add(AHEAD)).min(LAST - 1);
    if seen <= limit { Ok(seen) } else { Err(Doubt::Far { seen, newest: newest.unwrap_or(0) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_at_most_fifteen_digits() {
        assert_eq!((parse("0"), parse("57"), parse("999999999999999")), (Ok(0), Ok(57), Ok(LAST)));
        for text in ["", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1000000000000000", "18446744073709551615", "٣"] {
            assert!(matches!(parse(text), Err(Doubt::NoNumber(_))), "{text}");
        }
    }

    #[test]
    fn an_instance_is_believed_as_far_as_the_history_makes_it_plausible() {
        assert_eq!(believe(3, Some(7)), Ok(3), "it was not changed for long");
        assert_eq!(believe(1_007, Some(7)), Ok(1_007), "the history was set back");
        assert_eq!(believe(1_008, Some(7)), Err(Doubt::Far { seen: 1_008, newest: 7 }));
        assert_eq!(believe(5_000, None), Ok(5_000), "the history is lost");
        assert!(believe(LAST, None).is_err() && believe(LAST, Some(LAST)).is_err(), "none could come after it");
    }
}
