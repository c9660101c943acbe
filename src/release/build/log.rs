//! What a build says: the newest of it, however much that is.

use std::collections::VecDeque;

use crate::report;

/// How much of it is kept.
const MOST: usize = 256 * 1024;
/// A line that is told with a failure.
const LINE: usize = 300;

#[derive(Debug, Default)]
pub struct Log {
    newest: VecDeque<u8>,
    left_out: u64,
}

impl Log {
    pub fn take(&mut self, bytes: &[u8]) {
        self.newest.extend(bytes);
        let surplus = self.newest.len().saturating_sub(MOST);
        self.newest.drain(..surplus);
        self.left_out += surplus as u64;
    }

    /// As lines that a terminal shows as they are, each with a line break: without colours, and with all other control
    /// characters made visible. It ends up in the history and on terminals.
    pub fn text(&self) -> String {
        let (first, second) = self.newest.as_slices();
        let said = String::from_utf8_lossy(&[first, second].concat()).into_owned();
        let plain = anstream::adapter::strip_str(&said).to_string();
        let lines =
            plain.lines().map(|line| format!("{}\n", report::words::visible(overwritten(line)))).collect::<String>();
        match self.left_out {
            0 => lines,
            bytes => format!("({bytes} bytes before this are left out)\n{lines}"),
        }
    }

    /// The newest lines that say something.
    pub fn last_lines(&self, number: usize) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut lines: Vec<String> = lines.rev().take(number).map(|line| line.chars().take(LINE).collect()).collect();
        lines.reverse();
        lines
    }
}

/// What a terminal shows of a line at last: a progress bar goes back to its beginning again and again.
fn overwritten(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    line.rsplit_once('\r').map_or(line, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_does_nothing_to_a_terminal() {
        let mut log = Log::default();
        log.take(b"\x1b[31mred\x1b[0m \x1b]0;a title\x07\r\n10 %\r50 %\r100 %\nbell\x07 \x1b[2J\xff\x9b31m\ttab\n");
        let text = log.text();
        assert!(text.starts_with("red \n100 %\nbell"), "{text:?}");
        assert!(text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')), "{text:?}");
    }

    #[test]
    fn the_newest_is_kept_and_it_is_said_how_much_is_not() {
        let mut log = Log::default();
        assert_eq!((log.text().as_str(), log.last_lines(3)), ("", Vec::new()));
        log.take(b"one\n\ntwo\nthree");
        assert_eq!(log.text(), "one\n\ntwo\nthree\n");
        assert_eq!(log.last_lines(2), ["two", "three"]);
        (0..100).for_each(|_| log.take(&[b'x'; 10_000]));
        log.take(b"\nthe end\n");
        let text = log.text();
        assert!(text.len() < MOST + 100, "{}", text.len());
        assert!(text.starts_with("(737879 bytes before this are left out)\nxxx"), "{}", &text[..60]);
        assert_eq!(log.last_lines(2), ["x".repeat(LINE), "the end".to_owned()]);
    }
}
