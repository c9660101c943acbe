//! What commands say besides plans and records: failures, headings, a change to a file.

use similar::TextDiff;

use super::{
    style::{Mark, Style},
    words::visible,
};

/// A command's failure: what, and the next move. Several lines, as of a build that failed, stay several.
pub fn failure(message: &str, hint: Option<&str>, style: Style) -> String {
    let lines: Vec<String> = message.trim_end().lines().map(visible).collect();
    let mut text = format!("{} {}", style.bad("error:"), lines.join("\n"));
    if let Some(hint) = hint {
        text += &format!("\n{} {}", style.note("hint:"), visible(hint));
    }
    text
}

pub fn heading(text: &str, style: Style) -> String {
    let rule = if style.0 { "──" } else { "==" };
    style.bold(&format!("{rule} {}", visible(text)))
}

/// The changed lines of a file in the repository.
pub fn change(path: &str, before: &str, after: &str, style: Style) -> String {
    let mut text = format!("{}\n", style.bold(&visible(path)));
    let diff = TextDiff::from_lines(before, after);
    for line in diff.unified_diff().context_radius(1).to_string().lines() {
        let mark = match line.chars().next() {
            Some('+') => Some(Mark::Create),
            Some('-') => Some(Mark::Delete),
            _ => None,
        };
        let line = visible(line);
        text += &format!("  {}\n", mark.map_or(line.clone(), |mark| style.as_mark(mark, &line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_of_a_failure_stay_several_and_reach_no_terminal_raw() {
        let told = failure(
            "the build failed; its last lines:\n    one\n    t\u{1b}[2Jwo\nall of it is in X",
            None,
            Style(false),
        );
        assert_eq!(told, "error: the build failed; its last lines:\n    one\n    t\\x1b[2Jwo\nall of it is in X");
    }
}
