//! What is answered to `/evenkeel …` in a comment.
//!
//! Keeps true: an answer says what was done or why not, and what to type next; it is short, for everybody who
//! follows the pull request is told of it.

use super::markdown::{clipped, code, code_line, fence, paragraphs};
use crate::{
    model::rights::{Permission, Right, Team, Verb},
    report::words::clip,
};

/// What can be asked, and what comes of it.
pub const COMMANDS: [(Verb, &str); 9] = [
    (
        Verb::Plan,
        "Looks at the hosts again, and brings the plan up to date. What follows is the commit that is meant: one from \
     a fork is planned for the commit that was looked at.",
    ),
    (Verb::Apply, "Deploys what is merged now, without waiting for the next look."),
    (
        Verb::Rollback,
        "Opens a pull request that brings back what was deployed before. What follows is a generation, the reason, or \
     both: `/evenkeel rollback 41 the cart is empty`.",
    ),
    (Verb::Retry, "Tries again what failed and was put into quarantine. What follows is the reason."),
    (Verb::Cancel, "Ends the deployment that runs at the next safe step, and undoes it. What follows is the reason."),
    (Verb::Hold, "Keeps the environment as it is. What follows is the reason: `/evenkeel hold the demo`."),
    (Verb::Resume, "Ends a hold. What follows is the reason."),
    (Verb::Why, "Tells why a service or a site is as it is: `/evenkeel why service/NAME`."),
    (Verb::Help, "This."),
];

/// Lines that tell more, and how far each is shown.
const LINES: usize = 40;
const LINE: usize = 300;
/// How much of what was typed is repeated.
const WORD: usize = 60;
/// How many rights are named of those that would be enough.
const RIGHTS: usize = 20;

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
    /// The person has none of the rights that the command takes.
    NotAllowed {
        command: &'a str,
        login: &'a str,
        permission: Permission,
        needed: &'a [Right],
        /// Teams of which GitHub did not say whether the person is in them.
        unknown: &'a [Team],
        /// The default branch says nothing readable of rights.
        unread: bool,
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
        Answer::NotAllowed { command, login, permission, needed, unknown, unread } => {
            not_allowed(command, login, permission, needed, unknown, unread)
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

fn not_allowed(
    command: &str,
    login: &str,
    permission: Permission,
    needed: &[Right],
    unknown: &[Team],
    unread: bool,
) -> String {
    let who = code(&clip(login, WORD));
    let has = match permission {
        Permission::None => "no permission".to_owned(),
        permission => format!("the permission {}", code(permission.name())),
    };
    let rights: Vec<String> = needed.iter().take(RIGHTS).map(right).collect();
    let more = needed.len().saturating_sub(RIGHTS);
    let more = if more > 0 { format!(", or one of {more} more rights") } else { String::new() };
    let said = format!("Not done: {who} has {has} here. {} takes {}{more}.", typed(command), rights.join(", or "));
    let unread = if unread {
        "The rules of commands cannot be read: `evenkeel validate` tells what is wrong with the fleet on the default \
         branch."
    } else {
        ""
    };
    let teams: Vec<String> = unknown.iter().take(RIGHTS).map(|team| code(&team.to_string())).collect();
    let unknown = match teams.as_slice() {
        [] => String::new(),
        teams => format!(
            "GitHub does not say whether {who} is in {}: the App needs the permission Members (read), which \
             `evenkeel github check` shows.",
            teams.join(", ")
        ),
    };
    let next = "Whoever has the right can write the same comment; `commands` in the environment's file names it.";
    [said.as_str(), unread, &unknown, next].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Who has it.
fn right(right: &Right) -> String {
    match right {
        Right::Permission(Permission::Admin) => "the permission `admin`".to_owned(),
        Right::Permission(least) => format!("the permission {} or a higher one", code(least.name())),
        Right::Team(team) => format!("membership in the team {}", code(&team.to_string())),
        Right::Person(login) => format!("being {}", code(login)),
    }
}

fn typed(command: &str) -> String {
    code(&format!("/evenkeel {}", clip(command, WORD)))
}

fn help() -> String {
    let rows: Vec<String> =
        COMMANDS.iter().map(|(command, what)| format!("| `/evenkeel {}` | {what} |", command.name())).collect();
    paragraphs([
        format!("| Comment | What it does |\n|---|---|\n{}", rows.join("\n")),
        "A comment of yours that begins so is read once; editing it later does nothing. `plan`, `why` and `help` take \
         the permission `write` or a higher one, the others `maintain`, unless `commands` in the environment's file says \
         otherwise."
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
        .map(|(command, _)| (strsim::damerau_levenshtein(&word, command.name()), command.name()))
        .filter(|(distance, _)| *distance <= furthest)
        .min()
        .map(|(_, command)| command)
}
