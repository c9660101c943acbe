//! What hosts do not take in a text: said while declaring, and kept to while rendering. And how much of a name that
//! somebody wrote a message shows.

use std::borrow::Cow;

use super::budget::Budget;

/// A name for a message: as many characters of it as [`Budget::STANDARD`] allows.
pub fn name(text: &str) -> Cow<'_, str> {
    clipped(text, Budget::STANDARD.name_text)
}

/// At most `longest` characters of `text`, the last of them `…` where there are more.
pub fn clipped(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        None => text.into(),
        Some(_) => text.chars().take(longest.saturating_sub(1)).chain(['…']).collect::<String>().into(),
    }
}

/// systemd takes Unicode's noncharacters for invalid UTF-8: it ignores a unit's line, and does not load
/// an environment file, that holds one (basic/utf8.c, unichar_is_valid).
pub fn is_noncharacter(c: char) -> bool {
    let c = u32::from(c);
    (0xfdd0..=0xfdef).contains(&c) || c & 0xfffe == 0xfffe
}

/// What a variable's value cannot hold: systemd drops the variable, silently (basic/env-util.c,
/// env_value_is_valid: line breaks and tabs pass).
pub fn unfit_for_variable(value: &str) -> Option<char> {
    value.chars().find(|c| is_noncharacter(*c) || c.is_ascii_control() && !matches!(c, '\n' | '\t'))
}

/// Why systemd would ignore a command with this program, besides its not being there
/// (load-fragment.c, string_is_safe and what follows it).
pub fn unfit_program(path: &str) -> Option<&'static str> {
    if path.contains(|c: char| c.is_control() || is_noncharacter(c) || matches!(c, '"' | '\'' | '\\')) {
        Some("a quote, a backslash or a control character")
    } else if path.ends_with('/') {
        Some("a `/` at its end")
    } else {
        None
    }
}
