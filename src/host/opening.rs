//! The way to a root shell: the login shell, sudo, and the root shell's own marker.
//!
//! Owns: the command that opens a root shell, its two stages, and what the host says when it opens none. Keeps true:
//! nothing but empty lines is sent before the root shell's marker has come, so a start file that reads its input reads
//! nothing of ours; what the host printed before the marker is part of no answer; each stage has a limit of its own, and
//! an error names the stage that did not end.
//!
//! What start files, `sshrc` and PAM print comes before the answer of a command. So the
//! command that opens the shell is one line that sh, csh and fish read alike; it prints a random marker once the
//! login shell runs it, and the root shell prints another. Nothing but empty lines is sent before that one has come,
//! so whatever reads its input reads nothing of ours. The root shell's environment is its own (`env -i`):
//! `POSIXLY_CORRECT` and the like would change what programs read and print; the transient units unset them. In
//! answers standard error lies nowhere but where stat says what is absent, and there only what stat says counts.

use std::{fmt, time::Duration};

use super::quote;
use crate::model::{budget::Budget, text};

/// For the login shell to run a command, and for sudo to start one: two name servers that do not answer cost sudo 20 s.
pub(super) const STAGE_LIMIT: Duration = Duration::from_secs(45);
/// How often an empty line is sent while nothing comes. A start file that asks something takes it for the answer.
pub(super) const NUDGE: Duration = Duration::from_secs(2);

/// What the root shell's environment is: nothing of what a host's start files, PAM or sudo put there.
const ENVIRONMENT: &str = "LC_ALL=C HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What of the way is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The login user's shell, which reads its start files first.
    LoginShell,
    /// `sudo -n`, of a login user other than root.
    Sudo,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::LoginShell => "the login shell",
            Stage::Sudo => "sudo",
        })
    }
}

/// A root shell that is being opened: what came of it so far.
pub(super) struct Opening {
    user: String,
    marker: String,
    stage: Stage,
    /// What the host printed on either stream, up to a limit; markers are not in it.
    said: Vec<u8>,
    /// The end of standard output that may be the beginning of a marker.
    tail: Vec<u8>,
    /// How much of standard output has come.
    heard: usize,
}

