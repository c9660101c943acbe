//! Generations as instances and the history tell them.
//!
//! Owns: which text is a generation, and which generation of an instance and of a history is believed. Keeps true: an
//! instance's number decides nothing for the other instances unless the history makes it plausible, and arithmetic
//! never wraps. How far is too far stands in the [`Budget`].

use thiserror::Error;

use super::budget::Budget;

const BUDGET: Budget = Budget::STANDARD;

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
    let number = if digits { text.parse().ok().filter(|number| *number <= BUDGET.generation) } else { None };
    number.ok_or_else(|| Doubt::NoNumber(text.chars().take(40).collect()))
}

/// Whether an instance can have seen this generation where the history's newest is `newest`; None: there is none.
pub fn believe(seen: u64, newest: Option<u64>) -> Result<u64, Doubt> {
    let limit = match newest {
        Some(newest) => newest.saturating_add(BUDGET.generation_ahead),
        None => BUDGET.generation_alone,
    };
    let limit = limit.min(BUDGET.generation - 1);
    if seen <= limit { Ok(seen) } else { Err(Doubt::Far { seen, newest: newest.unwrap_or(0) }) }
}

/// The largest generation that is believed of a history; `before` is the newest one that was believed of it. Others can
/// come after it.
pub fn limit_of_history(before: Option<u64>, budget: &Budget) -> u64 {
    let most = budget.generation.saturating_sub(budget.generation_jump);
    before.map_or(most, |before| before.saturating_add(budget.generation_jump).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u64 = BUDGET.generation;

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
    #[test]
    fn whatever_a_history_tells_another_generation_can_come_after_it() {
        let limit = |before| limit_of_history(before, &BUDGET);
        assert_eq!((limit(Some(7)), limit(None)), (100_007, LAST - 100_000));
        let last = limit(Some(limit(None)));
        assert!(believe(last + 1, Some(last)).is_ok(), "an instance that took the next one is believed");
    }
}
