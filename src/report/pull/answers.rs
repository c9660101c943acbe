//! What is answered to `/evenkeel …` in a comment.
//!
//! Keeps true: an answer says what was done or why not, and what to type next; it is short, for everybody who
//! follows the pull request is told of it.

use super::markdown::{clipped, code, code_line, fence, paragraphs};
use crate::report::words::clip;

/// What can be asked, and what comes of it.
pub const COMMANDS: [(&str, &str); 9] = [
    ("plan", "Looks at the hosts again, and brings the plan up to date."),
    ("apply", "Deploys what is merged now, without waiting for the next look."),
    ("rollback", "Opens a pull request that brings back what was deployed before."),
    ("retry", "Tries again what failed and was put into quarantine."),
    ("cancel", "Ends the deployment that runs at the next safe step, and undoes it."),
    ("hold", "Keeps the environment as it is. What follows is the reason: `/evenkeel hold the demo`."),
    ("resume", "Ends a hold."),
    ("why", "Tells why a service or a site is as it is: `/evenkeel why service/NAME`."),
    ("help", "This."),
];

/// Lines that tell more, and how far each is shown.
const LINES: usize = 40;
const LINE: usize = 300;
/// How much of what was typed is repeated.
const WORD: usize = 60;

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    Help,
    /// It is none of the commands.
    Unknown {
        word: &'a str,
    },
    /// It needs more than that, or something else.
    Misused {
        command: &'a str,
        why: &'a str,
    },
    /// The person may not write here. None: they have no permission at all, as far as it can be known.
    NotAllowed {
        login: &'a str,
        permission: Option<&'a str>,
    },
    /// It was done; what came of it in a sentence, and the lines that tell more.
    Done {
        command: &'a str,
        what: &'a str,
        lines: &'a [String],
    },
    /// It was not done.
    Refused {
        command: &'a str,
        why: &'a str,
    },
}

pub fn answer(answer: &Answer<'_>) -> String {
    let text = match *answer {
        Answer::Help => help(),
        Answer::Unknown { word } => unknown(word),
        Answer::Misused { command, why } => {
            format!("{} was not understood: {}. `/evenkeel help` tells how it is used.", typed(command), code_line(why))
        }
        Answer::NotAllowed { login, permission } => {
            let has = permission.map_or("no permission".to_owned(), |permission| code(&clip(permission, WORD)));
            format!(
                "Not done: {} has {has} here, and this takes `write` or more. Whoever has it can ask for the same.",
                code(&clip(login, WORD))
            )
        }
        Answer::Done { command, what, lines } => {
            let said = format!("{}: {}", typed(command), code_line(what));
            let lines: Vec<String> = lines.iter().take(LINES).map(|line| clipped(line, LINE)).collect();
            let more = if lines.is_empty() { String::new() } else { fence("", lines) };
            paragraphs([said, more])
        }
        Answer::Refused { command, why } => format!("{} was refused: {}", typed(command), code_line(why)),
    };
    text + "\n"
}

fn typed(command: &str) -> String {
    code(&format!("/evenkeel {}", clip(command, WORD)))
}

fn help() -> String {
    let rows: Vec<String> =
        COMMANDS.iter().map(|(command, what)| format!("| `/evenkeel {command}` | {what} |")).collect();
    paragraphs([
        format!("| Comment | What it does |\n|---|---|\n{}", rows.join("\n")),
        "A comment of yours that begins so is read once; editing it later does nothing. It takes the permission \
         `write` or more."
            .to_owned(),
    ])
}

fn unknown(word: &str) -> String {
    let near = nearest(word).map(|command| format!(" Is `/evenkeel {command}` meant?")).unwrap_or_default();
    format!("{} is none of the commands.{near} `/evenkeel help` tells them all.", typed(word))
}

/// The command that resembles a word so much that it may be meant.
fn nearest(word: &str) -> Option<&'static str> {
    let word = clip(word, WORD).to_lowercase();
    let furthest = (word.chars().count() / 3).max(1);
    COMMANDS
        .iter()
        .map(|(command, _)| (strsim::damerau_levenshtein(&word, command), *command))
        .filter(|(distance, _)| *distance <= furthest)
        .min()
        .map(|(_, command)| command)
}
