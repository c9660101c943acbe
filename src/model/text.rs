//! Texts on their way to a host, and from one: what hosts do not take (said while declaring, and kept to while
//! rendering), and how much of their answers is kept.

use super::budget::Budget;

/// A text that a host answered, as far as it is kept: it ends in records, comments and terminals.
pub fn of_host(text: &str) -> String {
    let limit = Budget::STANDARD.host_text;
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{} … ({} more bytes)", &text[..end], text.len() - end),
        None => text.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hosts_text_as_much_is_kept_as_people_read() {
        assert_eq!(of_host("no such file"), "no such file");
        let long = "ü".repeat(1 << 20);
        let kept = of_host(&long);
        assert!(kept.starts_with("üüü") && kept.ends_with(" more bytes)"), "{kept:.40}");
        assert_eq!(kept.chars().filter(|c| *c == 'ü').count(), Budget::STANDARD.host_text);
    }
}
