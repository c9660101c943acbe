//! Small words: quantities, times, and text from outside made safe to show.

use std::error::Error;

use chrono::{DateTime, Utc};

/// Text from outside with everything that a terminal would obey, or that would hide or reorder
/// other characters, written as an escape. Tabs stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(c),
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            c if c.is_ascii_control() => shown += &format!("\\x{:02x}", u32::from(c)),
            c if c.is_control() || is_invisible(c) => shown += &format!("\\u{{{:x}}}", u32::from(c)),
            c => shown.push(c),
        }
    }
    shown
}

/// Zero-width, direction-changing, line-separating and blank characters, with which a diff can be made to
/// read as something that it is not.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e007f}')
}

/// Text from outside on one line: a message of several lines becomes one with bars between.
pub fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    visible(&lines.join(" | "))
}

/// Text from outside as lines of its own, each after `indent`.
pub fn block(indent: &str, text: &str) -> String {
    let line = |line: &str| format!("{indent}{}", visible(line)).trim_end().to_owned() + "\n";
    text.trim_end().lines().map(line).collect()
}

/// At most `longest` characters; what was cut off is an ellipsis.
pub fn clip(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let kept: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The text with its first letter as within a sentence.
pub fn uncapital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

/// The text with its first letter as at the beginning of a sentence.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// `1 instance`, `2 instances`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `1 instance changes`, `2 instances change`.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `412 B`, `4.1 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be written 1024.0.
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// `412 ms`, `1.4 s`, `2 min 3 s`, `1 h 5 min`.
pub fn duration(ms: u64) -> String {
    let tenths = ms.saturating_add(50) / 100;
    let seconds = ms.saturating_add(500) / 1000;
    match ms {
        0..1000 => format!("{ms} ms"),
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ if seconds < 3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// An RFC 3339 time in UTC without ornament. One that cannot be read is shown as it is.
pub fn time(rfc3339: &str) -> String {
    match DateTime::parse_from_rfc3339(rfc3339) {
        Ok(time) => time.with_timezone(&Utc).format("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => visible(rfc3339),
    }
}

/// A commit as people name it.
pub fn short(commit: &str) -> String {
    visible(&commit.chars().take(7).collect::<String>())
}

/// An error and what caused it, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
