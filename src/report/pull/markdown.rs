//! Markdown as GitHub shows it: the one way for text from outside into a comment.
//!
//! Keeps true: text from outside stands in code, on a line or in a fence, and cannot end it. In code GitHub
//! makes no mention, no link, no reference and no HTML of anything. Outside of code there are only words of
//! ours, numbers, and names that were checked to be names.

use super::super::words::{clip, visible};

/// What of a text from outside fits in a line.
const INLINE: usize = 400;

/// Text from outside within a line.
pub(super) fn code(text: &str) -> String {
    let text = without_long_runs(&clipped(text.trim(), INLINE));
    let ticks = "`".repeat(longest_run(&text) + 1);
    match text.as_str() {
        "" => "` `".to_owned(),
        // A backtick at an end would be taken for one of the delimiter's; one space at each end is not shown.
        text if text.starts_with('`') || text.ends_with('`') => format!("{ticks} {text} {ticks}"),
        text => format!("{ticks}{text}{ticks}"),
    }
}

/// At most so many characters of a text from outside, as they are shown: an escape takes the room of several.
pub(super) fn clipped(text: &str, longest: usize) -> String {
    // No character gets shorter by being made visible.
    let begun: String = text.chars().take(longest + 1).collect();
    clip(&visible(&begun), longest)
}

/// Text from outside of several lines, as a few words in a line.
pub(super) fn code_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    code(&lines.join(" | "))
}

/// Lines from outside, as a block. `language` is ours.
pub(super) fn fence<L: AsRef<str>>(language: &str, lines: impl IntoIterator<Item = L>) -> String {
    let lines: Vec<String> = lines.into_iter().map(|line| without_long_runs(&visible(line.as_ref()))).collect();
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or_default();
    let ticks = "`".repeat((longest + 1).max(3));
    let mut text = format!("{ticks}{language}\n");
    for line in lines {
        text += &line;
        text.push('\n');
    }
    text + &ticks
}

/// Whether a part that can be folded is so at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Closed,
    Open,
}

/// A part that can be folded. `summary` is HTML of ours; the body is Markdown.
pub(super) fn details(summary: &str, body: &str, fold: Fold) -> String {
    let open = match fold {
        Fold::Closed => "",
        Fold::Open => " open",
    };
    format!("<details{open}><summary>{summary}</summary>\n\n{body}\n\n</details>")
}

/// A link with a label of ours. An address that could break out of it is left away.
pub(super) fn link(label: &str, address: &str) -> String {
    if is_plain(address) { format!("[{label}](<{address}>)") } else { label.to_owned() }
}

/// Each line as one of a box that GitHub draws in a colour.
///
/// <https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#alerts>
pub(super) fn alert(kind: &str, text: &str) -> String {
    let lines = text.lines().map(|line| format!("> {line}").trim_end().to_owned());
    std::iter::once(format!("> [!{kind}]")).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Parts with an empty line between, which HTML needs to end before Markdown begins.
pub(super) fn paragraphs<P: AsRef<str>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut text = String::new();
    for part in parts {
        let part = part.as_ref().trim_end();
        if part.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text += "\n\n";
        }
        text += part;
    }
    text
}

/// `a`, `b` and 3 more; each in code.
pub(super) fn named<N: AsRef<str>>(names: &[N]) -> String {
    const MOST: usize = 4;
    // One more than is named would take the room of its name.
    let most = if names.len() == MOST + 1 { names.len() } else { MOST };
    let mut shown: Vec<String> = names.iter().take(most).map(|name| code(name.as_ref())).collect();
    if names.len() > most {
        shown.push(format!("{} more", names.len() - most));
    }
    match shown.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// Text with no more backticks in a row than a delimiter can outdo. GitHub's parser takes 80 of them, and more, for
/// text, and counts those of a fence to 255: <https://github.com/github/cmark-gfm/blob/master/src/inlines.c>
/// (`MAXBACKTICKS`), `src/blocks.c` (`fence_length`).
fn without_long_runs(text: &str) -> String {
    const MOST: usize = 40;
    if longest_run(text) > MOST { text.replace('`', "'") } else { text.to_owned() }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

fn is_plain(address: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@=%+,".contains(c);
    (address.starts_with("https://") || address.starts_with("http://")) && address.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_never_ended_by_what_it_holds() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a `b` ``c``"), "``` a `b` ``c`` ```");
        assert_eq!(code("```\n"), "```` ``` ````");
        assert_eq!(code("two\nlines\u{202e}"), "`two\\nlines\\u{202e}`");
        assert_eq!(code(""), "` `");
        assert_eq!(fence("diff", ["+````", "```"]), "`````diff\n+````\n```\n`````");
    }

    #[test]
    fn more_backticks_than_any_delimiter_has_are_none() {
        let run = "`".repeat(300);
        assert_eq!(code(&run), format!("`{}`", "'".repeat(300)));
        assert_eq!(fence("", [format!(" {run}")]), format!("```\n {}\n```", "'".repeat(300)));
    }

    #[test]
    fn an_address_that_would_break_out_of_its_link_is_no_link() {
        assert_eq!(link("#7", "https://github.com/a/b/pull/7"), "[#7](<https://github.com/a/b/pull/7>)");
        for hostile in ["javascript:alert(1)", "https://a/>)<b>", "https://a/\n", "https://a b"] {
            assert_eq!(link("#7", hostile), "#7", "{hostile}");
        }
    }

    #[test]
    fn many_names_are_a_few_and_a_number() {
        assert_eq!(named(&["a"]), "`a`");
        assert_eq!(named(&["a", "b", "c", "d", "e"]), "`a`, `b`, `c`, `d` and `e`");
        assert_eq!(named(&["a", "b", "c", "d", "e", "f"]), "`a`, `b`, `c`, `d` and 2 more");
    }
}