impl Opening {
    pub fn new(user: &str) -> Self {
        let marker = format!("evenkeel-{:032x}", rand::random::<u128>());
        Self { user: user.to_owned(), marker, stage: Stage::LoginShell, said: Vec::new(), tail: Vec::new(), heard: 0 }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// For the login shell, whichever it is: one line of single-quoted words without `!` or a quote in them, which sh, csh
    /// and fish read alike.
    pub fn command(&self) -> String {
        let marker = &self.marker;
        let choose = format!(
            "echo; echo {marker}-login; if [ \"$(id -u)\" = 0 ]; then exec sh -c \"$1\" sh \"$2\"; \
             else exec sudo -n sh -c \"$1\" sh \"$2\"; fi"
        );
        let clean = format!("exec env -i {ENVIRONMENT} sh -c \"$1\"");
        // Past the empty lines; `read` and `head -c` take no byte too many from the pipe.
        let root = format!(
            "echo; echo {marker}-root; while read -r size && [ -z \"$size\" ]; do :; done; eval \"$(head -c \"$size\")\""
        );
        format!("sh -c {} sh {} {}", quote::word(&choose), quote::word(&clean), quote::word(&root))
    }

    /// What opens the conversation once the marker has come: the script that the root shell goes on with.
    pub fn script(script: &str) -> Vec<u8> {
        format!("{}\n{script}", script.len()).into_bytes()
    }

    /// Hears standard output; answers whether the root shell is there.
    pub fn hear(&mut self, data: &[u8]) -> bool {
        self.tail.extend_from_slice(data);
        self.heard += data.len();
        loop {
            let marker = match self.stage {
                // Where the login user is root, there is no sudo between the two.
                Stage::LoginShell => format!("{}-login\n", self.marker),
                Stage::Sudo => format!("{}-root\n", self.marker),
            };
            let Some(at) = find(&self.tail, marker.as_bytes()) else {
                let kept = self.tail.len().min(marker.len());
                let past: Vec<u8> = self.tail.drain(..self.tail.len() - kept).collect();
                self.keep(&past);
                return false;
            };
            let before: Vec<u8> = self.tail.drain(..at + marker.len()).take(at).collect();
            self.keep(&before);
            match self.stage {
                Stage::LoginShell => self.stage = Stage::Sudo,
                Stage::Sudo => return true,
            }
        }
    }

    /// Hears standard error.
    pub fn complain(&mut self, data: &[u8]) {
        self.keep(data);
    }

    fn keep(&mut self, data: &[u8]) {
        // The end says why it ended; a greeting comes first.
        self.said.extend_from_slice(data);
        let over = self.said.len().saturating_sub(Budget::STANDARD.host_text);
        self.said.drain(..over);
    }

    /// Whether more has come than any greeting is.
    pub fn floods(&self) -> bool {
        self.heard > Budget::STANDARD.greeting_bytes
    }

    /// What the host printed, in one line; empty where it printed nothing.
    fn words(&self) -> String {
        let said = [self.said.as_slice(), self.tail.as_slice()].concat();
        let said = text::of_host(&String::from_utf8_lossy(&said));
        said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
    }

    /// The same, to follow a sentence.
    fn words_after(&self, mark: &str) -> String {
        let words = self.words();
        if words.is_empty() { words } else { format!("{mark} {words}") }
    }

    /// Why the stage counts as one that does not end.
    pub fn late(&self) -> String {
        let (limit, user, stage) = (STAGE_LIMIT.as_secs(), &self.user, self.stage);
        let said = self.words_after(", and printed:");
        match stage {
            Stage::LoginShell => format!(
                "{stage} of {user} did not run a command within {limit} s{said}; look at what its start files do \
                 (~/.bashrc, ~/.profile, ~/.ssh/rc, /etc/ssh/sshrc)"
            ),
            Stage::Sudo => format!(
                "{stage} did not answer within {limit} s{said}; see with `time sudo -n true` there, and whether the \
                 host's own name is in /etc/hosts and its name servers answer"
            ),
        }
    }

    /// Why a shell that has ended opens no root shell, and the next move.
    pub fn ended(&self, status: u32) -> String {
        let (user, said) = (&self.user, self.words());
        match self.stage {
            Stage::LoginShell if asks_for_new_password(&said) => {
                format!(
                    "the password of {user} has expired{}; set a new one, or end its ageing: `chage -d $(date +%F) -M -1 {user}`",
                    self.words_after(":")
                )
            }
            Stage::LoginShell => format!(
                "the login shell of {user} ran no command and ended with status {status}{}; give {user} a shell that \
                 does, as in `usermod -s /bin/bash {user}`, and see that no start file or ForceCommand ends it",
                self.words_after(":")
            ),
            Stage::Sudo if status == 127 => format!(
                "there is no sudo{}; install the package sudo there, or log in as root (`ssh.user`)",
                self.words_after(":")
            ),
            Stage::Sudo if said.contains("password is required") || said.contains("terminal is required") => format!(
                "sudo asks for a password; allow the login user root without one: \
                 `{user} ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d/evenkeel"
            ),
            Stage::Sudo => format!(
                "{user} does not become root: sudo ended with status {status}{}; allow it: \
                 `{user} ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d/evenkeel, or log in as root (`ssh.user`)",
                self.words_after(":")
            ),
        }
    }

    /// Why a host that prints without end opens none.
    pub fn flood(&self) -> String {
        format!(
            "the login shell of {} printed more than {} KiB before it ran a command; look at its start files",
            self.user,
            Budget::STANDARD.greeting_bytes >> 10
        )
    }

    /// sshd takes no command.
    pub fn runs_nothing(&self) -> String {
        format!("sshd runs no command for {}; see its `ForceCommand`, and `restrict` in authorized_keys", self.user)
    }

    /// Why a connection that has gone opens none.
    pub fn closed(&self) -> String {
        format!("the connection closed while {} was waited for{}", self.stage, self.words_after(":"))
    }
}

/// sshd's and PAM's words, for a session without a terminal.
fn asks_for_new_password(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("password") && (said.contains("expired") || said.contains("change required"))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears the text in pieces of this size; answers whether the root shell is there.
    fn heard(opening: &mut Opening, text: &str, size: usize) -> bool {
        text.as_bytes().chunks(size).any(|piece| opening.hear(piece))
    }

    #[test]
    fn the_root_shell_is_there_with_its_marker_and_with_nothing_else() {
        for size in [1, 7, 1000] {
            let mut opening = Opening::new("ubuntu");
            let marker = opening.marker.clone();
            assert!(!heard(&mut opening, &format!("Welcome\n{marker}-root\nevenkeel-0-login\n{marker}-log"), size));
            assert_eq!(opening.stage(), Stage::LoginShell, "a start file has passed for a stage");
            assert!(!heard(&mut opening, "in\nno line break", size));
            assert_eq!(opening.stage(), Stage::Sudo);
            assert!(heard(&mut opening, &format!("\n{marker}-root\n"), size));
        }
    }

    #[test]
    fn what_comes_without_end_is_kept_within_its_limit() {
        let mut opening = Opening::new("ubuntu");
        while !opening.floods() {
            assert!(!opening.hear(&[b'x'; 1 << 10]));
        }
        assert!(opening.said.len() + opening.tail.len() <= Budget::STANDARD.host_text + 100);
        assert!(opening.heard <= Budget::STANDARD.greeting_bytes + (1 << 10));
    }

    #[test]
    fn the_stage_that_does_not_end_is_blamed_with_what_it_printed() {
        let mut opening = Opening::new("ubuntu");
        opening.complain(b"choose: a or b?\n");
        assert!(opening.late().contains("the login shell of ubuntu") && opening.late().contains("choose: a or b?"));
        let marker = opening.marker.clone();
        heard(&mut opening, &format!("{marker}-login\n"), 1000);
        let late = opening.late();
        assert!(late.starts_with("sudo did not answer") && late.contains("/etc/hosts"), "{late}");
    }

    #[test]
    fn the_command_is_one_line_that_other_shells_read_alike() {
        let command = Opening::new("ubuntu").command();
        assert!(!command.contains(['\n', '!', '\\']), "{command}");
        let quoted = command.split('\'').skip(1).step_by(2).count();
        assert_eq!((quoted, command.matches('\'').count()), (3, 6), "a quote within a quote: {command}");
    }
}
